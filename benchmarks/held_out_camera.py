"""A solve from all cameras but one, scored against what the one left out detected: real footage as its own truth.

    python benchmarks/held_out_camera.py ../shared/data/pose2sim_demo

The extrinsics of all four cameras are refined on frames 0-49 of the person's OpenPose keypoints; then three cameras
solve frames 50-99, and the solved keypoints are projected into the fourth. Bar: a median of at most 14 px over its
confident detections. Prints each camera and joint, and how much bones vary before and after the solve and in the
published result.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from calibration.files import read_rig
from calibration.refine import refine_extrinsics
from exporters.trc import read_trc
from mocap.analysis.reprojection import project_world
from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.core.take import SolvedTake
from mocap.core.timeline import Timeline
from mocap.pose2d.assemble import assemble
from mocap.pose2d.files import read_keypoints
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.take import solve_take
from mocap.tracking.performer import choose_performer

FOLDER, FPS = "openpose_body25b_2022", Fraction(60)
PUBLISHED = "wangshubo90/pose-3d/demo_filt_0-100.trc"
BONES = {"thigh": ("Hip", "Knee"), "shank": ("Knee", "Ankle"), "forearm": ("Elbow", "Wrist")}
MIN_SCORE = 0.5
BAR_PX = 14.0


def part(detections: Keypoints2D, cameras: list[int], frames: slice) -> Keypoints2D:
    """Return some cameras and frames; times stay as they are."""
    names = tuple(detections.camera_names[c] for c in cameras)
    at = np.ix_(cameras, range(detections.n_frames)[frames])
    return replace(
        detections,
        camera_names=names,
        xy_px=detections.xy_px[at],
        score=detections.score[at],
        time_s=detections.time_s[at],
    )


def solve_without(rig: CameraRig, detections: Keypoints2D, held_out: int, frames: slice) -> SolvedTake:
    """Return the take solved from the other cameras on those frames."""
    others = [c for c in range(detections.n_cameras) if c != held_out]
    return solve(rig, part(detections, others, frames))


def solve(rig: CameraRig, detections: Keypoints2D) -> SolvedTake:
    """Return the take solved from the cameras of these detections."""
    used = CameraRig(tuple(rig[name] for name in detections.camera_names))
    timeline = Timeline(FPS, detections.n_frames, float(detections.time_s[0, 0]))
    return solve_take(used, reconstruct_points(detections, used, timeline))


def bone_sd_mm(names: Sequence[str], xyz_m: np.ndarray) -> dict[str, float]:
    """Return the standard deviation over time of the length of each bone of the limbs."""
    out: dict[str, float] = {}
    for bone, (a, b) in BONES.items():
        for side in "LR":
            length_m = np.linalg.norm(xyz_m[:, names.index(side + a)] - xyz_m[:, names.index(side + b)], axis=-1)
            out[f"{side} {bone}"] = 1000 * float(np.nanstd(length_m))
    return out


def print_bones(root: Path, whole: SolvedTake) -> None:
    """Print how much the limbs' bones vary in the published result, in our points and in our solve."""
    published, _, _, xyz_m = read_trc(root / PUBLISHED)
    names = whole.points.keypoint_set.names
    columns = {
        "published": bone_sd_mm(published, xyz_m),
        "points": bone_sd_mm(names, whole.points.xyz_m),
        "solved": bone_sd_mm(names, whole.keypoints.xyz_m),
    }
    print(f"\n{'bone sd, mm':<12}" + "".join(f"{c:>11}" for c in columns))
    for bone in columns["solved"]:
        print(f"{bone:<12}" + "".join(f"{column[bone]:11.4f}" for column in columns.values()))


def main() -> None:
    """Print the errors per camera and joint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the Pose2Sim demo data")
    root = parser.parse_args().data / FOLDER
    stale = read_rig(root / "calib-2d" / "Calib.qca.txt")
    files = read_keypoints(root / "pose-2d", stale.names, float(FPS), keypoint_set="body_25b")
    everyone = assemble(files.detections, {})
    performer = everyone.person(choose_performer(everyone, stale).index)
    every = list(range(performer.n_cameras))
    rig = refine_extrinsics(stale, part(performer, every, slice(0, 50))).rig
    rows, names = [], performer.keypoint_set.names
    late = slice(50, 100)
    for c, camera in enumerate(performer.camera_names):
        solved = solve_without(rig, performer, c, late)
        seen = part(performer, [c], late)
        distance = np.linalg.norm(project_world(rig[camera], solved.keypoints.xyz_m) - seen.xy_px[0, :, 0], axis=-1)
        rows.append(np.where(seen.score[0, :, 0] >= MIN_SCORE, distance, np.nan))
    table = np.stack(rows)
    print(f"{'median px':<12}" + "".join(f"{name:>9}" for name in performer.camera_names) + f"{'all':>9}")
    for k, name in enumerate(names):
        cells = [*(np.nanmedian(t) if np.isfinite(t).any() else np.nan for t in table[:, :, k])]
        print(f"{name:<12}" + "".join(f"{v:9.1f}" for v in [*cells, np.nanmedian(table[:, :, k])]))
    medians = [np.nanmedian(t) for t in table]
    print(f"{'all':<12}" + "".join(f"{v:9.1f}" for v in [*medians, np.nanmedian(table)]))
    print(
        f"{'95 %':<12}"
        + "".join(f"{np.nanpercentile(t, 95):9.1f}" for t in table)
        + f"{np.nanpercentile(table, 95):9.1f}"
    )
    print(f"bar: {BAR_PX:g} px on all; worst camera {max(medians):.1f}, all {np.nanmedian(table):.1f}")
    print_bones(root, solve(rig, performer))


if __name__ == "__main__":
    main()
