"""Points frame by frame, with One Euro over them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import observe
from mocap.core.timeline import Timeline
from mocap.kernels.filters import FILTERS, OneEuroState, filtered, one_euro_step
from mocap.reconstruct.causal import CausalPoints, FramePoints
from mocap.reconstruct.framewise import framewise_points
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS, N_FRAMES = Fraction(60), 61
RNG = np.random.default_rng(81)
RIG, PERFORMER = ring_rig(5, RNG), Performer.random(RNG, stride=0.3)
SEEN = detect([PERFORMER], RIG, FPS, N_FRAMES, RNG, faults=Faults(noise_px=2.0)).keypoints
TRUTH_M = PERFORMER.points(SEEN.time_s[0])


def pushed(seen: Keypoints2D) -> list[FramePoints]:
    points, out = CausalPoints(RIG, float(FPS)), []
    for f in range(N_FRAMES):
        xy, score, time_s = seen.xy_px[:, f : f + 1], seen.score[:, f : f + 1], seen.time_s[:, f : f + 1]
        one = replace(seen, xy_px=xy, score=score, time_s=time_s)
        out.append(points.push(observe(one, RIG, Timeline(FPS, 1, f / float(FPS)))))
    return out


def without(keypoint: int, first: int, stop: int) -> Keypoints2D:
    xy, score = SEEN.xy_px.copy(), SEEN.score.copy()
    xy[:, first:stop, :, keypoint], score[:, first:stop, :, keypoint] = np.nan, 0.0
    return replace(SEEN, xy_px=xy, score=score)


def test_without_gaps_it_is_the_filter_over_points_of_single_frames() -> None:
    frames = pushed(SEEN)
    measured = np.stack([f.measured_m for f in frames])
    filtered_m = np.stack([f.filtered_m for f in frames])
    whole = framewise_points(SEEN, RIG, Timeline(FPS, N_FRAMES)).xyz_m
    both = np.isfinite(measured) & np.isfinite(whole)
    # of a single frame's views the noise is told from these alone
    assert np.quantile(np.abs(measured - whole)[both], 0.99) < 0.01
    always = np.isfinite(measured).all((0, 2))
    assert always.sum() > 10
    expected = filtered(measured[:, always], float(FPS), "one-euro")
    np.testing.assert_allclose(filtered_m[:, always], expected, atol=1e-12)


def test_a_short_gap_leaves_the_filter_as_it_was_and_a_long_one_starts_it_anew() -> None:
    usual = FILTERS["one-euro"].defaults
    frames = pushed(without(7, 20, 23))
    assert all(np.isnan(f.filtered_m[7]).all() and np.isnan(f.sigma_m[7]) for f in frames[20:23])
    before = frames[19]
    state = OneEuroState(before.measured_m[7], before.filtered_m[7], np.zeros(3))
    speed = [OneEuroState(frames[0].measured_m[7], frames[0].measured_m[7], np.zeros(3))]
    for f in frames[1:20]:
        speed.append(one_euro_step(speed[-1], f.measured_m[7], float(FPS), **usual))
    state = replace(state, speed=speed[-1].speed)
    expected = one_euro_step(state, frames[23].measured_m[7], float(FPS) / 4, **usual).smooth
    np.testing.assert_allclose(frames[23].filtered_m[7], expected, atol=1e-12)
    frames = pushed(without(7, 20, 45))
    np.testing.assert_array_equal(frames[45].filtered_m[7], frames[45].measured_m[7])


def test_sigma_is_that_of_the_errors() -> None:
    frames = pushed(SEEN)
    z = np.stack([(f.measured_m - t) / f.sigma_m[:, None] for f, t in zip(frames, TRUTH_M, strict=True)])
    z = np.abs(z[5:][np.isfinite(z[5:])])
    assert 0.55 < (z < 1).mean() < 0.85
    assert frames[-1].noise_px == pytest.approx(2.0, rel=0.25)
