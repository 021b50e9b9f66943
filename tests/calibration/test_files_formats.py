"""Rigs of other programs: Qualisys, Pose2Sim, Caliscope, Go2Kin, OpenCV; on real files where there are some."""

from __future__ import annotations

import csv
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calibration.files import read_rig, read_rig_file
from mocap.core.camera import Camera, LensModel
from mocap.core.errors import InputError
from mocap.kernels.projection import project
from mocap.pose2d.files import read_keypoints

Shared = Callable[[str], Path]

K = np.array([[910.0, 0, 650.5], [0, 905.0, 350.25], [0, 0, 1]])
DIST = np.array([[-0.3, 0.1, 0.001, -0.002, 0.03]])
RVEC = np.array([[1.5], [0.3], [-0.4]])
T = np.array([[0.2], [1.1], [3.5]])


def pixels(camera: Camera, xyz_world: np.ndarray) -> np.ndarray:
    lens = camera.intrinsics
    points_cam = xyz_world @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
    return project(points_cam, lens.focal_px, lens.center_px, lens.distortion)


def read_trc(path: Path) -> tuple[list[str], np.ndarray]:
    """Names and [frame marker 3] world positions of a Y-up TRC in metres."""
    lines = path.read_text().split("\n")
    names = [n for n in lines[3].strip().split("\t")[2:] if n]
    rows = [[float(v) for v in line.split("\t")[2 : 2 + 3 * len(names)]] for line in lines[5:] if line.strip()]
    return names, np.array(rows).reshape(len(rows), len(names), 3)[..., [2, 0, 1]]


def test_qualisys_projects_published_points_onto_the_detections(shared: Shared) -> None:
    demo = shared("data/pose2sim_demo/openpose_2024_two_person")
    rig = read_rig(demo / "Calibration" / "Calib.qca.txt")
    assert rig[0].intrinsics.size_px == (1088, 1920)
    assert rig[0].intrinsics.distortion[:2].tolist() == [-0.046183, 0.139983]
    folder = demo / "T01_Balancing_single"
    detections, _ = read_keypoints(folder / "pose-associated", rig.names, 60)
    trc = next(f for f in sorted((folder / "pose-3d").glob("*.trc")) if "filt" not in f.name)
    names, xyz = read_trc(trc)
    points = detections[rig.names[0]].keypoint_set
    common = [(i, points.names.index(n)) for i, n in enumerate(names) if n in points.names]
    medians = []
    for camera in rig.cameras:
        uv = pixels(camera, xyz[:, [i for i, _ in common]])
        xy = detections[camera.name].xy_px[: len(uv), 0, [k for _, k in common]].astype(float)
        medians.append(float(np.nanmedian(np.linalg.norm(xy - uv, axis=-1))))
    # The published extrinsics are half a degree off: 8 to 18 px; wrong axes or units would be hundreds.
    assert max(medians) < 20, medians


