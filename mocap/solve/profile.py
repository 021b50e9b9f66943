"""From a performer's shape to the profile that the next take starts from, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mocap.core.performer import PerformerProfile, Place
from mocap.solve.anatomy import Anatomy
from mocap.solve.body import LANDMARKS, ONLY_WITH_FINGERS
from mocap.solve.shape import Shape, reference_shape, toes_m


def _reference_m(anatomy: Anatomy) -> np.ndarray:
    """Return the length of each segment [segment] of the reference anatomy."""
    return np.array([np.linalg.norm(anatomy.offsets_m[joints[0]]) for joints in anatomy.segments])


def _lengths_m(shape: Shape) -> dict[str, float]:
    lengths = (shape.segment * _reference_m(shape.anatomy)).tolist()
    return dict(zip(shape.anatomy.segment_names, lengths, strict=True))


def profile_of(
    shape: Shape, measured: tuple[str, ...], origin: str = "", hands: Sequence[Shape] = ()
) -> PerformerProfile:
    """Return the profile of a shape that was fitted with the landmarks `measured`, and of hands whose fingers were."""
    return PerformerProfile(
        scale=float(shape.scale),
        segment_m={name: length for one in (shape, *hands) for name, length in _lengths_m(one).items()},
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
    places = {n: np.array(v) for n, v in profile.landmark_m.items() if n in reference.landmark_m}
    return Shape(
        profile.scale,
        _segments(reference, profile),
        reference.landmark_m | places,
        toes_m(np.array(profile.toe_m)),
    )


def with_known_fingers(start: Shape, profile: PerformerProfile | None) -> tuple[Shape, bool]:
    """Return a hand's shape with the lengths of a profile, and whether that knows any of its fingers."""
    if profile is None or not set(start.anatomy.segment_names) & set(profile.segment_m):
        return start, False
    return replace(start, segment=_segments(start, profile)), True


def _segments(reference: Shape, profile: PerformerProfile) -> np.ndarray:
    """Return the factor of each segment in a profile, the reference's where it does not name one."""
    book_m = _reference_m(reference.anatomy)
    names = reference.anatomy.segment_names
    own = [profile.segment_m.get(n, f * r) for n, f, r in zip(names, reference.segment, book_m, strict=True)]
    return np.array(own) / book_m


def _place(v: np.ndarray) -> Place:
    return float(v[0]), float(v[1]), float(v[2])
