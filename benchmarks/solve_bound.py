"""What no program can know of a take from its keypoints, beside what the solve knows: Bayesian Cramer-Rao bounds.

    python benchmarks/solve_bound.py roll --cameras 4 8 --seeds 11
    python benchmarks/solve_bound.py peaks --cameras 4 8 16 --seeds 1 2 3 4 5 --clips walk both
    python benchmarks/solve_bound.py contacts --cameras 4 8 16 --seeds 1 2

Of a take of ../shared/bench/make_take.py everything is told that no program knows: which detections are right, how
noisy each is, how the noise lasts, the performer's body, the pose around which the problem is linear, how each degree
of freedom moves (its own autocovariance over the true take) and how the true take's angles correlate, as a Gaussian
process. What is left is the spread that the noise alone makes (H. Van Trees, "Detection, estimation and modulation
theory I", 1968, section 2.4); no program has these priors. Three figures of it, each beside the solve in the same
frames:

- `roll`: of the upper arm, and the share within 15 degrees of the true plane of shoulder-elbow-wrist, where the elbow
  is bent by more than 20.
- `peaks`: of the speed at the take's greatest wrist peaks, and how often an estimate with that spread is within 3 %.
- `contacts`: of heights and speeds of heels and toes where contact begins and ends, and F1 of contacts if the solve's
  heights were as good as that. That standing feet are still is not told: the solve knows it, and beats it in speeds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import erf
from pathlib import Path

import numpy as np
from scipy.linalg import toeplitz
from solve_anatomy import BENT_DEG, FEET, around, at, by_foot, f1, in_contact, solved, world
from solve_bars import CLIPS, CMU, FPS, HALPE, Take, bench_module, make

from mocap.core.camera import Camera
from mocap.core.take import SolvedTake
from mocap.kernels.articulated import N_TRANSLATION, point_jacobian
from mocap.kernels.reprojection import PACKED_IDENTITY
from mocap.solve.body import JOINT_NAMES, LANDMARKS
from mocap.solve.contacts import contacts
from mocap.solve.fit import body_points, fit_pose, moves_matrix
from mocap.solve.motion_prior import FREE_RAD
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
NEAR_M, NEAR_M_S = 0.08, (0.1, 0.6)
"""Heels and toes below this height and of such speed are about to stand or to leave."""
STEP_M, STEP_RAD = 1e-4, 1e-4


def true_sigma_px(cameras: int, seed: int, frames: int, clips: str) -> np.ndarray:
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
        module.main([*argv, *(a for clip in CLIPS[clips] for a in ("--clip", str(CMU / clip)))])
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
    """Return [n frame n frame] the precision of all degrees' paths over a window, n = 3 + dof.

    Each degree has its own autocovariance over the take, L L'; two of them correlate as their angles do over the take:
    blocks r L_d L_e'. Root and what turns all the way round correlate with nothing.
    """
    path = np.cumsum(pose.velocities(dof), axis=0)
    time = np.arange(len(path))
    path = path - np.stack([np.polyval(np.polyfit(time, p, 1), time) for p in path.T], axis=1)
    whitened = []
    for d, p in enumerate(path.T):
        lags = np.array([(p[lag:] * p[: len(p) - lag]).sum() / len(p) for lag in range(WINDOW)])
        free = 1.0 if d < N_TRANSLATION else 0.0
        whitened.append(np.linalg.inv(np.linalg.cholesky(toeplitz(lags) + free + 1e-9 * np.eye(WINDOW))))
    n = path.shape[1]
    correlation = np.eye(n)
    held = N_TRANSLATION + np.flatnonzero(dof.prior_rad <= FREE_RAD)
    correlation[np.ix_(held, held)] = np.corrcoef(pose.angles(dof)[:, held - N_TRANSLATION].T)
    inverse = np.linalg.inv(correlation)
    out = np.empty((n, WINDOW, n, WINDOW))
    for d, e in np.ndindex(n, n):
        out[d, :, e] = inverse[d, e] * whitened[d].T @ whitened[e]
    return out


def pixel_slope(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Return d pixel / d point [frame landmark 2 3], by central differences."""
    slopes = [
        (project_points(camera, points + d) - project_points(camera, points - d)) / (2 * STEP_M)
        for d in STEP_M * np.eye(3)
    ]
    return np.stack(slopes, axis=-1)


def covariance(precision: np.ndarray, of_pixels: np.ndarray, usable: np.ndarray, sigma_px: np.ndarray) -> np.ndarray:
    """Return the posterior covariance [frame n frame n] of a window.

    precision [n frame n frame]; of_pixels [camera frame landmark 2 n] d pixel / d degree; usable and sigma_px [camera
    frame landmark].
    """
    n = len(precision)
    total = precision.transpose(1, 0, 3, 2).copy()
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


