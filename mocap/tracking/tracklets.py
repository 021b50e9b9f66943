"""Detections of one view linked over time into tracklets, whatever order the people are listed in.

Links are conservative: a detection goes on with its nearest predecessor only if both choose each other and no other
person is nearly as close. Where people cross, tracklets end; whose the new ones are is decided with the other views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_STEP = 0.25
"""Farthest mean keypoint movement between frames, in person sizes."""
CAP = 0.5
"""A keypoint counts as this far off at most: gross errors of single keypoints must not break a track."""
AMBIGUOUS_RATIO, AMBIGUOUS_SIZE = 2.5, 0.08
"""Another person within this multiple of the nearest distance, or this share of a person size, makes a link unsure."""
MAX_GAP_S = 0.5
MIN_COMMON = 3


@dataclass(frozen=True, eq=False)
class Tracklets:
    """Tracklets of all views; ids are consecutive over all of them."""

    label: np.ndarray
    """[camera frame person] int: the tracklet of each detection, -1 where there is none."""
    camera: np.ndarray
    """[tracklet] index of the view."""

    def __len__(self) -> int:
        return len(self.camera)


def masked_median(values: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return the lower median over the last axis of values of which n are finite and the rest NaN; NaN for n = 0."""
    ordered = np.sort(values, axis=-1)
    middle = np.maximum(n - 1, 0)[..., None] // 2
    return np.take_along_axis(ordered, middle, axis=-1)[..., 0]


def person_size_px(xy_px: np.ndarray) -> np.ndarray:
    """Return about the height, in pixels, of detections [... keypoint 2]: 4 times the median distance from the middle.

    That is the height of keypoints spread evenly along a line, whatever single gross errors do. NaN for no keypoint.
    """
    n = np.isfinite(xy_px[..., 0]).sum(-1)
    middle = np.stack([masked_median(xy_px[..., a], n) for a in range(2)], -1)
    return 4.0 * masked_median(np.linalg.norm(xy_px - middle[..., None, :], axis=-1), n)


def link(xy_px: np.ndarray, time_s: np.ndarray, size_px: np.ndarray) -> Tracklets:
    """Return tracklets of detections [camera frame person keypoint 2] at times [camera frame], sizes per person.

    Cost is linear in frames and quadratic in the people listed per frame.
    """
    n_cameras, n_frames, n_persons = size_px.shape
    present = (np.isfinite(xy_px[..., 0]).sum(-1) >= MIN_COMMON) & np.isfinite(size_px) & (size_px > 0)
    present &= np.isfinite(time_s)[:, :, None]
    index = np.arange(present.size).reshape(present.shape)
    parent = index.copy()
    if n_frames > 1:
        back = _links(xy_px[:, :-1], xy_px[:, 1:], size_px[:, 1:], present[:, :-1], present[:, 1:])
        earlier = np.take_along_axis(index[:, :-1], np.maximum(back, 0), axis=2)
        parent[:, 1:] = np.where(back >= 0, earlier, index[:, 1:])
    root = _roots(parent.reshape(-1)).reshape(present.shape)
    for c in range(n_cameras):
        root[c] = _bridge(root[c], present[c], xy_px[c], time_s[c], size_px[c])
    ids, label = np.unique(np.where(present, root, -1), return_inverse=True)
    label = label.reshape(present.shape) - int(len(ids) > 0 and ids[0] == -1)
    return Tracklets(label, ids[ids >= 0] // (n_frames * n_persons))


def distance(a_px: np.ndarray, b_px: np.ndarray, size_px: np.ndarray) -> np.ndarray:
    """Return the mean capped distance [...] of detections [... keypoint 2], in person sizes; NaN for too few."""
    size = np.where(size_px > 0, size_px, np.nan)
    d = np.linalg.norm(a_px - b_px, axis=-1) / size[..., None]
    seen = np.isfinite(d)
    n = seen.sum(-1)
    total = np.where(seen, np.minimum(d, CAP), 0.0).sum(-1)
    return np.where(n >= MIN_COMMON, total / np.maximum(n, 1), np.nan)


def _links(
    before: np.ndarray, after: np.ndarray, size: np.ndarray, present_before: np.ndarray, present_after: np.ndarray
) -> np.ndarray:
    """Return for each detection of `after` [camera frame person] its predecessor's index in `before`, -1 for none."""
    d = distance(after[:, :, :, None], before[:, :, None, :], size[..., None])
    both = present_after[:, :, :, None] & present_before[:, :, None, :] & np.isfinite(d)
    d = np.where(both, d, np.inf)
    best = d.argmin(-1)
    value = d.min(-1)
    n_persons = d.shape[-1]
    others = np.where(np.arange(n_persons) == best[..., None], np.inf, d)
    rival = others.min(-1)
    # The predecessor must not be nearly as close to somebody else either.
    for p in range(n_persons):
        elsewhere = np.delete(d, p, axis=2)
        if elsewhere.shape[2]:
            of_best = np.take_along_axis(elsewhere.min(2), best[:, :, p : p + 1], axis=2)[..., 0]
            rival[:, :, p] = np.minimum(rival[:, :, p], of_best)
    is_sure = (value < MAX_STEP) & (rival > np.maximum(AMBIGUOUS_RATIO * value, AMBIGUOUS_SIZE))
    return np.where(is_sure, best, -1)


def _roots(parent: np.ndarray) -> np.ndarray:
    """Return the first element of each chain by pointer doubling."""
    while True:
        further = parent[parent]
        if np.array_equal(further, parent):
            return parent
        parent = further


def _bridge(root: np.ndarray, present: np.ndarray, xy: np.ndarray, time_s: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Join chains of one view [frame person] over frames in which the person was missed, where that is unambiguous."""
    frame, person = np.nonzero(present)
    ids = root[frame, person]
    # np.nonzero lists frames in order, so the first and last entries of an id are its ends in time.
    names, first = np.unique(ids, return_index=True)
    last = len(ids) - 1 - np.unique(ids[::-1], return_index=True)[1]
    if len(names) < 2:
        return root
    order = np.argsort(frame[first], kind="stable")
    names, first, last = names[order], first[order], last[order]
    start_s, end_s = time_s[frame[first]], time_s[frame[last]]
    parent = np.arange(len(names))
    taken = np.zeros(len(names), bool)
    for a in np.argsort(end_s, kind="stable"):
        lo, hi = np.searchsorted(start_s, [end_s[a] + 1e-6, end_s[a] + MAX_GAP_S], side="right")
        near = np.arange(lo, hi)
        near = near[~taken[near]]
        if not len(near):
            continue
        fa, pa = frame[last[a]], person[last[a]]
        fb, pb = frame[first[near]], person[first[near]]
        d = distance(xy[fb, pb], xy[fa, pa], size[fb, pb])
        d = np.where(np.isfinite(d), d, np.inf)
        best = int(d.argmin())
        rival = np.delete(d, best).min(initial=np.inf)
        # Others present just after the end could be meant as well.
        if d[best] < MAX_STEP and rival > max(AMBIGUOUS_RATIO * d[best], AMBIGUOUS_SIZE):
            parent[near[best]] = a
            taken[near[best]] = True
    lookup = dict(zip(names.tolist(), names[_roots(parent)].tolist(), strict=True))
    joined = root.copy()
    joined[frame, person] = [lookup[i] for i in ids.tolist()]
    return joined
