"""Robust reconstruction of every keypoint's trajectory over a take.

Each keypoint is one trajectory seen by all cameras at their own times. Outlying observations are found by graduated
non-convexity over whole trajectories rather than frame by frame, so that with two good views of three the time before
and after decides. The noise of an observation follows from its score by a map measured on the take itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D, KeypointSet, Points3D, Source
from mocap.core.limbs import limb_groups, limb_pairs, of_keypoints, put_back, with_sides_put_back
from mocap.core.observations import Observations, observe
from mocap.core.progress import NoProgress, Progress
from mocap.core.take import PointsResult
from mocap.core.timeline import Timeline
from mocap.core.windows import Window, in_windows, windows
from mocap.kernels.chain import WHITE, scatter
from mocap.kernels.evidence import EXCHANGED, distances_px, judge
from mocap.kernels.reprojection import residuals_px, unpack_symmetric
from mocap.kernels.robust import (
    INLIER,
    MAX_LAG_S,
    noise_of_detections,
)
from mocap.kernels.sides import exchanged_by_motion
from mocap.kernels.trajectories import fill_gaps_linearly, smooth_step, trajectory_variance
from mocap.reconstruct.hypotheses import best_hypotheses

ANNEALING = (400.0, 200.0, 100.0, 60.0, 40.0, 25.0, 16.0, 12.0)
"""Squared scales of the robust loss, in whitened units; measured: more steps change the result by under 0.1 mm."""
SIDES_STEPS = (3,)
"""Steps of the annealing before which exchanged sides are put back: trajectories are known to a few centimetres."""
AGREEMENT_S = 0.2
"""Time over which the views' agreement is compared with sides put back and as seen: a single frame is chance."""
START_ACCELERATION_M_S2 = 8.0
MIN_ACCELERATION_M_S2 = 1.0
SPEED_M_S = 5.0
"""Weak prior on speed, of the order of a sprint: it keeps long gaps from being extrapolated away."""
MAX_GAP_S = 0.5
"""Longer gaps are left to the skeleton solve: a single point's history does not say where it went."""
MIN_FRAMES = 3
"""Second differences need three frames."""


def reconstruct_points(
    detections: Keypoints2D, rig: CameraRig, timeline: Timeline, progress: Progress | None = None
) -> PointsResult:
    """Return the trajectories of one person's keypoints on `timeline`.

    Points are NaN, source MISSING, in gaps longer than MAX_GAP_S and for keypoints that no two cameras ever see.
    Cost is linear in frames and cameras; memory is bounded by the window length.
    """
    progress = progress or NoProgress()
    everything = observe(detections, rig, timeline)
    n_frames, n_keypoints, fps = timeline.n_frames, len(detections.keypoint_set), float(timeline.fps)
    xyz = np.full((n_frames, n_keypoints, 3), np.nan)
    variance = np.full((n_frames, n_keypoints), np.nan)
    views = np.zeros((n_frames, n_keypoints))
    keypoint_set = detections.keypoint_set
    exchanged = np.zeros((*everything.frame.shape, len(limb_pairs(keypoint_set))), bool)
    sigma_px = np.full(everything.seen.shape, np.nan)

    def solve(window: Window) -> tuple[_Trajectories, np.ndarray, np.ndarray] | None:
        part, index = everything.window(window.low, window.high)
        if window.n_frames < MIN_FRAMES or not part.seen.any():
            return None
        solved = _Trajectories(part, window.n_frames, fps, keypoint_set)
        solved.solve()
        return solved, index, solved.variance()

    progress.start("Reconstructing points", len(windows(n_frames, fps)))
    for window, result in in_windows(solve, n_frames, fps, progress):
        if result is not None:
            solved, index, spread = result
            own, keep = window.own, window.keep
            xyz[own], variance[own] = solved.points[keep], spread[keep]
            views[own] = solved.views()[keep]
            at_frame = solved.observations.frame
            camera, at = np.nonzero((index >= 0) & (at_frame >= keep.start - 0.5) & (at_frame < keep.stop - 0.5))
            sigma_px[camera, index[camera, at]] = solved.sigma_px[camera, at]
            exchanged[camera, index[camera, at]] = solved.exchanged[camera, at]
    progress.finish()
    source = _sources(xyz, views, round(MAX_GAP_S * fps))
    missing = source == Source.MISSING
    xyz[missing], variance[missing] = np.nan, np.nan
    unseen = ~put_back(everything.seen, exchanged, keypoint_set)
    sigma_px[unseen] = np.nan
    return PointsResult(
        points=Points3D(detections.keypoint_set, timeline.time_s, xyz, np.sqrt(variance), source),
        timeline=timeline,
        detections=with_sides_put_back(detections, exchanged),
        exchanged=exchanged,
        sigma_px=sigma_px,
    )


