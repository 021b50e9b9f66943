"""A take of which every camera was looked at in every n-th frame only, as `preview` does."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import cast

import numpy as np
import pytest

from mocap.analysis.gates import quality_gates
from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D, looked_at
from mocap.core.observations import common_timeline
from mocap.core.timeline import TimeMap
from mocap.pose2d.assemble import assemble
from mocap.pose2d.detections import CameraDetections
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.take import solve_take
from mocap.sync.motion import synchronise_motion
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig
from mocap.tracking.performer import choose_performer
from tests.sync.conftest import Lively, worst_error_s

MAPS = {n: TimeMap(o) for n, o in zip(("cam1", "cam2", "cam3", "cam4"), (0.0, 0.2167, -0.3833, 0.1371), strict=True)}
SECONDS = 8.0
RATES = {"cam1": (60, 4), "cam2": (60, 4), "cam3": (50, 3), "cam4": (60, 4)}
"""Frames a second, and which are looked at."""


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    return ring_rig(4, np.random.default_rng(11))


@pytest.fixture(scope="module")
def views(rig: CameraRig) -> dict[str, CameraDetections]:
    out: dict[str, CameraDetections] = {}
    person = cast(Performer, Lively(12))
    for c, (name, (fps, stride)) in enumerate(RATES.items()):
        n = round(SECONDS * fps)
        rng = np.random.default_rng(c)
        found = detect([person], rig, Fraction(fps), n, rng, faults=Faults(noise_px=2.0), time_maps=MAPS).keypoints
        xy_px, score = found.xy_px[c].copy(), found.score[c].copy()
        unseen = np.arange(n) % stride != 0
        xy_px[unseen], score[unseen] = np.nan, 0.0
        out[name] = CameraDetections(found.keypoint_set, xy_px, score, np.arange(n) / fps, (1280, 720))
    return out


def test_motion_places_the_clocks(rig: CameraRig, views: dict[str, CameraDetections]) -> None:
    maps = synchronise_motion(views, rig).maps
    assert set(maps) == set(MAPS)
    assert worst_error_s(maps, MAPS, SECONDS) < 0.010


def test_the_performer_is_found_and_solved(rig: CameraRig, views: dict[str, CameraDetections]) -> None:
    seen = assemble(views, MAPS)
    choice = choose_performer(seen, rig)
    has_any = np.isfinite(seen.xy_px[..., 0]).any((2, 3))
    assert ((choice.index >= 0) == has_any).mean() > 0.99
    assert min(choice.summary["share_of_frames"].values()) > 0.95
    person = seen.person(choice.index)
    timeline = common_timeline(person.time_s, Fraction(60))
    points = reconstruct_points(person, rig, timeline)
    xyz = points.points.xyz_m
    truth = Lively(12).points(timeline.time_s)
    assert np.isfinite(xyz[30:-30]).all(-1).mean() > 0.95
    assert np.nanmedian(np.linalg.norm(xyz - truth, axis=-1)) < 0.02
    take = solve_take(rig, points)
    assert np.nanmedian(np.linalg.norm(take.keypoints.xyz_m - truth, axis=-1)) < 0.02


@pytest.mark.parametrize(("fps", "stride"), [(60, 4), (120, 8)])
def test_cameras_of_one_clock_lose_nothing_in_the_solve(rig: CameraRig, fps: int, stride: int) -> None:
    n = round(4.0 * fps)
    person = Lively(12)
    rng = np.random.default_rng(3)
    found = detect([cast(Performer, person)], rig, Fraction(fps), n, rng, faults=Faults(noise_px=2.0)).keypoints
    looked = np.arange(n) % stride == 0
    seen = replace(
        found,
        xy_px=np.where(looked[:, None, None, None], found.xy_px, np.nan),
        score=np.where(looked[:, None, None], found.score, 0.0),
    )
    timeline = common_timeline(seen.time_s, Fraction(fps))
    take = solve_take(rig, reconstruct_points(seen, rig, timeline))
    off_m = np.linalg.norm(take.keypoints.xyz_m - person.points(timeline.time_s), axis=-1)
    assert np.nanmedian(off_m) < 0.02
    assert np.nanpercentile(off_m, 95) < 0.06


def two_cameras(rig: CameraRig, shift: float, stride: int) -> tuple[CameraRig, Keypoints2D]:
    """Return two cameras of 60 Hz, and what every stride-th frame of them shows; the second begins so much later."""
    pair = CameraRig(rig.cameras[:2])
    maps = {"cam1": TimeMap(0.0), "cam2": TimeMap(shift / 60)}
    n, person, seen = 300, cast(Performer, Lively(12)), dict[str, CameraDetections]()
    for c, name in enumerate(pair.names):
        rng = np.random.default_rng(c)
        found = detect([person], pair, Fraction(60), n, rng, faults=Faults(noise_px=2.0), time_maps=maps).keypoints
        xy_px, score = found.xy_px[c].copy(), found.score[c].copy()
        unseen = np.arange(n) % stride != 0
        xy_px[unseen], score[unseen] = np.nan, 0.0
        seen[name] = CameraDetections(found.keypoint_set, xy_px, score, np.arange(n) / 60, (1280, 720))
    return pair, assemble(seen, maps)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0, 2.5])
def test_two_cameras_that_look_in_turns_lose_nothing_in_the_solve(rig: CameraRig, shift: float) -> None:
    pair, seen = two_cameras(rig, shift, 4)
    person = seen.person(choose_performer(seen, pair).index)
    timeline = common_timeline(person.time_s, Fraction(60))
    points = reconstruct_points(person, pair, timeline)
    truth = Lively(12).points(timeline.time_s)
    off_m = np.linalg.norm(points.points.xyz_m - truth, axis=-1)
    sigma_m = points.points.sigma_m
    assert np.isfinite(off_m).mean() > 0.95
    assert np.nanmedian(off_m) < 0.015
    # What is said of the points is about what they are off by: 1.54 sd is the median length of three such axes.
    assert 0.4 < np.nanmedian(off_m) / (1.54 * np.nanmedian(sigma_m)) < 1.6
    take = solve_take(pair, points)
    solved_m = np.linalg.norm(take.keypoints.xyz_m - truth, axis=-1)
    assert np.nanmedian(solved_m) < 0.008
    assert np.nanpercentile(solved_m, 95) < 0.02
    assert "take-hardly-measured" not in {d.code for d in quality_gates(take)}


def test_looks_too_far_apart_are_named_as_what_they_are(rig: CameraRig) -> None:
    pair, seen = two_cameras(rig, 5.0, 10)
    timeline = common_timeline(seen.time_s, Fraction(60))
    with pytest.raises(InputError) as raised:
        solve_take(pair, reconstruct_points(seen, pair, timeline))
    assert raised.value.code == "looks-apart"
    assert "cam1 every 167 ms" in raised.value.message
    assert "keypoints of every frame" in raised.value.advice


def test_frames_with_detections_tell_which_were_looked_at() -> None:
    has_any = np.zeros(100, bool)
    has_any[2::4] = True
    has_any[30:50] = False
    assert looked_at(has_any) == slice(2, None, 4)
    has_any[31] = True
    assert looked_at(has_any) == slice(0, None, 1)
    assert looked_at(np.zeros(100, bool)) == slice(None)
