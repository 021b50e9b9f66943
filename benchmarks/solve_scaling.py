"""Time and memory of points and solve against frames and cameras: linear is the bar.

    python benchmarks/solve_scaling.py --frames 2250 4500 9000 18000 36000 --cameras 2 4 8 16 32 --plot scaling.svg

Frames vary at 8 cameras, cameras vary at 3000 frames. Each case runs in a process of its own, which also tells the peak
memory (bar: 2 GiB for 36000 frames, ten minutes at 60 Hz, of 8 cameras). The growth is the exponent of a power law
through the times: 1 is linear. Two people cannot be told from one here: takes are `mocap.synth`'s.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from chart import growth, write_log_chart

from mocap.core.timeline import Timeline
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS = Fraction(60)
FRAMES_FOR_CAMERAS, CAMERAS_FOR_FRAMES = 3000, 8


def run_case(cameras: int, frames: int) -> dict[str, float]:
    """Return seconds of points and of solve, and the process's peak memory in MiB before and after them."""
    rng = np.random.default_rng(11)
    rig, performer = ring_rig(cameras, rng), Performer.random(rng, stride=0.0)
    faults = Faults(noise_px=3.0, outlier_share=0.1, dropout_share=0.15)
    keypoints = detect([performer], rig, FPS, frames, rng, faults=faults).keypoints
    before_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    points = reconstruct_points(keypoints, rig, Timeline(FPS, frames))
    middle = time.perf_counter()
    solve_take(rig, points)
    end = time.perf_counter()
    after_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"points_s": middle - start, "solve_s": end - middle, "before_mib": before_mib, "peak_mib": after_mib}


def case(cameras: int, frames: int) -> dict[str, float]:
    """Run a case in a process of its own and print its line."""
    command = [sys.executable, __file__, "--one", str(cameras), str(frames)]
    done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    total_s = done["points_s"] + done["solve_s"]
    print(
        f"{cameras:8}{frames:9}{done['points_s']:10.1f}{done['solve_s']:9.1f}{1000 * total_s / frames:11.2f}"
        f"{done['before_mib']:13.0f}{done['peak_mib']:11.0f}",
        flush=True,
    )
    return {**done, "total_s": total_s}


def main() -> None:
    """Run all cases, print the table and the growth, write the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[2250, 4500, 9000, 18000, 36000])
    parser.add_argument("--cameras", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    parser.add_argument("--plot", type=Path, help="SVG file")
    parser.add_argument("--one", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run_case(*args.one)))
        return
    print(
        f"{'cameras':>8}{'frames':>9}{'points s':>10}{'solve s':>9}{'ms/frame':>11}{'MiB at start':>13}{'peak MiB':>11}"
    )
    by_frames = [(f, case(CAMERAS_FOR_FRAMES, f)["total_s"]) for f in args.frames]
    by_cameras = [(c, case(c, FRAMES_FOR_CAMERAS)["total_s"]) for c in args.cameras]
    print(f"growth with frames: {growth(by_frames):.2f}, with cameras: {growth(by_cameras):.2f} (1 is linear)")
    if args.plot:
        for name, label, points in (("frames", "frames, 8 cameras", by_frames), ("cameras", "cameras", by_cameras)):
            path = args.plot.with_name(f"{args.plot.stem}_{name}.svg")
            write_log_chart(path, f"points and solve against {name}", label, "seconds", {"ours": points})
            print(f"written: {path}")


if __name__ == "__main__":
    main()
