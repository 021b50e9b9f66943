"""Metres for cameras that were placed from people: from one bone, or from the person's height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from calibration.refine_bundle import Poses, point_normal, residuals_px, robust_sigma_px, triangulate_robust
from calibration.refine_observations import Observations, gather
from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D, KeypointSet

FOOT_SHARE = 0.04
"""Height of the ankle's centre above the sole, as a share of stature (H. Dempster and G. Gaughran, 1967)."""
MIN_FRAMES = 10
N_BATCHES = 20
MAX_NOISE_SHARE = 0.3
"""Bones whose ends are uncertain by more of their length than this tell nothing."""
HUBER = 1.345
"""Huber's constant in standard deviations: 95 % efficiency for Gaussian noise."""


@dataclass(frozen=True, eq=False)
class Ruler:
    """What is known of the person's size: chains of keypoints whose mean length is `length_m`."""

    chains: tuple[tuple[int, ...], ...]
    length_m: float


def make_ruler(kinds: KeypointSet, height_m: float | None, bone: tuple[str, str, float] | None) -> Ruler:
    """Return the ruler of a height (head to ankle along both legs, and the foot below) or of one bone.

    Raises InputError `people-scale-missing` and `people-bone-unknown`.
    """
    if (height_m is None) == (bone is None) or (height_m or (bone[2] if bone else 0.0)) <= 0:
        raise InputError(
            "people-scale-missing",
            "People alone do not tell metres: one length is needed, the person's height or that of one bone.",
            "Give the height in metres, or a bone like LHip-LKnee=0.42, and only one of them.",
        )
    if bone is not None:
        ends = [_keypoint(kinds, name) for name in bone[:2]]
        if None in ends or ends[0] == ends[1]:
            raise InputError(
                "people-bone-unknown",
                f"There is no bone {bone[0]}-{bone[1]}: the keypoints are {', '.join(kinds.names)}.",
                "Name two keypoints of this set, as in LHip-LKnee=0.42.",
            )
        return Ruler((tuple(k for k in ends if k is not None),), bone[2])
    assert height_m is not None
    chains: list[tuple[int, ...]] = []
    missing = list(dict.fromkeys(name for side in ("L", "R") for name in _lacking(kinds, side)))
    if missing:
        raise InputError(
            "people-scale-missing",
            f"A height cannot be told from the keypoint set {kinds.name}: it has no {', '.join(missing)}.",
            "Take a set that has the top of the head (halpe26, body_25b), or give the length of a bone instead, as in "
            "LHip-LKnee=0.42.",
        )
    for side in ("L", "R"):
        names = ("Head", "Neck", "Hip" if kinds.index("Hip") is not None else f"{side}Hip")
        links = [kinds.index(name) for name in (*names, f"{side}Knee", f"{side}Ankle")]
        chains.append(tuple(k for k in links if k is not None))
    return Ruler(tuple(chains), height_m * (1.0 - FOOT_SHARE))


def _lacking(kinds: KeypointSet, side: str) -> list[str]:
    """Return what a set lacks of the chain from head to ankle; the neck may lack, for it is nearly on the line."""
    hip = "Hip" if kinds.index("Hip") is not None else f"{side}Hip"
    return [name for name in ("Head", hip, f"{side}Knee", f"{side}Ankle") if kinds.index(name) is None]


def _keypoint(kinds: KeypointSet, name: str) -> int | None:
    return kinds.names.index(name) if name in kinds.names else kinds.index(name)


