"""Results for one subject of a take: what exporters, reports and Blender scenes are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mocap.core.arrays import frozen
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic
from mocap.core.keypoints import Keypoints2D, Points3D
from mocap.core.limbs import limb_pairs
from mocap.core.performer import PerformerProfile
from mocap.core.skeleton import Motion
from mocap.core.timeline import Timeline


@dataclass(frozen=True, eq=False)
class PointsResult:
    """Reconstructed points of one subject with what the solve needs to know about their evidence."""

    points: Points3D
    timeline: Timeline
    detections: Keypoints2D
    """The detections as used: limbs whose sides a view had exchanged are put back."""
    exchanged: np.ndarray
    """[camera frame limb] bool, limbs of `limbs.limb_pairs`, frames of the detections: whether sides were put back."""
    sigma_px: np.ndarray
    """[camera frame keypoint] float32 noise of each detection, 1 sd per axis; NaN where nothing was detected."""

    def __post_init__(self) -> None:
        if self.points.xyz_m.shape[0] != self.timeline.n_frames:
            raise ValueError("points must lie on the timeline, one per frame")
        c, f, _, k = self.detections.score.shape
        object.__setattr__(self, "sigma_px", frozen(self.sigma_px, np.float32, (c, f, k), "sigma_px"))
        object.__setattr__(self, "exchanged", frozen(self.exchanged, np.bool_, (c, f, None), "exchanged"))


@dataclass(frozen=True, eq=False)
class SolvedTake:
    """One subject, solved. All 3D arrays share `motion.timeline`; 2D arrays keep each camera's own frames."""

    subject: str
    """Name used for files: `<subject>.bvh`."""
    rig: CameraRig
    """The rig that was used, after any refinement."""
    detections: Keypoints2D
    """This subject's detections: one person per camera."""
    points: Points3D
    """Reconstructed points before the skeleton solve."""
    keypoints: Points3D
    """Final keypoints: fixed points of the moving skeleton, bone lengths constant."""
    motion: Motion
    inlier_probability: np.ndarray
    """[camera frame keypoint] float32, of `detections` (sides put back); NaN where nothing was detected."""
    contact_names: tuple[str, ...]
    """Joints whose ground contact is known, e.g. ('LeftFoot', 'RightFoot')."""
    contact: np.ndarray
    """[frame contact] bool: supports weight and stands still."""
    rejected: dict[str, int]
    """How many observations were rejected, by reason."""
    diagnostics: tuple[Diagnostic, ...] = ()
    exchanged: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), bool))
    """[camera frame limb] bool, limbs of `limbs.limb_pairs`: whether `detections` has their sides put back; empty
    where none has."""
    performer: PerformerProfile | None = None
    """The performer's body as this take found it, for the next one."""

    def __post_init__(self) -> None:
        f, k = self.motion.timeline.n_frames, len(self.detections.keypoint_set)
        if self.points.xyz_m.shape[0] != f or self.keypoints.xyz_m.shape[0] != f:
            raise ValueError(f"points, keypoints and motion must have one frame count, got {f}")
        if self.detections.n_persons != 1:
            raise ValueError("a solved take holds one person per camera")
        shape = (self.detections.n_cameras, self.detections.n_frames, k)
        object.__setattr__(
            self, "inlier_probability", frozen(self.inlier_probability, np.float32, shape, "inlier_probability")
        )
        limbs = (*shape[:2], len(limb_pairs(self.detections.keypoint_set)))
        exchanged = self.exchanged if np.size(self.exchanged) else np.zeros(limbs, bool)
        object.__setattr__(self, "exchanged", frozen(exchanged, np.bool_, limbs, "exchanged"))
        object.__setattr__(self, "contact", frozen(self.contact, np.bool_, (f, len(self.contact_names)), "contact"))
