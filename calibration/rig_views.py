"""Views of a calibration board by cameras, and their reprojection residuals linearised view by view.

A view is one camera's picture of the board in one frame. With x_cam = T_cam_from_world T_world_from_board x_board, the
board's pose perturbed on the right by b moves the view as the camera's pose perturbed on the left by Ad(T) b, T being
cam_from_board (J. Sola et al., "A micro Lie theory", arXiv:1812.01537, section II-F). So residuals are differentiated
once per view, by lens and view pose, and a 6x6 matrix yields the derivatives by both the camera's and the board's pose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.residuals import distortion_coefficient_jacobian, distortion_jacobian
from mocap.core.camera import N_DISTORTION, Intrinsics, LensModel
from mocap.kernels.projection import MIN_DEPTH, distort
from mocap.kernels.rotations import quat_exp, quat_to_matrix, skew

N_LENS = 9
"""Parameters of a lens: fx fy cx cy and up to five of distortion (a fisheye's fifth is never used and stays 0)."""


@dataclass(frozen=True, eq=False)
class Views:
    """Views of one board, flattened."""

    camera: np.ndarray
    """[view] index of the camera."""
    frame: np.ndarray
    """[view] index of the frame, in which all cameras see the board at one pose."""
    xy_px: np.ndarray
    """[view corner 2]; NaN where not seen."""
    corners_m: np.ndarray
    """[corner 3] in the board's frame, moved so that the board's middle is the origin."""
    n_cameras: int
    n_frames: int

    @property
    def seen(self) -> np.ndarray:
        """[view corner] bool."""
        return np.asarray(np.isfinite(self.xy_px).all(-1))

    def select(self, views: np.ndarray) -> Views:
        """Return some views (boolean mask or indices); cameras and frames keep their numbers."""
        return replace(self, camera=self.camera[views], frame=self.frame[views], xy_px=self.xy_px[views])

    def of_camera(self, camera: int) -> Views:
        """Return one camera's views as those of camera 0, one frame each."""
        on = self.camera == camera
        n = int(on.sum())
        return Views(np.zeros(n, int), np.arange(n), self.xy_px[on], self.corners_m, 1, n)


@dataclass(frozen=True, eq=False)
class State:
    """All unknowns of a board calibration. World: whatever frame the poses share."""

    models: tuple[LensModel, ...]
    lens: np.ndarray
    """[camera 9] fx fy cx cy, distortion."""
    R_cam_from_world: np.ndarray
    """[camera 3 3]"""
    t_cam_from_world_m: np.ndarray
    """[camera 3]"""
    R_world_from_board: np.ndarray
    """[frame 3 3]"""
    t_world_from_board_m: np.ndarray
    """[frame 3] place of the board's middle."""

    def moved(self, camera_step: np.ndarray, board_step: np.ndarray) -> State:
        """Return the state after camera_step [camera 15] = (lens, w, v) and board_step [frame 6] = (w, v)."""
        turn = quat_to_matrix(quat_exp(camera_step[:, N_LENS : N_LENS + 3]))
        board_turn = quat_to_matrix(quat_exp(board_step[:, :3]))
        shift = np.einsum("fij,fj->fi", self.R_world_from_board, board_step[:, 3:])
        t_cam = np.einsum("cij,cj->ci", turn, self.t_cam_from_world_m) + camera_step[:, N_LENS + 3 :]
        return replace(
            self,
            lens=self.lens + camera_step[:, :N_LENS],
            R_cam_from_world=turn @ self.R_cam_from_world,
            t_cam_from_world_m=t_cam,
            R_world_from_board=self.R_world_from_board @ board_turn,
            t_world_from_board_m=self.t_world_from_board_m + shift,
        )

    def view_poses(self, views: Views) -> tuple[np.ndarray, np.ndarray]:
        """Return cam_from_board of each view: R [view 3 3], t [view 3]."""
        R_cam = self.R_cam_from_world[views.camera]
        R = R_cam @ self.R_world_from_board[views.frame]
        t = (R_cam @ self.t_world_from_board_m[views.frame][..., None])[..., 0] + self.t_cam_from_world_m[views.camera]
        return R, t

    def intrinsics(self, camera: int, size_px: tuple[int, int]) -> Intrinsics:
        """Return one camera's lens."""
        return unpacked(self.lens[camera], self.models[camera], size_px)


def packed(lens: Intrinsics) -> np.ndarray:
    """Return a lens as [9] fx fy cx cy, distortion padded with 0."""
    out = np.zeros(N_LENS)
    values = np.concatenate([lens.focal_px, lens.center_px, lens.distortion])
    out[: len(values)] = values
    return out


def unpacked(values: np.ndarray, model: LensModel, size_px: tuple[int, int]) -> Intrinsics:
    """Return the lens of [9] values."""
    return Intrinsics(size_px, values[:2], values[2:4], values[4 : 4 + N_DISTORTION[model]], model)


def view_points(views: Views, R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the board's corners in the camera frame [view corner 3] of views at R [view 3 3], t [view 3]."""
    return views.corners_m @ R.swapaxes(-1, -2) + t[:, None]


def project_views(points_cam: np.ndarray, lens: np.ndarray, model: LensModel) -> np.ndarray:
    """Return pixels [view corner 2] of points [view corner 3] by lenses [view 9]; NaN behind the camera."""
    z = points_cam[..., 2:]
    with np.errstate(invalid="ignore"):
        xy = points_cam[..., :2] / np.where(z > MIN_DEPTH, z, np.nan)
    distortion = lens[:, None, 4 : 4 + N_DISTORTION[model]]
    return distort(xy, distortion) * lens[:, None, :2] + lens[:, None, 2:4]


def residuals_px(views: Views, state: State) -> np.ndarray:
    """Return projected minus observed [view corner 2]; NaN where not seen or behind the camera."""
    R, t = state.view_poses(views)
    points = view_points(views, R, t)
    out = np.empty_like(views.xy_px)
    for model, on in _by_model(views, state):
        out[on] = project_views(points[on], state.lens[views.camera[on]], model)
    return out - views.xy_px


def linearised(views: Views, state: State, *, with_lens: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return residuals [view corner 2] and Jacobians [view corner 2 (9 +) 6] by (lens,) view pose (w, v)."""
    R, t = state.view_poses(views)
    points = view_points(views, R, t)
    n_lens = N_LENS if with_lens else 0
    jac = np.zeros((*views.xy_px.shape, n_lens + 6))
    pixels = np.empty_like(views.xy_px)
    for model, on in _by_model(views, state):
        lens = state.lens[views.camera[on]]
        pixels[on], jac[on] = _linearised_lens(points[on], lens, model, with_lens)
    return pixels - views.xy_px, jac


def _linearised_lens(
    points: np.ndarray, lens: np.ndarray, model: LensModel, with_lens: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels [view corner 2] and Jacobians [view corner 2 (9 +) 6] of points in the camera frame."""
    n = N_DISTORTION[model]
    focal, center, distortion = lens[:, None, :2], lens[:, None, 2:4], lens[:, None, 4 : 4 + n]
    z = np.where(points[..., 2:] > MIN_DEPTH, points[..., 2:], np.nan)
    xy = points[..., :2] / z
    distorted = distort(xy, distortion)
    to_xy = distortion_jacobian(xy, np.moveaxis(distortion, -1, 0), model) * focal[..., None]
    offset = 9 if with_lens else 0
    jac = np.zeros((*xy.shape, offset + 6))
    if with_lens:
        jac[..., 0, 0], jac[..., 1, 1] = distorted[..., 0], distorted[..., 1]
        jac[..., 0, 2] = jac[..., 1, 3] = 1.0
        jac[..., 4 : 4 + n] = distortion_coefficient_jacobian(xy, model) * focal[..., None]
    x, y = xy[..., None, 0], xy[..., None, 1]
    a, b = to_xy[..., 0], to_xy[..., 1]
    # [-J skew(p), J] with J = to_xy [[1/z, 0, -x/z], [0, 1/z, -y/z]], written out: (w, v) of the view's pose.
    along = a * x + b * y
    jac[..., offset + 0] = -(b + along * y)
    jac[..., offset + 1] = a + along * x
    jac[..., offset + 2] = b * x - a * y
    jac[..., offset + 3] = a / z
    jac[..., offset + 4] = b / z
    jac[..., offset + 5] = -along / z
    return distorted * focal + center, jac


def adjoint(R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return Ad [... 6 6]: (w, v) on the left of a pose that equals a perturbation on its right (w first)."""
    out = np.zeros((*R.shape[:-2], 6, 6))
    out[..., :3, :3] = out[..., 3:, 3:] = R
    out[..., 3:, :3] = skew(t) @ R
    return out


def _by_model(views: Views, state: State) -> list[tuple[LensModel, np.ndarray | slice]]:
    """Return the views of each lens model that occurs."""
    kinds = [m is LensModel.FISHEYE for m in state.models]
    if not any(kinds):
        return [(LensModel.BROWN, slice(None))]
    if all(kinds):
        return [(LensModel.FISHEYE, slice(None))]
    fish = np.array(kinds)[views.camera]
    return [(LensModel.FISHEYE, fish), (LensModel.BROWN, ~fish)]
