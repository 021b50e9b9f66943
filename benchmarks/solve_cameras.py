"""What solving cameras and clocks together with the skeleton repairs, on takes of known truth.

    python benchmarks/solve_cameras.py --cameras 4 8 --seeds 1 2 3 --frames 1200

Each camera of a take of ../shared/bench/make_take.py is turned and moved (--turn-deg, --shift-mm: lengths of random
vectors, rms) and its clock shifted (--late-ms, 1 sd). For rig and clocks as they are, corrected from points alone
(`calibrate refine --clocks`), solved with the skeleton, and true: MPJPE, the same after one rigid alignment of the take
(all cameras moving alike, which no footage tells, does not count), and the worst clock. The last line of a take solves
cameras and clocks that are right already, which must stay.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from solve_bars import CLIPS, FPS, Take, make

from calibration.refine import refine_extrinsics
from calibration.rigid import rigid_fit
from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline
from mocap.core.progress import NoProgress
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.take import solve_take
from sessions.camera_solve import SolvedCameras, solve_cameras


def disturbed(take: Take, args: argparse.Namespace, rng: np.random.Generator) -> tuple[CameraRig, np.ndarray]:
    """Return the rig with every camera a little off, and how late each clock is [camera] seconds, the first right."""
    cameras = []
    for camera in take.rig.cameras:
        R = quat_to_matrix(quat_exp(np.radians(args.turn_deg) * rng.normal(size=3) / np.sqrt(3)))
        R = R @ camera.R_cam_from_world
        centre_m = camera.center_world_m + 1e-3 * args.shift_mm * rng.normal(size=3) / np.sqrt(3)
        cameras.append(camera.with_extrinsics(R, -R @ centre_m))
    late_s = 1e-3 * args.late_ms * rng.normal(size=len(cameras))
    late_s[0] = 0.0
    return CameraRig(tuple(cameras)), late_s


def report(label: str, rig: CameraRig, seen: Keypoints2D, late_s: np.ndarray, take: Take) -> None:
    """Print the figures of a rig with detections at corrected times; late_s [camera] is what is left to correct."""
    result = solve_take(rig, reconstruct_points(seen, rig, common_timeline(seen.time_s, FPS)))
    at = np.rint(result.keypoints.time_s * float(FPS)).astype(int)
    inside = (at >= 0) & (at < len(take.truth_m))
    ours, true = result.keypoints.xyz_m[inside].reshape(-1, 3), take.truth_m[at[inside]].reshape(-1, 3)
    R, t = rigid_fit(ours, true)
    plain, fitted = (1e3 * np.linalg.norm(x - true, axis=1).mean() for x in (ours, ours @ R.T + t))
    worst_ms = 1e3 * np.abs(late_s - late_s[0]).max()
    print(f"  {label:28s} MPJPE {plain:5.2f} mm, aligned {fitted:5.2f} mm, worst clock {worst_ms:.2f} ms", flush=True)


def solved(rig: CameraRig, seen: Keypoints2D) -> SolvedCameras:
    """Return cameras and clocks solved with the skeleton."""
    timeline = common_timeline(seen.time_s, FPS)
    return solve_cameras(rig, seen, timeline, ("cameras", "clocks"), None, NoProgress())


def run(take: Take, seed: int, args: argparse.Namespace) -> None:
    """Print the lines of one take."""
    rig, late_s = disturbed(take, args, np.random.default_rng([seed, 900]))
    right = take.detections
    seen = replace(right, time_s=right.time_s + late_s[:, None])
    report("as they are", rig, seen, late_s, take)
    refined = refine_extrinsics(rig, seen, free_time_offsets=True)
    moved_s = np.array([refined.moved[n].time_s if n in refined.moved else 0.0 for n in rig.names])
    corrected = replace(seen, time_s=seen.time_s + moved_s[:, None])
    report("corrected from points", refined.rig, corrected, late_s + moved_s, take)
    found = solved(rig, seen)
    left_s = np.nanmean(found.timed(seen).time_s - right.time_s, axis=1)
    report("solved with the skeleton", found.rig, found.timed(seen), left_s, take)
    report("true", take.rig, right, np.zeros(len(rig)), take)
    (said,) = solved(take.rig, right).diagnostics
    print(f"  true, solved nevertheless: {said.code}")


def main() -> None:
    """Read the options and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--clips", nargs="+", choices=sorted(CLIPS), default=["both"])
    parser.add_argument("--frames", type=int, default=1200)
    parser.add_argument("--turn-deg", type=float, default=0.15)
    parser.add_argument("--shift-mm", type=float, default=6.0)
    parser.add_argument("--late-ms", type=float, default=4.0)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "mocap-solve-takes")
    args = parser.parse_args()
    for clips in args.clips:
        for cameras in args.cameras:
            for seed in args.seeds:
                print(f"{clips}, {cameras} cameras, seed {seed}", flush=True)
                run(make(cameras, seed, clips, args.frames, None, args.cache), seed, args)


if __name__ == "__main__":
    main()
