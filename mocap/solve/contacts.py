"""Which foot stands: what holds the solve (`standing`), and what is told of the solved motion (`contacts`)."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_closing, binary_opening, minimum_filter1d, uniform_filter1d
from scipy.special import ndtr

CONTACT_JOINTS = ("LeftFoot", "LeftToeBase", "RightFoot", "RightToeBase")
MAX_SPEED_M_S = 0.25
"""A planted heel or toe of a walking person rolls at up to this speed (the definition of `../shared/bench`)."""
MAX_CONTACT_HEIGHT_M = 0.05
"""Of the heel's or toe's landmark above its support, from the same definition."""
SPEED_S = 1 / 30
"""Speeds are differences over this time to either side: shorter, noise passes for motion."""
OTHER_SHARE = 0.25
"""How much the foot's other point counts in a point's speed: a sole stands as one, and noise of the two differs."""
MAX_OTHER_SPEED_M_S = 0.7
"""A point that moves faster tells no more of the other than that the foot is on its way."""
USUAL_SPEED_M_S = 0.30
"""Of a point at the edge of contact: above MAX_SPEED_M_S, because the other point of a foot that rolls is the faster
one. This, the two errors and the probability below are tuned on synthetic takes: other seeds of the clip that the
benchmark walks, and two other clips."""
SPEED_SIGMA_M_S = 0.08
HEIGHT_SIGMA_M = 0.004
"""Errors of a solved point's speed and height, 1 sd, of four to eight cameras."""
MIN_PROBABILITY = 0.47
"""Near half of the best F1, which gives the best F1 where probabilities are right (Z. Lipton et al., "Optimal
thresholding of classifiers to maximize F1 measure", 2014, theorem 1); that heel and toe err independently is only about
so."""
MAX_RISE_M = 0.03
"""Above the point's own lowest still place in the two seconds around: a heel's landmark does not touch the floor."""
MAX_STILL_HEIGHT_M = 0.04
"""Who rests no lower than this above the floor stands on something."""
MAX_HEIGHT_M = 0.10
"""Above the lowest still place of any point in that time: a foot held still in the air does not stand."""
MIN_STANDING_S = 0.08
MIN_CONTACT_S = 0.05


def standing(points_m: np.ndarray, hips_m: np.ndarray, fps: float) -> np.ndarray:
    """Return [frame point] whether each foot point [frame point 3] may be held where it is.

    It is still, and near the height at which something supports it. The support need not be the floor (a beam, a step):
    it is the lowest height of a still point in the two seconds around. A foot above the hips [frame 3] (a handstand)
    supports nothing.
    """
    heights = points_m[..., 2]
    speed = np.linalg.norm(np.gradient(points_m, 1.0 / fps, axis=0), axis=-1) if len(points_m) > 1 else 0 * heights
    still = uniform_filter1d(speed, max(1, round(0.05 * fps)), axis=0, mode="nearest") < MAX_SPEED_M_S
    own = _running_minimum(np.where(still, heights, np.inf), round(fps))
    on = (
        (heights < hips_m[:, 2:])
        & still
        & (heights < own + MAX_RISE_M)
        & (heights < own.min(1, keepdims=True) + MAX_HEIGHT_M)
    )
    return _without_blinks(on, round(MIN_STANDING_S * fps))


def contacts(points_m: np.ndarray, hips_m: np.ndarray, fps: float) -> np.ndarray:
    """Return [frame point] whether each heel or toe [frame point 3] of the solved motion is in contact.

    Heel and toe of a foot lie side by side. A point is in contact where it is less than MAX_CONTACT_HEIGHT_M above its
    support and slow. How probable that is follows from the errors of height and speed, and a foot stands where one of
    its points probably does. The support is the floor, or MAX_STILL_HEIGHT_M below the lowest still place of any point
    in the two seconds around (a mat); of a point whose own lowest still place then is MAX_HEIGHT_M above the floor (a
    beam), it is that place. Feet that never rest, or are above the hips [frame 3], stand on nothing.
    """
    heights, speed, other = points_m[..., 2], _shared_speed(points_m, fps), _other_point(points_m.shape[1])
    own = _running_minimum(np.where(speed < USUAL_SPEED_M_S, heights, np.inf), round(fps))
    lowest = own.min(1, keepdims=True)
    floor = np.maximum(lowest - MAX_STILL_HEIGHT_M, 0.0)
    support = np.where(own < MAX_HEIGHT_M, floor, own - MAX_CONTACT_HEIGHT_M + MAX_RISE_M)
    may = np.isfinite(own) & (heights < hips_m[:, 2:]) & (heights < lowest + MAX_HEIGHT_M)
    low = np.where(may, support + MAX_CONTACT_HEIGHT_M - heights, -np.inf)
    alone = ndtr(low / HEIGHT_SIGMA_M) * ndtr((USUAL_SPEED_M_S - speed) / SPEED_SIGMA_M_S)
    foot = np.where(other == np.arange(len(other)), alone, 1 - (1 - alone) * (1 - alone[:, other]))
    alone, foot = (
        uniform_filter1d(p, max(1, round(MIN_CONTACT_S * fps)), axis=0, mode="nearest") for p in (alone, foot)
    )
    on = (foot > MIN_PROBABILITY) & (alone >= np.minimum(alone[:, other], MIN_PROBABILITY))
    return _without_blinks(on, round(MIN_CONTACT_S * fps))


def _horizontal_speed(points_m: np.ndarray, fps: float) -> np.ndarray:
    """Return [frame point] central differences over SPEED_S to either side, shorter at the ends."""
    at, step = np.arange(len(points_m)), max(1, round(SPEED_S * fps))
    before, after = np.maximum(at - step, 0), np.minimum(at + step, len(at) - 1)
    way = np.linalg.norm(points_m[after, :, :2] - points_m[before, :, :2], axis=-1)
    return way * fps / np.maximum(after - before, 1)[:, None]


def _shared_speed(points_m: np.ndarray, fps: float) -> np.ndarray:
    """Return each point's speed [frame point] mixed with that of the foot's other point, where there is one."""
    speed = _horizontal_speed(points_m, fps)
    of_other = np.minimum(speed, MAX_OTHER_SPEED_M_S)[:, _other_point(speed.shape[1])]
    return (1 - OTHER_SHARE) * speed + OTHER_SHARE * of_other


def _other_point(n_points: int) -> np.ndarray:
    """Return [point] which point lies on the same foot, itself where none does."""
    own = np.arange(n_points)
    return np.where((own ^ 1) < n_points, own ^ 1, own)


def _without_blinks(on: np.ndarray, n_frames: int) -> np.ndarray:
    """Return on [frame point] without gaps and stretches shorter than this."""
    length = np.ones((max(1, n_frames), 1), bool)
    closed = binary_closing(np.pad(on, ((len(length), len(length)), (0, 0)), mode="edge"), length)
    return binary_opening(closed, length)[len(length) : -len(length)]


def _running_minimum(values: np.ndarray, half_window: int) -> np.ndarray:
    """Return the minimum [frame point] over `half_window` frames to both sides."""
    return minimum_filter1d(values, 2 * half_window + 1, axis=0, mode="nearest")
