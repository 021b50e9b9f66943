"""Place cameras from one person alone through `mocap calibrate people` on bench takes, against the true rig.

    python benchmarks/calibration_people.py --cameras 4 8 --seeds 1 2 3 4 5

Takes are made by ../shared/bench/make_take.py; true lenses, scale from the thigh length LHip-LKnee of truth.npz. Errors
are the largest over the cameras after the best rigid motion (no scale) of centres and directions; bars: 0.5 degrees
and 30 mm. Also how far the floor under the feet is from the true one. Lower is better; tolerance 5 mm, 0.05 degrees.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from calibration.files import read_rig
from mocap.cli.main import main as mocap
from mocap.core.camera import CameraRig

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
CLIP = SHARED / "data/mocap_clips/cmu/cmu_12_01_walk.bvh"
MAX_DEG, MAX_MM = 0.5, 30.0


def make_take(folder: Path, cameras: int, seed: int, frames: int, *more: str) -> Path:
    """Return a bench take, made on first use."""
    take = folder / f"c{cameras}_s{seed}_f{frames}{''.join(more).replace('--', '_').replace('.', '')}"
    if not (take / "rig.toml").exists():
        command = [sys.executable, str(SHARED / "bench/make_take.py"), str(take), "--clip", str(CLIP)]
        command += ["--cameras", str(cameras), "--seed", str(seed), "--frames", str(frames), *more]
        subprocess.run(command, check=True, capture_output=True)
    return take


def run_mocap(*arguments: object) -> tuple[int, dict]:
    """Return the exit status and the JSON of a command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = mocap([*(str(a) for a in arguments), "--json"])
    return status, json.loads(out.getvalue())


def errors(rig: CameraRig, truth: CameraRig) -> tuple[float, float]:
    """Return the largest rotation (deg) and centre (mm) error after the best rigid motion of all cameras."""
    a, b = (np.stack([r[n].center_world_m for n in truth.names]) for r in (rig, truth))
    from_cam = [(rig[n].R_cam_from_world, truth[n].R_cam_from_world) for n in truth.names]
    H = (a - a.mean(0)).T @ (b - b.mean(0)) + sum(R.T @ S for R, S in from_cam)
    u, _, vt = np.linalg.svd(H)
    Q = vt.T @ np.diag([1, 1, np.linalg.det(vt.T @ u.T)]) @ u.T
    mm = 1000 * np.linalg.norm((a - a.mean(0)) @ Q.T + b.mean(0) - b, axis=-1)
    cosine = [(np.trace(R @ Q.T @ S.T) - 1) / 2 for R, S in from_cam]
    return float(np.rad2deg(np.arccos(np.clip(min(cosine), -1, 1)))), float(mm.max())


def floor_errors(rig: CameraRig, truth: CameraRig) -> tuple[float, float]:
    """Return how far the rig's up is from the true one (deg), and its cameras' heights on average (mm)."""
    up = np.sum([truth[n].R_cam_from_world.T @ rig[n].R_cam_from_world[:, 2] for n in truth.names], axis=0)
    tilt = np.rad2deg(np.arccos(np.clip(up[2] / np.linalg.norm(up), -1, 1)))
    high = np.mean([rig[n].center_world_m[2] - truth[n].center_world_m[2] for n in truth.names])
    return float(tilt), float(1000 * high)


def thigh_m(take: Path) -> float:
    """Return the true length of the left thigh."""
    truth = np.load(take / "truth/truth.npz")
    names = [str(n) for n in truth["keypoint_names"]]
    gap = truth["xyz"][0, :, names.index("LHip")] - truth["xyz"][0, :, names.index("LKnee")]
    return float(np.nanmean(np.linalg.norm(gap, axis=-1)))


def main() -> None:
    """Print one line per take and the worst."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--takes", type=Path, help="folder for the takes (default: a temporary one)")
    args = parser.parse_args()
    worst = np.zeros(2)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.takes or Path(temporary)
        for cameras in args.cameras:
            for seed in args.seeds:
                take = make_take(folder, cameras, seed, args.frames)
                out = Path(temporary) / "rig.toml"
                begin_s = time.perf_counter()
                known = ["--lens", take / "rig.toml", "--bone", f"LHip-LKnee={thigh_m(take):.5f}"]
                status, data = run_mocap(
                    "calibrate", "people", *known, "--keypoints", take / "pose", "--fps", 60, "--out", out
                )
                wall_s = time.perf_counter() - begin_s
                rig, truth = read_rig(out), read_rig(take / "rig.toml")
                deg, mm = errors(rig, truth)
                tilt_deg, high_mm = floor_errors(rig, truth)
                worst = np.maximum(worst, [deg, mm])
                print(
                    f"{cameras} cameras, seed {seed}: {deg:.3f} deg, {mm:.1f} mm (scale ± "
                    f"{100 * data['scale_sd_share']:.2f} %); floor tilted {tilt_deg:.2f} deg, {high_mm:+.0f} mm; "
                    f"{data['verdict']}, exit {status}, {wall_s:.1f} s",
                    flush=True,
                )
    print(
        f"worst: {worst[0]:.3f} deg of {MAX_DEG} ({worst[0] / MAX_DEG:.2f}), {worst[1]:.1f} mm of {MAX_MM:g} "
        f"({worst[1] / MAX_MM:.2f})"
    )


if __name__ == "__main__":
    main()
