"""The body's pose over time, its degrees of freedom, and a first pose read off the points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mocap.kernels.kinematics import forward_kinematics
from mocap.kernels.rotations import (
    matrix_to_quat,
    quat_conjugate,
    quat_exp,
    quat_log,
    quat_multiply,
    quat_rotate,
    quat_slerp,
    quat_to_matrix,
    rotation_between,
)
from mocap.solve.anatomy import Anatomy
from mocap.solve.body import BODY, HAND_LANDMARKS, JOINT_NAMES, PARENTS, RIG_JOINTS, ROLL


@dataclass(frozen=True, eq=False)
class Freedom:
    """The degrees of freedom in use: rows of (joint, axis), after the root's three translations."""

    joint: np.ndarray
    """[dof] index of the joint that turns."""
    axis: np.ndarray
    """[dof 3] unit axis in the joint's frame."""
    prior_rad: np.ndarray
    """[dof] standard deviation of the pull towards the pose at rest."""
    rest_rad: np.ndarray | float = 0.0
    """[dof] angle of each degree in the pose at rest; the bind pose's 0 by default."""
    anatomy: Anatomy = BODY
    """Whose joints they are."""
    root_sd_m: float = np.inf
    """How far the root may stray from where a pose has it: not at all where another solve has placed it."""


def freedom(landmark_names: tuple[str, ...]) -> Freedom:
    """Return the degrees that the landmarks can drive: hands and forearms roll only where hand points are detected."""
    left_out = [
        joint.name
        for joint in BODY.joints
        if joint.name.endswith(("Hand", ROLL)) and not any(joint.name[0] + h in landmark_names for h in HAND_LANDMARKS)
    ]
    return freedom_of(BODY, left_out)


def freedom_of(anatomy: Anatomy, left_out: Sequence[str] = (), root_sd_m: float = np.inf) -> Freedom:
    """Return the degrees of all joints but those named."""
    rows = [
        (j, axis, np.radians(joint.prior_deg), np.radians(rest_deg))
        for j, joint in enumerate(anatomy.joints)
        if joint.name not in left_out
        for axis, rest_deg in zip(joint.axes, joint.rest_deg or [0.0] * len(joint.axes), strict=True)
    ]
    joint, axis, prior, rest = (np.array(column) for column in zip(*rows, strict=True))
    return Freedom(joint, axis, prior, rest, anatomy, root_sd_m)


@lru_cache(maxsize=8)
def _by_joint(dof: Freedom) -> list[tuple[int, np.ndarray]]:
    """Return each joint with its degrees."""
    return [(int(j), np.flatnonzero(dof.joint == j)) for j in np.unique(dof.joint)]


@lru_cache(maxsize=8)
def _turns(dof: Freedom) -> np.ndarray:
    """Return the rotation vectors of all joints [dof joint*3] that each degree's unit step makes."""
    out = np.zeros((len(dof.joint), len(dof.anatomy.joints), 3))
    out[np.arange(len(dof.joint)), dof.joint] = dof.axis
    return out.reshape(len(dof.joint), -1)


