"""Transfer of motion between rigs by joint name and bind pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mocap.core.errors import InputError
from mocap.core.skeleton import Motion, Skeleton
from mocap.kernels.kinematics import forward_kinematics
from mocap.kernels.rotations import (
    matrix_to_quat,
    quat_conjugate,
    quat_continuous,
    quat_multiply,
    quat_slerp,
)
from mocap.retarget.rig import TargetRig, bind_pose, target_rig

_MIN_LENGTH_M = 1e-4


def retarget(motion: Motion, target: str, keep_target_proportions: bool = False) -> Motion:
    """Return the motion on another rig, in the world.

    Each mapped joint turns away from its own bind pose by as much as the studio joint that drives it has turned away
    from the studio's: R_target = (R_source R_source_bind^T) R_target_bind, in the world, so no twist is added and
    bone axes stay the target's. Where the target cuts a chain into other bones (spines), each takes the mean turn of
    the stretch of the performer's chain that it lies along, so what follows stays where the performer's is. Joints that
    nothing drives, such as fingers where the motion has none, keep their bind rotation relative to their parent.

    By default the target takes the performer's proportions: driven joints sit where the performer's do in the bind
    pose. With `keep_target_proportions` the target's own stay, and the root's path is scaled by the ratio of the leg
    lengths, heights measured from the floor z = 0, so that feet meet it where the performer's do.

    Raises InputError `rig-unknown`, or `rig-mismatch` when the motion lacks joints that the target needs.
    """
    source = motion.skeleton
    rig = target_rig(target).driven_by(source)
    wanted = {name for name in rig.studio_joints if name}.union(*rig.chains)
    missing = sorted(wanted - set(source.joint_names))
    if missing:
        raise InputError(
            "rig-mismatch",
            f"The motion's rig {source.name!r} has no joint {', '.join(missing)}, which rig {target!r} follows.",
            "Retarget a motion on the studio's own rig.",
        )
    skeleton = rig.skeleton if keep_target_proportions else _with_proportions(rig, source)
    turn = _turns(rig, motion)
    R_bind = bind_pose(skeleton)[0]
    world = quat_multiply(turn, matrix_to_quat(R_bind))
    local = world.copy()
    for j, p in enumerate(skeleton.parents):
        if p >= 0:
            local[:, j] = quat_multiply(quat_conjugate(world[:, p]), world[:, j])
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    root = _root_path(rig, skeleton, motion, local, keep_target_proportions)
    return Motion(skeleton, motion.timeline, root, quat_continuous(local))


def _turns(rig: TargetRig, motion: Motion) -> np.ndarray:
    """Return how far each target joint has turned away from its bind pose, in the world [frame joint 4]."""
    R_bind = bind_pose(motion.skeleton)[0]
    m = motion
    R_world = forward_kinematics(m.skeleton.parents, m.skeleton.offset_m, m.root_translation_m, m.local_wxyz)[0]
    source = quat_continuous(matrix_to_quat(R_world @ R_bind.transpose(0, 2, 1)))
    turn = np.zeros((len(source), len(rig.skeleton), 4))
    turn[..., 0] = 1.0
    chained = _along_chains(rig, m.skeleton)
    for j, p in enumerate(rig.skeleton.parents):
        along = chained.get(j)
        if along is not None:
            turn[:, j] = _mean_turn(source, along)
        elif name := rig.studio_joints[j]:
            turn[:, j] = source[:, m.skeleton.index(name)]
        elif p >= 0:
            turn[:, j] = turn[:, p]
    return turn


def _along_chains(rig: TargetRig, source: Skeleton) -> dict[int, dict[int, float]]:
    """Return for each target joint of a chain the studio joints whose bones it lies along, and the part of each.

    Places along both chains are fractions of their length. The last bone turns wholly with the last studio joint:
    the shoulders hang on it.
    """
    own, performer = bind_pose(rig.skeleton)[1], bind_pose(source)[1]
    found: dict[int, dict[int, float]] = {}
    for (first, end), joints in rig.chains.items():
        path = [source.index(end)]
        while path[0] != source.index(first):
            path.insert(0, source.parents[path[0]])
        after = next(j for j, p in enumerate(rig.skeleton.parents) if p == joints[-1] and rig.places[j] == end)
        theirs, ours = _fractions(own[[*joints, after]]), _fractions(performer[path])
        for n, j in enumerate(joints):
            shared = np.minimum(theirs[n + 1], ours[1:]) - np.maximum(theirs[n], ours[:-1])
            part = shared / (theirs[n + 1] - theirs[n])
            found[j] = {path[i]: float(part[i]) for i in np.flatnonzero(part > 0)}
        found[joints[-1]] = {path[-2]: 1.0}
    return found


def _fractions(chain: np.ndarray) -> np.ndarray:
    """Return how far along a chain [n 3] each point is, from 0 to 1."""
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(chain, axis=0), axis=-1))])
    return way / way[-1]


def _mean_turn(turns: np.ndarray, parts: Mapping[int, float]) -> np.ndarray:
    """Return the weighted mean [frame 4] of neighbouring joints' turns [frame joint 4]."""
    total, mean = 0.0, np.empty(0)
    for j, part in parts.items():
        total += part
        mean = turns[:, j] if total == part else quat_slerp(mean, turns[:, j], np.full(len(turns), part / total))
    return mean


