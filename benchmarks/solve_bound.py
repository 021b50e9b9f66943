"""How well an upper arm's roll can be known at all from the keypoints of a take: a Bayesian Cramer-Rao bound.

    python benchmarks/solve_bound.py --cameras 4 8 --seeds 11

Of a take of ../shared/bench/make_take.py everything is told that no program knows: which detections are right, how
noisy each is, how the noise lasts, the performer's body, the pose around which the problem is linear, and how each
degree of freedom moves (its own autocovariance over the true take, as a Gaussian process). What is left is the spread
of the roll that the noise alone makes (H. Van Trees, "Detection, estimation and modulation theory I", 1968, section
2.4). Beside it: the solve's roll in the same frames, and the share of either within 15 degrees of the true plane of
shoulder-elbow-wrist, where the elbow is bent by more than 20. Degrees are taken as independent of each other, so a
prior that knows how joints move together could do somewhat better; no program has these priors.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from math import erf
from pathlib import Path

import numpy as np
from scipy.linalg import toeplitz
from solve_anatomy import BENT_DEG, around, at, solved, world
from solve_bars import CLIPS, CMU, HALPE, Take, bench_module, make

from mocap.core.camera import Camera
from mocap.kernels.articulated import N_TRANSLATION, point_jacobian
from mocap.kernels.reprojection import PACKED_IDENTITY
from mocap.solve.body import JOINT_NAMES, LANDMARKS
from mocap.solve.fit import body_points, fit_pose, moves_matrix
from mocap.solve.pose import Freedom, Pose, first_pose, freedom
from mocap.solve.profile import shape_of
from mocap.solve.shape import Shape
from mocap.synth.detections import project_points

WINDOW, MIDDLE = 60, slice(20, 40, 4)
"""Frames solved at once, and those looked at: noise and motion are forgotten after a few tenths of a second."""
KEEP, SHARE = 0.9, 0.5
"""Of make_take.py's noise, from its README: how much of it is correlated, and from frame to frame how strongly."""
UNUSABLE = 1 | 2 | 4 | 8 | 16
WITHIN_DEG = 15.0
STEP_M, STEP_RAD = 1e-4, 1e-4


def true_sigma_px(cameras: int, seed: int, frames: int) -> np.ndarray:
    """Return the standard deviation [camera frame keypoint] that make_take.py drew for each detection."""
    module = bench_module("make_take")
    detect, seen = module.detect, []

    def record(*args: object) -> object:
        drawn = detect(*args)
        seen.append(drawn[4][0])
        return drawn

    module.detect = record
    module.write_json = lambda _folder, _name, _uv, conf, _rng: np.zeros((conf.shape[1], 1), np.int8)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        argv = [folder, "--cameras", str(cameras), "--seed", str(seed), "--frames", str(frames), "--overwrite"]
        module.main([*argv, "--clip", str(CMU / CLIPS["walk"][0])])
    module.detect = detect
    return np.stack(seen)


