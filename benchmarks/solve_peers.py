"""Ours beside the peers' methods on the same takes in one run: accuracy, smoothness, bones and time per frame.

    python benchmarks/solve_peers.py --cameras 4 8 16 --frames 600 --anipose-python ~/anipose/bin/python

Methods: `mocap reconstruct`; linear triangulation weighted by score, re-weighted, and told every outlier (of
../shared/bench/reference_dlt.py); triangulation that drops the worst camera until the rest agree and then filters, as
Pose2Sim does; aniposelib's `triangulate_optim` with constant bones, where --anipose-python names an environment with
aniposelib 0.8.0. All are scored by ../shared/bench/score.py. Times leave out reading and writing of files; "x ours" is
a method's time per frame over ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from scipy.signal import butter, filtfilt

from mocap.core.keypoints import load_keypoint_set

HERE = Path(__file__).resolve().parent
BENCH = HERE.parent.parent / "shared/bench"
CLIP = HERE.parent.parent / "shared/data/mocap_clips/cmu/cmu_12_01_walk.bvh"
FPS = 60
POSE2SIM_ERROR_PX, POSE2SIM_CUTOFF_HZ = 15.0, 6.0


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one method made of a take."""

    xyz_m: np.ndarray
    """[frame keypoint 3]"""
    ms_per_frame: float


@dataclass(frozen=True, eq=False)
class Take:
    """A take on disk and, as the reference methods want it, in memory."""

    folder: Path
    cameras: list[dict[str, Any]]
    points: np.ndarray
    """[camera frame keypoint 3] of x, y, score."""


def bench_module(name: str) -> ModuleType:
    """Return a module of ../shared/bench."""
    sys.path.insert(0, str(BENCH))
    try:
        return __import__(name)
    finally:
        sys.path.pop(0)


