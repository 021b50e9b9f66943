"""Tracklets of all views grouped into people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.camera import CameraRig
from mocap.tracking.consistency import Sampled, evidence, triangulate
from mocap.tracking.tracklets import masked_median

CONFLICT = -20.0
"""Evidence against one person per sample in which one view shows both tracklets."""
MIN_EVIDENCE = 1.5
MAX_TRACKLETS = 800
SAME_PLACE_M = 0.25
JOIN_M, JOIN_SPEED_M_S, JOIN_GAP_S = 0.4, 1.5, 3.0


@dataclass(frozen=True, eq=False)
class Group:
    """Tracklets that show one person."""

    tracklets: np.ndarray
    """Indices of the tracklets."""
    points_world_m: np.ndarray
    """[sample keypoint 3]; NaN where fewer than two views show the person."""
    n_views: np.ndarray
    """[sample] views that show the person, 0 where fewer than two do."""

    @property
    def center_world_m(self) -> np.ndarray:
        """[sample 3] middle of the person."""
        n = np.isfinite(self.points_world_m[..., 0]).sum(-1)
        return np.stack([masked_median(self.points_world_m[..., a], n) for a in range(3)], -1)


def find_groups(sampled: Sampled, rig: CameraRig, n_tracklets: int, time_s: np.ndarray) -> list[Group]:
    """Return people: groups of tracklets that two or more views agree on, at most one tracklet per view and instant.

    Agglomerative clustering on summed evidence, then groups that are in one place or follow one another are joined.
    """
    weight = evidence(sampled, rig, n_tracklets)
    weight += CONFLICT * _shared(sampled, n_tracklets)
    clusters = _agglomerate(weight)
    groups = [_group(np.array(c), sampled, rig) for c in clusters if len(c) > 1]
    groups = [g for g in groups if (g.n_views >= 2).any()]
    groups.sort(key=lambda g: -int(g.n_views.sum()))
    return _join(groups, sampled, rig, time_s)


def _shared(sampled: Sampled, n_tracklets: int) -> np.ndarray:
    """Return [tracklet tracklet] in how many samples two tracklets are in one view at once."""
    shared = np.zeros((n_tracklets, n_tracklets))
    n_persons = sampled.label.shape[2]
    for p in range(n_persons):
        for q in range(n_persons):
            a, b = sampled.label[:, :, p], sampled.label[:, :, q]
            on = (a >= 0) & (b >= 0) & (a != b)
            np.add.at(shared, (a[on], b[on]), 1.0)
    return shared


def _agglomerate(weight: np.ndarray) -> list[list[int]]:
    """Return clusters, merging the pair with most evidence for as long as there is any; weights add up."""
    n = len(weight)
    members = [[i] for i in range(n)]
    strength = np.abs(weight).sum(1)
    if n > MAX_TRACKLETS:
        weight = weight.copy()
        weak = np.argsort(strength)[: n - MAX_TRACKLETS]
        weight[weak] = 0.0
        weight[:, weak] = 0.0
    keep = np.nonzero((weight > MIN_EVIDENCE).any(1))[0]
    w = weight[np.ix_(keep, keep)].copy()
    np.fill_diagonal(w, -np.inf)
    while w.size:
        a, b = divmod(int(w.argmax()), len(w))
        if w[a, b] < MIN_EVIDENCE:
            break
        members[keep[a]] += members[keep[b]]
        members[keep[b]] = []
        w[a] += w[b]
        w[:, a] = w[a]
        w[a, a] = -np.inf
        w[b] = w[:, b] = -np.inf
    return [m for m in members if m]


def _group(tracklets: np.ndarray, sampled: Sampled, rig: CameraRig) -> Group:
    """Return a group with its points."""
    xy = member_views(np.isin(sampled.label, tracklets), sampled.xy_normalised)
    points = triangulate(xy, rig, n_iterations=2)
    n_views = np.isfinite(xy[..., 0]).any(-1).sum(0)
    n_views = np.where(np.isfinite(points[..., 0]).sum(-1) >= 3, n_views, 0)
    return Group(tracklets, points, n_views)


def member_views(is_member: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return values [camera sample ...] of the person that is a member [camera sample person]; NaN where none is."""
    choice = is_member.argmax(-1)
    taken = np.take_along_axis(values, choice.reshape(*choice.shape, *[1] * (values.ndim - 2)), axis=2)[:, :, 0]
    return np.where(is_member.any(-1).reshape(*choice.shape, *[1] * (values.ndim - 3)), taken, np.nan)


def _join(groups: list[Group], sampled: Sampled, rig: CameraRig, time_s: np.ndarray) -> list[Group]:
    """Return groups with those joined, largest first, that are in one place at once or go on where another ended."""
    i = 0
    while i < len(groups):
        for j in range(i + 1, len(groups)):
            if _is_same(groups[i], groups[j], sampled, time_s):
                both = np.concatenate([groups[i].tracklets, groups[j].tracklets])
                groups[i] = _group(both, sampled, rig)
                del groups[j]
                break
        else:
            i += 1
    return groups


def _is_same(a: Group, b: Group, sampled: Sampled, time_s: np.ndarray) -> bool:
    """Whether two groups are one person: at one place without a view that shows both, or one after the other."""
    on_a, on_b = (np.isin(sampled.label, g.tracklets).any(-1) for g in (a, b))
    conflicts = (on_a & on_b).sum()
    center_a, center_b = a.center_world_m, b.center_world_m
    at_a, at_b = np.isfinite(center_a[:, 0]), np.isfinite(center_b[:, 0])
    n_smaller = min(at_a.sum(), at_b.sum())
    if conflicts > 0.1 * min(on_a.sum(), on_b.sum()) or n_smaller == 0:
        return False
    together = at_a & at_b
    if together.sum() >= max(2, 0.3 * n_smaller):
        off = np.linalg.norm(center_a[together] - center_b[together], axis=-1)
        return bool(np.median(off) < SAME_PLACE_M)
    return _follows(center_a, center_b, time_s)


def _follows(center_a: np.ndarray, center_b: np.ndarray, time_s: np.ndarray) -> bool:
    """Whether every appearance of b is near, in space and time, to an appearance of a."""
    at_a, at_b = (np.nonzero(np.isfinite(c[:, 0]))[0] for c in (center_a, center_b))
    right = np.searchsorted(at_a, at_b)
    gap_s, off_m = np.full(len(at_b), np.inf), np.full(len(at_b), np.inf)
    for near in (np.clip(right - 1, 0, len(at_a) - 1), np.clip(right, 0, len(at_a) - 1)):
        gap = np.abs(time_s[at_b] - time_s[at_a[near]])
        off = np.linalg.norm(center_b[at_b] - center_a[at_a[near]], axis=-1)
        closer = gap < gap_s
        gap_s, off_m = np.where(closer, gap, gap_s), np.where(closer, off, off_m)
    nearest = int(gap_s.argmin())
    return bool(gap_s[nearest] < JOIN_GAP_S and off_m[nearest] < JOIN_M + JOIN_SPEED_M_S * gap_s[nearest])
