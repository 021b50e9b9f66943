"""Write an RTMPose configuration's network as ONNX, as OpenMMLab's own exports are, plus a checkpoint of its weights.

Runs in MMPose's environment (made by `mocap models setup-mmpose`):

    PYTHON=~/.cache/mocap-studio/mmpose/py311-*/bin/python
    $PYTHON scripts/export_rtmpose_onnx.py rtmpose-m_8xb512-700e_body8-halpe26-256x192 OUT [--checkpoint FILE.pth]

Without a checkpoint the weights are random, drawn so that activations keep their size through the network: enough to
compare two runtimes or to time one, without any trained weights. Writes OUT/<configuration>.onnx and .pth.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

WORKER = Path(__file__).resolve().parents[1] / "mocap" / "pose2d" / "mmpose_worker"


def main() -> int:
    """Export what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", help="file, or name of a configuration that MMPose brings along")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--checkpoint", help="trained weights; random ones without it")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.path.insert(0, str(WORKER))
    importlib.import_module("stand_ins").install()
    apis: Any = importlib.import_module("mmpose.apis")
    torch: Any = importlib.import_module("torch")
    config = importlib.import_module("worker").find_config(args.config)
    if config is None:
        raise SystemExit(f"{args.config}: neither a file nor the name of a configuration of MMPose")
    torch.manual_seed(args.seed)
    model = apis.init_model(str(config), args.checkpoint, device="cpu")
    if args.checkpoint is None:
        randomise(model, torch)
    args.out.mkdir(parents=True, exist_ok=True)
    stem = args.out / Path(config).stem
    meta = {"dataset_meta": model.dataset_meta}
    torch.save({"state_dict": model.state_dict(), "meta": meta}, stem.with_suffix(".pth"))
    export(model, torch, stem.with_suffix(".onnx"))
    print(stem.with_suffix(".onnx"))
    return 0


def randomise(model: Any, torch: Any) -> None:
    """Draw weights so that what leaves each layer is about as large as what came in, and differs with the picture."""
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.normal_(module.bias, std=0.05)
        elif isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight, 1.0, 0.1)
            torch.nn.init.normal_(module.bias, 0.0, 0.1)
    # Statistics of noise stand in for those of training pictures: without them activations grow without bound.
    model.train()
    codec = model.cfg.codec["input_size"]
    with torch.no_grad():
        for _ in range(4):
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.momentum = 0.5
            model._forward(noise_pictures(torch, codec))
        model.eval()
        # Trained models answer with peaks of about 1.
        for layer, bins in zip(
            (model.head.cls_x, model.head.cls_y), model._forward(noise_pictures(torch, codec)), strict=True
        ):
            layer.weight /= bins.amax(-1).mean()


def noise_pictures(torch: Any, size: tuple[int, int]) -> Any:
    """Return four normalised pictures of smooth noise, [4 3 height width]."""
    return torch.nn.functional.interpolate(torch.randn(4, 3, 16, 12), size[::-1], mode="bicubic")


def export(model: Any, torch: Any, file: Path) -> None:
    """Write the network alone: normalised RGB in, the two SimCC distributions out, any number of crops at a time."""
    width, height = model.cfg.codec["input_size"]
    names = ["simcc_x", "simcc_y"]

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: Any) -> Any:
            return self.model._forward(inputs)

    # The only step that needs the package onnx adds functions of custom operators, and there are none.
    steps: Any = importlib.import_module("torch.onnx._internal.torchscript_exporter.onnx_proto_utils")
    steps._add_onnxscript_fn = lambda model_bytes, _custom_opsets: model_bytes
    torch.onnx.export(
        Network().eval(),
        torch.zeros(1, 3, height, width),
        str(file),
        input_names=["input"],
        output_names=names,
        dynamic_axes={name: {0: "batch"} for name in ["input", *names]},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    sys.exit(main())
