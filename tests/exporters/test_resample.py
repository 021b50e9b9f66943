"""Takes at other frame rates."""

from __future__ import annotations

from fractions import Fraction
from types import ModuleType

import numpy as np

from exporters.resample import resample_take
from mocap.core.keypoints import Source


def test_the_same_rate_returns_the_take_itself(samples: ModuleType) -> None:
    take = samples.sample_take()
    assert resample_take(take, Fraction(60)) is take


def test_half_the_rate_keeps_every_second_frame_exactly(samples: ModuleType) -> None:
    take = samples.sample_take()
    half = resample_take(take, Fraction(30))
    np.testing.assert_allclose(half.motion.local_wxyz, take.motion.local_wxyz[::2], atol=1e-12)
    np.testing.assert_array_equal(half.points.xyz_m, take.points.xyz_m[::2])
    np.testing.assert_array_equal(half.points.source, take.points.source[::2])
    np.testing.assert_allclose(half.keypoints.time_s, take.keypoints.time_s[::2])


def test_a_higher_rate_lies_between_the_frames_and_is_not_called_measured(samples: ModuleType) -> None:
    motion = samples.sample_motion(23, start_s=1.5)
    double = resample_take(samples.sample_take(motion), Fraction(120))
    assert double.motion.timeline.n_frames == 45
    assert double.motion.timeline.start_s == 1.5
    truth = samples.sample_motion(45, Fraction(120), start_s=1.5)
    np.testing.assert_allclose(double.motion.root_translation_m, truth.root_translation_m, atol=1e-9)
    dots = np.abs((double.motion.local_wxyz * truth.local_wxyz).sum(-1))
    assert np.degrees(2 * np.arccos(np.minimum(dots, 1))).max() < 0.1
    assert (double.keypoints.source[1::2] == Source.INTERPOLATED).all()
    assert (double.keypoints.source[::2] == Source.MEASURED).all()


def test_a_missing_point_stays_missing_around_its_gap(samples: ModuleType) -> None:
    double = resample_take(samples.sample_take(), Fraction(120))
    assert (double.points.source[3:6, 3] == Source.MISSING).all()
    assert np.isnan(double.points.xyz_m[3:6, 3]).all()
    assert np.isfinite(double.points.xyz_m[[2, 6], 3]).all()


def test_broadcast_to_film_rate_keeps_time_exact(samples: ModuleType) -> None:
    take = samples.sample_take(samples.sample_motion(1001, Fraction(60000, 1001)))
    film = resample_take(take, Fraction(24))
    assert film.motion.timeline.n_frames == 401
    # 1000 periods of 1001/60000 s are 400.4 periods of 1/24 s.
    assert film.motion.timeline.time_s[-1] <= take.motion.timeline.time_s[-1]
