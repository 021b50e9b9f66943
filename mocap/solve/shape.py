"""The performer's shape: segments and landmark offsets, linear in the points once the pose is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.kernels.rotations import quat_exp, quat_rotate
from mocap.solve.body import (
    ASYMMETRY_SD,
    HAND_LANDMARKS,
    JOINT_NAMES,
    LANDMARK_SD_M,
    LANDMARKS,
    LENGTH_SD,
    OFFSETS_M,
    PARENTS,
    PROFILE_LANDMARK_SD_M,
    PROFILE_LENGTH_SD,
    SEGMENT_NAMES,
    SEGMENTS,
)

N_SEGMENTS = len(SEGMENTS)
TOE_JOINT = 0.72
"""Place of the toe joints along the foot, as a share of the way from heel to big toe (as the metatarsal heads lie)."""


@dataclass(frozen=True, eq=False)
class Shape:
    """Estimated numbers of one performer."""

    scale: float
    """Overall scale against the reference body; joints that nothing measures take it."""
    segment: np.ndarray
    """[segment] factor of each of `body.SEGMENTS` on its reference length."""
    landmark_m: dict[str, np.ndarray]
    """Offset [3] of each free landmark in its joint's frame."""
    toe_m: np.ndarray
    """[3] place of the left toe joint in the foot's frame; the right one is its mirror image."""

    def offsets_m(self) -> np.ndarray:
        """[joint 3] place of each joint in its parent's frame."""
        out = OFFSETS_M * self.scale
        for factor, joints in zip(self.segment, SEGMENTS, strict=True):
            out[list(joints)] = factor * OFFSETS_M[list(joints)]
        out[JOINT_NAMES.index("LeftToeBase")] = self.toe_m
        out[JOINT_NAMES.index("RightToeBase")] = self.toe_m * [1.0, -1.0, 1.0]
        return out

    def landmark_offset_m(self, name: str) -> np.ndarray:
        """[3] place of a landmark in its joint's frame."""
        return self.landmark_m.get(name, np.array(LANDMARKS[name].offset_m) * self.scale)

    def with_toe_joints(self) -> Shape:
        """Return the same body at rest with its toe joints between heel and toes, level with the sole.

        The toes' own landmarks hardly tell where the toe bends; where the foot's landmarks lie, they do.
        """
        heel, tip = self.landmark_m["LHeel"], self.toe_m + self.landmark_m["LBigToe"]
        toe = heel + TOE_JOINT * (tip - heel)
        toe[1] = 0.0
        moved = dict(self.landmark_m)
        for side, flip in (("L", 1.0), ("R", -1.0)):
            for name in ("BigToe", "SmallToe"):
                moved[side + name] = moved[side + name] + (self.toe_m - toe) * [1.0, flip, 1.0]
        return Shape(self.scale, self.segment, moved, toe)

    def with_knuckles_across(self) -> Shape:
        """Return the same hands with their frames turned about the forearm until the knuckles lie along x.

        Nothing else says where a forearm's roll is zero: a turned frame with turned offsets gives the same points.
        """
        along = self.landmark_m["LIndex"] - self.landmark_m["LPinky"]
        turn = quat_exp(np.array([0.0, np.arctan2(along[2], along[0]), 0.0]))
        turned = {side + n: quat_rotate(turn, self.landmark_m[side + n]) for side in ("L", "R") for n in HAND_LANDMARKS}
        return Shape(self.scale, self.segment, self.landmark_m | turned, self.toe_m)


def reference_shape(scale: float) -> Shape:
    """Return the reference body at a scale."""
    free = {n: np.array(m.offset_m) * scale for n, m in LANDMARKS.items() if m.is_free}
    return Shape(scale, np.full(N_SEGMENTS, scale), free, OFFSETS_M[JOINT_NAMES.index("LeftToeBase")] * scale)


