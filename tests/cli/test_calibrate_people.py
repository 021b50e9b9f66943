"""`mocap calibrate check`, `refine` and `people`, and the world from feet, on files as a user has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from calibration.failed import failed_mark, outlasting_lenses, outlasting_poses, reasons_in
from calibration.files import read_rig, read_rig_file, write_rig
from calibration.people_scale import make_ruler
from calibration.world import moved_rig
from mocap.cli.main import main
from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.core.keypoints import load_keypoint_set
from mocap.core.progress import NoProgress
from mocap.kernels.projection import project
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.pose2d.detections import CameraDetections
from mocap.pose2d.openpose_out import write_openpose
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig
from tests.calibration.test_world import walker

FPS = 30


@dataclass(frozen=True)
class Take:
    """A take on disk, and what is true of it."""

    folder: Path
    rig: CameraRig
    thigh_m: float


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    """A person who walks for three seconds, seen by four cameras."""
    folder = tmp_path_factory.mktemp("take")
    rng = np.random.default_rng(6)
    rig = ring_rig(4, rng, size_px=(1920, 1080))
    performer = Performer.random(rng)
    seen = detect([performer], rig, Fraction(FPS), 91, rng, faults=Faults(2.0, 0.05, 0.1, 0.02)).keypoints
    cameras = {
        n: CameraDetections(seen.keypoint_set, seen.xy_px[c], seen.score[c], seen.time_s[c], (1920, 1080))
        for c, n in enumerate(seen.camera_names)
    }
    write_openpose(folder / "pose", cameras)
    write_rig(folder / "rig.toml", rig)
    names, points = seen.keypoint_set.names, performer.points(np.zeros(1))[0]
    thigh_m = float(np.linalg.norm(points[names.index("LHip")] - points[names.index("LKnee")]))
    return Take(folder, rig, thigh_m)


def said(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def nudged(rig: CameraRig, camera: int, deg: float = 0.8, mm: float = 40.0) -> CameraRig:
    old = rig.cameras[camera]
    R = quat_to_matrix(quat_exp(np.deg2rad(deg) * np.array([0.6, 0.64, 0.48]))) @ old.R_cam_from_world
    new = old.with_extrinsics(R, -R @ (old.center_world_m + mm / 1000 * np.array([0.0, 0.6, 0.8])))
    return CameraRig(tuple(new if c is old else c for c in rig.cameras))


def test_a_stale_rig_is_refined_with_figures_per_camera(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rig(tmp_path / "stale.toml", nudged(take.rig, 1), failed_mark(["redo"], poses_alone=True))
    out = tmp_path / "rig2.toml"
    arguments = ["--keypoints", str(take.folder / "pose"), "--fps", str(FPS), "--out", str(out), "--clocks", "--json"]
    assert main(["calibrate", "refine", str(tmp_path / "stale.toml"), *arguments]) == 0
    data = said(capsys)
    assert data["is_refined"] is True
    assert data["verdict"] in ("good", "usable")
    assert data["failed"] == []
    # The mark of the calibration that it began from is told, and gone from the rig that was solved anew.
    assert "calibration-failed" in {d["code"] for d in data["diagnostics"]}
    assert "calibration-failed" not in {d.code for d in read_rig_file(out).diagnostics}
    camera = data["cameras"]["cam2"]
    assert camera["after"]["median_px"] < 0.7 * camera["before"]["median_px"]
    assert camera["certainty"]["center_sd_mm"] > 0
    assert json.loads((tmp_path / "rig2.refine.json").read_text("utf-8"))["summary"] == data["summary"]
    clocks = json.loads((tmp_path / "rig2.times.json").read_text("utf-8"))
    assert clocks["cameras"][clocks["reference"]]["offset_s"] == 0
    assert max(abs(c["offset_s"]) for c in clocks["cameras"].values()) < 0.01
    moved_m = np.linalg.norm(read_rig(out)["cam2"].center_world_m - take.rig["cam2"].center_world_m)
    assert moved_m < 0.025


def test_a_rig_that_could_not_be_refined_is_marked_as_failed(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pose, out = tmp_path / "pose", tmp_path / "rig2.toml"
    for folder in (take.folder / "pose").iterdir():
        (pose / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[:4]:
            (pose / folder.name / file.name).symlink_to(file)
    arguments = ["--keypoints", str(pose), "--fps", str(FPS), "--out", str(out), "--json"]
    assert main(["calibrate", "refine", str(take.folder / "rig.toml"), *arguments]) == 3
    assert said(capsys)["failed"] == ["redo"]
    assert "calibration-failed" in {d.code for d in read_rig_file(out).diagnostics}


def test_a_clock_that_is_off_fails_the_refinement_but_does_not_mark_the_rig(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pose, out = tmp_path / "pose", tmp_path / "rig2.toml"
    for folder in (take.folder / "pose").iterdir():
        (pose / folder.name).mkdir(parents=True)
        for k, file in enumerate(sorted(folder.iterdir())[9 if folder.name.startswith("cam3") else 0 :]):
            (pose / folder.name / f"{k:012d}_keypoints.json").symlink_to(file)
    arguments = ["calibrate", "refine", str(take.folder / "rig.toml"), "--keypoints", str(pose), "--fps", str(FPS)]
    assert main([*arguments, "--out", str(out), "--json"]) == 3
    data = said(capsys)
    assert data["failed"] == ["camera-clock-off"]
    assert data["verdict"] != "good"
    [finding] = [d for d in data["diagnostics"] if d["code"] == "camera-clock-off"]
    assert finding["data"]["clock_s"] == {"cam3": pytest.approx(0.3, abs=0.01)}
    assert "calibration-failed" not in {d.code for d in read_rig_file(out).diagnostics}
    assert main([*arguments, "--out", str(tmp_path / "rig3.toml")]) == 3
    assert "clocks are off: synchronise the take" in capsys.readouterr().out
    assert main([*arguments, "--out", str(tmp_path / "rig4.toml"), "--clocks", "--json"]) == 0
    clocks = json.loads((tmp_path / "rig4.times.json").read_text("utf-8"))["cameras"]
    assert clocks["cam3"]["offset_s"] == pytest.approx(0.3, abs=0.01)


def test_a_moved_camera_fails_the_check_and_is_named(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rig(tmp_path / "stale.toml", nudged(take.rig, 2))
    arguments = ["--keypoints", str(take.folder / "pose"), "--out", str(tmp_path / "check.json"), "--json"]
    assert main(["calibrate", "check", str(tmp_path / "stale.toml"), *arguments]) == 3
    data = said(capsys)
    assert data["moved"] == ["cam3"]
    assert data["verdict"] == "moved"
    assert data["cameras"]["cam3"]["after"]["median_px"] < data["cameras"]["cam3"]["before"]["median_px"]
    assert json.loads((tmp_path / "check.json").read_text("utf-8")) == data


def without(take: Take, camera: str, folder: Path) -> Path:
    """The take's keypoints but for one camera's."""
    pose = folder / "pose"
    pose.mkdir()
    for path in sorted((take.folder / "pose").iterdir()):
        if camera not in path.name:
            (pose / path.name).symlink_to(path)
    return pose


def lacking(data: dict) -> tuple[list[str], str]:
    """The cameras that a result says it had no keypoints of, and how."""
    [finding] = [d for d in data["diagnostics"] if d["code"] == "cameras-without-video"]
    return finding["data"]["cameras"], finding["message"]


def test_a_camera_without_keypoints_is_left_out_of_the_check_and_named(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pose = without(take, "cam3", tmp_path)
    status = main(["calibrate", "check", str(take.folder / "rig.toml"), "--keypoints", str(pose), "--json"])
    data = said(capsys)
    assert (status, data["verdict"]) == (0, "unmoved")
    assert sorted(data["cameras"]) == ["cam1", "cam2", "cam4"]
    assert lacking(data) == (["cam3"], "There are no keypoints of cam3: only the others are checked.")


def test_a_camera_without_keypoints_is_not_placed_and_the_others_are(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pose, out = without(take, "cam3", tmp_path), tmp_path / "rig.toml"
    arguments = ["--lens", str(take.folder / "rig.toml"), "--keypoints", str(pose), "--fps", str(FPS)]
    bone = ["--bone", f"LHip-LKnee={take.thigh_m:.4f}"]
    assert main(["calibrate", "people", *arguments, *bone, "--out", str(out), "--json"]) == 0
    data = said(capsys)
    assert read_rig(out).names == ("cam1", "cam2", "cam4")
    cameras, message = lacking(data)
    assert cameras == ["cam3"]
    assert "the rig is of the other cameras" in message
    assert "run again" in message
    gap = np.linalg.norm(read_rig(out)["cam1"].center_world_m - read_rig(out)["cam4"].center_world_m)
    true = np.linalg.norm(take.rig["cam1"].center_world_m - take.rig["cam4"].center_world_m)
    assert gap == pytest.approx(true, abs=0.08)


def test_a_camera_that_sees_nobody_is_not_placed_and_the_others_are(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pose, out = without(take, "cam2", tmp_path), tmp_path / "rig.toml"
    (pose / "cam2_json").mkdir()
    for n in range(3):
        (pose / "cam2_json" / f"cam2_{n:012d}_keypoints.json").write_text('{"version": 1.3, "people": []}', "utf-8")
    arguments = ["--lens", str(take.folder / "rig.toml"), "--keypoints", str(pose), "--fps", str(FPS)]
    bone = ["--bone", f"LHip-LKnee={take.thigh_m:.4f}"]
    assert main(["calibrate", "people", *arguments, *bone, "--out", str(out), "--json"]) == 0
    assert read_rig(out).names == ("cam1", "cam3", "cam4")
    [finding] = [d for d in said(capsys)["diagnostics"] if d["code"] == "keypoints-camera-without-people"]
    assert "cam2: without them it cannot be told where a camera stands" in finding["message"]


def test_cameras_are_placed_from_people_and_a_bone(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rig.toml"
    arguments = [
        "--keypoints",
        str(take.folder / "pose"),
        "--fps",
        str(FPS),
        "--bone",
        f"LHip-LKnee={take.thigh_m:.4f}",
    ]
    write_rig(tmp_path / "lenses.toml", late(take.rig, 0.002), failed_mark(["redo"], poses_alone=True))
    lens = ["--lens", str(tmp_path / "lenses.toml")]
    assert main(["calibrate", "people", *lens, *arguments, "--out", str(out), "--json"]) == 0
    data = said(capsys)
    assert {c.readout_s for c in read_rig(out).cameras} == {0.002}
    assert "calibration-failed" in {d["code"] for d in data["diagnostics"]}
    found, true = (np.stack([r[n].center_world_m for n in take.rig.names]) for r in (read_rig(out), take.rig))
    gap, true_gap = (np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (found, true))
    assert np.abs(gap - true_gap).max() < 0.08
    assert data["cameras"]["cam1"]["after"]["median_px"] < 4
    assert 0 < data["scale_sd_share"] < 0.02
    assert out.with_suffix(".people.json").is_file()


def late(rig: CameraRig, readout_s: float) -> CameraRig:
    return rig.with_readouts(dict.fromkeys(rig.names, readout_s))


def test_keypoints_of_rolling_shutters_are_taken_back_before_cameras_are_judged(take: Take) -> None:
    from mocap.cli.calibrate_keypoints import read_performer
    from mocap.cli.ui import Ui
    from mocap.core.progress import NoProgress

    pose, fps = take.folder / "pose", Fraction(FPS)
    as_seen = read_performer(take.rig, pose, fps, Ui(NoProgress()), without="").alone
    back = read_performer(late(take.rig, 0.05), pose, fps, Ui(NoProgress()), without="").alone
    assert np.nanmax(np.abs(back.xy_px - as_seen.xy_px)) > 3.0
    # At a rate that is only assumed no speed is known.
    options = {"is_rate_known": False, "without": ""}
    blind = read_performer(late(take.rig, 0.05), pose, fps, Ui(NoProgress()), **options)
    np.testing.assert_array_equal(blind.alone.xy_px, as_seen.xy_px)
    assert "rolling-shutter-not-corrected" in [d.code for d in blind.diagnostics]


def test_a_check_without_a_frame_rate_says_that_rolling_shutters_are_left(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rig(tmp_path / "rig.toml", late(take.rig, 0.01))
    arguments = ["calibrate", "check", str(tmp_path / "rig.toml"), "--keypoints", str(take.folder / "pose"), "--json"]
    codes = []
    for rate in ([], ["--fps", str(FPS)]):
        main([*arguments, *rate])
        codes.append([d["code"] for d in said(capsys)["diagnostics"]])
    assert "rolling-shutter-not-corrected" in codes[0]
    assert "rolling-shutter-not-corrected" not in codes[1]


def walked(take: Take, folder: Path, cameras: tuple[str, ...]) -> CameraRig:
    """Write the keypoints of somebody who walks on the floor z = 0, and return the rig as if no floor were known."""
    kinds = load_keypoint_set("halpe26")
    landmarks, time_s = walker()
    xyz = np.full((len(time_s), len(kinds), 3), np.nan)
    for name, track in landmarks.items():
        xyz[:, kinds.landmarks.index(name)] = track - [0.5, 0.2, 0.0]
    rng, seen = np.random.default_rng(1), {}
    for c in take.rig.in_order(cameras).cameras:
        k = c.intrinsics
        xy = project(xyz @ c.R_cam_from_world.T + c.t_cam_from_world_m, k.focal_px, k.center_px, k.distortion)
        xy = (xy + rng.normal(0, 1.0, xy.shape))[:, None]
        score = np.isfinite(xy).all(-1).astype(float)
        seen[c.name] = CameraDetections(kinds, xy, score, time_s, k.size_px)
    write_openpose(folder, seen)
    return moved_rig(take.rig, quat_to_matrix(quat_exp(np.array([0.4, -0.9, 1.7]))), np.array([1.0, -2.0, 3.0]))


@pytest.mark.parametrize("lacks", ["", "cam2"])
def test_feet_make_the_world_of_a_floating_rig(take: Take, tmp_path: Path, lacks: str) -> None:
    from mocap.cli.calibrate_feet import world_from_keypoints

    floating = walked(take, tmp_path / "pose", tuple(n for n in take.rig.names if n != lacks))
    result = world_from_keypoints(floating, tmp_path / "pose", Fraction(60), None, NoProgress())
    placed = result.rig
    codes = {d.code: d for d in result.diagnostics}
    assert "performer-chosen" in codes
    assert ("cameras-without-video" in codes) == bool(lacks)
    if lacks:
        assert (
            "the floor is told from the others, these cameras move with them" in codes["cameras-without-video"].message
        )
    # Cameras without keypoints are in the world as well.
    assert placed.names == take.rig.names
    for name in take.rig.names:
        a, b = placed[name], take.rig[name]
        assert a.center_world_m[2] == pytest.approx(b.center_world_m[2], abs=0.06)
        assert np.degrees(np.arccos(a.R_cam_from_world[:, 2] @ b.R_cam_from_world[:, 2])) < 1.2


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (["check", "RIG"], "usage", 2),
        (["check", "RIG", "a.mp4", "--keypoints", "POSE"], "usage", 2),
        (["check", "RIG", "--keypoints", "POSE", "--times", "t.csv"], "usage", 2),
        (["check", "RIG", "--keypoints", "nowhere"], "keypoints-folder-missing", 1),
        (["people", "--lens", "RIG", "RIG2", "--keypoints", "POSE", "--height", "1.7"], "lens-twice", 2),
        (["people", "--lens", "RIG", "--keypoints", "POSE", "--bone", "LHip-Tail=0.4"], "people-bone-unknown", 1),
    ],
)
def test_wrong_options_are_explained(
    arguments: list[str], code: str, status: int, take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rig(tmp_path / "rig2.toml", take.rig)
    paths = {
        "RIG": str(take.folder / "rig.toml"),
        "RIG2": str(tmp_path / "rig2.toml"),
        "POSE": str(take.folder / "pose"),
    }
    more = ["--fps", str(FPS), "--out", str(tmp_path / "out.toml")] if arguments[0] == "people" else []
    assert main(["calibrate", *(paths.get(a, a) for a in arguments), *more]) == status
    assert code in capsys.readouterr().err


def test_a_bone_without_a_length_is_a_usage_error(take: Take, capsys: pytest.CaptureFixture[str]) -> None:
    pose, rig = str(take.folder / "pose"), str(take.folder / "rig.toml")
    options = ["--keypoints", pose, "--fps", "30", "--out", "rig.toml"]
    assert main(["calibrate", "people", "--lens", rig, *options, "--bone", "LHip-LKnee"]) == 2
    assert "LHip-LKnee=0.42" in capsys.readouterr().err


def test_the_stale_demo_rig_is_named_and_refined(
    shared: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shared("data/pose2sim_demo/openpose_body25b_2022")
    rig, pose = str(root / "calib-2d" / "Calib.qca.txt"), str(root / "pose-2d")
    assert main(["calibrate", "check", rig, "--keypoints", pose, "--json"]) == 3
    assert {"cam01", "cam03"} <= set(said(capsys)["moved"])
    out = str(tmp_path / "rig.toml")
    assert main(["calibrate", "refine", rig, "--keypoints", pose, "--fps", "60", "--out", out, "--json"]) == 0
    assert said(capsys)["summary"]["after_median_px"] < 6.5
    assert main(["calibrate", "check", out, "--keypoints", pose, "--json"]) == 0
    assert said(capsys)["verdict"] == "unmoved"


def test_what_refined_places_do_not_answer_stays_marked(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = failed_mark(["redo", "board-scale-wrong"], poses_alone=True)
    write_rig(tmp_path / "stale.toml", nudged(take.rig, 1), mark)
    out = tmp_path / "rig2.toml"
    arguments = ["--keypoints", str(take.folder / "pose"), "--fps", str(FPS), "--out", str(out), "--json"]
    assert main(["calibrate", "refine", str(tmp_path / "stale.toml"), *arguments]) == 3
    data = said(capsys)
    assert (data["is_refined"], data["verdict"], data["failed"]) == (True, "redo", ["board-scale-wrong"])
    assert reasons_in(read_rig_file(out).diagnostics) == ["board-scale-wrong"]


def test_only_places_and_worlds_are_nothing_to_those_who_take_the_lenses() -> None:
    reasons = ["redo", "camera-moved", "world-gravity-disagrees", "board-lengths-contradict"]
    measured, given = failed_mark(reasons), failed_mark(reasons, poses_alone=True)
    assert outlasting_lenses(given) == ["board-lengths-contradict"]
    assert outlasting_lenses(measured) == ["redo", "board-lengths-contradict"]
    assert outlasting_poses(given) == ["world-gravity-disagrees", "board-lengths-contradict"]


def test_a_camera_without_people_is_named_where_too_few_are_left(
    take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pose = tmp_path / "pose"
    (pose / "cam2_json").mkdir(parents=True)
    [source] = [p for p in (take.folder / "pose").iterdir() if "cam1" in p.name]
    (pose / source.name).symlink_to(source)
    for n in range(3):
        (pose / "cam2_json" / f"cam2_{n:012d}_keypoints.json").write_text('{"version": 1.3, "people": []}', "utf-8")
    write_rig(tmp_path / "two.toml", CameraRig(take.rig.cameras[:2]))
    arguments = ["--lens", str(tmp_path / "two.toml"), "--keypoints", str(pose), "--fps", str(FPS), "--json"]
    bone = ["--bone", f"LHip-LKnee={take.thigh_m:.4f}", "--out", str(tmp_path / "rig.toml")]
    assert main(["calibrate", "people", *arguments, *bone]) == 1
    error = said(capsys)["error"]
    assert error["code"] == "people-too-few"
    assert "no people in the keypoints of cam2: cam1 alone sees somebody" in error["message"]


def test_what_a_height_lacks_is_named_and_nothing_else() -> None:
    with pytest.raises(InputError) as caught:
        make_ruler(load_keypoint_set("blazepose33"), 1.78, None)
    assert caught.value.message.endswith("blazepose33: it has no Head.")
    assert make_ruler(load_keypoint_set("halpe26"), 1.78, None).length_m < 1.78
