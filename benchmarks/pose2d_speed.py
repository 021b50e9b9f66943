"""Wall time of the detect stage with RTMPose against its parts, each measured alone with the same threads.

    python benchmarks/pose2d_speed.py ../shared MODEL.onnx [--card rtmpose-m-halpe26]

MODEL.onnx may have random weights (scripts/export_rtmpose_onnx.py). Parts: decoding all videos to RGB, the detector
calls that were made, the forward passes on as many crops. Lower is better: stage at most 1.10 times the sum of the
parts; the forward passes' share of the stage at least 0.75 is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mocap.media.decode import frames
from mocap.media.probe import probe
from mocap.pose2d.cards import load_card
from mocap.pose2d.detectors import PersonDetector
from mocap.pose2d.estimator import detect_videos
from mocap.pose2d.rtmpose import BATCH, RtmPose

MAX_RATIO = 1.10


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that work takes, on the wall and of the processors."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--card", default="rtmpose-m-halpe26")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    n = args.threads
    videos = sorted((args.shared / "data/pose2sim_demo/SinglePerson/videos").glob("*.mp4"))
    infos = {v.stem: probe(v) for v in videos}
    detector_file = args.shared / "models/yolox_nano_humanart_8xb8-300e.onnx"
    detector = PersonDetector(detector_file, load_card("yolox-nano"))
    looked: list[np.ndarray] = []

    def people(rgb: np.ndarray, score: float) -> tuple[np.ndarray, np.ndarray]:
        looked.append(rgb)
        return detector(rgb, score)

    model = RtmPose(load_card(args.card), args.model, people, "", device="cpu", n_threads=n)
    crops: list[int] = []
    forward = model.crops

    def counted(items: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        crops.append(len(items))
        return forward(items)

    model._batcher._work = counted
    stage, stage_cpu = timed(lambda: detect_videos({v.stem: v for v in videos}, model, infos=infos, n_workers=n))
    size = (256, 192)
    blob = np.zeros((BATCH["cpu"], 3, *size), np.float32)
    n_crops, n_looks = sum(crops), len(looked)
    n_runs = round(n_crops / len(blob))
    with ThreadPoolExecutor(n) as pool:
        decoding, decoding_cpu = timed(
            lambda: list(pool.map(lambda v: sum(1 for _ in frames(v, infos[v.stem])), videos))
        )
        detecting, detecting_cpu = timed(lambda: list(pool.map(lambda rgb: detector(rgb, 0.3), looked)))
        posing, posing_cpu = timed(lambda: list(pool.map(lambda _: model._model(blob), range(n_runs))))
    parts, parts_cpu = decoding + detecting + posing, decoding_cpu + detecting_cpu + posing_cpu
    n_frames = sum(i.n_frames for i in infos.values())
    print(
        f"{n_frames} frames, {n_crops} crops in {len(crops)} runs, {n_looks} detector calls, {n} threads: stage "
        f"{stage:.1f} s; decoding {decoding:.1f} + detector {detecting:.1f} + forward {posing:.1f} = {parts:.1f} s; "
        f"stage / parts {stage / parts:.3f}; forward / stage {posing / stage:.2f}; {n_frames / stage:.1f} frames/s\n"
        f"processor seconds, which other programs on the machine change less: stage {stage_cpu:.1f}; decoding "
        f"{decoding_cpu:.1f} + detector {detecting_cpu:.1f} + forward {posing_cpu:.1f} = {parts_cpu:.1f}; "
        f"stage / parts {stage_cpu / parts_cpu:.3f}"
    )
    return 0 if stage <= MAX_RATIO * parts else 1


if __name__ == "__main__":
    sys.exit(main())
