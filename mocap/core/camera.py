"""Calibrated cameras.

Camera frame as OpenCV (x right, y down, z forward); pixel (0, 0) is the centre of the upper-left pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from mocap.core.arrays import frozen
from mocap.core.errors import InputError


class LensModel(StrEnum):
    """How a direction in the camera frame becomes a pixel."""

    BROWN = "brown"
    """Pinhole with Brown-Conrady distortion, OpenCV order k1 k2 p1 p2 k3 (all zero: a pure pinhole)."""
    FISHEYE = "fisheye"
    """Kannala-Brandt, OpenCV `cv2.fisheye` k1..k4."""


N_DISTORTION = {LensModel.BROWN: 5, LensModel.FISHEYE: 4}


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """A lens at one image size."""

    size_px: tuple[int, int]
    """Image width and height."""
    focal_px: np.ndarray
    """[2] fx, fy."""
    center_px: np.ndarray
    """[2] principal point cx, cy."""
    distortion: np.ndarray
    """[5] for BROWN, [4] for FISHEYE."""
    model: LensModel = LensModel.BROWN

    def __post_init__(self) -> None:
        object.__setattr__(self, "focal_px", frozen(self.focal_px, np.float64, (2,), "focal_px"))
        object.__setattr__(self, "center_px", frozen(self.center_px, np.float64, (2,), "center_px"))
        shape = (N_DISTORTION[self.model],)
        object.__setattr__(self, "distortion", frozen(self.distortion, np.float64, shape, "distortion"))
        values = np.concatenate([self.focal_px, self.center_px, self.distortion])
        if not np.isfinite(values).all() or (self.focal_px <= 0).any() or min(self.size_px) <= 0:
            raise ValueError(f"intrinsics must be finite with positive focal lengths and size, got {self}")

    @property
    def matrix(self) -> np.ndarray:
        """[3 3] camera matrix K."""
        (fx, fy), (cx, cy) = self.focal_px, self.center_px
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


MAX_READOUT_S = 0.1
"""Sensors of cameras and phones are read in 5 to 35 ms, the slowest at 10 pictures a second within one picture's time;
more is a slip of the unit (milliseconds, or a frame rate)."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera: x_cam = R_cam_from_world @ x_world + t_cam_from_world_m."""

    name: str
    intrinsics: Intrinsics
    R_cam_from_world: np.ndarray
    """[3 3] rotation."""
    t_cam_from_world_m: np.ndarray
    """[3] translation."""
    readout_s: float | None = None
    """Time from the first to the last row of a picture (rolling shutter), whose middle row is at the frame's time; None
    where it is not known."""

    def __post_init__(self) -> None:
        R = frozen(self.R_cam_from_world, np.float64, (3, 3), "R_cam_from_world")
        t = frozen(self.t_cam_from_world_m, np.float64, (3,), "t_cam_from_world_m")
        if not (np.isfinite(t).all() and np.allclose(R @ R.T, np.eye(3), atol=1e-6) and np.linalg.det(R) > 0):
            raise ValueError(f"camera {self.name}: extrinsics are not a finite rigid transform")
        if self.readout_s is not None and not 0 <= self.readout_s <= MAX_READOUT_S:
            raise ValueError(
                f"camera {self.name}: a picture is read within 0 to {MAX_READOUT_S} s, not {self.readout_s}"
            )
        object.__setattr__(self, "R_cam_from_world", R)
        object.__setattr__(self, "t_cam_from_world_m", t)

    @property
    def center_world_m(self) -> np.ndarray:
        """[3] position of the optical centre in the world."""
        return -self.R_cam_from_world.T @ self.t_cam_from_world_m

    def with_extrinsics(self, R_cam_from_world: np.ndarray, t_cam_from_world_m: np.ndarray) -> Camera:
        """Return the same lens in another place."""
        return replace(self, R_cam_from_world=R_cam_from_world, t_cam_from_world_m=t_cam_from_world_m)


@dataclass(frozen=True, eq=False)
class CameraRig:
    """Cameras in one world frame: metres, right-handed, Z up, floor z = 0."""

    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.cameras):
            raise ValueError(f"camera names must be unique, got {self.names}")

    @property
    def names(self) -> tuple[str, ...]:
        """Camera names in order."""
        return tuple(c.name for c in self.cameras)

    def __len__(self) -> int:
        return len(self.cameras)

    def with_readouts(self, readouts_s: Mapping[str, float | None]) -> CameraRig:
        """Return the same cameras with these read-out times by name; those that are not named keep theirs."""
        return CameraRig(tuple(replace(c, readout_s=readouts_s.get(c.name, c.readout_s)) for c in self.cameras))

    def __getitem__(self, key: str | int) -> Camera:
        return self.cameras[key] if isinstance(key, int) else self.cameras[self.names.index(key)]

    def in_order(self, names: Sequence[str]) -> CameraRig:
        """Return the rig of these cameras in this order. Raises InputError `rig-camera-missing`."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise InputError(
                "rig-camera-missing",
                f"The keypoints are of camera {', '.join(missing)}, which the rig lacks; it has "
                f"{', '.join(self.names)}.",
                "Give the rig that these keypoints were recorded with.",
            )
        return CameraRig(tuple(self[name] for name in names))
