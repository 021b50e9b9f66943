"""All evidence into one clock per camera, by robust least squares; what disagrees is left out and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mocap.core.timeline import TimeMap
from mocap.sync.evidence import Evidence

DRIFT_PRIOR_PPM = 60.0
"""1 sd of the difference between two consumer cameras' clock rates (crystals are specified to 20 to 50 ppm)."""
REJECT = 4.0
"""Evidence this many standard deviations away from what the rest says is left out."""
MIN_FREEDOM = 0.02
"""Evidence whose offset is checked by others to less than this share of its variance cannot be judged."""
TRUST = {"timecode": 0, "gps": 1}
"""Which source gives way where two contradict each other: clocks set by hand may be minutes off."""
OTHER_TRUST = 2
TIE = 1e-6
"""Distances that differ by less than this share are the same but for rounding."""
WIDENINGS = 4
USELESS_S = 0.5
"""Evidence vaguer than this ties nothing."""
MODEL_S = 0.0002
"""Error that no evidence knows of: exposure, rolling shutter, smoothing."""


@dataclass(frozen=True, eq=False)
class SoundPlace:
    """What is known of the place of the sounds, as an unknown of the fusion."""

    at_m: np.ndarray
    """[3] where travel times are linearised."""
    usual_m: np.ndarray
    """[3] where sounds are expected."""
    sd_m: np.ndarray
    """[3] 1 sd of that."""
    speed_m_s: float
    bias_s: float
    """1 sd, per camera, of what is left of a travel time when the place is known."""

    def travel(self, a_m: np.ndarray, b_m: np.ndarray) -> tuple[float, np.ndarray]:
        """Return by how much later (s) a sound at `at_m` reaches a than b, and the derivative by the place [3]."""
        to_a, to_b = self.at_m - a_m, self.at_m - b_m
        d_a, d_b = float(np.linalg.norm(to_a)), float(np.linalg.norm(to_b))
        slope = to_a / max(d_a, 1e-3) - to_b / max(d_b, 1e-3)
        return (d_a - d_b) / self.speed_m_s, slope / self.speed_m_s


def _bias_s(e: Evidence, sound: SoundPlace | None) -> float:
    """Return the bias of evidence; where the sounds' place is found it is not the whole travel time any more."""
    return e.bias_s if sound is None or e.places_m is None else sound.bias_s


@dataclass(frozen=True, eq=False)
class Fused:
    """One clock per camera, in the reference camera's time."""

    reference: str
    maps: dict[str, TimeMap]
    """Cameras that nothing ties to the reference are absent."""
    share: dict[str, dict[str, float]]
    """By camera: the part of what is known of its offset that each source gave; adds up to 1."""
    used: tuple[Evidence, ...]
    rejected: tuple[tuple[Evidence, float], ...]
    """Evidence left out, and its distance from the result in standard deviations; NaN: it contradicts what was left out
    before it and is not supported by anything else."""
    chi: float
    """Root mean square of whitened disagreement; 1 when the stated uncertainties are right, NaN without redundancy."""


def fuse(
    evidence: Sequence[Evidence],
    camera_names: Sequence[str],
    reference: str | None = None,
    sound: SoundPlace | None = None,
) -> Fused:
    """Return the clocks that agree best with the evidence. The reference (default: the first camera) keeps its own.

    Each evidence is one linear equation for offsets and one for drifts; drifts also have a prior of DRIFT_PRIOR_PPM.
    While the worst evidence is further than REJECT from the fit of all others that remain, it is left out. With
    `sound` the place of the sounds is one more unknown (`mocap.sync.clap_place`).
    """
    reference = reference or camera_names[0]
    active = [
        e for e in evidence if np.isfinite([e.time_a_s, e.time_b_s, e.sigma_s]).all() and 0 < e.sigma_s < USELESS_S
    ]
    rejected: list[tuple[Evidence, float]] = []
    while True:
        system = System(active, connected(active, camera_names, reference), reference, sound)
        worst, distance = system.worst()
        if worst is None or distance < REJECT:
            break
        rejected.append((active[worst], distance))
        active.pop(worst)
    unsupported = _unsupported(active, rejected)
    if unsupported:
        active = [e for e in active if e not in unsupported]
        rejected += [(e, float("nan")) for e in unsupported]
    names = connected(active, camera_names, reference)
    system = System(_widened(active, names, reference, sound), names, reference, sound)
    chi = system.chi()
    inflate = max(1.0, chi) if np.isfinite(chi) else 1.0
    maps = {reference: TimeMap(0.0, 0.0, 0.0, ())}
    maps |= {name: system.time_map(name, inflate) for name in system.names}
    maps = {n: maps[n] for n in camera_names if n in maps}
    return Fused(reference, maps, {n: system.share(n) for n in system.names}, tuple(active), tuple(rejected), chi)


