"""Clocks from 2D keypoints alone: with a calibrated rig by rays that must meet, without one by pairs of views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic
from mocap.core.progress import NoProgress, Progress
from mocap.core.timeline import TimeMap
from mocap.sync.coarse import LagScores
from mocap.sync.evidence import Evidence
from mocap.sync.fuse import fuse
from mocap.sync.signals import Detected, clean_people, kernel_s, only_looked_at, smooth
from mocap.sync.with_rig import MotionClocks, clocks_with_rig
from mocap.sync.without_rig import PairSync, synchronise_pair

SOURCE = "motion"
NEIGHBOURS = 3
AMBIGUOUS = 0.65
"""Residual of the best lag over that of the next where recordings overlap wholly, and in proportion where in part;
measured below where the same is seen, above where not (walks of different performers agree to 0.43 over 4 s of 10)."""
OWN = 0.3
"""Part of a camera's error against the first, in sd, that is not either camera's alone."""

SHARED = 0.1
"""What the two cameras of a pair themselves add to its variance, the same in all pairs that they are in; measured on
takes of 3 to 8 cameras."""


@dataclass(frozen=True, eq=False)
class MotionEvidence:
    """What motion says, camera by camera or pair by pair."""

    evidence: tuple[Evidence, ...]
    curves: dict[str, LagScores]
    """Agreement against lag, for pictures; by camera or pair."""
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, eq=False)
class MotionSync:
    """Clocks from motion alone."""

    maps: dict[str, TimeMap]
    motion: MotionEvidence


def synchronise_motion(
    views: Mapping[str, Detected], rig: CameraRig | None = None, progress: Progress | None = None
) -> MotionSync:
    """Return clocks from motion alone, in the first camera's time; see `motion_evidence` and `fuse`."""
    found = motion_evidence(views, rig, progress)
    return MotionSync(fuse(found.evidence, list(views)).maps, found)


def motion_evidence(
    views: Mapping[str, Detected], rig: CameraRig | None = None, progress: Progress | None = None
) -> MotionEvidence:
    """Return what the motion of the people in the views says of their clocks. With a rig, its cameras are the views."""
    progress = progress or NoProgress()
    usable = {n: only_looked_at(v) for n, v in views.items() if len(v.time_s) > 2 and np.isfinite(v.xy_px).any()}
    if rig is not None:
        return _with_rig(usable, CameraRig(tuple(rig[n] for n in usable)), progress)
    return _without_rig(usable, progress)


def _with_rig(views: dict[str, Detected], rig: CameraRig, progress: Progress) -> MotionEvidence:
    names = list(views)
    if len(names) < 2:
        return MotionEvidence((), {})
    progress.start("Comparing motion", 1)
    try:
        found = clocks_with_rig(list(views.values()), rig)
        progress.advance()
    finally:
        progress.finish()
    first = int(np.flatnonzero(found.is_tied)[0]) if found.is_tied.any() else 0
    evidence = [_of_clock(found, names, first, c) for c in range(len(names)) if found.is_tied[c] and c != first]
    return MotionEvidence(tuple(evidence), found.curves)


def _of_clock(found: MotionClocks, names: list[str], first: int, c: int) -> Evidence:
    """Return one camera's clock as evidence, given at the instant at which offset and rate are independent."""
    clocks = found.clocks
    covariance = clocks.covariance[2 * c : 2 * c + 2, 2 * c : 2 * c + 2]
    time_a, time_b, sigma_s, sigma_rate = _decorrelated(clocks.at_s[c], clocks.middle_s[c], clocks.rate[c], covariance)
    detail = {"contrast": float(found.contrast[c]), "noise_px": found.noise_px}
    # half of the variance is the first camera's, and the same in the evidence of all others
    bias_s = sigma_s * float(np.sqrt(0.5 * (1 - OWN**2)))
    return Evidence(
        SOURCE,
        names[first],
        names[c],
        time_a,
        time_b,
        clocks.rate[c] * 1e6,
        OWN * sigma_s,
        sigma_rate * 1e6,
        bias_s,
        detail=detail,
    )


def _decorrelated(at_s: float, middle_s: float, rate: float, covariance: np.ndarray) -> tuple[float, ...]:
    """Return (time_a, time_b, sigma_s, sigma_rate) of a line between clocks where offset and rate are independent."""
    shift = float(-covariance[0, 1] / covariance[1, 1])
    variance = float(covariance[0, 0] - covariance[0, 1] ** 2 / covariance[1, 1])
    sigma_rate = float(np.sqrt(covariance[1, 1]))
    return at_s + (1 + rate) * shift, middle_s + shift, float(np.sqrt(max(variance, 1e-12))), sigma_rate


def _without_rig(views: dict[str, Detected], progress: Progress) -> MotionEvidence:
    width_s = kernel_s([v.time_s for v in views.values()])
    people = {n: [smooth(p, score, v.time_s, width_s) for p, score in clean_people(v)] for n, v in views.items()}
    names = list(views)
    pairs = _pairs(names)
    evidence: list[Evidence] = []
    curves: dict[str, LagScores] = {}
    progress.start("Comparing motion", len(pairs))
    try:
        for a, b in pairs:
            found = synchronise_pair(people[a], people[b])
            if found is not None:
                shorter_s = min(float(np.ptp(views[n].time_s)) for n in (a, b))
                evidence.append(_of_pair(found, a, b, shorter_s))
                curves[f"{a}-{b}"] = found.curve
            progress.advance()
    finally:
        progress.finish()
    return MotionEvidence(tuple(evidence), curves)


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    """Return all pairs of few cameras; of many, each camera with NEIGHBOURS others, so that cost stays linear."""
    n = len(names)
    reach = range(1, n) if n <= 2 * NEIGHBOURS + 1 else range(1, NEIGHBOURS + 1)
    index = {tuple(sorted((i, (i + k) % n))) for i in range(n) for k in reach if i != (i + k) % n}
    return [(names[i], names[j]) for i, j in sorted(index)]


def _of_pair(found: PairSync, a: str, b: str, shorter_s: float) -> Evidence:
    fit = found.best
    # the shorter the overlap, the better eight free numbers fit views that have nothing to do with each other
    limit = AMBIGUOUS * min(1.0, fit.overlap_s / shorter_s)
    time_a, time_b, sigma_s, sigma_rate = _decorrelated(fit.at_s, fit.middle_s, fit.rate, fit.covariance)
    if found.ambiguity > limit:
        # another lag explains the views nearly as well: the truth may be there
        sigma_s = max([sigma_s, 1.0, *(abs(o.lag_s - fit.lag_s) for o in found.others)])
    detail = {
        "coarse_score": fit.coarse_score,
        "ambiguity": found.ambiguity,
        "residual_px": fit.residual_px,
        "overlap_s": fit.overlap_s,
    }
    bias_s = sigma_s * float(np.sqrt(SHARED / 2))
    return Evidence(SOURCE, a, b, time_a, time_b, fit.rate * 1e6, sigma_s, sigma_rate * 1e6, bias_s, detail=detail)
