"""Filters beside the solve: figures that tell shaky from flattened."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mocap.analysis.filtering import compare_filter, summary_lines
from mocap.core.filtering import FilteredPoints, parse_filter
from mocap.core.keypoints import Source
from mocap.core.take import SolvedTake


@pytest.fixture
def take(new_take: Callable[..., SolvedTake]) -> SolvedTake:
    return new_take(n_frames=151)


@pytest.fixture
def noisy(take: SolvedTake) -> SolvedTake:
    """A take whose points are the solved keypoints with 10 mm of white noise."""
    noise = np.random.default_rng(3).normal(0, 0.01, take.keypoints.xyz_m.shape)
    return replace(take, points=replace(take.keypoints, xyz_m=take.keypoints.xyz_m + noise))


def filtered(take: SolvedTake, text: str) -> FilteredPoints:
    """Return what a filter makes of the take's points."""
    spec = parse_filter(text)
    return FilteredPoints(spec, take.points, spec.apply(take.points, float(take.motion.timeline.fps)))


def test_a_filter_takes_jerk_from_noisy_points(noisy: SolvedTake) -> None:
    row = compare_filter(noisy, filtered(noisy, "butterworth"))["keypoints"]["LWrist"]
    assert row["unfiltered_jerk_ratio_to_solve"] > 10 * row["filtered_jerk_ratio_to_solve"]
    assert 2 < row["filtered_mean_from_solve_mm"] < row["unfiltered_mean_from_solve_mm"] < 17


def test_a_filter_that_flattens_shows_as_lost_speed(take: SolvedTake) -> None:
    clean = replace(take, points=take.keypoints)
    row = compare_filter(clean, filtered(clean, "butterworth:cutoff_hz=0.3"))["keypoints"]["LWrist"]
    assert row["filtered_peak_speed_ratio_to_solve"] < 0.7
    assert row["filtered_jerk_ratio_to_solve"] < 0.7


def test_only_the_keypoints_asked_for_are_compared_and_printed(noisy: SolvedTake) -> None:
    figures = compare_filter(noisy, filtered(noisy, "savgol:keypoints=LWrist,RAnkle"))
    assert list(figures["keypoints"]) == ["LWrist", "RAnkle"]
    assert [line.split()[0] for line in summary_lines(figures)[4:]] == ["LWrist", "RAnkle"]


def test_a_keypoint_that_is_hardly_known_has_no_figures(noisy: SolvedTake) -> None:
    xyz, source = noisy.points.xyz_m.copy(), noisy.points.source.copy()
    k = noisy.points.keypoint_set.names.index("LWrist")
    xyz[11:, k], source[11:, k] = np.nan, Source.MISSING
    gone = replace(noisy, points=replace(noisy.points, xyz_m=xyz, source=source))
    assert set(compare_filter(gone, filtered(gone, "gcv"))["keypoints"]["LWrist"].values()) == {None}
