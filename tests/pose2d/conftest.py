"""Small ONNX models made on the spot: they answer fixed or picture-dependent values with the outputs of real ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


def _save(file: Path, nodes: list, inputs: dict, outputs: dict, constants: dict[str, np.ndarray]) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        kinds = {"f": TensorProto.FLOAT, "i": TensorProto.INT64}
        graph = helper.make_graph(
            nodes,
            "small",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, kinds[k], s) for n, (k, s) in outputs.items()],
            [numpy_helper.from_array(v, n) for n, v in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        file.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(file))
    return file


@pytest.fixture
def simcc_model() -> Callable[[Path, int], Path]:
    """Return a maker of models whose every keypoint lies in the brightest column and row of the crop's red channel."""

    def make(file: Path, n_points: int, size: tuple[int, int] = (192, 256)) -> Path:
        from onnx import helper

        width, height = size
        red = np.zeros((n_points, 3, 1, 1), np.float32)
        red[:, 0] = 0.6
        nodes = [
            helper.make_node("Conv", ["input", "red"], ["map"], kernel_shape=[1, 1]),
            helper.make_node("ReduceMax", ["map"], ["columns"], axes=[2], keepdims=0),
            helper.make_node("ReduceMax", ["map"], ["rows"], axes=[3], keepdims=0),
            helper.make_node("MatMul", ["columns", "double_x"], ["simcc_x"]),
            helper.make_node("MatMul", ["rows", "double_y"], ["simcc_y"]),
        ]
        return _save(
            file,
            nodes,
            {"input": ["batch", 3, height, width]},
            {"simcc_x": ("f", ["batch", n_points, 2 * width]), "simcc_y": ("f", ["batch", n_points, 2 * height])},
            {"red": red, "double_x": _doubling(width), "double_y": _doubling(height)},
        )

    return make


def _doubling(n: int) -> np.ndarray:
    """[n 2n]: bin 2i is pixel i, and the bins between are less."""
    out = np.zeros((n, 2 * n), np.float32)
    out[np.arange(n), 2 * np.arange(n)] = 1.0
    out[np.arange(n), 2 * np.arange(n) + 1] = 0.5
    return out


@pytest.fixture
def fixed_model() -> Callable[[Path, dict[str, np.ndarray]], Path]:
    """Return a maker of models that answer the same values to every picture."""

    def make(file: Path, answers: dict[str, np.ndarray]) -> Path:
        from onnx import helper

        nodes = [helper.make_node("Identity", [f"{n}_value"], [n]) for n in answers]
        # Something must read the input for the file to be a valid model of pictures.
        nodes.append(helper.make_node("Identity", ["input"], ["unused"]))
        outputs = {n: ("i" if v.dtype == np.int64 else "f", list(v.shape)) for n, v in answers.items()}
        shape = ["batch", 3, "height", "width"]
        outputs["unused"] = ("f", shape)
        return _save(file, nodes, {"input": shape}, outputs, {f"{n}_value": v for n, v in answers.items()})

    return make


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache that the program uses."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MOCAP_CACHE", str(folder))
    return folder
