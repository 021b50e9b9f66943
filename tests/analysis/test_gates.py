"""Quality gates fail clearly wrong takes and leave sound ones alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mocap.analysis.gates import quality_gates
from mocap.core.diagnostics import Severity
from mocap.core.keypoints import Keypoints2D, Points3D, Source
from mocap.core.take import SolvedTake

NewTake = Callable[..., SolvedTake]


def codes(take: SolvedTake) -> list[str]:
    return [d.code for d in quality_gates(take)]


def shifted(take: SolvedTake, shift_px: float, cameras: list[int]) -> SolvedTake:
    """Return the take with detections of some cameras elsewhere than the result."""
    seen = take.detections
    xy = seen.xy_px.copy()
    xy[cameras, ..., 0] += shift_px
    return replace(
        take, detections=Keypoints2D(seen.keypoint_set, seen.camera_names, xy, seen.score.copy(), seen.time_s)
    )


def with_source(points: Points3D, source: np.ndarray) -> Points3D:
    return Points3D(points.keypoint_set, points.time_s, points.xyz_m, points.sigma_m, source)


def test_a_sound_take_passes_every_gate(new_take: NewTake) -> None:
    assert codes(new_take(noise_px=5.0, noise_m=0.01)) == []


def test_a_camera_far_above_the_others_disagrees_and_is_the_only_one_named(new_take: NewTake) -> None:
    (found,) = quality_gates(shifted(new_take(noise_px=3.0), 53.0, [2]))
    assert (found.code, found.severity) == ("camera-disagrees", Severity.QUALITY)
    assert list(found.data["cameras"]) == ["cam3"]
    assert "cam3 53 px" in found.message


def test_the_limit_of_a_camera_grows_with_its_picture(new_take: NewTake) -> None:
    # 23 px in pictures of 1280 px are below 40 px in pictures of 1920 px.
    assert codes(shifted(new_take(noise_px=3.0), 23.0, [2])) == []


def test_a_camera_of_which_most_detections_were_rejected_disagrees(new_take: NewTake) -> None:
    take = new_take()
    inlier = take.inlier_probability.copy()
    inlier[3, 1:] = 0.01
    (found,) = quality_gates(replace(take, inlier_probability=inlier))
    assert (found.code, list(found.data["cameras"])) == ("camera-disagrees", ["cam4"])


def test_where_nothing_ties_the_clocks_more_detections_must_fit(new_take: NewTake) -> None:
    take = new_take(n_frames=60)
    inlier = take.inlier_probability.copy()
    inlier[3, ::3] = 0.01
    doubtful = replace(take, inlier_probability=inlier)
    assert codes(doubtful) == []
    (found,) = quality_gates(doubtful, are_times_assumed=True)
    assert (found.code, list(found.data["cameras"])) == ("camera-disagrees", ["cam4"])
    assert quality_gates(take, are_times_assumed=True) == ()


def test_a_result_far_from_two_views_in_many_frames_disagrees(new_take: NewTake) -> None:
    # Over all frames but in one keypoint: the cameras' medians stay small.
    take = new_take(n_frames=13)
    xy = take.detections.xy_px.copy()
    xy[:3, :, :, 9] += 70.0
    seen = take.detections
    wrong = Keypoints2D(seen.keypoint_set, seen.camera_names, xy, seen.score.copy(), seen.time_s)
    (found,) = quality_gates(replace(take, detections=wrong))
    assert found.code == "solve-disagrees"
    assert found.data["n_frames"] in (12, 13)


def test_gross_errors_that_meet_in_two_views_by_chance_pass(new_take: NewTake) -> None:
    take = new_take(n_frames=61)
    xy = take.detections.xy_px.copy()
    rng = np.random.default_rng(3)
    xy[rng.random(xy.shape[:-1]) < 0.1] += 90.0
    seen = take.detections
    assert (
        codes(
            replace(
                take, detections=Keypoints2D(seen.keypoint_set, seen.camera_names, xy, seen.score.copy(), seen.time_s)
            )
        )
        == []
    )


def test_a_take_that_was_hardly_measured_says_so(new_take: NewTake) -> None:
    take = new_take()
    source = np.full(take.keypoints.source.shape, Source.INTERPOLATED, np.uint8)
    source[:4] = Source.EDITED
    assert codes(replace(take, keypoints=with_source(take.keypoints, source))) == ["take-hardly-measured"]
    source[:5] = Source.MEASURED
    assert codes(replace(take, keypoints=with_source(take.keypoints, source))) == []


def test_a_quick_look_is_judged_by_the_frames_that_it_looked_at(new_take: NewTake) -> None:
    take = new_take(n_frames=61, camera_delay_s=0.0)
    seen = take.detections
    xy, score = seen.xy_px.copy(), seen.score.copy()
    left_out = np.arange(61) % 4 != 0
    xy[:, left_out], score[:, left_out] = np.nan, 0.0
    quick = Keypoints2D(seen.keypoint_set, seen.camera_names, xy, score, seen.time_s)
    source = np.full(take.keypoints.source.shape, Source.MEASURED, np.uint8)
    source[left_out] = Source.INTERPOLATED
    take = replace(take, keypoints=with_source(take.keypoints, source), detections=quick)
    assert codes(take) == []
    source[:] = Source.INTERPOLATED
    assert codes(replace(take, keypoints=with_source(take.keypoints, source))) == ["take-hardly-measured"]


def test_raw_bones_of_wildly_changing_length_say_so(new_take: NewTake) -> None:
    assert codes(new_take(noise_m=0.1)) == ["bones-unsteady"]


@pytest.mark.parametrize("n_cameras", [2, 5])
def test_gates_work_for_any_number_of_cameras(new_take: NewTake, n_cameras: int) -> None:
    assert codes(new_take(n_cameras=n_cameras, noise_px=2.0)) == []
