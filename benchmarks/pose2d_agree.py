"""How far `rtmpose` (onnxruntime, our own pre- and post-processing) and MMPose itself are apart on real person crops.

    python benchmarks/pose2d_agree.py FOLDER [--crops 50]

Needs MMPose's environment (`mocap models setup-mmpose`) and the sample footage. RTMPose t, m and m-Halpe26 get random
weights and are exported into FOLDER (kept there) by scripts/export_rtmpose_onnx.py. Exit status 1 when keypoints whose
two highest bins differ by more than 1e-4 are more than 0.05 px apart, or scores more than 1e-3.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

from mocap.media.decode import frames
from mocap.pose2d.cards import load_card
from mocap.pose2d.detectors import PersonDetector
from mocap.pose2d.mmpose_env import ready_env
from mocap.pose2d.mmpose_estimator import MmposeWorker
from mocap.pose2d.rtmpose import RtmPose
from mocap.pose2d.simcc import mirrored_back
from mocap.pose2d.topdown_crop import cut, window_from_box

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
MODELS = {
    "rtmpose-t-body17": "rtmpose-t_8xb256-420e_body8-256x192",
    "rtmpose-m-body17": "rtmpose-m_8xb256-420e_body8-256x192",
    "rtmpose-m-halpe26": "rtmpose-m_8xb512-700e_body8-halpe26-256x192",
}
MAX_PX, MAX_SCORE, MIN_GAP = 0.05, 1e-3, 1e-4


def person_crops(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return n (picture, box) spread over the cameras and frames of the sample footage."""
    detector = PersonDetector(SHARED / "models" / "yolox_nano_humanart_8xb8-300e.onnx", load_card("yolox-nano"))
    videos = sorted((SHARED / "data/pose2sim_demo/SinglePerson/videos").glob("*.mp4"))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for c, video in enumerate(videos):
        wanted = set(np.linspace(0, 99, n // len(videos) + (c < n % len(videos))).astype(int).tolist())
        for frame in frames(video, only=wanted):
            boxes, _ = detector(frame.rgb, 0.3)
            largest = np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
            found.append((frame.rgb, boxes[largest]))
    return found


def exported(name: str, folder: Path) -> tuple[Path, Path]:
    """Return ONNX file and checkpoint of a configuration with random weights."""
    onnx = folder / f"{name}.onnx"
    if not onnx.is_file():
        script = ROOT / "scripts" / "export_rtmpose_onnx.py"
        subprocess.run([str(ready_env().python), str(script), name, str(folder)], check=True, stderr=subprocess.DEVNULL)
    return onnx, onnx.with_suffix(".pth")


def bin_gap(model: RtmPose, crops: list[np.ndarray], flip_test: bool) -> np.ndarray:
    """Return [crop keypoint] how much the highest bin exceeds the second, the smaller of both axes."""
    blob = (np.stack([c.transpose(2, 0, 1) for c in crops]).astype(np.float32) - model._mean) / model._std
    x, y = model._model(blob)
    if flip_test:
        flipped_x, flipped_y = model._model(np.ascontiguousarray(blob[..., ::-1]))
        other = mirrored_back(flipped_x, flipped_y, model.keypoint_set.mirror)
        x, y = (x + other[0]) / 2, (y + other[1]) / 2
    top = [np.sort(axis, -1)[..., -2:] for axis in (x, y)]
    return np.minimum(*(t[..., 1] - t[..., 0] for t in top))


def compare(card: str, config: str, folder: Path, crops: list[tuple[np.ndarray, np.ndarray]], flip: bool) -> bool:
    """Print how far both are apart, and return whether that is close enough."""
    onnx, checkpoint = exported(config, folder)
    model = RtmPose(load_card(card), onnx, lambda _p, _s: (np.zeros((0, 4)), np.zeros(0)), "", flip_test=flip)
    size = (192, 256)
    apart, scores, gaps = [], [], []
    with MmposeWorker(config, str(checkpoint), flip_test=flip) as worker:
        for picture, box in crops:
            theirs_xy, theirs_score = worker.keypoints(picture, box[None])
            window = window_from_box(box, size)
            ours_xy, ours_score = model.keypoints(picture, [window])
            apart.append(np.abs(ours_xy - theirs_xy)[0].max(-1))
            scores.append(np.abs(ours_score - theirs_score)[0])
            gaps.append(bin_gap(model, [cut(picture, window, size)], flip)[0])
    far, score, gap = np.array(apart), np.array(scores), np.array(gaps)
    clear = (gap > MIN_GAP) & np.isfinite(far)
    is_ok = bool(far[clear].max() <= MAX_PX and score.max() <= MAX_SCORE and clear.mean() >= 0.9)
    print(
        f"{card}{' flip test' if flip else ''}: {far.size} keypoints in {len(far)} crops, {clear.mean():.1%} clear, of "
        f"these {(far[clear] <= MAX_PX).mean():.2%} within {MAX_PX} px (max {far[clear].max():.4f}); all: "
        f"{(far <= MAX_PX).mean():.2%}; scores differ by up to {score.max():.1e}: {'ok' if is_ok else 'TOO FAR'}",
        flush=True,
    )
    return is_ok


def main() -> int:
    """Compare all models."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--crops", type=int, default=50)
    args = parser.parse_args()
    crops = person_crops(args.crops)
    results = [compare(c, m, args.folder, crops, False) for c, m in MODELS.items()]
    card, config = next(iter(MODELS.items()))
    results.append(compare(card, config, args.folder, crops, True))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
