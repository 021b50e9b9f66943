"""The first pose of every frame, without what no body can do."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mocap.core.keypoints import Points3D
from mocap.core.observations import Observations
from mocap.core.windows import in_parts
from mocap.solve.evidence import USED, Evidence
from mocap.solve.fit import MODEL_SIGMA_M, fit_pose, to_points
from mocap.solve.implausible import Entry, beyond_range, counted, inside_body, log, mask_of, merged, without
from mocap.solve.jumps import agreeing_elsewhere
from mocap.solve.limits import joint_limits
from mocap.solve.pose import Freedom, Pose, joined
from mocap.solve.shape import Shape

PART_FRAMES = 250
"""Frames fitted at a time: what they need stays in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Screened:
    """The start of the take-level solve, and what was set aside."""

    pose: Pose
    left_out: np.ndarray
    """[camera frame landmark] observations that were set aside as impossible."""
    entries: list[Entry]

    def kept(self, observations: Observations) -> Observations:
        """Return the observations without those set aside."""
        gone = self.left_out
        px_per_unit, score = (np.where(gone, 0.0, v) for v in (observations.px_per_unit, observations.score))
        return replace(observations, px_per_unit=px_per_unit, score=score)


def screened_pose(
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    known_m: np.ndarray,
    sigma_m: np.ndarray,
    observations: Observations,
    jumps: list[Entry],
) -> Screened:
    """Return every frame's pose fitted on its own to the plausible points [frame landmark 3].

    `jumps` are known already and missing from known_m. First every frame is fitted without limits: how far a joint then
    leaves its range tells impossible points from noise. Frames that leave it at all are fitted again, with limits.
    """
    n_frames = len(known_m)
    pose = fit_each_frame(pose, shape, names, dof, known_m, sigma_m, has_limits=False)
    is_known = np.asarray(np.isfinite(known_m).all(-1))
    entries = [*jumps, *inside_body(names, known_m, shape.scale), *beyond_range(names, pose.local_wxyz, is_known)]
    mask = mask_of(entries, names, n_frames)
    wrong = mask_of([e for e in entries if e not in jumps], names, n_frames).any(1)
    again = wrong.copy()
    for limit in joint_limits():
        again |= limit.excess(pose.local_wxyz[:, limit.joint])[0] != 0
    if wrong.any() and not wrong.all():
        good = np.flatnonzero(~wrong)
        nearest = good[np.rint(np.interp(np.arange(n_frames), good, np.arange(len(good)))).astype(int)]
        pose = pose.frames(nearest)
    at = np.flatnonzero(again)
    if len(at):
        plausible = np.where(mask[at][..., None], np.nan, known_m[at])
        part = fit_each_frame(pose.frames(at), shape, names, dof, plausible, sigma_m[at])
        root, local = pose.root_m.copy(), pose.local_wxyz.copy()
        root[at], local[at] = part.root_m, part.local_wxyz
        pose = Pose(root, local)
    return Screened(pose, without(observations, mask)[1], entries)


def fit_each_frame(
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    points_m: np.ndarray,
    sigma_m: np.ndarray,
    *,
    has_limits: bool = True,
    model_sigma_m: float = MODEL_SIGMA_M,
) -> Pose:
    """Return the pose that fits each frame's points [frame landmark 3] on its own, part by part in threads."""

    def fit(part: slice) -> Pose:
        data = to_points(points_m[part], sigma_m[part], model_sigma_m)
        return fit_pose(pose.frames(part), shape, names, dof, data, has_limits=has_limits)

    return joined(in_parts(fit, len(points_m), PART_FRAMES))


def set_aside(
    screened: Screened,
    evidence: Evidence,
    names: tuple[str, ...],
    index: list[int],
    keypoints: Points3D,
    observations: Observations,
    sigma_px: np.ndarray,
    fps: float,
) -> Evidence:
    """Return the evidence with what no body can do rejected, counted by reason, and logged.

    Short jumps, which points and solve passed over by themselves, are told apart from single wrong detections here: the
    rejected views agree with each other, and views that show the same are rejected with them. `index` are the keypoints
    of the landmarks `names`.
    """
    probability = evidence.inlier_probability.copy()
    of_body = probability[:, :, index]
    of_body[screened.left_out] = 0.0
    unexplained = (of_body < USED) & observations.seen & ~screened.left_out
    solved = keypoints.xyz_m[:, index]
    late, shown = agreeing_elsewhere(names, solved, unexplained, observations, sigma_px, fps)
    of_body[shown] = 0.0
    rejected = (of_body < USED) & observations.seen
    entries = merged([*screened.entries, *late])
    counts = counted(entries, names, observations, rejected, len(solved))
    probability[:, :, index] = of_body
    inconsistent = int((probability < USED).sum()) - sum(counts.values())
    return replace(
        evidence,
        inlier_probability=probability,
        rejected=evidence.rejected | {"inconsistent": inconsistent} | counts,
        diagnostics=(*evidence.diagnostics, *log(entries, counts, keypoints.time_s)),
    )
