"""What each observation is worth, given where its point is: good, wrong, or of the other side's point.

An observation is drawn from a mixture: near its point with the noise of its score, or anywhere around with the spread
that the take's own errors show. Limbs err as a whole and in stretches: a view shows a limb in its place, with left and
right exchanged, or with both sides drawn where one of them is. Which of these holds over time is a hidden Markov chain,
solved exactly by the forward-backward recursion (L. Rabiner, "A tutorial on hidden Markov models", Proc. IEEE 1989,
eqs. 19-27).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mocap.kernels.reprojection import residuals_px
from mocap.kernels.robust import rayleigh_scale

IN_PLACE, EXCHANGED, LEFT_ON_RIGHT, RIGHT_ON_LEFT = range(4)
NOISE_DOF = 8.0
"""A score tells the noise only roughly, so it has heavier tails than a Gaussian: Student's t."""
GROSS_SD = 6.0
"""Residuals beyond this are surely wrong: from them the spread and the share of errors are measured."""
MIN_WRONG_SHARE, MAX_WRONG_SHARE = 0.002, 0.5
MIN_GROSS = 20
SAME_PLACE_PX = 1.0
"""How near a detector draws both sides of a limb when it sees only one of them."""
NOT_SAME = 0.05
"""Share of pairs that lie apart although the limb is drawn on one side."""
STRETCH_S = 0.15
"""Mean length of a stretch in which a limb is not in its place."""
ENTER = (0.003, 0.0015, 0.0015)
"""Probability per frame that a limb in its place becomes exchanged, left on right, right on left."""
BETWEEN = 0.05
"""Probability, of leaving such a state, for each of the other two."""
WEAK_PAIRS = 2
"""A limb of so few pairs (eyes and ears, close together) does not tell on its own when it is exchanged."""
WITH_BODY = 0.95
"""Probability that such a limb is exchanged if all others are, and that it is in place or drawn on one side if not."""
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Judgement:
    """What observations [camera frame keypoint] are, as far as their points tell."""

    in_place: np.ndarray
    """[camera frame keypoint] probability of a good observation of its own point; NaN where unseen."""
    crossed: np.ndarray
    """[camera frame keypoint] probability of a good observation of the other side's point; NaN where unseen."""
    state: np.ndarray
    """[camera frame limb] IN_PLACE, EXCHANGED, LEFT_ON_RIGHT or RIGHT_ON_LEFT, the likeliest."""


