"""Move one camera of bench takes by 0.5 degrees and 20 mm and print whether `mocap calibrate check` names it.

    python benchmarks/calibration_check.py [--takes 20] [--frames 600] [--kinds before within untouched clock]

Each take (../shared/bench/make_take.py, its own seed, 4, 6 or 8 cameras) is checked with one camera turned and moved in
a random direction before the take, with one moved at a random time in the middle half of the take, untouched, and with
one camera that began 1 to 10 frames late: its clock alone is to be named, within half a frame, and no camera. A hit
is the right camera alone, its turn within 0.25 degrees and its movement within 15 mm of the truth, and for one moved
within the take the frame within half a second. Bar: 19 hits of 20, no false alarm. Higher is better for hits, lower for
false alarms; tolerance one take of twenty. The command runs on the take's own files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from calibration_people import make_take, run_mocap  # the benchmark beside this one

from calibration.files import read_rig, write_rig
from mocap.core.camera import Camera, CameraRig
from mocap.kernels.projection import project
from mocap.kernels.rotations import quat_exp, quat_to_matrix

TURN_DEG, MOVE_MM = 0.5, 20.0
TURN_TOLERANCE_DEG, MOVE_TOLERANCE_MM = 0.25, 15.0
FPS = 60
KINDS = ("before", "within", "untouched", "clock")


def nudged(camera: Camera, rng: np.random.Generator) -> Camera:
    """Return a camera turned and moved in a random direction."""
    axis, shift = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 3)))
    R = quat_to_matrix(quat_exp(np.deg2rad(TURN_DEG) * axis)) @ camera.R_cam_from_world
    return camera.with_extrinsics(R, -R @ (camera.center_world_m + shift * MOVE_MM / 1000))


def with_camera(rig: CameraRig, camera: Camera) -> CameraRig:
    """Return the rig with one camera replaced."""
    return CameraRig(tuple(camera if c.name == camera.name else c for c in rig.cameras))


def moved_within(take: Path, out: Path, old: Camera, new: Camera, frame: int) -> None:
    """Write the keypoints as they would be had a camera moved at a frame: detections shift as the truth does."""
    truth = np.load(take / "truth/truth.npz")["xyz"][0]
    pixels = [
        project(
            truth @ c.R_cam_from_world.T + c.t_cam_from_world_m,
            c.intrinsics.focal_px,
            c.intrinsics.center_px,
            c.intrinsics.distortion,
        )
        for c in (old, new)
    ]
    shift = pixels[1] - pixels[0]
    for source in sorted((take / "pose").iterdir()):
        if source.name != f"{old.name}_json":
            (out / source.name).symlink_to(source)
            continue
        (out / source.name).mkdir()
        for k, file in enumerate(sorted(source.iterdir())):
            data = json.loads(file.read_text("utf-8"))
            for person in data["people"] if k >= frame else []:
                xyc = np.array(person["pose_keypoints_2d"]).reshape(-1, 3)
                xyc[:, :2] += np.where(xyc[:, 2:] > 0, shift[k], 0.0)
                person["pose_keypoints_2d"] = xyc.reshape(-1).tolist()
            (out / source.name / file.name).write_text(json.dumps(data), "utf-8")


def begun_late(take: Path, out: Path, camera: str, frames: int) -> None:
    """Link the keypoints as they would be had a camera begun some frames late."""
    for source in sorted((take / "pose").iterdir()):
        if source.name != f"{camera}_json":
            (out / source.name).symlink_to(source)
            continue
        (out / source.name).mkdir()
        for k, file in enumerate(sorted(source.iterdir())[frames:]):
            (out / source.name / f"{camera}_{k:012d}_keypoints.json").symlink_to(file)


def is_hit(data: dict, camera: str, frame: int) -> bool:
    """Return whether the right camera alone is named, with the right size and frame."""
    found = data["cameras"][camera]
    if data["moved"] != [camera]:
        return False
    is_size = abs(found["turned_deg"] - TURN_DEG) < TURN_TOLERANCE_DEG
    is_size = is_size and abs(found["moved_mm"] - MOVE_MM) < MOVE_TOLERANCE_MM
    return is_size and abs(found["since_frame"] - frame) <= FPS / 2


def check(take: Path, kind: str, seed: int, work: Path) -> tuple[bool, str]:
    """Return whether one take was judged right, and what was said."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    rig = read_rig(take / "rig.toml")
    old = rig.cameras[int(rng.integers(len(rig)))]
    new = nudged(old, rng)
    keypoints, frame, given = take / "pose", 0, rig
    if kind == "before":
        given = with_camera(rig, new)
    elif kind == "within":
        n_frames = len(list((take / "pose" / f"{old.name}_json").iterdir()))
        frame = int(rng.integers(n_frames // 4, 3 * n_frames // 4))
        keypoints = work / "pose"
        keypoints.mkdir()
        moved_within(take, keypoints, old, new, frame)
    elif kind == "clock":
        frame = int(rng.integers(1, 11))
        keypoints = work / "pose"
        keypoints.mkdir()
        begun_late(take, keypoints, old.name, frame)
    write_rig(work / "rig.toml", given)
    _, data = run_mocap("calibrate", "check", work / "rig.toml", "--keypoints", keypoints, "--fps", FPS)
    shutil.rmtree(work / "pose", ignore_errors=True)
    found = {
        n: f"{c['turned_deg']:.2f} deg {c['moved_mm']:.0f} mm since {c['since_frame']}"
        for n, c in data["cameras"].items()
        if c["has_moved"]
    }
    if kind == "untouched":
        return not found, f"found {found or 'nothing'}"
    if kind == "clock":
        clocks = {n: 1000 * c["clock_s"] for n, c in data["cameras"].items() if c["clock_s"]}
        is_right = not found and list(clocks) == [old.name] and abs(clocks[old.name] - 1000 * frame / FPS) < 500 / FPS
        told = ", ".join(f"{n} {ms:+.0f} ms" for n, ms in clocks.items())
        return (
            is_right,
            f"{old.name} late by {1000 * frame / FPS:.0f} ms, found {told or 'nothing'}, moved {found or 'none'}",
        )
    return is_hit(data, old.name, frame), f"moved {old.name} at {frame}, found {found or 'nothing'}"


def main() -> None:
    """Print one line per take and the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", type=int, default=20)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--folder", type=Path, help="folder for the takes (default: a temporary one)")
    args = parser.parse_args()
    right = dict.fromkeys(args.kinds, 0)
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(1, args.takes + 1):
            take = make_take(args.folder or Path(temporary), (4, 6, 8)[seed % 3], seed, args.frames)
            for kind in args.kinds:
                begin_s = time.perf_counter()
                is_right, said = check(take, kind, seed, Path(temporary))
                right[kind] += is_right
                took = f"{time.perf_counter() - begin_s:.1f} s"
                print(f"take {seed:2} {kind:9} {'right' if is_right else 'WRONG'}: {said}; {took}", flush=True)
    for kind, n in right.items():
        print(f"{kind}: {n} of {args.takes} right")


if __name__ == "__main__":
    main()
