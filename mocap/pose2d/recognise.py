"""Which keypoint set a file uses, from its keypoint names, their count, or the shape of the people in it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import KeypointSet, keypoint_set_names, load_keypoint_set

_SEGMENT_OF_HEIGHT = {
    ("Shoulder", "Elbow"): 0.186,
    ("Elbow", "Wrist"): 0.146,
    ("Hip", "Knee"): 0.245,
    ("Knee", "Ankle"): 0.246,
    ("Shoulder", "Hip"): 0.288,
}
"""Length of each side's segments in body heights: Drillis and Contini, "Body segment parameters", 1966."""
_FACE_OF_HEIGHT = {("LEye", "LEar"): 0.06, ("REye", "REar"): 0.06, ("Nose", "LEye"): 0.04, ("Nose", "REye"): 0.04}
"""Upper bounds: what is seen from the side is shorter."""
_WIDTH_OF_HEIGHT = {"Shoulder": 0.22, "Hip": 0.12}
"""Distance between left and right joint centres in body heights."""
_BODY = {(s + a, s + b): v for (a, b), v in _SEGMENT_OF_HEIGHT.items() for s in "LR"} | {
    ("L" + j, "R" + j): v for j, v in _WIDTH_OF_HEIGHT.items()
}
"""Segments left, right, left, right, ..., then widths."""
_FACE_SLACK = 0.7
"""Log length by which a face may exceed its bound: it is small, so its detections are noisy."""
_ADVICE = "Name the set with --keypoint-set, one of: {}."
_MARGIN = 0.25
"""The best set must beat the next by this score. Measured on real and synthetic takes of two and more cameras:
right sets score 0.2 to 0.5, wrong ones 0.9 and more."""
_WORST = 0.6
"""A set that scores worse describes no human body: random points score 0.64 and more."""
_N_SAMPLES = 1500


def choose_keypoint_set(
    instances_xy: Sequence[np.ndarray], names: tuple[str, ...], requested: str | None, where: str
) -> tuple[KeypointSet, tuple[Diagnostic, ...]]:
    """Return the set of the detections of a take, and what the choice rests on.

    `instances_xy` holds per camera [instance keypoint 2] pixels, NaN where missing; `names` the keypoint names if the
    files give them; `requested` the user's choice; `where` a file that shows the count.

    Raises: InputError keypoint-set-unknown, keypoint-set-mismatch, keypoint-count-unknown, keypoint-set-ambiguous,
    keypoint-names-unknown.
    """
    counts = {xy.shape[1] for xy in instances_xy}
    count = counts.pop()
    if requested is not None:
        return _requested(requested, count, where), ()
    if names:
        return _named(names, where)
    known = {name: s for name in keypoint_set_names() if any((s := load_keypoint_set(name)).landmarks)}
    candidates = {n: s for n, s in known.items() if len(s) == count}
    if not candidates:
        raise InputError(
            "keypoint-count-unknown",
            f"{where}: {count} keypoints per person; the sets known have {_list_counts(known)}.",
            "Detect again with a model of one of these sets.",
        )
    if len(candidates) == 1:
        return next(iter(candidates.values())), ()
    return _by_shape(candidates, instances_xy, count, where)


