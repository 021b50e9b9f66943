"""What clocks cost in 3D: takes with sub-frame offsets and drift beside the same takes perfectly in step.

    python benchmarks/sync_mpjpe.py --cameras 4 --seeds 5 --frames 600

Each seed is filmed twice by ../shared/bench/make_take.py: in step, and with offsets of standard deviation --offset
(0.1 s) and drifts of --drift ppm. The second goes through `mocap sync --keypoints
--rig` and `mocap reconstruct --times`. Both are scored by ../shared/bench/score.py with --time-align: the reference
camera's clock is not the truth's. `--without-times` also shows what no clocks at all would give.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
CLIP = SHARED / "data/mocap_clips/cmu/cmu_12_01_walk.bvh"
BAR = 1.05


def call(*command: object) -> None:
    """Run a command; its output only where it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def make(folder: Path, args: argparse.Namespace, seed: int, offset_s: float, drift_ppm: float) -> None:
    """Make a take."""
    options = f"--clip {CLIP} --cameras {args.cameras} --seed {seed} --frames {args.frames}"
    clocks = f"--time-offsets {offset_s} --drift-ppm {drift_ppm}"
    call(sys.executable, SHARED / "bench/make_take.py", folder, *options.split(), *clocks.split())


def mpjpe_mm(folder: Path, out: Path, times: Path | None) -> float:
    """Reconstruct a take and return the mean error of its keypoints."""
    rig = ("--rig", folder / "rig.toml", "--keypoints", folder / "pose", "--fps", 60)
    more = () if times is None else ("--times", times)
    call(sys.executable, "-m", "mocap.cli.entry", "reconstruct", *rig, "--out", out, "--to", "trc", *more)
    result = next(p for p in sorted(out.glob("*.trc")) if not p.stem.endswith("_points"))
    score = out / "score.json"
    script = SHARED / "bench/score.py"
    call(sys.executable, script, folder / "truth", result, "--time-align", "--json", score)
    return float(json.loads(score.read_text("utf-8"))["overall"]["mpjpe_mm"])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5, help="the seeds 1 to N")
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--offset", type=float, default=0.1)
    parser.add_argument("--drift", type=float, default=40.0)
    parser.add_argument("--without-times", action="store_true")
    args = parser.parse_args()
    ratios = []
    for seed in range(1, args.seeds + 1):
        folder = Path(tempfile.mkdtemp(prefix="sync-mpjpe-"))
        make(folder / "still", args, seed, 0.0, 0.0)
        make(folder / "take", args, seed, args.offset, args.drift)
        pose = ("--keypoints", folder / "take/pose", "--fps", 60, "--rig", folder / "take/rig.toml")
        call(sys.executable, "-m", "mocap.cli.entry", "sync", *pose, "--out", folder / "sync.json")
        in_step = mpjpe_mm(folder / "still", folder / "a", None)
        placed = mpjpe_mm(folder / "take", folder / "b", folder / "sync.json")
        bare = f", without clocks {mpjpe_mm(folder / 'take', folder / 'c', None):.2f} mm" if args.without_times else ""
        ratios.append(placed / in_step)
        print(f"seed {seed}: in step {in_step:.2f} mm, placed {placed:.2f} mm, x {ratios[-1]:.3f}{bare}", flush=True)
        shutil.rmtree(folder)
    mean, worst = float(np.mean(ratios)), max(ratios)
    verdict = "met" if mean < BAR else "MISSED"
    print(f"MPJPE placed / in step: mean x {mean:.3f}, worst x {worst:.3f} (bar x {BAR}: {verdict})")


if __name__ == "__main__":
    main()
