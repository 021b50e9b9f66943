"""How well clocks can be known at all from the keypoints of a take: the Cramer-Rao bound.

    python benchmarks/sync_bound.py --cameras 4 --seeds 1 2 3 [--limbs]

Of a take of ../shared/bench/make_take.py everything is told that no program knows: which detections are right, how
noisy each is, how the noise lasts, and the motion around which the problem is linear. Unknown are each camera's
offset, rate and image shift, and of each keypoint a cubic spline in space (a knot every 3 frames); generalised least
squares then has the smallest variance that any unbiased estimate can have. `motion known` leaves the splines out: not
even a perfect model of the performer does better than that. Computed on --frames and scaled to 3000 frames: the
variance of a rate falls with the cube of the duration.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
from math import erf
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import cholesky, solve_triangular

from mocap.core.keypoints import load_keypoint_set
from mocap.sync.signals import limb_keypoints

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
CLIP = SHARED / "data/mocap_clips/cmu/cmu_12_01_walk.bvh"
KNOT_FRAMES = 3.0
KEEP, SHARE = 0.9, 0.5
"""Of make_take.py's noise, from its README."""
SHIFT_PX = 10.0
LONG = 3000
N_UNKNOWN = 4  # offset, rate, image shift x and y
WRONG = 4 | 8  # flags of detections that are swapped or have jumped
STEP_M = 1e-4


def make(seed: int, cameras: int, frames: int) -> list[tuple[Any, np.ndarray, tuple[np.ndarray, ...]]]:
    """Return of each camera itself, the true points [frame keypoint 3], and all that make_take.py draws."""
    sys.path.insert(0, str(SHARED / "bench"))
    bench: Any = importlib.import_module("make_take")
    seen: list[tuple[Any, np.ndarray, tuple[np.ndarray, ...]]] = []
    detect = bench.detect

    def record(camera: Any, points: np.ndarray, present: Any, faults: Any, rng: Any) -> Any:
        drawn = detect(camera, points, present, faults, rng)
        seen.append((camera, points[0], tuple(v[0] for v in drawn)))
        return drawn

    bench.detect = record
    folder = tempfile.mkdtemp(prefix="sync-bound-")
    options = f"--clip {CLIP} --cameras {cameras} --seed {seed} --frames {frames} --drift-ppm 40"
    try:
        bench.main([f"{folder}/take", *options.split()])
    finally:
        bench.detect = detect
        shutil.rmtree(folder)
    return seen


def standard_errors(seed: int, cameras: int, frames: int, limbs_only: bool) -> tuple[np.ndarray, ...]:
    """Return root-mean-square standard errors over the cameras, each [free or known motion].

    Of offsets in the middle of the take (s) and of rates against the first camera, which the error of that camera is
    part of, and of rates against the cameras' common rate: only differences between cameras can be seen at all.
    """
    seen = make(seed, cameras, frames)
    project: Any = importlib.import_module("benchlib").project
    time = np.arange(frames, dtype=float)
    inner = np.linspace(0, frames - 1, int(frames / KNOT_FRAMES))
    spline = BSpline.design_matrix(time, np.r_[[0.0] * 3, inner, [frames - 1.0] * 3], 3).toarray()
    lasting = SHARE * KEEP ** np.abs(time[:, None] - time) + (1 - SHARE) * np.eye(frames)
    size = N_UNKNOWN * cameras
    free, known = np.zeros((size, size)), np.zeros((size, size))
    limbs = limb_keypoints(load_keypoint_set("halpe26"))
    for k in limbs if limbs_only else range(seen[0][1].shape[1]):
        A = np.zeros((3 * spline.shape[1],) * 2)
        G, D = np.zeros((len(A), size)), np.zeros((size, size))
        for c, (camera, points, (_, score, flags, clean, sigma)) in enumerate(seen):
            ok = (score[:, k] > 0) & ((flags[:, k] & WRONG) == 0)
            if ok.sum() < 20:
                continue
            factor = cholesky(sigma[ok, k, None] * lasting[np.ix_(ok, ok)] * sigma[ok, k], lower=True)
            here = points[:, k]
            J = np.stack([(project(here + e, camera)[0] - clean[:, k]) / STEP_M for e in STEP_M * np.eye(3)], -1)
            speed = np.gradient(clean[:, k], 1 / 60, axis=0)
            for axis in range(2):
                own = np.zeros((frames, size))
                own[:, N_UNKNOWN * c] = speed[:, axis]
                own[:, N_UNKNOWN * c + 1] = speed[:, axis] * (time - time.mean()) / 60
                own[:, N_UNKNOWN * c + 2 + axis] = 1.0
                by_point = (spline[:, None, :] * J[:, axis, :, None]).reshape(frames, -1)
                white = solve_triangular(factor, np.hstack([by_point, own])[ok], lower=True)
                P, Q = white[:, : len(A)], white[:, len(A) :]
                A, G, D = A + P.T @ P, G + P.T @ Q, D + Q.T @ Q
        A += 1e-9 * np.trace(A) / len(A) * np.eye(len(A))
        free += D - G.T @ np.linalg.solve(A, G)
        known += D
    prior = np.diag(np.tile([0.0, 0.0, SHIFT_PX**-2, SHIFT_PX**-2], cameras))
    out = []
    for normal in (free, known):
        covariance = np.zeros((size, size))
        covariance[2:, 2:] = np.linalg.inv((normal + prior)[2:, 2:])
        offset, rate = covariance[::N_UNKNOWN, ::N_UNKNOWN], covariance[1::N_UNKNOWN, 1::N_UNKNOWN]
        common = np.eye(cameras) - 1 / cameras
        each = (np.diag(offset)[1:], np.diag(rate)[1:], np.diag(common @ rate @ common))
        out.append([np.sqrt(np.mean(v)) for v in each])
    return tuple(np.array(out).T)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--limbs", action="store_true", help="only the keypoints that mocap.sync looks at")
    args = parser.parse_args()
    found = np.array([standard_errors(seed, args.cameras, args.frames, args.limbs) for seed in args.seeds])
    scale = 1e6 * (args.frames / LONG) ** 1.5
    for i, label in enumerate(("motion free", "motion known")):
        offset_s, first, common = np.sqrt(np.mean(found[:, :, i] ** 2, axis=0))
        shares = [erf(10 / (v * scale) / np.sqrt(2)) for v in (first, common)]
        print(
            f"{args.cameras} cameras, {label}: at {args.frames} frames no better than {offset_s * 1e3:.2f} ms (1 sd) "
            f"in the middle; rates at {LONG} frames no better than {first * scale:.1f} ppm against the first camera "
            f"(by take {_list(found[:, 1, i] * scale)}), at most {shares[0]:.0%} within 10 ppm; {common * scale:.1f} "
            f"ppm against the common rate (by take {_list(found[:, 2, i] * scale)}), at most {shares[1]:.0%}",
            flush=True,
        )


def _list(values: np.ndarray) -> str:
    return ", ".join(f"{v:.1f}" for v in values)


if __name__ == "__main__":
    main()
