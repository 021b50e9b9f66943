"""Rigs written for other programs: round trips, independent readers, and what a format cannot hold."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibration.files import read_rig, read_rig_file
from calibration.rig_export import (
    FORMATS,
    camera_group_dicts,
    export_rig,
    rig_difference,
    rig_from_camera_group,
)
from mocap.core.camera import Camera, CameraRig, Intrinsics, LensModel
from mocap.core.errors import InputError
from mocap.kernels.projection import project
from mocap.kernels.rotations import quat_exp, quat_to_matrix

Shared = Callable[[str], Path]
POINTS = np.random.default_rng(3).uniform([-1, -1, 0], [1, 1, 2], (11, 3))


def rig(fisheye: bool = True, seed: int = 7) -> CameraRig:
    """Cameras 3, 5 and 7 around the origin, upright, each of its own lens; the last a fisheye where asked."""
    rng = np.random.default_rng(seed)
    cameras: list[Camera] = []
    for i, name in enumerate(("cam_3", "cam_5", "cam_7")):
        is_fisheye = fisheye and i == 2
        lens = Intrinsics(
            ((1920, 1080), (1280, 720), (1080, 1920))[i],
            rng.uniform(900, 1000, 2),
            rng.uniform(500, 700, 2),
            rng.normal(0, 0.02, 4 if is_fisheye else 5),
            LensModel.FISHEYE if is_fisheye else LensModel.BROWN,
        )
        turn = 2 * np.pi * i / 3
        forward = -np.array([np.cos(turn), np.sin(turn), 0])
        R = np.array([np.cross([0, 0, -1], forward), [0, 0, -1], forward])
        R = quat_to_matrix(quat_exp(rng.normal(0, 0.1, 3))) @ R
        cameras.append(Camera(name, lens, R, -R @ (-3.3 * forward + [0, 0, 1.2 + 0.3 * i])))
    return CameraRig(tuple(cameras))


def pixels(camera: Camera, distortion: np.ndarray | None = None) -> np.ndarray:
    """Return where the camera sees POINTS, by our own projection."""
    lens = camera.intrinsics
    bent = lens.distortion if distortion is None else distortion
    return project(POINTS @ camera.R_cam_from_world.T + camera.t_cam_from_world_m, lens.focal_px, lens.center_px, bent)


def by_opencv(K: np.ndarray, dist: np.ndarray, R: np.ndarray, t: np.ndarray, fisheye: bool = False) -> np.ndarray:
    """Return where OpenCV projects POINTS."""
    rvec = cv2.Rodrigues(np.asarray(R, float))[0] if np.size(R) == 9 else np.asarray(R, float)
    if fisheye:
        return cv2.fisheye.projectPoints(POINTS[None], rvec, np.asarray(t, float).reshape(3, 1), K, dist)[0][0]
    return cv2.projectPoints(POINTS, rvec, np.asarray(t, float), K, np.asarray(dist, float))[0][:, 0]


def written(folder: Path, name: str, cameras: CameraRig) -> Path:
    path = folder / f"out_{name}"
    export_rig(path, cameras, name)
    return path


numbers = st.floats(-1.0, 1.0, allow_nan=False)


@st.composite
def rigs(draw: st.DrawFn) -> CameraRig:
    """Rigs of any lenses and poses, half turns and tiny ones too."""
    cameras: list[Camera] = []
    for i in range(draw(st.integers(1, 3))):
        model = draw(st.sampled_from(LensModel))
        n = 5 if model is LensModel.BROWN else 4
        lens = Intrinsics(
            (draw(st.integers(16, 8000)), draw(st.integers(16, 8000))),
            np.array([draw(st.floats(50, 9000)), draw(st.floats(50, 9000))]),
            np.array([draw(st.floats(-500, 9000)), draw(st.floats(-500, 9000))]),
            np.array([draw(numbers) for _ in range(n)]),
            model,
        )
        angle = draw(st.sampled_from([0.0, 1e-9, 1.0, np.pi - 1e-7, np.pi])) + 0.1 * draw(numbers)
        axis = np.array([draw(numbers), draw(numbers), 1.0])
        R = quat_to_matrix(quat_exp(axis / np.linalg.norm(axis) * angle))
        cameras.append(Camera(f"cam_{i + 4}", lens, R, 30 * np.array([draw(numbers) for _ in range(3)])))
    return CameraRig(tuple(cameras))


@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=rigs())
def test_every_format_brings_every_rig_back(
    name: str, made: CameraRig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not FORMATS[name].has_fisheye:
        plain = [c for c in made.cameras if c.intrinsics.model is LensModel.BROWN]
        made = CameraRig(tuple(plain or rig(fisheye=False).cameras))
    path = written(tmp_path_factory.mktemp("rig"), name, made)
    back = read_rig_file(path)
    assert sorted(back.rig.names) == sorted(made.names)
    assert rig_difference(made, back.rig) < 1e-9


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_written_file_is_recognised_as_what_it_is(name: str, tmp_path: Path) -> None:
    found = read_rig_file(written(tmp_path, name, rig(FORMATS[name].has_fisheye)))
    # Their layouts are one: the names of sections and the unit tell, where anything does.
    assert found.format in ({name} if name not in ("freemocap", "pose2sim") else {"aniposelib", name})
    assert found.diagnostics == ()


def test_cameras_of_opencv_files_project_by_opencv_as_ours_do(tmp_path: Path) -> None:
    made = rig()
    folder = written(tmp_path, "opencv", made)
    assert sorted(f.name for f in folder.iterdir()) == ["cam_3.yml", "cam_5.yml", "cam_7.yml"]
    for camera in made.cameras:
        storage = cv2.FileStorage(str(folder / f"{camera.name}.yml"), cv2.FILE_STORAGE_READ)
        K, dist, R, T = (storage.getNode(k).mat() for k in ("camera_matrix", "distortion_coefficients", "R", "T"))
        uv = by_opencv(K, dist, R, T, fisheye=storage.getNode("fisheye").real() == 1)
        np.testing.assert_allclose(uv, pixels(camera), atol=1e-6)


def test_easymocaps_own_reading_gives_the_same_projection(tmp_path: Path) -> None:
    made = rig(fisheye=False)
    folder = written(tmp_path, "easymocap", made)
    intri, extri = (cv2.FileStorage(str(folder / f), cv2.FILE_STORAGE_READ) for f in ("intri.yml", "extri.yml"))
    names = intri.getNode("names")
    assert [names.at(i).string() for i in range(names.size())] == list(made.names)
    for camera in made.cameras:
        n = camera.name
        K, dist = intri.getNode(f"K_{n}").mat(), intri.getNode(f"dist_{n}").mat()
        rvec, T = extri.getNode(f"R_{n}").mat(), extri.getNode(f"T_{n}").mat()
        assert (rvec.shape, T.shape, dist.shape) == ((3, 1), (3, 1), (1, 5))
        np.testing.assert_allclose(extri.getNode(f"Rot_{n}").mat(), cv2.Rodrigues(rvec)[0], atol=1e-12)
        np.testing.assert_allclose(by_opencv(K, dist, rvec, T), pixels(camera), atol=1e-6)
        assert intri.getNode(f"W_{n}").real() == camera.intrinsics.size_px[0]


def test_colmap_counts_pixels_from_the_corner_and_orders_its_quaternion_w_first(tmp_path: Path) -> None:
    made = rig()
    folder = written(tmp_path, "colmap", made)
    assert sorted(f.name for f in folder.iterdir()) == ["cameras.txt", "images.txt", "points3D.txt"]
    lenses = [line.split() for line in (folder / "cameras.txt").read_text().splitlines() if line[0] != "#"]
    images = [line.split() for line in (folder / "images.txt").read_text().splitlines() if line[:1] not in ("#", "")]
    assert [fields[1] for fields in lenses] == ["FULL_OPENCV", "FULL_OPENCV", "OPENCV_FISHEYE"]
    for camera, lens, image in zip(made.cameras, lenses, images, strict=True):
        assert image[9] == f"{camera.name}.png"
        fx, fy, cx, cy, *dist = map(float, lens[4:])
        w, x, y, z, *t = map(float, image[1:8])
        vector = np.array([x, y, z])
        angle = 2 * np.arctan2(np.linalg.norm(vector), w)
        uv = by_opencv(
            np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
            np.array(dist),
            vector / np.linalg.norm(vector) * angle,
            np.array(t),
            fisheye=lens[1] == "OPENCV_FISHEYE",
        )
        np.testing.assert_allclose(uv - 0.5, pixels(camera), atol=1e-6)


@pytest.mark.parametrize(
    "file",
    [
        "data/pose2sim_demo/SinglePerson/calibration/Calib.qca.txt",
        "data/pose2sim_demo/MultiPerson/calibration/Calib.qca.txt",
        "data/pose2sim_demo/openpose_2024_two_person/Calibration/Calib.qca.txt",
    ],
)
def test_a_real_qualisys_file_is_written_with_its_own_numbers(file: str, shared: Shared, tmp_path: Path) -> None:
    original = shared(file)
    path = written(tmp_path, "qualisys", read_rig(original))
    before, after = (ET.parse(f).getroot().findall("cameras/camera") for f in (original, path))
    for a, b in zip(before, after, strict=True):
        assert a.get("serial") == b.get("serial")
        for tag in ("fov_video", "transform", "intrinsic"):
            old, new = a.find(tag), b.find(tag)
            assert old is not None
            assert new is not None
            for key in set(old.attrib) - {"focallength", "sensorMaxU", "sensorMaxV"}:
                assert float(new.attrib[key]) == pytest.approx(float(old.attrib[key]), rel=1e-7, abs=1e-6)


@pytest.mark.parametrize(
    ("file", "name", "atol"),
    [
        ("data/pose2sim_demo/openpose_2024_two_person/Calibration/Calib_scene.toml", "pose2sim", 1e-12),
        ("data/pose2sim_demo/blender_examples/Pose2Sim_cameras.toml", "aniposelib", 1e-12),
        ("data/pose2sim_demo/openpose_body25b_2022/wangshubo90/calib-2d/Calib_qca.toml", "aniposelib", 1e-12),
        ("data/virtual_shoot/rig_truth.toml", "aniposelib", 1e-12),
        ("data/caliscope_charuco/post_optimization/camera_array.toml", "caliscope", 1e-6),
        ("data/caliscope_charuco/4_cam_recording/camera_array.toml", "caliscope", 1e-6),
    ],
)
def test_real_files_are_written_with_their_own_numbers(
    file: str, name: str, atol: float, shared: Shared, tmp_path: Path
) -> None:
    original = shared(file)
    path = written(tmp_path, name, read_rig(original))
    old, new = (tomllib.loads(f.read_text("utf-8")) for f in (original, path))
    old, new = (d.get("cameras", d) for d in (old, new))
    keys = [k for k, v in old.items() if isinstance(v, dict) and "matrix" in v]
    for key, key_new in zip(keys, [k for k in new if k != "metadata"], strict=True):
        for field in ("size", "matrix", "translation", "rotation", "distortions"):
            value = np.array(old[key][field], float).ravel()
            np.testing.assert_allclose(np.ravel(new[key_new][field])[: len(value)], value, rtol=0, atol=atol)


def test_real_go2kin_passes_go_through_every_format(shared: Shared, tmp_path: Path) -> None:
    for file in sorted(shared("data/gopro/go2kin_hero12_calibration").glob("*.json")):
        made = read_rig(file)
        for name in FORMATS:
            back = read_rig(written(tmp_path / file.stem, name, made))
            assert rig_difference(made, back) < 1e-9, name


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if not f.has_fisheye])
def test_a_fisheye_is_refused_where_it_would_be_read_as_another_lens(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        export_rig(tmp_path / "out", rig(), name)
    assert error.value.code == "rig-format-cannot"
    assert "cam_7" in error.value.message
    assert "aniposelib" in error.value.advice
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "camera"),
    [("easymocap", "left cam"), ("colmap", "left cam"), ("colmap", "a/b"), ("pose2sim", "metadata")],
)
def test_names_that_a_format_cannot_hold_are_refused(name: str, camera: str, tmp_path: Path) -> None:
    made = CameraRig((replace(rig()[0], name=camera),))
    with pytest.raises(InputError) as error:
        export_rig(tmp_path / "out", made, name)
    assert error.value.code == "rig-format-cannot"
    assert camera in error.value.message


def test_odd_names_survive_where_they_can(tmp_path: Path) -> None:
    odd = ("Kamera ö 1", 'it\'s "two"', "it'''s three.png", "a/b")
    made = CameraRig(tuple(replace(rig()[0], name=n) for n in odd))
    for name in ("aniposelib", "pose2sim", "freemocap", "opencv", "qualisys", "blender"):
        assert sorted(read_rig(written(tmp_path, name, made)).names) == sorted(odd), name


def test_what_a_format_leaves_out_is_named(tmp_path: Path) -> None:
    made = rig()
    numbered = CameraRig(tuple(replace(c, name=n) for c, n in zip(made.cameras, "xyz", strict=True)))
    found = export_rig(tmp_path / "a.toml", numbered, "caliscope").diagnostics
    assert [(d.code, d.data["ids"]) for d in found] == [("rig-format-loses", {"x": 0, "y": 1, "z": 2})]
    found = export_rig(tmp_path / "a.py", made, "blender").diagnostics
    assert [d.code for d in found] == ["rig-format-loses"]
    assert set(found[0].data["departure_px"]) == set(made.names)
    assert export_rig(tmp_path / "b.toml", made, "caliscope").diagnostics == ()


@pytest.mark.parametrize("name", list(FORMATS))
def test_read_out_times_come_back_or_their_loss_is_named(name: str, tmp_path: Path) -> None:
    first, *others = rig(fisheye=False).cameras
    made = CameraRig((replace(first, readout_s=0.0089), *others))
    lost = [d.data for d in export_rig(tmp_path / "out", made, name).diagnostics if "readout_s" in d.data]
    back = read_rig(tmp_path / "out")
    if FORMATS[name].has_readout:
        assert lost == []
        assert [c.readout_s for c in back.cameras] == [0.0089, None, None]
    else:
        assert lost == [{"readout_s": {first.name: 0.0089}}]
        assert {c.readout_s for c in back.cameras} == {None}


def test_a_folder_with_files_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "points3D.txt").write_text("a reconstruction of hours")
    for name in ("colmap", "opencv", "easymocap"):
        with pytest.raises(InputError) as error:
            export_rig(tmp_path, rig(fisheye=False), name)
        assert error.value.code == "output-exists"
    assert (tmp_path / "points3D.txt").read_text() == "a reconstruction of hours"


def test_an_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="easymocap") as error:
        export_rig(tmp_path / "a", rig(), "vicon")
    assert error.value.code == "rig-format-unknown"


class Group:
    """What aniposelib's CameraGroup gives."""

    def __init__(self, dicts: list[dict]) -> None:
        self.dicts = dicts

    def get_dicts(self) -> list[dict]:
        return self.dicts


