"""Files appear under their name whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mocap.core.errors import SetupError
from mocap.core.publish import disk_error, published


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