@dataclass(frozen=True, eq=False)
class Told:
    """A take with all that no program knows, and its solve."""

    take: Take
    result: SolvedTake
    shape: Shape
    dof: Freedom
    pose: Pose
    names: tuple[str, ...]
    sigma_px: np.ndarray
    """[camera frame landmark]"""
    jacobian: np.ndarray
    """[frame landmark 3 n]"""
    precision: np.ndarray
    """[n frame n frame] of a window's motion."""

    @property
    def n_frames(self) -> int:
        """Frames of the take."""
        return len(self.pose.root_m)

    def spread(self, low: int) -> np.ndarray:
        """Return the bound's covariance [frame n frame n] of the window that begins at a frame."""
        part, index = slice(low, low + WINDOW), [HALPE.landmarks.index(n) for n in self.names]
        detections = self.take.detections
        seen = np.isfinite(detections.xy_px[:, part, 0, index, 0])
        usable = ((self.take.flags[:, part][:, :, index] & UNUSABLE) == 0) & seen
        points = body_points(self.pose.frames(part), self.shape, self.names)[2]
        of_pixels = np.stack([pixel_slope(c, points) @ self.jacobian[part] for c in self.take.rig.cameras])
        return covariance(self.precision, of_pixels, usable, self.sigma_px[:, part])

    def of_points(self, low: int, frames: np.ndarray, landmarks: Sequence[str]) -> np.ndarray:
        """Return the covariance [frame landmark 3 frame landmark 3] of landmarks in frames of a window."""
        spread = self.spread(low)[frames][:, :, frames]
        J = self.jacobian[low + frames][:, [self.names.index(k) for k in landmarks]]
        return np.einsum("fkim,fmgn,gljn->fkiglj", J, spread, J, optimize=True)


def told(take: Take, clips: str, cameras: int, seed: int) -> Told:
    """Return a take with all that no program knows."""
    result, _ = solved(take)
    if result.performer is None:
        raise ValueError("the solve returned no profile of the performer")
    names = tuple(n for n in HALPE.landmarks if n in LANDMARKS)
    index = [HALPE.landmarks.index(n) for n in names]
    dof, shape = freedom(names), shape_of(result.performer)
    pose = true_pose(take.truth_m[:, index], shape, names, dof)
    R_world, joints, points = body_points(pose, shape, names)
    jacobian = point_jacobian(R_world, joints, points, dof.joint, pose.axes(dof), moves_matrix(names, dof))
    sigma_px = true_sigma_px(cameras, seed, len(take.truth_m), clips)[:, :, index]
    return Told(take, result, shape, dof, pose, names, sigma_px, jacobian, motion_precision(pose, dof))


def report_roll(t: Told, every: int) -> None:
    """Print the upper arms' roll."""
    ours = world(t.result)[0]
    sds, found = [], []
    for low in range(0, t.n_frames - WINDOW + 1, every):
        part, spread = slice(low, low + WINDOW), t.spread(low)
        for side, sign in (("Left", -1.0), ("Right", 1.0)):
            bone, normal, bend = limb(t.take.truth_m[part], side)
            hinge = sign * ours[part, t.result.motion.skeleton.index(f"{side}Arm"), :, 2]
            for f in range(WINDOW)[MIDDLE]:
                if bend[f] > BENT_DEG:
                    slope = roll_slope(t.pose.frames(slice(low + f, low + f + 1)), t.shape, t.dof, side)
                    sds.append(np.sqrt(slope @ spread[f, :, f] @ slope))
                    found.append(around(bone[f : f + 1], normal[f : f + 1], hinge[f : f + 1])[0])
    bound, error = np.array(sds), np.array(found)
    expected = np.mean([within(WITHIN_DEG, sd) for sd in bound])
    print(
        f"  {len(error)} samples: roll at best {np.sqrt((bound**2).mean()):.1f} deg rms, the solve "
        f"{np.sqrt((error**2).mean()):.1f}; within 15 at best {expected:.1%}, the solve "
        f"{(np.abs(error) <= WITHIN_DEG).mean():.1%}"
    )