def body_score(points: KeypointSet, xy_px: np.ndarray) -> float:
    """Return how badly people [instance keypoint 2] read with this set fit a human body; inf when it cannot be told.

    Sum of four means over segments, all in log length and free of the image's scale: deviation from average human
    proportions (75th percentile over instances, which foreshortening hardly touches), difference between left and
    right, half the variation over instances, and by how much the face is too large.
    """
    # The size of a person must not depend on the set: spread of all its points.
    spread = np.sqrt(_nan(np.nanvar, xy_px, 1).sum(-1))
    body, body_expected = _segments(points, xy_px, _BODY)
    face, face_expected = _segments(points, xy_px, _FACE_OF_HEIGHT)
    high, low = (_quantiles(body, spread, q) for q in (75, 25))
    used = np.isfinite(high)
    if used.sum() < 4:
        return float("inf")
    deviation = high - np.log(body_expected)
    scale = np.median(deviation[used])
    proportion = np.abs(deviation[used] - scale).mean()
    variation = (high - low)[used].mean()
    difference = np.abs(np.diff(high[: 2 * len(_SEGMENT_OF_HEIGHT)].reshape(-1, 2), axis=1))
    asymmetry = difference[np.isfinite(difference)].mean() if np.isfinite(difference).any() else 0.0
    excess = _quantiles(face, spread, 50) - np.log(face_expected) - scale - _FACE_SLACK
    excess = np.maximum(excess[np.isfinite(excess)], 0.0)
    return float(proportion + asymmetry + 0.5 * variation + (excess.mean() if len(excess) else 0.0))


def _nan(function: Any, values: np.ndarray, axis: int, *args: Any) -> np.ndarray:
    """Apply a nan-function; NaN without a warning where nothing is finite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(values, *args, axis=axis)


def _quantiles(lengths: np.ndarray, spread: np.ndarray, percent: float) -> np.ndarray:
    """Return a percentile of log(length / spread) over instances [segment], NaN for segments seen too rarely."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(lengths / spread[:, None])
    ratio[~np.isfinite(ratio)] = np.nan
    rare = np.isfinite(ratio).sum(0) < max(3, 0.02 * len(ratio))
    return np.where(rare, np.nan, _nan(np.nanpercentile, ratio, 0, percent))


