"""Claps placed by their sound."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.sync.audio import SOURCE, SPEED_M_S
from mocap.sync.clap_place import find_sound
from mocap.sync.evidence import Evidence
from mocap.sync.fuse import fuse

NAMES = ["a", "b", "c", "d", "e"]
PLACES_M = dict(
    zip(NAMES, np.array([[4, 3, 1.5], [-4, 3, 2.2], [-4, -3, 1.1], [4.5, -3, 2.4], [0.2, 4.6, 1.7]]), strict=True)
)
CLAP_M = np.array([1.7, -1.2, 1.3])
OFFSETS_S = dict(zip(NAMES, (0.0, 0.31, -0.22, 0.57, 0.09), strict=True))
MOTION_S = dict(zip(NAMES, (0.0, 0.0012, -0.0009, 0.0015, 0.0004), strict=True))
"""What motion is off by."""


def _motion(camera: str) -> Evidence:
    at_s = OFFSETS_S[camera] + MOTION_S[camera]
    return Evidence("motion", "a", camera, at_s, 0.0, 0.0, 0.0005, 100.0, 0.001)


def _heard(a: str, b: str) -> Evidence:
    later_s = float(np.linalg.norm(CLAP_M - PLACES_M[a]) - np.linalg.norm(CLAP_M - PLACES_M[b])) / SPEED_M_S
    lag_s = OFFSETS_S[b] - OFFSETS_S[a] + later_s
    return Evidence(SOURCE, a, b, lag_s, 0.0, 0.0, 5e-5, 10.0, 0.01, places_m=(PLACES_M[a], PLACES_M[b]))


def _heard_by_all() -> list[Evidence]:
    return [_heard(a, b) for i, a in enumerate(NAMES) for b in NAMES[i + 1 :]]


def test_the_place_is_found_and_clocks_are_surer_than_by_motion_alone() -> None:
    evidence = [*_heard_by_all(), *(_motion(c) for c in NAMES[1:])]
    sound = find_sound(evidence, PLACES_M, NAMES, "a")
    assert sound is not None
    assert np.linalg.norm((sound.at_m - CLAP_M)[:2]) < 1.2
    maps = fuse(evidence, NAMES, "a", sound).maps
    alone = fuse([_motion(c) for c in NAMES[1:]], NAMES, "a").maps
    error = {c: abs(maps[c].offset_s - OFFSETS_S[c]) for c in NAMES[1:]}
    assert max(error.values()) < 0.0015
    assert all(maps[c].sigma_s < alone[c].sigma_s for c in NAMES[1:])


def test_sound_alone_places_no_claps() -> None:
    assert find_sound(_heard_by_all(), PLACES_M, NAMES, "a") is None


def test_a_camera_that_only_hears_gets_its_travel_time_corrected_too() -> None:
    evidence = [*_heard_by_all(), *(_motion(c) for c in NAMES[1:4])]
    sound = find_sound(evidence, PLACES_M, NAMES, "a")
    assert fuse(evidence, NAMES, "a", sound).maps["e"].offset_s == pytest.approx(OFFSETS_S["e"], abs=0.003)
