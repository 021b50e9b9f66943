"""Clocks from keypoints when the cameras are calibrated: rays of one instant must meet.

Gauss-Newton on every camera's offset and rate, all cameras at once, with each triangulated point eliminated (Schur
complement, as in bundle adjustment: B. Triggs et al., "Bundle adjustment - a modern synthesis", 1999, section 6). A
small shift of each camera's image is estimated along, so that a slightly stale calibration does not become a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from mocap.core.camera import CameraRig, Intrinsics
from mocap.kernels.projection import undistort
from mocap.kernels.robust import fit_sigma_of_score, geman_mcclure, rayleigh_scale
from mocap.kernels.triangulation import triangulate_dlt
from mocap.sync.coarse import STEP_S, LagScores, epipolar_scores
from mocap.sync.evidence import Clocks
from mocap.sync.signals import Detected, Track, clean_people, kernel_s, smooth
from mocap.sync.whole_take import WholeTake

WEAK_RATE = 1e-3
"""1 sd of a rate that only keeps the equations solvable; what clocks really do is known where evidence is fused."""
SHIFT_PRIOR_PX = 10.0
MAX_INSTANTS = 1800
ANNEALING = (100.0, 100.0, 100.0, 64.0, 36.0, 25.0, 16.0, 12.0, 12.0, 12.0)
MEASURING = 100.0
"""Noise is measured in the steps of at least this loss scale."""
MIN_DEPTH_M = 0.05
MAX_PARTNERS = 4
MIN_MEETING = 0.65
"""Share of rays that meet, from which motions are the same; measured 0.8 and more for the same, even with a rig that is
stale by half a degree, 0.55 and less for different ones."""
CLEAR_MEETING, CHANCE_MEETING = 0.85, 0.5
MIN_CONTRAST = 0.03
N_PARAMETERS = 4  # at_s, rate, image shift x and y


@dataclass(frozen=True, eq=False)
class MotionClocks:
    """What motion says of all cameras together."""

    clocks: Clocks
    is_tied: np.ndarray
    """[camera] whether motion ties the camera to the others."""
    contrast: np.ndarray
    """[camera] how much better the best lag agrees than the best one elsewhere, in share of rays that meet."""
    noise_px: float
    curves: dict[str, LagScores] = field(default_factory=dict[str, LagScores])
    """Agreement against lag of each camera with those placed before it."""


def clocks_with_rig(views: Sequence[Detected], rig: CameraRig) -> MotionClocks:
    """Return clocks in the first camera's time from the keypoints of calibrated cameras, one view per camera in order.

    A camera that motion cannot tie (nobody seen, no overlap) keeps an infinite variance. Cost is linear in frames.
    """
    width_s = kernel_s([v.time_s for v in views])
    people = [_normalised_people(v, rig.cameras[c].intrinsics, width_s) for c, v in enumerate(views)]
    placed = _place(people, rig, [v.time_s for v in views])
    tied = [c for c in range(len(views)) if placed.offset_s[c] is not None]
    middle = np.array([0.5 * (v.time_s[0] + v.time_s[-1]) if len(v.time_s) else 0.0 for v in views])
    at, rate = middle.copy(), np.zeros(len(views))
    covariance = np.diag(np.full(2 * len(views), np.inf))
    noise_px = float("nan")
    if len(tied) >= 2:
        solved = _Joint(
            [people[c][placed.person[c]] for c in tied],
            CameraRig(tuple(rig.cameras[c] for c in tied)),
            middle[tied],
            np.array([placed.offset_s[c] for c in tied], float) - float(placed.offset_s[tied[0]] or 0.0) + middle[tied],
        )
        solved.solve()
        whole = WholeTake(solved.tracks, solved.rig, solved.middle_s, solved.at_s, solved.rate, solved.shift)
        whole.solve()
        at[tied], rate[tied], noise_px = whole.at_s, whole.rate, whole.noise_px
        index = np.array([[2 * c, 2 * c + 1] for c in tied]).ravel()
        covariance[np.ix_(index, index)] = whole.covariance()
    is_tied = np.isin(np.arange(len(views)), tied) & (len(tied) >= 2)
    return MotionClocks(Clocks(middle, at, rate, covariance), is_tied, placed.contrast, noise_px, placed.curves)


def _normalised_people(view: Detected, lens: Intrinsics, width_s: float) -> list[Track]:
    """Return the people of one camera in normalised undistorted coordinates."""
    return [
        smooth(undistort(p, lens.focal_px, lens.center_px, lens.distortion), score, view.time_s, width_s)
        for p, score in clean_people(view)
    ]


def relative(rig: CameraRig, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rotation and translation from camera a's frame to camera b's."""
    A, B = rig.cameras[a], rig.cameras[b]
    R = B.R_cam_from_world @ A.R_cam_from_world.T
    return R, B.t_cam_from_world_m - R @ A.t_cam_from_world_m


