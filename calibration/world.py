"""The world frame of a rig: Z up, floor z = 0, from a board on the floor or from the feet of people.

A rig that was calibrated from a moving board floats in the frame of one of its cameras. Each way to place it has a
cross-check of its own: a world that is upside down or mirrored looks as good in pixels as the right one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.board_views import BoardViews
from mocap.core.camera import Camera, CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.kernels.projection import project, undistort
from mocap.kernels.rotations import quat_exp, quat_to_matrix

WORLD_FROM_BOARD = np.diag([1.0, -1.0, -1.0])
"""[3 3] board x = +X, board y = -Y, the print faces up."""
MAX_BOARD_MOTION_PX = 3.0
MAX_FLOOR_ERROR_PX = 4.0
"""Median reprojection error of the floor board above which the rig does not fit the clip."""
_STILL_M_S = 0.2
_POINT_SD_M = 0.015
_UP_SD = 0.05
"""1 sd of the direction from feet to head about the vertical, averaged over a take (radians)."""
FOOT_HEIGHT_M = {"BigToe": 0.02, "SmallToe": 0.02, "Heel": 0.03, "Ankle": 0.09}
"""Height of foot keypoints above the floor while they stand on it."""


@dataclass(frozen=True, eq=False)
class WorldResult:
    """A rig in its world, and what speaks for it."""

    rig: CameraRig
    R_world_from_rig: np.ndarray
    """[3 3]"""
    t_world_from_rig_m: np.ndarray
    """[3]"""
    data: dict[str, Any]
    """Figures, JSON-serialisable."""
    diagnostics: tuple[Diagnostic, ...] = ()


def moved_rig(rig: CameraRig, R_world_from_rig: np.ndarray, t_world_from_rig_m: np.ndarray) -> CameraRig:
    """Return the same cameras in another world frame."""
    cameras = []
    for camera in rig.cameras:
        R = camera.R_cam_from_world @ R_world_from_rig.T
        cameras.append(camera.with_extrinsics(R, camera.t_cam_from_world_m - R @ t_world_from_rig_m))
    return CameraRig(tuple(cameras))


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
    }
    return WorldResult(
        placed, R_world_from_rig, t_world_from_rig_m, data, _board_notes(seen_by, motion_px, is_ambiguous)
    )


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
            f"Only {', '.join(seen_by)} sees the board on the floor, and two tilts of it fit about equally; the one "
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

    fit = least_squares(residual, np.zeros(6), loss="soft_l1", f_scale=1.0, x_scale=np.r_[np.ones(3), np.ones(3)])
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


def check_upright(rig: CameraRig, source: str) -> None:
    """Refuse a world in which the cameras are under the floor or upside down.

    Raises: InputError world-upside-down.
    """
    height_m = np.array([c.center_world_m[2] for c in rig.cameras])
    up = np.array([-c.R_cam_from_world[1, 2] for c in rig.cameras])
    is_below = np.median(height_m) < 0.0
    is_turned = np.median(up) < -0.5
    if is_below or is_turned:
        what = f"{int((height_m < 0).sum())} of {len(up)} cameras under the floor" if is_below else "upside down"
        raise InputError(
            "world-upside-down",
            f"The world from {source} would have the cameras {what}: its up points down.",
            "Check that the board lay with its print up and that no video is mirrored or turned.",
        )


def world_from_feet(
    rig: CameraRig, landmarks_m: dict[str, np.ndarray], time_s: np.ndarray, origin_m: np.ndarray | None = None
) -> WorldResult:
    """Return the rig in the world of the floor that people stand on.

    The plane is fitted to feet at rest, with the direction from feet to head as a prior for the vertical, so that one
    standing place is enough. The origin is the middle of the contacts, +X the horizontal part of the first camera's
    direction of view.

    Args:
        rig: calibrated cameras in any frame.
        landmarks_m: landmark name (LHeel, RBigToe, LAnkle, ..., and Head, Nose or Neck) to [frame 3] in the rig's
            frame; NaN where unknown. Persons may follow one another.
        time_s: [frame].
        origin_m: [3] a point to put the origin under, in the rig's frame.

    Raises: InputError world-feet-not-seen, world-upside-down, world-mirrored.
    """
    points, heights = _contacts(landmarks_m, time_s)
    up = _up_from_people(landmarks_m)
    if len(points) < 10 or up is None:
        raise InputError(
            "world-feet-not-seen",
            f"Feet at rest were reconstructed {len(points)} times (at least 10 are needed"
            f"{'' if up is not None else ', with the head or neck above them'}).",
            "Film a person who walks through the volume and stands now and then, or lay a board on the floor.",
        )
    R_up = _rotation_to_z(up)
    turned = points @ R_up.T
    a, b, c, weight = _floor(turned[:, :2], turned[:, 2] - heights)
    normal = R_up.T @ np.array([-a, -b, 1.0])
    normal /= np.linalg.norm(normal)
    _check_person(landmarks_m, normal)
    forward = rig.cameras[0].R_cam_from_world[2]
    x_axis = forward - normal * (forward @ normal)
    if np.linalg.norm(x_axis) < 0.1:
        x_axis = rig.cameras[0].R_cam_from_world[0] - normal * (rig.cameras[0].R_cam_from_world[0] @ normal)
    x_axis /= np.linalg.norm(x_axis)
    R = np.stack([x_axis, np.cross(normal, x_axis), normal])
    floor_point = R_up.T @ np.array([0.0, 0.0, c])
    middle = origin_m if origin_m is not None else np.average(points, axis=0, weights=weight + 1e-9)
    origin = middle - normal * (normal @ (middle - floor_point))
    placed = moved_rig(rig, R, -R @ origin)
    check_upright(placed, "the people's feet")
    residual_m = np.abs((points - floor_point) @ normal - heights)[weight > 0.5]
    tilt_deg = float(np.degrees(np.arccos(np.clip(normal @ up, -1, 1))))
    data = {
        "from": "feet",
        "n_contacts": len(points),
        "floor_residual_m": float(np.median(residual_m)) if len(residual_m) else None,
        "tilt_from_people_deg": tilt_deg,
    }
    return WorldResult(placed, R, -R @ origin, data, _feet_notes(tilt_deg))


def _feet_notes(tilt_deg: float) -> tuple[Diagnostic, ...]:
    if tilt_deg < 8.0:
        return ()
    message = f"The floor of the feet is tilted by {tilt_deg:.0f} degrees against the people who stand on it."
    return (Diagnostic("world-floor-tilted", Severity.WARNING, message, {"tilt_deg": tilt_deg}),)


def _contacts(landmarks_m: dict[str, np.ndarray], time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points [contact 3] of feet at rest and their height above the floor [contact]."""
    points: list[np.ndarray] = []
    heights: list[np.ndarray] = []
    for side in "LR":
        names = [n for n in ("Heel", "BigToe", "SmallToe") if f"{side}{n}" in landmarks_m] or ["Ankle"]
        for name in names:
            xyz = landmarks_m.get(f"{side}{name}")
            if xyz is None or len(xyz) < 3:
                continue
            speed = np.linalg.norm(np.gradient(xyz, time_s, axis=0), axis=-1)
            is_still = np.isfinite(xyz).all(-1) & (speed < _STILL_M_S)
            points.append(xyz[is_still])
            heights.append(np.full(int(is_still.sum()), FOOT_HEIGHT_M[name]))
    if not points:
        return np.zeros((0, 3)), np.zeros(0)
    return np.concatenate(points), np.concatenate(heights)


