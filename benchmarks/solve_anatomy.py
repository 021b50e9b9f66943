"""Anatomy of the solve against known truth: roll, ranges, segments, feet, impossible motion, a performer's profile.

    python benchmarks/solve_anatomy.py --cameras 4 8 --seeds 1 2 3 4 5 --clips walk
    python benchmarks/solve_anatomy.py --cameras 8 --seeds 1 --shoot --impossible --profile

Takes come from ../shared/bench/make_take.py, feet are scored by ../shared/bench/score_bvh.py on the exported BVH. Each
figure stands beside its bar. `--shoot` takes the exact pixels of the rendered shoot, hands included, and compares the
forearms' roll with the knuckles. `--impossible` puts jumps, joints beyond their range and penetrations into all views.
`--profile` solves with two cameras, without and with the body that a take with all cameras found.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from solve_bars import CLIPS, FPS, HALPE, SHARED, SWAPPED, Take, bench_module, make

from calibration.files import read_rig
from exporters.table import export
from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D, load_keypoint_set
from mocap.core.limbs import put_back
from mocap.core.observations import common_timeline
from mocap.core.performer import PerformerProfile
from mocap.core.take import SolvedTake
from mocap.kernels.kinematics import forward_kinematics
from mocap.kernels.rotations import quat_exp, quat_rotate
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.body import JOINT_NAMES, RIG_JOINTS
from mocap.solve.limits import greatest_excess_deg
from mocap.solve.take import solve_take
from mocap.synth.detections import project_points

SEGMENTS = (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"))
FEET = ("LHeel", "LBigToe", "RHeel", "RBigToe")
LIMBS = (
    ("Arm", "ForeArm", ("Shoulder", "Elbow", "Wrist"), 1, 2),
    ("UpLeg", "Leg", ("Hip", "Knee", "Ankle"), 2, 1),
)
"""Joints, keypoints, axis of the bone and of the hinge in the upper joint's frame."""
BENT_DEG = 20.0
WELL_BENT_DEG = 30.0
SHORT_FRAMES = 150
"""Of a take with two cameras: a long one tells the body by itself."""


def at(name: str) -> int:
    """Return the index of a keypoint."""
    return HALPE.names.index(name)


def solved(take: Take, profile: PerformerProfile | None = None) -> tuple[SolvedTake, float]:
    """Return the result and the processor's milliseconds per frame of points and solve."""
    start = time.process_time()
    timeline = common_timeline(take.detections.time_s, FPS)
    result = solve_take(take.rig, reconstruct_points(take.detections, take.rig, timeline), performer=profile)
    return result, (time.process_time() - start) * 1e3 / timeline.n_frames


def world(take: SolvedTake) -> tuple[np.ndarray, np.ndarray]:
    """Return world rotations [frame joint 3 3] and joint positions [frame joint 3]."""
    m = take.motion
    return forward_kinematics(m.skeleton.parents, m.skeleton.offset_m, m.root_translation_m, m.local_wxyz)


