"""The world frame of a rig from the feet of people who stand and walk on the floor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calibration.world import WorldResult, check_upright, moved_rig
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError

_STILL_M_S = 0.2
_POINT_SD_M = 0.015
_UP_SD = 0.05
"""1 sd of the direction from feet to head about the vertical, averaged over a take (radians)."""
FOOT_HEIGHT_M = {"BigToe": 0.02, "SmallToe": 0.02, "Heel": 0.03, "Ankle": 0.09}
"""Height of foot keypoints above the floor while they stand on it."""
MAX_TILT_DEG = 4.0
"""A floor that is tilted by more than this against the people on it is none: feet of other instants, or a slope."""
MIN_AGREEMENT = 0.5
"""A camera that shows the performer where the others do in fewer of its frames with people is at odds with them."""
_MIN_FRAMES = 10
"""Fewer frames with people say nothing of a camera."""


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
            "Film a person who walks through the volume and stands now and then, see that the cameras' clocks are "
            "given and right, or lay a board on the floor.",
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


def check_agreement(agreed: Mapping[str, int], left_out: Mapping[str, int]) -> tuple[Diagnostic, ...]:
    """Return the finding that cameras do not see the performer in one place: feet of several instants make no floor.

    agreed: by camera, frames in which it shows the performer where the others do. left_out: frames in which it shows
    somebody, but not there.
    """
    n_people = {name: agreed[name] + left_out[name] for name in agreed}
    shares = {name: agreed[name] / n for name, n in n_people.items() if n >= _MIN_FRAMES}
    low = {name: share for name, share in shares.items() if share < MIN_AGREEMENT}
    if not low:
        return ()
    text = ", ".join(f"{name} {share:.0%}" for name, share in low.items())
    message = (
        f"The floor of the feet is not to be relied on: the cameras agree on where the performer is in too few of the "
        f"frames with people ({text}; at least {MIN_AGREEMENT:.0%} are expected). Their recordings probably did not "
        "start together: give the clocks of the keypoints (--feet-times, found by mocap sync)."
    )
    return (Diagnostic("world-feet-disagree", Severity.QUALITY, message, {"agreed_share": shares}),)


def _feet_notes(tilt_deg: float) -> tuple[Diagnostic, ...]:
    if tilt_deg <= MAX_TILT_DEG:
        return ()
    message = (
        f"The floor of the feet is tilted by {tilt_deg:.1f} degrees against the people who stand on it (expected: up "
        f"to {MAX_TILT_DEG:.0f}). Check that the clocks of the keypoints are given and right, or lay a board on the "
        "floor."
    )
    return (Diagnostic("world-floor-tilted", Severity.QUALITY, message, {"tilt_deg": tilt_deg}),)


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
