"""The worst moments of a take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mocap.analysis.moments import Trouble, camera_frames, far_frames, worst_moments
from mocap.analysis.quality import measure_quality
from mocap.core.keypoints import Keypoints2D, Points3D, Source


def _with_detections(take, xy, inlier=None):
    d = take.detections
    detections = Keypoints2D(d.keypoint_set, d.camera_names, xy, d.score, d.time_s)
    return replace(
        take, detections=detections, inlier_probability=take.inlier_probability if inlier is None else inlier
    )


def _worst(take, n=8):
    return worst_moments(take, measure_quality(take), n)


def test_a_camera_that_is_off_for_a_while_leads_and_is_named(new_take):
    take = new_take(n_frames=97, noise_px=1.0)
    xy = np.array(take.detections.xy_px)
    xy[3, 41:44] += [40.0, 30.0]
    first = _worst(_with_detections(take, xy))[0]
    assert first.trouble is Trouble.REPROJECTION
    assert first.camera == "cam4"
    assert 41 <= first.camera_frame <= 43
    assert "50 px" in first.reason


def test_a_frame_whose_detections_were_mostly_rejected_says_how_many_and_both_medians(new_take):
    take = new_take(n_frames=97)
    xy, inlier = np.array(take.detections.xy_px), np.array(take.inlier_probability)
    seen = np.flatnonzero(np.isfinite(xy[1, 60, 0]).all(-1))
    rejected, rest = seen[:-7], seen[-7:]
    xy[1, 60, 0, rejected] += [54.0, 72.0]
    xy[1, 60, 0, rest] += [0.0, 11.0]
    inlier[1, 60, rejected] = 0.1
    bad = _with_detections(take, xy, inlier)
    quality = measure_quality(bad)
    first = worst_moments(bad, quality, 1)[0]
    assert (first.trouble, first.camera, first.camera_frame) == (Trouble.REJECTED, "cam2", 60)
    assert np.isclose(first.score, 90 / (60 * 1280 / 1920), atol=0.02)
    assert f"{len(rejected)} of {len(seen)} detections in cam2 were rejected here" in first.reason
    assert "the rest are 11 px off, all together 90 px" in first.reason
    assert np.isclose(quality.frame_median_px[1, 60], 90.0, atol=0.5)


def test_many_rejected_detections_score_by_their_share_though_they_are_near(new_take):
    take = new_take(n_frames=97)
    xy, inlier = np.array(take.detections.xy_px), np.array(take.inlier_probability)
    seen = np.flatnonzero(np.isfinite(xy[1, 60, 0]).all(-1))
    xy[1, 60, 0, seen] += [6.0, 8.0]
    inlier[1, 60, seen] = 0.1
    first = _worst(_with_detections(take, xy, inlier), 1)[0]
    assert (first.trouble, first.score) == (Trouble.REJECTED, 2.0)
    assert first.reason.endswith("were rejected here: the skeleton is 10 px from them (median).")


def test_a_keypoint_is_far_only_when_two_views_say_so(new_take):
    take = new_take(n_frames=97, noise_px=1.0)
    inlier = np.array(take.inlier_probability)
    inlier[:2, 60, 9] = 0.0
    one, two = np.array(take.detections.xy_px), np.array(take.detections.xy_px)
    one[0, 60, 0, 9] += 200.0
    two[:2, 60, 0, 9] += 200.0
    assert all(m.trouble is not Trouble.FAR or m.score < 0.5 for m in _worst(_with_detections(take, one, inlier)))
    first = _worst(_with_detections(take, two, inlier))[0]
    assert (first.trouble, first.keypoint) == (Trouble.FAR, "LWrist")
    assert first.score > 4
    far = _with_detections(take, two, inlier)
    assert far_frames(far, measure_quality(far)).tolist() == [60]


def test_a_long_gap_is_shown_at_its_middle(new_take):
    take = new_take(n_frames=97)
    k, source = take.keypoints, np.array(take.keypoints.source)
    source[30:71, 10] = Source.INTERPOLATED
    first = _worst(replace(take, keypoints=Points3D(k.keypoint_set, k.time_s, k.xyz_m, k.sigma_m, source)))[0]
    assert (first.trouble, first.keypoint, first.frame) == (Trouble.GAP, "RWrist", 50)


def test_keypoints_that_were_never_measured_are_no_moment(new_take):
    take = new_take(n_frames=97)
    k, source, sigma = take.keypoints, np.array(take.keypoints.source), np.array(take.keypoints.sigma_m)
    source[:, 4], sigma[:, 4] = Source.SOLVED, 0.4
    moments = _worst(replace(take, keypoints=Points3D(k.keypoint_set, k.time_s, k.xyz_m, sigma, source)))
    assert all(m.keypoint != "REar" for m in moments)


def test_moments_are_apart_in_time_and_ranked(new_take):
    moments = _worst(new_take(n_frames=599, noise_px=4.0), 7)
    frames = sorted(m.frame for m in moments)
    assert len(moments) == 7
    assert min(np.diff(frames)) >= 30
    assert [m.score for m in moments] == sorted((m.score for m in moments), reverse=True)


def test_an_empty_take_has_no_moments(new_take):
    take = new_take(n_frames=7)
    d = take.detections
    nothing = Keypoints2D(
        d.keypoint_set, d.camera_names, np.full(d.xy_px.shape, np.nan), np.zeros(d.score.shape), d.time_s
    )
    k = take.keypoints
    missing = Points3D(
        k.keypoint_set,
        k.time_s,
        np.full(k.xyz_m.shape, np.nan),
        np.full(k.sigma_m.shape, np.nan),
        np.zeros_like(k.source),
    )
    assert _worst(replace(take, detections=nothing, keypoints=missing, points=missing)) == ()


def test_a_camera_has_no_frame_beyond_its_footage():
    times = np.array([1.0, 1.1, 1.2, np.nan])
    assert camera_frames(times, np.array([0.5, 0.95, 1.14, 1.25, 1.5])).tolist() == [-1, 0, 1, 2, -1]
