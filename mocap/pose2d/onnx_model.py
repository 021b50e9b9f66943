"""One ONNX model in onnxruntime, on the processor or a graphics card, checked against what its card says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mocap.core.errors import InputError, SetupError
from mocap.core.keypoints import load_keypoint_set

DEVICES: dict[str, tuple[str, str]] = {
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime"),
}
"""onnxruntime's name of each kind of accelerator, and the package that has it."""
DEVICE_NAMES = ("auto", "cpu", *DEVICES)


def check_device_name(wanted: str) -> None:
    """Raise InputError device-unknown where there is no kind of device of that name, here or elsewhere."""
    if wanted not in DEVICE_NAMES:
        raise InputError("device-unknown", f"There is no device {wanted!r}.", f"Use one of: {', '.join(DEVICE_NAMES)}.")


def choose_device(wanted: str) -> str:
    """Return the device to compute on: `auto` takes CUDA, else DirectML, else the processor.

    CoreML is used only when asked for: it does not run every operator of these models.

    Raises: InputError device-unknown; SetupError gpu-absent when a device is asked for that is not there.
    """
    import onnxruntime

    check_device_name(wanted)
    there = {name for name, (provider, _) in DEVICES.items() if provider in onnxruntime.get_available_providers()}
    if wanted == "auto":
        return next((name for name in ("cuda", "directml") if name in there), "cpu")
    if wanted != "cpu" and wanted not in there:
        raise _no_gpu(wanted, f"onnxruntime {onnxruntime.__version__} offers: {', '.join(['cpu', *sorted(there)])}")
    return wanted


def expected_outputs(card: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the outputs that a card's model must have, in order, each with its size without the batch axis."""
    if card["decoding"] != "simcc":
        return {name: tuple(size) for name, size in card["outputs"].items()}
    n_points = len(load_keypoint_set(card["keypoint_set"]))
    bins = [round(n * card["simcc_split_ratio"]) for n in card["input_size_px"]]
    return {name: (n_points, n) for name, n in zip(card["outputs"], bins, strict=True)}


def _no_gpu(device: str, why: str) -> SetupError:
    package = DEVICES[device][1]
    other = f"install the driver and `{package}` in place of onnxruntime"
    if package == "onnxruntime":
        other = "run on a Mac, whose onnxruntime has it"
    return SetupError(
        "gpu-absent",
        f"The device {device} was asked for and cannot be used; {why}.",
        f"Leave out --device, or {other}.",
    )


class OnnxModel:
    """A loaded model. Calling it is safe from several threads at once."""

    def __init__(
        self, file: Path, expected: Mapping[str, Sequence[int]], device: str = "cpu", threads: int = 1
    ) -> None:
        """Load a model.

        Args:
            file: the weights.
            expected: the model's outputs in the order to return them, each with its size without the batch axis;
                -1 for any size.
            device: as `choose_device` returns it.
            threads: processor threads for one call; calls from several threads add up.

        Raises: SetupError model-unreadable, model-outputs-differ, gpu-absent.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin while they wait would take the processor from decoding and from the other cameras.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"] if device == "cpu" else [DEVICES[device][0], "CPUExecutionProvider"]
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        except Exception as error:  # onnxruntime's errors have no common class
            raise SetupError(
                "model-unreadable",
                f"{file}: onnxruntime cannot load this model: {str(error).splitlines()[0][:300]}",
                "Get the weights again: `mocap models pull NAME`, or `mocap models import FILE`.",
            ) from error
        if device != "cpu" and DEVICES[device][0] not in self._session.get_providers():
            raise _no_gpu(device, "onnxruntime could not start it")
        self._input = self._session.get_inputs()[0].name
        self._outputs = list(expected)
        self._check(file, expected)

    @property
    def max_batch(self) -> int | None:
        """Size of the batch axis if the file fixes it."""
        size = self._session.get_inputs()[0].shape[0]
        return size if isinstance(size, int) else None

    def __call__(self, blob: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for an input [batch channel height width] float32."""
        # One run per call; the list of what onnxruntime may return includes sparse tensors, which these models lack.
        outputs: list[Any] = list(self._session.run(self._outputs, {self._input: blob}))
        return outputs

    def _check(self, file: Path, expected: Mapping[str, Sequence[int]]) -> None:
        got = {o.name: o.shape for o in self._session.get_outputs()}
        wrong = [name for name, size in expected.items() if not _fits(got.get(name), size)]
        if wrong:
            raise SetupError(
                "model-outputs-differ",
                f"{file}: this is not the model that its card describes: expected outputs {_listed(expected)} (without "
                f"the batch axis), got {_listed({n: s[1:] for n, s in got.items()})}.",
                "Import the file under the card that fits it; `mocap models list` shows them.",
            )


def _fits(shape: Sequence[Any] | None, size: Sequence[int]) -> bool:
    """Return whether an output's shape, whose free axes are names, can be [batch, *size]."""
    if shape is None or len(shape) != len(size) + 1:
        return False
    pairs = zip(shape[1:], size, strict=True)
    return all(want == -1 or not isinstance(got, int) or got == want for got, want in pairs)


def _listed(outputs: Mapping[str, Sequence[Any]]) -> str:
    def shown(size: Sequence[Any]) -> str:
        return "[" + " ".join(str(n) if isinstance(n, int) and n >= 0 else "?" for n in size) + "]"

    return ", ".join(f"{name} {shown(size)}" for name, size in outputs.items())
