"""Where a view exchanges left and right of a limb, seen in that view alone: both sides jump to each other's place.

No point in space is needed, so this also tells where most of the views are wrong at once, which no vote among views
can. What was found is a start: where legs pass each other or nothing is seen a change goes unnoticed, and the views
together decide (`mocap.kernels.evidence`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mocap.kernels.evidence import ENTER, STRETCH_S, WEAK_PAIRS, Mixture
from mocap.kernels.robust import MIN_SIGMA_PX, rayleigh_scale

LINE_S, LINE_FRAMES = 0.08, (2, 5)
"""A side moves on a line for about so long; differences of stretches of it are compared. In longer stretches one frame
is not missed: a change would seem to be just as well a frame earlier and a frame later."""
SLOPE_PRIOR = 1.0
"""Squared frames of ridge on the slope: a single sighting is held, not extrapolated."""
MAX_LOG_ODDS = 60.0


def exchanged_by_motion(xy_px: np.ndarray, limbs: Sequence[np.ndarray], fps: np.ndarray) -> np.ndarray:
    """Return [camera frame limb] whether a view likely shows the limb with left and right exchanged.

    xy_px [camera frame keypoint 2], NaN where unseen; limbs: for each, its keypoints (left, right) [pair 2]; fps
    [camera] of each one's own frames. Limbs of few pairs say too little on their own and follow the others. Linear in
    frames.
    """
    exchanged = np.zeros((*xy_px.shape[:2], len(limbs)), bool)
    strong = [g for g, pairs in enumerate(limbs) if len(pairs) > WEAK_PAIRS]
    if not strong or xy_px.shape[1] == 0:
        return exchanged
    odds = np.stack([_log_odds_of_turn(xy_px, limbs[g], fps) for g in strong], axis=-1)
    found = turned(odds, ENTER[0], np.minimum(1.0 / (STRETCH_S * fps), 0.9)) > 0.5
    exchanged[:] = found.all(-1, keepdims=True)
    exchanged[..., strong] = found
    return exchanged


def turned(log_odds: np.ndarray, enter: float, leave: np.ndarray) -> np.ndarray:
    """Return the probability [camera frame chain] of being turned round, by the forward-backward recursion.

    log_odds [camera frame chain] of a turn between a frame and the one before; enter, leave [camera]: its probabilities
    per frame if nothing tells. Two states, so each message is one number, the odds of the second state.
    """
    leave = leave[:, None]
    half = np.exp(np.clip(log_odds, -MAX_LOG_ODDS, MAX_LOG_ODDS) / 2).swapaxes(0, 1)
    stay, go, back, remain = (1 - enter) / half, enter * half, leave * half, (1 - leave) / half
    # the message from the end runs over the transposed transitions, backwards: both in one loop
    a, b = (np.stack([v, v[::-1]], axis=1) for v in (stay, remain))
    c, d = np.stack([go, back[::-1]], axis=1), np.stack([back, go[::-1]], axis=1)
    odds = np.empty((len(half) + 1, *c.shape[1:]))
    odds[0, 0], odds[0, 1] = enter / leave, 1.0
    message = odds[0]
    for t in range(len(half)):
        message = (c[t] + message * b[t]) / (a[t] + message * d[t])
        odds[t + 1] = message
    # at frame t: after t turns from the start, and before the rest of them from the end
    product = odds[1:, 0] * odds[-2::-1, 1]
    return (product / (1 + product)).swapaxes(0, 1)


def _log_odds_of_turn(xy_px: np.ndarray, pairs: np.ndarray, fps: np.ndarray) -> np.ndarray:
    """Return [camera frame] the log odds that the sides of a limb's pairs changed places just before a frame."""
    own, other = pairs.ravel(), pairs[:, ::-1].ravel()
    before, after = np.empty(xy_px[:, :, own].shape), np.empty(xy_px[:, :, own].shape)
    length = np.clip(np.rint(LINE_S * fps).astype(int), *LINE_FRAMES)
    for n in np.unique(length):
        before[length == n], after[length == n] = _ends(xy_px[length == n][:, :, own], int(n))
    swapped = before[:, :, np.arange(len(own)) ^ 1]
    kept, changed = (np.linalg.norm(after - b, axis=-1) for b in (before, swapped))
    sigma = np.array([rayleigh_scale(np.ravel(kept[..., k]), n_iterations=2) for k in range(len(own))])
    mixture = Mixture(kept, np.broadcast_to(np.maximum(np.nan_to_num(sigma, nan=1.0), MIN_SIGMA_PX), kept.shape))
    apart = np.asarray(np.linalg.norm(xy_px[:, :, own] - xy_px[:, :, other], axis=-1), float)
    spread_px = max(float(np.nanmean(apart)) / 2, 1.0) if np.isfinite(apart).any() else 1.0
    log_kept, log_changed = (np.log(mixture.good(v) + mixture.wrong(v)) for v in (kept, changed))
    # a side that was not seen before is somewhere around the other one
    around = [-v / spread_px - np.log(2 * np.pi * spread_px**2) for v in (changed, kept)]
    log_kept, log_changed = (
        np.where(np.isfinite(v), v, w) for v, w in zip((log_kept, log_changed), around, strict=True)
    )
    return np.nan_to_num(log_changed - log_kept).sum(-1)


def _ends(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where lines through the n frames before each frame, and through it and the n - 1 after, end half-way.

    values [camera frame keypoint 2], NaN where unseen; NaN where a line has no sighting.
    """
    n_frames = values.shape[1]
    seen = np.isfinite(values[..., 0])
    padded = np.zeros((values.shape[0], n_frames + 2 * n, values.shape[2], 3))
    padded[:, n:-n, :, 2] = seen
    padded[:, n:-n, :, :2] = np.where(seen[..., None], values, 0.0)
    # sums over n frames from each on: of the place and of one, times the powers of the time from their middle
    size = n_frames + n
    s0, s1, s2 = (np.zeros((values.shape[0], size, values.shape[2], w)) for w in (3, 3, 1))
    for i in range(n):
        x, part = i - (n - 1) / 2, padded[:, i : i + size]
        s0 += part
        s1 += x * part
        s2 += x * x * part[..., 2:]
    mean = 1.0 / np.maximum(s0[..., 2:], 1e-9)
    slope = (s1[..., :2] - s1[..., 2:] * mean * s0[..., :2]) / (s2 - s1[..., 2:] ** 2 * mean + SLOPE_PRIOR)
    middle = np.where(s0[..., 2:] > 0, (s0[..., :2] - slope * s1[..., 2:]) * mean, np.nan)
    reach = slope * (n / 2)
    return (middle + reach)[:, :n_frames], (middle - reach)[:, n:]