def scale_of(
    detections: Keypoints2D, poses: Poses, rig: CameraRig, ruler: Ruler, min_score: float, max_points: int
) -> tuple[float, float]:
    """Return metres per unit of the poses and its relative standard error, from at most `max_points` keypoints.

    Raises InputError `people-scale-missing`.
    """
    wanted = sorted({k for chain in ruler.chains for k in chain})
    keep = np.isin(np.arange(len(detections.keypoint_set)), wanted)
    only = replace(
        detections,
        xy_px=np.where(keep[:, None], detections.xy_px, np.nan),
        score=np.where(keep, detections.score, 0.0),
    )
    # Thinning counts all keypoints of the set, of which few are kept.
    obs = gather(only, min_score, max_points * len(keep) // len(wanted))
    points = triangulate_robust(obs, poses, rig)
    covariance = _covariance(points, obs, poses, rig)
    total, variance = 0.0, 0.0
    for chain in ruler.chains:
        for a, b in pairwise(chain):
            length, error = bone_length(points, covariance, obs, (a, b))
            total += length / len(ruler.chains)
            variance += (error / len(ruler.chains)) ** 2
    if not np.isfinite(total) or total <= 0:
        raise InputError(
            "people-scale-missing",
            "The keypoints that the scale rests on are seen by two cameras too seldom.",
            "Give the length of a bone that the cameras see well.",
        )
    return ruler.length_m / total, float(np.sqrt(variance)) / total


def _covariance(points: np.ndarray, obs: Observations, poses: Poses, rig: CameraRig) -> np.ndarray:
    """Return covariances [point 3 3]; the points' own fit makes residuals smaller than the noise, which is undone."""
    n_values = 2.0 * obs.seen.sum(0)
    share = float(np.mean(n_values - 3.0) / np.mean(n_values)) if len(points) else 1.0
    sigma = robust_sigma_px(residuals_px(points, obs, poses, rig)) / np.sqrt(max(share, 0.25))
    V = point_normal(points, obs, poses, rig, sigma)[0]
    return np.linalg.inv(V + 1e-12 * np.eye(3))


def bone_length(
    points: np.ndarray, covariance: np.ndarray, obs: Observations, ends: Sequence[int]
) -> tuple[float, float]:
    """Return the length between two keypoints and its standard error over the take; NaN where it is seen too seldom.

    Noise across a bone lengthens it: E|d + n| = d + tr(P S) / 2d to second order, with S the covariance of n and P the
    projection across the bone. That is taken off each frame's length; the mean is Huber's, weighted by certainty along
    the bone, and its error is that of the means of successive stretches, since detectors err for many frames alike.
    """
    nan = float("nan"), float("nan")
    row = np.full((2, obs.n_instants), -1)
    for i, k in enumerate(ends):
        on = np.flatnonzero(obs.keypoint == k)
        row[i, obs.instant[on]] = on
    both = np.flatnonzero((row >= 0).all(0))
    a, b = row[:, both]
    gap = points[a] - points[b]
    length = np.linalg.norm(gap, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = gap / length[:, None]
        S = covariance[a] + covariance[b]
        along = np.einsum("pi,pij,pj->p", unit, S, unit)
        across = np.trace(S, axis1=1, axis2=2) - along
        length = length - across / (2.0 * length)
        good = np.isfinite(length) & (across + along < (MAX_NOISE_SHARE * length) ** 2)
    if good.sum() < MIN_FRAMES:
        return nan
    length, variance, at = length[good], along[good], both[good]
    mean = _huber_mean(length, variance)
    edges = np.linspace(at[0], at[-1] + 1, min(N_BATCHES, len(at) // 2) + 1)
    batch = np.searchsorted(edges, at, side="right")
    means = np.array([_huber_mean(length[batch == k], variance[batch == k]) for k in np.unique(batch)])
    return mean, float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else float("nan")


def _huber_mean(values: np.ndarray, variance: np.ndarray) -> float:
    """Return the robust mean of values with known variances, whose common scale is estimated."""
    mean = float(np.median(values))
    for _ in range(20):
        off = np.abs(values - mean) / np.sqrt(variance)
        scale = max(1.4826 * float(np.median(off)), 1e-9)
        weight = np.minimum(1.0, HUBER * scale / np.maximum(off, 1e-12)) / variance
        new = float((weight * values).sum() / weight.sum())
        if abs(new - mean) < 1e-7 * abs(mean):
            break
        mean = new
    return mean
