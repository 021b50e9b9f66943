"""Synthetic takes whose clocks are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import cast

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.timeline import TimeMap
from mocap.pose2d.detections import CameraDetections
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import HALPE26, Performer
from mocap.synth.rig import ring_rig

Views = dict[str, CameraDetections]
MakeViews = Callable[..., Views]
REALISTIC = Faults(noise_px=2.0, outlier_share=0.05, dropout_share=0.1, swap_share=0.03)


@pytest.fixture(scope="session")
def rig() -> CameraRig:
    return ring_rig(5, np.random.default_rng(11))


class Lively:
    """A performer who hurries and dawdles, so that no moment is like another: the walk alone repeats itself."""

    keypoint_set = HALPE26

    def __init__(self, seed: int, center_m: tuple[float, float] = (0.0, 0.0)) -> None:
        self.performer = Performer.random(np.random.default_rng(seed), center_m=center_m)
        self.phase = np.random.default_rng(seed).uniform(0, 6, 3)

    def points(self, time_s: np.ndarray) -> np.ndarray:
        a, b, c = self.phase
        pace = 0.5 * np.sin(0.9 * time_s + a) + 0.25 * np.sin(2.3 * time_s + b) + 0.07 * np.sin(5.1 * time_s + c)
        drift = np.stack([0.35 * np.sin(0.61 * time_s + b), 0.3 * np.sin(0.47 * time_s + c), 0 * time_s], -1)
        return self.performer.points(time_s + pace) + drift[:, None]


@pytest.fixture(scope="session")
def performer() -> Lively:
    return Lively(12)


@pytest.fixture(scope="session")
def clocks(rig: CameraRig) -> dict[str, TimeMap]:
    """Master time is the first camera's, as `mocap sync` reports it."""
    offsets = (0.0, 0.4137, -0.2291, 0.0518, -0.6302)
    drifts = (0.0, 38.0, -51.0, 7.0, 22.0)
    return {n: TimeMap(o, d) for n, o, d in zip(rig.names, offsets, drifts, strict=True)}


@pytest.fixture(scope="session")
def make_views(rig: CameraRig, performer: Lively) -> MakeViews:
    """Return a function that films performers with cameras whose clocks are as given."""

    def make(
        maps: Mapping[str, TimeMap],
        n_frames: int = 307,
        faults: Faults = REALISTIC,
        fps: Fraction = Fraction(60),
        people: Sequence[Lively] | None = None,
        seed: int = 13,
    ) -> Views:
        rng = np.random.default_rng(seed)
        found = detect(
            cast(list[Performer], people or [performer]), rig, fps, n_frames, rng, faults=faults, time_maps=maps
        ).keypoints
        time_s = np.arange(n_frames) / float(fps)
        return {
            name: CameraDetections(found.keypoint_set, found.xy_px[c], found.score[c], time_s, (1280, 720))
            for c, name in enumerate(rig.names)
        }

    return make


def worst_error_s(found: Mapping[str, TimeMap], true: Mapping[str, TimeMap], duration_s: float) -> float:
    """Return the largest difference of two sets of clocks over a recording."""
    t = np.linspace(0, duration_s, 7)
    return max(float(np.abs(found[n].master_time_s(t) - true[n].master_time_s(t)).max()) for n in true)
