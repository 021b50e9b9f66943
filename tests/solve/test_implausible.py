"""Impossible motion put into all views alike: it is left out, counted, and logged; possible motion is not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline
from mocap.core.take import SolvedTake
from mocap.kernels.rotations import quat_exp, quat_rotate
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, detect, project_points
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS = Fraction(60)
N_FRAMES = 149
FIRST = 60


class Stage:
    """A performer, cameras, and what they see."""

    def __init__(self) -> None:
        self.performer = Performer.random(np.random.default_rng(15))
        self.rig: CameraRig = ring_rig(5, np.random.default_rng(16))
        faults = Faults(noise_px=2.0, outlier_share=0.06, dropout_share=0.1)
        rng = np.random.default_rng(17)
        self.seen = detect([self.performer], self.rig, FPS, N_FRAMES, rng, faults=faults).keypoints
        self.timeline = common_timeline(self.seen.time_s, FPS)
        self.truth = self.performer.points(self.timeline.time_s)

    def keypoint(self, name: str) -> int:
        return self.seen.keypoint_set.names.index(name)

    def solve(self, moved_m: np.ndarray) -> SolvedTake:
        """Return the take in which every view sees keypoints where `moved_m` [frame keypoint 3] has them."""
        shift = np.stack([project_points(c, moved_m) - project_points(c, self.truth) for c in self.rig.cameras])
        seen = self.seen
        xy = (seen.xy_px + shift[:, :, None]).astype(np.float32)
        detections: Keypoints2D = replace(seen, xy_px=xy, score=np.where(np.isfinite(xy).all(-1), seen.score, 0.0))
        return solve_take(self.rig, reconstruct_points(detections, self.rig, self.timeline))

    def error_m(self, take: SolvedTake) -> np.ndarray:
        return np.linalg.norm(take.keypoints.xyz_m - self.truth, axis=-1)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


def _logged(take: SolvedTake) -> list[dict[str, Any]]:
    return [row for d in take.diagnostics if d.code == "motion-implausible" for row in d.data["stretches"]]


def _share_rejected(take: SolvedTake, frames: slice, keypoint: int) -> float:
    probability = take.inlier_probability[:, frames, keypoint]
    return float((probability[np.isfinite(probability)] < 0.5).mean())


def test_possible_motion_is_not_called_impossible(stage: Stage) -> None:
    take = stage.solve(stage.truth)
    assert _logged(take) == []
    assert take.rejected["too_fast"] == take.rejected["beyond_joint_range"] == take.rejected["self_penetration"] == 0


@pytest.mark.parametrize(("name", "n_frames"), [("LWrist", 1), ("RKnee", 12), ("Nose", 5)])
def test_a_jump_and_back_is_too_fast(stage: Stage, name: str, n_frames: int) -> None:
    k, moved = stage.keypoint(name), stage.truth.copy()
    moved[FIRST : FIRST + n_frames, k] += [0.3, 0.0, 0.4]
    take = stage.solve(moved)
    rows = [r for r in _logged(take) if r["landmark"] == name and r["reason"] == "too_fast"]
    assert sum(r["frames"] for r in rows) == n_frames
    assert rows[0]["from_s"] == pytest.approx(FIRST / 60, abs=1e-3)
    assert rows[0]["value"] > rows[0]["limit"]
    assert _share_rejected(take, slice(FIRST, FIRST + n_frames), k) == 1.0
    assert take.rejected["too_fast"] >= 2 * n_frames
    assert stage.error_m(take)[FIRST : FIRST + n_frames, k].mean() < 0.06


def test_a_knee_bent_the_wrong_way_is_beyond_its_range(stage: Stage) -> None:
    knee, moved = stage.keypoint("RKnee"), stage.truth.copy()
    distal = [stage.keypoint(n) for n in ("RAnkle", "RHeel", "RBigToe", "RSmallToe")]
    hip, ankle = stage.truth[:, stage.keypoint("RHip")], stage.truth[:, stage.keypoint("RAnkle")]
    axis = np.cross(stage.truth[:, knee] - hip, ankle - stage.truth[:, knee])
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    # from its true bend slowly to 50 degrees forwards and back
    phase = np.clip((np.arange(N_FRAMES) - 40) / 60, 0, 1)
    turn = quat_exp(-axis * np.radians(110.0) * np.sin(np.pi * phase)[:, None] ** 2)
    for k in distal:
        moved[:, k] = stage.truth[:, knee] + quat_rotate(turn, stage.truth[:, k] - stage.truth[:, knee])
    take = stage.solve(moved)
    rows = [r for r in _logged(take) if r["reason"] == "beyond_joint_range"]
    # three points of a leg leave two readings: a knee bent forwards, or a thigh turned around
    assert {r["what"] for r in rows if r["landmark"] == "RAnkle"} <= {"right knee flexion", "right hip rotation"}
    assert {"RAnkle", "RHeel"} <= {r["landmark"] for r in rows}
    assert take.rejected["beyond_joint_range"] > 100
    middle = slice(64, 76)
    assert _share_rejected(take, middle, distal[0]) > 0.99


def test_a_hand_inside_the_trunk_is_a_penetration(stage: Stage) -> None:
    wrist, moved = stage.keypoint("RWrist"), stage.truth.copy()
    inside = (stage.truth[:, stage.keypoint("Hip")] + stage.truth[:, stage.keypoint("Neck")]) / 2
    share = np.sin(np.pi * np.clip((np.arange(N_FRAMES) - 30) / 90, 0, 1))[:, None] ** 2
    moved[:, wrist] += share * (inside - moved[:, wrist])
    take = stage.solve(moved)
    rows = [r for r in _logged(take) if r["reason"] == "self_penetration"]
    assert rows[0]["landmark"] == "RWrist"
    assert rows[0]["what"] == "trunk"
    assert take.rejected["self_penetration"] > 0
    assert _share_rejected(take, slice(72, 78), wrist) == 1.0
