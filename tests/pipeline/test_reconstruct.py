"""`mocap reconstruct`: keypoint files in, the files and figures that are promised out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.files import read_rig, write_rig
from exporters.trc import read_trc
from mocap.core.camera import CameraRig
from mocap.core.keypoints import load_keypoint_set
from mocap.core.timeline import TimeMap
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.synth.detections import Faults, detect
from mocap.synth.files import write_take
from mocap.synth.performer import HALPE26, Performer
from mocap.synth.rig import ring_rig

FPS, N_CAMERAS, N_FRAMES = Fraction(60), 5, 67
OFFSETS_S = (0.0, 0.03, -0.05, 0.02, 0.11)

Mocap = Callable[..., tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Take:
    folder: Path
    performer: Performer

    def arguments(self, out: Path, *more: object) -> tuple[object, ...]:
        given = ("--rig", self.folder / "rig.toml", "--keypoints", self.folder / "keypoints")
        return ("reconstruct", *given, "--fps", "60", "--out", out, *more)


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    """A person with clocks that differ, as `times.csv` says."""
    rng = np.random.default_rng(17)
    rig, performer = ring_rig(N_CAMERAS, rng), Performer.random(rng, stride=0.0)
    maps = {
        name: TimeMap(offset_s, 20.0 * c) for c, (name, offset_s) in enumerate(zip(rig.names, OFFSETS_S, strict=True))
    }
    faults = Faults(noise_px=1.0, outlier_share=0.03, dropout_share=0.05)
    seen = detect([performer], rig, FPS, N_FRAMES, rng, faults=faults, time_maps=maps).keypoints
    folder = write_take(tmp_path_factory.mktemp("take") / "take", rig, seen)
    rows = [f"{name},{m.offset_s},{m.drift_ppm}" for name, m in maps.items()]
    (folder / "times.csv").write_text("\n".join(["camera,offset_s,drift_ppm", *rows]) + "\n")
    return Take(folder, performer)


@pytest.fixture(scope="module")
def result(take: Take, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mocap.cli import main as cli

    out = tmp_path_factory.mktemp("result")
    assert cli.main([*map(str, take.arguments(out, "--times", take.folder / "times.csv", "--json"))]) == 0
    return out


def test_the_promised_files_are_there(result: Path) -> None:
    assert sorted(p.name for p in result.iterdir()) == [
        "report.json",
        "subject_0.bvh",
        "subject_0.npz",
        "subject_0.trc",
        "subject_0_points.trc",
    ]


def test_the_report_has_the_promised_fields_and_stages_add_up(result: Path) -> None:
    report = json.loads((result / "report.json").read_text())
    assert report["subjects"] == ["subject_0"]
    assert set(report["cameras"]) == {f"cam{c + 1}" for c in range(N_CAMERAS)}
    assert all({"reproj_median_px", "reproj_p95_px"} <= set(c) for c in report["cameras"].values())
    assert {"read", "points", "solve", "export", "total"} <= set(report["seconds"])
    stages = sum(v for name, v in report["seconds"].items() if name != "total")
    assert stages == pytest.approx(report["seconds"]["total"], rel=0.02)
    assert report["bone_sd_mm"] < 0.01
    assert {"measured", "interpolated"} <= set(report["share"])
    assert sum(report["rejected"].values()) > 0


def test_the_arrays_have_the_promised_names_and_shapes(result: Path) -> None:
    with np.load(result / "subject_0.npz") as arrays:
        shapes = {name: arrays[name].shape for name in arrays.files}
    frames, names = shapes["time_s"][0], shapes["names"][0]
    joints = shapes["joint_names"][0]
    assert names == len(HALPE26)
    assert shapes["xyz_m"] == (frames, names, 3)
    assert shapes["sigma_m"] == shapes["source"] == (frames, names)
    assert shapes["inlier_probability"] == (N_CAMERAS, N_FRAMES, names)
    assert shapes["contact"] == (frames, *shapes["contact_names"])
    assert shapes["joint_R_world"] == (frames, joints, 3, 3)


def test_rows_are_at_master_time_from_the_first_instant_that_two_cameras_see(result: Path, take: Take) -> None:
    with np.load(result / "subject_0.npz") as arrays:
        time_s, xyz_m = arrays["time_s"], arrays["xyz_m"]
    np.testing.assert_allclose(time_s, sorted(OFFSETS_S)[1] + np.arange(len(time_s)) / 60, atol=1e-9)
    error_mm = 1000 * np.linalg.norm(xyz_m - take.performer.points(time_s), axis=-1)
    assert np.median(error_mm) < 12
    assert np.percentile(error_mm, 95) < 40


def test_the_trc_holds_master_time_and_world_axes(result: Path, take: Take) -> None:
    lines = (result / "subject_0.trc").read_text().splitlines()
    names = [n for n in lines[3].split("\t")[2:] if n.strip()]
    rows = np.array([[float(v) for v in line.split("\t") if v.strip()] for line in lines[5:] if line.strip()])
    time_s, yzx_m = rows[:, 1], rows[:, 2:].reshape(len(rows), -1, 3)
    truth = take.performer.points(time_s)[..., [1, 2, 0]]
    order = [HALPE26.names.index(n.strip()) for n in names]
    assert np.median(np.linalg.norm(yzx_m - truth[:, order], axis=-1)) < 0.012


def test_without_times_the_difference_of_clocks_shows(take: Take, mocap: Mocap, tmp_path: Path, result: Path) -> None:
    status, data = mocap(*take.arguments(tmp_path))
    assert status == 0
    informed = json.loads((result / "report.json").read_text())
    assert data["reproj_median_px"] > informed["reproj_median_px"]


def test_a_camera_with_another_keypoint_set_joins_in(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    """The first camera's files become BODY_25B, by landmark; the others stay Halpe-26."""
    folder, other = tmp_path / "keypoints", load_keypoint_set("body_25b")
    shutil.copytree(take.folder / "keypoints", folder)
    files = sorted(sorted(folder.iterdir())[0].glob("*.json"))
    assert len(files) == N_FRAMES
    for file in files:
        document = json.loads(file.read_text())
        for person in document["people"]:
            rows = np.reshape(person["pose_keypoints_2d"], (-1, 3))
            at = [HALPE26.index(landmark) if landmark else None for landmark in other.landmarks]
            moved = [rows[k] if k is not None else np.zeros(3) for k in at]
            person["pose_keypoints_2d"] = np.ravel(moved).tolist()
        file.write_text(json.dumps(document))
    times = ("--times", take.folder / "times.csv")
    arguments = [a if a != take.folder / "keypoints" else folder for a in take.arguments(tmp_path / "out", *times)]
    status, data = mocap(*arguments)
    assert status == 0
    assert [d["data"]["cameras"] for d in data["diagnostics"] if d["code"] == "keypoint-sets-mixed"] == [
        {"cam1": "body_25b"}
    ]
    with np.load(tmp_path / "out/subject_0.npz") as arrays:
        error_mm = 1000 * np.linalg.norm(arrays["xyz_m"] - take.performer.points(arrays["time_s"]), axis=-1)
    assert np.median(error_mm) < 12