@dataclass
class _Placed:
    """Coarse offsets of the cameras placed so far."""

    offset_s: list[float | None]
    person: list[int]
    contrast: np.ndarray
    curves: dict[str, LagScores]
    scores: list[float] = field(default_factory=list[float])
    """Share of rays that meet of each camera placed after the first."""

    @property
    def worth(self) -> float:
        """How much agreement there is in all, above what chance gives."""
        return sum(s - CHANCE_MEETING for s in self.scores)

    @property
    def is_clear(self) -> bool:
        """Whether every camera agrees beyond doubt."""
        return all(s > CLEAR_MEETING for s in self.scores)

    @property
    def n_placed(self) -> int:
        """How many cameras agree, the first among them."""
        return sum(o is not None for o in self.offset_s)


def _place(people: list[list[Track]], rig: CameraRig, times_s: list[np.ndarray]) -> _Placed:
    """Place the cameras around the one with which most of the others agree best."""
    n = len(people)
    usable = [c for c in range(n) if len(times_s[c]) > 2 and any(t.is_known.any() for t in people[c])]
    curve = cache(lambda a, p, c, q: epipolar_scores(people[a][p], people[c][q], relative(rig, a, c)))
    best = _Placed([None] * n, [0] * n, np.zeros(n), {})
    for first in usable:
        waiting = [c for c in usable if c != first]
        found = _place_around(first, waiting, [len(p) for p in people], curve, rig.names)
        if found.worth > best.worth:
            best = found
        if found.is_clear and found.n_placed == len(usable):
            break
    return best


def _place_around(
    first: int,
    others: list[int],
    n_people: list[int],
    curve: Callable[[int, int, int, int], LagScores],
    names: tuple[str, ...],
) -> _Placed:
    """Place one camera after the other, the clearest first, by its agreement with up to MAX_PARTNERS placed ones."""
    n, waiting = len(n_people), list(others)
    out = _Placed([None] * n, [0] * n, np.zeros(n), {})
    pairs = [(p, c, q) for p in range(n_people[first]) for c in waiting for q in range(n_people[c])]
    clearness = {(p, c, q): _Total([(curve(first, p, c, q), 0.0)]).contrast for p, c, q in pairs}
    out.offset_s[first], out.person[first] = 0.0, max(clearness, key=lambda k: clearness[k])[0] if clearness else 0
    while waiting:
        partners = [a for a in range(n) if out.offset_s[a] is not None][:MAX_PARTNERS]
        totals = {
            (c, q): _Total([(curve(a, out.person[a], c, q), float(out.offset_s[a] or 0.0)) for a in partners])
            for c in waiting
            for q in range(n_people[c])
        }
        c, q = max(totals, key=lambda k: totals[k].contrast)
        total = totals[c, q]
        waiting.remove(c)
        out.contrast[c], out.curves[names[c]] = total.contrast, total.curve
        if total.contrast > MIN_CONTRAST and total.best_score > MIN_MEETING:
            out.offset_s[c], out.person[c] = total.best_s, q
            out.scores.append(total.best_score)
    out.contrast[first] = float(out.contrast.max(initial=0.0))
    return out


class _Total:
    """The mean of several curves, each against a camera that is placed at an offset."""

    def __init__(self, parts: list[tuple[LagScores, float]]) -> None:
        low = min(s.lag_s[0] + o for s, o in parts)
        high = max(s.lag_s[-1] + o for s, o in parts)
        lag = np.arange(low, high + 1e-9, STEP_S)
        score, n = np.zeros(len(lag)), np.zeros(len(lag))
        for part, offset in parts:
            value = np.interp(lag - offset, part.lag_s, part.score, left=-1.0, right=-1.0)
            score += np.where(value > -0.5, value, 0.0)
            n += value > -0.5
        self.curve = LagScores(lag, np.where(n > 0.5 * len(parts), score / np.maximum(n, 1), -1.0))
        peaks = self.curve.peaks(2, apart_s=0.4)
        self.best_s, self.best_score = peaks[0] if peaks else (0.0, -1.0)
        floor = float(np.median(self.curve.score[self.curve.score > -0.5])) if peaks else 0.0
        second = peaks[1][1] if len(peaks) > 1 else floor
        self.contrast = peaks[0][1] - max(second, floor) if peaks else 0.0


