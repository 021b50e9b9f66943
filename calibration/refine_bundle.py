"""Robust bundle adjustment of camera poses: points eliminated by the Schur complement, cost linear in points.

B. Triggs et al., "Bundle Adjustment - A Modern Synthesis", 1999: sections 6.1 (Schur complement), 4.3 (robust costs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.cauchy import CAUCHY, cauchy_cost
from calibration.refine_observations import Observations
from calibration.residuals import point_reprojection, reprojection
from mocap.core.camera import CameraRig
from mocap.kernels.projection import project, undistort
from mocap.kernels.rotations import matrix_to_quat, quat_exp, quat_log, quat_to_matrix
from mocap.kernels.triangulation import triangulate_dlt

PRIOR_ROTATION_RAD = np.deg2rad(2.0)
PRIOR_CENTER_M = 0.15
"""How far a camera may plausibly have moved (1 sd): holds what the observations leave open, the gauge included."""
PRIOR_OFFSET_S = 0.02
MIN_SIGMA_PX = 0.3
CONVERGED = 0.03
"""A step that raises the log likelihood by less than this is the last."""


@dataclass(frozen=True, eq=False)
class Poses:
    """Camera poses and clock corrections. Arrays [camera ...]."""

    R_cam_from_world: np.ndarray
    t_cam_from_world_m: np.ndarray
    offset_s: np.ndarray

    @classmethod
    def of(cls, rig: CameraRig) -> Poses:
        """Return a rig's poses, clocks uncorrected."""
        return cls(
            np.stack([c.R_cam_from_world for c in rig.cameras]),
            np.stack([c.t_cam_from_world_m for c in rig.cameras]),
            np.zeros(len(rig)),
        )

    @property
    def center_world_m(self) -> np.ndarray:
        """[camera 3]."""
        return -np.einsum("cji,cj->ci", self.R_cam_from_world, self.t_cam_from_world_m)

    def moved(self, step: np.ndarray) -> Poses:
        """Return the poses perturbed on the left by step [camera 7] = (w, v, offset)."""
        turn = quat_to_matrix(quat_exp(step[:, :3]))
        return Poses(
            turn @ self.R_cam_from_world,
            np.einsum("cij,cj->ci", turn, self.t_cam_from_world_m) + step[:, 3:6],
            self.offset_s + step[:, 6],
        )

    def rig(self, like: CameraRig) -> CameraRig:
        """Return the cameras of `like` at these poses."""
        return CameraRig(
            tuple(
                c.with_extrinsics(R, t)
                for c, R, t in zip(like.cameras, self.R_cam_from_world, self.t_cam_from_world_m, strict=True)
            )
        )


@dataclass(frozen=True, eq=False)
class Fit:
    """Where a bundle adjustment ended."""

    poses: Poses
    points_world_m: np.ndarray
    """[point 3]."""
    sigma_px: float
    """Robust scale of the residuals, 1 sd per axis."""
    covariance: np.ndarray
    """[camera 7 camera 7] of (w rad, v m, offset s), the gauge held by the prior; 0 for what was not free."""


def corrected_px(obs: Observations, poses: Poses) -> np.ndarray:
    """Return observations [camera point 2] as they would be had each clock been right."""
    return obs.xy_px + obs.velocity_px_s * poses.offset_s[:, None, None]


def projected_px(points: np.ndarray, camera: int, poses: Poses, rig: CameraRig) -> np.ndarray:
    """Return where a camera sees points [point 3], [point 2]; NaN behind it."""
    lens = rig.cameras[camera].intrinsics
    cam = points @ poses.R_cam_from_world[camera].T + poses.t_cam_from_world_m[camera]
    return project(cam, lens.focal_px, lens.center_px, lens.distortion)


def residuals_px(points: np.ndarray, obs: Observations, poses: Poses, rig: CameraRig) -> np.ndarray:
    """Return projected minus observed [camera point 2]; NaN where not seen or behind the camera."""
    return np.stack([projected_px(points, c, poses, rig) for c in range(len(rig))]) - corrected_px(obs, poses)