def test_formats_and_units_are_as_asked(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    status, data = mocap(*take.arguments(tmp_path, "--to", "glb,c3d,csv"))
    assert status == 0
    asked = {"subject_0.glb", "subject_0.c3d", "subject_0.csv"}
    assert set(data["files"]) == asked | {"subject_0.trc", "subject_0.npz", "subject_0_points.trc", "report.json"}


def test_a_filter_is_written_beside_the_result_and_compared_with_it(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    status, data = mocap(*take.arguments(tmp_path, "--to", "trc", "--filter", "savgol:keypoints=LWrist"))
    assert status == 0
    names, _, _, filtered_m = read_trc(tmp_path / "subject_0_savgol_LWrist.trc")
    jerk = np.nanmedian(np.linalg.norm(np.diff(filtered_m, 3, axis=0), axis=-1), axis=0)
    assert jerk[names.index("LWrist")] < 0.5 * jerk[names.index("RWrist")]
    assert list(data["filters"][0]["keypoints"]) == ["LWrist"]


def test_a_filter_is_compared_over_points_that_nothing_has_smoothed(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    arguments = take.arguments(tmp_path, "--to", "trc", "--filter", "butterworth", "--times", take.folder / "times.csv")
    rows = mocap(*arguments)[1]["filters"][0]["keypoints"]
    for name in ("LShoulder", "RWrist", "LAnkle"):
        assert rows[name]["unfiltered_jerk_ratio_to_solve"] > 5 * rows[name]["filtered_jerk_ratio_to_solve"]
        assert rows[name]["unfiltered_mean_from_solve_mm"] < 60


def test_files_of_another_run_in_the_folder_are_kept_and_named(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    assert mocap(*take.arguments(tmp_path, "--to", "csv"))[0] == 0
    before = (tmp_path / "subject_0.csv").read_text()
    status, data = mocap(*take.arguments(tmp_path, "--to", "glb"))
    assert status == 0
    (found,) = [d for d in data["diagnostics"] if d["code"] == "output-of-other-run"]
    assert found["data"]["files"] == ["subject_0.csv"]
    assert (tmp_path / "subject_0.csv").read_text() == before


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        (("--subjects", "2"), 2, "subjects-unsupported"),
        (("--subjects", "auto"), 2, "subjects-unsupported"),
        (("--solve-for", "cameras,lenses"), 2, "solve-for-unknown"),
        (("--solve-for", ""), 2, "solve-for-unknown"),
        (("--solve-for", " , "), 2, "solve-for-unknown"),
        (("--to", "mp3"), 1, "format-unknown"),
        (("--filter", "median"), 1, "filter-unknown"),
        (("--filter", "butterworth:cutoff_hz=31"), 1, "filter-parameter"),
        (("--keypoint-set", "halpe27"), 1, "keypoint-set-unknown"),
        (("--fps", "0"), 2, "usage"),
        (("--subject-at", "here"), 2, "usage"),
        (("--subject-at", "-9,-9,-9"), 2, "usage"),
        (("--subject-at", "nan,0"), 2, "usage"),
        (("--subject-at", "0,-inf"), 2, "usage"),
        (("--subject-at", "50,50"), 1, "no-one-there"),
        (("--times", "nothing.csv"), 1, "times-missing"),
        (("--rig", "nothing.toml"), 1, "rig-missing"),
        (("--keypoints", "nothing"), 1, "keypoints-folder-missing"),
    ],
)
def test_wrong_options_are_named(
    more: tuple[str, str], status: int, code: str, take: Take, mocap: Mocap, tmp_path: Path
) -> None:
    got, data = mocap(*take.arguments(tmp_path / "out", *more))
    assert (got, data["error"]["code"]) == (status, code)


@pytest.mark.parametrize("more", [(), ("--causal",)])
def test_nothing_to_solve_for_is_refused_with_the_choices(
    more: tuple[str, ...], take: Take, mocap: Mocap, tmp_path: Path
) -> None:
    status, data = mocap(*take.arguments(tmp_path / "out", "--solve-for", "", *more))
    assert status == 2
    assert "cameras or clocks" in data["error"]["message"]
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out").exists()


def test_a_place_with_negative_coordinates_is_no_option(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    x, y = take.performer.center_m
    assert mocap(*take.arguments(tmp_path, "--subject-at", f"-{abs(x)},{y}"))[0] == 0


def test_an_output_folder_that_cannot_be_written_to_is_refused_before_any_work(
    take: Take, mocap: Mocap, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    status, data = mocap(*take.arguments(tmp_path / "file" / "out"))
    assert (status, data["error"]["code"]) == (1, "output-not-writable")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_camera_without_keypoints_is_left_out_and_named(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    keypoints = tmp_path / "keypoints"
    keypoints.mkdir()
    for c in (1, 2, 4, 5):
        (keypoints / f"cam{c}_json").symlink_to(take.folder / "keypoints" / f"cam{c}_json")
    given = ("--keypoints", keypoints, "--times", take.folder / "times.csv")
    status, data = mocap(*take.arguments(tmp_path / "out", *given))
    assert status == 0
    [finding] = [d for d in data["diagnostics"] if d["code"] == "cameras-without-video"]
    assert finding["data"]["cameras"] == ["cam3"]


def test_a_stale_calibration_is_reported_and_refined_when_asked(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    cameras = list(read_rig(take.folder / "rig.toml").cameras)
    turn = quat_to_matrix(quat_exp(np.array([0.0, 0.015, 0.0])))
    R, t = cameras[2].R_cam_from_world, cameras[2].t_cam_from_world_m
    cameras[2] = cameras[2].with_extrinsics(turn @ R, turn @ t)
    write_rig(tmp_path / "stale.toml", CameraRig(tuple(cameras)))
    stale = ("--rig", tmp_path / "stale.toml", "--times", take.folder / "times.csv")
    _, given = mocap(*take.arguments(tmp_path / "given", *stale))
    (biased,) = [d for d in given["diagnostics"] if d["code"] == "rig-biased"]
    assert list(biased["data"]["bias_px"]) == ["cam3"]
    _, refined = mocap(*take.arguments(tmp_path / "refined", *stale, "--refine-rig"))
    assert refined["refine"]["is_refined"]
    assert refined["reproj_median_px"] < given["reproj_median_px"]


def test_cameras_and_clocks_are_solved_with_the_skeleton_when_asked(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    cameras = list(read_rig(take.folder / "rig.toml").cameras)
    turn = quat_to_matrix(quat_exp(np.array([0.0, 0.005, 0.0])))
    R, t = cameras[2].R_cam_from_world, cameras[2].t_cam_from_world_m
    cameras[2] = cameras[2].with_extrinsics(turn @ R, turn @ t)
    write_rig(tmp_path / "off.toml", CameraRig(tuple(cameras)))
    off = ("--rig", tmp_path / "off.toml", "--times", take.folder / "times.csv")
    _, given = mocap(*take.arguments(tmp_path / "given", *off))
    status, solved = mocap(*take.arguments(tmp_path / "solved", *off, "--solve-for", "cameras,clocks"))
    assert status == 0
    (found,) = [d for d in solved["diagnostics"] if d["code"] == "cameras-solved"]
    turned_deg = {name: moved["turned_deg"] for name, moved in found["data"]["moved"].items()}
    assert max(turned_deg, key=lambda name: turned_deg[name]) == "cam3"
    assert turned_deg["cam3"] == pytest.approx(np.degrees(0.005), abs=0.1)
    assert solved["reproj_median_px"] < given["reproj_median_px"]
    assert {"solved_rig.toml", "solved_times.json"} <= set(solved["files"])
    assert read_rig(tmp_path / "solved" / "solved_rig.toml").names == ("cam1", "cam2", "cam3", "cam4", "cam5")
    assert "cameras" in solved["seconds"]
    assert solved["seconds"]["total"] == pytest.approx(
        sum(s for name, s in solved["seconds"].items() if name != "total"), rel=0.02
    )


def test_solved_clocks_are_used_and_written(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    rows = (take.folder / "times.csv").read_text().split()
    late = [row if not row.startswith("cam4,") else _later(row, 0.05) for row in rows]
    (tmp_path / "late.csv").write_text("\n".join(late) + "\n")
    _, right = mocap(*take.arguments(tmp_path / "right", "--times", take.folder / "times.csv"))
    wrong = ("--times", tmp_path / "late.csv")
    _, given = mocap(*take.arguments(tmp_path / "given", *wrong))
    _, solved = mocap(*take.arguments(tmp_path / "solved", *wrong, "--solve-for", "clocks"))
    assert given["reproj_p95_px"] > 1.2 * right["reproj_p95_px"]
    assert solved["reproj_p95_px"] < 1.1 * right["reproj_p95_px"]
    assert "solved_times.json" in solved["files"]
    assert "solved_rig.toml" not in solved["files"]
    again = ("--times", tmp_path / "solved" / "solved_times.json")
    _, read = mocap(*take.arguments(tmp_path / "again", *again))
    assert read["reproj_median_px"] == pytest.approx(solved["reproj_median_px"], rel=0.02)


def test_clocks_alone_do_not_silence_what_is_wrong_with_the_rig(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    cameras = list(read_rig(take.folder / "rig.toml").cameras)
    turn = quat_to_matrix(quat_exp(np.array([0.0, 0.015, 0.0])))
    R, t = cameras[2].R_cam_from_world, cameras[2].t_cam_from_world_m
    cameras[2] = cameras[2].with_extrinsics(turn @ R, turn @ t)
    write_rig(tmp_path / "stale.toml", CameraRig(tuple(cameras)))
    rows = (take.folder / "times.csv").read_text().split()
    late = [row if not row.startswith("cam4,") else _later(row, 0.05) for row in rows]
    (tmp_path / "late.csv").write_text("\n".join(late) + "\n")
    both = ("--rig", tmp_path / "stale.toml", "--times", tmp_path / "late.csv", "--solve-for", "clocks")
    _, data = mocap(*take.arguments(tmp_path / "out", *both))
    codes = {d["code"] for d in data["diagnostics"]}
    assert {"cameras-solved", "rig-biased"} <= codes


def _later(row: str, by_s: float) -> str:
    camera, offset_s, drift_ppm = row.split(",")
    return f"{camera},{float(offset_s) + by_s},{drift_ppm}"


def test_two_cameras_mixed_up_fail_the_quality_gates_and_the_good_ones_are_not_blamed(
    shared: Callable[[str], Path], mocap: Mocap, tmp_path: Path
) -> None:
    data = shared("data/pose2sim_demo/openpose_body25b_2022")
    keypoints = tmp_path / "keypoints"
    keypoints.mkdir()
    for name, other in ((1, 2), (2, 1), (3, 3), (4, 4)):
        (keypoints / f"cam{name}_json").symlink_to((data / f"pose-2d/cam{other}_json").resolve())
    files = ("--rig", data / "calib-2d" / "Calib.qca.txt", "--fps", "60", "--to", "trc")
    status, mixed = mocap("reconstruct", *files, "--keypoints", keypoints, "--out", tmp_path / "mixed")
    found = {d["code"]: d for d in mixed["diagnostics"]}
    assert status == 3
    assert {"camera-disagrees", "solve-disagrees", "bones-unsteady"} <= set(found)
    assert list(found["camera-disagrees"]["data"]["cameras"]) == ["cam01", "cam02"]
    assert not {"cam03", "cam04"} & set(found["rig-biased"]["data"]["bias_px"] if "rig-biased" in found else ())
    assert "rig-stale" not in found
    status, _ = mocap("reconstruct", *files, "--keypoints", data / "pose-2d", "--out", tmp_path / "right")
    assert status == 0


def test_a_rig_of_a_smaller_picture_than_the_keypoints_is_an_error(take: Take, mocap: Mocap, tmp_path: Path) -> None:
    rig = read_rig(take.folder / "rig.toml")
    small = [
        replace(
            c, intrinsics=replace(c.intrinsics, size_px=(c.intrinsics.size_px[0] // 3, c.intrinsics.size_px[1] // 3))
        )
        for c in rig.cameras
    ]
    write_rig(tmp_path / "small.toml", CameraRig(tuple(small)))
    given = ("--rig", tmp_path / "small.toml", "--keypoints", take.folder / "keypoints", "--fps", "60")
    status, data = mocap("reconstruct", *given, "--out", tmp_path / "out")
    assert (status, data["error"]["code"]) == (1, "keypoints-outside-picture")
