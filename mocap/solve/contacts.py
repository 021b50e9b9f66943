"""Which foot stands: detected on the solved motion."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_closing, binary_opening, minimum_filter1d, uniform_filter1d

CONTACT_JOINTS = ("LeftFoot", "LeftToeBase", "RightFoot", "RightToeBase")
MAX_SPEED_M_S = 0.25
"""A planted heel or toe of a walking person rolls at up to this speed (the definition of `../shared/bench`)."""
MAX_RISE_M = 0.03
"""Above the point's own lowest still place in the two seconds around: a heel's landmark does not touch the floor."""
MAX_HEIGHT_M = 0.10
"""Above the lowest still place of any point in that time: a foot held still in the air does not stand."""
MIN_CONTACT_S = 0.08


def detect_contacts(heights_m: np.ndarray, speeds_m_s: np.ndarray, fps: float) -> np.ndarray:
    """Return [frame point] whether each foot point stands: still, and near the height at which something supports it.

    heights_m and speeds_m_s [frame point] of heels and toes. The support need not be the floor (a beam, a step): it is
    the lowest height of a still point in the two seconds around.
    """
    still = uniform_filter1d(speeds_m_s, max(1, round(0.05 * fps)), axis=0, mode="nearest") < MAX_SPEED_M_S
    own = _running_minimum(np.where(still, heights_m, np.inf), round(fps))
    contact = still & (heights_m < own + MAX_RISE_M) & (heights_m < own.min(1, keepdims=True) + MAX_HEIGHT_M)
    length = np.ones((max(1, round(MIN_CONTACT_S * fps)), 1), bool)
    closed = binary_closing(np.pad(contact, ((len(length), len(length)), (0, 0)), mode="edge"), length)
    return binary_opening(closed, length)[len(length) : -len(length)]


def _running_minimum(values: np.ndarray, half_window: int) -> np.ndarray:
    """Return the minimum [frame point] over `half_window` frames to both sides."""
    return minimum_filter1d(values, 2 * half_window + 1, axis=0, mode="nearest")
