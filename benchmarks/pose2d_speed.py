"""Time of the detect stage against its parts, each measured alone with the same threads, and against other programs.

    python benchmarks/pose2d_speed.py ../shared --rtmpose MODEL.onnx --peers ~/pose-peers/bin/python

MODEL.onnx may have random weights (scripts/export_rtmpose_onnx.py); without it BlazePose alone is measured. The parts:
decoding all videos to whole RGB pictures, as an ordinary pipeline takes them (with BlazePose the stage itself makes RGB
only of what it looks at), with as many decoder threads as the stage uses, the detector calls that were made, and the
bare forward passes on the same crops: input in, a run, the outputs that keypoints are made of. --peers is a Python that
has rtmlib and MediaPipe (see benchmarks/peers/pose2d.py): rtmlib does the same detector calls and crops, MediaPipe
follows the person by its own pipeline with the same model.

Everything is measured in turn, --repeats times; a figure is the median over the turns with the least and the greatest,
of the wall clock and of the processor time, which other programs on the machine change less. Bars: stage at most 1.10
times the sum of its parts, forward passes at least 0.75 of the stage, peers' time at least 1.0 times the stage's.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from mocap.core.progress import NoProgress
from mocap.media.decode import frames
from mocap.media.picture import Picture
from mocap.media.probe import VideoInfo, probe
from mocap.pose2d.blazepose import BlazePose
from mocap.pose2d.cards import load_card
from mocap.pose2d.detectors import PersonDetector
from mocap.pose2d.estimator import detect_videos
from mocap.pose2d.rtmpose import BATCH, RtmPose
from mocap.pose2d.topdown_crop import PADDING, Window

MAX_STAGE, MIN_FORWARD, MIN_PEER = 1.10, 0.75, 1.0
N_BLOBS = 16
DETECTOR = "models/yolox_nano_humanart_8xb8-300e.onnx"

Seconds = tuple[float, float]
"""On the wall, of the processors."""


@dataclass
class Subject:
    """One model with everything to time, after a first run that showed what its parts are."""

    name: str
    peer: str
    stage: Callable[[], object]
    parts: dict[str, Callable[[], object]]
    """`decoding`, `detector`, `forward`."""
    job: dict[str, Any]
    about: str
    seconds: dict[str, list[Seconds]] = field(default_factory=dict)


def timed(work: Callable[[], object]) -> Seconds:
    """Return the seconds that work takes."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def over(work: Callable[[Any], object], items: list[Any], n_threads: int) -> Callable[[], object]:
    """Return work on all items by that many threads."""

    def run() -> None:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(work, items))

    return run


