"""A long video at constant memory, and kill -9 at random moments: what is lost, and whether the result is the same.

    python benchmarks/pose2d_resume.py ../shared/data/pose2sim_demo/SinglePerson/videos/cam03.mp4 --kills 10
    python benchmarks/pose2d_resume.py VIDEO --seconds 1800 --kills 0 --quality preview

The video is repeated to the length asked for (joined without coding it again). `mocap detect` runs once in one go while
its memory is watched, then again, killed after random times and started anew until it is through. Printed: peak memory
over the run's thirds, frames that were done again after each kill, and whether both results are equal, byte for byte.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mocap.media.probe import probe
from mocap.pose2d.checkpoints import EVERY_FRAMES

MOCAP = Path(sys.executable).with_name("mocap")


def repeated(video: Path, seconds: float, folder: Path) -> Path:
    """Return a video of about that length, made of the given one again and again."""
    info = probe(video)
    times = max(1, round(seconds * float(info.fps) / info.n_frames))
    listing = folder / "list.txt"
    listing.write_text(f"file '{video.resolve()}'\n" * times)
    out = folder / "long.mp4"
    command = ["ffmpeg", "-loglevel", "error", "-y", "-f", "concat", "-safe", "0", "-i", str(listing), "-c", "copy"]
    subprocess.run([*command, "-an", str(out)], check=True)
    return out


def start(video: Path, out: Path, quality: str) -> subprocess.Popen[bytes]:
    """Begin `mocap detect`."""
    command = [str(MOCAP), "detect", str(video), "--out", str(out), "--to", "npz", "--quality", quality]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rss_mib(process: subprocess.Popen[bytes]) -> float:
    """Return the memory that a process holds now; 0 once it is gone."""
    try:
        text = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS")), 0.0)


def watched(video: Path, out: Path, quality: str) -> tuple[float, list[float]]:
    """Run in one go; return its seconds and the highest memory in each third of them, in MiB."""
    began_s, held = time.monotonic(), list[tuple[float, float]]()
    process = start(video, out, quality)
    while process.poll() is None:
        held.append((time.monotonic() - began_s, rss_mib(process)))
        time.sleep(0.2)
    seconds = time.monotonic() - began_s
    if process.returncode:
        raise SystemExit(f"mocap detect ended with {process.returncode}")
    thirds = [max((m for t, m in held if i <= 3 * t / seconds < i + 1), default=0.0) for i in range(3)]
    return seconds, thirds


def parts_done(out: Path) -> int:
    """Return how many frames the parts of an unfinished run hold."""
    files = sorted(out.glob(".unfinished/*/*.npz"))
    return int(files[-1].stem) + len(np.load(files[-1])["score"]) if files else 0


def main() -> None:
    """Print memory, losses and equality."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = repeated(args.video, args.seconds, folder)
        info = probe(video)
        seconds, thirds = watched(video, folder / "whole", args.quality)
        print(
            f"{info.n_frames} frames in {seconds:.0f} s; peak memory of its thirds, MiB: {[round(m) for m in thirds]}"
        )
        for kill in range(args.kills):
            before = parts_done(folder / "killed")
            process = start(video, folder / "killed", args.quality)
            time.sleep(rng.uniform(3, 3 + seconds / max(2, args.kills)))
            if process.poll() is not None:
                break
            process.kill()
            process.wait()
            print(f"kill {kill + 1}: frames kept {before} -> {parts_done(folder / 'killed')}", flush=True)
        if args.kills:
            process = start(video, folder / "killed", args.quality)
            if process.wait():
                raise SystemExit(f"mocap detect ended with {process.returncode}")
            files = [folder / run / "long.npz" for run in ("whole", "killed")]
            one, two = (dict(np.load(f)) for f in files)
            same = all(np.array_equal(one[k], two[k], equal_nan=one[k].dtype.kind == "f") for k in one)
            print(f"results equal: {same}; parts are {EVERY_FRAMES} frames")
            shutil.rmtree(folder / "killed")
            if not same:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
