"""The performer's shape: segments and landmark offsets, linear in the points once the pose is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mocap.kernels.rotations import quat_exp, quat_rotate
from mocap.solve.anatomy import Anatomy
from mocap.solve.body import (
    ASYMMETRY_SD,
    BODY,
    HAND_LANDMARKS,
    JOINT_NAMES,
    LANDMARK_SD_M,
    LENGTH_SD,
    OFFSETS_M,
    PROFILE_LANDMARK_SD_M,
    PROFILE_LENGTH_SD,
)

TOE_JOINT = 0.72
"""Place of the toe joints along the foot, as a share of the way from heel to big toe (as the metatarsal heads lie)."""


@dataclass(frozen=True, eq=False)
class Shape:
    """Estimated numbers of one performer."""

    scale: float
    """Overall scale against the reference body; joints that nothing measures take it."""
    segment: np.ndarray
    """[segment] factor of each of the anatomy's segments on its reference length."""
    landmark_m: dict[str, np.ndarray]
    """Offset [3] of each free landmark in its joint's frame."""
    placed_m: dict[str, np.ndarray]
    """Place [3] in the parent's frame of joints that no segment tells, such as the toes'."""
    anatomy: Anatomy = BODY

    def offsets_m(self) -> np.ndarray:
        """[joint 3] place of each joint in its parent's frame."""
        reference_m = self.anatomy.offsets_m
        out = reference_m * self.scale
        for factor, joints in zip(self.segment, self.anatomy.segments, strict=True):
            out[list(joints)] = factor * reference_m[list(joints)]
        for name, place in self.placed_m.items():
            out[self.anatomy.names.index(name)] = place
        return out

    def landmark_offset_m(self, name: str) -> np.ndarray:
        """[3] place of a landmark in its joint's frame."""
        return self.landmark_m.get(name, np.array(self.anatomy.landmarks[name].offset_m) * self.scale)

    def with_toe_joints(self) -> Shape:
        """Return the same body at rest with its toe joints between heel and toes, level with the sole.

        The toes' own landmarks hardly tell where the toe bends; where the foot's landmarks lie, they do.
        """
        was = self.placed_m["LeftToeBase"]
        heel, tip = self.landmark_m["LHeel"], was + self.landmark_m["LBigToe"]
        toe = heel + TOE_JOINT * (tip - heel)
        toe[1] = 0.0
        moved = dict(self.landmark_m)
        for side, flip in (("L", 1.0), ("R", -1.0)):
            for name in ("BigToe", "SmallToe"):
                moved[side + name] = moved[side + name] + (was - toe) * [1.0, flip, 1.0]
        return replace(self, landmark_m=moved, placed_m=toes_m(toe))

    def with_knuckles_across(self) -> Shape:
        """Return the same hands with their frames turned about the forearm until the knuckles lie along x.

        Nothing else says where a forearm's roll is zero: a turned frame with turned offsets gives the same points.
        """
        along = self.landmark_m["LIndex"] - self.landmark_m["LPinky"]
        return self._with_hands_turned(np.array([0.0, np.arctan2(along[2], along[0]), 0.0]))

    def with_hands_straight(self) -> Shape:
        """Return the same hands with their frames turned until the middle finger's knuckle lies along the forearm.

        There the wrist's angles are zero (American Academy of Orthopaedic Surgeons, Joint Motion, 1965), so that the
        fingers' are counted from the palm.
        """
        x, y, z = self.landmark_m["LMiddle"]
        level = self._with_hands_turned(np.array([-np.arctan2(z, np.hypot(x, y)), 0.0, 0.0]))
        x, y, _ = level.landmark_m["LMiddle"]
        return level._with_hands_turned(np.array([0.0, 0.0, np.arctan2(x, y)])).with_knuckles_across()

    def _with_hands_turned(self, left_rotvec: np.ndarray) -> Shape:
        turned = {}
        for side, mirror in (("L", 1.0), ("R", np.array([-1.0, 1.0, -1.0]))):
            turn = quat_exp(mirror * left_rotvec)
            turned |= {side + n: quat_rotate(turn, self.landmark_m[side + n]) for n in HAND_LANDMARKS}
        return replace(self, landmark_m=self.landmark_m | turned)


def toes_m(left: np.ndarray) -> dict[str, np.ndarray]:
    """Return the places of both toe joints in their feet's frames, of the left one's [3]."""
    return {"LeftToeBase": left, "RightToeBase": left * [1.0, -1.0, 1.0]}


def reference_shape(scale: float, anatomy: Anatomy = BODY) -> Shape:
    """Return the reference anatomy at a scale."""
    free = {n: np.array(m.offset_m) * scale for n, m in anatomy.landmarks.items() if m.is_free}
    placed = toes_m(OFFSETS_M[JOINT_NAMES.index("LeftToeBase")] * scale) if anatomy is BODY else {}
    return Shape(scale, np.full(len(anatomy.segments), scale), free, placed, anatomy)


