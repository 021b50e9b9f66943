"""Where the claps were, from the sound itself: with calibrated cameras their lags and other evidence place them.

Sound reaches n cameras with n - 1 differences of travel time; motion tells the clocks to a millisecond or two (half a
metre of sound), so that the place is found to about that, and with four cameras or more it has less freedom than the
lags have: what is left over makes the clocks surer. The place is one more unknown of the fusion (Gauss-Newton from
several starts, since differences of distances are not linear).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mocap.sync.audio import SOURCE, SPEED_M_S, TRAVEL_S
from mocap.sync.evidence import Evidence
from mocap.sync.fuse import SoundPlace, System, connected

HEIGHT_M, HEIGHT_SD_M = 1.2, 0.5
"""Hands that clap, whoever claps."""
MIN_SD_M = 2.0
"""1 sd, along the floor, of a clap from the middle of the cameras; the cameras' own spread where that is more."""
HAND_S = 0.1 / SPEED_M_S / np.sqrt(2)
"""Travel time of a hand's breadth, and of some degrees of temperature."""
STARTS = 5
N_STEPS = 6
SURE_S = TRAVEL_S / 2
"""Other evidence must know a camera's clock at least this well to help in placing the claps."""


def find_sound(
    evidence: Sequence[Evidence], positions_m: Mapping[str, np.ndarray], names: Sequence[str], reference: str
) -> SoundPlace | None:
    """Return the place that the sounds come from, for `fuse`; None where too little else ties the cameras."""
    heard = [e for e in evidence if e.source == SOURCE and e.places_m is not None]
    others = [e for e in evidence if e.source != SOURCE and np.hypot(e.sigma_s, np.sqrt(2) * e.bias_s) < SURE_S]
    listening = {c for e in heard for c in (e.camera_a, e.camera_b)}
    tied = [n for n in connected(others, names, reference) if n in listening]
    if len(tied) < 2 or reference not in listening:
        return None
    cameras = np.stack([positions_m[n] for n in positions_m])
    middle = np.array([*cameras[:, :2].mean(0), HEIGHT_M])
    along = max(MIN_SD_M, float(np.sqrt(((cameras[:, :2] - middle[:2]) ** 2).sum(-1).mean() / 2)))
    usual = SoundPlace(middle, middle, np.array([along, along, HEIGHT_SD_M]), SPEED_M_S, HAND_S)
    used = [*heard, *others]
    found = [_placed(used, tied, reference, replace(usual, at_m=start)) for start in _starts(usual)]
    return min(found, key=lambda f: f[0])[1]


def _starts(usual: SoundPlace) -> list[np.ndarray]:
    steps = np.linspace(-1.5, 1.5, STARTS)
    return [usual.usual_m + np.array([x, y, 0.0]) * usual.sd_m for x in steps for y in steps]


def _placed(
    evidence: Sequence[Evidence], tied: list[str], reference: str, start: SoundPlace
) -> tuple[float, SoundPlace]:
    """Return the squared disagreement, and the place found from a start."""
    sound = start
    for _ in range(N_STEPS):
        at_m, _ = System(evidence, tied, reference, sound).sound_at()
        step = at_m - sound.at_m
        size = float(np.linalg.norm(step))
        sound = replace(sound, at_m=sound.at_m + step * min(1.0, 1.5 / max(size, 1e-9)))
    return System(evidence, tied, reference, sound).cost(), sound
