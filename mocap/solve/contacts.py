"""Which foot stands: detected on the solved motion."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_closing, binary_opening, uniform_filter1d

CONTACT_JOINTS = ("LeftFoot", "LeftToeBase", "RightFoot", "RightToeBase")
MAX_SPEED_M_S = 0.25
"""A planted heel or toe of a walking person rolls at up to this speed (the definition of `../shared/bench`)."""
MAX_HEIGHT_M = 0.06
"""Above the support: the lowest place where that foot stands still within two seconds."""
MIN_CONTACT_S = 0.08


def detect_contacts(heights_m: np.ndarray, speeds_m_s: np.ndarray, fps: float) -> np.ndarray:
    """Return [frame point] whether each foot point stands: still, and near the height at which something supports it.

    heights_m and speeds_m_s [frame point] of heels and toes. The support need not be the floor (a beam, a step): it is
    the lowest height of any still point in the two seconds around.
    """
    still = uniform_filter1d(speeds_m_s, max(1, round(0.05 * fps)), axis=0, mode="nearest") < MAX_SPEED_M_S
    support = _lowest_still(np.where(still, heights_m, np.inf).min(1), round(fps))
    contact = still & (heights_m < support[:, None] + MAX_HEIGHT_M)
    length = np.ones((max(1, round(MIN_CONTACT_S * fps)), 1), bool)
    closed = binary_closing(np.pad(contact, ((len(length), len(length)), (0, 0)), mode="edge"), length)
    return binary_opening(closed, length)[len(length) : -len(length)]


def _lowest_still(height_m: np.ndarray, half_window: int) -> np.ndarray:
    """Return the running minimum [frame] over `half_window` frames to both sides."""
    padded = np.pad(height_m, half_window, constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half_window + 1)
    return windows.min(-1)