def robust_sigma_px(residuals: np.ndarray) -> float:
    """Return the standard deviation per axis from the median length of residuals [... 2] (Rayleigh: 1.1774 sigma)."""
    length = np.linalg.norm(residuals, axis=-1)
    length = length[np.isfinite(length)]
    return max(MIN_SIGMA_PX, float(np.median(length)) / 1.1774) if len(length) else MIN_SIGMA_PX


def triangulate_robust(obs: Observations, poses: Poses, rig: CameraRig, n_iterations: int = 4) -> np.ndarray:
    """Return points [point 3]: the best of plain and leave-one-view-out triangulations, then robust Gauss-Newton.

    Cost is linear in points and quadratic in cameras (one linear triangulation per view left out).
    """
    xy = corrected_px(obs, poses)
    rays = np.stack(
        [
            undistort(xy[c], k.focal_px, k.center_px, k.distortion)
            for c, k in enumerate(camera.intrinsics for camera in rig.cameras)
        ]
    )
    seen = obs.seen & np.isfinite(rays).all(-1)
    R, t = poses.R_cam_from_world, poses.t_cam_from_world_m
    points = triangulate_dlt(rays, seen.astype(float), R, t)
    sigma = robust_sigma_px(residuals_px(points, obs, poses, rig))
    best = cauchy_cost(residuals_px(points, obs, poses, rig), seen, sigma).sum(0)
    enough = seen.sum(0) >= 4
    for c in range(len(rig)):
        on = enough & seen[c]
        if not on.any():
            continue
        weight = seen[:, on].astype(float)
        weight[c] = 0.0
        other = triangulate_dlt(rays[:, on], weight, R, t)
        cost = cauchy_cost(residuals_px(other, obs.select(on), poses, rig), seen[:, on], sigma).sum(0)
        better = np.nonzero(on)[0][cost < best[on]]
        points[better] = other[cost < best[on]]
        best[on] = np.minimum(best[on], cost)
    return polished(points, obs, poses, rig, n_iterations)


def polished(points: np.ndarray, obs: Observations, poses: Poses, rig: CameraRig, n_iterations: int = 4) -> np.ndarray:
    """Return points [point 3] after robust Gauss-Newton steps from where they were for poses nearby."""
    sigma = robust_sigma_px(residuals_px(points, obs, poses, rig))
    for _ in range(n_iterations):
        points = _improve_points(points, obs, poses, rig, sigma)
        sigma = robust_sigma_px(residuals_px(points, obs, poses, rig))
    return points


