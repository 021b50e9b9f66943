"""Rejected views that agree on an unreachable place are told apart from views that are wrong one by one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from mocap.core.keypoints import Keypoints2D, load_keypoint_set
from mocap.core.observations import observe
from mocap.core.timeline import Timeline
from mocap.solve.implausible import TOO_FAST, Entry
from mocap.solve.jumps import agreeing_elsewhere
from mocap.synth.detections import project_points
from mocap.synth.rig import ring_rig

HALPE = load_keypoint_set("halpe26")
WRIST = HALPE.names.index("LWrist")
N_FRAMES, AT = 7, 3


def _found(jump_m: np.ndarray, off_px: np.ndarray, rejected: tuple[int, ...]) -> tuple[list[Entry], np.ndarray]:
    """Return what is found where a wrist at rest jumps in one frame, and each view [camera 2] errs on top."""
    rig = ring_rig(3, np.random.default_rng(51))
    solved = np.tile([0.1, 0.2, 1.3], (N_FRAMES, 1))
    moved = solved.copy()
    moved[AT] += jump_m
    xy = np.full((3, N_FRAMES, 1, len(HALPE), 2), np.nan)
    xy[:, :, 0, WRIST] = np.stack([project_points(camera, moved) for camera in rig.cameras])
    xy[:, AT, 0, WRIST] += off_px
    score = np.where(np.isfinite(xy).all(-1), 0.9, 0.0)
    time_s = np.tile(np.arange(N_FRAMES) / 60, (3, 1))
    seen = observe(Keypoints2D(HALPE, rig.names, xy, score, time_s), rig, Timeline(Fraction(60), N_FRAMES, 0.0))
    names = tuple(HALPE.names)
    mask = np.zeros(seen.seen.shape, bool)
    mask[list(rejected), AT, WRIST] = True
    points = np.repeat(solved[:, None], len(names), axis=1)
    entries, shown = agreeing_elsewhere(names, points, mask, seen, np.full(mask.shape, 3.0), 60.0)
    return entries, shown[:, AT, WRIST]


def test_a_jump_is_found_though_one_of_its_views_is_wrong_by_itself() -> None:
    entries, shown = _found(np.array([0.3, 0.3, 0.2]), np.array([[0, 0], [0, 0], [120.0, -90.0]]), (0, 1, 2))
    assert [(e.landmark, e.first, e.last, e.reason) for e in entries] == [("LWrist", AT, AT, TOO_FAST)]
    assert shown.tolist() == [True, True, False]


def test_views_that_agree_on_nothing_are_no_jump() -> None:
    off = np.array([[100.0, 20.0], [-80.0, 110.0], [30.0, -130.0]])
    entries, shown = _found(np.zeros(3), off, (0, 1, 2))
    assert entries == []
    assert not shown.any()


def test_two_views_against_one_that_sees_the_wrist_in_its_place_are_no_jump() -> None:
    rig = ring_rig(3, np.random.default_rng(51))
    jump = np.array([0.3, 0.3, 0.2])
    place = np.array([[0.1, 0.2, 1.3]])
    back = project_points(rig.cameras[2], place) - project_points(rig.cameras[2], place + jump)
    entries, _ = _found(jump, np.concatenate([np.zeros((2, 2)), back]), (0, 1))
    assert entries == []


def test_a_view_along_whose_rays_the_jump_goes_is_rejected_with_the_others() -> None:
    camera = ring_rig(3, np.random.default_rng(51)).cameras[2]
    ray = np.array([0.1, 0.2, 1.3]) - camera.center_world_m
    side = np.cross(ray, [0.0, 0.0, 1.0]) / np.linalg.norm(ray)
    entries, shown = _found(0.4 * ray / np.linalg.norm(ray) + 0.04 * side, np.zeros((3, 2)), (0, 1))
    assert [e.landmark for e in entries] == ["LWrist"]
    assert shown.all()
