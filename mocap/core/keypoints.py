"""2D and 3D keypoints. Missing is NaN with score 0; every 3D value says where it came from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib import resources

import numpy as np

from mocap.core.arrays import frozen

N_HAND = 21
"""Points of a hand in every set that shows it whole: the wrist and four of each finger."""


class Source(IntEnum):
    """Where a 3D value came from (stored as uint8)."""

    MISSING = 0
    MEASURED = 1
    """Triangulated from two or more views of the same instant, and kept by the solve as such."""
    INTERPOLATED = 2
    """No or one view at this instant: carried by the solve from neighbouring frames."""
    SOLVED = 3
    """Never measured here: follows from the skeleton alone."""
    EDITED = 4
    """Placed by a person."""


@dataclass(frozen=True, eq=False)
class KeypointSet:
    """A named list of keypoints, loaded from `mocap/core/keypoint_sets/<name>.toml`."""

    name: str
    names: tuple[str, ...]
    """Keypoint names in the set's order."""
    landmarks: tuple[str, ...]
    """Canonical landmark of each keypoint ('' when the skeleton has no use for it); Halpe-26 style names."""
    bones: tuple[tuple[int, int], ...]
    """Pairs of keypoints that a rigid bone connects, for consistency checks and drawing."""
    mirror: tuple[int, ...]
    """Index of each keypoint's mirror image (itself on the midline)."""

    def __post_init__(self) -> None:
        n = len(self.names)
        if len(self.landmarks) != n or len(self.mirror) != n or len(set(self.names)) != n:
            raise ValueError(
                f"keypoint set {self.name}: names, landmarks and mirror must have one length and unique names"
            )
        if any(self.mirror[m] != k for k, m in enumerate(self.mirror)):
            raise ValueError(f"keypoint set {self.name}: mirror must be an involution")
        if any(not 0 <= i < n for bone in self.bones for i in bone):
            raise ValueError(f"keypoint set {self.name}: a bone names a keypoint that is not there")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, landmark: str) -> int | None:
        """Return the keypoint that carries a canonical landmark, or None."""
        return self.landmarks.index(landmark) if landmark in self.landmarks else None


def keypoint_set_names() -> tuple[str, ...]:
    """Return the names of the sets that the product knows."""
    files = resources.files("mocap.core.keypoint_sets").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


@cache
def load_keypoint_set(name: str) -> KeypointSet:
    """Return a set by name. Raises KeyError naming the available ones."""
    if name not in keypoint_set_names():
        raise KeyError(f"no keypoint set {name!r}; available: {', '.join(keypoint_set_names())}")
    data = tomllib.loads(resources.files("mocap.core.keypoint_sets").joinpath(f"{name}.toml").read_text("utf-8"))
    points = data["keypoints"]
    names = tuple(p["name"] for p in points)
    at = {n: i for i, n in enumerate(names)}
    return KeypointSet(
        name=name,
        names=names,
        landmarks=tuple(p.get("landmark", "") for p in points),
        bones=tuple((at[a], at[b]) for a, b in data["bones"]),
        mirror=tuple(at[p.get("mirror", p["name"])] for p in points),
    )


@cache
def hand_keypoints() -> KeypointSet:
    """Return the points of both hands, the left one's first, as COCO-WholeBody names them."""
    whole = load_keypoint_set("coco_wholebody133")
    first = whole.names.index("left_hand_root")
    hands = slice(first, first + 2 * N_HAND)
    return KeypointSet(
        "hands",
        whole.names[hands],
        whole.landmarks[hands],
        tuple((a - first, b - first) for a, b in whole.bones if min(a, b) >= first),
        tuple(m - first for m in whole.mirror[hands]),
    )


@cache
def with_hands(body: KeypointSet) -> KeypointSet:
    """Return the set of a body, followed by `hand_keypoints`, for files that hold hands apart from the body."""
    hands, n = hand_keypoints(), len(body)
    return KeypointSet(
        f"{body.name}+hands",
        body.names + hands.names,
        body.landmarks + hands.landmarks,
        body.bones + tuple((a + n, b + n) for a, b in hands.bones),
        body.mirror + tuple(m + n for m in hands.mirror),
    )


def frozen_detections(
    xy_px: np.ndarray, score: np.ndarray, time_s: np.ndarray, shape: tuple[int | None, ...]
) -> dict[str, np.ndarray]:
    """Return the three arrays by name, checked and read-only; `shape` is [... frame person keypoint 2] of `xy_px`.

    Raises ValueError when shapes differ, or a missing keypoint is not NaN with score 0: a bug of the caller.
    """
    xy = frozen(xy_px, np.float32, shape, "xy_px")
    scores = frozen(score, np.float32, xy.shape[:-1], "score")
    times = frozen(time_s, np.float64, xy.shape[:-3], "time_s")
    seen = np.isfinite(xy).all(-1)
    if (scores[~seen] != 0).any() or not np.isfinite(scores).all():
        raise ValueError("missing keypoints must be NaN with score 0, and scores finite")
    return {"xy_px": xy, "score": scores, "time_s": times}


