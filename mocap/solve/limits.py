"""Ranges of motion as one-sided residuals; the ranges and their sources are in `joint_limits.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from mocap.kernels.rotations import quat_conjugate, quat_exp, quat_multiply, quat_rotate
from mocap.solve.anatomy import Anatomy
from mocap.solve.body import BODY

LIMIT_SIGMA_RAD = np.radians(0.3)
"""How far a joint gives beyond its range, 1 sd."""
_MIRROR_ROTATION = np.array([-1.0, 1.0, -1.0])
_MIRROR_PLACE = np.array([1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class About:
    """The turn about an axis of the joint's frame lies within a range (twist of the swing-twist decomposition)."""

    name: str
    joint: int
    axis: np.ndarray
    """[3] unit, in the joint's frame."""
    reference_wxyz: np.ndarray
    """[4] local rotation at which the turn is zero."""
    center_rad: float
    half_rad: float

    def excess(self, local_wxyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the signed angle beyond the range [frame] and its derivative [frame 3], for local rotations [frame 4].

        The derivative is with respect to a turn of the joint in its own frame, R <- R exp(turn). The turn about a of a
        quaternion (w, v) is 2 atan2(v a, w) (P. Dobrowolski, "Swing-twist decomposition in Clifford algebra", 2015).
        """
        is_t_pose = self.reference_wxyz[0] == 1.0
        q = local_wxyz if is_t_pose else quat_multiply(quat_conjugate(self.reference_wxyz), local_wxyz)
        w, v = q[:, 0], q[:, 1:]
        along = v @ self.axis
        turn = 2.0 * np.arctan2(along, w) - self.center_rad
        turn = (turn + np.pi) % (2 * np.pi) - np.pi
        beyond = np.sign(turn) * np.maximum(np.abs(turn) - self.half_rad, 0.0)
        on = np.flatnonzero(beyond)
        slope = np.zeros((len(q), 3))
        if len(on) == 0:
            return beyond, slope
        w, v, along = w[on, None], v[on], along[on, None]
        size = np.maximum(w**2 + along**2, 1e-6)
        slope[on] = (w**2 * self.axis + w * np.cross(self.axis, v) + along * v) / size
        return beyond, slope


@dataclass(frozen=True, eq=False)
class Cone:
    """A bone that the joint carries lies within an angle of a direction in the parent's frame."""

    name: str
    joint: int
    bone: np.ndarray
    """[3] unit, in the joint's frame."""
    center: np.ndarray
    """[3] unit, in the parent's frame."""
    max_rad: float

    def excess(self, local_wxyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the angle beyond the cone [frame] and its derivative [frame 3], see `About.excess`."""
        # center' R bone with the rotation matrix of (w, v): (2 w^2 - 1) c b + 2 (v c) (v b) + 2 w v (b x c)
        w, v = local_wxyz[:, 0], local_wxyz[:, 1:]
        cosine = (2 * w**2 - 1) * float(self.center @ self.bone) + 2 * (v @ self.center) * (v @ self.bone)
        cosine += 2 * w * (v @ np.cross(self.bone, self.center))
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
        beyond = np.maximum(angle - self.max_rad, 0.0)
        on = np.flatnonzero(beyond)
        slope = np.zeros((len(cosine), 3))
        if len(on) == 0:
            return beyond, slope
        center = quat_rotate(quat_conjugate(local_wxyz[on]), self.center)
        slope[on] = -np.cross(self.bone, center) / np.maximum(np.sin(angle[on]), 1e-3)[:, None]
        return beyond, slope


Limit = About | Cone


@cache
def joint_limits(anatomy: Anatomy = BODY) -> tuple[Limit, ...]:
    """Return the limits of an anatomy's joints, left and right."""
    text = resources.files("mocap.solve").joinpath("joint_limits.toml").read_text("utf-8")
    rows = [one for row in tomllib.loads(text)["limit"] for one in _of_fingers(row)]
    both = [(row, is_mirrored) for row in rows for is_mirrored in (False, True)[: 1 + row["joint"].startswith("Left")]]
    found = (_limit(row, anatomy, is_mirrored=is_mirrored) for row, is_mirrored in both)
    return tuple(limit for limit in found if limit is not None)


def _of_fingers(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row of the file for each of its fingers, or as it is."""
    if "fingers" not in row:
        return [row]
    return [
        row | {"name": f"{finger.lower()} {row['name']}", "joint": row["joint"].format(finger=finger)}
        for finger in row["fingers"]
    ]


def _limit(row: dict[str, Any], anatomy: Anatomy, *, is_mirrored: bool) -> Limit | None:
    """Return a limit, None of a joint that does not turn in this anatomy."""
    turn, place = (_MIRROR_ROTATION, _MIRROR_PLACE) if is_mirrored else (np.ones(3), np.ones(3))
    joint = row["joint"].replace("Left", "Right") if is_mirrored else row["joint"]
    if joint not in anatomy.names or not anatomy.joints[anatomy.names.index(joint)].axes:
        return None
    side = next((s.lower() + " " for s in ("Left", "Right") if joint.startswith(s)), "")
    name, at = side + row["name"], anatomy.names.index(joint)
    if "about" in row:
        low, high = np.radians(row["range"])
        reference = quat_exp(np.radians(row.get("from", [0.0, 0.0, 0.0])) * turn)
        return About(name, at, turn * row["about"], reference, float(low + high) / 2, float(high - low) / 2)
    return Cone(name, at, place * row["bone"], place * row["center"], float(np.radians(row["max"])))


def add_limits(
    hessian: np.ndarray,
    slope: np.ndarray,
    local_wxyz: np.ndarray,
    dof_joint: np.ndarray,
    dof_axis: np.ndarray,
    at: int,
    anatomy: Anatomy = BODY,
) -> None:
    """Add, in place, the Gauss-Newton terms of every limit that is exceeded.

    hessian [frame n n] and slope [frame n]; local_wxyz [frame joint 4]; the degrees of freedom (joint [dof], axis
    [frame dof 3]) start at column `at`.
    """
    for limit in joint_limits(anatomy):
        columns = at + np.flatnonzero(dof_joint == limit.joint)
        if len(columns) == 0:
            continue
        beyond, derivative = limit.excess(local_wxyz[:, limit.joint])
        frames = np.flatnonzero(beyond)
        if len(frames) == 0:
            continue
        row = np.einsum("fi,fdi->fd", derivative[frames], dof_axis[frames][:, columns - at]) / LIMIT_SIGMA_RAD
        hessian[np.ix_(frames, columns, columns)] += row[:, :, None] * row[:, None, :]
        slope[np.ix_(frames, columns)] += row * (beyond[frames] / LIMIT_SIGMA_RAD)[:, None]


def greatest_excess_deg(local_wxyz: np.ndarray, anatomy: Anatomy = BODY) -> dict[str, float]:
    """Return by how much each limit is exceeded at most, in degrees, over rotations [frame joint 4]."""
    return {m.name: float(np.degrees(np.abs(m.excess(local_wxyz[:, m.joint])[0]).max())) for m in joint_limits(anatomy)}
