"""Session folders, takes, settings and the lock of a take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mocap.core.errors import InputError
from sessions.config import OPTIONS, parse_settings
from sessions.folder import add_take, create_session, open_session, split_take_path
from sessions.lock import take_lock


def code_of(function, *args) -> str:
    with pytest.raises(InputError) as caught:
        function(*args)
    return caught.value.code


def test_a_take_comes_back_as_it_was_added(tmp_path: Path) -> None:
    session = create_session(tmp_path / "s")
    inside, outside = tmp_path / "s" / "videos" / "a.mp4", tmp_path / "b.mp4"
    add_take(session, "walk 1", [inside, outside], {"recrop": False, "subject_at": (1.0, -2.0)})
    session, take = split_take_path(str(tmp_path / "s" / "walk 1"))
    assert take.videos == (inside.resolve(), outside.resolve())
    assert take.config == {"recrop": False, "subject_at": (1.0, -2.0)}
    assert session.take_names() == ["walk 1"]


def test_a_moved_session_finds_the_videos_inside_it(tmp_path: Path) -> None:
    session = create_session(tmp_path / "s")
    add_take(session, "walk", [tmp_path / "s" / "a.mp4"])
    (tmp_path / "s").rename(tmp_path / "moved")
    assert open_session(tmp_path / "moved").take("walk").videos == ((tmp_path / "moved" / "a.mp4").resolve(),)


def test_a_session_is_not_made_over_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert code_of(create_session, tmp_path) == "folder-not-empty"
    create_session(tmp_path / "s")
    assert code_of(create_session, tmp_path / "s") == "session-exists"


def test_missing_and_broken_sessions_are_named(tmp_path: Path) -> None:
    assert code_of(open_session, tmp_path) == "session-missing"
    session = create_session(tmp_path / "s")
    assert code_of(session.take, "walk") == "take-missing"
    (session.folder / "session.toml").write_text("format = 99\n")
    assert code_of(open_session, session.folder) == "session-too-new"
    (session.folder / "session.toml").write_text("format = [")
    assert code_of(open_session, session.folder) == "session-unreadable"


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".hidden", "dot.", "a\\b"])
def test_a_name_that_is_no_folder_name_is_refused(name: str, tmp_path: Path) -> None:
    session = create_session(tmp_path / "s")
    assert code_of(add_take, session, name, [tmp_path / "a.mp4"]) == "take-name-invalid"


def test_one_video_given_twice_is_an_error(tmp_path: Path) -> None:
    session = create_session(tmp_path / "s")
    videos = [tmp_path / "a.mp4", tmp_path / "." / "a.mp4"]
    assert code_of(add_take, session, "walk", videos) == "video-twice"


def test_an_existing_take_is_kept(tmp_path: Path) -> None:
    session = create_session(tmp_path / "s")
    add_take(session, "walk", [tmp_path / "a.mp4"])
    assert code_of(add_take, session, "walk", [tmp_path / "b.mp4"]) == "take-exists"


def test_settings_are_read_by_their_kind() -> None:
    assert parse_settings(["refine_rig=no", "subject_at=1.5,-2"]) == {"refine_rig": False, "subject_at": (1.5, -2.0)}


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        ("colour=red", "setting-unknown"),
        ("refine_rig", "setting-invalid"),
        ("refine_rig=maybe", "setting-invalid"),
        ("subject_at=1", "setting-invalid"),
        ("subject_at=nan,0", "setting-invalid"),
    ],
)
def test_a_wrong_setting_is_an_error(pair: str, code: str) -> None:
    assert code_of(parse_settings, [pair]) == code


@pytest.mark.parametrize(
    "line",
    ['refine_rig = "no"', "recrop = 1", "model = 3", "subject_at = [1.0]", "subject_at = [nan, 0.0]"],
)
def test_a_stored_setting_of_the_wrong_kind_is_an_error(line: str, tmp_path: Path) -> None:
    session = create_session(tmp_path / "s")
    take = add_take(session, "walk", [tmp_path / "a.mp4"])
    (take.folder / "take.toml").write_text(f'videos = [{{path = "a.mp4"}}]\n[config]\n{line}\n')
    assert code_of(session.take, "walk") == "setting-invalid"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("format = 2", "session-too-new"),
        ("", "session-unreadable"),
        ("format = 0", "session-unreadable"),
        ('format = "1"', "session-unreadable"),
    ],
)
def test_a_session_of_no_known_format_is_newer_or_unreadable(line: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "session.toml").write_text(line)
    assert code_of(open_session, tmp_path) == code


def test_every_option_says_what_it_is() -> None:
    assert all(option.help for option in OPTIONS.values())


def test_the_lock_of_a_take_is_exclusive_names_its_holder_and_is_free_after_its_death(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sessions.lock import take_lock\n"
        "with take_lock(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {holder.pid} on") as caught, take_lock(tmp_path):
            pass
        assert caught.value.code == "take-busy"
        holder.kill()
        holder.wait()
    with take_lock(tmp_path):
        pass
