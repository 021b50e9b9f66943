"""Files as other programs read them: Blender's importers with their default options, ezc3d, trimesh, plain parsers."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from exporters.job import Job
from exporters.table import export
from mocap.core.skeleton import Motion
from mocap.core.take import SolvedTake
from mocap.retarget import retarget

MM = 1e-3
R_BLENDER_FROM_WORLD = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""A character that faces +Z in a Y-up file faces Blender's front, -Y; in the studio's world it faces +X."""
NTSC = Fraction(60000, 1001)
N_FRAMES = 7
PLACES = (("LeftHand", "hand_l"), ("RightHand", "hand_r"), ("Head", "head"))
HANDS = ("hands", "hands_mixamo", "hands_ue5")
"""A left fist and a right forefinger that points."""
FILES = [f"{rig}.{suffix}" for rig in ("studio", "mixamo", "ue5", *HANDS) for suffix in ("bvh", "fbx", "glb")]
FILES += ["ntsc.fbx"]


@pytest.fixture(scope="module")
def motions(samples: ModuleType) -> dict[str, Motion]:
    """The motions that the files hold, by file stem."""
    motion = samples.sample_motion(N_FRAMES)
    rigs = {rig: retarget(motion, rig) for rig in ("mixamo", "ue5")}
    hands = samples.sample_hands(N_FRAMES)
    rigs |= {"hands": hands} | {f"hands_{rig}": retarget(hands, rig) for rig in ("mixamo", "ue5")}
    return {"studio": motion, "ntsc": samples.sample_motion(N_FRAMES, NTSC), **rigs}