def _widened(active: Sequence[Evidence], names: list[str], reference: str, sound: SoundPlace | None) -> list[Evidence]:
    """Return the evidence, of which what is heavy-tailed has a sigma that grows with its distance from the rest.

    That is the weight 1 / (s^2 + r^2) of a Cauchy error (P. Huber, "Robust statistics", 1981, section 7.8), r measured
    against the fit of all others; nothing can be said of what no other evidence checks.
    """
    out = list(active)
    if not any(e.is_heavy_tailed for e in active):
        return out
    for _ in range(WIDENINGS):
        off_s = System(out, names, reference, sound).distances_s()
        out = [
            replace(e, sigma_s=float(np.hypot(e.sigma_s, off_s[n]))) if e.is_heavy_tailed and n in off_s else now
            for n, (e, now) in enumerate(zip(active, out, strict=True))
        ]
    return out


def _unsupported(active: Sequence[Evidence], rejected: Sequence[tuple[Evidence, float]]) -> list[Evidence]:
    """Return the evidence that alone ties a camera of which two pieces or more were left out.

    What is left when a camera's evidence contradicts itself is no better than what was left out.
    """
    out: list[Evidence] = []
    for camera in sorted({c for e, _ in rejected for c in (e.camera_a, e.camera_b)}):
        mine = [e for e in active if camera in (e.camera_a, e.camera_b)]
        gone = sum(camera in (e.camera_a, e.camera_b) for e, _ in rejected)
        if len(mine) == 1 and gone >= 2 and mine[0] not in out:
            out += mine
    return out


def connected(evidence: Sequence[Evidence], camera_names: Sequence[str], reference: str) -> list[str]:
    """Return the cameras that a chain of evidence ties to the reference, without it."""
    found = {reference}
    while True:
        more = {
            c
            for e in evidence
            for c in (e.camera_a, e.camera_b)
            if c not in found and (e.camera_a in found or e.camera_b in found)
        }
        if not more:
            return [n for n in camera_names if n in found and n != reference]
        found |= more