@dataclass(eq=False)
class Pose:
    """Root translation and local rotations of every frame; local bind rotations are identity."""

    root_m: np.ndarray
    """[frame 3]"""
    local_wxyz: np.ndarray
    """[frame joint 4]"""

    def world(self, parents: tuple[int, ...], offset_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return world rotations [frame joint 3 3] and joint positions [frame joint 3]."""
        return forward_kinematics(parents, offset_m, self.root_m, self.local_wxyz)

    def moved(self, step: np.ndarray, dof: Freedom) -> Pose:
        """Return the pose after a step [frame 3+dof] of root translation and joint angles."""
        rotvec = (step[:, 3:] @ _turns(dof)).reshape(len(self.root_m), -1, 3)
        local = quat_multiply(self.local_wxyz, quat_exp(rotvec))
        return Pose(self.root_m + step[:, :3], without_twist(local, dof))

    def faded(self, other: Pose, share: np.ndarray, dof: Freedom) -> Pose:
        """Return the pose a share [frame] of the way to `other`: roots on lines, joints by one turn each."""
        local = without_twist(quat_slerp(self.local_wxyz, other.local_wxyz, share[:, None]), dof)
        return Pose(self.root_m + share[:, None] * (other.root_m - self.root_m), local)

    def axes(self, dof: Freedom) -> np.ndarray:
        """[frame dof 3] axis about which each degree turns its joint in the joint's frame, in this pose.

        A swing joint turns about its two axes and back about the locked one by what twist that made: to first order
        ((a x v) e) / w for axis e, locked axis a and quaternion (w, v); see `limits.About`.
        """
        out = np.tile(dof.axis, (len(self.root_m), 1, 1))
        for j, of_joint in _by_joint(dof):
            if len(of_joint) != 2:
                continue
            locked = np.cross(*dof.axis[of_joint])
            q = self.local_wxyz[:, j]
            made = np.cross(locked, q[:, 1:]) @ dof.axis[of_joint].T / q[:, :1]
            out[:, of_joint] -= made[..., None] * locked
        return out

    def angles(self, dof: Freedom) -> np.ndarray:
        """[frame dof] component of each joint's rotation vector along each of its axes, radians; hinges unwrapped."""
        return (quat_log(self.local_wxyz[:, dof.joint]) * dof.axis).sum(-1)

    def velocities(self, dof: Freedom) -> np.ndarray:
        """[frame-1 3+dof] first differences: root translation (m), joint rotations in their own frames (rad)."""
        relative = quat_multiply(quat_conjugate(self.local_wxyz[:-1]), self.local_wxyz[1:])
        turn = (quat_log(relative)[:, dof.joint] * dof.axis).sum(-1)
        return np.concatenate([np.diff(self.root_m, axis=0), turn], axis=1)

    def accelerations(self, dof: Freedom) -> np.ndarray:
        """[frame-2 3+dof] second differences, likewise."""
        return np.diff(self.velocities(dof), axis=0)

    def rig_local_wxyz(self) -> np.ndarray:
        """[frame joint 4] local rotations of the body's exported rig, where a forearm's bend and roll are one joint."""
        local = self.local_wxyz.copy()
        for j in range(len(JOINT_NAMES)):
            if j not in RIG_JOINTS:
                local[:, PARENTS[j]] = quat_multiply(local[:, PARENTS[j]], local[:, j])
        return local[:, RIG_JOINTS]

    def frames(self, index: np.ndarray | slice) -> Pose:
        """Return some frames."""
        return Pose(self.root_m[index], self.local_wxyz[index])


def joined(poses: Sequence[Pose]) -> Pose:
    """Return the frames of several poses, one after another."""
    return Pose(np.concatenate([p.root_m for p in poses]), np.concatenate([p.local_wxyz for p in poses]))


def bind_pose(n_frames: int, anatomy: Anatomy = BODY) -> Pose:
    """Return the T-pose with the root at the world's origin."""
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (n_frames, len(anatomy.joints), 1))
    return Pose(np.zeros((n_frames, 3)), identity)


def without_twist(local_wxyz: np.ndarray, dof: Freedom) -> np.ndarray:
    """Return unit local rotations without what joints cannot do: off-axis parts of hinges, twist of swing joints."""
    out = local_wxyz / np.linalg.norm(local_wxyz, axis=-1, keepdims=True)
    for j, of_joint in _by_joint(dof):
        axes = dof.axis[of_joint]
        q = out[:, j].copy()
        if len(axes) == 1:
            q[:, 1:] = (q[:, 1:] @ axes.T) @ axes
        elif len(axes) == 2:
            locked = np.cross(*axes)
            twist = np.concatenate([q[:, :1], (q[:, 1:] @ locked)[:, None] * locked], axis=1)
            q = quat_multiply(q, quat_conjugate(twist))
        out[:, j] = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return out


def frame_from_axes(primary: np.ndarray, primary_axis: int, secondary: np.ndarray, secondary_axis: int) -> np.ndarray:
    """Return rotations [... 3 3] whose column `primary_axis` is along `primary` and `secondary_axis` as near as can be.

    Both [... 3]; the axes are 0, 1, 2 for x, y, z. Degenerate or NaN input gives NaN.
    """
    a = _unit(primary)
    third_axis = 3 - primary_axis - secondary_axis
    sign = 1.0 if (secondary_axis - primary_axis) % 3 == 1 else -1.0
    c = sign * _unit(np.cross(a, secondary))
    b = sign * np.cross(c, a)
    out = np.empty((*a.shape, 3))
    out[..., primary_axis], out[..., secondary_axis], out[..., third_axis] = a, b, c
    return out


