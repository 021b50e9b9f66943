"""MMPose as a process: pictures come over shared memory, messages as lines of JSON over standard input and output.

Run with the interpreter of MMPose's environment (`python -I worker.py`). Every request has one answer; an answer with
`error` says what went wrong. It ends when its input ends, so it never outlives the program that started it.

    {"op": "open", "config", "checkpoint", "device", "flip_test"} -> {"meta": {...}, "versions": {...}, "config": path}
    {"op": "memory", "name", "size"}                              -> {}
    {"op": "keypoints", "offset", "shape", "boxes": [[x0 y0 x1 y1]]} -> {"xy": [...], "score": [...]}
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import json
import os
import sys
import traceback
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).parent))
PACKAGES = ("mmpose", "mmengine", "mmcv-lite", "torch", "numpy", "opencv-python")


def main() -> int:
    """Answer requests until there are no more."""
    # Libraries print as they like; only answers may go to the real standard output.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    if "--check" in sys.argv:
        _import_mmpose()
        _say(answers, _versions())
        return 0
    worker = _Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = worker.answer(request)
        except Exception as error:  # noqa: BLE001 - the boundary of a process: whatever MMPose raises is told
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        _say(answers, answer)
    return 0


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        answers.write(json.dumps(message) + "\n")
        answers.flush()


def _import_mmpose() -> Any:
    importlib.import_module("stand_ins").install()
    return importlib.import_module("mmpose.apis")


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


class _Worker:
    def __init__(self) -> None:
        self._model: Any = None
        self._memory: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what one request asks."""
        if request["op"] == "open":
            return self._open(request)
        if request["op"] == "memory":
            return self._attach(request["name"], request["size"])
        return self._keypoints(request)

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        apis = _import_mmpose()
        torch = importlib.import_module("torch")
        if request.get("threads"):
            torch.set_num_threads(request["threads"])
        allow_plain_data(torch)
        config = find_config(request["config"])
        if config is None:
            return {"error": "no-config", "near": near_configs(request["config"])}
        if request["device"] != "cpu" and not torch.cuda.is_available():
            return {"error": "no-gpu"}
        options = {"model": {"test_cfg": {"flip_test": bool(request["flip_test"])}}}
        self._model = apis.init_model(str(config), request["checkpoint"], device=request["device"], cfg_options=options)
        meta = self._model.dataset_meta
        return {"meta": _plain(meta), "versions": _versions(), "config": str(config)}

    def _attach(self, name: str, size: int) -> dict[str, Any]:
        shared_memory = importlib.import_module("multiprocessing.shared_memory")
        tracker = importlib.import_module("multiprocessing.resource_tracker")
        if self._memory is not None:
            self._memory.close()
        self._memory = shared_memory.SharedMemory(name)
        # The block belongs to the other process; Python 3.11 would remove it when this one ends (bpo-39959).
        with contextlib.suppress(Exception):
            tracker.unregister(self._memory._name, "shared_memory")
        return {"size": min(size, self._memory.size)}

    def _keypoints(self, request: dict[str, Any]) -> dict[str, Any]:
        numpy = importlib.import_module("numpy")
        apis = importlib.import_module("mmpose.apis")
        picture = numpy.ndarray(tuple(request["shape"]), numpy.uint8, buffer=self._memory.buf, offset=request["offset"])
        boxes = numpy.asarray(request["boxes"], numpy.float32).reshape(-1, 4)
        # MMPose reads BGR, as OpenCV gives pictures.
        bgr = numpy.ascontiguousarray(picture[:, :, ::-1])
        found = [sample.pred_instances for sample in apis.inference_topdown(self._model, bgr, boxes)]
        return {
            "xy": [numpy.asarray(f.keypoints)[0].tolist() for f in found],
            "score": [numpy.asarray(f.keypoint_scores)[0].tolist() for f in found],
        }


def allow_plain_data(torch: Any) -> None:
    """Let checkpoints hold arrays and training logs beside weights; PyTorch still refuses any that would run code."""
    numpy = importlib.import_module("numpy")
    core = importlib.import_module("numpy.core.multiarray")
    logs = importlib.import_module("mmengine.logging.history_buffer")
    kinds = [kind for name, kind in vars(numpy.dtypes).items() if name.endswith("DType")]
    plain = [core._reconstruct, core.scalar, numpy.ndarray, numpy.dtype, logs.HistoryBuffer, *kinds]
    torch.serialization.add_safe_globals(plain)


def find_config(name: str) -> Path | None:
    """Return a configuration file: a path, or the name of one that MMPose brings along; None where there is none."""
    given = Path(name).expanduser()
    if given.is_file():
        return given
    found = sorted(p for p in _configs() if p.stem == (given.stem if given.suffix == ".py" else given.name))
    return found[0] if found else None


def near_configs(name: str) -> list[str]:
    """Return names of configurations that look like one that is not there, the nearest first."""
    return difflib.get_close_matches(Path(name).name.removesuffix(".py"), [p.stem for p in _configs()], 3, 0.5)


def _configs() -> list[Path]:
    """Return the configurations of models that MMPose brings along."""
    root = Path(importlib.import_module("mmpose").__file__ or "").parent / ".mim" / "configs"
    return [p for p in root.rglob("*.py") if "_base_" not in p.parts]


def _plain(meta: dict[str, Any]) -> dict[str, Any]:
    """Return what the program needs to know of a model's keypoints, as JSON can say it."""
    names = [meta["keypoint_id2name"][k] for k in range(int(meta["num_keypoints"]))]
    return {
        "dataset": str(meta.get("dataset_name", "custom")),
        "names": names,
        "mirror": [int(k) for k in meta["flip_indices"]],
        "bones": [[int(a), int(b)] for a, b in meta.get("skeleton_links", [])],
    }


if __name__ == "__main__":
    sys.exit(main())