def point_normal(
    points: np.ndarray, obs: Observations, poses: Poses, rig: CameraRig, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the normal equations of each point alone, matrix [point 3 3] and gradient [point 3], Cauchy-weighted.

    The inverse of the matrix is the point's covariance, the cameras taken as exact.
    """
    V, g = np.zeros((len(points), 3, 3)), np.zeros((len(points), 3))
    xy = corrected_px(obs, poses)
    for c, camera in enumerate(rig.cameras):
        r, jac = point_reprojection(
            points, xy[c], camera.intrinsics, poses.R_cam_from_world[c], poses.t_cam_from_world_m[c]
        )
        good = np.asarray(np.isfinite(r).all(-1))
        r, jac = np.where(good[:, None], r, 0.0), np.where(good[:, None, None], jac, 0.0)
        weighted = (jac / (sigma**2 + (r**2).sum(-1) / CAUCHY**2)[:, None, None]).transpose(0, 2, 1)
        V += weighted @ jac
        g += (weighted @ r[..., None])[..., 0]
    return V, g


def _improve_points(points: np.ndarray, obs: Observations, poses: Poses, rig: CameraRig, sigma: float) -> np.ndarray:
    """Return the points after one robust Gauss-Newton step each, taken only where it lowers the point's cost."""
    V, g = point_normal(points, obs, poses, rig, sigma)
    damped = V + (1e-6 * np.trace(V, axis1=1, axis2=2)[:, None, None] + 1e-12) * np.eye(3)
    trial = points - np.linalg.solve(damped, g[..., None])[..., 0]
    before = cauchy_cost(residuals_px(points, obs, poses, rig), obs.seen, sigma).sum(0)
    after = cauchy_cost(residuals_px(trial, obs, poses, rig), obs.seen, sigma).sum(0)
    return np.where((after < before)[:, None], trial, points)


@dataclass(frozen=True, eq=False)
class _Normal:
    """Gauss-Newton system of the weighted reprojection residuals, in blocks: cameras U, points V, both W."""

    U: np.ndarray  # [camera 7 7]
    V: np.ndarray  # [point 3 3]
    W: np.ndarray  # [camera point 7 3]
    g_camera: np.ndarray  # [camera 7]
    g_point: np.ndarray  # [point 3]

    @classmethod
    def of(cls, points: np.ndarray, obs: Observations, poses: Poses, rig: CameraRig, sigma: float) -> _Normal:
        """Linearise at points and poses, with Cauchy weights of scale sigma."""
        n_cameras, n_points = obs.xy_px.shape[:2]
        U, g_camera = np.zeros((n_cameras, 7, 7)), np.zeros((n_cameras, 7))
        V, g_point = np.zeros((n_points, 3, 3)), np.zeros((n_points, 3))
        W = np.zeros((n_cameras, n_points, 7, 3))
        xy = corrected_px(obs, poses)
        for c, camera in enumerate(rig.cameras):
            on = np.nonzero(np.isfinite(xy[c]).all(-1))[0]
            r, to_pose, to_point = reprojection(
                points[on], xy[c, on], camera.intrinsics, poses.R_cam_from_world[c], poses.t_cam_from_world_m[c]
            )
            good = np.isfinite(r).all(-1)
            on, r, to_pose, to_point = on[good], r[good], to_pose[good], to_point[good]
            jac = np.concatenate([to_pose, -obs.velocity_px_s[c, on][..., None]], -1)
            weight = 1.0 / (sigma**2 + (r**2).sum(-1) / CAUCHY**2)
            weighted = jac * weight[:, None, None]
            flat = jac.reshape(-1, 7)
            U[c] = weighted.reshape(-1, 7).T @ flat
            g_camera[c] = weighted.reshape(-1, 7).T @ r.reshape(-1)
            point_t = (to_point * weight[:, None, None]).transpose(0, 2, 1)
            V[on] += point_t @ to_point
            g_point[on] += (point_t @ r[..., None])[..., 0]
            W[c, on] = weighted.transpose(0, 2, 1) @ to_point
        return cls(U, V, W, g_camera, g_point)


def adjust(
    obs: Observations,
    rig: CameraRig,
    start: Poses,
    *,
    free: np.ndarray,
    free_clocks: np.ndarray | None = None,
    correlation: float,
    points: np.ndarray | None = None,
    on_iteration: Callable[[], None] = lambda: None,
    max_iterations: int = 25,
) -> Fit:
    """Return the poses and points of least robust cost from poses `start`, with a weak prior at the rig's own poses.

    free [camera] bool: cameras that may move. free_clocks [camera] bool: cameras whose clocks may shift (None: none).
    correlation: number of successive observations that carry the information of one independent one; weighs the data
    against the prior. points [point 3]: where to start, if not where `start` triangulates them. Levenberg-Marquardt;
    raises nothing, stops after `max_iterations` if it has not converged.
    """
    clocks = np.zeros(len(rig), bool) if free_clocks is None else free_clocks
    mask = np.concatenate([np.repeat(free[:, None], 6, 1), clocks[:, None]], 1).reshape(-1)
    solver = _Solver(obs, rig, Poses.of(rig), mask, correlation)
    poses = start
    points = triangulate_robust(obs, start, rig) if points is None else points
    damping = 1e-4
    covariance = np.zeros((len(rig), 7, len(rig), 7))
    sigma = robust_sigma_px(residuals_px(points, obs, poses, rig))
    for _ in range(max_iterations):
        on_iteration()
        sigma = robust_sigma_px(residuals_px(points, obs, poses, rig))
        system = _Normal.of(points, obs, poses, rig, sigma)
        before = solver.cost(points, poses, sigma)
        trial_poses, trial_points, drop = poses, points, 0.0
        for _ in range(6):
            step, point_step, covariance = solver.step(system, poses, damping)
            trial_poses, trial_points = poses.moved(step), points + point_step
            drop = before - solver.cost(trial_points, trial_poses, sigma)
            if drop >= 0:
                damping = max(damping * 0.1, 1e-9)
                break
            damping *= 10.0
        else:
            break
        poses, points = trial_poses, trial_points
        if drop < CONVERGED:
            break
    return Fit(poses, points, sigma, covariance)


@dataclass(frozen=True, eq=False)
class _Solver:
    """The parts of the problem that do not change between steps."""

    obs: Observations
    rig: CameraRig
    origin: Poses
    free: np.ndarray
    """[camera * 7] bool."""
    correlation: float

    def _prior(self, poses: Poses) -> tuple[np.ndarray, np.ndarray]:
        """Return the prior's residuals [camera 7], each by its 1 sd, and the inverse of these sd [7]."""
        turn = quat_log(matrix_to_quat(poses.R_cam_from_world @ self.origin.R_cam_from_world.transpose(0, 2, 1)))
        shift = -np.einsum("cij,cj->ci", poses.R_cam_from_world, poses.center_world_m - self.origin.center_world_m)
        raw = np.concatenate([turn, shift, poses.offset_s[:, None]], -1)
        inverse = 1.0 / np.array([PRIOR_ROTATION_RAD] * 3 + [PRIOR_CENTER_M] * 3 + [PRIOR_OFFSET_S])
        return raw * inverse, inverse

    def cost(self, points: np.ndarray, poses: Poses, sigma: float) -> float:
        """Return the robust cost of the data plus the prior's."""
        data = cauchy_cost(residuals_px(points, self.obs, poses, self.rig), self.obs.seen, sigma).sum()
        return float(data / self.correlation + 0.5 * (self._prior(poses)[0] ** 2).sum())

    def step(self, system: _Normal, poses: Poses, damping: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the pose step [camera 7], the point step [point 3] and the covariance [camera 7 camera 7]."""
        n = len(self.rig)
        trace = np.trace(system.V, axis1=1, axis2=2)[:, None, None]
        inverse_v = np.linalg.inv(system.V * (1 + damping * np.eye(3)) + (1e-9 * trace + 1e-12) * np.eye(3))
        W = np.ascontiguousarray(system.W.transpose(0, 2, 1, 3)).reshape(n * 7, -1, 3)
        Y = (W.transpose(1, 0, 2) @ inverse_v).transpose(1, 0, 2)
        S = -(Y.reshape(n * 7, -1) @ W.reshape(n * 7, -1).T)
        g = system.g_camera.reshape(-1) - Y.reshape(n * 7, -1) @ system.g_point.reshape(-1)
        for c in range(n):
            block = slice(7 * c, 7 * c + 7)
            S[block, block] += system.U[c] * (1 + damping * np.eye(7))
        residual, inverse = self._prior(poses)
        S = S / self.correlation + np.diag(np.tile(inverse**2, n))
        g = g / self.correlation + (residual * inverse).reshape(-1)
        at = np.ix_(self.free, self.free)
        step, covariance = np.zeros(n * 7), np.zeros((n * 7, n * 7))
        covariance[at] = np.linalg.inv(S[at])
        step[self.free] = -covariance[at] @ g[self.free]
        back = system.g_point + np.einsum("apk,a->pk", W, step)
        points = -(inverse_v @ back[..., None])[..., 0]
        return step.reshape(n, 7), points, covariance.reshape(n, 7, n, 7)