def _unit(v: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(v, axis=-1, keepdims=True)
    return v / np.where(norm > 1e-9, norm, np.nan)


def first_pose(landmarks: dict[str, np.ndarray]) -> Pose:
    """Return a pose read off landmark positions {name: [frame 3]}, complete and finite.

    Each limb's plane gives the roll of its upper segment; where the limb is nearly straight the plane is carried from
    neighbouring frames. Joints that nothing measures stay at their bind rotation relative to the parent. Raises
    ValueError when hips and shoulders are not both among the landmarks.
    """
    missing = [n for n in ("LHip", "RHip", "LShoulder", "RShoulder") if n not in landmarks]
    if missing:
        raise ValueError(f"landmarks {missing} are needed to place the body")
    hip = (landmarks["LHip"] + landmarks["RHip"]) / 2
    shoulder = (landmarks["LShoulder"] + landmarks["RShoulder"]) / 2
    world: dict[str, np.ndarray] = {}
    up = shoulder - hip
    world["Hips"] = frame_from_axes(up, 2, landmarks["LHip"] - landmarks["RHip"], 1)
    chest = frame_from_axes(up, 2, landmarks["LShoulder"] - landmarks["RShoulder"], 1)
    bend = quat_log(matrix_to_quat(world["Hips"].transpose(0, 2, 1) @ chest))
    for n, name in enumerate(("Spine", "Spine1", "Spine2")):
        world[name] = world["Hips"] @ quat_to_matrix(quat_exp(bend * (n + 1) / 3))
    head = _head(landmarks, chest)
    nod = quat_log(matrix_to_quat(chest.transpose(0, 2, 1) @ head))
    world["Neck"], world["Head"] = chest @ quat_to_matrix(quat_exp(nod / 2)), head
    for side in ("Left", "Right"):
        world[f"{side}Shoulder"] = chest
        world |= _arm(landmarks, side, chest) | _leg(landmarks, side, world["Hips"])
    return _pose_of_world(hip, world)


def _head(landmarks: dict[str, np.ndarray], chest: np.ndarray) -> np.ndarray:
    """Return the head's rotation from ears (or eyes) and nose; the chest's where they are not detected."""
    pair = next((p for p in ("Ear", "Eye") if f"L{p}" in landmarks and f"R{p}" in landmarks), None)
    if pair is None or "Nose" not in landmarks:
        return chest
    left, right = landmarks[f"L{pair}"], landmarks[f"R{pair}"]
    forward = landmarks["Nose"] - (left + right) / 2
    # the nose lies below the line of ears and eyes: tilt back by the reference head's angle, 25 degrees from the ears
    head = frame_from_axes(left - right, 1, forward, 0)
    return head if pair == "Eye" else head @ quat_to_matrix(quat_exp(np.array([0.0, np.radians(-6.0), 0.0])))


STRAIGHT = np.sin(np.radians(15.0))
"""Below this bend the plane of a limb is mostly noise."""
BACKWARDS = np.sin(np.radians(35.0))
"""Up to here noise, and a joint beyond straight, make a limb seem to bend against the frames around."""
CARRIED_FRAMES = 61
"""A limb that is nearly straight keeps the plane of the frames around; the more a frame bends, the more it counts."""
SMOOTH_FRAMES = 7
"""Planes are smoothed over so many frames; this only starts the solve, at any frame rate."""


def _bend_axis(upper: np.ndarray, lower: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Return the axis [frame 3] about which `upper` turns into `lower`.

    Where the limb is nearly straight, the frames around in which it bends decide, or the anatomical `fallback` where
    none does, and time smooths the change: elbows and knees hardly bend backwards, so a small bend against these is
    noise or a joint beyond straight, and no reason to turn the limb about itself.
    """
    fallback = _unit(fallback)
    axis = np.cross(_unit(upper), _unit(lower))
    across = np.cross(_unit(upper), fallback)
    # about the upper segment, counted from the fallback, so that turns of the whole limb do not count
    turned = (axis * fallback).sum(-1) + 1j * (axis * across).sum(-1)
    usual = _averaged(np.nan_to_num(turned * np.abs(turned)), CARRIED_FRAMES) + (0.5 * STRAIGHT) ** 2
    usual = usual / np.maximum(np.abs(usual), 1e-9)
    carried = usual.real[:, None] * fallback + usual.imag[:, None] * across
    backwards = ((axis * carried).sum(-1) < 0) & (np.linalg.norm(axis, axis=-1) < BACKWARDS)
    axis = np.where(backwards[:, None], 0.0, axis) + 0.5 * STRAIGHT * carried
    return np.stack([_averaged(axis[:, i], SMOOTH_FRAMES) for i in range(3)], axis=1)


def _averaged(values: np.ndarray, n_frames: int) -> np.ndarray:
    """Return the mean [frame] over an odd number of frames around, weighted by a Hann window."""
    half = n_frames // 2
    kernel = np.hanning(n_frames + 2)[1:-1]
    return np.convolve(np.pad(values, half, mode="edge"), kernel / kernel.sum(), mode="valid")


def _arm(landmarks: dict[str, np.ndarray], side: str, chest: np.ndarray) -> dict[str, np.ndarray]:
    s = 1.0 if side == "Left" else -1.0
    names = [side[0] + n for n in ("Shoulder", "Elbow", "Wrist")]
    if any(n not in landmarks for n in names):
        return {f"{side}{j}": chest for j in ("Arm", "ForeArm", f"ForeArm{ROLL}", "Hand")}
    shoulder, elbow, wrist = (landmarks[n] for n in names)
    # flexion turns about -z on the left, +z on the right (body.JOINTS); a straight arm keeps the roll of the T-pose
    swing = rotation_between(s * chest[..., 1], elbow - shoulder)
    z = -s * _bend_axis(elbow - shoulder, wrist - elbow, quat_rotate(swing, -s * chest[..., 2]))
    upper = frame_from_axes(s * (elbow - shoulder), 1, z, 2)
    lower = frame_from_axes(s * (wrist - elbow), 1, z, 2)
    rolled = lower
    index, thumb, pinky = (landmarks.get(side[0] + n) for n in ("Index", "Thumb", "Pinky"))
    towards = thumb if index is None else index
    if towards is not None:
        across = towards - (wrist if pinky is None else pinky)
        rolled = frame_from_axes(s * (wrist - elbow), 1, across, 0)
    return {f"{side}Arm": upper, f"{side}ForeArm": lower, f"{side}ForeArm{ROLL}": rolled, f"{side}Hand": rolled}


def _leg(landmarks: dict[str, np.ndarray], side: str, pelvis: np.ndarray) -> dict[str, np.ndarray]:
    names = [side[0] + n for n in ("Hip", "Knee", "Ankle")]
    if any(n not in landmarks for n in names):
        return {f"{side}{j}": pelvis for j in ("UpLeg", "Leg", "Foot", "ToeBase")}
    hip, knee, ankle = (landmarks[n] for n in names)
    toe, heel = landmarks.get(side[0] + "BigToe"), landmarks.get(side[0] + "Heel")
    # a straight leg turns with its toes, or with the pelvis where there are none
    sideways = pelvis[..., 1] if toe is None else np.cross(knee - ankle, toe - (ankle if heel is None else heel))
    axis = _bend_axis(knee - hip, ankle - knee, sideways)
    upper = frame_from_axes(hip - knee, 2, axis, 1)
    lower = frame_from_axes(knee - ankle, 2, axis, 1)
    foot = lower
    if toe is not None:
        pitch = 0.0 if heel is not None else np.radians(-20.0)
        forward = toe - (heel if heel is not None else ankle)
        foot = frame_from_axes(forward, 0, lower[..., 1], 1) @ quat_to_matrix(quat_exp(np.array([0.0, pitch, 0.0])))
    return {f"{side}UpLeg": upper, f"{side}Leg": lower, f"{side}Foot": foot, f"{side}ToeBase": foot}


def _pose_of_world(root_m: np.ndarray, world: dict[str, np.ndarray]) -> Pose:
    """Return local rotations of world rotations; frames with NaN take the nearest finite frame's."""
    R = np.stack([world[n] for n in JOINT_NAMES], axis=1)
    finite = np.isfinite(R).all((1, 2, 3)) & np.isfinite(root_m).all(-1)
    if not finite.any():
        raise ValueError("no frame shows hips and shoulders together")
    at = np.flatnonzero(finite)
    nearest = at[np.rint(np.interp(np.arange(len(R)), at, np.arange(len(at)))).astype(int)]
    R, root_m = R[nearest], root_m[nearest]
    local = R.copy()
    for j, p in enumerate(PARENTS):
        if p >= 0:
            local[:, j] = R[:, p].transpose(0, 2, 1) @ R[:, j]
    return Pose(root_m, matrix_to_quat(local))
