"""Exports, overlay and reports of a take appear together or not at all."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from mocap.core.errors import SetupError
from mocap.core.progress import NoProgress
from sessions import outputs
from sessions.folder import open_session
from sessions.process import process_take
from sessions.timing import Laps

EXPORTS = (("studio", ("trc", "bvh")), ("ue5", ("bvh",)))


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_everything_of_a_take_appears_together(session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_session(session)
    done = process_take(opened, opened.take("wave"), NoProgress())
    out = tmp_path / "out"

    def write() -> dict[str, Any]:
        return outputs.write_everything(done, out, "wave", EXPORTS, Laps(), NoProgress())

    data = write()
    files = [
        "exports/subject_0.trc",
        "exports/subject_0.bvh",
        "exports/ue5/subject_0.bvh",
        "overlay.mp4",
        "report.html",
        "report.json",
    ]
    assert data["files"] == files
    before = content(out)
    assert sorted(before) == sorted(files)
    assert json.loads(before["report.json"])["files"] == files
    assert b"exports/ue5/subject_0.bvh" in before["report.html"]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs, "write_json", full)
    with pytest.raises(SetupError) as caught:
        write()
    assert caught.value.code == "output-full"
    assert content(out) == before
