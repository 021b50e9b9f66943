"""Square, turned windows on a person: what a keypoint model looks at.

A crop is a centre, a side length and a clockwise turn, all in the picture's pixels (pixel (0, 0) is the centre of the
upper-left pixel). Normalised crop coordinates run from (0, 0) at the window's upper-left corner to (1, 1) at its
lower-right one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.arrays import frozen
from mocap.core.camera import Camera
from mocap.core.keypoints import KeypointSet
from mocap.kernels.projection import project
from mocap.media.picture import Picture

BODY_MARGIN = 1.25
"""Side of a crop in units of the diameter of the circle around the hips that holds the body, as BlazePose expects it
(measured: 1.0 and 1.5 both double the share of keypoints that are far off)."""

KEYPOINT_MARGIN = 1.125
"""The same for a circle that is drawn around keypoints, which reaches beyond the detector's where an arm or a leg is
stretched out. Measured on the reprojection of four cameras' detections, median and p90 by margin: 1.0 6.5 and 22,
1.06 6.1 and 18, 1.125 5.9 and 17, 1.25 6.4 and 21, 1.375 6.6 and 30 px."""

BILINEAR_SHRINK = 2.0
"""Sampling between pixels may shrink this far: keypoint models are trained on that, and reducing by area first gains
nothing (measured up to 4)."""


@dataclass(frozen=True, eq=False)
class Crops:
    """Where to look for each person in each frame; NaN where a person is not to be looked for."""

    center_px: np.ndarray
    """[frame person 2] float64."""
    size_px: np.ndarray
    """[frame person] float64, side of the square."""
    angle_rad: np.ndarray
    """[frame person] float64, how far the person's up is turned clockwise from the picture's up."""

    def __post_init__(self) -> None:
        center = frozen(self.center_px, np.float64, (None, None, 2), "center_px")
        object.__setattr__(self, "center_px", center)
        for name in ("size_px", "angle_rad"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.float64, center.shape[:2], name))

    @property
    def n_frames(self) -> int:
        """Frames of the video."""
        return self.center_px.shape[0]

    @property
    def n_persons(self) -> int:
        """Persons looked for."""
        return self.center_px.shape[1]

    def mapped(self, scale: float, shift_px: tuple[float, float]) -> Crops:
        """Return the crops in pixels x' = scale * x + shift, e.g. of a video whose size is not the calibration's."""
        return Crops(self.center_px * scale + np.asarray(shift_px), self.size_px * scale, self.angle_rad)

    @property
    def is_there(self) -> np.ndarray:
        """[frame person] whether there is a crop."""
        return np.isfinite(self.center_px).all(-1) & np.isfinite(self.size_px) & np.isfinite(self.angle_rad)


def image_from_crop(center_px: np.ndarray, size_px: float, angle_rad: float) -> np.ndarray:
    """Return the [2 3] affine map from normalised crop coordinates to pixels."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    turn = size_px * np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, np.asarray(center_px, np.float64) - turn @ (0.5, 0.5)])


def cut(picture: Picture, crop_affine: np.ndarray, side: int) -> np.ndarray:
    """Return the [side side 3] RGB window that `image_from_crop` describes; outside the picture it is black.

    A crop pixel u has its centre at (u + 0.5) / side in normalised coordinates. Where the window is shrunk by
    four or more, the part of the picture it covers is first reduced by area, so that fine texture does not alias.
    Where the picture has planes, brightness and colours are cut out first and made RGB then: the same but for rounding
    where no colour clips. RGB of the whole clips before it is interpolated and this after it, so that edges of
    saturated colours differ: by some 20 steps in what was RGB once, by up to half the range where Y, U and V are
    colours that no RGB has.
    """
    pixel_affine = np.column_stack([crop_affine[:, :2] / side, crop_affine @ (0.5 / side, 0.5 / side, 1.0)])
    factor = max(1, int(float(np.hypot(*crop_affine[:, 0])) / side / BILINEAR_SHRINK))
    part = _Part.covered(picture.shape, crop_affine, factor)
    if part is None:
        return np.zeros((side, side, 3), np.uint8)
    affine = part.affine(pixel_affine)
    planes = picture.planes
    if planes is None:
        return _warped(part.reduced(picture.rgb), affine, side, 0)
    reduced = part.reduced(planes.y), part.reduced_colour(planes.u), part.reduced_colour(planes.v)
    return planes.colours.rgb(
        [_warped(p, affine, side, black) for p, black in zip(reduced, planes.colours.black_yuv, strict=True)]
    )


def _warped(source: np.ndarray, affine: np.ndarray, side: int, black: int) -> np.ndarray:
    """Return the [side side ...] window of a plane or a picture, given the map from its pixels to the source's."""
    import cv2

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        source, affine, (side, side), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=(black,) * 3
    )