def true_pose(truth_m: np.ndarray, shape: Shape, names: tuple[str, ...], dof: Freedom) -> Pose:
    """Return the pose of the performer's body that fits the true landmarks [frame landmark 3]."""

    def exact(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weight = np.full(points.shape[:2], 1e6)
        return weight[..., None] * PACKED_IDENTITY, weight[..., None] * (points - truth_m)

    pose = first_pose(dict(zip(names, truth_m.swapaxes(0, 1), strict=True)))
    for _ in range(3):
        pose = fit_pose(pose, shape, names, dof, exact)
    return pose


def motion_precision(pose: Pose, dof: Freedom) -> np.ndarray:
    """Return [3+dof frame frame] the precision of each degree's path over a window, from its autocovariance."""
    path = np.cumsum(pose.velocities(dof), axis=0)
    time = np.arange(len(path))
    path = path - np.stack([np.polyval(np.polyfit(time, p, 1), time) for p in path.T], axis=1)
    out = []
    for d, p in enumerate(path.T):
        lags = np.array([(p[lag:] * p[: len(p) - lag]).sum() / len(p) for lag in range(WINDOW)])
        free = 1.0 if d < N_TRANSLATION else 0.0
        out.append(np.linalg.inv(toeplitz(lags) + free + 1e-9 * np.eye(WINDOW)))
    return np.stack(out)


def pixel_slope(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Return d pixel / d point [frame landmark 2 3], by central differences."""
    slopes = [
        (project_points(camera, points + d) - project_points(camera, points - d)) / (2 * STEP_M)
        for d in STEP_M * np.eye(3)
    ]
    return np.stack(slopes, axis=-1)


def covariance(precision: np.ndarray, of_pixels: np.ndarray, usable: np.ndarray, sigma_px: np.ndarray) -> np.ndarray:
    """Return the posterior covariance [frame n frame n] of a window.

    precision [n frame frame]; of_pixels [camera frame landmark 2 n] d pixel / d degree; usable and sigma_px [camera
    frame landmark].
    """
    n = len(precision)
    total = np.zeros((WINDOW, n, WINDOW, n))
    for d in range(n):
        total[:, d, :, d] += precision[d]
    for c, k in np.ndindex(usable.shape[0], usable.shape[2]):
        frames = np.flatnonzero(usable[c, :, k])
        lasting = KEEP ** np.abs(frames[:, None] - frames)
        noise = (SHARE * lasting + (1 - SHARE) * np.eye(len(frames))) * np.outer(*[sigma_px[c, frames, k]] * 2)
        weight = np.linalg.inv(noise)
        moving = np.flatnonzero(np.abs(of_pixels[c, :, k]).sum((0, 1)) > 0)
        rows = of_pixels[c, frames, k][..., moving]
        block = sum(weight[:, None, :, None] * rows[:, u, :, None, None] * rows[None, None, :, u] for u in range(2))
        total[np.ix_(frames, moving, frames, moving)] += block
    return np.linalg.inv(total.reshape(WINDOW * n, -1)).reshape(total.shape)


def roll_slope(pose: Pose, shape: Shape, dof: Freedom, side: str) -> np.ndarray:
    """Return d roll / d degree [n] of the plane of shoulder, elbow and wrist, degrees per radian (metre)."""

    def plane(p: Pose) -> tuple[np.ndarray, np.ndarray]:
        joints = p.world(shape.anatomy.parents, shape.offsets_m())[1]
        a, b, c = (joints[:, JOINT_NAMES.index(side + j)] for j in ("Arm", "ForeArm", "Hand"))
        return b - a, np.cross(b - a, c - b)

    bone, normal = plane(pose)
    n = N_TRANSLATION + len(dof.joint)
    moved = (pose.moved(step[None], dof) for step in STEP_RAD * np.eye(n))
    return np.array([around(bone, normal, plane(p)[1])[0] for p in moved]) / STEP_RAD


def limb(truth_m: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the true upper arm [frame 3], normal of the arm's plane [frame 3] and bend in degrees [frame]."""
    a, b, c = (truth_m[:, at(side[0] + n)] for n in ("Shoulder", "Elbow", "Wrist"))
    normal = np.cross(b - a, c - b)
    return b - a, normal, np.degrees(np.arctan2(np.linalg.norm(normal, axis=-1), ((b - a) * (c - b)).sum(-1)))


def compare(take: Take, sigma_px: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the bound's standard deviations of the roll and the solve's errors, in degrees, in the same frames."""
    result, _ = solved(take)
    if result.performer is None:
        raise ValueError("the solve returned no profile of the performer")
    names = tuple(n for n in HALPE.landmarks if n in LANDMARKS)
    index = [HALPE.landmarks.index(n) for n in names]
    dof, shape = freedom(names), shape_of(result.performer)
    pose = true_pose(take.truth_m[:, index], shape, names, dof)
    R_world, joints, points = body_points(pose, shape, names)
    jacobian = point_jacobian(R_world, joints, points, dof.joint, pose.axes(dof), moves_matrix(names, dof))
    usable = ((take.flags[:, :, index] & UNUSABLE) == 0) & np.isfinite(take.detections.xy_px[:, :, 0, index, 0])
    precision, ours = motion_precision(pose, dof), world(result)[0]
    bounds, errors = [], []
    for low in range(0, len(points) - WINDOW + 1, every):
        part = slice(low, low + WINDOW)
        of_pixels = np.stack([pixel_slope(c, points[part]) @ jacobian[part] for c in take.rig.cameras])
        spread = covariance(precision, of_pixels, usable[:, part], sigma_px[:, part][:, :, index])
        for side, sign in (("Left", -1.0), ("Right", 1.0)):
            bone, normal, bend = limb(take.truth_m[part], side)
            hinge = sign * ours[part, result.motion.skeleton.index(f"{side}Arm"), :, 2]
            for f in range(WINDOW)[MIDDLE]:
                if bend[f] > BENT_DEG:
                    slope = roll_slope(pose.frames(slice(low + f, low + f + 1)), shape, dof, side)
                    bounds.append(np.sqrt(slope @ spread[f, :, f] @ slope))
                    errors.append(around(bone[f : f + 1], normal[f : f + 1], hinge[f : f + 1])[0])
    return np.array(bounds), np.array(errors)


def main() -> None:
    """Read the options and print bound and solve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="*", default=[4, 8])
    parser.add_argument("--seeds", type=int, nargs="*", default=[11])
    parser.add_argument("--frames", type=int, default=1200)
    parser.add_argument("--every", type=int, default=120, help="frames between the windows that are solved")
    args = parser.parse_args()
    cache = Path(tempfile.gettempdir()) / "mocap_bench"
    for cameras in args.cameras:
        for seed in args.seeds:
            take = make(cameras, seed, "walk", args.frames, None, cache)
            bound, error = compare(take, true_sigma_px(cameras, seed, args.frames), args.every)
            expected = np.mean([erf(WITHIN_DEG / (sd * np.sqrt(2))) for sd in bound])
            print(
                f"{cameras} cameras, seed {seed}, {len(error)} samples: roll at best {np.sqrt((bound**2).mean()):.1f} "
                f"deg rms, the solve {np.sqrt((error**2).mean()):.1f}; within 15 at best {expected:.1%}, the solve "
                f"{(np.abs(error) <= WITHIN_DEG).mean():.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