@dataclass(frozen=True, eq=False)
class Keypoints2D:
    """Detections of all cameras of a take, each at its own times. Axes: camera frame person keypoint."""

    keypoint_set: KeypointSet
    camera_names: tuple[str, ...]
    xy_px: np.ndarray
    """[camera frame person keypoint 2] float32, distorted pixels at the rig's image size; NaN where not detected."""
    score: np.ndarray
    """[camera frame person keypoint] float32 in 0..1; 0 where not detected."""
    time_s: np.ndarray
    """[camera frame] float64 master time of each frame; NaN pads cameras with fewer frames."""

    def __post_init__(self) -> None:
        shape = (len(self.camera_names), None, None, len(self.keypoint_set), 2)
        for name, value in frozen_detections(self.xy_px, self.score, self.time_s, shape).items():
            object.__setattr__(self, name, value)

    @property
    def n_cameras(self) -> int:
        """How many cameras there are."""
        return self.xy_px.shape[0]

    @property
    def n_frames(self) -> int:
        """Frames of the longest camera."""
        return self.xy_px.shape[1]

    @property
    def n_persons(self) -> int:
        """Slots for people in each frame; not every slot is filled."""
        return self.xy_px.shape[2]

    def person(self, index: np.ndarray) -> Keypoints2D:
        """Return one person: `index` [camera frame] names the detection to take, -1 for none."""
        index = np.asarray(index)
        safe = np.maximum(index, 0)[:, :, None, None]
        score = np.take_along_axis(self.score, safe, axis=2)
        xy = np.take_along_axis(self.xy_px, safe[..., None], axis=2)
        none = (index < 0)[:, :, None, None]
        return Keypoints2D(
            self.keypoint_set,
            self.camera_names,
            np.where(none[..., None], np.nan, xy),
            np.where(none, 0.0, score),
            self.time_s,
        )

    def cut(self, low: np.ndarray, high: np.ndarray) -> Keypoints2D:
        """Return frames low..high-1 [camera] of every camera, padded to the longest."""
        at = low[:, None] + np.arange(max(int((high - low).max(initial=0)), 0))
        there = at < high[:, None]
        camera, at = np.arange(len(at))[:, None], np.minimum(at, self.n_frames - 1)
        return Keypoints2D(
            self.keypoint_set,
            self.camera_names,
            np.where(there[..., None, None, None], self.xy_px[camera, at], np.nan),
            np.where(there[..., None, None], self.score[camera, at], 0.0),
            np.where(there, self.time_s[camera, at], np.nan),
        )


MIN_FOR_STEP = 8
"""Fewer frames with detections than this do not show a step: their distances are chance."""


def looked_at(has_any: np.ndarray) -> slice:
    """Return the frames of one camera that a model looked at, given which ones have any detection [frame] bool.

    A quick look takes every n-th frame only. The others are empty because nobody looked, which says nothing of whether
    somebody was there: n is the greatest common divisor of the distances of frames with detections.
    """
    (frame,) = np.nonzero(has_any)
    if len(frame) < MIN_FOR_STEP:
        return slice(None)
    step = int(np.gcd.reduce(np.diff(frame)))
    return slice(int(frame[0]) % step, None, step)


@dataclass(frozen=True, eq=False)
class Points3D:
    """Reconstructed keypoints of one subject in the world. Axes: frame keypoint."""

    keypoint_set: KeypointSet
    time_s: np.ndarray
    """[frame] master time."""
    xyz_m: np.ndarray
    """[frame keypoint 3] world, metres; NaN where unknown."""
    sigma_m: np.ndarray
    """[frame keypoint] 1 standard deviation per axis; NaN where unknown."""
    source: np.ndarray
    """[frame keypoint] uint8, see `Source`."""

    def __post_init__(self) -> None:
        k = len(self.keypoint_set)
        xyz = frozen(self.xyz_m, np.float64, (None, k, 3), "xyz_m")
        f = xyz.shape[0]
        object.__setattr__(self, "xyz_m", xyz)
        object.__setattr__(self, "time_s", frozen(self.time_s, np.float64, (f,), "time_s"))
        object.__setattr__(self, "sigma_m", frozen(self.sigma_m, np.float64, (f, k), "sigma_m"))
        object.__setattr__(self, "source", frozen(self.source, np.uint8, (f, k), "source"))
        if (np.isfinite(xyz).all(-1) == (self.source == Source.MISSING)).any():
            raise ValueError("a keypoint is NaN exactly where its source is MISSING")
