"""Clocks that are far off are placed from the motion of points, by every stretch that tells of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.core.progress import NoProgress
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig
from sessions import clock_placing
from sessions.clock_placing import placed_clocks

FPS, N_FRAMES, LATE_S = Fraction(60), 240, 0.1


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    return ring_rig(4, np.random.default_rng(91))


@pytest.fixture(scope="module")
def late(rig: CameraRig) -> Keypoints2D:
    """Detections whose third camera is late."""
    performer = Performer.random(np.random.default_rng(92))
    faults = Faults(noise_px=1.5, outlier_share=0.03, dropout_share=0.05)
    seen = detect([performer], rig, FPS, N_FRAMES, np.random.default_rng(93), faults=faults).keypoints
    time_s = seen.time_s.copy()
    time_s[2] += LATE_S
    return replace(seen, time_s=time_s)


def _cut(seen: Keypoints2D, first: int, last: int, blind: int | None = None) -> Keypoints2D:
    """Return some frames, in which a camera saw nobody."""
    part = seen.cut(np.full(4, first), np.full(4, last))
    if blind is None:
        return part
    score, xy_px = part.score.copy(), part.xy_px.copy()
    score[blind], xy_px[blind] = 0.0, np.nan
    return replace(part, score=score, xy_px=xy_px)


def test_the_late_clock_is_placed_and_the_others_stay(rig: CameraRig, late: Keypoints2D) -> None:
    placed = placed_clocks(rig, [late], FPS, NoProgress())
    assert placed[rig.names[2]].offset_s == pytest.approx(-LATE_S, abs=0.004)
    assert 0 < placed[rig.names[2]].sigma_s < 0.004
    assert [placed[rig.names[c]].offset_s for c in (0, 1, 3)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("blind", [2, 0])
def test_a_stretch_without_a_camera_tells_nothing_of_its_clock(rig: CameraRig, late: Keypoints2D, blind: int) -> None:
    whole, part = _cut(late, 0, 120), _cut(late, 120, N_FRAMES, blind)
    placed = placed_clocks(rig, [whole, part], FPS, NoProgress())
    assert placed[rig.names[2]].offset_s == pytest.approx(-LATE_S, abs=0.006)
    assert [placed[rig.names[c]].offset_s for c in (0, 1, 3)] == [0.0, 0.0, 0.0]


def test_against_a_first_camera_that_saw_nobody_nothing_is_placed_but_against_the_next(
    rig: CameraRig, late: Keypoints2D
) -> None:
    placed = placed_clocks(rig, [_cut(late, 0, N_FRAMES, 0)], FPS, NoProgress())
    assert placed[rig.names[2]].offset_s == pytest.approx(-LATE_S, abs=0.006)
    assert placed[rig.names[0]].offset_s == 0.0
    assert placed[rig.names[0]].sigma_s > 0.5


def test_steps_that_come_to_no_end_place_nothing(
    rig: CameraRig, late: Keypoints2D, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_placing, "MAX_ROUNDS", 1)
    assert placed_clocks(rig, [late], FPS, NoProgress()) == {}


def test_of_nobody_nothing_is_placed(rig: CameraRig, late: Keypoints2D) -> None:
    nobody = replace(late, score=np.zeros_like(late.score), xy_px=np.full_like(late.xy_px, np.nan))
    assert placed_clocks(rig, [nobody], FPS, NoProgress()) == {}


def test_a_stretch_in_which_one_camera_ran_tells_nothing(rig: CameraRig, late: Keypoints2D) -> None:
    apart = replace(late, time_s=late.time_s + 60.0 * np.arange(4)[:, None])
    assert placed_clocks(rig, [apart], FPS, NoProgress()) == {}
    placed = placed_clocks(rig, [late, apart], FPS, NoProgress())
    assert placed[rig.names[2]].offset_s == pytest.approx(-LATE_S, abs=0.004)
