"""Models by name: what `--model NAME` and a take's setting `model` mean.

auto        RTMPose when its weights are on this machine, else BlazePose
rtmpose     the best RTMPose whose weights are here
blazepose   the embedded fallback
<card>      any model of `mocap models list`
mmpose:CONFIG[,CHECKPOINT]   MMPose itself, a file or the name of one of its configurations
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from mocap.core.errors import InputError, SetupError
from mocap.core.progress import Progress
from mocap.pose2d.cards import card_names, load_card
from mocap.pose2d.estimator import ModelIdentity, PoseEstimator
from mocap.pose2d.following import People
from mocap.pose2d.quality import QUALITIES, STANDARD
from mocap.pose2d.weights import is_here, known_sha256, weights_file

AUTO = "auto"
POSE_KINDS = ("halpe26", "body17")
"""Feet matter more than size."""
DETECTOR_ORDER = ("yolox-m", "yolox-tiny", "yolox-nano", "rtmdet-nano")
STANDARD_POSE, STANDARD_DETECTOR = "rtmpose-m-halpe26", "yolox-tiny"


def pose_model_names() -> tuple[str, ...]:
    """Return every name of a keypoint model."""
    return tuple(n for n in card_names() if load_card(n)["task"] != "detector")


def resolve(name: str, quality: str = STANDARD) -> str:
    """Return the model that a name means on this machine and at a quality: a card's name, or `mmpose:...`.

    Raises: InputError model-unknown; SetupError model-missing when `rtmpose` is asked for and no weights are here.
    """
    if name == "rtmpose" or name == AUTO:
        order = [f"rtmpose-{size}-{kind}" for kind in POSE_KINDS for size in QUALITIES[quality].sizes]
        here = [n for n in order if is_here(n)]
        if here and any(is_here(d) for d in DETECTOR_ORDER):
            return here[0]
        return "blazepose" if name == AUTO else STANDARD_POSE
    if name in pose_model_names() or name.startswith("mmpose:"):
        return name
    choices = ", ".join([AUTO, "rtmpose", *pose_model_names(), "mmpose:CONFIG,CHECKPOINT"])
    raise InputError("model-unknown", f"There is no model {name!r}.", f"Choose one of: {choices}.")


def make_estimator(
    name: str,
    progress: Progress,
    *,
    device: str = "auto",
    detector: str | None = None,
    flip_test: bool = False,
    quality: str = STANDARD,
) -> PoseEstimator:
    """Return a model by name, loaded.

    Args:
        name: see the module.
        progress: told of what is fetched.
        device: `auto`, `cpu`, `cuda`, `directml` or `coreml`; BlazePose has the processor only.
        detector: name of the person detector; the best that is here by default.
        flip_test: look at mirrored crops too; a quality may ask for it. One-stage models have none.
        quality: a name of `QUALITIES`.

    Raises: InputError model-unknown, device-unknown; SetupError model-missing, model-damaged, gpu-absent and as the
    model itself.
    """
    from mocap.pose2d.onnx_model import check_device_name, choose_device

    asked, name = name, resolve(name, quality)
    flip_test = flip_test or QUALITIES[quality].flip_test
    check_device_name(device)
    if name == "blazepose":
        from mocap.pose2d.blazepose import BlazePose

        if device not in ("auto", "cpu"):
            raise _needs_rtmpose(device, is_chosen=asked == AUTO)
        return BlazePose(progress, flip_test=flip_test)
    if name.startswith("mmpose:"):
        return _mmpose(name.removeprefix("mmpose:"), device, detector, flip_test)
    choose_device(device)  # what is wrong with it is said before what the model lacks
    card, weights = load_card(name), weights_file(name)
    if card["task"] == "one-stage":
        from mocap.pose2d.rtmo import Rtmo

        return Rtmo(card, weights, device=device)
    from mocap.pose2d.rtmpose import RtmPose

    people, sha256 = _detector(detector, device)
    return RtmPose(card, weights, people, sha256, device=device, flip_test=flip_test)


def _needs_rtmpose(device: str, is_chosen: bool) -> SetupError:
    """Return what is said when BlazePose is to run on a GPU; `is_chosen` where `auto` fell back to it."""
    why = "The weights of RTMPose or of its person detector are not on this machine, and " if is_chosen else ""
    return SetupError(
        "gpu-absent",
        f"{why}BlazePose runs on the processor only, not on {device}.",
        "A GPU needs RTMPose's weights: `mocap models pull rtmpose`. Or leave out --device.",
    )


def identity_text(name: str, quality: str = STANDARD) -> str:
    """Return what makes a model's detections reproducible, without loading it or needing its weights."""
    name = resolve(name, quality)
    method = f"method {ModelIdentity.method}"
    if name == "blazepose":
        flip = " flip" if QUALITIES[quality].flip_test else ""
        return f"{load_card(name)} litert {metadata.version('ai-edge-litert')} {method}{flip}"
    detector = next((d for d in DETECTOR_ORDER if is_here(d)), "none")
    runtime = f"onnxruntime {metadata.version('onnxruntime')}"
    people = f"{detector} {known_sha256(detector) if detector != 'none' else ''}"
    if name.startswith("mmpose:"):
        from mocap.pose2d.mmpose_env import mmpose_env

        files = [Path(part).expanduser() for part in name.removeprefix("mmpose:").split(",")]
        stamps = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
        return f"{name} {stamps} {mmpose_env().folder.name} {people} {runtime} {method}"
    return f"{load_card(name)} {known_sha256(name)} {people} {runtime} {method}"


def _detector(name: str | None, device: str) -> tuple[People, str]:
    from mocap.pose2d.detectors import PersonDetector
    from mocap.pose2d.onnx_model import choose_device

    if name is None:
        name = next((d for d in DETECTOR_ORDER if is_here(d)), STANDARD_DETECTOR)
    elif name not in DETECTOR_ORDER:
        raise InputError(
            "model-unknown", f"There is no person detector {name!r}.", f"Choose one of: {', '.join(DETECTOR_ORDER)}."
        )
    return PersonDetector(weights_file(name), load_card(name), choose_device(device)), known_sha256(name)


def _mmpose(text: str, device: str, detector: str | None, flip_test: bool) -> PoseEstimator:
    from mocap.pose2d.mmpose_estimator import Mmpose, MmposeWorker

    config, _, checkpoint = text.partition(",")
    people, sha256 = _detector(detector, "cpu" if device == "auto" else device)
    worker = MmposeWorker(config, checkpoint or None, device="cpu" if device == "auto" else device, flip_test=flip_test)
    return Mmpose(worker, people, sha256, checkpoint or None, flip_test=flip_test)