@dataclass(frozen=True)
class _Part:
    """The part of a picture that a window covers, and the whole factor by which it is reduced first."""

    x: slice
    y: slice
    factor: int

    @classmethod
    def covered(cls, shape: tuple[int, int], crop_affine: np.ndarray, factor: int) -> _Part | None:
        """Return the part whose size is a multiple of the factor; None where the window lies outside the picture."""
        corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]], np.float64) @ crop_affine.T
        first = np.maximum(0, corners.min(0).astype(int) // factor * factor)
        # Half a pixel for the window's edge, one for the neighbour that is interpolated with.
        stop = np.minimum(shape[::-1], corners.max(0).astype(int) + factor + 1)
        stop = first + (stop - first) // factor * factor
        if (stop - first < factor).any():
            return None
        return cls(slice(int(first[0]), int(stop[0])), slice(int(first[1]), int(stop[1])), factor)

    def affine(self, pixel_affine: np.ndarray) -> np.ndarray:
        """Return the map from crop pixels to the reduced part, given the one to the picture."""
        # Pixel centre p of the picture is at (p - p0 + 0.5) / factor - 0.5 in the reduced part.
        shifted = pixel_affine.copy()
        shifted[:, 2] += 0.5 - np.array([self.x.start, self.y.start])
        shifted /= self.factor
        shifted[:, 2] -= 0.5
        return shifted

    def reduced(self, plane: np.ndarray) -> np.ndarray:
        """Return this part of a plane or a picture, reduced by area."""
        return _by_area(plane[self.y, self.x], self.factor)

    def reduced_colour(self, plane: np.ndarray) -> np.ndarray:
        """Return this part of a plane that has one value for 2 x 2 pixels, reduced to the same size."""
        import cv2

        blocks = [slice(s.start // 2, (s.stop + 1) // 2) for s in (self.y, self.x)]
        part = plane[blocks[0], blocks[1]]
        if self.factor % 2 == 0:
            return _by_area(part, self.factor // 2)
        each = cv2.resize(part, (2 * part.shape[1], 2 * part.shape[0]), interpolation=cv2.INTER_NEAREST)
        y, x = (slice(s.start % 2, s.start % 2 + s.stop - s.start) for s in (self.y, self.x))
        return _by_area(each[y, x], self.factor)


def _by_area(part: np.ndarray, factor: int) -> np.ndarray:
    """Return a picture whose pixels are means of factor x factor pixels."""
    import cv2

    if factor == 1:
        return part
    return cv2.resize(part, (part.shape[1] // factor, part.shape[0] // factor), interpolation=cv2.INTER_AREA)


def crops_from_keypoints(xy_px: np.ndarray, keypoint_set: KeypointSet, margin: float = KEYPOINT_MARGIN) -> Crops:
    """Return the crops that hold each person's keypoints: centred on the hips, turned so that the torso is upright.

    Args:
        xy_px: [frame person keypoint 2]; NaN where unknown.
        keypoint_set: must name the canonical landmarks of hips and shoulders.
        margin: side of the crop in units of the diameter around the hips that holds every known keypoint.
    """
    xy = np.asarray(xy_px, np.float64)

    def middle(left: str, right: str) -> np.ndarray:
        a, b = keypoint_set.index(left), keypoint_set.index(right)
        assert a is not None, f"{keypoint_set.name} has no {left}"
        assert b is not None, f"{keypoint_set.name} has no {right}"
        return (xy[:, :, a] + xy[:, :, b]) / 2

    hip, shoulder = middle("LHip", "RHip"), middle("LShoulder", "RShoulder")
    up = shoulder - hip
    reach = np.linalg.norm(xy - hip[:, :, None], axis=-1)
    torso = np.linalg.norm(up, axis=-1)
    radius = np.fmax(np.fmax.reduce(reach, axis=-1), 1.5 * torso)
    is_known = np.isfinite(up).all(-1) & (radius > 1.0)
    return Crops(
        np.where(is_known[..., None], hip, np.nan),
        np.where(is_known, 2 * margin * radius, np.nan),
        np.where(is_known, np.arctan2(up[..., 0], -up[..., 1]), np.nan),
    )


def crops_from_points(
    xyz_m: np.ndarray, keypoint_set: KeypointSet, camera: Camera, margin: float = KEYPOINT_MARGIN
) -> Crops:
    """Return one camera's crops from 3D points of the persons at that camera's own frame times.

    Args:
        xyz_m: [frame person keypoint 3] or [frame keypoint 3], world; NaN where unknown.
        keypoint_set: names of the points.
        camera: must have the size of the video (see `Crops` for the pixel convention).
        margin: as `crops_from_keypoints`.
    """
    xyz = np.asarray(xyz_m, np.float64)
    if xyz.ndim == 3:
        xyz = xyz[:, None]
    cam = xyz @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
    lens = camera.intrinsics
    xy_px = project(cam, lens.focal_px, lens.center_px, lens.distortion)
    return crops_from_keypoints(xy_px, keypoint_set, margin)