def landmark_arrays(names: tuple[str, ...], shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return the joint [landmark] and the offset in it [landmark 3] of landmarks by name."""
    anatomy = shape.anatomy
    joint = np.array([anatomy.names.index(anatomy.landmarks[n].joint) for n in names], dtype=int)
    return joint, np.stack([shape.landmark_offset_m(n) for n in names])


def mirror_name(name: str) -> str:
    """Return the landmark on the other side, or the same on the midline."""
    other = {"L": "R", "R": "L"}.get(name[0], "") + name[1:]
    return other if name[1:2].isupper() else name


class ShapeModel:
    """Points as a linear function of shape parameters: segments, then the three offsets of each free landmark.

    Left and right share landmark offsets, mirrored in y.
    """

    def __init__(self, names: tuple[str, ...], anatomy: Anatomy = BODY) -> None:
        self.names, self.anatomy = names, anatomy
        free = [n for n in names if anatomy.landmarks[n].is_free]
        self.base = tuple(dict.fromkeys(min(n, mirror_name(n)) for n in free))
        self.n_segments = len(anatomy.segments)
        self.n = self.n_segments + 3 * len(self.base)
        # [joint landmark*segment] whether a bone is of the segment and between the root and the landmark
        way = np.zeros((len(anatomy.joints), len(names), self.n_segments))
        for k, name in enumerate(names):
            j = anatomy.names.index(anatomy.landmarks[name].joint)
            while j >= 0:
                way[j, k] = [j in joints for joints in anatomy.segments]
                j = anatomy.parents[j]
        self._on_the_way = way.reshape(len(anatomy.joints), -1)

    def jacobian(self, R_world: np.ndarray) -> np.ndarray:
        """Return d points / d shape [frame landmark 3 n] for world rotations [frame joint 3 3]."""
        n_frames, anatomy = len(R_world), self.anatomy
        bones = np.zeros((n_frames, 3, len(anatomy.joints)))
        for j, parent in enumerate(anatomy.parents):
            if parent >= 0:
                bones[:, :, j] = R_world[:, parent] @ anatomy.offsets_m[j]
        of_segments = (bones.reshape(-1, len(anatomy.joints)) @ self._on_the_way).reshape(
            n_frames, 3, -1, self.n_segments
        )
        out = np.zeros((n_frames, len(self.names), 3, self.n))
        out[..., : self.n_segments] = of_segments.transpose(0, 2, 1, 3)
        for k, name in enumerate(self.names):
            landmark = anatomy.landmarks[name]
            if landmark.is_free:
                at = self.n_segments + 3 * self.base.index(min(name, mirror_name(name)))
                flip = 1.0 if name in self.base else np.array([1.0, -1.0, 1.0])
                out[:, k, :, at : at + 3] = R_world[:, anatomy.names.index(landmark.joint)] * flip
        return out

    def vector(self, shape: Shape) -> np.ndarray:
        """Return the parameters [n] of a shape."""
        return np.concatenate([shape.segment, *(shape.landmark_m[n] for n in self.base)])

    def shape(self, vector: np.ndarray, like: Shape) -> Shape:
        """Return the shape of parameters [n]; what they do not tell is taken from another."""
        free = dict(like.landmark_m)
        for i, name in enumerate(self.base):
            offset = vector[self.n_segments + 3 * i : self.n_segments + 3 * i + 3]
            free[name] = offset
            if mirror_name(name) != name:
                free[mirror_name(name)] = offset * [1.0, -1.0, 1.0]
        return replace(like, segment=vector[: self.n_segments], landmark_m=free)

    def prior_information(self, measured: tuple[str, ...] | None = None) -> np.ndarray:
        """Return the prior's information [n n]: sizes near the body's, left near right, landmarks near the book's.

        `measured` are the landmarks that an earlier take of the performer measured, where the prior is its profile.
        """
        sizes = np.full(self.n_segments, (LENGTH_SD if measured is None else PROFILE_LENGTH_SD) ** -2.0)
        is_known = [n in (measured or ()) or mirror_name(n) in (measured or ()) for n in self.base]
        places = np.where(is_known, PROFILE_LANDMARK_SD_M, LANDMARK_SD_M) ** -2.0
        out = np.diag(np.concatenate([sizes, np.repeat(places, 3)]))
        names = self.anatomy.segment_names
        for left, name in enumerate(names):
            if name.startswith("Left") and name.replace("Left", "Right") in names:
                right = names.index(name.replace("Left", "Right"))
                pair = np.zeros(len(out))
                pair[left], pair[right] = 1.0, -1.0
                out += np.outer(pair, pair) * ASYMMETRY_SD**-2.0
        return out
