"""Which keypoints a drawn figure connects, and in which colours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from mocap.core.keypoints import KeypointSet

_SIDE_EDGES = (
    ("Shoulder", "Elbow"),
    ("Elbow", "Wrist"),
    ("Wrist", "Index"),
    ("Wrist", "Thumb"),
    ("Wrist", "Pinky"),
    ("Index", "Pinky"),
    ("Shoulder", "Hip"),
    ("Hip", "Knee"),
    ("Knee", "Ankle"),
    ("Ankle", "Heel"),
    ("Ankle", "BigToe"),
    ("Heel", "BigToe"),
    ("BigToe", "SmallToe"),
    ("Eye", "Ear"),
)
_MIDDLE_EDGES = (("Neck", "Head"), ("Neck", "Hip"), ("Nose", "Head"), ("Nose", "LEye"), ("Nose", "REye"))
_VIA_MIDDLE = (("Shoulder", "Neck"), ("Hip", "Hip"))
"""Left and right meet at the middle landmark where the set has one, and directly where it has none."""

SIDE_RGB = {"L": (0, 190, 255), "R": (255, 84, 214), "": (235, 235, 240)}
"""Rim colours of left, right and middle."""
_RAMP_AT = (0.0, 0.5, 1.0)
_RAMP_RGB = ((224, 49, 49), (245, 190, 50), (55, 200, 113))


@dataclass(frozen=True)
class Figure:
    """A stick figure over the keypoints of a set."""

    edges: tuple[tuple[int, int], ...]
    edge_sides: tuple[str, ...]
    """'L', 'R' or '' of each edge."""
    node_sides: tuple[str, ...]
    """'L', 'R' or '' of each keypoint."""
    middles: tuple[tuple[int, int], ...] = ()
    """Pairs of keypoints whose middles are further nodes, counted on from the keypoints."""
    middle_edges: tuple[tuple[int, int], ...] = ()
    """Edges of the neck and the head that end at such a node."""


@cache
def stick_figure(keypoint_set: KeypointSet) -> Figure:
    """Return the figure of a keypoint set: a connected body by its landmarks, and its own bones beyond these."""
    sides = tuple(_side(keypoint_set, k) for k in range(len(keypoint_set)))
    pairs = [(f"{s}{a}", f"{s}{b}") for s in "LR" for a, b in _SIDE_EDGES] + list(_MIDDLE_EDGES)
    for limb, middle in _VIA_MIDDLE:
        through = keypoint_set.index(middle) is not None
        pairs += [(f"L{limb}", middle), (f"R{limb}", middle)] if through else [(f"L{limb}", f"R{limb}")]
    found = [(keypoint_set.index(a), keypoint_set.index(b)) for a, b in pairs]
    edges = [(a, b) for a, b in found if a is not None and b is not None]
    joined = {name for pair in pairs for name in pair}
    edges += [e for e in keypoint_set.bones if not all(keypoint_set.landmarks[i] in joined for i in e)]
    edge_sides = tuple(sides[a] if sides[a] == sides[b] else "" for a, b in edges)
    return Figure(tuple(edges), edge_sides, sides, *_neck_and_head(keypoint_set))


def _neck_and_head(keypoint_set: KeypointSet) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Return middles and edges that join the head to the shoulders where the set has no landmarks between them."""
    middles: list[tuple[int, int]] = []

    def node(own: str, pair: str) -> int | None:
        """Return the node of a landmark, or of the middle of its sides; a new one where that is not known yet."""
        k, left, right = (keypoint_set.index(n) for n in (own, f"L{pair}", f"R{pair}"))
        if k is not None or left is None or right is None:
            return k
        middles.append((left, right))
        return len(keypoint_set) + len(middles) - 1

    if keypoint_set.index("Head") is not None and keypoint_set.index("Neck") is not None:
        return (), ()
    neck, head, nose = node("Neck", "Shoulder"), node("Head", "Ear"), keypoint_set.index("Nose")
    chain = [n for n in (neck, head, nose) if n is not None]
    return tuple(middles), tuple(pairwise(chain))


def confidence_rgb(confidence: np.ndarray) -> np.ndarray:
    """Return [... 3] float64 colours in 0..255: red at 0, amber at 0.5, green at 1."""
    value = np.clip(np.nan_to_num(confidence), 0.0, 1.0)
    ramp = np.array(_RAMP_RGB, np.float64)
    return np.stack([np.interp(value, _RAMP_AT, ramp[:, channel]) for channel in range(3)], axis=-1)


def _side(keypoint_set: KeypointSet, k: int) -> str:
    if keypoint_set.mirror[k] == k:
        return ""
    name = keypoint_set.landmarks[k] or keypoint_set.names[k]
    return "L" if name[0] in "lL" else "R"
