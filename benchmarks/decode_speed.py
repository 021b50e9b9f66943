"""How fast frames come out of `mocap.media.decode`, against ffmpeg alone on the same files in the same run.

    python benchmarks/decode_speed.py

Ours ends in upright RGB arrays that a model can take; ffmpeg is timed both decoding only (`-f null`) and converting to
RGB as well. Metric: `ratio` = our frames per second / ffmpeg's decoding only; higher is better; at least 0.5 (exit
status 1 below). The runs alternate and the best of each counts, so that other load on the machine falls on all alike.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

FLOOR = 0.5
WIDTH, HEIGHT = 1920, 1080
ENCODERS = {
    "H.264": ("libx264", {"preset": "veryfast", "b": "20M"}),
    "HEVC": ("libx265", {"preset": "ultrafast", "b": "20M", "x265-params": "log-level=error"}),
}


def write_clip(path: Path, codec: str, n_frames: int) -> None:
    """Write a clip with moving detail and sensor noise at a camera's bit rate."""
    import av

    name, options = ENCODERS[codec]
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:HEIGHT, 0 : WIDTH + 8 * n_frames]
    scene = (96 + 60 * np.sin(x / 37.0) * np.cos(y / 23.0) + 40 * ((x // 64 + y // 64) % 2)).astype(np.uint8)
    noise = rng.integers(0, 24, (5, HEIGHT, WIDTH), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(name, rate=Fraction(60000, 1001), options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for k in range(n_frames):
            luma = scene[:, 8 * k : 8 * k + WIDTH] + noise[k % 5]
            picture = np.concatenate([luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        container.mux(stream.encode(None))


def ours(path: Path) -> int:
    """Decode all frames to RGB with the program's own reader; return how many."""
    from mocap.media.decode import frames

    return sum(frame.rgb.ndim == 3 for frame in frames(path))


def ffmpeg(path: Path, *options: str) -> None:
    """Decode with the ffmpeg program."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    """Measure both codecs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.stdout.write("The ffmpeg program is needed for the comparison (only here).\n")
        return 1
    worst = float("inf")
    sys.stdout.write("codec   ours (RGB)  ffmpeg -f null  ffmpeg to RGB  ratio\n")
    with tempfile.TemporaryDirectory() as folder:
        for codec in ENCODERS:
            path = Path(folder) / f"{codec}.mp4"
            write_clip(path, codec, args.frames)
            runs: tuple[Callable[[], object], ...] = (
                lambda p=path: ours(p),
                lambda p=path: ffmpeg(p, "-f", "null", "-"),
                lambda p=path: ffmpeg(p, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"),
            )
            best = np.array([[seconds(run) for run in runs] for _ in range(args.rounds)]).min(axis=0)
            ours_hz, null_hz, rgb_hz = args.frames / best
            worst = min(worst, ours_hz / null_hz)
            sys.stdout.write(
                f"{codec:6s}  {ours_hz:10.1f}  {null_hz:14.1f}  {rgb_hz:13.1f}  {ours_hz / null_hz:5.2f}\n"
            )
    sys.stdout.write(f"ratio: {worst:.2f} (at least {FLOOR})\n")
    return 0 if worst >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