def report_peaks(t: Told) -> None:
    """Print the greatest peak of each wrist's speed."""
    for wrist in ("LWrist", "RWrist"):
        true, ours = (x[:, at(wrist)] for x in (t.take.truth_m, t.result.keypoints.xyz_m))
        speed, own = (np.linalg.norm(np.gradient(x, axis=0), axis=-1) * float(FPS) for x in (true, ours))
        peak = int(np.argmax(speed))
        low = int(np.clip(peak - WINDOW // 2, 0, t.n_frames - WINDOW))
        sides = np.clip(np.array([peak - 1, peak + 1]) - low, 0, WINDOW - 1)
        spread = t.of_points(low, sides, [wrist])[:, 0, :, :, 0]
        way = true[low + sides[1]] - true[low + sides[0]]
        u = way / np.linalg.norm(way)
        along = u @ (spread[0, :, 0] + spread[1, :, 1] - spread[0, :, 1] - spread[1, :, 0]) @ u
        sd = np.sqrt(along) * float(FPS) / (sides[1] - sides[0]) / speed[peak]
        print(
            f"  {wrist} {speed[peak]:.2f} m/s: at best known to {sd:.1%} (1 sd), within 3 % in {within(0.03, sd):.0%}; "
            f"the solve's greatest is {own.max() / speed[peak]:.3f} of it"
        )


def report_contacts(t: Told, every: int) -> None:
    """Print heights and speeds of heels and toes about where contact begins and ends, and F1 with heights at the bound.

    Speeds are errors along the true way.
    """
    feet = [at(n) for n in FEET]
    true, ours = (x[:, feet] for x in (t.take.truth_m, t.result.keypoints.xyz_m))
    middle = np.arange(WINDOW)[MIDDLE.start : MIDDLE.stop]
    bounds, errors = [], []
    for low in range(0, t.n_frames - WINDOW + 1, every):
        frames = np.arange(middle[0] - 1, middle[-1] + 2)
        spread = t.of_points(low, frames, FEET)
        for n, k in np.ndindex(len(middle), len(feet)):
            f, (a, b) = low + middle[n], (n, n + 2)
            way = (true[f + 1, k] - true[f - 1, k])[:2]
            speed = np.linalg.norm(way) * float(FPS) / 2
            if true[f, k, 2] > NEAR_M or not NEAR_M_S[0] < speed < NEAR_M_S[1]:
                continue
            apart = [spread[i, k, :2, j, k, :2] for i, j in ((a, a), (b, b), (a, b), (b, a))]
            u = way / np.linalg.norm(way)
            along = u @ (apart[0] + apart[1] - apart[2] - apart[3]) @ u
            bounds.append((np.sqrt(spread[n + 1, k, 2, n + 1, k, 2]), np.sqrt(along) * float(FPS) / 2))
            own = (ours[f + 1, k] - ours[f - 1, k])[:2]
            errors.append((ours[f, k, 2] - true[f, k, 2], u @ (own - way) * float(FPS) / 2))
    bound, error = (np.sqrt((np.array(v) ** 2).mean(0)) for v in (bounds, errors))
    better = true + (ours - true) * [1.0, 1.0, min(1.0, bound[0] / error[0])]
    is_true, hips = by_foot(in_contact(true, true)), t.result.motion.root_translation_m
    scores = [f1(by_foot(contacts(x, hips, float(FPS))), is_true) for x in (ours, better, true)]
    print(
        f"  {len(errors)} samples: heights at best {bound[0] * 1e3:.1f} mm rms, the solve's {error[0] * 1e3:.1f}; "
        f"speeds {bound[1]:.3f} m/s, {error[1]:.3f}; contact F1 by foot {scores[0]:.3f}, with its heights' errors at "
        f"the bound {scores[1]:.3f}, with no errors {scores[2]:.3f}"
    )


def within(limit: float, sd: float) -> float:
    """Return the share of a normal variable that is within a limit."""
    return erf(limit / (sd * np.sqrt(2)))


def main() -> None:
    """Read the options and print bound and solve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("of", choices=("roll", "peaks", "contacts"))
    parser.add_argument("--cameras", type=int, nargs="*", default=[4, 8])
    parser.add_argument("--seeds", type=int, nargs="*", default=[11])
    parser.add_argument("--clips", nargs="+", choices=sorted(CLIPS), default=["walk"])
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--every", type=int, default=120, help="frames between the windows that are solved")
    args = parser.parse_args()
    cache = Path(tempfile.gettempdir()) / "mocap-solve-takes"
    for clips, cameras, seed in product(args.clips, args.cameras, args.seeds):
        print(f"{clips}, {cameras} cameras, seed {seed}", flush=True)
        t = told(make(cameras, seed, clips, args.frames, None, cache), clips, cameras, seed)
        if args.of == "roll":
            report_roll(t, args.every)
        elif args.of == "peaks":
            report_peaks(t)
        else:
            report_contacts(t, args.every)


if __name__ == "__main__":
    main()
