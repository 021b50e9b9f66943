"""Time and memory of a whole `reconstruct` after reading, against frames and cameras: linear is the bar.

    python benchmarks/solve_scaling.py --frames 2250 9000 36000 --cameras 2 4 8 16 32 --plot docs/images/solve.svg
    python benchmarks/solve_scaling.py --frames 36000 --at-cameras 4 --cameras

Choosing the performer, points, solve, gates, TRC and NumPy export and the report's figures. Frames vary at 8 cameras
(`--at-cameras`), cameras at 1000 frames (`--at-frames`). Each case is made in one process and read from files and run
in another, which also tells the peak memory (bar: 2 GiB for 36000 frames, ten minutes at 60 Hz, of 8 cameras). The
growth is the exponent of a power law through the processor times: 1 is linear. On a busy machine only processor time
counts: it is printed beside the wall's.
Takes are `mocap.synth`'s.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from chart import growth, write_log_chart

from calibration.files import read_rig, write_rig
from mocap.core.camera import CameraRig
from mocap.core.progress import NoProgress
from mocap.pose2d.detections import CameraDetections
from mocap.pose2d.detections_out import write_files
from mocap.pose2d.files import read_keypoints
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig
from sessions.outputs import export_all, report_data
from sessions.process import process_keypoints

FPS = Fraction(60)
RIG, POSE = "rig.toml", "pose"
MEMORY_BAR_MIB = 2048
MS_BARS = {4: 3.0, 8: 5.0, 16: 9.0}


def take(cameras: int, frames: int) -> tuple[CameraRig, dict[str, CameraDetections]]:
    """Return a rig and what it saw of one performer: 3 px of noise, 10 % gross errors, 15 % missing."""
    rng = np.random.default_rng(11)
    rig, performer = ring_rig(cameras, rng), Performer.random(rng, stride=0.0)
    faults = Faults(noise_px=3.0, outlier_share=0.1, dropout_share=0.15)
    seen = detect([performer], rig, FPS, frames, rng, faults=faults).keypoints
    return rig, {
        c.name: CameraDetections(
            seen.keypoint_set,
            seen.xy_px[n].astype(np.float32),
            seen.score[n].astype(np.float32),
            np.arange(frames) / float(FPS),
            c.intrinsics.size_px,
        )
        for n, c in enumerate(rig.cameras)
    }


def make_case(cameras: int, frames: int, folder: Path) -> None:
    """Write a take's rig and detections, as `run_case` reads them."""
    rig, detections = take(cameras, frames)
    write_rig(folder / RIG, rig)
    write_files(folder / POSE, detections, "npz")


def run_case(folder: Path) -> dict[str, float]:
    """Return wall and processor seconds after reading, and the process's peak memory in MiB before and after."""
    rig = read_rig(folder / RIG)
    detections = read_keypoints(folder / POSE, rig.names, FPS).detections
    before_mib = _peak_mib()
    wall_s, processor_s = time.perf_counter(), time.process_time()
    done = process_keypoints(rig, detections, FPS, {}, NoProgress(), settings={})
    with tempfile.TemporaryDirectory() as out:
        export_all(done.solved, ["trc", "points_trc", "npz"], Path(out), NoProgress())
    report_data(done, {})
    return {
        "wall_s": time.perf_counter() - wall_s,
        "processor_s": time.process_time() - processor_s,
        "before_mib": before_mib,
        "peak_mib": _peak_mib(),
        "load": os.getloadavg()[0],
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def case(cameras: int, frames: int) -> float:
    """Run a case in a process of its own, print its line and return its processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "--make", str(cameras), str(frames), folder], check=True)
        command = [sys.executable, __file__, "--one", folder]
        done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    bar = MS_BARS.get(cameras)
    print(
        f"{cameras:8}{frames:9}{done['wall_s']:9.1f}{done['processor_s']:9.1f}{1000 * done['wall_s'] / frames:9.2f}"
        f"{1000 * done['processor_s'] / frames:9.2f}{f'{bar:g}' if bar else '-':>6}{done['before_mib']:11.0f}"
        f"{done['peak_mib']:9.0f}{MEMORY_BAR_MIB:7}{done['load']:7.1f}",
        flush=True,
    )
    return done["processor_s"]


def main() -> None:
    """Run all cases, print the table and the growth, write the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="*", default=[2250, 4500, 9000, 18000, 36000])
    parser.add_argument("--at-cameras", type=int, default=8, help="cameras while frames vary (default: 8)")
    parser.add_argument("--cameras", type=int, nargs="*", default=[2, 4, 8, 16, 32])
    parser.add_argument("--at-frames", type=int, default=1000, help="frames while cameras vary (default: 1000)")
    parser.add_argument("--plot", type=Path, help="SVG file; _frames and _cameras are added to its name")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        make_case(int(args.make[0]), int(args.make[1]), Path(args.make[2]))
        return
    if args.one:
        print(json.dumps(run_case(args.one)))
        return
    print(f"{'':17}{'seconds':>18}{'ms a frame':>18}{'':6}{'peak memory, MiB':>27}")
    print(
        f"{'cameras':>8}{'frames':>9}{'wall':>9}{'cpu':>9}{'wall':>9}{'cpu':>9}{'bar':>6}{'at start':>11}{'after':>9}"
        f"{'bar':>7}{'load':>7}"
    )
    at = {"frames": f"frames, {args.at_cameras} cameras", "cameras": f"cameras, {args.at_frames} frames"}
    runs = {
        "frames": sorted((f, case(args.at_cameras, f)) for f in args.frames),
        "cameras": sorted((c, case(c, args.at_frames)) for c in args.cameras),
    }
    for name, points in runs.items():
        if len(points) < 2:
            continue
        print(f"growth with {name}: {growth(points):.2f} (1 is linear), of processor time")
        if args.plot:
            path = args.plot.with_name(f"{args.plot.stem}_{name}.svg")
            title = f"a whole reconstruct after reading, against {name}"
            write_log_chart(path, title, at[name], "seconds of one processor", {"ours": points})
            print(f"written: {path}")


if __name__ == "__main__":
    main()
