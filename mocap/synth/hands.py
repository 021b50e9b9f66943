"""Synthetic hands: fingers that bend by closed formulas of time, with all keypoints of a whole-body set's hands.

Bones and knuckles are a made-up person's, drawn at random, and nothing of the solve's model of a hand: every knuckle
turns sideways and then bends, the palm is hollow, and the thumb stands where this person's does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.kernels.rotations import quat_exp, quat_multiply, quat_rotate

FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")
_KNUCKLE_M = np.array(
    [
        [0.024, 0.028, -0.016],
        [0.029, 0.090, -0.002],
        [0.005, 0.094, 0.002],
        [-0.016, 0.088, 0.0],
        [-0.034, 0.078, -0.004],
    ]
)
"""[finger 3] of a left hand in T-pose, palm down: x towards the thumb, y along the hand, z up."""
_BONE_M = np.array(
    [[0.048, 0.034, 0.028], [0.044, 0.026, 0.022], [0.049, 0.030, 0.023], [0.045, 0.028, 0.023], [0.036, 0.021, 0.020]]
)
"""[finger bone]"""
_THUMB = np.array([[0.62, 0.52, -0.58], [-0.70, 0.71, -0.10]])
"""Where the thumb points at rest, and where it bends to."""
_BEND_DEG = np.array([[5.0, 20.0, 25.0], *[[32.0, 42.0, 26.0]] * 4])
_SWEEP_DEG = np.array([[12.0, 18.0, 22.0], *[[34.0, 38.0, 22.0]] * 4])
"""[finger joint] mean bends and how far they go to either side."""
_SIDEWAYS_DEG = np.array([10.0, 9.0, 4.0, 5.0, 9.0])


@dataclass(frozen=True, eq=False)
class Hands:
    """Both hands of a person, alike but for their motion."""

    knuckle_m: np.ndarray
    """[finger 3] of the left hand."""
    bone_m: np.ndarray
    """[finger bone]"""
    rate_hz: np.ndarray
    """[side finger]"""
    phase_rad: np.ndarray
    """[side finger]"""
    sweep: float = 1.0
    """How much of the usual range the fingers go through; 0 holds them still."""

    @classmethod
    def random(cls, rng: np.random.Generator, scale: float = 1.0) -> Hands:
        """Return hands of a person of a size against the reference height."""
        knuckle = _KNUCKLE_M * scale + 0.002 * rng.standard_normal(_KNUCKLE_M.shape)
        bone = _BONE_M * scale * rng.uniform(0.92, 1.08, _BONE_M.shape)
        return cls(knuckle, bone, rng.uniform(0.4, 0.9, (2, 5)), rng.uniform(0, 2 * np.pi, (2, 5)))

    def bends_deg(self, side: str, time_s: np.ndarray) -> np.ndarray:
        """Return how far each joint bends [time finger joint] at any instants."""
        return _BEND_DEG + self.sweep * _SWEEP_DEG * np.sin(self._turn(side, time_s))[..., None]

    def points(self, side: str, wrist_m: np.ndarray, R_world: np.ndarray, time_s: np.ndarray) -> dict[str, np.ndarray]:
        """Return the landmarks of one hand {name: [time 3]} for its wrist [time 3] and its turn [time 3 3]."""
        bends, sideways = np.radians(self.bends_deg(side, time_s)), self._sideways_rad(side, time_s)
        mirror = np.array([1.0, 1.0 if side == "Left" else -1.0, 1.0])
        local = {"HandRoot": np.zeros((len(time_s), 3))}
        for f, finger in enumerate(FINGERS):
            is_thumb = finger == "Thumb"
            along, towards = _THUMB if is_thumb else np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]])
            along = along / np.linalg.norm(along)
            hinge = np.cross(along, towards)
            hinge /= np.linalg.norm(hinge)
            turn = quat_exp(sideways[:, f, None] * np.cross(hinge, along))
            place = np.tile(self.knuckle_m[f], (len(time_s), 1))
            names = (
                ("Thumb1", "Thumb", "Thumb3", "ThumbTip") if is_thumb else [finger + n for n in ("", "2", "3", "Tip")]
            )
            local[names[0]] = place
            for bone, name in enumerate(names[1:]):
                turn = quat_multiply(turn, quat_exp(bends[:, f, bone, None] * hinge))
                place = place + self.bone_m[f, bone] * quat_rotate(turn, along)
                local[name] = place
        return {side[0] + n: wrist_m + np.einsum("tij,tj->ti", R_world, mirror * p) for n, p in local.items()}

    def _turn(self, side: str, time_s: np.ndarray) -> np.ndarray:
        s = 0 if side == "Left" else 1
        return 2 * np.pi * np.asarray(time_s)[:, None] * self.rate_hz[s] + self.phase_rad[s]

    def _sideways_rad(self, side: str, time_s: np.ndarray) -> np.ndarray:
        return self.sweep * np.radians(_SIDEWAYS_DEG) * np.sin(0.7 * self._turn(side, time_s) + 1.0)
