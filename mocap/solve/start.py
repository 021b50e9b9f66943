"""What every solve of a take begins with: landmarks, the performer's shape, and a plausible pose of each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.core.keypoints import Points3D
from mocap.core.looks import MAX_BETWEEN_S, Looks
from mocap.core.observations import Observations, observe
from mocap.core.performer import PerformerProfile
from mocap.core.progress import Progress
from mocap.core.take import PointsResult
from mocap.kernels.trajectories import fill_gaps_linearly
from mocap.solve.contacts import standing
from mocap.solve.fit import FOOT_LANDMARKS, SHAPE_FRAMES, body_points, fit_shape, to_points
from mocap.solve.hand import body_landmarks, sides_with_fingers
from mocap.solve.implausible import mask_of
from mocap.solve.jumps import impossible_jumps
from mocap.solve.lone import with_evidence_only
from mocap.solve.motion import MIN_FRAMES, MIN_KNOWN_SHARE, MotionProblem
from mocap.solve.pose import Freedom, Pose, bind_pose, first_pose, freedom
from mocap.solve.profile import shape_of
from mocap.solve.screen import Screened, screened_pose
from mocap.solve.shape import Shape, reference_shape

SCALE_SEGMENTS = tuple(
    (side + a, side + b)
    for side in "LR"
    for a, b in (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"), ("Shoulder", "Hip"))
)


@dataclass(frozen=True, eq=False)
class Start:
    """The body and its first pose, and the evidence that the solve follows."""

    sides: tuple[str, ...]
    """Sides whose hands have fingers."""
    names: tuple[str, ...]
    """Landmarks that take part."""
    index: list[int]
    """Their keypoints."""
    dof: Freedom
    shape: Shape
    screened: Screened
    observations: Observations
    """Of the landmarks, without what is no evidence."""
    sigma_px: np.ndarray
    """[camera frame landmark]"""
    fps: float

    @property
    def kept(self) -> Observations:
        """Observations without those set aside as impossible."""
        return self.screened.kept(self.observations)

    @property
    def motion(self) -> MotionProblem:
        """What is to be solved."""
        return MotionProblem(
            self.screened.pose,
            self.shape,
            self.names,
            self.dof,
            self.kept,
            self.sigma_px,
            self.fps,
            self.standing,
        )

    def standing(self, part: Pose) -> np.ndarray:
        """Return [frame sole] which of FOOT_LANDMARKS stand in the pose of some frames."""
        return standing(feet(part, self.shape), part.root_m, self.fps)


def begin(rig: CameraRig, reconstructed: PointsResult, performer: PerformerProfile | None, progress: Progress) -> Start:
    """Return what the solve starts from; the progress is advanced twice. Raises what `solve_take` raises."""
    points, timeline = reconstructed.points, reconstructed.timeline
    sides = sides_with_fingers(points.keypoint_set.landmarks)
    fps = float(timeline.fps)
    everything = observe(reconstructed.detections, rig, timeline)
    names, index = _landmarks_in(points, sides, everything.looks(timeline.n_frames, fps), rig.names, fps)
    dof = freedom(names)
    sigma_px = np.nan_to_num(reconstructed.sigma_px[:, :, index], nan=1.0)
    observations = everything.of(index)
    observations = with_evidence_only(observations, names, points.xyz_m[:, index], sigma_px, fps)
    jumps = impossible_jumps(names, points.xyz_m[:, index], observations, sigma_px, fps)
    too_fast = mask_of(jumps, names, timeline.n_frames)[..., None]
    known = np.where(too_fast, np.nan, points.xyz_m[:, index])
    pose = first_pose(dict(zip(names, fill_gaps_linearly(known).swapaxes(0, 1), strict=True)))
    sigma_m = points.sigma_m[:, index]
    shape = fit_performer(pose, known, sigma_m, names, dof, performer)
    progress.advance()
    screened = screened_pose(pose, shape, names, dof, known, sigma_m, observations, jumps)
    progress.advance()
    return Start(sides, names, index, dof, shape, screened, observations, sigma_px, fps)


def feet(pose: Pose, shape: Shape) -> np.ndarray:
    """Return heels and toes [frame contact 3] of CONTACT_JOINTS: an ankle's heel, a toe joint's big toe."""
    return body_points(pose, shape, FOOT_LANDMARKS)[2]


def _landmarks_in(
    points: Points3D, sides: Sequence[str], looks: Looks, cameras: tuple[str, ...], fps: float
) -> tuple[tuple[str, ...], list[int]]:
    """Return the landmarks that take part in the body's solve and their keypoint indices; `sides` have fingers."""
    of_body = body_landmarks(sides)
    share = np.isfinite(points.xyz_m).all(-1).mean(0) if len(points.xyz_m) else np.zeros(len(points.keypoint_set))
    landmarks = points.keypoint_set.landmarks
    index = [k for k, n in enumerate(landmarks) if n in of_body and share[k] > MIN_KNOWN_SHARE]
    names = tuple(landmarks[k] for k in index)
    if len(points.xyz_m) < MIN_FRAMES:
        raise InputError(
            "take-too-short",
            f"the take cannot be solved: two cameras or more run at once for {len(points.xyz_m)} frames, "
            f"{MIN_FRAMES} are needed",
            "Check that the cameras are in sync, or take more frames.",
        )
    missing = [n for n in ("LHip", "RHip", "LShoulder", "RShoulder") if n not in names]
    if missing and (looks.count >= 2).mean() <= MIN_KNOWN_SHARE:
        raise _looks_apart(looks, cameras, fps)
    if missing:
        raise InputError(
            "performer-not-seen",
            f"the take cannot be solved: {', '.join(missing)} were never seen by two cameras at once "
            f"(expected hips and shoulders in more than {MIN_KNOWN_SHARE:.0%} of the {len(points.xyz_m)} frames)",
            "Check that the rig belongs to the footage, that the cameras are in sync and see the performer.",
        )
    return names, index


