"""Scene files as written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from exporters.scene import QualityMarker, quality_markers_of, write_scene
from exporters.table import export
from mocap.core.errors import InputError, SetupError
from mocap.core.keypoints import Source


def test_the_table_writes_a_scene_and_reads_it_back(samples: ModuleType, tmp_path: Path) -> None:
    take = samples.sample_take()
    (done,) = export(take, ["scene"], tmp_path)
    assert done.path == tmp_path / f"{take.subject}.scene.json"
    assert done.max_error_m < 1e-9
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"{take.subject}.scene.json",
        f"{take.subject}.scene.npz",
    ]


def test_footage_is_found_from_where_the_scene_stands_in_the_end(
    samples: ModuleType, write_clip: Callable[..., Path], tmp_path: Path
) -> None:
    take = samples.sample_take()
    name = take.rig.names[0]
    video = write_clip(tmp_path / "videos" / "a.mp4", [50, 60])
    staged, final = tmp_path / "take" / ".new" / "exports", tmp_path / "take" / "exports"
    for folder in (final, staged):
        (done,) = export(take, ["scene"], folder, videos={name: video}, final_folder=final)
        assert done.path == final / f"{take.subject}.scene.json"
        cameras = json.loads((folder / done.path.name).read_text("utf-8"))["cameras"]
        assert [c["video"] for c in cameras if c["name"] == name] == ["../../videos/a.mp4"]


def test_equal_takes_give_equal_bytes(samples: ModuleType, tmp_path: Path) -> None:
    first, second = (write_scene(samples.sample_take(), tmp_path / name) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_markers_given_are_markers_written(samples: ModuleType, tmp_path: Path) -> None:
    path = write_scene(samples.sample_take(), tmp_path, quality_markers=[QualityMarker(3, "warning", "knee")])
    assert json.loads(path.read_text("utf-8"))["quality_markers"] == [
        {"frame": 3, "severity": "warning", "label": "knee"}
    ]


def test_markers_are_derived_where_most_points_were_not_measured(samples: ModuleType) -> None:
    take = samples.sample_take()
    measured = take.points.source == Source.MEASURED
    weak = 2 * measured[:, measured.any(0)].sum(1) < measured.any(0).sum()
    starts = np.flatnonzero(weak & ~np.concatenate([[False], weak[:-1]]))
    assert [m.frame for m in quality_markers_of(take)] == starts.tolist()


def test_an_unknown_camera_is_refused_by_name(samples: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody") as caught:
        write_scene(samples.sample_take(), tmp_path, {"nobody": tmp_path / "x.mp4"})
    assert caught.value.code == "scene-unknown-camera"


def test_a_turned_pixel_map_is_refused(samples: ModuleType, tmp_path: Path) -> None:
    take = samples.sample_take()
    with pytest.raises(InputError) as caught:
        write_scene(take, tmp_path, pixel_maps={take.rig.names[0]: np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])})
    assert caught.value.code == "scene-pixel-map-turned"


def test_a_folder_that_cannot_be_made_is_reported(samples: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SetupError) as caught:
        write_scene(samples.sample_take(), tmp_path / "file")
    assert caught.value.code == "scene-not-written"


def test_a_failed_write_keeps_the_old_scene(
    samples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(samples.sample_take(), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    monkeypatch.setattr(Path, "read_bytes", lambda self: b"rotten")
    with pytest.raises(SetupError) as caught:
        write_scene(samples.sample_take(), tmp_path, quality_markers=[QualityMarker(1, "info", "new")])
    monkeypatch.undo()
    assert caught.value.code == "scene-not-written"
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before
