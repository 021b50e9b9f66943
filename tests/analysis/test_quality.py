"""Figures of a solved take."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mocap.analysis.quality import measure_quality, quality_summary
from mocap.core.keypoints import Keypoints2D, Points3D, Source


def test_an_exact_take_has_no_error_and_rigid_bones(take):
    summary = quality_summary(take)
    assert all(c["reproj_median_px"] < 0.1 for c in summary["cameras"].values())
    assert summary["bone_sd_mm"] == 0.0
    assert summary["share"]["measured"] == 1.0
    assert summary["rejected"] == {"swapped sides": 3, "low score": 11}


def test_the_summary_is_json_with_the_keys_of_the_report_file(take):
    summary = json.loads(json.dumps(quality_summary(take), allow_nan=False))
    assert {"cameras", "bone_sd_mm", "points_bone_sd_mm", "share", "rejected"} <= set(summary)
    assert list(summary["cameras"]) == ["cam1", "cam2", "cam3", "cam4", "cam5"]
    assert {"reproj_median_px", "reproj_p95_px"} <= set(summary["cameras"]["cam1"])


def test_noise_on_detections_shows_as_its_rayleigh_median(new_take):
    summary = quality_summary(new_take(n_frames=101, noise_px=3.0))
    # The median length of a 2-vector of standard deviation s is 1.1774 s.
    assert summary["reproj_median_px"] == pytest.approx(3.0 * 1.1774, rel=0.05)


def test_bones_of_noisy_points_vary_and_those_of_the_solve_do_not(new_take):
    quality = measure_quality(new_take(n_frames=53, noise_m=0.01))
    assert all(b.points_sd_m > 0.005 for b in quality.bones)
    assert all(b.sd_m < 1e-9 for b in quality.bones)
    thigh = next(b for b in quality.bones if b.name == "LHip-LKnee")
    assert thigh.mean_m == pytest.approx(0.43)


def test_weak_detections_do_not_count_and_rejected_ones_do(take):
    xy, score = np.array(take.detections.xy_px), np.array(take.detections.score)
    xy[0, :, 0] += 500.0
    score[0, :, 0] = 0.1
    xy[1, :, 0] += 300.0
    inlier = np.array(take.inlier_probability)
    inlier[1] = 0.0
    detections = Keypoints2D(
        take.detections.keypoint_set, take.detections.camera_names, xy, score, take.detections.time_s
    )
    cameras = quality_summary(replace(take, detections=detections, inlier_probability=inlier))["cameras"]
    assert cameras["cam1"]["reproj_median_px"] is None
    assert cameras["cam2"]["reproj_median_px"] == pytest.approx(300 * np.sqrt(2), rel=0.01)
    assert cameras["cam2"]["inlier_share"] == 0.0


def test_a_camera_that_sees_nothing_reports_null(take):
    xy, score = np.array(take.detections.xy_px), np.array(take.detections.score)
    xy[2], score[2] = np.nan, 0.0
    detections = Keypoints2D(
        take.detections.keypoint_set, take.detections.camera_names, xy, score, take.detections.time_s
    )
    camera = quality_summary(replace(take, detections=detections))["cameras"]["cam3"]
    assert camera["reproj_median_px"] is None
    assert camera["n_detections"] == 0


def test_shares_tell_what_was_filled_in(take):
    source = np.array(take.keypoints.source)
    source[2:5, 9] = Source.INTERPOLATED
    source[:, 3] = Source.SOLVED
    k = take.keypoints
    points = Points3D(k.keypoint_set, k.time_s, k.xyz_m, k.sigma_m, source)
    summary = quality_summary(replace(take, keypoints=points))
    assert summary["share"]["interpolated"] == pytest.approx(3 / (7 * 26), abs=1e-5)
    assert summary["share"]["solved"] == pytest.approx(1 / 26, abs=1e-5)
    assert summary["keypoints"]["LWrist"]["share"] == pytest.approx(
        {"measured": 4 / 7, "interpolated": 3 / 7}, abs=1e-5
    )


def test_a_foot_that_slides_level_shows_its_speed_and_no_change_of_height(new_take):
    take = new_take(n_frames=13)
    motion = take.motion
    still = np.tile(motion.local_wxyz[:1], (13, 1, 1))
    root = motion.root_translation_m[:1] + np.arange(13)[:, None] / float(motion.timeline.fps) * np.array(
        [0.3, 0.4, 0.0]
    )
    moved = replace(motion, local_wxyz=still, root_translation_m=root)
    left, right = measure_quality(replace(take, motion=moved)).contacts
    assert right.slide_median_m_s == pytest.approx(0.5)
    assert right.height_sd_m == pytest.approx(0.0, abs=1e-12)
    # The left foot's contacts are single frames: it has a height but no speed.
    assert left.n_frames == 7
    assert np.isnan(left.slide_median_m_s)


def test_two_supports_of_different_height_are_no_change_of_height(new_take):
    take = new_take(n_frames=13)
    motion = take.motion
    still = np.tile(motion.local_wxyz[:1], (13, 1, 1))
    root = np.tile(motion.root_translation_m[:1], (13, 1))
    root[7:, 2] += 0.2
    root[8, 2] += 0.003
    contact = np.zeros(take.contact.shape, bool)
    contact[:5] = contact[8:] = True
    moved = replace(take, motion=replace(motion, local_wxyz=still, root_translation_m=root), contact=contact)
    figures = measure_quality(moved).contacts[0]
    assert figures.height_range_m == pytest.approx(0.003)
    assert figures.height_sd_m < 0.002


def test_contacts_of_unknown_joints_are_left_out(take):
    assert measure_quality(replace(take, contact_names=("LeftFoot", "Tail"))).contacts[0].joint == "LeftFoot"
    assert len(measure_quality(replace(take, contact_names=("LeftFoot", "Tail"))).contacts) == 1