def test_qualisys_and_the_toml_that_pose2sim_made_of_it_agree(shared: Shared) -> None:
    folder = shared("data/pose2sim_demo/openpose_2024_two_person") / "Calibration"
    qca, toml = read_rig(folder / "Calib.qca.txt"), read_rig(folder / "Calib_qualisys.toml")
    for a, b in zip(qca.cameras, toml.cameras, strict=True):
        assert a.name == b.name
        np.testing.assert_allclose(a.intrinsics.matrix, b.intrinsics.matrix, atol=1e-6)
        np.testing.assert_allclose(a.R_cam_from_world, b.R_cam_from_world, atol=1e-8)
        np.testing.assert_allclose(a.center_world_m, b.center_world_m, atol=1e-7)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('r11="', 'r11="x', "transform r11"),
        ("<transform", "<gone", "transform: missing"),
        ('focalLengthU="', 'old="', "intrinsic focalLengthU: missing"),
        ('x="1460', 'x="nan" old="1460', "translation: expected finite"),
    ],
)
def test_broken_qualisys_files_name_camera_and_field(
    shared: Shared, tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = (shared("data/pose2sim_demo/SinglePerson") / "calibration" / "Calib.qca.txt").read_text()
    path = tmp_path / "Calib.qca.txt"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_rig(path)
    assert error.value.code == "rig-value-invalid"
    assert "camera cam01, " + words in error.value.message


def test_cameras_that_qualisys_marks_as_off_are_left_out(shared: Shared, tmp_path: Path) -> None:
    text = (shared("data/pose2sim_demo/SinglePerson") / "calibration" / "Calib.qca.txt").read_text()
    path = tmp_path / "Calib.qca.txt"
    path.write_text(text.replace('active="1"', 'active="0"', 1).replace('viewrotation="0"', 'viewrotation="90"'))
    found = read_rig_file(path)
    assert found.rig.names == ("cam02", "cam03", "cam04")
    codes = [d.code for d in found.diagnostics]
    assert codes == ["rig-camera-ignored", "rig-view-rotated", "rig-view-rotated", "rig-view-rotated"]


def test_caliscope_projects_its_own_board_points(shared: Shared) -> None:
    folder = shared("data/caliscope_charuco/post_optimization")
    found = read_rig_file(folder / "camera_array.toml")
    assert found.format == "caliscope"
    board = folder / "calibration" / "extrinsic" / "CHARUCO"
    with open(board / "xyz_CHARUCO.csv", newline="") as file:
        xyz = {
            (r["sync_index"], r["keypoint_id"]): [float(r[f"{a}_coord"]) for a in "xyz"] for r in csv.DictReader(file)
        }
    with open(board / "xy_CHARUCO.csv", newline="") as file:
        rows = [r for r in csv.DictReader(file) if (r["sync_index"], r["keypoint_id"]) in xyz]
    for camera in found.rig.cameras:
        mine = [r for r in rows if f"cam_{r['cam_id']}" == camera.name]
        uv = pixels(camera, np.array([xyz[r["sync_index"], r["keypoint_id"]] for r in mine]))
        xy = np.array([[float(r["img_loc_x"]), float(r["img_loc_y"])] for r in mine])
        assert len(mine) > 100
        assert np.median(np.linalg.norm(uv - xy, axis=1)) < 1.5


def test_caliscope_leaves_out_ignored_cameras(tmp_path: Path, shared: Shared) -> None:
    text = (shared("data/caliscope_charuco/post_optimization") / "camera_array.toml").read_text()
    path = tmp_path / "camera_array.toml"
    path.write_text(text.replace("ignore = false", "ignore = true", 1))
    found = read_rig_file(path)
    assert found.rig.names == ("cam_1", "cam_2", "cam_3")
    assert [d.code for d in found.diagnostics] == ["rig-camera-ignored"]


def test_go2kin_json_is_a_camera_array(shared: Shared) -> None:
    files = sorted(shared("data/gopro/go2kin_hero12_calibration").glob("*.json"))
    rigs = [read_rig(f) for f in files]
    assert {r.names for r in rigs} == {("cam_1", "cam_2", "cam_3", "cam_4")}
    # The passes differ by centimetres: the same rig, upright, in metres.
    apart = np.linalg.norm(rigs[0][0].center_world_m - rigs[1][0].center_world_m)
    assert apart < 0.5
    assert 3 < np.linalg.norm(rigs[0][0].center_world_m - rigs[0][2].center_world_m) < 20


def test_the_rendered_shoots_rig_projects_its_truth(shared: Shared) -> None:
    folder = shared("data/virtual_shoot")
    rig = read_rig(folder / "rig_truth.toml")
    truth = np.load(folder / "truth.npz")
    for camera in rig.cameras:
        at = truth[f"t_{camera.name}"]
        frame = int(np.argmin(np.abs(at - 3.0)))
        master = np.argmin(np.abs(truth["t"] - at[frame]))
        uv = pixels(camera, truth["joints"][master])
        # Half a master frame apart at most: a few pixels.
        assert np.median(np.linalg.norm(uv - truth[f"uv_{camera.name}"][frame], axis=-1)) < 5


def write_storage(path: Path, **values: Any) -> None:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for key, value in values.items():
        if isinstance(value, list):
            storage.startWriteStruct(key, cv2.FileNode_SEQ)
            for v in value:
                storage.write("", v)
            storage.endWriteStruct()
        else:
            storage.write(key, value)
    storage.release()


def check_opencv(camera: Camera) -> None:
    np.testing.assert_array_equal(camera.intrinsics.matrix, K)
    np.testing.assert_array_equal(camera.intrinsics.distortion, DIST[0])
    np.testing.assert_allclose(camera.R_cam_from_world, cv2.Rodrigues(RVEC)[0], atol=1e-14)
    np.testing.assert_array_equal(camera.t_cam_from_world_m, T[:, 0])
    assert camera.intrinsics.size_px == (1280, 720)


@pytest.mark.parametrize("suffix", [".yml", ".yaml", ".xml"])
def test_opencv_files_one_per_camera(tmp_path: Path, suffix: str) -> None:
    common = {"image_width": 1280, "image_height": 720, "camera_matrix": K, "distortion_coefficients": DIST}
    write_storage(tmp_path / f"cam10{suffix}", **common, R=np.eye(3), T=T)
    write_storage(tmp_path / f"cam2{suffix}", **common, R=cv2.Rodrigues(RVEC)[0], T=T)
    found = read_rig_file(tmp_path)
    assert (found.format, found.rig.names) == ("opencv", ("cam2", "cam10"))
    check_opencv(found.rig[0])
    check_opencv(read_rig(tmp_path / f"cam2{suffix}")[0])


def test_opencv_files_as_a_pair_of_intrinsics_and_extrinsics(tmp_path: Path) -> None:
    names = ["01", "02", "03"]
    intrinsics = {f"{key}_{n}": v for n in names for key, v in (("K", K), ("dist", DIST), ("H", 720), ("W", 1280))}
    extrinsics = {f"{key}_{n}": v for n in names for key, v in (("R", RVEC), ("Rot", cv2.Rodrigues(RVEC)[0]), ("T", T))}
    write_storage(tmp_path / "intri.yml", names=names, **intrinsics)
    write_storage(tmp_path / "extri.yml", names=names, **extrinsics)
    for path in (tmp_path, tmp_path / "intri.yml", tmp_path / "extri.yml"):
        rig = read_rig(path)
        assert rig.names == ("01", "02", "03")
        check_opencv(rig[1])


def test_an_opencv_fisheye_and_a_file_without_extrinsics(tmp_path: Path) -> None:
    common = {"image_size": [1280, 720], "K": K, "D": DIST[:, :4], "rvec": RVEC, "fisheye": 1}
    write_storage(tmp_path / "a.yml", **common, tvec=T)
    assert read_rig(tmp_path / "a.yml")[0].intrinsics.model is LensModel.FISHEYE
    write_storage(tmp_path / "a.yml", **common)
    with pytest.raises(InputError) as error:
        read_rig(tmp_path / "a.yml")
    assert error.value.code == "rig-value-invalid"
    assert "camera a, translation: missing" in error.value.message


COLMAP_CAMERAS = """# Camera list with one line of data per camera:
#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]
# Number of cameras: 9
1 SIMPLE_PINHOLE 1280 720 900 640.5 360.5
2 PINHOLE 1280 720 910 905 640.5 360.5
3 SIMPLE_RADIAL 1280 720 900 640.5 360.5 0.1
4 RADIAL 1280 720 900 640.5 360.5 0.1 0.02
5 OPENCV 1280 720 910 905 640.5 360.5 0.1 0.02 0.003 0.004
6 FULL_OPENCV 1280 720 910 905 640.5 360.5 0.1 0.02 0.003 0.004 0.05 0 0 0
7 SIMPLE_RADIAL_FISHEYE 1280 720 900 640.5 360.5 0.1
8 RADIAL_FISHEYE 1280 720 900 640.5 360.5 0.1 0.02
9 OPENCV_FISHEYE 1280 720 910 905 640.5 360.5 0.1 0.02 0.03 0.04
"""


def colmap_model(folder: Path, cameras: str = COLMAP_CAMERAS, names: list[str] | None = None) -> Path:
    """A model as COLMAP writes it, one image per camera, the first with points and the others without."""
    ids = [line.split()[0] for line in cameras.splitlines() if line[0] != "#"]
    names = names or [f"view{i}.jpg" for i in ids]
    lines = ["# Image list with two lines of data per image:"]
    for i, name in zip(ids, names, strict=True):
        lines += [f"{i} 0.5 0.5 0.5 -0.5 {i} 2 3 {i} {name}", "10.5 20.5 -1 30 40 7" if i == "1" else ""]
    folder.mkdir(exist_ok=True)
    (folder / "cameras.txt").write_text(cameras)
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_colmap_models_of_every_lens_are_read(tmp_path: Path) -> None:
    folder = colmap_model(tmp_path / "model")
    found = read_rig_file(folder)
    assert found.format == "colmap"
    assert found.rig.names == tuple(f"view{i}" for i in range(1, 10))
    lenses = [c.intrinsics for c in found.rig.cameras]
    assert [lens.model for lens in lenses] == [LensModel.BROWN] * 6 + [LensModel.FISHEYE] * 3
    assert all(lens.center_px.tolist() == [640.0, 360.0] for lens in lenses)
    assert lenses[2].focal_px.tolist() == [900, 900]
    assert lenses[2].distortion.tolist() == [0.1, 0, 0, 0, 0]
    assert lenses[5].distortion.tolist() == [0.1, 0.02, 0.003, 0.004, 0.05]
    assert lenses[7].distortion.tolist() == [0.1, 0.02, 0, 0]
    assert lenses[8].distortion.tolist() == [0.1, 0.02, 0.03, 0.04]
    # Quaternion (0.5 0.5 0.5 -0.5), w first.
    np.testing.assert_allclose(found.rig[0].R_cam_from_world, [[0, 1, 0], [0, 0, -1], [-1, 0, 0]], atol=1e-12)
    assert found.rig[4].t_cam_from_world_m.tolist() == [5, 2, 3]
    assert read_rig(folder / "cameras.txt").names == read_rig(folder / "images.txt").names == found.rig.names


def test_a_colmap_model_has_no_unit_and_that_is_said(tmp_path: Path) -> None:
    codes = [(d.code, str(d.severity)) for d in read_rig_file(colmap_model(tmp_path / "model")).diagnostics]
    assert ("rig-unit-assumed", "warning") in codes


def test_colmap_cameras_are_named_by_folder_where_files_have_one_name(tmp_path: Path) -> None:
    cameras = "1 PINHOLE 1280 720 910 905 640.5 360.5\n2 PINHOLE 1280 720 910 905 640.5 360.5\n"
    assert read_rig(colmap_model(tmp_path, cameras, ["left/0001.png", "right/0001.png"])).names == ("left", "right")
    assert read_rig(colmap_model(tmp_path, cameras, ["a/x/0001.png", "b/x/0001.png"])).names == ("a/x/0001", "b/x/0001")


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("PINHOLE 1280 720 900 640.5 360.5\n", "PINHOLE 1280 720 900\n", "rig-unreadable", "expected f cx cy"),
        ("OPENCV_FISHEYE", "THIN_PRISM_FISHEYE", "rig-value-invalid", "THIN_PRISM_FISHEYE"),
        ("0.05 0 0 0", "0.05 0.1 0 0", "rig-value-invalid", "view6, distortions"),
        ("\n4 RADIAL", "\n44 RADIAL", "rig-unreadable", "QW QX QY QZ"),
    ],
)
def test_broken_colmap_models_say_where(old: str, new: str, code: str, words: str, tmp_path: Path) -> None:
    folder = colmap_model(tmp_path / "model")
    (folder / "cameras.txt").write_text(COLMAP_CAMERAS.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_rig(folder)
    assert error.value.code == code
    assert words in error.value.message


def test_half_a_colmap_model_is_refused_with_advice(tmp_path: Path) -> None:
    folder = colmap_model(tmp_path / "model")
    (folder / "images.txt").unlink()
    with pytest.raises(InputError) as half:
        read_rig(folder / "cameras.txt")
    assert half.value.code == "rig-missing"


def packed(*parts: tuple[str, tuple[object, ...]]) -> bytes:
    """Bytes of fields, little endian."""
    return b"".join(struct.pack(f"<{kind}", *values) for kind, values in parts)


def binary_model(folder: Path) -> Path:
    """A model written field by field as COLMAP's documentation of its binary files has them, with image points."""
    folder.mkdir()
    cameras = packed(
        ("Q", (2,)),
        ("iiQQ4d", (7, 1, 1280, 720, 910.0, 905.0, 640.5, 360.5)),
        ("iiQQ8d", (3, 5, 640, 480, 500.0, 501.0, 320.5, 240.5, 0.1, 0.02, 0.03, 0.04)),
    )
    images = packed(
        ("Q", (2,)),
        ("i7di", (1, 0.5, 0.5, 0.5, -0.5, 1.0, 2.0, 3.0, 7)),
        ("9s", (b"left.png\0",)),
        ("Qddqddq", (2, 10.5, 20.5, -1, 30.0, 40.0, 7)),
        ("i7di", (2, 1.0, 0.0, 0.0, 0.0, 4.0, 5.0, 6.0, 3)),
        ("10s", (b"right.png\0",)),
        ("Q", (0,)),
    )
    (folder / "cameras.bin").write_bytes(cameras)
    (folder / "images.bin").write_bytes(images)
    return folder


def test_binary_colmap_models_are_read(tmp_path: Path) -> None:
    folder = binary_model(tmp_path / "model")
    found = read_rig_file(folder)
    assert found.format == "colmap-binary"
    assert [d.code for d in found.diagnostics] == ["rig-unit-assumed"]
    left, right = found.rig.cameras
    assert (left.name, left.intrinsics.model, left.intrinsics.size_px) == ("left", LensModel.BROWN, (1280, 720))
    assert left.intrinsics.center_px.tolist() == [640.0, 360.0]
    assert left.t_cam_from_world_m.tolist() == [1.0, 2.0, 3.0]
    assert right.intrinsics.distortion.tolist() == [0.1, 0.02, 0.03, 0.04]
    assert right.t_cam_from_world_m.tolist() == [4.0, 5.0, 6.0]
    assert read_rig(folder / "images.bin").names == ("left", "right")


@pytest.mark.parametrize(("name", "n"), [("cameras.bin", 50), ("images.bin", 40), ("images.bin", 110)])
def test_a_binary_colmap_model_that_ends_early_is_said_so(name: str, n: int, tmp_path: Path) -> None:
    folder = binary_model(tmp_path / "model")
    (folder / name).write_bytes((folder / name).read_bytes()[:n])
    with pytest.raises(InputError, match=name) as error:
        read_rig(folder)
    assert error.value.code == "rig-unreadable"


def test_of_both_colmap_models_the_binary_one_counts_only_where_it_is_whole(tmp_path: Path) -> None:
    folder = binary_model(tmp_path / "model")
    (folder / "cameras.txt").write_text(COLMAP_CAMERAS)
    (folder / "images.txt").write_text((colmap_model(tmp_path / "text") / "images.txt").read_text())
    assert read_rig_file(folder).format == "colmap"
    (folder / "points3D.bin").write_bytes(packed(("Q", (0,))))
    assert read_rig_file(folder).format == "colmap-binary"


def test_an_unknown_camera_model_of_a_binary_colmap_model_is_named(tmp_path: Path) -> None:
    folder = binary_model(tmp_path / "model")
    data = bytearray((folder / "cameras.bin").read_bytes())
    data[12:16] = struct.pack("<i", 99)
    (folder / "cameras.bin").write_bytes(data)
    with pytest.raises(InputError, match=r"camera 7: .* model 99") as error:
        read_rig(folder)
    assert error.value.code == "rig-value-invalid"


def test_half_a_binary_colmap_model_is_refused(tmp_path: Path) -> None:
    folder = binary_model(tmp_path / "model")
    (folder / "images.bin").unlink()
    with pytest.raises(InputError, match="images") as error:
        read_rig(folder)
    assert error.value.code == "rig-missing"


def test_easymocap_files_without_picture_size_or_quotes_are_explained(tmp_path: Path) -> None:
    (tmp_path / "intri.yml").write_text(
        "%YAML:1.0\n---\nnames:\n  - 1\nK_1: !!opencv-matrix\n  rows: 3\n  cols: 3\n  dt: d\n"
        "  data: [900, 0, 640, 0, 900, 360, 0, 0, 1]\nD_1: !!opencv-matrix\n  rows: 1\n  cols: 5\n  dt: d\n"
        "  data: [0, 0, 0, 0, 0]\n"
    )
    (tmp_path / "extri.yml").write_text(
        "%YAML:1.0\n---\nnames:\n  - 1\nRot_1: !!opencv-matrix\n  rows: 3\n  cols: 3\n  dt: d\n"
        "  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]\nT_1: !!opencv-matrix\n  rows: 3\n  cols: 1\n  dt: d\n  data: [0, 0, 3]\n"
    )
    with pytest.raises(InputError, match=r"camera 1, size: missing in extri\.yml"):
        read_rig(tmp_path)
    with (tmp_path / "intri.yml").open("a") as file:
        file.write("H_1: 720\nW_1: 1280\n")
    found = read_rig_file(tmp_path)
    assert (found.format, found.rig.names) == ("easymocap", ("1",))


def test_a_damaged_script_for_blender_is_refused(tmp_path: Path) -> None:
    from calibration.formats.blender import HEAD

    for inside in ("", "CAMERAS = json.loads(r'''[{''')", "CAMERAS = json.loads(r'''[{}]''')"):
        (tmp_path / "cameras.py").write_text(f"{HEAD}\n{inside}\n")
        with pytest.raises(InputError) as error:
            read_rig(tmp_path / "cameras.py")
        assert error.value.code in ("rig-unreadable", "rig-not-recognised")
