"""What a session's verbs must not spoil: settings, takes of other processes, takes beside a broken one."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.media.encode import write_video
from sessions import lock
from sessions.edits import append_edit
from sessions.folder import open_session
from sessions.lock import take_lock

Mocap = Callable[..., tuple[int, dict[str, Any]]]


def code_of(result: tuple[int, dict[str, Any]]) -> str:
    status, data = result
    assert status == 1, data
    return data["error"]["code"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--set", "model=nonsense"), "model-unknown"),
        (("--set", "refine_rig=no", "--from", "magic"), "unknown-stage"),
        (("--set", "refine_rig=no", "--set", "recrop=maybe"), "setting-invalid"),
    ],
)
def test_a_run_that_is_refused_keeps_no_setting(more: tuple[str, ...], code: str, session: Path, mocap: Mocap) -> None:
    file = session / "takes" / "wave" / "take.toml"
    before = file.read_bytes()
    assert code_of(mocap("run", session, "wave", *more)) == code
    assert file.read_bytes() == before


def test_no_setting_is_written_under_a_run_of_another_process(session: Path, mocap: Mocap) -> None:
    file = session / "takes" / "wave" / "take.toml"
    before = file.read_bytes()
    with take_lock(file.parent):
        assert code_of(mocap("run", session, "wave", "--set", "refine_rig=no")) == "take-busy"
    assert file.read_bytes() == before


def turned(folder: Path) -> Path:
    """Return a video of cam3 that is turned by a quarter against its calibration (320 x 240)."""
    pictures = [np.full((320, 240, 3), 3 * f, np.uint8) for f in range(7)]
    write_video(folder / "cam3.mp4", pictures, Fraction(30), (240, 320))
    return folder / "cam3.mp4"


def test_a_video_that_is_turned_against_the_calibration_is_refused_at_import(
    session: Path, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    videos = [*shoot.videos[:2], turned(tmp_path)]
    assert code_of(mocap("import", session, "walk", *videos)) == "size-rotated"
    assert code_of(mocap("import", session, "wave", *videos, "--replace")) == "size-rotated"
    assert open_session(session).take_names() == ["wave"]
    assert open_session(session).take("wave").videos[2] == shoot.videos[2].resolve()


def test_replaced_videos_leave_corrections_and_settings(
    session: Path, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    take = open_session(session).take("wave")
    append_edit(take.edits_file, "mask", camera="cam1", start_frame=3, end_frame=5, keypoints=[])
    edits = take.edits_file.read_bytes()
    other = Path(shutil.copy(shoot.videos[2], tmp_path / "cam3.mp4"))
    assert code_of(mocap("import", session, "wave", *shoot.videos[:2], other)) == "take-exists"
    more = ("--replace", "--subject-at", "0.5,-1")
    assert mocap("import", session, "wave", *shoot.videos[:2], other, *more)[0] == 0
    assert mocap("import", session, "wave", *shoot.videos, "--replace")[0] == 0
    take = open_session(session).take("wave")
    assert take.videos == tuple(v.resolve() for v in shoot.videos)
    assert take.config == {"subject_at": (0.5, -1.0)}
    assert take.edits_file.read_bytes() == edits


def test_only_a_take_that_is_there_and_idle_gets_other_videos(session: Path, shoot: Any, mocap: Mocap) -> None:
    assert code_of(mocap("import", session, "walk", *shoot.videos, "--replace")) == "take-missing"
    with take_lock(session / "takes" / "wave"):
        assert code_of(mocap("import", session, "wave", *shoot.videos, "--replace")) == "take-busy"


def test_a_broken_take_does_not_stop_the_others(session: Path, shoot: Any, mocap: Mocap, tmp_path: Path) -> None:
    for name in ("amble", "bow"):
        (tmp_path / name).mkdir()
        copies = [Path(shutil.copy(v, tmp_path / name / v.name)) for v in shoot.videos]
        assert mocap("import", session, name, *copies)[0] == 0
    (tmp_path / "amble" / "cam2.mp4").unlink()
    (session / "takes" / "bow" / "take.toml").write_text("videos = [")
    status, data = mocap("run", session)
    assert status == 1
    assert data["takes"]["amble"]["error"]["code"] == "video-missing"
    assert data["takes"]["bow"]["error"]["code"] == "session-unreadable"
    assert data["takes"]["wave"]["frames"] == 23


def test_a_take_that_is_not_there_is_said_before_any_is_run(session: Path, stand_in: Any, mocap: Mocap) -> None:
    assert code_of(mocap("run", session, "wave", "nobody")) == "take-missing"
    assert stand_in.RUNS == []


def test_a_take_that_may_only_be_read_is_exported_elsewhere(
    session: Path, mocap: Mocap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mocap("run", session)[0] == 0
    real = os.open

    def read_only(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if str(path).startswith(str(session)) and flags & os.O_RDWR:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(lock.os, "open", read_only)
    status, data = mocap("export", f"{session}/wave", "--to", "bvh", "--out", tmp_path / "elsewhere")
    assert status == 0, data
    assert [Path(f["path"]).parent for f in data["files"]] == [tmp_path / "elsewhere"]
