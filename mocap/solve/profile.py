"""From a performer's shape to the profile that the next take starts from, and back."""

from __future__ import annotations

import numpy as np

from mocap.core.performer import PerformerProfile, Place
from mocap.solve.body import BODY, LANDMARKS, ONLY_WITH_FINGERS
from mocap.solve.shape import Shape, reference_shape, toes_m

_REFERENCE_M = np.array([np.linalg.norm(BODY.offsets_m[joints[0]]) for joints in BODY.segments])


def profile_of(shape: Shape, measured: tuple[str, ...], origin: str = "") -> PerformerProfile:
    """Return the profile of a shape that was fitted with the landmarks `measured`."""
    return PerformerProfile(
        scale=float(shape.scale),
        segment_m=dict(zip(BODY.segment_names, (shape.segment * _REFERENCE_M).tolist(), strict=True)),
        landmark_m={
            n: _place(v) for n, v in shape.landmark_m.items() if n in measured or n[1:] not in ONLY_WITH_FINGERS
        },
        toe_m=_place(shape.placed_m["LeftToeBase"]),
        measured=tuple(n for n in measured if LANDMARKS[n].is_free),
        origin=origin,
    )


def shape_of(profile: PerformerProfile) -> Shape:
    """Return the shape of a profile; what it does not name is the reference body's at its scale."""
    reference = reference_shape(profile.scale)
    lengths = [
        profile.segment_m.get(n, f * r)
        for n, f, r in zip(BODY.segment_names, reference.segment, _REFERENCE_M, strict=True)
    ]
    places = {n: np.array(v) for n, v in profile.landmark_m.items() if n in reference.landmark_m}
    return Shape(
        profile.scale, np.array(lengths) / _REFERENCE_M, reference.landmark_m | places, toes_m(np.array(profile.toe_m))
    )


def _place(v: np.ndarray) -> Place:
    return float(v[0]), float(v[1]), float(v[2])
