"""Figures that say how good a solved take is; nothing is smoothed or left out silently."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from mocap.analysis.reprojection import residuals_px
from mocap.core.keypoints import Points3D, Source
from mocap.core.take import SolvedTake
from mocap.kernels.kinematics import forward_kinematics

CONFIDENT_SCORE = 0.3
"""Detections with at least this score count in figures of reprojection, whether the solve used them or not."""
INLIER_PROBABILITY = 0.5
"""Detections with at least this probability count as used by the solve."""


@dataclass(frozen=True)
class BoneLength:
    """Length of one bone over the take, before and after the solve."""

    name: str
    points_mean_m: float
    points_sd_m: float
    mean_m: float
    sd_m: float


@dataclass(frozen=True)
class ContactFigures:
    """How still one supporting joint stands."""

    joint: str
    n_frames: int
    height_mean_m: float
    height_sd_m: float
    """About each stretch's own mean."""
    height_range_m: float
    """Highest minus lowest within one stretch of contact, the largest of them: supports differ in height."""
    slide_median_m_s: float
    """Horizontal speed between consecutive contact frames."""
    slide_p95_m_s: float


@dataclass(frozen=True, eq=False)
class Quality:
    """All figures of a take. Axes: camera frame keypoint, at each camera's own frames."""

    residual_px: np.ndarray
    """[camera frame keypoint] distance of the final keypoints to every detection; NaN where there is none."""
    points_residual_px: np.ndarray
    """[camera frame keypoint] the same of the points before the solve."""
    is_confident: np.ndarray
    """[camera frame keypoint] bool: score of at least CONFIDENT_SCORE."""
    is_inlier: np.ndarray
    """[camera frame keypoint] bool: the solve used it."""
    frame_median_px: np.ndarray
    """[camera frame] median over confident detections; NaN where there are none."""
    bones: tuple[BoneLength, ...]
    contacts: tuple[ContactFigures, ...]


_MEASURED: WeakKeyDictionary[SolvedTake, Quality] = WeakKeyDictionary()
"""Gates and reports ask for the same take's figures one after another; takes never change."""


def measure_quality(take: SolvedTake) -> Quality:
    """Return all figures of `take`; measured once for as long as it lives."""
    known = _MEASURED.get(take)
    if known is None:
        known = _MEASURED[take] = _measured(take)
    return known


def _measured(take: SolvedTake) -> Quality:
    residual = residuals_px(take, take.keypoints)
    is_confident = (take.detections.score[:, :, 0] >= CONFIDENT_SCORE) & np.isfinite(residual)
    return Quality(
        residual_px=residual,
        points_residual_px=residuals_px(take, take.points),
        is_confident=is_confident,
        is_inlier=np.nan_to_num(take.inlier_probability) >= INLIER_PROBABILITY,
        frame_median_px=_nan(np.nanmedian, np.where(is_confident, residual, np.nan), axis=-1),
        bones=bone_lengths(take),
        contacts=contact_figures(take),
    )


def bone_lengths(take: SolvedTake) -> tuple[BoneLength, ...]:
    """Return the lengths of the keypoint set's bones before (points) and after the solve; NaN where never seen."""
    keypoint_set = take.detections.keypoint_set

    def length_m(points: Points3D, bone: tuple[int, int]) -> np.ndarray:
        return np.linalg.norm(points.xyz_m[:, bone[0]] - points.xyz_m[:, bone[1]], axis=-1)

    out: list[BoneLength] = []
    for bone in keypoint_set.bones:
        before, after = length_m(take.points, bone), length_m(take.keypoints, bone)
        out.append(
            BoneLength(
                name=f"{keypoint_set.names[bone[0]]}-{keypoint_set.names[bone[1]]}",
                points_mean_m=float(_nan(np.nanmean, before)),
                points_sd_m=float(_nan(np.nanstd, before)),
                mean_m=float(_nan(np.nanmean, after)),
                sd_m=float(_nan(np.nanstd, after)),
            )
        )
    return tuple(out)