def around(axis: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angle in degrees [frame] about `axis` from a to b, [frame 3] each."""
    axis = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    return np.degrees(
        np.arctan2((np.cross(a, b) * axis).sum(-1), (a * b).sum(-1) - (a * axis).sum(-1) * (b * axis).sum(-1))
    )


def roll_step_deg(R: np.ndarray, bone: int) -> float:
    """Return the greatest turn about the bone's own axis from frame to frame of rotations [frame 3 3]."""
    across = (bone + 1) % 3
    return float(np.abs(around(R[1:, :, bone], R[:-1, :, across], R[1:, :, across])).max())


def report_roll(result: SolvedTake, truth_m: np.ndarray) -> None:
    """Print the roll of upper arms and thighs against the plane of the limb in the truth."""
    R, _ = world(result)
    joint = result.motion.skeleton.index
    for upper, lower, (a, b, c), bone, hinge in LIMBS:
        off, bends, jumps = [], [], []
        for side in ("Left", "Right"):
            A, B, C = (truth_m[:, at(side[0] + n)] for n in (a, b, c))
            normal = np.cross(B - A, C - B)
            bend = np.degrees(np.arctan2(np.linalg.norm(normal, axis=-1), ((B - A) * (C - B)).sum(-1)))
            axis = R[:, joint(side + upper), :, hinge] * (-1.0 if upper == "Arm" and side == "Left" else 1.0)
            off.append(np.abs(around(B - A, normal, axis))[bend > BENT_DEG])
            bends.append(bend[bend > BENT_DEG])
            jumps += [roll_step_deg(R[:, joint(side + j)], bone) for j in (upper, lower)]
        error, far = np.concatenate(off), np.concatenate(bends) > WELL_BENT_DEG
        print(
            f"  roll {upper}: from the limb's plane median {np.median(error):.1f} p95 {np.percentile(error, 95):.1f} "
            f"max {error.max():.1f} deg, within 15: {(error <= 15).mean():.2%} (bar: all), bent by more "
            f"than {WELL_BENT_DEG:.0f} {(error[far] <= 15).mean():.2%}; "
            f"greatest step of {upper} and {lower} {max(jumps):.1f} deg a frame (bar 60)"
        )


def report_body(result: SolvedTake, truth_m: np.ndarray) -> None:
    """Print segment lengths against the truth, how constant they are, and joints beyond their range."""
    xyz = result.keypoints.xyz_m
    pairs = [(at(s + a), at(s + b)) for a, b in SEGMENTS for s in "LR"] + [(at("LHip"), at("RHip"))]
    length = [[np.linalg.norm(p[:, i] - p[:, j], axis=-1) for p in (xyz, truth_m)] for i, j in pairs]
    wrong = max(abs(ours.mean() - true.mean()) for ours, true in length) * 1e3
    spread = max(np.ptp(ours) for ours, _ in length)
    local = np.tile([1.0, 0.0, 0.0, 0.0], (len(xyz), len(JOINT_NAMES), 1))
    local[:, list(RIG_JOINTS)] = result.motion.local_wxyz
    excess = greatest_excess_deg(local)
    worst = max(excess, key=lambda name: excess[name])
    print(
        f"  segments: worst {wrong:.2f} mm from the truth (bar 5), vary by {spread:.1e} m (bar 1e-6); "
        f"furthest beyond its range: {worst} by {excess[worst]:.2f} deg"
    )


def in_contact(height_of_m: np.ndarray, speed_of_m: np.ndarray) -> np.ndarray:
    """Return [frame point] by the definition of score_bvh.py: below 0.05 m and slower than 0.25 m/s.

    Heights and speeds of paths [frame point 3], of the same one or of two.
    """
    speed = np.full(speed_of_m.shape[:2], np.nan)
    speed[1:-1] = np.linalg.norm(speed_of_m[2:, :, :2] - speed_of_m[:-2, :, :2], axis=-1) * float(FPS) / 2
    return (height_of_m[..., 2] < 0.05) & (speed < 0.25)


def by_foot(contact: np.ndarray) -> np.ndarray:
    """Return [frame foot] whether heel or toe [frame 4] of FEET is in contact."""
    return contact[:, [0, 2]] | contact[:, [1, 3]]


def f1(ours: np.ndarray, true: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall of booleans."""
    return 2 * (ours & true).sum() / max(ours.sum() + true.sum(), 1)


def report_feet(result: SolvedTake, take: Take, folder: Path) -> None:
    """Print contacts, sliding and penetration; sliding and penetration by score_bvh.py on the exported file."""
    feet = [at(n) for n in FEET]
    solved_m, truth_m = result.keypoints.xyz_m[:, feet], take.truth_m[:, feet]
    true, ours = in_contact(truth_m, truth_m), result.contact
    halves = (in_contact(truth_m, solved_m), in_contact(solved_m, truth_m))
    known = [f"{f1(by_foot(c), by_foot(true)):.3f}" for c in halves]
    export(result, ["bvh"], folder)
    score = bench_module("score_bvh")
    s = score.evaluate(next(folder.glob("*.bvh")), take.rig_file.parent / "truth/subject_0.trc")
    more = (s["foot_skate_mean_m_s"] - s["foot_truth_same_frames_mean_m_s"]) * 1e3
    keypoint_low = np.percentile(np.maximum(0, -result.keypoints.xyz_m[..., 2].min(1)), 99) * 1e3
    print(
        f"  feet: contact F1 by foot {f1(by_foot(ours), by_foot(true)):.3f}, by heel and toe {f1(ours, true):.3f} "
        f"(bar 0.95; told the true heights {known[0]}, the true speeds {known[1]}); slides "
        f"{more:+.1f} mm/s against the truth's own (bar +10); penetration p99 "
        f"{s['floor']['penetration_p99_mm']:.1f} mm, keypoints {keypoint_low:.1f} (bar 5)"
    )


def shoot_detections(shoot: Path, rig: CameraRig) -> Keypoints2D:
    """Return the exact pixels of a rendered shoot as a set that has hand points."""
    names = load_keypoint_set("blazepose33")
    data = np.load(shoot / "truth.npz")
    column = {str(n): i for i, n in enumerate(data["names"])}
    n_frames = max(len(data[f"uv_{c}"]) for c in rig.names)
    xy = np.full((len(rig.cameras), n_frames, 1, len(names), 2), np.nan, np.float32)
    time_s = np.full(xy.shape[:2], np.nan)
    other = {"BigToe": "toe_tip", "Index": "index_knuckle", "Pinky": "pinky_knuckle", "Thumb": "thumb_knuckle"}
    for c, camera in enumerate(rig.cameras):
        uv = data[f"uv_{camera.name}"]
        time_s[c, : len(uv)] = data[f"t_{camera.name}"]
        for k, landmark in enumerate(names.landmarks):
            side = {"L": "left_", "R": "right_"}[landmark[0]] if landmark[1:2].isupper() else ""
            part = landmark[1:] if side else landmark
            joint = side + other.get(part, part.lower())
            if landmark and joint in column:
                inside = ((uv[:, column[joint]] >= 0) & (uv[:, column[joint]] < camera.intrinsics.size_px)).all(-1)
                xy[c, : len(uv), 0, k] = np.where(inside[:, None], uv[:, column[joint]], np.nan)
    return Keypoints2D(names, rig.names, xy, np.asarray(np.isfinite(xy).all(-1), np.float32), time_s)


def report_shoot(shoot: Path) -> None:
    """Print the roll of the forearms against the knuckles of the rendered body."""
    rig = read_rig(shoot / "rig_truth.toml")
    detections = shoot_detections(shoot, rig)
    timeline = common_timeline(detections.time_s, FPS)
    result = solve_take(rig, reconstruct_points(detections, rig, timeline))
    R, _ = world(result)
    data = np.load(shoot / "truth.npz")
    column = {str(n): i for i, n in enumerate(data["names"])}
    print(f"virtual shoot, exact pixels, {timeline.n_frames} frames")
    for side in ("left", "right"):
        truth = {}
        for n in ("elbow", "wrist", "index_knuckle", "pinky_knuckle"):
            path = data["joints"][:, column[f"{side}_{n}"]]
            truth[n] = np.stack([np.interp(timeline.time_s, data["t"], path[:, i]) for i in range(3)], axis=1)
        forearm = R[:, result.motion.skeleton.index(f"{side.capitalize()}ForeArm")]
        along, across = truth["wrist"] - truth["elbow"], truth["index_knuckle"] - truth["pinky_knuckle"]
        off = np.abs(around(along, across, forearm[:, :, 0]))
        print(
            f"  {side} forearm: roll from the knuckles median {np.median(off):.1f} max {off.max():.1f} deg (bar 15); "
            f"greatest step {roll_step_deg(forearm, 1):.1f} deg a frame (bar 60)"
        )


POSSIBLE_PX = 15.0
"""Five times the noise: what moves by less in a view, or is seen this near to the unmoved place, shows nothing."""


def injected(take: Take, rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[str, int, int, str]]]:
    """Return the truth with impossible motion in it, and what was put in: (keypoint, first, last frame, kind)."""
    moved, what = take.truth_m.copy(), []
    hips, neck = take.truth_m[:, at("Hip")], take.truth_m[:, at("Neck")]
    for n, first in enumerate(range(100, len(moved) - 100, 90)):
        name = ("LWrist", "RKnee", "Nose", "LAnkle", "RElbow")[n % 5]
        if n % 3 == 0:
            length = int(rng.choice([1, 2, 4, 8, 16]))
            direction = rng.normal(size=3)
            moved[first : first + length, at(name)] += direction / np.linalg.norm(direction) * rng.uniform(0.3, 0.6)
            what.append((name, first, first + length - 1, "jump"))
            continue
        ramp = np.sin(np.pi * (np.arange(40) + 0.5) / 40)[:, None] ** 2
        part = slice(first, first + 40)
        if n % 3 == 1:
            inside = 0.4 * hips[part] + 0.6 * neck[part]
            moved[part, at("RWrist")] += ramp * (inside - moved[part, at("RWrist")])
            what.append(("RWrist", first + 17, first + 22, "penetration"))
            continue
        hip, knee, ankle = (take.truth_m[part, at("L" + j)] for j in ("Hip", "Knee", "Ankle"))
        sideways = hip - take.truth_m[part, at("RHip")]
        sideways /= np.linalg.norm(sideways, axis=-1, keepdims=True)
        bend = np.arccos(
            np.clip(
                ((knee - hip) * (ankle - knee)).sum(-1)
                / np.prod([np.linalg.norm(v, axis=-1) for v in (knee - hip, ankle - knee)], axis=0),
                -1,
                1,
            )
        )
        turn = quat_exp(-sideways * (ramp[:, 0] * (bend + np.radians(55)))[:, None])
        for j in ("Ankle", "Heel", "BigToe", "SmallToe"):
            k = at("L" + j)
            moved[part, k] = knee + quat_rotate(turn, take.truth_m[part, k] - knee)
        what.append(("LAnkle", first + 17, first + 22, "range"))
    return moved, what


def _is_logged(name: str, first: int, last: int, log: list[dict[str, Any]]) -> bool:
    """Return whether a log names a landmark within frames."""
    fps = float(FPS)
    return any(
        r["landmark"] == name and r["from_s"] * fps <= last + 0.5 and r["to_s"] * fps >= first - 0.5 for r in log
    )


def report_impossible(take: Take, seed: int) -> None:
    """Print how much of the impossible motion that was put in is rejected and logged."""
    moved, what = injected(take, np.random.default_rng([seed, 700]))
    shift = np.stack([project_points(c, moved) - project_points(c, take.truth_m) for c in take.rig.cameras])
    # a detection that the take itself took for the other side's shows that side's point
    crossed = take.flags & SWAPPED > 0
    shift = np.where(crossed[..., None], shift[:, :, np.array(HALPE.mirror)], shift)
    d = take.detections
    xy = d.xy_px + shift[:, :, None]
    seen = replace(d, xy_px=xy, score=np.where(np.isfinite(xy).all(-1), d.score, 0.0))
    result, _ = solved(replace(take, detections=seen))
    log = [r for f in result.diagnostics if f.code == "motion-implausible" for r in f.data["stretches"]]
    probability = put_back(result.inlier_probability, result.exchanged, HALPE)
    true_px = np.stack([project_points(c, take.truth_m) for c in take.rig.cameras])
    for kind in ("jump", "penetration", "range"):
        entries = [w for w in what if w[3] == kind]
        logged = sum(_is_logged(name, first, last, log) for name, first, last, _ in entries)
        rejected, of, possible = 0, 0, 0
        for name, first, last, _ in entries:
            k = at(name)
            for slot in {k, HALPE.mirror[k]}:
                p = probability[:, first : last + 1, slot]
                shown = np.isfinite(p) & (crossed[:, first : last + 1, slot] == (slot != k))
                at_px, by_px = xy[:, first : last + 1, 0, slot], shift[:, first : last + 1, slot]
                off_px = np.linalg.norm(at_px - true_px[:, first : last + 1, k], axis=-1)
                off_moved_px = np.linalg.norm(at_px - true_px[:, first : last + 1, k] - by_px, axis=-1)
                # gross errors of the take's own can undo a jump, and some jumps go along a view's rays
                as_unmoved = (off_px < np.maximum(POSSIBLE_PX, off_moved_px)) | (
                    np.linalg.norm(by_px, axis=-1) < POSSIBLE_PX
                )
                rejected, of = rejected + int((shown & (p < 0.5)).sum()), of + int(shown.sum())
                possible += int((shown & (p >= 0.5) & as_unmoved).sum())
        print(
            f"  impossible {kind}: {logged} of {len(entries)} logged, {rejected} of {of} detections rejected "
            f"({rejected / max(of, 1):.2%}, bar: all); of those accepted {possible} show "
            "nothing moved, by chance or along the ray"
        )
    clean = [r for f in solved(take)[0].diagnostics if f.code == "motion-implausible" for r in f.data["stretches"]]
    print(f"  counted: { {k: v for k, v in result.rejected.items() if v} }; entries without any put in: {len(clean)}")


def report_profile(take: Take, profile: PerformerProfile | None) -> None:
    """Print two cameras without and with the profile of the take with all of them."""
    centers = np.stack([c.center_world_m for c in take.rig.cameras])
    angle = np.degrees(np.arctan2(centers[:, 1], centers[:, 0]))
    second = int(np.abs((angle - angle[0] + 180) % 360 - 180 - 90).argmin())
    chosen = [0, second]
    rig = CameraRig(tuple(take.rig.cameras[c] for c in chosen))
    d = take.detections
    short = slice(0, SHORT_FRAMES)
    xy, score, time_s = (v[chosen, short] for v in (d.xy_px, d.score, d.time_s))
    seen = Keypoints2D(d.keypoint_set, rig.names, xy, score, time_s)
    two = replace(take, rig=rig, detections=seen, truth_m=take.truth_m[short])
    for label, known in (("without", None), ("with", profile)):
        result, _ = solved(two, known)
        error = np.linalg.norm(result.keypoints.xyz_m - two.truth_m, axis=-1) * 1e3
        figures = f"MPJPE {error.mean():.1f} p95 {np.percentile(error, 95):.1f} mm"
        print(f"  two cameras, {SHORT_FRAMES} frames, {label} profile: {figures}")
        report_body(result, two.truth_m)


def main() -> None:
    """Read the options and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="*", default=[8])
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--clips", choices=list(CLIPS), nargs="*", default=["walk"])
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--shoot", action="store_true", help="forearm roll on ../shared/data/virtual_shoot")
    parser.add_argument("--impossible", action="store_true", help="put impossible motion into all views")
    parser.add_argument("--profile", action="store_true", help="two cameras without and with the performer's profile")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "mocap_bench", help="takes are kept"
    )
    args = parser.parse_args()
    if args.shoot:
        report_shoot(SHARED / "data/virtual_shoot")
    for clips in args.clips:
        for seed in args.seeds:
            for cameras in args.cameras:
                take = make(cameras, seed, clips, args.frames, None, args.cache)
                result, ms = solved(take)
                error = np.linalg.norm(result.keypoints.xyz_m - take.truth_m, axis=-1) * 1e3
                print(
                    f"{clips} seed {seed} cameras {cameras}: MPJPE {error.mean():.2f} p95 "
                    f"{np.percentile(error, 95):.2f} mm; points and solve {ms:.2f} ms of processor a frame"
                )
                report_roll(result, take.truth_m)
                report_body(result, take.truth_m)
                with tempfile.TemporaryDirectory() as folder:
                    report_feet(result, take, Path(folder))
                if args.impossible:
                    report_impossible(take, seed)
                if args.profile:
                    report_profile(take, result.performer)


if __name__ == "__main__":
    main()
