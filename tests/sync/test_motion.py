"""Clocks from keypoints alone, on takes whose clocks are known."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.core.timeline import TimeMap
from mocap.pose2d.detections import CameraDetections
from mocap.sync.fuse import fuse
from mocap.sync.motion import motion_evidence, synchronise_motion
from mocap.sync.synchronise import Sources, synchronise
from mocap.synth.detections import Faults
from tests.sync.conftest import Lively, MakeViews, worst_error_s

EXACT = Faults(noise_px=0.01)


def test_exact_detections_with_a_rig_give_exact_clocks(
    rig: CameraRig, clocks: dict[str, TimeMap], make_views: MakeViews
) -> None:
    found = synchronise_motion(make_views(clocks, faults=EXACT), rig)
    # smoothing rounds curved motion alike in all views, but perspective does not quite
    assert worst_error_s(found.maps, clocks, 5.0) < 0.0005
    assert found.maps["cam1"] == TimeMap(0.0, 0.0, 0.0, ())


def test_imperfect_detections_with_a_rig_are_within_two_milliseconds(
    rig: CameraRig, clocks: dict[str, TimeMap], make_views: MakeViews
) -> None:
    found = synchronise_motion(make_views(clocks), rig)
    assert worst_error_s(found.maps, clocks, 5.0) < 0.002
    assert all(m.methods == ("motion",) and 0 < m.sigma_s < 0.003 for n, m in found.maps.items() if n != "cam1")


def test_imperfect_detections_without_a_rig_are_within_half_a_frame(
    clocks: dict[str, TimeMap], make_views: MakeViews
) -> None:
    assert worst_error_s(synchronise_motion(make_views(clocks)).maps, clocks, 5.0) < 0.008


def test_cameras_of_different_rates_are_compared_in_time_not_in_frames(
    rig: CameraRig, clocks: dict[str, TimeMap], make_views: MakeViews
) -> None:
    views = make_views(clocks)
    views["cam3"] = make_views(clocks, n_frames=151, fps=Fraction(30000, 1001))["cam3"]
    assert worst_error_s(synchronise_motion(views, rig).maps, clocks, 5.0) < 0.003


def test_a_dropped_frame_is_no_shift(rig: CameraRig, clocks: dict[str, TimeMap], make_views: MakeViews) -> None:
    views = make_views(clocks)
    keep = np.setdiff1d(np.arange(307), [83, 84, 151, 197])
    v = views["cam2"]
    views["cam2"] = CameraDetections(v.keypoint_set, v.xy_px[keep], v.score[keep], v.time_s[keep], v.size_px)
    assert worst_error_s(synchronise_motion(views, rig).maps, clocks, 5.0) < 0.002


def test_people_listed_in_any_order_are_told_apart(
    rig: CameraRig, performer: Lively, clocks: dict[str, TimeMap], make_views: MakeViews
) -> None:
    other = Lively(5, (1.1, -0.9))
    views = make_views(clocks, people=[performer, other])
    rng = np.random.default_rng(3)
    for name, v in views.items():
        order = rng.permuted(np.tile([0, 1], (v.n_frames, 1)), axis=1)
        xy = np.take_along_axis(v.xy_px, order[:, :, None, None], 1)
        score = np.take_along_axis(v.score, order[:, :, None], 1)
        views[name] = CameraDetections(v.keypoint_set, xy, score, v.time_s, v.size_px)
    assert worst_error_s(synchronise_motion(views, rig).maps, clocks, 5.0) < 0.004


def test_a_stale_rig_does_not_become_a_time(rig: CameraRig, clocks: dict[str, TimeMap], make_views: MakeViews) -> None:
    views = make_views(clocks)
    v = views["cam2"]
    shifted = CameraDetections(v.keypoint_set, v.xy_px + np.array([9, -4], np.float32), v.score, v.time_s, v.size_px)
    assert worst_error_s(synchronise_motion({**views, "cam2": shifted}, rig).maps, clocks, 5.0) < 0.004


def test_cameras_that_filmed_at_different_times_are_not_tied(
    rig: CameraRig, performer: Lively, make_views: MakeViews
) -> None:
    apart = {n: TimeMap(0.0 if n == "cam1" else 20.0) for n in rig.names}
    other = make_views(apart, people=[Lively(6)])
    first = make_views(apart)
    views = {"cam1": first["cam1"], "cam2": other["cam2"]}
    with pytest.raises(InputError) as caught:
        synchronise(Sources(("cam1", "cam2"), views=views, rig=CameraRig(rig.cameras[:2])))
    assert caught.value.code == "sync-no-evidence"
    assert "may not overlap" in caught.value.message


def test_a_camera_that_started_after_the_action_stays_out_and_the_others_are_kept(
    rig: CameraRig, clocks: dict[str, TimeMap], make_views: MakeViews
) -> None:
    late = {**clocks, "cam1": TimeMap(60.0)}
    views = make_views(late, n_frames=241, people=[Lively(8)])
    views = {**make_views(clocks, n_frames=241), "cam1": views["cam1"]}
    result = synchronise(Sources(rig.names, views=views, rig=rig))
    assert "cam1" not in result.maps
    assert result.fused.reference == "cam2"
    assert [d.code for d in result.diagnostics] == ["sync-camera-untied"]
    relative = clocks["cam4"].offset_s - clocks["cam2"].offset_s
    assert result.maps["cam4"].offset_s == pytest.approx(relative, abs=0.003)


def test_views_without_anybody_give_no_evidence(rig: CameraRig, make_views: MakeViews) -> None:
    views = make_views({})
    empty = {
        n: CameraDetections(v.keypoint_set, np.full_like(v.xy_px, np.nan), np.zeros_like(v.score), v.time_s, v.size_px)
        for n, v in views.items()
    }
    assert motion_evidence(empty, rig).evidence == ()
    assert motion_evidence(empty).evidence == ()


def test_a_still_performer_leaves_the_clocks_open(rig: CameraRig, make_views: MakeViews) -> None:
    views = make_views({}, faults=EXACT)
    rng = np.random.default_rng(4)
    still = {}
    for n, v in views.items():
        xy = np.repeat(v.xy_px[:1], v.n_frames, 0) + rng.normal(0, 2, v.xy_px.shape).astype(np.float32)
        score = np.where(np.isfinite(xy[..., 0]), np.float32(0.8), np.float32(0.0))
        still[n] = CameraDetections(v.keypoint_set, xy, score, v.time_s, v.size_px)
    found = motion_evidence(still, rig)
    assert all(e.sigma_s > 0.01 for e in found.evidence)


def test_views_of_different_performers_without_a_rig_are_not_tied(make_views: MakeViews) -> None:
    first, other = make_views({}), make_views({}, people=[Lively(6)], seed=14)
    found = motion_evidence({"cam1": first["cam1"], "cam3": other["cam3"]})
    assert all(e.sigma_s > 0.5 for e in found.evidence)


def test_what_is_wrong_with_one_view_is_not_averaged_away_over_its_pairs(
    rig: CameraRig, clocks: dict[str, TimeMap], make_views: MakeViews
) -> None:
    views = make_views(clocks)
    evidence = motion_evidence(views).evidence
    assert all(0 < e.bias_s < e.sigma_s for e in evidence)
    sigma_s = fuse(evidence, list(views)).maps[rig.names[1]].sigma_s
    unrelated = [replace(e, bias_s=0.0) for e in evidence]
    # a tenth of each pair's variance shared by its cameras, as measured, is a seventh of a camera's sigma among five
    assert sigma_s > 1.1 * fuse(unrelated, list(views)).maps[rig.names[1]].sigma_s
