"""The figures of a calibration: errors in pixels and millimetres, coverage, who sees what together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.board_views import BoardViews
from calibration.rig import RigResult
from calibration.rigid import rigid_fit
from mocap.core.camera import CameraRig
from mocap.kernels.projection import undistort
from mocap.kernels.triangulation import triangulate_dlt

COVERAGE_CELLS = (16, 9)
"""Columns and rows of the coverage maps (exchanged for portrait pictures)."""

MAX_ERROR_PX, MAX_SD_MM, MAX_SD_DEG, MAX_PLACE_M = 1e3, 1e3, 90.0, 1e3
"""Figures beyond these only say that there is no solution: they are unknown."""


@dataclass(frozen=True, eq=False)
class MetricError:
    """How far triangulated corners are from the board they are on."""

    frame: np.ndarray
    """[board] frame of the views."""
    place_m: np.ndarray
    """[board 3] middle of the board, in the world."""
    fit_rms_mm: np.ndarray
    """[board] root mean square distance of corners from the rigidly fitted board."""
    length_error: np.ndarray
    """[board] relative error of the board's size: median of corner distances over the true ones, minus 1."""

    @property
    def rms_mm(self) -> float:
        """Over all boards; NaN without any."""
        return float(np.sqrt(np.mean(self.fit_rms_mm**2))) if len(self.fit_rms_mm) else float("nan")


def triangulated(rig: CameraRig, views: BoardViews) -> np.ndarray:
    """Return corners [frame corner 3] in the world from two cameras or more; NaN where fewer see them."""
    xy = np.empty_like(views.xy_px)
    for c, name in enumerate(views.camera_names):
        lens = rig[name].intrinsics
        xy[c] = undistort(views.xy_px[c], lens.focal_px, lens.center_px, lens.distortion)
    R = np.stack([rig[n].R_cam_from_world for n in views.camera_names])
    t = np.stack([rig[n].t_cam_from_world_m for n in views.camera_names])
    focal = np.array([rig[n].intrinsics.focal_px.mean() for n in views.camera_names])
    weight = np.where(np.isfinite(xy).all(-1), focal[:, None, None], 0.0)
    return triangulate_dlt(xy, weight, R, t)


def metric_error(rig: CameraRig, views: BoardViews) -> MetricError:
    """Return the error in millimetres of every board that two cameras place."""
    points = triangulated(rig, views)
    board = views.board.corners_m
    rows: list[tuple[int, np.ndarray, float, float]] = []
    for f, corners in enumerate(points):
        seen = np.isfinite(corners).all(-1)
        if seen.sum() < 6:
            continue
        R, t = rigid_fit(board[seen], corners[seen])
        off = corners[seen] - (board[seen] @ R.T + t)
        true = np.linalg.norm(board[seen][:, None] - board[seen][None], axis=-1)
        found = np.linalg.norm(corners[seen][:, None] - corners[seen][None], axis=-1)
        far = true > 0.4 * true.max()
        rows.append(
            (
                f,
                corners[seen].mean(0),
                1000 * float(np.sqrt((off**2).sum(-1).mean())),
                float(np.median(found[far] / true[far]) - 1.0),
            )
        )
    return MetricError(
        np.array([r[0] for r in rows], np.int64),
        np.array([r[1] for r in rows]).reshape(-1, 3),
        np.array([r[2] for r in rows]),
        np.array([r[3] for r in rows]),
    )


def coverage(xy_px: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """Return [row column] counts of corners in cells of the picture."""
    columns, rows = COVERAGE_CELLS if size_px[0] >= size_px[1] else COVERAGE_CELLS[::-1]
    xy = xy_px.reshape(-1, 2)
    xy = xy[np.isfinite(xy).all(-1)]
    return np.histogram2d(xy[:, 1], xy[:, 0], (rows, columns), ((0, size_px[1]), (0, size_px[0])))[0].astype(np.int64)


def bounded(value: float, limit: float) -> float | None:
    """Return a figure, None where it is no number or beyond what can be: nothing was found out then."""
    return float(value) if abs(value) <= limit else None


def camera_data(result: RigResult, rig: CameraRig, views: BoardViews) -> dict[str, dict[str, Any]]:
    """Return the figures of each camera, JSON-serialisable."""
    out: dict[str, dict[str, Any]] = {}
    for c, name in enumerate(views.camera_names):
        camera = rig[name]
        length = np.linalg.norm(result.residuals_px[c], axis=-1)
        length = length[np.isfinite(length)]
        cells = coverage(views.xy_px[c], views.size_px[c])
        out[name] = {
            "size_px": list(views.size_px[c]),
            "lens_model": str(camera.intrinsics.model),
            "focal_px": [bounded(f, 20.0 * max(views.size_px[c])) for f in camera.intrinsics.focal_px.tolist()],
            "focal_sd_px": bounded(result.certainty.lens_sd[c, 0], float(max(views.size_px[c]))),
            "center_m": [bounded(x, MAX_PLACE_M) for x in camera.center_world_m.tolist()],
            "center_sd_mm": bounded(1000 * result.certainty.center_sd_m[c], MAX_SD_MM),
            "rotation_sd_deg": bounded(result.certainty.rotation_sd_deg[c], MAX_SD_DEG),
            "rms_px": bounded(result.rms_px[name], MAX_ERROR_PX),
            "reproj_median_px": bounded(np.median(length), MAX_ERROR_PX) if len(length) else None,
            "reproj_p95_px": bounded(np.percentile(length, 95), MAX_ERROR_PX) if len(length) else None,
            "n_views": int(views.is_seen[c].any(-1).sum()),
            "n_corners": int(views.is_seen[c].sum()),
            "n_rejected": int(result.is_rejected[c].sum()),
            "coverage_share": float((cells > 0).mean()),
            "is_mirrored": bool(views.is_mirrored[c]),
            "held_out_px": result.lenses[name].held_out_px if name in result.lenses else {},
        }
    return out


def metric_data(fitted: MetricError, held_out: MetricError | None) -> dict[str, Any]:
    """Return the errors in millimetres, JSON-serialisable, by place and held out where that could be done."""

    def figures(e: MetricError) -> dict[str, Any]:
        has = len(e.frame) > 0
        return {
            "n_boards": len(e.frame),
            "board_fit_rms_mm": bounded(e.rms_mm, MAX_SD_MM),
            "length_error_median_percent": bounded(100 * np.median(e.length_error), 100.0) if has else None,
            "length_error_rms_percent": bounded(100 * np.sqrt(np.mean(e.length_error**2)), 100.0) if has else None,
        }

    scored = held_out or fitted
    by_place = [
        {"place_m": p.round(3).tolist(), "fit_rms_mm": round(r, 3), "length_error_percent": round(100 * v, 3)}
        for p, r, v in zip(scored.place_m, scored.fit_rms_mm.tolist(), scored.length_error.tolist(), strict=True)
        if r <= MAX_SD_MM and abs(v) <= 1.0 and np.abs(p).max() <= MAX_PLACE_M
    ]
    return {
        "all_views": figures(fitted),
        "held_out": figures(held_out) if held_out is not None else None,
        "by_place": by_place,
    }
