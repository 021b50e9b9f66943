"""A long video at constant memory, and kill -9 at random moments: what is lost, and whether the result is the same.

    python benchmarks/pose2d_resume.py ../shared/data/virtual_shoot/videos/gp1.mp4 --minutes 30 --quality preview
    python benchmarks/pose2d_resume.py ../shared/data/pose2sim_demo/SinglePerson/videos/cam03.mp4 --minutes 1

The video is coded once with a picture order that can be repeated, and repeated to exactly the length asked for.
`mocap detect` runs once in one go while its memory is watched, then again, killed at moments drawn over the whole
length and started anew each time. Printed: peak memory over the run's thirds, the frames that each kill left and the
work it cost, in parts, and whether both results are equal, byte for byte.
"""

from __future__ import annotations

import argparse
import filecmp
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mocap.media.probe import probe
from mocap.pose2d.checkpoints import EVERY_FRAMES

MOCAP = Path(sys.executable).with_name("mocap")


def repeated(video: Path, minutes: float, folder: Path) -> Path:
    """Return a video of exactly that length, made of the given one again and again."""
    info = probe(video)
    n_frames = round(60 * minutes * float(info.fps))
    once, out = folder / "once.mp4", folder / "long.mp4"
    encode = ["-an", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "60", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", str(video), *encode, str(once)], check=True)
    again = ["-stream_loop", str(n_frames // info.n_frames + 1), "-i", str(once)]
    command = ["ffmpeg", "-loglevel", "error", "-y", *again, "-frames:v", str(n_frames), "-c", "copy", str(out)]
    subprocess.run(command, check=True)
    made = probe(out)
    if made.n_frames != n_frames:
        raise SystemExit(f"expected {n_frames} frames, made {made.n_frames}")
    print(
        f"{made.width_px} x {made.height_px}, {float(made.fps):g} frames a second, {made.n_frames} frames", flush=True
    )
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


def parts_of(out: Path) -> list[Path]:
    """Return the parts that an unfinished run keeps."""
    return sorted(out.glob(".unfinished/*/*[0-9].npz"))


def frames_kept(out: Path) -> int:
    """Return how many frames those hold."""
    files = parts_of(out)
    return int(files[-1].stem) + len(np.load(files[-1])["score"]) if files else 0


def killed_at(video: Path, out: Path, quality: str, frame: int, rng: random.Random) -> bool:
    """Run until the part with that frame is in the works, kill at a random moment of it; False if it ended before."""
    kept, process, began_s = frames_kept(out), start(video, out, quality), time.monotonic()
    first_part, period_s = len(parts_of(out)), 1.0
    while process.poll() is None and frames_kept(out) + EVERY_FRAMES < frame:
        time.sleep(0.1)
    done = len(parts_of(out)) - first_part
    if done > 0:
        period_s = (time.monotonic() - began_s) / done
    until_s = time.monotonic() + rng.uniform(0.0, period_s)
    while process.poll() is None and time.monotonic() < until_s:
        time.sleep(0.02)
    if process.poll() is not None:
        return False
    process.kill()
    process.wait()
    files = parts_of(out)
    work = (time.time() - files[-1].stat().st_mtime) / period_s if done > 0 else (time.monotonic() - began_s) / period_s
    print(f"killed at about frame {frame}: kept {kept} -> {frames_kept(out)}, lost {work:.2f} parts' work", flush=True)
    return True


def main() -> None:
    """Print memory, losses and equality."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep the video and the results in this folder, to look at")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        video = repeated(args.video, args.minutes, folder)
        n_frames = probe(video).n_frames
        seconds, thirds = watched(video, folder / "whole", args.quality)
        print(f"in one go: {seconds:.0f} s; peak memory of its thirds, MiB: {[round(m) for m in thirds]}", flush=True)
        if not args.kills:
            return
        n_killed = sum(
            killed_at(video, folder / "killed", args.quality, frame, rng)
            for frame in sorted(rng.randrange(n_frames) for _ in range(args.kills))
        )
        process = start(video, folder / "killed", args.quality)
        if process.wait():
            raise SystemExit(f"mocap detect ended with {process.returncode}")
        same = filecmp.cmp(*(folder / run / "long.npz" for run in ("whole", "killed")), shallow=False)
        print(f"{n_killed} kills; files equal byte for byte: {same}; parts are {EVERY_FRAMES} frames")
        if not same:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
