"""Who is probably the performer in each view alone, before the cameras are known."""

from __future__ import annotations

import numpy as np

from mocap.core.keypoints import Keypoints2D
from mocap.tracking.performer import MIN_SCORE, body_keypoints
from mocap.tracking.tracklets import link, person_size_px


def main_person(detections: Keypoints2D) -> np.ndarray:
    """Return which detection [camera frame] is the performer, -1 for none, told from each view alone.

    Tracklets are valued by how long they last, how large the person is and how much they move across the picture, in
    person sizes; in each view the best is taken, and others that do not overlap it in time. That is a guess: views may
    choose different people.
    """
    if detections.n_persons == 1:
        seen = np.isfinite(detections.xy_px[:, :, 0]).any((-1, -2))
        return np.where(seen, 0, -1)
    body = body_keypoints(detections.keypoint_set)
    xy = np.where((detections.score[..., body] >= MIN_SCORE)[..., None], detections.xy_px[..., body, :], np.nan)
    size = person_size_px(xy)
    tracklets = link(xy, detections.time_s, size)
    index = np.full(detections.time_s.shape, -1)
    for c in range(detections.n_cameras):
        value = [
            (_value(xy[c], size[c], tracklets.label[c] == t), int(t)) for t in np.flatnonzero(tracklets.camera == c)
        ]
        for _, t in sorted(value, reverse=True):
            frame, person = np.nonzero(tracklets.label[c] == t)
            if (index[c, frame] < 0).all():
                index[c, frame] = person
    return index


def _value(xy: np.ndarray, size: np.ndarray, mine: np.ndarray) -> float:
    """Return frames x size x (a little + movement of the middle), of one tracklet's detections [frame person]."""
    n = np.maximum(np.isfinite(xy[mine][..., 0]).sum(-1), 1)[:, None]
    middle = np.nansum(xy[mine], axis=-2) / n
    height = float(np.median(size[mine]))
    moves = float(np.linalg.norm(np.percentile(middle, 95, axis=0) - np.percentile(middle, 5, axis=0))) / height
    return len(middle) * height * (0.1 + min(moves, 1.0))
