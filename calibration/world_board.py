"""The world frame of a rig from a board that lies on the floor."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration.board_views import BoardViews
from calibration.world import WorldResult, check_upright, moved_rig
from mocap.core.camera import Camera, CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.kernels.projection import project, undistort
from mocap.kernels.rotations import quat_exp, quat_to_matrix, skew

WORLD_FROM_BOARD = np.diag([1.0, -1.0, -1.0])
"""[3 3] board x = +X, board y = -Y, the print faces up."""
MAX_BOARD_MOTION_PX = 3.0
MAX_FLOOR_ERROR_PX = 4.0
"""Median reprojection error of the floor board above which the rig does not fit the clip."""


def world_from_board(rig: CameraRig, views: BoardViews, board_thickness_m: float = 0.0) -> WorldResult:
    """Return the rig in the world of a board that lies on the floor with its print up.

    The board's origin corner is the world's origin, board x = +X, board y = -Y; the floor is the printed face minus the
    thickness. All cameras that see the board place it together (median corners over the clip, robust least squares).

    Raises: InputError world-board-not-seen, world-board-not-in-rig, world-board-does-not-fit, world-upside-down.
    """
    xy_px, motion_px, cameras = _still_corners(rig, views)
    R, t, error_px, is_ambiguous = _board_pose(cameras, xy_px, views.board.corners_m, rig)
    by_camera_px = np.nanmedian(error_px, axis=1)
    worst_px = float(by_camera_px.max())
    seen_by = [c.name for c in cameras]
    if worst_px > MAX_FLOOR_ERROR_PX:
        worst = seen_by[int(by_camera_px.argmax())]
        raise InputError(
            "world-board-does-not-fit",
            f"The board on the floor, seen by {', '.join(seen_by)}, fits the calibrated cameras to {worst_px:.1f} px "
            f"only in {worst} (expected less than {MAX_FLOOR_ERROR_PX:g}).",
            "Film the floor board with the cameras where they stood for the calibration, and check that it is the "
            "same board and that it lay still.",
        )
    R_world_from_rig = WORLD_FROM_BOARD @ R.T
    t_world_from_rig_m = -R_world_from_rig @ t + [0.0, 0.0, board_thickness_m]
    placed = moved_rig(rig, R_world_from_rig, t_world_from_rig_m)
    check_upright(placed, "the board on the floor")
    data = {
        "from": "board",
        "seen_by": seen_by,
        "reproj_median_px": float(np.nanmedian(error_px)),
        "thickness_m": board_thickness_m,
        "motion_px": motion_px,
        **_certainty(rig, R, t, _covariance(cameras, xy_px, views.board.corners_m, R, t)),
    }
    notes = (*_unseen(views, seen_by), *_board_notes(seen_by, motion_px, is_ambiguous))
    return WorldResult(placed, R_world_from_rig, t_world_from_rig_m, data, notes)


def _still_corners(rig: CameraRig, views: BoardViews) -> tuple[np.ndarray, float, list[Camera]]:
    """Return median corners [camera corner 2] of the cameras that see the board, how far they move, and the cameras."""
    unknown = [n for n in views.camera_names if n not in rig.names]
    if unknown:
        raise InputError(
            "world-board-not-in-rig",
            f"The floor clips name cameras {', '.join(unknown)} that the rig has not: {', '.join(rig.names)}.",
            "Name the floor clips like the calibration clips.",
        )
    n_corners = views.is_seen.any(1).sum(-1)
    use = [c for c in range(len(views.camera_names)) if n_corners[c] >= 4]
    if not use:
        raise InputError(
            "world-board-not-seen",
            f"No camera of {', '.join(views.camera_names)} sees the board on the floor.",
            "Lay the board where cameras see it large and not too flat, print up, and film it again.",
        )
    medians, motion = [], 0.0
    for c in use:
        xy = views.xy_px[c]
        seen = np.isfinite(xy).all(-1)
        median = np.full(xy.shape[1:], np.nan)
        often = seen.sum(0) >= 1
        median[often] = np.nanmedian(xy[:, often], axis=0)
        medians.append(median)
        distance = np.linalg.norm(xy - median, axis=-1)
        motion = max(motion, float(np.percentile(distance[np.isfinite(distance)], 90)))
    return np.stack(medians), motion, [rig[views.camera_names[c]] for c in use]


def _covariance(
    cameras: list[Camera], xy_px: np.ndarray, corners_m: np.ndarray, R: np.ndarray, t: np.ndarray
) -> np.ndarray:
    """Return [6 6] of the board's turn (about its own axes) and shift (in the rig's frame), from the fit's residuals.

    Of least squares: s^2 (J'J)^-1, s the residuals' root mean square over the degrees of freedom. The clip is still, so
    the residuals are what does not average out over its frames; what the rig itself is wrong by is not in it.
    """
    seen = np.isfinite(xy_px).all(-1)

    def residual(x: np.ndarray) -> np.ndarray:
        turned = R @ quat_to_matrix(quat_exp(x[:3]))
        return _residual_px(cameras, xy_px, corners_m, turned, t + x[3:])[seen].ravel()

    steps = 1e-6 * np.eye(6)
    J = np.stack([(residual(h) - residual(-h)) / 2e-6 for h in steps], axis=1)
    r = residual(np.zeros(6))
    return np.linalg.pinv(J.T @ J, hermitian=True) * float(r @ r) / max(len(r) - 6, 1)


def _certainty(rig: CameraRig, R: np.ndarray, t: np.ndarray, covariance: np.ndarray) -> dict[str, Any]:
    """Return how sure the floor is: its tilt, and by how much the world moves all cameras together, each where it is.

    Args: R, t: rig from board. covariance: see `_covariance`.
    """
    tilt = np.linalg.eigvalsh(covariance[:2, :2])[-1]
    shift_mm = {}
    for camera in rig.cameras:
        at_m = R.T @ (camera.center_world_m - t)
        A = np.concatenate([skew(at_m), -R.T], axis=1)
        shift_mm[camera.name] = float(1000 * np.sqrt(np.linalg.eigvalsh(A @ covariance @ A.T)[-1]))
    return {"tilt_sd_deg": float(np.degrees(np.sqrt(tilt))), "world_sd_mm": shift_mm}


def _unseen(views: BoardViews, seen_by: list[str]) -> tuple[Diagnostic, ...]:
    """Return the finding that some floor clips do not show the board."""
    without = [n for n in views.camera_names if n not in seen_by]
    if not without:
        return ()
    message = (
        f"The board was not seen on the floor by {', '.join(without)}, only by {', '.join(seen_by)}: these alone place "
        "the world. Lay it where more cameras see it large and not too flat."
    )
    return (Diagnostic("world-board-unseen", Severity.WARNING, message, {"cameras": without}),)


def _board_notes(seen_by: list[str], motion_px: float, is_ambiguous: bool) -> tuple[Diagnostic, ...]:
    notes: list[Diagnostic] = []
    if motion_px > MAX_BOARD_MOTION_PX:
        message = f"The board on the floor moves by {motion_px:.1f} px during the clip; its median place is used."
        notes.append(Diagnostic("world-board-moves", Severity.WARNING, message, {"motion_px": motion_px}))
    if len(seen_by) == 1:
        message = (
            f"Only {seen_by[0]} sees the board on the floor, so no other camera confirms the world: a floor clip of "
            "another camera under its name would go unnoticed. Lay the board where a second camera sees it."
        )
        notes.append(Diagnostic("world-from-one-camera", Severity.WARNING, message, {"cameras": seen_by}))
    if is_ambiguous:
        message = (
            f"Of the board on the floor, seen by {', '.join(seen_by)}, two tilts fit about equally; the one "
            "under which the cameras stand upright was taken. Lay it where a second camera sees it."
        )
        notes.append(Diagnostic("world-board-ambiguous", Severity.WARNING, message, {"cameras": seen_by}))
    return tuple(notes)


def _board_pose(
    cameras: list[Camera], xy_px: np.ndarray, corners_m: np.ndarray, rig: CameraRig
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Return R, t (rig from board), errors [camera corner] px, and whether another tilt fits about as well."""
    starts = [s for c, camera in enumerate(cameras) for s in _starts(camera, xy_px[c], corners_m)]
    if not starts:
        raise InputError(
            "world-board-not-seen",
            "The corners of the board on the floor fix no place for it.",
            "Lay the board where cameras see it large and not too flat, print up, and film it again.",
        )
    fits = sorted((_fitted(cameras, xy_px, corners_m, *s) for s in starts), key=lambda f: f[0])
    cost, R, t = fits[0]
    others = [f for f in fits if np.degrees(np.arccos(np.clip((f[1][:, 2] * R[:, 2]).sum(), -1, 1))) > 2.0]
    is_ambiguous = bool(others) and others[0][0] < 2.0 * cost
    if is_ambiguous:
        # Of two tilts the one that puts the cameras' own upright directions nearer to up.
        cost, R, t = min((fits[0], others[0]), key=lambda f: -_uprightness(f[1], rig))
    return R, t, np.linalg.norm(_residual_px(cameras, xy_px, corners_m, R, t), axis=-1), is_ambiguous


def _uprightness(R_rig_from_board: np.ndarray, rig: CameraRig) -> float:
    up_rig = R_rig_from_board @ WORLD_FROM_BOARD.T @ [0.0, 0.0, 1.0]
    return float(np.mean([-(camera.R_cam_from_world[1] @ up_rig) for camera in rig.cameras]))


def _starts(camera: Camera, xy_px: np.ndarray, corners_m: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the two planar poses (T. Collins and A. Bartoli, IPPE, 2014) of the board in the rig's frame."""
    import cv2

    lens = camera.intrinsics
    xy = undistort(xy_px, lens.focal_px, lens.center_px, lens.distortion)
    seen = np.isfinite(xy).all(-1)
    if seen.sum() < 4:
        return []
    n, rvecs, tvecs, _ = cv2.solvePnPGeneric(corners_m[seen], xy[seen], np.eye(3), np.zeros(4), flags=cv2.SOLVEPNP_IPPE)
    out = []
    for rvec, tvec in zip(rvecs[:n], tvecs[:n], strict=True):
        R_cam_from_board = cv2.Rodrigues(rvec)[0]
        R = camera.R_cam_from_world.T @ R_cam_from_board
        out.append((R, camera.R_cam_from_world.T @ (tvec.ravel() - camera.t_cam_from_world_m)))
    return out


def _fitted(
    cameras: list[Camera], xy_px: np.ndarray, corners_m: np.ndarray, R: np.ndarray, t: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the robust cost and the pose that all cameras agree on best."""
    from scipy.optimize import least_squares

    seen = np.isfinite(xy_px).all(-1)

    def residual(x: np.ndarray) -> np.ndarray:
        turned = R @ quat_to_matrix(quat_exp(x[:3]))
        values = _residual_px(cameras, xy_px, corners_m, turned, t + x[3:])[seen].ravel()
        # Behind the camera there is no pixel; a large finite value keeps the solver away.
        return np.nan_to_num(values, nan=1e3)

    fit = least_squares(residual, np.zeros(6), loss="soft_l1", f_scale=1.0)
    return float(fit.cost), R @ quat_to_matrix(quat_exp(fit.x[:3])), t + fit.x[3:]


def _residual_px(
    cameras: list[Camera], xy_px: np.ndarray, corners_m: np.ndarray, R: np.ndarray, t: np.ndarray
) -> np.ndarray:
    """Return [camera corner 2] seen minus projected."""
    points = corners_m @ R.T + t
    out = np.empty_like(xy_px)
    for c, camera in enumerate(cameras):
        lens = camera.intrinsics
        in_camera = points @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
        out[c] = xy_px[c] - project(in_camera, lens.focal_px, lens.center_px, lens.distortion)
    return out