def test_a_camera_group_is_taken_and_given_without_aniposelib() -> None:
    made = rig()
    back = rig_from_camera_group(Group(camera_group_dicts(made)))
    assert back.names == made.names
    assert rig_difference(made, back) < 1e-12
    halved = rig_from_camera_group(Group(camera_group_dicts(made)), unit_m=0.5)
    np.testing.assert_allclose(halved[0].center_world_m, made[0].center_world_m / 2, atol=1e-12)


def test_aniposelib_itself_reads_projects_and_gives_back(tmp_path: Path) -> None:
    cameras = pytest.importorskip("aniposelib.cameras", reason="aniposelib is not installed")
    made = rig()
    path = written(tmp_path, "aniposelib", made)
    for group in (cameras.CameraGroup.load(str(path)), cameras.CameraGroup.from_dicts(camera_group_dicts(made))):
        assert group.get_names() == list(made.names)
        for camera, uv in zip(made.cameras, group.project(POINTS), strict=True):
            np.testing.assert_allclose(uv.reshape(-1, 2), pixels(camera), atol=1e-6)
        assert rig_difference(made, rig_from_camera_group(group)) < 1e-12


def test_a_camera_in_blender_sees_points_where_the_calibrated_one_does(tmp_path: Path) -> None:
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("bpy is not installed")
    made = rig()
    script, out, picture = written(tmp_path, "blender", made), tmp_path / "seen.json", tmp_path / "seen.png"
    (tmp_path / "points.json").write_text(json.dumps(POINTS.tolist()))
    command = [sys.executable, str(Path(__file__).with_name("blender_cameras.py"))]
    files = [script, tmp_path / "points.json", out, picture]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=120)
    assert out.exists(), done.stderr
    seen = json.loads(out.read_text())
    for camera in made.cameras:
        # Blender computes in single precision.
        np.testing.assert_allclose(seen[camera.name], pixels(camera, np.zeros(5)), atol=0.02)
    rgba = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)
    assert rgba is not None
    alpha = rgba[..., 3].astype(float)
    assert alpha.shape == (1080, 1920)
    v, u = np.indices(alpha.shape)
    middle = np.array([(u * alpha).sum(), (v * alpha).sum()]) / alpha.sum()
    # The outline of a sphere is an ellipse whose middle lies a little farther out than the sphere's own.
    assert np.linalg.norm(middle - pixels(made[0], np.zeros(5))[0]) < 0.5