def contact_figures(take: SolvedTake) -> tuple[ContactFigures, ...]:
    """Return how still each supporting joint stands; contacts that name no joint of the skeleton are left out."""
    motion = take.motion
    skeleton = motion.skeleton
    _, positions = forward_kinematics(skeleton.parents, skeleton.offset_m, motion.root_translation_m, motion.local_wxyz)
    fps = float(motion.timeline.fps)
    out: list[ContactFigures] = []
    for n, joint in enumerate(take.contact_names):
        if joint not in skeleton.joint_names:
            continue
        on = take.contact[:, n]
        xyz = positions[:, skeleton.index(joint)]
        height = xyz[on, 2]
        stretches = [xyz[a:b, 2] for a, b in runs(on)]
        about_own_mean = np.concatenate([h - h.mean() for h in stretches]) if stretches else np.zeros(0)
        speed = np.linalg.norm(np.diff(xyz[:, :2], axis=0), axis=-1)[on[1:] & on[:-1]] * fps
        out.append(
            ContactFigures(
                joint=joint,
                n_frames=int(on.sum()),
                height_mean_m=float(_nan(np.nanmean, height)),
                height_sd_m=float(_nan(lambda h: np.sqrt(np.nanmean(h**2)), about_own_mean)),
                height_range_m=max((float(np.ptp(h)) for h in stretches), default=float("nan")),
                slide_median_m_s=float(_nan(np.nanmedian, speed)),
                slide_p95_m_s=float(_nan(np.nanpercentile, speed, 95)),
            )
        )
    return tuple(out)


def runs(on: np.ndarray) -> list[tuple[int, int]]:
    """Return first and one past the last index of each stretch of true values [n]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def source_shares(points: Points3D) -> dict[str, float]:
    """Return the share of all keypoint values by source, e.g. {"measured": 0.97, ...}; zeros of an empty take."""
    total = max(points.source.size, 1)
    return {s.name.lower(): float((points.source == s).sum()) / total for s in Source}


def camera_figures(take: SolvedTake, quality: Quality) -> dict[str, dict[str, Any]]:
    """Return per camera the reprojection error of the final keypoints and of the points over confident detections."""
    out: dict[str, dict[str, Any]] = {}
    for c, name in enumerate(take.detections.camera_names):
        on = quality.is_confident[c]
        residual, before = quality.residual_px[c][on], quality.points_residual_px[c][on]
        out[name] = {
            "reproj_median_px": _json(_nan(np.nanmedian, residual)),
            "reproj_p95_px": _json(_nan(np.nanpercentile, residual, 95)),
            "points_reproj_median_px": _json(_nan(np.nanmedian, before)),
            "n_detections": int(on.sum()),
            "inlier_share": _json(quality.is_inlier[c][on].mean()) if on.any() else None,
        }
    return out


def quality_summary(take: SolvedTake, quality: Quality | None = None) -> dict[str, Any]:
    """Return the figures of `report.json` as JSON data (null: unknown).

    `bone_sd_mm` is the mean over the keypoint set's rigid bones of the sd of their length in the final keypoints (0 up
    to rounding), `points_bone_sd_mm` the same of the points before the solve. Reprojection is that of the final
    keypoints, at each camera's own instants, over all detections with a score of 0.3 or more, rejected ones included.
    """
    quality = quality or measure_quality(take)
    bones = quality.bones
    keypoint_names = take.detections.keypoint_set.names
    residual = np.where(quality.is_confident, quality.residual_px, np.nan)
    by_keypoint = _nan(np.nanmedian, residual, axis=(0, 1))
    return {
        "cameras": camera_figures(take, quality),
        "reproj_median_px": _json(_nan(np.nanmedian, residual)),
        "reproj_p95_px": _json(_nan(np.nanpercentile, residual, 95)),
        "keypoints": {
            name: {"reproj_median_px": _json(by_keypoint[k]), "share": _keypoint_share(take.keypoints, k)}
            for k, name in enumerate(keypoint_names)
        },
        "bone_sd_mm": _json(_nan(np.nanmean, np.array([b.sd_m for b in bones])) * 1e3, 4),
        "points_bone_sd_mm": _json(_nan(np.nanmean, np.array([b.points_sd_m for b in bones])) * 1e3),
        "share": {k: round(v, 5) for k, v in source_shares(take.keypoints).items()},
        "rejected": {k: int(v) for k, v in take.rejected.items()},
        "contacts": {
            c.joint: {
                "n_frames": c.n_frames,
                "height_sd_mm": _json(c.height_sd_m * 1e3),
                "height_range_mm": _json(c.height_range_m * 1e3),
                "slide_median_mm_s": _json(c.slide_median_m_s * 1e3),
                "slide_p95_mm_s": _json(c.slide_p95_m_s * 1e3),
            }
            for c in quality.contacts
        },
    }


def _keypoint_share(points: Points3D, k: int) -> dict[str, float]:
    n = max(len(points.time_s), 1)
    counts = {s.name.lower(): float((points.source[:, k] == s).sum()) / n for s in Source}
    return {name: round(share, 5) for name, share in counts.items() if share > 0}


def _nan(statistic: Any, values: np.ndarray, *args: Any, **options: Any) -> Any:
    """Return a NaN-aware statistic that is NaN, without a warning, where there is nothing to take it of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return statistic(values, *args, **options) if np.size(values) else np.float64("nan")


def _json(value: Any, digits: int = 3) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
