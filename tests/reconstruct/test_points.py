"""Robust trajectories against synthetic truth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mocap.core import windows
from mocap.core.camera import CameraRig, LensModel
from mocap.core.keypoints import Keypoints2D, Source
from mocap.core.observations import common_timeline
from mocap.core.timeline import Timeline, TimeMap
from mocap.reconstruct import points
from mocap.reconstruct.points import reconstruct_points
from mocap.synth.detections import Faults, SyntheticDetections, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS = Fraction(60)
N_FRAMES = 149
MM = 1e-3


@pytest.fixture(scope="module")
def performer() -> Performer:
    return Performer.random(np.random.default_rng(12))


def _take(performer: Performer, n_cameras: int, **faults: float) -> tuple[CameraRig, SyntheticDetections, Timeline]:
    rig = ring_rig(n_cameras, np.random.default_rng(13))
    seen = detect([performer], rig, FPS, N_FRAMES, np.random.default_rng(14), faults=Faults(**faults))
    return rig, seen, common_timeline(seen.keypoints.time_s, FPS)


def _error_m(xyz_m: np.ndarray, performer: Performer, timeline: Timeline) -> np.ndarray:
    return np.linalg.norm(xyz_m - performer.points(timeline.time_s), axis=-1)


@pytest.mark.parametrize("model", [LensModel.BROWN, LensModel.FISHEYE])
def test_clean_detections_give_the_truth(performer: Performer, model: LensModel) -> None:
    rig = ring_rig(5, np.random.default_rng(13), model=model)
    seen = detect([performer], rig, FPS, N_FRAMES, np.random.default_rng(14), faults=Faults(noise_px=0.0))
    timeline = common_timeline(seen.keypoints.time_s, FPS)
    result = reconstruct_points(seen.keypoints, rig, timeline)
    # smoothing at the floor of 0.5 px assumed noise leaves up to this on the quickest keypoints
    assert np.nanmax(_error_m(result.points.xyz_m, performer, timeline)) < 6 * MM


def test_a_fifth_of_gross_errors_hardly_harms(performer: Performer) -> None:
    rig, seen, timeline = _take(performer, 5, noise_px=2.0, outlier_share=0.15, dropout_share=0.1, swap_share=0.03)
    result = reconstruct_points(seen.keypoints, rig, timeline)
    error = _error_m(result.points.xyz_m, performer, timeline)
    assert np.nanmean(error) < 12 * MM
    assert np.nanquantile(error, 0.99) < 45 * MM


def test_a_long_gap_is_missing_and_a_short_one_is_labelled(performer: Performer) -> None:
    rig, seen, timeline = _take(performer, 5, noise_px=1.0)
    xy, score = seen.keypoints.xy_px.copy(), seen.keypoints.score.copy()
    for frames, keypoint in ((slice(20, 30), 7), (slice(60, 110), 9), (slice(None), 3)):
        xy[:, frames, 0, keypoint], score[:, frames, 0, keypoint] = np.nan, 0.0
    k = seen.keypoints
    detections = Keypoints2D(k.keypoint_set, k.camera_names, xy, score, k.time_s)
    points = reconstruct_points(detections, rig, timeline).points
    assert (points.source[20:30, 7] == Source.INTERPOLATED).all()
    assert (points.source[61:109, 9] == Source.MISSING).all()
    assert np.isnan(points.xyz_m[61:109, 9]).all()
    assert (points.source[:, 3] == Source.MISSING).all()
    assert points.sigma_m[25, 7] > 2 * points.sigma_m[10, 7]


def test_cameras_between_frames_count_at_their_own_times(performer: Performer) -> None:
    rig = ring_rig(5, np.random.default_rng(13))
    maps = {name: TimeMap(offset_s=o) for name, o in zip(rig.names, (0.0, 0.007, 0.011, 0.004, 0.009), strict=True)}
    rng = np.random.default_rng(14)
    seen = detect([performer], rig, FPS, N_FRAMES, rng, faults=Faults(noise_px=0.0), time_maps=maps)
    timeline = common_timeline(seen.keypoints.time_s, FPS)
    error = _error_m(reconstruct_points(seen.keypoints, rig, timeline).points.xyz_m, performer, timeline)
    in_step = Keypoints2D(
        seen.keypoints.keypoint_set,
        rig.names,
        seen.keypoints.xy_px,
        seen.keypoints.score,
        np.tile(timeline.start_s + np.arange(N_FRAMES) / float(FPS), (5, 1)),
    )
    ignored = _error_m(reconstruct_points(in_step, rig, timeline).points.xyz_m, performer, timeline)
    assert np.nanmean(error) < 2 * MM
    assert np.nanmean(ignored) > 3 * np.nanmean(error)


def test_a_fast_camera_alone_measures_nothing(performer: Performer) -> None:
    rig = ring_rig(3, np.random.default_rng(13))
    seen = detect([performer], rig, 2 * FPS, 2 * N_FRAMES, np.random.default_rng(14), faults=Faults(noise_px=1.0))
    k, half = seen.keypoints, slice(N_FRAMES, None)
    xy, score, time_s = k.xy_px.copy(), k.score.copy(), np.asarray(k.time_s).copy()
    for values, nothing in ((xy, np.nan), (score, 0.0), (time_s, np.nan)):  # the others take every other frame
        values[1:, :N_FRAMES] = values[1:, ::2]
        values[1:, half] = nothing
    xy[1:, 60:110], score[1:, 60:110] = np.nan, 0.0
    detections = Keypoints2D(k.keypoint_set, k.camera_names, xy, score, time_s)
    source = reconstruct_points(detections, rig, common_timeline(time_s, FPS)).points.source
    assert (source[62:108] != Source.MEASURED).all()
    assert (source[:58] == Source.MEASURED).mean() > 0.9


def test_windows_join_without_a_seam(performer: Performer, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, seen, timeline = _take(performer, 5, noise_px=2.0, outlier_share=0.05)
    whole = reconstruct_points(seen.keypoints, rig, timeline).points.xyz_m
    monkeypatch.setattr(windows, "MAX_FRAMES", 61)
    parts = reconstruct_points(seen.keypoints, rig, timeline).points.xyz_m
    # the noise map is measured per window, so the results differ a little everywhere; a seam would differ in one place
    assert np.nanquantile(np.linalg.norm(parts - whole, axis=-1), 0.99) < 5 * MM
    jump = np.linalg.norm(np.diff(parts, axis=0), axis=-1)
    true_jump = np.linalg.norm(np.diff(performer.points(timeline.time_s), axis=0), axis=-1)
    seams = [w.stop - 1 for w in windows.windows(N_FRAMES, float(FPS))[:-1]]
    assert len(seams) >= 2
    assert np.nanmax(jump[seams] - true_jump[seams]) < 6 * MM


def test_a_camera_that_sees_nothing_changes_nothing(performer: Performer) -> None:
    rig, seen, timeline = _take(performer, 5, noise_px=1.0)
    k = seen.keypoints
    xy, score = k.xy_px.copy(), k.score.copy()
    xy[2], score[2] = np.nan, 0.0
    blind = reconstruct_points(Keypoints2D(k.keypoint_set, k.camera_names, xy, score, k.time_s), rig, timeline)
    assert np.isfinite(blind.points.xyz_m).all()
    assert np.isnan(blind.sigma_px[2]).all()


def test_one_camera_alone_gives_no_points(performer: Performer) -> None:
    rig, seen, timeline = _take(performer, 5, noise_px=1.0)
    k = seen.keypoints
    xy, score = k.xy_px.copy(), k.score.copy()
    xy[1:], score[1:] = np.nan, 0.0
    alone = reconstruct_points(Keypoints2D(k.keypoint_set, k.camera_names, xy, score, k.time_s), rig, timeline)
    assert np.isnan(alone.points.xyz_m).all()
    assert (alone.points.source == Source.MISSING).all()


def test_sides_that_a_views_own_motion_tells_wrongly_are_not_put_back(
    performer: Performer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(xy_px: np.ndarray, limbs: tuple[np.ndarray, ...], _fps: np.ndarray) -> np.ndarray:
        turned = np.zeros((*xy_px.shape[:2], len(limbs)), bool)
        turned[:2, 40:60] = True
        return turned

    monkeypatch.setattr(points, "exchanged_by_motion", wrong)
    rig, seen, timeline = _take(performer, 3, noise_px=1.0)
    result = reconstruct_points(seen.keypoints, rig, timeline)
    assert not result.exchanged.any()
    assert np.nanmax(_error_m(result.points.xyz_m, performer, timeline)) < 0.05