def _looks_apart(looks: Looks, cameras: tuple[str, ...], fps: float) -> InputError:
    """Return the error for cameras that look at different moments, too far apart to know what was between."""
    every = ", ".join(
        f"{name} every {1000 * step / fps:.0f} ms" if np.isfinite(step) else f"{name} at most once"
        for name, step in zip(cameras, looks.step, strict=True)
    )
    return InputError(
        "looks-apart",
        "the take cannot be solved: its cameras were looked at in different moments, and too seldom to tell what was "
        f"between ({every}; expected two cameras at once, or looks at most {1000 * MAX_BETWEEN_S:.0f} ms apart)",
        "Look at more frames: a better quality than preview, or keypoints of every frame.",
    )


def fit_performer(
    pose: Pose,
    known_m: np.ndarray,
    sigma_m: np.ndarray,
    names: tuple[str, ...],
    dof: Freedom,
    performer: PerformerProfile | None,
) -> Shape:
    """Return the performer's shape from the frames in which most landmarks are known."""
    complete = np.isfinite(known_m).all(-1).sum(1)
    good = np.flatnonzero(complete >= np.quantile(complete, 0.5))
    frames = good[np.unique(np.linspace(0, len(good) - 1, SHAPE_FRAMES).astype(int))]
    data = to_points(known_m[frames], sigma_m[frames])
    if performer is not None:
        start = shape_of(performer)
        return _in_anatomical_frames(
            fit_shape(pose.frames(frames), start, names, dof, data, performer.measured)[1], names
        )
    start = reference_shape(body_scale(known_m[frames], names))
    pose, shape = fit_shape(pose.frames(frames), start, names, dof, data)
    shape = fit_shape(pose, _in_anatomical_frames(shape.with_toe_joints(), names), names, dof, data)[1]
    return _in_anatomical_frames(shape, names)


def _in_anatomical_frames(shape: Shape, names: tuple[str, ...]) -> Shape:
    """Return the shape with the hands' frames where anatomy counts angles from, as far as their points tell."""
    return shape.with_hands_straight() if {"LMiddle", "RMiddle"} & set(names) else shape.with_knuckles_across()


def body_scale(known_m: np.ndarray, names: tuple[str, ...]) -> float:
    """Return the performer's size against the reference body: the median over segments of their median lengths."""
    rest = dict(zip(names, body_points(bind_pose(1), reference_shape(1.0), names)[2][0], strict=True))
    ratios = []
    for a, b in SCALE_SEGMENTS:
        if a in rest and b in rest:
            length = np.linalg.norm(known_m[:, names.index(a)] - known_m[:, names.index(b)], axis=-1)
            ratios.append(np.nanmedian(length) / np.linalg.norm(rest[a] - rest[b]))
    return float(np.median(ratios)) if ratios else 1.0
