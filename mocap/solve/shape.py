"""The performer's shape: segment lengths and landmark offsets, linear in the points once the pose is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.solve.body import JOINT_NAMES, JOINTS, LANDMARK_SD_M, LANDMARKS, LENGTH_SD, LENGTHS, OFFSETS_M, PARENTS


@dataclass(frozen=True, eq=False)
class Shape:
    """Estimated numbers of one performer."""

    scale: float
    """Overall scale against the reference body; segments that nothing measures take it."""
    length: np.ndarray
    """[length] factor of each segment in `body.LENGTHS`."""
    landmark_m: dict[str, np.ndarray]
    """Offset [3] of each free landmark in its joint's frame."""

    def offsets_m(self) -> np.ndarray:
        """[joint 3] place of each joint in its parent's frame."""
        factor = [self.length[LENGTHS.index(j.length_name)] if j.length_name else self.scale for j in JOINTS]
        return OFFSETS_M * np.array(factor)[:, None]

    def landmark_offset_m(self, name: str) -> np.ndarray:
        """[3] place of a landmark in its joint's frame."""
        return self.landmark_m.get(name, np.array(LANDMARKS[name].offset_m) * self.scale)


def reference_shape(scale: float) -> Shape:
    """Return the reference body at a scale."""
    free = {n: np.array(m.offset_m) * scale for n, m in LANDMARKS.items() if m.is_free}
    return Shape(scale, np.full(len(LENGTHS), scale), free)


def landmark_arrays(names: tuple[str, ...], shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return the joint [landmark] and the offset in it [landmark 3] of landmarks by name."""
    joint = np.array([JOINT_NAMES.index(LANDMARKS[n].joint) for n in names], dtype=int)
    return joint, np.stack([shape.landmark_offset_m(n) for n in names])


def mirror_name(name: str) -> str:
    """Return the landmark on the other side, or the same on the midline."""
    other = {"L": "R", "R": "L"}.get(name[0], "") + name[1:]
    return other if name[1:2].isupper() and other in LANDMARKS else name


class ShapeModel:
    """Points as a linear function of shape parameters: lengths, then the three offsets of each free landmark.

    Left and right share lengths and, mirrored in y, landmark offsets.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        free = [n for n in names if LANDMARKS[n].is_free]
        self.base = tuple(dict.fromkeys(min(n, mirror_name(n)) for n in free))
        self.n = len(LENGTHS) + 3 * len(self.base)

    def jacobian(self, R_world: np.ndarray) -> np.ndarray:
        """Return d points / d shape [frame landmark 3 n] for world rotations [frame joint 3 3]."""
        out = np.zeros((len(R_world), len(self.names), 3, self.n))
        for k, name in enumerate(self.names):
            j = JOINT_NAMES.index(LANDMARKS[name].joint)
            if LANDMARKS[name].is_free:
                at = len(LENGTHS) + 3 * self.base.index(min(name, mirror_name(name)))
                flip = np.diag([1.0, -1.0, 1.0]) if name not in self.base else np.eye(3)
                out[:, k, :, at : at + 3] = R_world[:, j] @ flip
            while PARENTS[j] >= 0:
                if JOINTS[j].length_name:
                    column = LENGTHS.index(JOINTS[j].length_name)
                    out[:, k, :, column] += R_world[:, PARENTS[j]] @ OFFSETS_M[j]
                j = PARENTS[j]
        return out

    def vector(self, shape: Shape) -> np.ndarray:
        """Return the parameters [n] of a shape."""
        return np.concatenate([shape.length, *(shape.landmark_m[n] for n in self.base)])

    def shape(self, vector: np.ndarray, scale: float) -> Shape:
        """Return the shape of parameters [n]."""
        free = dict(reference_shape(scale).landmark_m)
        for i, name in enumerate(self.base):
            offset = vector[len(LENGTHS) + 3 * i : len(LENGTHS) + 3 * i + 3]
            free[name] = offset
            if mirror_name(name) != name:
                free[mirror_name(name)] = offset * [1.0, -1.0, 1.0]
        return Shape(scale, vector[: len(LENGTHS)], free)

    def prior_information(self) -> np.ndarray:
        """Return the diagonal [n] of the prior's information."""
        return np.concatenate(
            [np.full(len(LENGTHS), LENGTH_SD**-2.0), np.full(3 * len(self.base), LANDMARK_SD_M**-2.0)]
        )
