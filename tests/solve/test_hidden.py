"""Which limbs are said to have been hidden, when, and how uncertain they are there."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mocap.core.diagnostics import Severity
from mocap.core.keypoints import Keypoints2D, Points3D, Source, load_keypoint_set
from mocap.core.observations import common_timeline
from mocap.reconstruct.points import reconstruct_points
from mocap.solve import hidden
from mocap.solve.hidden import hidden_limbs
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS, N_FRAMES = Fraction(60), 240
HALPE = load_keypoint_set("halpe26")
ALL = list(range(len(HALPE)))


def _index(*landmarks: str) -> list[int]:
    return [HALPE.landmarks.index(n) for n in landmarks]


def _points(*hidden: tuple[slice, list[int]], sigma_m: float | np.ndarray = 0.005) -> Points3D:
    """Return points of a still take, missing in places."""
    source = np.full((N_FRAMES, len(HALPE)), Source.MEASURED, np.uint8)
    for frames, keypoints in hidden:
        source[frames, keypoints] = Source.MISSING
    time_s = 3.0 + np.arange(N_FRAMES) / float(FPS)
    gone = source == Source.MISSING
    xyz = np.where(gone[..., None], np.nan, np.zeros((*source.shape, 3)))
    return Points3D(HALPE, time_s, xyz, np.where(gone, np.nan, sigma_m), source)


def test_a_limb_is_named_with_its_landmarks_times_and_worst_sigma() -> None:
    arm = _index("LElbow", "LWrist")
    points = _points((slice(60, 120), arm), (slice(100, 150), arm[1:]))
    sigma_m = np.full((N_FRAMES, len(HALPE)), 0.005)
    sigma_m[110, arm[1]] = 0.09
    sigma_m[110, _index("LShoulder")] = 0.2  # seen, so not counted
    solved = _points(sigma_m=sigma_m)
    (found,) = hidden_limbs(points, solved, ALL)
    assert (found.code, found.severity, found.data["n_stretches"]) == ("limbs-hidden", Severity.WARNING, 1)
    assert found.data["stretches"] == [
        {
            "limb": "left arm",
            "landmarks": ("LElbow", "LWrist"),
            "from_s": 4.0,
            "to_s": round(3 + 149 / 60, 4),
            "n_frames": 90,
            "sigma_mm": 90.0,
        }
    ]
    assert "left arm (LElbow, LWrist) 4.00-5.48 s, +-90 mm" in found.message


def test_a_limb_that_is_known_well_all_the_same_is_not_named() -> None:
    points = _points((slice(60, 120), _index("RWrist")))
    assert hidden_limbs(points, _points(sigma_m=0.02), ALL) == []
    assert hidden_limbs(points, _points(sigma_m=0.04), ALL) != []


def test_a_hand_goes_with_its_arm() -> None:
    whole = load_keypoint_set("coco_wholebody133")
    gone = [whole.landmarks.index(n) for n in ("LMiddle", "LThumb1", "LIndex")]
    source = np.full((N_FRAMES, len(whole)), Source.MEASURED, np.uint8)
    source[60:120, gone] = Source.MISSING
    xyz_m, time_s = np.zeros((*source.shape, 3)), np.arange(N_FRAMES) / float(FPS)
    points = Points3D(whole, time_s, np.where(source[..., None] == Source.MISSING, np.nan, xyz_m), 0.0 * source, source)
    solved = Points3D(whole, time_s, xyz_m, np.full(source.shape, 0.1), np.full_like(source, Source.MEASURED))
    (found,) = hidden_limbs(points, solved, list(range(len(whole))))
    assert [s["limb"] for s in found.data["stretches"]] == ["left arm"]


def test_of_many_stretches_the_most_uncertain_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden, "MAX_LISTED", 2)
    knees = ("LKnee", "RKnee", "LElbow")
    points = _points(*((slice(60 * n, 60 * n + 30), _index(name)) for n, name in enumerate(knees)))
    sigma_m = np.full((N_FRAMES, len(HALPE)), 0.05)
    sigma_m[:, _index("RKnee", "LElbow")] = [0.07, 0.2]
    (found,) = hidden_limbs(points, _points(sigma_m=sigma_m), ALL)
    assert [s["limb"] for s in found.data["stretches"]] == ["right leg", "left arm"]
    assert found.data["n_stretches"] == 3
    assert "left arm (LElbow)" in found.message


def test_who_was_away_is_one_stretch_and_not_one_of_each_limb() -> None:
    points = _points((slice(60, 120), ALL), (slice(120, 160), _index("RKnee")))
    (found,) = hidden_limbs(points, _points(sigma_m=0.2), ALL)
    assert [(s["limb"], s["n_frames"]) for s in found.data["stretches"]] == [("whole body", 60), ("right leg", 40)]


def test_landmarks_that_are_never_measured_are_left_to_their_own_finding() -> None:
    points = _points((slice(None), _index("LBigToe")))
    assert hidden_limbs(points, _points(sigma_m=0.2), [k for k in ALL if k not in _index("LBigToe")]) == []


@pytest.fixture(scope="module")
def seen() -> Keypoints2D:
    faults = Faults(noise_px=2.0, outlier_share=0.05, dropout_share=0.1)
    performer, rig = Performer.random(np.random.default_rng(41)), ring_rig(4, np.random.default_rng(42))
    return detect([performer], rig, FPS, N_FRAMES, np.random.default_rng(43), faults=faults).keypoints


@pytest.mark.parametrize("is_hidden", [False, True])
def test_a_solved_take_says_so_if_and_only_if_a_limb_was_hidden(seen: Keypoints2D, is_hidden: bool) -> None:
    xy, score = seen.xy_px.copy(), seen.score.copy()
    if is_hidden:  # from all cameras but one
        xy[1:, 90:150, 0, _index("RElbow", "RWrist")] = np.nan
        score[1:, 90:150, 0, _index("RElbow", "RWrist")] = 0.0
    detections = Keypoints2D(seen.keypoint_set, seen.camera_names, xy, score, seen.time_s)
    rig = ring_rig(4, np.random.default_rng(42))
    timeline = common_timeline(detections.time_s, FPS)
    take = solve_take(rig, reconstruct_points(detections, rig, timeline))
    found = [d for d in take.diagnostics if d.code == "limbs-hidden"]
    if not is_hidden:
        assert found == []
        return
    (row,) = found[0].data["stretches"]
    assert (row["limb"], set(row["landmarks"])) == ("right arm", {"RElbow", "RWrist"})
    assert row["from_s"] == pytest.approx(1.5, abs=0.1)
    assert row["to_s"] == pytest.approx(2.5, abs=0.1)
