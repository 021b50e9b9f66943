"""Cameras as unknowns of the skeleton's solve: extrinsics and clocks together with all joint angles of the take.

The normal equations are the banded system of the motion with a border of eight unknowns a camera
(`kernels.camera_terms`). The motion is eliminated, window by window (Schur complement; B. Triggs et al., "Bundle
adjustment - a modern synthesis", 2000, section 6.1), and what is left is one small system of the cameras alone. The
performer's bones, joint ranges, smoothness and standing feet so take part in placing the cameras; what poses the take
mostly takes (`usual_poses`) does not, because wrong cameras would teach it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.performer import PerformerProfile
from mocap.core.progress import NoProgress
from mocap.core.take import PointsResult
from mocap.core.windows import Window, in_windows
from mocap.kernels.articulated import banded_system, point_jacobian
from mocap.kernels.banded import solve_banded
from mocap.kernels.camera_terms import N_UNKNOWNS, camera_terms
from mocap.kernels.chain import Scatter
from mocap.kernels.trajectories import sample_cubic
from mocap.solve.fit import ROBUST_SCALE_SQUARED, body_points, moves_matrix, take_terms, to_cameras
from mocap.solve.motion import SLIP_M_S, Fitted, fit_freely, fit_held, max_lag
from mocap.solve.motion_prior import first_prior
from mocap.solve.start import Start, begin
from mocap.solve.uncertainty import residual_scatter


@dataclass(frozen=True, eq=False)
class CameraSystem:
    """Normal equations of the cameras alone, n = 8 unknowns a camera in the order of `kernels.camera_terms`."""

    hessian: np.ndarray
    """[n n]"""
    slope: np.ndarray
    """[n]"""


def camera_system(
    rig: CameraRig, reconstructed: PointsResult, middle_s: float, performer: PerformerProfile | None = None
) -> CameraSystem:
    """Return what a take says of its cameras, the motion eliminated.

    Clocks drift about the master time `middle_s`. Detections whose errors come in runs count as the fewer independent
    ones that they are. Cost is linear in frames, and in cameras but for the small products of the border. Raises what
    `solve_take` raises.
    """
    start = begin(rig, reconstructed, performer, NoProgress())
    timeline, problem = reconstructed.timeline, start.motion
    fps = start.fps
    first = first_prior(problem.pose, problem.dof, fps)

    def of_window(window: Window) -> CameraSystem:
        found = fit_held(problem, window, *fit_freely(problem, window, first))
        begin_s = timeline.start_s + window.low / fps - middle_s
        return _eliminated(found, start, window.keep, begin_s)

    parts = [part for _, part in in_windows(of_window, timeline.n_frames, fps, NoProgress())]
    return CameraSystem(np.sum([p.hessian for p in parts], axis=0), np.sum([p.slope for p in parts], axis=0))


def _eliminated(found: Fitted, start: Start, keep: slice, begin_s: float) -> CameraSystem:
    """Return what one window's own frames say of the cameras; `begin_s` is the time of its first frame."""
    names, dof, shape, fps, pose = start.names, start.dof, start.shape, start.fps, found.pose
    data = to_cameras(found.seen, found.sigma_px)
    hessian, slope, between, _ = take_terms(
        pose, shape, names, dof, data, found.prior, fps, found.contact, SLIP_M_S / fps
    )
    acceleration = pose.accelerations(dof)
    band, right = banded_system(hessian, slope, found.prior.level**-2.0, acceleration, between)
    R_world, joints, points = body_points(pose, shape, names)
    jacobian = point_jacobian(R_world, joints, points, dof.joint, pose.axes(dof), moves_matrix(names, dof))
    own, border = _camera_border(found, points, jacobian, keep, fps, begin_s)
    solved = solve_banded(band, np.concatenate([right[None], border]))
    scatter = residual_scatter(points, found.seen, found.sigma_px, max_lag(fps))
    share = scatter.held / run_length(scatter)
    return CameraSystem(share * (own.hessian - border @ solved[1:].T), share * (own.slope + border @ solved[0]))


def _camera_border(
    found: Fitted, points: np.ndarray, jacobian: np.ndarray, keep: slice, fps: float, begin_s: float
) -> tuple[CameraSystem, np.ndarray]:
    """Return the cameras' own terms, and what ties them to the motion, [8 * camera frame * dof].

    points [frame landmark 3] and their jacobian by the motion [frame landmark 3 dof]; only frames of `keep` count, so
    that windows that overlap say nothing twice.
    """
    o, (n_frames, _, _, n_dof) = found.seen, jacobian.shape
    n = N_UNKNOWNS * len(o.frame)
    hessian, slope = np.zeros((n, n)), np.zeros(n)
    border = np.zeros((n, n_frames, n_dof))
    for c, (at_frame, nearest) in enumerate(zip(o.frame, o.nearest_frame(n_frames), strict=True)):
        mine = slice(N_UNKNOWNS * c, N_UNKNOWNS * (c + 1))
        counts = (nearest >= keep.start) & (nearest < keep.stop)
        frame = np.nan_to_num(at_frame)
        hessian[mine, mine], slope[mine], coupling = camera_terms(
            sample_cubic(points, frame),
            (sample_cubic(points, frame + 0.5) - sample_cubic(points, frame - 0.5)) * fps,
            begin_s + frame / fps,
            o.xy[c],
            np.where(counts[:, None], o.px_per_unit[c], 0.0),
            found.sigma_px[c],
            ROBUST_SCALE_SQUARED,
            o.R_cam_from_world[c],
            o.t_cam_from_world_m[c],
        )
        at = np.maximum(nearest, 0)
        by_motion = jacobian[at].reshape(len(at), -1, n_dof).swapaxes(1, 2) @ coupling.reshape(len(at), -1, N_UNKNOWNS)
        np.add.at(border[mine].transpose(1, 2, 0), at, by_motion)
    return CameraSystem(hessian, slope), border.reshape(n, -1)


def run_length(scatter: Scatter) -> float:
    """Return how many successive detections carry the information of one about what never changes, at least 1."""
    if scatter.n_used == 0 or scatter.covariance[0] <= 0:
        return 1.0
    return max(1.0, float(1 + 2 * scatter.covariance[1:].sum() / scatter.covariance[0]))