class System:
    """The linear least-squares problem.

    Unknown are (offset, drift in 1e-6) of each camera but the reference, the bias of each source in each camera, and
    how far the sounds' place is from where their travel times are linearised.
    """

    def __init__(
        self, evidence: Sequence[Evidence], names: list[str], reference: str, sound: SoundPlace | None = None
    ) -> None:
        self.names = names
        self.at = {n: 2 * i for i, n in enumerate(names)}
        known = {reference, *names}
        evidence_known = [(n, e) for n, e in enumerate(evidence) if {e.camera_a, e.camera_b} <= known]
        bias: dict[tuple[str, str], float] = {}
        for _, e in evidence_known:
            for camera in (e.camera_a, e.camera_b):
                bias_s = _bias_s(e, sound)
                if bias_s > 0:
                    bias[e.source, camera] = max(bias.get((e.source, camera), 0.0), bias_s)
        self.sound = sound
        self.bias_at = {key: 2 * len(names) + i for i, key in enumerate(bias)}
        self.place_at = 2 * len(names) + len(bias)
        self.n_unknown = self.place_at + (3 if sound is not None else 0)
        self.sources: list[str] = []
        self.blocks: list[np.ndarray] = []
        self.values: list[np.ndarray] = []
        self.index: list[int] = []
        self.sigma_s = [e.sigma_s for _, e in evidence_known]
        for n, e in evidence_known:
            rows, value = self._rows(e)
            self.blocks.append(rows)
            self.values.append(value)
            self.sources.append(e.source)
            self.index.append(n)
        place = np.zeros(0) if sound is None else sound.sd_m**-2.0
        self.prior = np.diag(
            [*np.tile([0.0, DRIFT_PRIOR_PPM**-2], len(names)), *(b**-2 for b in bias.values()), *place]
        )
        self.expected = np.zeros(self.n_unknown)
        if sound is not None:
            self.expected[self.place_at :] = sound.usual_m - sound.at_m
        self.solution, self.covariance = self._solve(range(len(self.blocks)))

    def _rows(self, e: Evidence) -> tuple[np.ndarray, np.ndarray]:
        """Return whitened rows [2 unknown] and right side [2]: difference of offsets at that instant, of drifts."""
        rows, value = np.zeros((2, self.n_unknown)), np.zeros(2)
        value[0] = (e.time_a_s - e.time_b_s) / e.sigma_s
        weight = 0.0 if not np.isfinite(e.sigma_rate_ppm) else 1.0 / e.sigma_rate_ppm
        value[1] = e.rate_ppm * weight if weight else 0.0
        for camera, sign, time_s in ((e.camera_b, 1.0, e.time_b_s), (e.camera_a, -1.0, e.time_a_s)):
            if camera in self.at:
                i = self.at[camera]
                rows[0, i] += sign / e.sigma_s
                rows[0, i + 1] += sign * time_s * 1e-6 / e.sigma_s
                rows[1, i + 1] += sign * weight
            if (e.source, camera) in self.bias_at and e.bias_s > 0:
                rows[0, self.bias_at[e.source, camera]] += sign / e.sigma_s
        if self.sound is not None and e.places_m is not None:
            later_s, slope = self.sound.travel(*e.places_m)
            value[0] -= later_s / e.sigma_s
            rows[0, self.place_at :] += slope / e.sigma_s
        return rows, value

    def _solve(self, which: Sequence[int] | range) -> tuple[np.ndarray, np.ndarray]:
        n = self.n_unknown
        normal, right = self.prior.copy(), self.prior @ self.expected
        for i in which:
            normal += self.blocks[i].T @ self.blocks[i]
            right += self.blocks[i].T @ self.values[i]
        if n == 0:
            return np.zeros(0), np.zeros((0, 0))
        scale = 1 / np.sqrt(np.maximum(np.diag(normal), 1e-300))
        covariance = np.linalg.pinv(normal * np.outer(scale, scale), hermitian=True) * np.outer(scale, scale)
        return covariance @ right, covariance

    def cost(self) -> float:
        """Return the squared whitened disagreement of all evidence and priors."""
        off = self.solution - self.expected
        rows = sum(float(((v - r @ self.solution) ** 2).sum()) for r, v in zip(self.blocks, self.values, strict=True))
        return rows + float(off @ self.prior @ off)

    def sound_at(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the sounds were [3] and the sd [3] of that, in metres. Needs `sound`."""
        assert self.sound is not None
        spread = np.sqrt(np.maximum(np.diag(self.covariance)[self.place_at :], 0.0))
        return self.sound.at_m + self.solution[self.place_at :], spread

    def distances_s(self) -> dict[int, float]:
        """Return how far each piece of evidence (index in the list given) lies from the fit of all others, in s.

        Without those that others do not check.
        """
        out: dict[int, float] = {}
        for index, rows, value, sigma_s in zip(self.index, self.blocks, self.values, self.sigma_s, strict=True):
            free = 1.0 - float(rows[0] @ self.covariance @ rows[0])
            if free >= MIN_FREEDOM:
                out[index] = abs(float(value[0] - rows[0] @ self.solution)) / free * sigma_s
        return out

    def worst(self) -> tuple[int | None, float]:
        """Return the evidence furthest from the fit of the others (index in the list given), and how far.

        Offsets only, and only of evidence that others can check: a rate that is measured loosely is no contradiction.
        """
        found: int | None = None
        furthest, least = 0.0, OTHER_TRUST
        for i, rows in enumerate(self.blocks):
            free = 1.0 - float(rows[0] @ self.covariance @ rows[0])
            if free < MIN_FREEDOM:
                continue
            distance = abs(float(self.values[i][0] - rows[0] @ self.solution)) / np.sqrt(free)
            # Two contradicting sources are equally far from each other: the less trusted goes.
            trust = TRUST.get(self.sources[i], OTHER_TRUST)
            is_tie = found is not None and abs(distance - furthest) <= TIE * furthest
            if trust < least if is_tie else distance > furthest:
                found, furthest, least = self.index[i], distance, trust
        return found, furthest

    def chi(self) -> float:
        """Return the root mean square of the whitened residuals per degree of freedom."""
        residuals = [float(v[0] - r[0] @ self.solution) for r, v in zip(self.blocks, self.values, strict=True)]
        n_free = len(self.blocks) - float(sum(r[0] @ self.covariance @ r[0] for r in self.blocks))
        return float(np.sqrt(sum(r * r for r in residuals) / n_free)) if n_free > 0.5 else float("nan")

    def time_map(self, name: str, inflate: float) -> TimeMap:
        """Return a camera's clock; its sigma is that of the offset."""
        i = self.at[name]
        sigma = float(np.hypot(np.sqrt(max(self.covariance[i, i], 0.0)) * inflate, MODEL_S))
        methods = tuple(sorted(self.share(name), key=lambda s: -self.share(name)[s]))
        return TimeMap(float(self.solution[i]), float(self.solution[i + 1]), sigma, methods)

    def share(self, name: str) -> dict[str, float]:
        """Return the part of the information on a camera's offset by source."""
        i = self.at[name]
        parts: dict[str, float] = {}
        for source, rows in zip(self.sources, self.blocks, strict=True):
            value = float((self.covariance @ (rows.T @ rows))[i, i])
            parts[source] = parts.get(source, 0.0) + value
        total = sum(v for v in parts.values() if v > 0)
        return {s: v / total for s, v in parts.items() if v > 0.005 * total} if total > 0 else {}