class _Joint:
    """State of the Gauss-Newton iteration over clocks and image shifts of cameras [camera]."""

    def __init__(self, tracks: list[Track], rig: CameraRig, middle_s: np.ndarray, at_s: np.ndarray) -> None:
        self.tracks, self.rig, self.middle_s, self.at_s = tracks, rig, middle_s, at_s.copy()
        self.rate = np.zeros(len(tracks))
        self.shift = np.zeros((len(tracks), 2))
        self.R = np.stack([c.R_cam_from_world for c in rig.cameras])
        self.t = np.stack([c.t_cam_from_world_m for c in rig.cameras])
        self.scale_px = np.array([c.intrinsics.focal_px.mean() for c in rig.cameras])
        starts = [a + t.time_s[0] - m for t, a, m in zip(tracks, at_s, middle_s, strict=True)]
        ends = [a + t.time_s[-1] - m for t, a, m in zip(tracks, at_s, middle_s, strict=True)]
        low, high = sorted(starts)[1], sorted(ends)[-2]
        step = max(STEP_S, (high - low) / MAX_INSTANTS)
        self.master_s = low + (np.arange(max(1, int((high - low) / step))) + 0.5) * step
        self.weight: np.ndarray | None = None
        self.noise_px = float("nan")
        self.noise_of_score = (np.array([0.5]), np.array([1.0]))
        self.flatness = 1.0

    def solve(self) -> None:
        """Iterate with an annealed robust loss."""
        for loss_scale in ANNEALING:
            normal, gradient, _, _ = self._system(loss_scale)
            step = self._step(normal, gradient)
            self.at_s += np.clip(step[:, 0], -0.1, 0.1)
            self.rate += np.clip(step[:, 1], -1e-3, 1e-3)
            self.shift += step[:, 2:]

    def _step(self, normal: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the Gauss-Newton step [camera parameter]; the first camera's clock stays."""
        free = np.arange(len(normal)) >= 2
        inverse = _inverse(normal[np.ix_(free, free)])
        step = np.zeros(len(normal))
        step[free] = -inverse @ gradient[free]
        return step.reshape(-1, N_PARAMETERS)

    def _prior_information(self) -> np.ndarray:
        n = len(self.tracks)
        prior = np.tile([0.0, 1 / WEAK_RATE**2, SHIFT_PRIOR_PX**-2, SHIFT_PRIOR_PX**-2], n)
        prior[:2] = 0.0  # the first camera is the clock
        return prior

    def _sampled(self) -> tuple[np.ndarray, ...]:
        """Return places, velocities, accelerations [camera time keypoint 2], known, middle time, scores."""
        own = (self.master_s - self.at_s[:, None]) / (1 + self.rate[:, None])
        parts = [t.sample(o + m) for t, o, m in zip(self.tracks, own, self.middle_s, strict=True)]
        xy, velocity, acceleration, known = (np.stack(p) for p in zip(*parts, strict=True))
        known &= known.sum(0) >= 2
        score = np.stack([t.scores(o + m) for t, o, m in zip(self.tracks, own, self.middle_s, strict=True)])
        velocity, acceleration = np.nan_to_num(velocity), np.nan_to_num(acceleration)
        return np.where(known[..., None], xy, 0.0), velocity, acceleration, known, own, score

    def _system(self, loss_scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the reduced normal matrix, gradient, its parts [time keypoint], and the curvature by noise."""
        xy, velocity, acceleration, known, own, score = self._sampled()
        scale = self.scale_px[:, None, None]
        aimed = xy - (self.shift / self.scale_px[:, None])[:, None, None]
        weight = known.astype(float) if self.weight is None else self.weight * known
        points = triangulate_dlt(aimed, np.sqrt(weight) * scale, self.R, self.t)
        residual, J = self._residuals(points, aimed)
        ok = known & np.isfinite(residual).all(-1)
        residual, J = np.where(ok[..., None], residual, 0.0), np.where(ok[..., None, None], J, 0.0)
        length = np.linalg.norm(residual, axis=-1)
        if loss_scale >= MEASURING:
            # measured while all views count: later the points lean on the views that are believed, and residuals of
            # two views that agree by chance would make the noise look ever smaller
            self._measure_noise(length, ok, score)
        sigma = np.interp(score, *self.noise_of_score)
        self.weight = np.where(ok, geman_mcclure(length**2 / sigma**2, loss_scale), 0.0)
        w = self.weight / sigma**2
        n_c, n_t, n_k = ok.shape
        P = np.zeros((n_c, n_t, n_k, 2, N_PARAMETERS))
        P[..., 0] = scale[..., None] * velocity
        P[..., 1] = P[..., 0] * own[:, :, None, None]
        P[..., 0, 2] = P[..., 1, 3] = 1.0
        bend = (w[..., None] * residual * scale[..., None] * acceleration).sum((2, 3))
        squared = (residual**2).sum(-1) / sigma**2 / loss_scale
        # The loss flattens towards outliers, so that it is less curved than its weights say: the mean of its second
        # derivative over both directions of a residual (Geman-McClure).
        self.flatness = float((w * (1 - 2 * squared / (1 + squared))).sum() / max(w.sum(), 1e-12))
        return self._reduced(J, P, residual, w, bend, own)

    def _measure_noise(self, length: np.ndarray, ok: np.ndarray, score: np.ndarray) -> None:
        """Measure the noise as a function of the score."""
        self.noise_px = max(rayleigh_scale(length[ok]), 0.1) if ok.any() else 1.0
        at, sigma = fit_sigma_of_score(np.where(ok, length, np.nan), np.where(ok, score, 0.0))
        self.noise_of_score = (at, np.clip(np.nan_to_num(sigma, nan=self.noise_px), 0.3 * self.noise_px, None))

    def _residuals(self, points: np.ndarray, aimed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return residuals in pixels [camera time keypoint 2] and their derivatives by the points [... 2 3]."""
        residual = np.full(aimed.shape, np.nan)
        J = np.zeros((*aimed.shape, 3))
        for c, (R, t, s) in enumerate(zip(self.R, self.t, self.scale_px, strict=True)):
            cam = points @ R.T + t
            z = np.where(cam[..., 2] > MIN_DEPTH_M, cam[..., 2], np.nan)
            flat = cam[..., :2] / z[..., None]
            residual[c] = (flat - aimed[c]) * s
            J[c] = (s / z)[..., None, None] * (R[:2] - flat[..., None] * R[2])
        return residual, J

    def _reduced(
        self, J: np.ndarray, P: np.ndarray, r: np.ndarray, w: np.ndarray, bend: np.ndarray, own: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        n_c, n_t, n_k = w.shape
        size = n_c * N_PARAMETERS
        sw = np.sqrt(w)[..., None]
        Jw, Pw, rw = J * sw[..., None], P * sw[..., None], r * sw
        point = np.einsum("ctkix,ctkiy->tkxy", Jw, Jw)
        free = np.linalg.det(point) > 1e-9 * (np.trace(point, axis1=-2, axis2=-1) / 3) ** 3
        free &= (w > 0).sum(0) >= 2
        point[~free] = np.eye(3)
        L_inverse = np.linalg.inv(np.linalg.cholesky(point)) * free[..., None, None]
        cross = np.einsum("ctkix,ctkip->tkxcp", Jw, Pw).reshape(n_t, n_k, 3, size)
        Z = L_inverse @ cross
        z = (L_inverse @ np.einsum("ctkix,ctki->tkx", Jw, rw)[..., None])[..., 0]
        Pw, rw = Pw * free[..., None, None], rw * free[..., None]
        normal = -(Z.reshape(-1, size).T @ Z.reshape(-1, size))
        gradients = -np.einsum("tkxp,tkx->tkp", Z, z)
        curvature = np.zeros((size, size))
        for c in range(n_c):
            own_block = slice(c * N_PARAMETERS, (c + 1) * N_PARAMETERS)
            flat = Pw[c].reshape(-1, N_PARAMETERS)
            normal[own_block, own_block] += flat.T @ flat
            gradients[..., own_block] += np.einsum("tkip,tki->tkp", Pw[c], rw[c])
            for i in range(2):
                for j in range(2):
                    curvature[c * N_PARAMETERS + i, c * N_PARAMETERS + j] = (bend[c] * own[c] ** (i + j)).sum()
        prior = self._prior_information()
        state = np.stack([np.zeros(n_c), self.rate, *self.shift.T], -1).ravel()
        gradient = gradients.sum((0, 1)) + prior * state
        return normal + np.diag(prior), gradient, gradients, curvature


def _inverse(normal: np.ndarray) -> np.ndarray:
    """Return the inverse of a symmetric matrix; what the data do not curve is unknown, not known exactly."""
    scale = 1 / np.sqrt(np.maximum(np.abs(np.diag(normal)), 1e-12))
    values, vectors = np.linalg.eigh(normal * np.outer(scale, scale))
    return (vectors / np.maximum(values, 1e-9)) @ vectors.T * np.outer(scale, scale)
