"""A full or read-only disk: a clear error, and nothing half-written."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from mocap.cli.options import writable_folder
from mocap.core.errors import SetupError
from mocap.core.jsontext import write_json
from sessions import store as store_module
from sessions.store import ArtifactStore


def test_an_artifact_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/full/0.npy")

    monkeypatch.setattr(store_module.np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        ArtifactStore(tmp_path).save("points", "0" * 32, np.zeros(3), {})
    assert list(tmp_path.rglob("*")) == []


def test_a_json_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"frames": 1})
    with pytest.raises(TypeError, match="no JSON form"):
        write_json(path, {"frames": object()})
    assert path.read_text() == '{\n  "frames": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_an_output_folder_below_a_file_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SetupError) as caught:
        writable_folder(tmp_path / "file" / "out")
    assert caught.value.code == "output-not-writable"
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_output_folder_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mocap.cli.options.tempfile.NamedTemporaryFile", full)
    with pytest.raises(SetupError) as caught:
        writable_folder(tmp_path / "out")
    assert caught.value.code == "output-full"
