"""Target rigs (data) and the transfer of motion to them."""

from mocap.retarget.rig import TargetRig, target_names, target_rig
from mocap.retarget.transfer import retarget

__all__ = ["TargetRig", "retarget", "target_names", "target_rig"]