def make_take(folder: Path, cameras: int, seed: int, frames: int) -> Take:
    """Return a take with default noise, made anew."""
    options = ["--cameras", str(cameras), "--seed", str(seed), "--frames", str(frames), "--overwrite"]
    command = [sys.executable, str(BENCH / "make_take.py"), str(folder), "--clip", str(CLIP), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rig = bench_module("benchlib").read_rig(folder / "rig.toml")
    return Take(folder, rig, bench_module("reference_dlt").load_detections(folder, rig))


def ours(take: Take) -> Outcome:
    """`mocap reconstruct`, from reading's end to the solve's."""
    out = take.folder / "ours"
    command = [str(Path(sys.executable).with_name("mocap")), "reconstruct", "--fps", str(FPS), "--out", str(out)]
    command += [
        "--rig",
        str(take.folder / "rig.toml"),
        "--keypoints",
        str(take.folder / "pose"),
        "--to",
        "trc",
        "--json",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = json.loads(done.stdout)["seconds"]
    work_s = seconds["total"] - sum(seconds.get(k, 0.0) for k in ("start", "read", "export", "report"))
    read = bench_module("benchlib").read_trc(out / "subject_0.trc")
    return Outcome(read["xyz"], 1000 * work_s / take.points.shape[1])


def reference(method: str, cutoff_hz: float | None) -> Callable[[Take], Outcome]:
    """Return a method of reference_dlt.py."""

    def run(take: Take) -> Outcome:
        xyz_m, _, ms = bench_module("reference_dlt").triangulate(take.folder, method, fc=cutoff_hz)
        return Outcome(xyz_m, ms)

    return run


def linear(take: Take, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return xyz_m [frame keypoint 3] and the error in pixels [camera frame keypoint], NaN where the weight is 0."""
    lib = bench_module("benchlib")
    pose = np.stack([np.c_[c["R"], c["t"]] for c in take.cameras])
    rays = np.stack([lib.undistort(p[..., :2], c) for p, c in zip(take.points, take.cameras, strict=True)])
    xyz_m = bench_module("reference_dlt").dlt(rays, weight, pose)
    projected = np.stack([lib.project(xyz_m, c)[0] for c in take.cameras])
    error_px = np.linalg.norm(projected - take.points[..., :2], axis=-1)
    return xyz_m, np.where(weight > 0, error_px, np.nan)


def mean_error(error_px: np.ndarray) -> np.ndarray:
    """Return the mean over the cameras in use; 0 where none is."""
    return np.nansum(error_px, 0) / np.maximum(np.isfinite(error_px).sum(0), 1)


def pose2sim_like(take: Take) -> Outcome:
    """Weighted linear triangulation; while a point's mean error is above 15 px the worst camera goes; then a filter.

    Pose2Sim tries all subsets of cameras; leaving out the worst one repeatedly finds nearly the same at linear cost.
    """
    start = time.perf_counter()
    weight = np.where(take.points[..., 2] > 0.3, take.points[..., 2], 0.0)
    xyz_m, error_px = linear(take, weight)
    while (bad := (mean_error(error_px) > POSE2SIM_ERROR_PX) & (np.isfinite(error_px).sum(0) > 2)).any():
        worst = np.argmax(np.nan_to_num(error_px, nan=-1), axis=0)
        frame, keypoint = np.nonzero(bad)
        weight[worst[frame, keypoint], frame, keypoint] = 0.0
        xyz_m, error_px = linear(take, weight)
    xyz_m[mean_error(error_px) > POSE2SIM_ERROR_PX] = np.nan
    coefficients = butter(2, POSE2SIM_CUTOFF_HZ / (FPS / 2))
    at = np.arange(len(xyz_m))
    for k in range(xyz_m.shape[1]):
        known = np.isfinite(xyz_m[:, k, 0])
        whole = np.stack([np.interp(at, at[known], xyz_m[known, k, i]) for i in range(3)], -1)
        xyz_m[:, k] = filtfilt(*coefficients, whole, axis=0)
    return Outcome(xyz_m, 1000 * (time.perf_counter() - start) / len(xyz_m))


def anipose(python: Path) -> Callable[[Take], Outcome]:
    """Return aniposelib's method, run with that Python."""

    def run(take: Take) -> Outcome:
        given, made = take.folder / "anipose_in.npz", take.folder / "anipose_out.npz"
        bones = np.array(load_keypoint_set("halpe26").bones)
        np.savez(given, xy_px=take.points[..., :2], score=take.points[..., 2], bones=bones)
        script = HERE / "peers/anipose.py"
        command = [str(python), str(script), str(take.folder / "rig.toml"), str(given), str(made)]
        subprocess.run(command, check=True, capture_output=True)
        done = np.load(made)
        return Outcome(done["xyz_m"], 1000 * float(done["seconds"]) / take.points.shape[1])

    return run


def methods(anipose_python: Path | None) -> Iterator[tuple[str, Callable[[Take], Outcome]]]:
    """Yield name and function of every method, ours first."""
    yield "mocap reconstruct", ours
    yield "linear, weighted", reference("weighted", None)
    yield "linear, re-weighted, 6 Hz", reference("irls", 6.0)
    yield "linear, told outliers, 6 Hz", reference("oracle", 6.0)
    yield "Pose2Sim-like, 6 Hz", pose2sim_like
    if anipose_python:
        yield "aniposelib optim, bones", anipose(anipose_python)


def main() -> None:
    """Make takes, run all methods on each, print one table per number of cameras."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--anipose-python", type=Path)
    args = parser.parse_args()
    score = bench_module("score")
    for cameras in args.cameras:
        print(f"\n{cameras} cameras, {args.frames} frames, seeds {args.seeds}")
        print(f"{'':<30}{'MPJPE':>8}{'p95':>8}{'bone sd':>9}{'acc err':>9}{'cover':>8}{'ms/frame':>10}{'x ours':>8}")
        rows: dict[str, list[tuple[dict[str, Any], float]]] = {}
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as folder:
                take = make_take(Path(folder) / "take", cameras, seed, args.frames)
                truth, fps, bones = score.load_truth(take.folder / "truth")
                for name, run in methods(args.anipose_python):
                    done = run(take)
                    figures = score.score(truth, fps, bones, [done.xyz_m], [set(range(26))])
                    rows.setdefault(name, []).append((figures, done.ms_per_frame))
        for name, results in rows.items():
            figures = {
                key: np.mean([f["overall"][key] for f, _ in results])
                for key in ("mpjpe_mm", "p95_mm", "bone_sd_mm", "acc_err_mean_m_s2", "coverage")
            }
            ms, own_ms = (np.median([m for _, m in rows[n]]) for n in (name, "mocap reconstruct"))
            print(
                f"{name:<30}{figures['mpjpe_mm']:8.2f}{figures['p95_mm']:8.1f}{figures['bone_sd_mm']:9.2f}"
                f"{figures['acc_err_mean_m_s2']:9.1f}{figures['coverage']:8.3f}{ms:10.2f}{ms / own_ms:8.2f}"
            )


if __name__ == "__main__":
    main()
