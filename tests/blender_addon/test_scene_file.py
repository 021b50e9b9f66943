"""What the extension reads without Blender: checked files, lenses, footage timing."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mocap.core.take import SolvedTake
from mocap.kernels.projection import distort

ADDON = Path(__file__).resolve().parents[2] / "blender_addon"


def addon_module(name: str) -> ModuleType:
    """Import one module of the extension; its package itself needs Blender."""
    package = ModuleType("addon_under_test")
    package.__path__ = [str(ADDON)]
    sys.modules.setdefault("addon_under_test", package)
    return importlib.import_module(f"addon_under_test.{name}")


scene_file = addon_module("scene_file")
lens = addon_module("lens")


@pytest.fixture
def copy(scene_path: Path, tmp_path: Path) -> Path:
    """Return a copy of the scene's two files."""
    for suffix in (".json", ".npz"):
        shutil.copy(scene_path.with_suffix(suffix), tmp_path)
    return tmp_path / scene_path.name


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")
    return path


def test_a_scene_reads_back_as_the_take(scene_path: Path, take: SolvedTake) -> None:
    scene = scene_file.read_scene(scene_path)
    assert (scene.fps, scene.n_frames, scene.start_s) == (take.motion.timeline.fps, 31, 0.4)
    assert scene.joint_names == list(take.motion.skeleton.joint_names)
    np.testing.assert_array_equal(scene.arrays["points_xyz_m"], take.points.xyz_m)
    np.testing.assert_array_equal(scene.arrays["local_wxyz"], take.motion.local_wxyz)
    assert [len(c.time_s) for c in scene.cameras] == [47, 62, 0, 31, 31]


def test_footage_is_found_beside_a_session_that_moved(scene_path: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(scene_path.parent.parent, moved)
    scene = scene_file.read_scene(moved / "exports" / scene_path.name)
    assert scene.cameras[0].video.resolve() == (moved / "footage" / "cam1.mp4").resolve()


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(scene_file.SceneError, match="cannot be read: No such file"):
        scene_file.read_scene(tmp_path / "none.scene.json")


def test_missing_arrays_say_so(copy: Path) -> None:
    copy.with_suffix(".npz").unlink()
    with pytest.raises(scene_file.SceneError, match=r"scene\.npz cannot be read.*Keep it beside"):
        scene_file.read_scene(copy)


def test_a_file_that_is_not_json_says_so(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:200])
    with pytest.raises(scene_file.SceneError, match="not a readable JSON file"):
        scene_file.read_scene(copy)


def test_another_json_file_says_so(copy: Path) -> None:
    copy.write_text('{"name": "something else"}', "utf-8")
    with pytest.raises(scene_file.SceneError, match="not a Mocap Studio scene"):
        scene_file.read_scene(copy)


def test_a_newer_version_asks_for_an_update(copy: Path) -> None:
    with pytest.raises(scene_file.SceneError, match="Update the add-on"):
        scene_file.read_scene(changed(copy, lambda d: d.update(version=2)))


def test_arrays_of_another_export_are_noticed(copy: Path) -> None:
    npz = copy.with_suffix(".npz")
    npz.write_bytes(npz.read_bytes()[:-1])
    with pytest.raises(scene_file.SceneError, match="damaged or belongs to another"):
        scene_file.read_scene(copy)


def test_arrays_that_are_no_npz_say_so(copy: Path) -> None:
    junk = b"PK\x03\x04 junk"
    copy.with_suffix(".npz").write_bytes(junk)
    digest = hashlib.sha256(junk).hexdigest()
    with pytest.raises(scene_file.SceneError, match="not a readable npz"):
        scene_file.read_scene(changed(copy, lambda d: d["arrays"].update(sha256=digest)))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("skeleton"),
        lambda d: d["skeleton"]["parents"].__setitem__(2, 7),
        lambda d: d["timeline"].update(n_frames=30),
        lambda d: d["timeline"].update(fps_den=0),
        lambda d: d["cameras"][0].update(model="mirror"),
        lambda d: d["cameras"][0].update(focal_px=[0.0, 1.0]),
        lambda d: d["cameras"][1].update(R_cam_from_world=[[1, 0, 0], [0, 1, 0], [0, 0, 2]]),
        lambda d: d["cameras"][1].update(center_px=[None, 3]),
        lambda d: d["cameras"].append(d["cameras"][0]),
        lambda d: d.update(arrays=None),
    ],
    ids=["skeleton", "parents", "frames", "rate", "lens", "focal", "rotation", "centre", "cameras", "arrays"],
)
def test_damaged_content_is_reported_as_damage(copy: Path, change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(scene_file.SceneError, match="is damaged"):
        scene_file.read_scene(changed(copy, change))


def test_the_lens_distorts_as_the_studio_does(scene_path: Path, take: SolvedTake) -> None:
    xy = np.random.default_rng(7).uniform(-0.6, 0.6, (11, 2))
    for camera, ours in zip(scene_file.read_scene(scene_path).cameras, take.rig.cameras, strict=True):
        np.testing.assert_allclose(lens.distort(camera, xy), distort(xy, ours.intrinsics.distortion), atol=1e-12)


def test_a_fisheye_is_approximated_to_a_stated_residual(scene_path: Path) -> None:
    camera = scene_file.read_scene(scene_path).cameras[2]
    assert lens.departure_px(camera) > 5.0
    assert lens.clip_lens(camera).residual_px < 0.2


def test_footage_without_known_times_has_no_sync(scene_path: Path) -> None:
    camera = scene_file.read_scene(scene_path).cameras[2]
    assert lens.footage_sync(camera, 60.0, 0.0, 7) is None


def test_footage_of_half_the_rate_shows_every_frame_twice(scene_path: Path) -> None:
    import dataclasses

    camera = dataclasses.replace(scene_file.read_scene(scene_path).cameras[0], time_s=np.arange(13) / 30.0)
    sync = lens.footage_sync(camera, 60.0, 0.001, 23)
    shown = sync.offset + sync.change + np.arange(23)
    assert np.abs(shown / 30.0 - 0.001 - np.arange(23) / 60.0).max() <= 0.5 / 30.0 + 1e-9
    assert sync.residual_s < 0.5 / 30.0 + 1e-9


def test_a_drifting_camera_is_never_shown_more_than_three_quarters_of_a_frame_off(scene_path: Path) -> None:
    import dataclasses

    time_s = np.arange(997) / 60.0 * (1 + 2000e-6)
    camera = dataclasses.replace(scene_file.read_scene(scene_path).cameras[0], time_s=time_s)
    sync = lens.footage_sync(camera, 60.0, 0.0, 991)
    assert sync.change.any()
    assert sync.residual_s <= 0.5 / 60.0 * 1.01
