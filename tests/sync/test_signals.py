"""Cleaning and smoothing of 2D trajectories."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.core.keypoints import load_keypoint_set
from mocap.sync.signals import clean_people, kernel_s, limb_keypoints, smooth
from tests.sync.conftest import MakeViews

TIME_S = np.arange(61) / 60


def _parabola(t: np.ndarray) -> np.ndarray:
    return np.stack([100 + 200 * t - 300 * t**2, 50 - 80 * t], -1)[:, None]


def test_a_parabola_comes_back_exactly_with_its_derivatives_at_any_time() -> None:
    track = smooth(_parabola(TIME_S), np.ones((61, 1)), TIME_S, 0.035)
    at = np.array([0.2137, 0.5, 0.7771])
    xy, velocity, acceleration, known = track.sample(at)
    assert known.all()
    np.testing.assert_allclose(xy, _parabola(at), atol=0.02)
    np.testing.assert_allclose(velocity[:, 0, 0], 200 - 600 * at, atol=0.3)
    np.testing.assert_allclose(acceleration[:, 0, 0], -600, rtol=0.01)


def test_outside_the_recording_and_in_gaps_nothing_is_known() -> None:
    xy = _parabola(TIME_S)
    xy[20:40] = np.nan
    track = smooth(xy, np.ones((61, 1)), TIME_S, 0.035)
    known = track.sample(np.array([-0.1, 0.2, 0.5, 0.8, 1.2]))[3][:, 0]
    assert known.tolist() == [False, True, False, True, False]
    assert np.isnan(track.xy[30]).all()


def test_smoothing_of_white_noise_is_the_same_on_frames_and_between() -> None:
    rng = np.random.default_rng(1)
    time_s = np.arange(4000) / 60
    track = smooth(rng.normal(size=(4000, 1, 2)), np.ones((4000, 1)), time_s, 0.035)
    on = track.sample(time_s[100:-100])[0].std()
    between = track.sample(time_s[100:-100] + 1 / 120)[0].std()
    assert between == pytest.approx(on, rel=0.02)


def test_jumps_are_taken_out_and_fast_motion_is_kept(make_views: MakeViews) -> None:
    views = make_views({})
    v = views["cam1"]
    xy = v.xy_px.copy()
    wrist = v.keypoint_set.names.index("LWrist")
    xy[50:53, 0, wrist] += 150
    moved = type(v)(v.keypoint_set, xy, v.score, v.time_s, v.size_px)
    (clean, _), *_ = clean_people(moved)
    k = list(limb_keypoints(v.keypoint_set)).index(wrist)
    assert np.isnan(clean[50:53, k]).all()
    assert np.isfinite(clean[:, k]).mean() > 0.7


def test_only_limbs_are_compared_where_the_set_has_them() -> None:
    blaze = load_keypoint_set("blazepose33")
    names = {blaze.landmarks[k] for k in limb_keypoints(blaze)}
    assert "LAnkle" in names
    assert not names & {"", "Nose", "LEye", "LThumb", "LHip"}


def test_the_slowest_camera_sets_the_smoothing_of_all() -> None:
    assert kernel_s([np.arange(9) / 60, np.arange(9) / 20]) == pytest.approx(0.05)
    assert kernel_s([np.arange(9) / 240]) == pytest.approx(0.035)