def _with_proportions(rig: TargetRig, source: Skeleton) -> Skeleton:
    """Return the target's skeleton with its joints where the performer's are in the bind pose.

    A joint whose `place` names a studio joint sits there. Chains between placed joints are stretched along: each
    joint in between keeps its share of the way. What hangs on the last placed joint (fingers) is scaled by that
    bone's growth.
    """
    R_bind, own = bind_pose(rig.skeleton)
    performer = bind_pose(source)[1]
    parents, n = rig.skeleton.parents, len(rig.skeleton)
    place = np.full((n, 3), np.nan)
    for j, name in enumerate(rig.places):
        if name:
            place[j] = performer[source.index(name)]
    _fill_chains(place, own, parents)
    if np.isnan(place[0]).any():
        # A root on the ground below the hips, whatever height the performer's bind pose was written at.
        place[0] = performer[0] - [0.0, 0.0, _leg_height(source, 0)]
    growth = np.ones(n)
    for j, p in enumerate(parents):
        if p < 0:
            continue
        length = float(np.linalg.norm(own[j] - own[p]))
        if np.isfinite(place[j]).all():
            is_long = length > _MIN_LENGTH_M and p > 0
            growth[j] = float(np.linalg.norm(place[j] - place[p])) / length if is_long else 1.0
        else:
            growth[j] = growth[p]
            place[j] = place[p] + growth[p] * (own[j] - own[p])
    offset = place.copy()
    for j, p in enumerate(parents):
        if p >= 0:
            offset[j] = R_bind[p].T @ (place[j] - place[p])
    return replace(rig.skeleton, offset_m=offset, tip_m=_tips(rig, source, growth, R_bind))


def _tips(rig: TargetRig, source: Skeleton, growth: np.ndarray, R_bind: np.ndarray) -> np.ndarray:
    """Return where leaf bones end [joint 3]: as long as the performer's where known (head, toes), else grown.

    Those of fingers are the performer's own, as the joints before them are.
    """
    tip = rig.skeleton.tip_m * growth[:, None]
    for j, name in enumerate(rig.studio_joints):
        own = source.tip_m[source.index(name)] if name else np.full(3, np.nan)
        if name and name == rig.fingers[j] and np.isfinite(own).all():
            tip[j] = R_bind[j].T @ own
        elif np.isfinite(tip[j]).all() and np.isfinite(own).all():
            tip[j] *= np.linalg.norm(own) / np.linalg.norm(tip[j])
    return tip


def _fill_chains(place: np.ndarray, own: np.ndarray, parents: tuple[int, ...]) -> None:
    """Place the joints between two placed ones, in place: along the way by their share of the chain's own length."""
    for end in range(len(parents)):
        if not np.isfinite(place[end]).all():
            continue
        chain, j = [end], parents[end]
        while j >= 0 and not np.isfinite(place[j]).all():
            chain.append(j)
            j = parents[j]
        if j < 0 or len(chain) == 1:
            continue
        chain = [j, *reversed(chain)]
        steps = np.linalg.norm(np.diff(own[chain], axis=0), axis=-1)
        part = np.cumsum(steps) / steps.sum()
        for u, k in zip(part[:-1], chain[1:-1], strict=True):
            place[k] = (1.0 - u) * place[j] + u * place[end]


def _root_path(rig: TargetRig, skeleton: Skeleton, motion: Motion, local: np.ndarray, is_scaled: bool) -> np.ndarray:
    """Return the root's path [frame 3] that puts the joint driven by the studio's hips where it belongs."""
    hips = rig.studio_joints.index(motion.skeleton.joint_names[0])
    wanted = motion.root_translation_m
    if is_scaled:
        wanted = wanted * (_leg_height(rig.skeleton, hips) / _leg_height(motion.skeleton, 0))
    at_origin = forward_kinematics(skeleton.parents, skeleton.offset_m, np.zeros_like(wanted), local)[1]
    return wanted - at_origin[:, hips]


def _leg_height(skeleton: Skeleton, hips: int) -> float:
    """Return how high the hips stand over the lowest joint or tip of the bind pose."""
    R, place = bind_pose(skeleton)
    leaf = np.isfinite(skeleton.tip_m).all(-1)
    tips = place[leaf] + np.einsum("jab,jb->ja", R[leaf], skeleton.tip_m[leaf])
    return float(place[hips, 2] - min(place[:, 2].min(), tips[:, 2].min()))