@pytest.fixture(scope="module")
def seen(
    motions: dict[str, Motion], samples: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    """What Blender shows after importing each file without any option; one process, as starting Blender costs most."""
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("Blender's module (bpy) is not installed")
    folder = tmp_path_factory.mktemp("blender")
    for stem, motion in motions.items():
        take = samples.sample_take(motion, subject=stem)
        export(take, ["fbx"] if stem == "ntsc" else ["bvh", "fbx", "glb"], folder)
    reader = Path(__file__).with_name("blender_reader.py")
    command = [sys.executable, str(reader), str(folder / "seen.npz"), str(N_FRAMES), *(str(folder / f) for f in FILES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "seen.npz") as data:
        return dict(data)


@pytest.mark.parametrize("file", FILES)
def test_blender_shows_the_joints_upright_and_in_size_without_options(
    file: str, seen: dict[str, np.ndarray], motions: dict[str, Motion], samples: ModuleType
) -> None:
    motion = motions[file.partition(".")[0]]
    names = seen[f"{file}:names"].tolist()
    assert sorted(names) == sorted(motion.skeleton.joint_names)
    order = [motion.skeleton.index(name) for name in names]
    truth = Job(samples.sample_take(motion)).joints_world[1][:, order] @ R_BLENDER_FROM_WORLD.T
    positions = seen[f"{file}:positions"]
    assert positions.shape == truth.shape
    assert np.linalg.norm(positions - truth, axis=-1).max() < 0.5 * MM


@pytest.mark.parametrize("file", [f for f in FILES if not f.endswith("bvh")])
def test_the_rest_pose_stands_on_the_floor_in_a_t_pose(file: str, seen: dict[str, np.ndarray]) -> None:
    names, rest = seen[f"{file}:names"].tolist(), seen[f"{file}:rest"]
    at = {name.removeprefix("mixamorig:"): place for name, place in zip(names, rest, strict=True)}
    left, right, head = (next(at[n] for n in both if n in at) for both in PLACES)
    assert left[0] > 0.6
    assert right[0] < -0.6
    assert abs(left[2] - right[2]) < 1 * MM
    assert 1.5 < head[2] < 1.7
    assert (seen[f"{file}:lengths"] > 0).all()


@pytest.mark.parametrize("file", [f"{rig}.{suffix}" for rig in HANDS for suffix in ("bvh", "fbx", "glb")])
def test_blender_shows_a_fist_and_a_pointing_finger(file: str, seen: dict[str, np.ndarray]) -> None:
    names = [str(n).removeprefix("mixamorig:") for n in seen[f"{file}:names"]]

    def path(side: str, finger: str, joint: int) -> np.ndarray:
        ue5 = f"{finger.lower()}_0{joint}_{side[0].lower()}"
        return seen[f"{file}:positions"][:, names.index(ue5 if ue5 in names else f"{side}Hand{finger}{joint}")]

    # in Blender the character faces -Y with its left hand at +X, the palms down
    for side, out in (("Left", 1.0), ("Right", -1.0)):
        for finger in ("Index", "Middle", "Ring", "Pinky"):
            begin, bone = path(side, finger, 1), path(side, finger, 3) - path(side, finger, 1)
            assert bone[0, 0] * out > 0.02
            assert abs(bone[0, 2]) < 0.002
            if (side, finger) == ("Right", "Index"):
                np.testing.assert_allclose(bone[-1], bone[0], atol=0.001)
            else:
                assert bone[-1, 2] < -0.02, "it closes downwards"
                assert abs(begin[-1] - begin[0]).max() < 0.001
        thumb = path(side, "Thumb", 3) - path(side, "Thumb", 1)
        assert thumb[-1, 1] > thumb[0, 1] + 0.005, "it comes across the palm"


def test_fbx_carries_the_exact_broadcast_rate(seen: dict[str, np.ndarray]) -> None:
    assert abs(float(seen["ntsc.fbx:fps"]) - float(NTSC)) < 1e-4
    assert float(seen["studio.fbx:fps"]) == 60.0
    assert seen["studio.fbx:keys"] == pytest.approx([1, 2, 3, 4, 5, 6, 7], abs=1e-3)


def test_fbx_is_in_centimetres_without_leaf_bones_or_corrections(samples: ModuleType, tmp_path: Path) -> None:
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("Blender's module (bpy) is not installed")
    (file,) = export(samples.sample_take(), ["fbx"], tmp_path)
    raw = file.path.read_bytes()
    assert raw.startswith(b"Kaydara FBX Binary")
    at = raw.index(b"UnitScaleFactor")
    # Property record: four strings (name, type, label, flags), then a double.
    value = raw.index(b"D", at + len(b"UnitScaleFactor") + 5 + len(b"double") + 5 + len(b"Number") + 5)
    assert np.frombuffer(raw[value + 1 : value + 9], "<f8")[0] == 1.0
    assert b"_end" not in raw
    assert raw.count(b"LimbNode") >= 22


def read_bvh_plainly(path: Path) -> tuple[list[str], np.ndarray, float]:
    """Return names, channel rows and frame time with a dozen lines that know nothing of our reader."""
    lines = path.read_text().split("\n")
    start = lines.index("MOTION")
    names = [line.split()[1] for line in lines[:start] if line.split()[0] in ("ROOT", "JOINT")]
    rows = np.array([[float(v) for v in line.split()] for line in lines[start + 3 :] if line])
    assert int(lines[start + 1].split()[1]) == len(rows)
    return names, rows, float(lines[start + 2].split()[2])


def test_bvh_names_frames_and_frame_time_are_right(samples: ModuleType, tmp_path: Path) -> None:
    export(samples.sample_take(), ["bvh"], tmp_path)
    names, rows, frame_time_s = read_bvh_plainly(tmp_path / "subject_0.bvh")
    assert sorted(names) == sorted(samples.sample_motion().skeleton.joint_names)
    assert rows.shape == (7, 6 + 3 * 21)
    assert frame_time_s == 0.0166666667
    assert "Frame Time: 0.0166666667\n" in (tmp_path / "subject_0.bvh").read_text()


def test_bvh_in_centimetres_is_a_hundred_times_the_metres(samples: ModuleType, tmp_path: Path) -> None:
    take = samples.sample_take()
    export(take, ["bvh"], tmp_path / "m")
    export(take, ["bvh"], tmp_path / "cm", units="cm")
    rows_m, rows_cm = (read_bvh_plainly(tmp_path / unit / "subject_0.bvh")[1] for unit in ("m", "cm"))
    np.testing.assert_allclose(rows_cm[:, :3], 100 * rows_m[:, :3], atol=1e-4)
    np.testing.assert_array_equal(rows_cm[:, 3:], rows_m[:, 3:])


def test_end_sites_of_the_bvh_have_length(samples: ModuleType, tmp_path: Path) -> None:
    export(samples.sample_take(), ["bvh"], tmp_path)
    lines = (tmp_path / "subject_0.bvh").read_text().split("\n")
    ends = [lines[i + 2].split()[1:] for i, line in enumerate(lines) if "End Site" in line]
    assert len(ends) == 5
    assert all(np.linalg.norm(np.array(v, float)) > 0.01 for v in ends)


def test_ezc3d_reads_millimetres_z_up_with_residual_minus_one_for_gaps(samples: ModuleType, tmp_path: Path) -> None:
    import ezc3d

    whole = samples.sample_take(samples.sample_motion(fps=NTSC))
    # The final keypoints have no gaps as a rule; the format must still say where a point is missing.
    take = SolvedTake(**{**vars(whole), "keypoints": whole.points})
    export(take, ["c3d"], tmp_path)
    file = ezc3d.c3d(str(tmp_path / "subject_0.c3d"))
    point = file["parameters"]["POINT"]
    assert point["UNITS"]["value"] == ["mm"]
    assert point["LABELS"]["value"] == list(take.keypoints.keypoint_set.names)
    assert abs(point["RATE"]["value"][0] - float(NTSC)) < 1e-5
    assert abs(file["header"]["points"]["frame_rate"] - float(NTSC)) < 1e-5
    assert point["FRAMES"]["value"][0] == 7
    points = file["data"]["points"][:3].transpose(2, 1, 0) / 1000
    seen = np.isfinite(take.keypoints.xyz_m).all(-1)
    assert np.abs(points[seen] - take.keypoints.xyz_m[seen]).max() < 0.5 * MM
    residuals = file["data"]["meta_points"]["residuals"][0].T
    np.testing.assert_array_equal(residuals < 0, ~seen)


def test_trimesh_reads_the_body_of_the_glb_in_metres_and_upright(samples: ModuleType, tmp_path: Path) -> None:
    import trimesh

    export(samples.sample_take(), ["glb"], tmp_path)
    scene = trimesh.load_scene(tmp_path / "subject_0.glb")
    (low, high) = scene.bounds
    assert -0.1 < low[1] < 0.1
    assert 1.6 < high[1] < 1.9
    assert 1.6 < high[0] - low[0] < 2.0


def test_the_glb_follows_the_rules_of_its_container(samples: ModuleType, tmp_path: Path) -> None:
    export(samples.sample_take(), ["glb"], tmp_path)
    raw = (tmp_path / "subject_0.glb").read_bytes()
    assert len(raw) % 4 == 0
    length = int.from_bytes(raw[12:16], "little")
    assert length % 4 == 0
    document = json.loads(raw[20 : 20 + length])
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= document["buffers"][0]["byteLength"]
    names = [document["nodes"][j]["name"] for j in document["skins"][0]["joints"]]
    assert names == list(samples.sample_motion().skeleton.joint_names)
    for sampler in document["animations"][0]["samplers"]:
        assert document["accessors"][sampler["input"]]["max"] == [pytest.approx(0.1)]
        assert document["accessors"][sampler["output"]]["count"] == 7


def test_trc_is_y_up_in_metres_with_master_time_and_blank_gaps(samples: ModuleType, tmp_path: Path) -> None:
    take = samples.sample_take(samples.sample_motion(start_s=2.5))
    export(take, ["points_trc"], tmp_path)
    rows = [line.split("\t") for line in (tmp_path / "subject_0_points.trc").read_text().split("\n")]
    header = dict(zip(rows[1], rows[2], strict=True))
    assert (header["Units"], header["NumFrames"], header["NumMarkers"], header["DataRate"]) == ("m", "7", "11", "60")
    assert rows[3][2::3][:11] == list(take.points.keypoint_set.names)
    assert [float(row[1]) for row in rows[5:12]] == pytest.approx(take.points.time_s.tolist(), abs=1e-6)
    assert rows[7][2 + 9 : 2 + 12] == ["", "", ""]
    x, y, z = take.points.xyz_m[4, 5]
    assert [float(v) for v in rows[9][2 + 15 : 2 + 18]] == pytest.approx([y, z, x], abs=1e-6)


def test_csv_names_every_column_with_its_unit(samples: ModuleType, tmp_path: Path) -> None:
    take = samples.sample_take()
    export(take, ["csv"], tmp_path)
    with (tmp_path / "subject_0.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert float(rows[4]["Point5_z_m"]) == pytest.approx(take.keypoints.xyz_m[4, 5, 2], abs=1e-6)
    assert rows[4]["Point5_source"] == "measured"