def _segments(
    points: KeypointSet, xy_px: np.ndarray, table: dict[tuple[str, str], float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return image lengths [instance segment] and expected lengths [segment] in body heights."""
    out = np.full((len(xy_px), len(table)), np.nan)
    for i, (a, b) in enumerate(table):
        ia, ib = points.index(a), points.index(b)
        if ia is not None and ib is not None:
            out[:, i] = np.linalg.norm(xy_px[:, ia] - xy_px[:, ib], axis=-1)
    return out, np.array(list(table.values()))


def _by_shape(
    candidates: dict[str, KeypointSet], instances_xy: Sequence[np.ndarray], count: int, where: str
) -> tuple[KeypointSet, tuple[Diagnostic, ...]]:
    xy = np.concatenate([np.asarray(i, np.float64) for i in instances_xy])
    xy = xy[np.isfinite(xy).all(-1).sum(1) >= min(8, count)]
    xy = xy[:: max(1, len(xy) // _N_SAMPLES)]
    scores = {n: body_score(s, xy) if len(xy) else float("inf") for n, s in candidates.items()}
    (best, low), (_, second) = sorted(scores.items(), key=lambda item: item[1])[:2]
    figures = ", ".join(f"{n} {v:.2f}" if np.isfinite(v) else f"{n} not rated" for n, v in scores.items())
    if not (low <= _WORST and second - low >= _MARGIN):
        raise InputError(
            "keypoint-set-ambiguous",
            f"{where}: {count} keypoints can be {' or '.join(candidates)}, and the bones do not tell which "
            f"(misfit to a human body, lower is better: {figures}).",
            _ADVICE.format(", ".join(candidates)),
        )
    message = f"{count} keypoints per person: read as {best} (misfit to a human body, lower is better: {figures})."
    data = {"keypoint_set": best, "misfit": {n: round(v, 3) if np.isfinite(v) else None for n, v in scores.items()}}
    return candidates[best], (Diagnostic("keypoint-set-chosen", Severity.INFO, message, data),)


def _requested(requested: str, count: int, where: str) -> KeypointSet:
    if requested not in keypoint_set_names():
        raise InputError(
            "keypoint-set-unknown",
            f"There is no keypoint set {requested!r}.",
            _ADVICE.format(", ".join(keypoint_set_names())),
        )
    points = load_keypoint_set(requested)
    if len(points) != count:
        raise InputError(
            "keypoint-set-mismatch",
            f"{where}: {count} keypoints per person, but {requested} has {len(points)}.",
            "Leave --keypoint-set out, or name the set that these files use.",
        )
    return points


def _list_counts(known: dict[str, KeypointSet]) -> str:
    return ", ".join(f"{len(s)} ({n})" for n, s in sorted(known.items(), key=lambda i: (len(i[1]), i[0])))


_MIDLINE = {
    "Nose": "nose",
    "Head": "head headtop tophead topofhead vertex",
    "Neck": "neck upperneck thorax",
    "Hip": "hip hips pelvis root midhip hipcenter hipcentre",
}
_SIDED = {
    "Eye": "eye",
    "Ear": "ear",
    "Shoulder": "shoulder",
    "Elbow": "elbow",
    "Wrist": "wrist hand",
    "Hip": "hip",
    "Knee": "knee",
    "Ankle": "ankle foot",
    "BigToe": "bigtoe toe footindex",
    "SmallToe": "smalltoe littletoe",
    "Heel": "heel",
    "Thumb": "thumb",
    "Index": "index",
    "Pinky": "pinky",
}
_LANDMARK = {("", w): k for k, words in _MIDLINE.items() for w in words.split()} | {
    (s, w): s + k for k, words in _SIDED.items() for w in words.split() for s in "LR"
}


def landmark_of(name: str) -> str:
    """Return the landmark that a keypoint name means, '' when it means none: `left_shoulder` -> `LShoulder`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    if words and re.fullmatch(r"[LR][A-Z]", words[0]):
        words = [words[0][0], words[0][1:], *words[1:]]
    lower = [w.lower() for w in words]
    if lower and re.fullmatch(r"[LR][A-Z][a-z]+", name):
        lower = [name[0].lower(), name[1:].lower()]
    side = {"l": "L", "left": "L", "r": "R", "right": "R"}
    sides = [side[w] for w in lower if w in side]
    stem = "".join(w for w in lower if w not in side)
    return _LANDMARK.get((sides[0] if sides else "", stem), "")


def _named(names: tuple[str, ...], where: str) -> tuple[KeypointSet, tuple[Diagnostic, ...]]:
    """Return the known set with these names or landmarks, else one made of the names."""
    landmarks = tuple(landmark_of(n) for n in names)
    for known in (load_keypoint_set(n) for n in keypoint_set_names()):
        if known.names == names or (known.landmarks == landmarks and all(landmarks)):
            return known, ()
    landmarks = tuple("" if m in landmarks[:i] else m for i, m in enumerate(landmarks))
    limbs = [(s + a, s + b) for a, b in list(_SEGMENT_OF_HEIGHT)[:4] for s in "LR"]
    bones = tuple((landmarks.index(a), landmarks.index(b)) for a, b in limbs if {a, b} <= set(landmarks))
    if not bones:
        raise InputError(
            "keypoint-names-unknown",
            f"{where}: no limb of a person among the keypoints {', '.join(names)}.",
            "Name the keypoints like left_shoulder, left_elbow, left_wrist.",
        )
    other = {m: ("R" if m[0] == "L" else "L") + m[1:] for m in landmarks if m[:1] in ("L", "R") and m}
    mirror = tuple(landmarks.index(other[m]) if other.get(m) in landmarks else k for k, m in enumerate(landmarks))
    unused = [n for n, m in zip(names, landmarks, strict=True) if not m]
    message = f"Keypoints by the names in the files: {len(names) - len(unused)} of {len(names)} are body landmarks"
    message += f" (without meaning here: {', '.join(unused)})." if unused else "."
    diagnostic = Diagnostic("keypoint-set-from-names", Severity.INFO, message, {"unused": unused})
    return KeypointSet("named", names, landmarks, bones, mirror), (diagnostic,)
