"""From a performer's shape to the profile that the next take starts from, and back."""

from __future__ import annotations

import numpy as np

from mocap.core.performer import PerformerProfile, Place
from mocap.solve.body import LANDMARKS, OFFSETS_M, SEGMENT_NAMES, SEGMENTS
from mocap.solve.shape import Shape, reference_shape

_REFERENCE_M = np.array([np.linalg.norm(OFFSETS_M[joints[0]]) for joints in SEGMENTS])


def profile_of(shape: Shape, measured: tuple[str, ...], origin: str = "") -> PerformerProfile:
    """Return the profile of a shape that was fitted with the landmarks `measured`."""
    return PerformerProfile(
        scale=float(shape.scale),
        segment_m=dict(zip(SEGMENT_NAMES, (shape.segment * _REFERENCE_M).tolist(), strict=True)),
        landmark_m={n: _place(v) for n, v in shape.landmark_m.items()},
        toe_m=_place(shape.toe_m),
        measured=tuple(n for n in measured if LANDMARKS[n].is_free),
        origin=origin,
    )


def shape_of(profile: PerformerProfile) -> Shape:
    """Return the shape of a profile; what it does not name is the reference body's at its scale."""
    reference = reference_shape(profile.scale)
    lengths = [
        profile.segment_m.get(n, f * r) for n, f, r in zip(SEGMENT_NAMES, reference.segment, _REFERENCE_M, strict=True)
    ]
    places = {n: np.array(v) for n, v in profile.landmark_m.items() if n in reference.landmark_m}
    return Shape(
        profile.scale, np.array(lengths) / _REFERENCE_M, reference.landmark_m | places, np.array(profile.toe_m)
    )


def _place(v: np.ndarray) -> Place:
    return float(v[0]), float(v[1]), float(v[2])