def _up_from_people(landmarks_m: dict[str, np.ndarray]) -> np.ndarray | None:
    """Return the direction [3] from ankles to head, averaged robustly over frames; None where it is not seen."""
    top = next((landmarks_m[n] for n in ("Head", "Nose", "Neck") if n in landmarks_m), None)
    feet = [landmarks_m[n] for n in ("LAnkle", "RAnkle") if n in landmarks_m]
    if top is None or len(feet) < 2:
        return None
    direction = top - (feet[0] + feet[1]) / 2.0
    direction = direction[np.isfinite(direction).all(-1)]
    if len(direction) < 5:
        return None
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    up = np.median(direction, axis=0)
    return up / np.linalg.norm(up)


def _rotation_to_z(up: np.ndarray) -> np.ndarray:
    """Return a rotation [3 3] that maps a direction to +Z."""
    other = np.eye(3)[np.argmin(np.abs(up))]
    x = np.cross(other, up)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(up, x), up])


def _floor(xy: np.ndarray, z: np.ndarray) -> tuple[float, float, float, np.ndarray]:
    """Return a, b, c of the floor z = a x + b y + c, and weights [point]: feet may be lifted, but not under it."""
    design = np.concatenate([xy, np.ones((len(xy), 1))], -1)
    prior = np.diag([1.0 / _UP_SD**2, 1.0 / _UP_SD**2, 0.0])
    middle = xy.mean(0)
    design[:, :2] -= middle
    theta = np.array([0.0, 0.0, np.percentile(z, 15)])
    weight = np.ones(len(z))
    for _ in range(30):
        above = (z - design @ theta) / _POINT_SD_M
        weight = np.where(above > 0, 1.0 / (1.0 + (above / 1.5) ** 2) ** 2, 1.0 / (1.0 + (above / 3.0) ** 2))
        # Contacts of one stand are one observation, not hundreds: at most fifty count in full.
        w = weight / _POINT_SD_M**2 * min(1.0, 50.0 / len(z))
        new = np.linalg.solve(design.T @ (w[:, None] * design) + prior, design.T @ (w * z))
        if np.abs(new - theta).max() < 1e-7:
            break
        theta = new
    a, b, c = (float(v) for v in theta)
    return a, b, float(c - middle @ [a, b]), weight


def _check_person(landmarks_m: dict[str, np.ndarray], up: np.ndarray) -> None:
    """Refuse a mirrored world: toes point where left, up and forward say, in a right-handed one only."""
    needed = ("LHip", "RHip", "LAnkle", "RAnkle")
    toes = [landmarks_m.get(f"{s}BigToe", landmarks_m.get(f"{s}SmallToe")) for s in "LR"]
    if any(n not in landmarks_m for n in needed) or any(t is None for t in toes):
        return
    left = landmarks_m["LHip"] - landmarks_m["RHip"]
    forward = np.cross(left, up)
    ahead = sum(
        ((t - landmarks_m[f"{s}Ankle"]) * forward).sum(-1) for s, t in zip("LR", toes, strict=True) if t is not None
    )
    ahead = np.asarray(ahead)
    ahead = ahead[np.isfinite(ahead)]
    if len(ahead) >= 5 and np.mean(ahead < 0) > 0.8:
        raise InputError(
            "world-mirrored",
            f"In {np.mean(ahead < 0):.0%} of the frames the toes point backwards: left and right are exchanged, so the "
            "world is mirrored.",
            "Check that no video is mirrored (a selfie setting) and film again.",
        )
