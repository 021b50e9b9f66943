"""Detections of one person as undistorted rays on a master timeline: what reconstruction and solve work on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.core.looks import Looks, looks_of
from mocap.core.timeline import Timeline
from mocap.kernels.projection import distortion_area, undistort
from mocap.kernels.reprojection import robust_terms
from mocap.kernels.trajectories import sample_cubic


@dataclass(frozen=True, eq=False)
class Observations:
    """Undistorted observations. Axes: camera frame keypoint, frames of each camera's own clock."""

    xy: np.ndarray
    """[camera frame keypoint 2] normalised undistorted coordinates; 0 where unseen."""
    px_per_unit: np.ndarray
    """[camera frame keypoint] distorted pixels per unit of `xy` at that place; 0 where unseen."""
    score: np.ndarray
    """[camera frame keypoint] 0 where unseen."""
    frame: np.ndarray
    """[camera frame] fractional frame of the master timeline; outside it, or NaN, where the take does not reach."""
    R_cam_from_world: np.ndarray
    """[camera 3 3]"""
    t_cam_from_world_m: np.ndarray
    """[camera 3]"""

    @property
    def seen(self) -> np.ndarray:
        """[camera frame keypoint] whether there is an observation."""
        return self.px_per_unit > 0

    def of(self, index: list[int]) -> Observations:
        """Return the observations of some keypoints."""
        return replace(
            self,
            xy=self.xy[:, :, index],
            px_per_unit=self.px_per_unit[:, :, index],
            score=self.score[:, :, index],
        )

    def window(self, low: int, high: int) -> tuple[Observations, np.ndarray]:
        """Return the observations nearest to master frames low..high-1, counted from low, and where they came from.

        The second value [camera frame] holds the index of each one's frame in this object, -1 where padded.
        """
        inside = (self.frame >= low - 0.5) & (self.frame < high - 0.5)
        width = int(inside.sum(1).max(initial=0))
        index = np.full((len(inside), width), -1)
        for c, row in enumerate(inside):
            index[c, : row.sum()] = np.flatnonzero(row)
        camera, at = np.arange(len(inside))[:, None], np.maximum(index, 0)
        real = index >= 0
        return (
            Observations(
                xy=self.xy[camera, at],
                px_per_unit=np.where(real[..., None], self.px_per_unit[camera, at], 0.0),
                score=np.where(real[..., None], self.score[camera, at], 0.0),
                frame=np.where(real, self.frame[camera, at] - low, np.nan),
                R_cam_from_world=self.R_cam_from_world,
                t_cam_from_world_m=self.t_cam_from_world_m,
            ),
            index,
        )

    def at_own_times(self, points: np.ndarray) -> np.ndarray:
        """Return master-timeline points [frame keypoint 3] at each camera's own times [camera frame keypoint 3]."""
        return np.stack([sample_cubic(points, f) for f in self.frame])

    def robust_terms(
        self, points: np.ndarray, sigma_px: np.ndarray, scale_squared: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the Gauss-Newton terms of reprojection for master-timeline points [frame keypoint 3].

        information [frame keypoint 6] and gradient [frame keypoint 3], summed over cameras, each at its own times and
        counted at its nearest master frames; weight [camera frame keypoint] as in `reprojection.robust_terms`.
        """
        n_frames = len(points)
        total = np.zeros((9, n_frames, points.shape[1]))
        weight = np.empty(self.score.shape)
        for c, nearest in enumerate(self.nearest_frame(n_frames)):
            information, gradient, weight[c] = robust_terms(
                sample_cubic(points, self.frame[c]),
                self.xy[c],
                self.px_per_unit[c],
                sigma_px[c],
                scale_squared,
                self.R_cam_from_world[c],
                self.t_cam_from_world_m[c],
            )
            inside = nearest >= 0
            if inside.all() and len(nearest) == n_frames and (np.diff(nearest) == 1).all():
                total[:6] += information
                total[6:] += gradient
                continue
            at, terms = nearest[inside], np.concatenate([information, gradient])[:, inside]
            if (np.diff(at) > 0).all():
                total[:, at] += terms
            else:
                for n in range(len(total)):
                    np.add.at(total[n], at, terms[n])
        moved = total.transpose(1, 2, 0)
        return np.ascontiguousarray(moved[..., :6]), np.ascontiguousarray(moved[..., 6:]), weight

    def nearest_frame(self, n_frames: int) -> np.ndarray:
        """[camera frame] index of the nearest master frame; -1 where the take does not reach."""
        nearest = np.rint(np.nan_to_num(self.frame, nan=-1.0)).astype(int)
        return np.where((nearest >= 0) & (nearest < n_frames), nearest, -1)

    def looks(self, n_frames: int, fps: float) -> Looks:
        """Return when the cameras look, on `n_frames` master frames at `fps`."""
        return looks_of(self.frame, np.asarray(self.seen.any(-1)), n_frames, fps)

    def own_fps(self, fps: float) -> np.ndarray:
        """[camera] frames per second of each camera's own clock, on a timeline of `fps`; that where it has one frame.

        Footage of another rate than the timeline's, and frames that a quick look did not look at, are still its own.
        """
        step = [np.median(gap) if len(gap := np.diff(f[np.isfinite(f)])) else 1.0 for f in self.frame]
        return fps / np.maximum(np.array(step, float), 1e-9)

    def n_views(self, which: np.ndarray, n_frames: int) -> np.ndarray:
        """Return how many cameras [frame keypoint] have one of these observations [camera frame keypoint], bool.

        At their nearest master frames. A camera faster than the timeline counts once, for all its frames there are.
        """
        out = np.zeros((n_frames, which.shape[2]))
        for c, nearest in enumerate(self.nearest_frame(n_frames)):
            if len(nearest) == n_frames and (nearest == np.arange(n_frames)).all():
                out += which[c]
                continue
            frame, keypoint = np.nonzero(which[c] & (nearest >= 0)[:, None])
            has = np.zeros(out.shape, bool)
            has[nearest[frame], keypoint] = True
            out += has
        return out


def common_timeline(time_s: np.ndarray, fps: Fraction) -> Timeline:
    """Return the timeline at `fps` from the first to the last instant at which two cameras run at the same time.

    time_s [camera frame] master times, NaN-padded. Where no two cameras ever do, the timeline is empty.
    """
    spans = [(float(t[0]), float(t[-1])) for row in time_s if len(t := row[np.isfinite(row)])]
    pairs = [(max(a[0], b[0]), min(a[1], b[1])) for n, a in enumerate(spans) for b in spans[:n]]
    shared = [(start, end) for start, end in pairs if end >= start]
    if not shared:
        return Timeline(fps, 0)
    start_s, end_s = min(s for s, _ in shared), max(e for _, e in shared)
    # A rounding error of the timestamps must not cost the last frame.
    return Timeline(fps, int(np.floor((end_s - start_s) * float(fps) + 1e-3)) + 1, start_s)


def observe(detections: Keypoints2D, rig: CameraRig, timeline: Timeline) -> Observations:
    """Return the rays of one person's detections. Detections outside a lens model's valid range are left out.

    Raises ValueError when the detections' cameras are not the rig's, in order, or hold more than one person.
    """
    if detections.camera_names != rig.names or detections.n_persons != 1:
        raise ValueError(f"expected one person on cameras {rig.names}, got {detections.camera_names}")
    n_cameras, n_frames, _, n_keypoints = detections.score.shape
    xy = np.zeros((n_cameras, n_frames, n_keypoints, 2))
    px_per_unit, score = np.zeros(xy.shape[:3]), np.zeros(xy.shape[:3])
    for c, camera in enumerate(rig.cameras):
        lens = camera.intrinsics
        xy_px = detections.xy_px[c, :, 0].astype(np.float64)
        here = undistort(xy_px, lens.focal_px, lens.center_px, lens.distortion)
        area = np.abs(distortion_area(here, lens.distortion)) * lens.focal_px.prod()
        ok = np.isfinite(here).all(-1) & np.isfinite(area) & (area > 0) & (detections.score[c, :, 0] > 0)
        xy[c] = np.where(ok[..., None], here, 0.0)
        px_per_unit[c] = np.where(ok, np.sqrt(np.where(ok, area, 0.0)), 0.0)
        score[c] = np.where(ok, detections.score[c, :, 0], 0.0)
    return Observations(
        xy=xy,
        px_per_unit=px_per_unit,
        score=score,
        frame=(detections.time_s - timeline.start_s) * float(timeline.fps),
        R_cam_from_world=np.stack([c.R_cam_from_world for c in rig.cameras]),
        t_cam_from_world_m=np.stack([c.t_cam_from_world_m for c in rig.cameras]),
    )
