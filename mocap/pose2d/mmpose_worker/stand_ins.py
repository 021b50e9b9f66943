"""Stand-ins for packages that MMPose imports but that top-down keypoint models never call.

MMPose 1.3.2 imports `mmcv.ops` (EDPose's head), `mmdet.utils` (RTMO's head) and `torchvision` (a visualiser) as soon as
it is imported itself. `mmcv-lite` comes without compiled operators, and the other two are not installed, so that the
environment needs neither a compiler nor gigabytes more. Calling a stand-in fails with its name.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any


class _Absent(ModuleType):
    """A module whose every function exists and fails when called."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)
        self.__path__ = []
        self._why = why

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def fail(*_arguments: Any, **_options: Any) -> None:
            raise RuntimeError(f"{self.__name__}.{name} is needed by this model but {self._why}")

        return fail


def averaged_over_processes(tensor: Any) -> Any:
    """Return a tensor's mean over all processes of a training run; there is only one here."""
    return tensor


def install() -> None:
    """Put stand-ins in place of what is not installed. Call before the first import of mmpose."""
    if importlib.util.find_spec("mmcv._ext") is None:
        sys.modules["mmcv._ext"] = _Absent("mmcv._ext", "mmcv-lite has no compiled operators")
    if importlib.util.find_spec("mmdet") is None:
        config = importlib.import_module("mmengine.config")
        mmdet = _Absent("mmdet", "MMDetection is not installed")
        utils = _Absent("mmdet.utils", "MMDetection is not installed")
        vars(utils).update(ConfigType=config.ConfigDict | dict, reduce_mean=averaged_over_processes)
        vars(mmdet)["utils"] = utils
        sys.modules.update({"mmdet": mmdet, "mmdet.utils": utils})
    if importlib.util.find_spec("torchvision") is None:
        vision = _Absent("torchvision", "torchvision is not installed")
        transforms = _Absent("torchvision.transforms", "torchvision is not installed")
        vars(vision)["transforms"] = transforms
        sys.modules.update({"torchvision": vision, "torchvision.transforms": transforms})
