"""Refine the stale Pose2Sim demo rig with `mocap calibrate refine` and print the error per camera before and after.

    python benchmarks/refine_demo.py [../shared/data/pose2sim_demo]

Reprojection of the demo's OpenPose keypoints two ways: as the command reports it (robust triangulation), and plainly:
linear triangulation weighted by confidence, no outlier rejection, median over everything that was detected. Bar: from
13 to 7.5 px or less. Also what `mocap calibrate check` says of the rig before and after. Lower is better; tolerance
0.2 px.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from calibration_people import SHARED, run_mocap  # the benchmark beside this one

from calibration.files import read_rig
from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.kernels.projection import project, undistort
from mocap.kernels.triangulation import triangulate_dlt
from mocap.pose2d.assemble import assemble
from mocap.pose2d.files import read_keypoints
from mocap.tracking.performer import choose_performer

FOLDER = "openpose_body25b_2022"
BAR_PX = 7.5


def plain_error_px(rig: CameraRig, person: Keypoints2D) -> np.ndarray:
    """Return the distances [camera point] of detections from plainly triangulated points."""
    shape = (len(rig), -1)
    xy, score = person.xy_px.astype(float).reshape(*shape, 2), person.score.reshape(shape)
    lenses = [c.intrinsics for c in rig.cameras]
    rays = np.stack([undistort(xy[c], k.focal_px, k.center_px, k.distortion) for c, k in enumerate(lenses)])
    R = np.stack([c.R_cam_from_world for c in rig.cameras])
    t = np.stack([c.t_cam_from_world_m for c in rig.cameras])
    points = triangulate_dlt(rays, np.where(np.isfinite(rays).all(-1), score, 0.0), R, t)
    pixels = [project(points @ R[c].T + t[c], k.focal_px, k.center_px, k.distortion) for c, k in enumerate(lenses)]
    return np.linalg.norm(np.stack(pixels) - xy, axis=-1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=SHARED / "data/pose2sim_demo", help="the demo's folder")
    root = parser.parse_args().data / FOLDER
    rig_file, keypoints = root / "calib-2d" / "Calib.qca.txt", root / "pose-2d"
    rig = read_rig(rig_file)
    views = assemble(read_keypoints(keypoints, rig.names, 60).detections, {})
    person = views.person(choose_performer(views, rig).index)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rig.toml"
        begin_s = time.perf_counter()
        status, data = run_mocap("calibrate", "refine", rig_file, "--keypoints", keypoints, "--fps", 60, "--out", out)
        wall_s = time.perf_counter() - begin_s
        plain = [plain_error_px(r, person) for r in (rig, read_rig(out))]
        checks = [run_mocap("calibrate", "check", r, "--keypoints", keypoints)[1] for r in (rig_file, out)]
    print(f"{'camera':8} {'robust median px':>18} {'plain median px':>18} {'turned':>16} {'moved':>12}")
    for c, (name, found) in enumerate(data["cameras"].items()):
        robust = f"{found['before']['median_px']:.1f} -> {found['after']['median_px']:.1f}"
        plainly = " -> ".join(f"{np.nanmedian(e[c]):.1f}" for e in plain)
        sure = found["certainty"]
        turned = f"{found['moved']['turned_deg']:.2f} ± {sure['turn_sd_deg']:.2f} deg"
        moved = f"{found['moved']['shifted_mm']:.0f} ± {sure['center_sd_mm']:.0f} mm"
        print(f"{name:8} {robust:>18} {plainly:>18} {turned:>16} {moved:>12}")
    summary, medians = data["summary"], [float(np.nanmedian(e)) for e in plain]
    print(
        f"robust median {summary['before_median_px']:.2f} -> {summary['after_median_px']:.2f} px; plain median "
        f"{medians[0]:.2f} -> {medians[1]:.2f} px, {medians[1] / BAR_PX:.2f} of the bar of {BAR_PX} px; "
        f"{data['verdict']}, exit {status}, {wall_s:.1f} s"
    )
    print(f"check before: moved {checks[0]['moved']}; check after: {checks[1]['verdict']}")


if __name__ == "__main__":
    main()