def landmark_arrays(names: tuple[str, ...], shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return the joint [landmark] and the offset in it [landmark 3] of landmarks by name."""
    joint = np.array([JOINT_NAMES.index(LANDMARKS[n].joint) for n in names], dtype=int)
    return joint, np.stack([shape.landmark_offset_m(n) for n in names])


def mirror_name(name: str) -> str:
    """Return the landmark on the other side, or the same on the midline."""
    other = {"L": "R", "R": "L"}.get(name[0], "") + name[1:]
    return other if name[1:2].isupper() and other in LANDMARKS else name


class ShapeModel:
    """Points as a linear function of shape parameters: segments, then the three offsets of each free landmark.

    Left and right share landmark offsets, mirrored in y.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        free = [n for n in names if LANDMARKS[n].is_free]
        self.base = tuple(dict.fromkeys(min(n, mirror_name(n)) for n in free))
        self.n = N_SEGMENTS + 3 * len(self.base)
        # [joint landmark*segment] whether a bone is of the segment and between the root and the landmark
        way = np.zeros((len(JOINT_NAMES), len(names), N_SEGMENTS))
        for k, name in enumerate(names):
            j = JOINT_NAMES.index(LANDMARKS[name].joint)
            while j >= 0:
                way[j, k] = [j in joints for joints in SEGMENTS]
                j = PARENTS[j]
        self._on_the_way = way.reshape(len(JOINT_NAMES), -1)

    def jacobian(self, R_world: np.ndarray) -> np.ndarray:
        """Return d points / d shape [frame landmark 3 n] for world rotations [frame joint 3 3]."""
        n_frames = len(R_world)
        bones = np.zeros((n_frames, 3, len(JOINT_NAMES)))
        for j, parent in enumerate(PARENTS):
            if parent >= 0:
                bones[:, :, j] = R_world[:, parent] @ OFFSETS_M[j]
        of_segments = (bones.reshape(-1, len(JOINT_NAMES)) @ self._on_the_way).reshape(n_frames, 3, -1, N_SEGMENTS)
        out = np.zeros((n_frames, len(self.names), 3, self.n))
        out[..., :N_SEGMENTS] = of_segments.transpose(0, 2, 1, 3)
        for k, name in enumerate(self.names):
            if LANDMARKS[name].is_free:
                at = N_SEGMENTS + 3 * self.base.index(min(name, mirror_name(name)))
                flip = 1.0 if name in self.base else np.array([1.0, -1.0, 1.0])
                out[:, k, :, at : at + 3] = R_world[:, JOINT_NAMES.index(LANDMARKS[name].joint)] * flip
        return out

    def vector(self, shape: Shape) -> np.ndarray:
        """Return the parameters [n] of a shape."""
        return np.concatenate([shape.segment, *(shape.landmark_m[n] for n in self.base)])

    def shape(self, vector: np.ndarray, like: Shape) -> Shape:
        """Return the shape of parameters [n]; what they do not tell is taken from another."""
        free = dict(like.landmark_m)
        for i, name in enumerate(self.base):
            offset = vector[N_SEGMENTS + 3 * i : N_SEGMENTS + 3 * i + 3]
            free[name] = offset
            if mirror_name(name) != name:
                free[mirror_name(name)] = offset * [1.0, -1.0, 1.0]
        return Shape(like.scale, vector[:N_SEGMENTS], free, like.toe_m)

    def prior_information(self, measured: tuple[str, ...] | None = None) -> np.ndarray:
        """Return the prior's information [n n]: sizes near the body's, left near right, landmarks near the book's.

        `measured` are the landmarks that an earlier take of the performer measured, where the prior is its profile.
        """
        sizes = np.full(N_SEGMENTS, (LENGTH_SD if measured is None else PROFILE_LENGTH_SD) ** -2.0)
        is_known = [n in (measured or ()) or mirror_name(n) in (measured or ()) for n in self.base]
        places = np.where(is_known, PROFILE_LANDMARK_SD_M, LANDMARK_SD_M) ** -2.0
        out = np.diag(np.concatenate([sizes, np.repeat(places, 3)]))
        for left, name in enumerate(SEGMENT_NAMES):
            if name.startswith("Left"):
                right = SEGMENT_NAMES.index(name.replace("Left", "Right"))
                pair = np.zeros(len(out))
                pair[left], pair[right] = 1.0, -1.0
                out += np.outer(pair, pair) * ASYMMETRY_SD**-2.0
        return out