class _Trajectories:
    """The trajectories of one window: state of the annealed, re-weighted Gauss-Newton iteration."""

    def __init__(self, observations: Observations, n_frames: int, fps: float, keypoint_set: KeypointSet) -> None:
        self.observations = observations
        self.keypoint_set = keypoint_set
        self.as_seen = observations
        self.exchanged = np.zeros((*observations.frame.shape, len(limb_pairs(keypoint_set))), bool)
        self.n_frames = n_frames
        self.fps = fps
        start = fill_gaps_linearly(self._start())
        self.known = np.isfinite(start).all((0, 2))
        self.points = np.zeros_like(start)
        self.points[:, self.known] = median_filter(start[:, self.known], size=(9, 1, 1), mode="nearest")
        shape = observations.seen.shape
        self.weight = np.zeros(shape)
        self.sigma_px = np.ones(shape)
        self.acceleration_m_s2 = np.full((n_frames - 2, shape[2]), START_ACCELERATION_M_S2)

    def solve(self) -> None:
        """Anneal the robust loss; measure the noise of the scores and the liveliness of each keypoint on the way."""
        for step, scale_squared in enumerate(ANNEALING):
            if step in SIDES_STEPS:
                self._put_back(self._judged_sides())
            if step % 3 == 0:
                self._measure_noise()
            if step == len(ANNEALING) - 3:
                self._measure_acceleration()
            information, gradient, self.weight = self._terms(scale_squared)
            second = 1.0 / (self.acceleration_m_s2 / self.fps**2) ** 2
            known = self.known
            self.points[:, known] = smooth_step(
                self.points[:, known],
                information[:, known],
                gradient[:, known],
                second[:, known],
                velocity_weight=1.0 / (SPEED_M_S / self.fps) ** 2 / self.fps,
            )
        self.points[:, ~self.known] = np.nan

    def views(self) -> np.ndarray:
        """[frame keypoint] number of views used, at the frame or before and after one that another looks at."""
        o, used = self.observations, self.weight > INLIER
        count = o.n_views(used, self.n_frames)
        for camera, between in enumerate(o.looks(self.n_frames, self.fps).between):
            count[between.frame] += between.both(used[camera])
        return count

    def variance(self) -> np.ndarray:
        """[frame keypoint] variance per axis of the smoothed trajectories, NaN for unknown keypoints.

        Detections err in runs, not independently: how far is read off the residuals.
        """
        whitened = self._residuals() / self.sigma_px[..., None]
        seen = scatter(whitened, ANNEALING[-1], round(MAX_LAG_S * self.fps))
        information = self._in_step(self._terms(ANNEALING[-1])[0] * seen.held)
        weight = 1.0 / (self.acceleration_m_s2 / self.fps**2) ** 2
        axes = np.linalg.eigvalsh(unpack_symmetric(information[1:-1, self.known])) / weight[:, self.known, None]
        noise = seen.noise(axes.reshape(len(axes), -1), len(axes)) if axes.size else WHITE
        out = trajectory_variance(information, weight, noise)
        out[:, ~self.known] = np.nan
        return out

    def _in_step(self, information: np.ndarray) -> np.ndarray:
        """Return information [frame keypoint 6], that of cameras which look in turns spread over the time of one look.

        Each look alone says nothing of the distance; what they say together is only in the sum of a few frames.
        """
        looks = self.observations.looks(self.n_frames, self.fps)
        if not looks.in_turns.any():
            return information
        half = int(np.ceil(looks.step[looks.in_turns].max() / 2))
        return uniform_filter1d(information, 2 * half + 1, axis=0, mode="nearest")

    def _residuals(self) -> np.ndarray:
        o = self.observations
        at = np.nan_to_num(o.at_own_times(self.points))
        return residuals_px(at, o.xy, o.px_per_unit, o.R_cam_from_world, o.t_cam_from_world_m)

    def _terms(self, scale_squared: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return information and gradient on the timeline, and the weights; points that are unknown count nothing."""
        return self.observations.robust_terms(np.nan_to_num(self.points), self.sigma_px, scale_squared)

    def _put_back(self, exchanged: np.ndarray) -> None:
        """Take the observations as seen, but for exchanged limbs [camera frame limb]: those change sides."""
        o, self.exchanged = self.as_seen, exchanged
        if exchanged.any():
            xy, px_per_unit, score = (put_back(v, exchanged, self.keypoint_set) for v in (o.xy, o.px_per_unit, o.score))
            o = replace(o, xy=xy, px_per_unit=px_per_unit, score=score)
        self.observations = o

    def _start(self) -> np.ndarray:
        """Return first points [frame keypoint 3], and put sides back where the views then agree better.

        A view's own motion tells when its sides change over, but hardly which of the two orders is the right one.
        """
        as_seen, cost = best_hypotheses(self.as_seen, self.n_frames, self.fps)
        alone = self._exchanged_by_motion()
        if not alone.any():
            return as_seen
        self._put_back(alone)
        put, cost_put = best_hypotheses(self.observations, self.n_frames, self.fps)
        known = np.isfinite(cost) & np.isfinite(cost_put)
        gain = np.subtract(cost, cost_put, out=np.zeros_like(cost), where=known)
        by_limb = gain @ limb_groups(self.keypoint_set).T.astype(float)
        is_better = uniform_filter1d(by_limb, max(3, round(AGREEMENT_S * self.fps)), axis=0, mode="nearest") > 0
        nearest = self.as_seen.nearest_frame(self.n_frames)
        self._put_back(alone & is_better[nearest] & (nearest >= 0)[..., None])
        return np.where(of_keypoints(is_better, self.keypoint_set)[..., None], put, as_seen)

    def _exchanged_by_motion(self) -> np.ndarray:
        """Return [camera frame limb] what each view alone tells of exchanged sides: a start that needs no points."""
        o = self.as_seen
        xy_px = np.where(o.seen[..., None], o.xy * _typical_px_per_unit(o)[:, None, None, None], np.nan)
        return exchanged_by_motion(xy_px, tuple(limb_pairs(self.keypoint_set).values()), o.own_fps(self.fps))

    def _judged_sides(self) -> np.ndarray:
        """Return [camera frame limb] which limbs a view shows with left and right exchanged, given the points.

        The observations are judged as they were seen: stretches are of the detector, not of what an earlier step left.
        """
        o = self.as_seen
        at = np.nan_to_num(o.at_own_times(self.points))
        mirror = np.array(self.keypoint_set.mirror)
        distances = distances_px(at, o.xy, o.px_per_unit, o.R_cam_from_world, o.t_cam_from_world_m, mirror)
        sigma = put_back(self.sigma_px, self.exchanged, self.keypoint_set)
        return judge(*distances, sigma, tuple(limb_pairs(self.keypoint_set).values()), self.fps).state == EXCHANGED

    def _measure_noise(self) -> None:
        lengths = np.linalg.norm(self._residuals(), axis=-1)
        self.sigma_px = noise_of_detections(lengths, self.observations.score)

    def _measure_acceleration(self) -> None:
        """Set each keypoint's acceleration level from its motion: half the take's level, half that of half a second.

        So a strike is not flattened by the calm around it, and standing still stays still.
        """
        squared = ((np.diff(self.points, 2, axis=0) * self.fps**2) ** 2).mean(-1)
        local = uniform_filter1d(squared, max(3, round(0.5 * self.fps)), axis=0, mode="nearest")
        level = np.sqrt(0.5 * local + 0.5 * np.median(local, axis=0))
        self.acceleration_m_s2 = np.maximum(level, MIN_ACCELERATION_M_S2)


def _typical_px_per_unit(o: Observations) -> np.ndarray:
    """[camera] one scale for a whole picture, so that places in it can be compared."""
    n_seen = np.maximum(o.seen.sum((1, 2)), 1)
    return np.where(o.seen.any((1, 2)), o.px_per_unit.sum((1, 2)) / n_seen, 1.0)


def _sources(xyz: np.ndarray, views: np.ndarray, max_gap: int) -> np.ndarray:
    """Return the source of each point: measured with two views or more, interpolated in short gaps, else missing."""
    measured = (views >= 2) & np.isfinite(xyz).all(-1)
    source = np.full(measured.shape, Source.MISSING, np.uint8)
    source[measured] = Source.MEASURED
    frames = np.arange(len(measured))
    for k in range(measured.shape[1]):
        at = np.flatnonzero(measured[:, k])
        if len(at) == 0:
            continue
        after = np.searchsorted(at, frames)
        left = frames - at[np.maximum(after - 1, 0)]
        right = at[np.minimum(after, len(at) - 1)] - frames
        inside = (after > 0) & (after < len(at)) & ~measured[:, k]
        source[inside & (left + right <= max_gap), k] = Source.INTERPOLATED
        # before the first and after the last measurement there is one side only: half the gap
        edge = ((after == 0) & (right <= max_gap // 2)) | ((after == len(at)) & (left <= max_gap // 2))
        source[edge & ~measured[:, k], k] = Source.INTERPOLATED
    return source