def forward_backward(log_likelihood: np.ndarray, transition: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return posterior probabilities [time chain state] of independent chains with one transition matrix.

    log_likelihood [time chain state]; transition [from to]; start [state]. Cost is linear in time.
    """
    if len(log_likelihood) == 0:
        return np.zeros(log_likelihood.shape)
    likelihood = np.exp(log_likelihood - log_likelihood.max(-1, keepdims=True))
    # the message from the end obeys the recursion of the one from the start, with time and transitions reversed
    both = np.stack([likelihood, likelihood[::-1]], axis=1)
    steps = np.stack([transition, transition.T])
    message = np.stack([np.broadcast_to(start, likelihood.shape[1:]), np.ones(likelihood.shape[1:])]) * both[0]
    both[0] = message
    for t in range(1, len(both)):
        message = (message @ steps) * both[t]
        message /= message.sum(-1, keepdims=True)
        both[t] = message
    posterior = both[:, 0].copy()
    posterior[:-1] *= both[-2::-1, 1] @ transition.T
    return posterior / posterior.sum(-1, keepdims=True)


def limb_transition(fps: float) -> np.ndarray:
    """Return the transition matrix [from to] between the four states of a limb, per frame."""
    leave = min(1.0 / (STRETCH_S * fps), 0.9)
    out = np.full((4, 4), leave * BETWEEN)
    out[IN_PLACE] = [1 - sum(ENTER), *ENTER]
    out[1:, IN_PLACE] = leave * (1 - 2 * BETWEEN)
    for state in (EXCHANGED, LEFT_ON_RIGHT, RIGHT_ON_LEFT):
        out[state, state] = 1 - leave
    return out


class Mixture:
    """Densities of good and of wrong observations around a point, per square pixel, and how common the wrong are."""

    def __init__(self, length_px: np.ndarray, sigma_px: np.ndarray) -> None:
        """Measure the errors' spread and share from residuals [camera frame keypoint] against their noise."""
        gross = length_px[length_px > GROSS_SD * sigma_px]
        seen = max(int(np.isfinite(length_px).sum()), 1)
        enough = len(gross) >= MIN_GROSS
        typical = rayleigh_scale(length_px[np.isfinite(length_px)]) if seen > 1 else 1.0
        self.spread_px = float(gross.mean()) / 2 if enough else 2 * GROSS_SD * max(typical, 1.0)
        self.share = float(np.clip(len(gross) / seen, MIN_WRONG_SHARE, MAX_WRONG_SHARE))
        self.sigma_px = sigma_px

    def good(self, length_px: np.ndarray) -> np.ndarray:
        """Return share times density of good observations: a bivariate Student's t."""
        squared = (length_px / self.sigma_px) ** 2
        density = (1 + squared / NOISE_DOF) ** (-(NOISE_DOF + 2) / 2) / (2 * np.pi * self.sigma_px**2)
        return (1 - self.share) * density

    def wrong(self, length_px: np.ndarray) -> np.ndarray:
        """Return share times density of wrong observations: exponential in the distance."""
        return self.share * np.exp(-length_px / self.spread_px) / (2 * np.pi * self.spread_px**2)


def distances_px(
    points: np.ndarray,
    xy: np.ndarray,
    px_per_unit: np.ndarray,
    R_cam_from_world: np.ndarray,
    t_cam_from_world: np.ndarray,
    mirror: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return distances [camera frame keypoint] of observations: from the own point, the other side's, and its sighting.

    points [camera frame keypoint 3] at each camera's own times, observations as in `residuals_px`; mirror [keypoint].
    The three arguments of `judge`.
    """
    geometry = (xy, px_per_unit, R_cam_from_world, t_cam_from_world)
    own = np.linalg.norm(residuals_px(points, *geometry), axis=-1)
    crossed = np.linalg.norm(residuals_px(points[:, :, mirror], *geometry), axis=-1)
    both = (px_per_unit > 0) & (px_per_unit[:, :, mirror] > 0)
    apart = np.linalg.norm(xy - xy[:, :, mirror], axis=-1) * px_per_unit
    return own, crossed, np.where(both, apart, np.nan)


def judge(
    own_px: np.ndarray,
    crossed_px: np.ndarray,
    apart_px: np.ndarray,
    sigma_px: np.ndarray,
    limbs: Sequence[np.ndarray],
    fps: float,
) -> Judgement:
    """Return what each observation is.

    own_px and crossed_px [camera frame keypoint]: distance of each observation from its own point and from the other
    side's, NaN where unseen; apart_px: distance from the observation of the other side, NaN where either is unseen.
    limbs: for each, its keypoints (left, right) [pair 2].
    """
    seen = np.isfinite(own_px)
    mixture = Mixture(own_px, sigma_px)
    good_own, good_crossed = mixture.good(own_px), mixture.good(crossed_px)
    any_own, any_crossed = good_own + mixture.wrong(own_px), good_crossed + mixture.wrong(crossed_px)
    close = np.exp(-0.5 * (apart_px / SAME_PLACE_PX) ** 2) / (2 * np.pi * SAME_PLACE_PX**2)
    log_own, log_crossed, log_same = (
        np.where(np.isfinite(v), np.log(np.nan_to_num(v) + _TINY), 0.0)
        for v in (any_own, any_crossed, (1 - NOT_SAME) * close + NOT_SAME * mixture.wrong(apart_px))
    )
    both = np.isfinite(apart_px)
    states = np.stack([_limb_states(log_own, log_crossed, log_same, both, pairs) for pairs in limbs], axis=2)
    posterior = _posterior(states, np.array([len(pairs) <= WEAK_PAIRS for pairs in limbs]), fps)
    in_place, crossed = good_own / (any_own + _TINY), np.zeros(own_px.shape)
    for g, pairs in enumerate(limbs):
        left, right = pairs.T
        p = posterior[:, :, g, :, None]
        in_place[:, :, left] *= p[:, :, IN_PLACE] + p[:, :, RIGHT_ON_LEFT]
        in_place[:, :, right] *= p[:, :, IN_PLACE] + p[:, :, LEFT_ON_RIGHT]
        crossed[:, :, pairs.ravel()] = (good_crossed / (any_crossed + _TINY))[:, :, pairs.ravel()] * p[:, :, EXCHANGED]
    nan = np.where(seen, 0.0, np.nan)
    return Judgement(in_place + nan, np.nan_to_num(crossed) + nan, posterior.argmax(-1))


def _posterior(log_likelihood: np.ndarray, is_weak: np.ndarray, fps: float) -> np.ndarray:
    """Return the probability [camera frame limb 4] of each limb's states.

    Weak limbs [limb] are judged after the others: where those are exchanged they likely are, elsewhere hardly ever.
    """
    transition = limb_transition(fps)
    start = np.array([1 - 2 * sum(ENTER), *(2 * e for e in ENTER)])
    posterior = np.zeros(log_likelihood.shape)
    for weak in (False, True):
        chosen = np.flatnonzero(is_weak == weak)
        if len(chosen) == 0 or log_likelihood.shape[1] == 0:
            continue
        chains = log_likelihood[:, :, chosen].copy()
        if weak and not is_weak.all():
            others = posterior[:, :, ~is_weak, EXCHANGED].min(-1)[..., None, None]
            with_them, not_with_them = (others * p + (1 - others) * (1 - p) for p in (WITH_BODY, 1 - WITH_BODY))
            is_exchanged = np.array([s == EXCHANGED for s in range(chains.shape[-1])])
            chains += np.log(np.where(is_exchanged, with_them, not_with_them))
        n_cameras, n_frames = chains.shape[:2]
        of_chains = chains.transpose(1, 0, 2, 3).reshape(n_frames, -1, 4)
        found = forward_backward(of_chains, transition, start).reshape(n_frames, n_cameras, -1, 4)
        posterior[:, :, chosen] = found.transpose(1, 0, 2, 3)
    return posterior


def _limb_states(
    own: np.ndarray, crossed: np.ndarray, same: np.ndarray, both: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """Return the log likelihood [camera frame 4] of a limb's states, from log densities [camera frame keypoint]."""
    left, right = pairs.T
    every = pairs.ravel()
    # a side that is drawn on the other: where only one of the two is seen, it lies at the other side's point
    on_right = np.where(both[:, :, left], same[:, :, left], crossed[:, :, left]) + own[:, :, right]
    on_left = np.where(both[:, :, left], same[:, :, left], crossed[:, :, right]) + own[:, :, left]
    states = (own[:, :, every], crossed[:, :, every], on_right, on_left)
    return np.stack([s.sum(-1) for s in states], axis=-1)