def decoding(infos: dict[str, VideoInfo], n_threads: int) -> Callable[[], object]:
    """Return the decoding of all videos to RGB."""
    each = max(1, (os.cpu_count() or 1) // n_threads)

    def decode(info: VideoInfo) -> None:
        for frame in frames(info.path, info, n_threads=each):
            assert frame.rgb.shape[2] == 3

    return over(decode, list(infos.values()), n_threads)


def rtmpose(shared: Path, weights: Path, infos: dict[str, VideoInfo], n_threads: int) -> Subject:
    """Return RTMPose with the detector of the reference data, its work recorded."""
    card = load_card("rtmpose-m-body17" if "halpe26" not in weights.name else "rtmpose-m-halpe26")
    detector = PersonDetector(shared / DETECTOR, load_card("yolox-nano"))
    looks: list[np.ndarray] = []
    windows: list[tuple[int, Window]] = []
    crops: list[np.ndarray] = []
    kept: list[Picture] = []
    looked_at: list[int] = []

    def people(rgb: np.ndarray, score: float) -> tuple[np.ndarray, np.ndarray]:
        looks.append(rgb)
        looked_at.append(len(kept) - 1)  # the detector looks at the newest picture
        return detector(rgb, score)

    recorder = RtmPose(card, weights, people, "", device="cpu", n_threads=n_threads)
    submit, forward = recorder._submit, recorder._batcher._work

    def submitted(picture: Picture, window: Window) -> Any:
        windows.append((id(picture), window))
        return submit(picture, window)

    def recorded(items: list[np.ndarray]) -> Any:
        crops.extend(items)
        return forward(items)

    recorder._submit, recorder._batcher._work = submitted, recorded
    boxes, at_looks = [], []
    for name, info in infos.items():
        windows.clear()
        kept.clear()
        looked_at.clear()

        def pictures(info: VideoInfo = info) -> Any:
            for frame in frames(info.path, info):
                kept.append(frame.picture)
                yield frame

        recorder.estimate(pictures(), info)
        at = {id(picture): f for f, picture in enumerate(kept)}
        rows: list[list[list[float]]] = [[] for _ in range(info.n_frames)]
        for key, window in windows:
            half = window.size_px / 2 / PADDING
            rows[at[key]].append([float(v) for v in (*(window.center_px - half), *(window.center_px + half))])
        boxes.append(rows)
        at_looks.append(list(looked_at))
        print(f"  rtmpose {name}: {sum(map(len, rows))} crops, {len(looked_at)} detector calls", flush=True)
    model = RtmPose(card, weights, detector, "", device="cpu", n_threads=n_threads)
    batch = [np.stack([c.transpose(2, 0, 1) for c in crops[i : i + BATCH["cpu"]]]) for i in range(0, 32, 2)]
    blobs = [(b.astype(np.float32) - model._mean) / model._std for b in batch][:N_BLOBS]
    n_runs = -(-len(crops) // BATCH["cpu"])
    parts = {
        "decoding": decoding(infos, n_threads),
        "detector": over(lambda rgb: detector(rgb, 0.3), looks, n_threads),
        "forward": over(lambda i: model._model(blobs[i % len(blobs)]), list(range(n_runs)), n_threads),
    }
    job = {
        "model": str(weights.resolve()),
        "size": card["input_size_px"],
        "detector": str((shared / DETECTOR).resolve()),
        "detector_size": load_card("yolox-nano")["input_size_px"],
        "boxes": boxes,
        "looks": at_looks,
    }
    return Subject(
        "rtmpose",
        "rtmlib",
        lambda: detect_videos({n: i.path for n, i in infos.items()}, model, infos=infos, n_workers=n_threads),
        parts,
        job,
        f"{len(crops)} crops, {len(looks)} detector calls",
    )


class BareLandmarks:
    """The landmark model alone: input in, a run, and the outputs that keypoints are made of."""

    outputs = ("Identity", "Identity_1", "Identity_3")

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._idle: queue.SimpleQueue[Interpreter] = queue.SimpleQueue()

    def __call__(self, blob: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for [height width 3] float32 in 0..1."""
        try:
            interpreter = self._idle.get_nowait()
        except queue.Empty:
            interpreter = Interpreter(str(self._weights), num_threads=1)
            interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], blob[None])
        interpreter.invoke()
        indices = [d["index"] for d in interpreter.get_output_details() if d["name"] in self.outputs]
        out = [interpreter.get_tensor(index) for index in indices]
        self._idle.put(interpreter)
        return out


def blazepose(infos: dict[str, VideoInfo], n_threads: int) -> Subject:
    """Return BlazePose, its work recorded."""
    model = BlazePose(NoProgress())
    looks: list[tuple[Picture, np.ndarray]] = []
    crops: list[np.ndarray] = []
    people, work = model._people, model._batcher._work

    def looked(picture: Picture, window: np.ndarray) -> Any:
        looks.append((picture, window))
        return people(picture, window)

    def recorded(items: Any) -> Any:
        crops.extend(c.pixels for c in items)
        return work(items)

    def stage() -> object:
        return detect_videos({n: i.path for n, i in infos.items()}, model, infos=infos, n_workers=n_threads)

    model._people, model._batcher._work = looked, recorded
    stage()
    model._people, model._batcher._work = people, work
    blobs = [c.astype(np.float32) / 255 for c in crops[:N_BLOBS]]
    bare = BareLandmarks(model._landmarks.weights)
    parts = {
        "decoding": decoding(infos, n_threads),
        "detector": over(lambda look: people(*look), looks, n_threads),
        "forward": over(lambda i: bare(blobs[i % len(blobs)]), list(range(len(crops))), n_threads),
    }
    about = f"{len(crops)} crops, {len(looks)} detector calls"
    print(f"  blazepose: {about}", flush=True)
    return Subject("blazepose", "mediapipe", stage, parts, {}, about)


def peer_seconds(python: Path, subject: Subject, infos: dict[str, VideoInfo], n_threads: int) -> Seconds:
    """Return the seconds of the other program on the same videos."""
    job = {"videos": [str(i.path.resolve()) for i in infos.values()], "threads": n_threads, **subject.job}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.json"
        file.write_text(json.dumps(job))
        script = Path(__file__).parent / "peers/pose2d.py"
        command = [str(python), str(script), subject.peer, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert answer["frames"] == sum(i.n_frames for i in infos.values()), answer
    return answer["wall_s"], answer["cpu_s"]


def ratio(label: str, above: list[Seconds], below: list[Seconds], bar: str) -> float:
    """Print a ratio's median, least and greatest over the turns, and return the median on the wall."""
    values = np.array([[a[i] / b[i] for i in (0, 1)] for a, b in zip(above, below, strict=True)])
    wall, cpu = np.median(values, axis=0)
    low, high = values.min(0), values.max(0)
    print(
        f"  {label:28s} wall {wall:.3f} ({low[0]:.3f} to {high[0]:.3f})   "
        f"processor {cpu:.3f} ({low[1]:.3f} to {high[1]:.3f})   {bar}"
    )
    return float(wall)


def report(subject: Subject, n_frames: int) -> bool:
    """Print one model's figures; return whether the bars hold."""
    s = subject.seconds
    total = [tuple(sum(s[part][r][i] for part in subject.parts) for i in (0, 1)) for r in range(len(s["stage"]))]
    sums: list[Seconds] = [(t[0], t[1]) for t in total]
    print(f"{subject.name}: {n_frames} frames, {subject.about}; medians, wall and processor seconds:")
    print(
        "  "
        + "; ".join(f"{k} {np.median([v[0] for v in t]):.1f} {np.median([v[1] for v in t]):.1f}" for k, t in s.items())
    )
    is_ok = ratio("stage / sum of its parts", s["stage"], sums, f"at most {MAX_STAGE}") <= MAX_STAGE
    is_ok &= ratio("forward passes / stage", s["forward"], s["stage"], f"at least {MIN_FORWARD}") >= MIN_FORWARD
    if subject.peer in s:
        label = f"{subject.peer} / stage"
        is_ok &= ratio(label, s[subject.peer], s["stage"], f"at least {MIN_PEER}") >= MIN_PEER
    return is_ok


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--rtmpose", type=Path, metavar="ONNX", help="weights of an RTMPose-m, random or not")
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="Python of an environment with rtmlib, MediaPipe")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cameras", type=int, default=4, help="videos to use (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    n = args.threads
    videos = sorted((args.shared / "data/pose2sim_demo/SinglePerson/videos").glob("*.mp4"))[: args.cameras]
    infos = {v.stem: probe(v) for v in videos}
    subjects = [blazepose(infos, n)]
    if args.rtmpose:
        subjects.append(rtmpose(args.shared, args.rtmpose, infos, n))
    for _ in range(args.repeats):
        for subject in subjects:
            turn = {"stage": timed(subject.stage), **{k: timed(part) for k, part in subject.parts.items()}}
            if args.peers:
                turn[subject.peer] = peer_seconds(args.peers, subject, infos, n)
            each = ", ".join(f"{key} {wall:.1f} {cpu:.1f}" for key, (wall, cpu) in turn.items())
            print(f"  {subject.name}, wall and processor seconds: {each}", flush=True)
            for key, seconds in turn.items():
                subject.seconds.setdefault(key, []).append(seconds)
    n_frames = sum(i.n_frames for i in infos.values())
    good = [report(s, n_frames) for s in subjects]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
