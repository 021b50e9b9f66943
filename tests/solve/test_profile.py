"""A performer's profile: from a take with many cameras to one with two."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.observations import common_timeline
from mocap.core.performer import PerformerProfile
from mocap.core.take import SolvedTake
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.profile import profile_of, shape_of
from mocap.solve.shape import reference_shape
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS = Fraction(60)
SEGMENTS = (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"))


def test_a_shape_comes_back_from_its_profile() -> None:
    shape = reference_shape(0.9)
    back = shape_of(profile_of(shape, ("LHeel",)))
    assert back.segment == pytest.approx(shape.segment)
    assert back.offsets_m() == pytest.approx(shape.offsets_m())
    assert all(back.landmark_m[n] == pytest.approx(v) for n, v in shape.landmark_m.items())


def _take(
    performer: Performer, rig: CameraRig, seed: int, n_frames: int, profile: PerformerProfile | None
) -> tuple[SolvedTake, np.ndarray]:
    faults = Faults(noise_px=3.0, outlier_share=0.05, dropout_share=0.1)
    seen = detect([performer], rig, FPS, n_frames, np.random.default_rng(seed), faults=faults).keypoints
    timeline = common_timeline(seen.time_s, FPS)
    take = solve_take(rig, reconstruct_points(seen, rig, timeline), performer=profile)
    return take, performer.points(timeline.time_s)


def _length_error_m(take: SolvedTake, truth: np.ndarray) -> float:
    at = take.keypoints.keypoint_set.names.index
    errors = []
    for a, b in SEGMENTS:
        for side in "LR":
            i, j = at(side + a), at(side + b)
            ours, true = (np.linalg.norm(p[:, i] - p[:, j], axis=-1).mean() for p in (take.keypoints.xyz_m, truth))
            errors.append(abs(ours - true))
    return float(np.max(errors))


def test_two_cameras_do_better_with_the_profile_of_an_earlier_take() -> None:
    performer = Performer.random(np.random.default_rng(41), height_m=1.66)
    full = ring_rig(5, np.random.default_rng(42))
    profile = _take(performer, full, 43, 119, None)[0].performer
    assert profile is not None
    later = replace(performer, heading_rad=performer.heading_rad + 1.0)
    two = CameraRig(full.cameras[:2])
    without, truth = _take(later, two, 44, 89, None)
    with_profile, _ = _take(later, two, 44, 89, profile)
    error = [np.linalg.norm(t.keypoints.xyz_m - truth, axis=-1).mean() for t in (without, with_profile)]
    assert _length_error_m(with_profile, truth) < min(0.01, 0.7 * _length_error_m(without, truth))
    assert error[1] < error[0]
