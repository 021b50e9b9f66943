"""Files appear under their name whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mocap.core.errors import SetupError
from mocap.core.publish import disk_error, published, published_set


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "take.trc"
    with published(file) as temporary:
        assert temporary.suffix == ".trc"
        temporary.write_text("whole", "utf-8")
        assert not file.exists()
    assert file.read_text("utf-8") == "whole"
    assert names(file.parent) == ["take.trc"]


def test_an_error_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "take.trc"
    file.write_text("before", "utf-8")
    with pytest.raises(UnicodeEncodeError), published(file) as temporary:
        temporary.write_text("half " + chr(0xD800), "utf-8")
    assert file.read_text("utf-8") == "before"
    assert names(tmp_path) == ["take.trc"]


def test_a_file_where_the_folder_should_be_is_an_error_with_advice(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", "utf-8")
    with pytest.raises(SetupError, match="taken") as caught, published(tmp_path / "taken" / "take.trc"):
        pass
    assert caught.value.code == "output-not-writable"
    assert caught.value.advice


def test_a_full_disk_is_called_so() -> None:
    assert disk_error(OSError(errno.ENOSPC, "No space left on device"), Path("take.trc")).code == "output-full"


def test_a_set_of_files_appears_together(tmp_path: Path) -> None:
    (tmp_path / "a.trc").write_text("old")
    with published_set(tmp_path) as staging:
        (staging / "a.trc").write_text("new")
        (staging / "b.trc").write_text("new")
        assert (tmp_path / "a.trc").read_text() == "old"
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.trc": "new", "b.trc": "new"}


def test_after_an_error_in_a_set_everything_is_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.trc").write_text("old")

    def write_set() -> None:
        with published_set(tmp_path) as staging:
            (staging / "a.trc").write_text("new")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SetupError) as caught:
        write_set()
    assert caught.value.code == "output-full"
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.trc": "old"}


def test_a_renaming_that_fails_is_undone_for_the_whole_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.trc").write_text("old")
    (tmp_path / "c.trc").mkdir()
    (tmp_path / "c.trc" / "mine").write_text("mine")
    replace = os.replace

    def fails_for_c(source: Path, target: Path) -> None:
        if Path(target) == tmp_path / "c.trc" and Path(source).is_file():
            raise OSError(errno.EACCES, "Permission denied")
        replace(source, target)

    def write_set() -> None:
        with published_set(tmp_path) as staging:
            for name in ("a.trc", "b.trc", "c.trc"):
                (staging / name).write_text("new")

    monkeypatch.setattr("mocap.core.publish.os.replace", fails_for_c)
    with pytest.raises(SetupError) as caught:
        write_set()
    assert caught.value.code == "output-not-writable"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.trc", "c.trc"]
    assert (tmp_path / "a.trc").read_text() == "old"
    assert (tmp_path / "c.trc" / "mine").read_text() == "mine"


def test_files_in_folders_of_a_set_move_to_the_same_folders(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "a.trc").write_text("old")
    (tmp_path / "exports" / "mine.txt").write_text("mine")
    with published_set(tmp_path) as staging:
        (staging / "exports" / "ue5").mkdir(parents=True)
        for name in ("exports/a.trc", "exports/ue5/a.fbx", "report.json"):
            (staging / name).write_text("new")
    found = {p.relative_to(tmp_path).as_posix(): p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {
        "exports/a.trc": "new",
        "exports/mine.txt": "mine",
        "exports/ue5/a.fbx": "new",
        "report.json": "new",
    }


def test_the_report_of_a_set_is_moved_last_and_a_failure_removes_the_new_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.json").write_text("old")
    replace = os.replace
    placed: list[str] = []

    def fails_for_the_report(source: Path, target: Path) -> None:
        if (
            Path(source).name == "report.json"
            and Path(target) == tmp_path / "report.json"
            and "earlier" not in str(source)
        ):
            raise OSError(errno.ENOSPC, "No space left on device")
        placed.append(Path(target).name)
        replace(source, target)

    def write_set() -> None:
        with published_set(tmp_path) as staging:
            (staging / "z").mkdir()
            for name in ("report.json", "z/z.trc"):
                (staging / name).write_text("new")

    monkeypatch.setattr("mocap.core.publish.os.replace", fails_for_the_report)
    with pytest.raises(SetupError):
        write_set()
    assert placed[0] == "z.trc"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json").read_text() == "old"
