"""The exported rig: the body's joints, and the fingers' where there are any."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mocap.core.skeleton import Skeleton
from mocap.solve.body import JOINT_NAMES, LEAF_TIPS_M, RIG_JOINTS, RIG_NAMES, RIG_PARENTS
from mocap.solve.hand import tips_of, turning_joints
from mocap.solve.shape import Shape


def skeleton_of(shape: Shape, hands: Sequence[Shape] = ()) -> Skeleton:
    """Return the studio rig with a performer's proportions, in T-pose with its soles at about z = 0.

    With hands their fingers follow the body's joints.
    """
    offsets = shape.offsets_m()
    legs = [JOINT_NAMES.index(n) for n in ("LeftLeg", "LeftFoot", "LeftToeBase")]
    offsets[0] = [0.0, 0.0, -offsets[legs, 2].sum()]
    tips = np.full(offsets.shape, np.nan)
    for name, tip in LEAF_TIPS_M.items():
        tips[JOINT_NAMES.index(name)] = np.array(tip) * shape.scale
    rig = list(RIG_JOINTS)
    names, parents = RIG_NAMES, RIG_PARENTS
    of_joint, of_tip = [offsets[rig]], [tips[rig]]
    for hand in hands:
        anatomy, own_m = hand.anatomy, hand.offsets_m()
        of_tip[0][names.index(anatomy.names[0])] = np.nan
        joints = turning_joints(anatomy)
        names += tuple(anatomy.names[j] for j in joints)
        parents += tuple(names.index(anatomy.joints[j].parent) for j in joints)
        of_joint.append(own_m[joints])
        of_tip.append(
            np.stack([own_m[end] if (end := tips_of(anatomy).get(j)) else np.full(3, np.nan) for j in joints])
        )
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (len(names), 1))
    return Skeleton("studio", names, parents, np.concatenate(of_joint), identity, np.concatenate(of_tip))
