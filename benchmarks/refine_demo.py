"""Refine the stale Pose2Sim demo rig from OpenPose keypoints and print the error per camera before and after.

Run: python benchmarks/refine_demo.py ../shared/data/pose2sim_demo. Lower is better; tolerance 0.2 px on the median.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from calibration.files import read_rig
from calibration.refine import RefineResult, refine_extrinsics
from mocap.pose2d.assemble import assemble
from mocap.pose2d.files import read_keypoints
from mocap.tracking.performer import choose_performer

FOLDER = "openpose_body25b_2022"


def table(result: RefineResult) -> str:
    """Return one line per camera."""
    lines = [f"{'camera':8} {'median px':>15} {'p95 px':>15} {'bias px':>32} {'moved':>16}"]
    for name, before in result.before.items():
        after, move = result.after[name], result.moved.get(name)
        median = f"{before.median_px:.1f} -> {after.median_px:.1f}"
        p95 = f"{before.p95_px:.1f} -> {after.p95_px:.1f}"
        bias = "({:+.1f}, {:+.1f}) -> ({:+.1f}, {:+.1f})".format(*before.bias_px, *after.bias_px)
        moved = f"{move.turned_deg:.2f} deg {move.shifted_mm:.0f} mm" if move else "-"
        lines.append(f"{name:8} {median:>15} {p95:>15} {bias:>32} {moved:>16}")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the Pose2Sim demo data")
    root = parser.parse_args().data / FOLDER
    rig = read_rig(root / "calib-2d" / "Calib.qca.txt")
    files = read_keypoints(root / "pose-2d", rig.names, 60, keypoint_set="body_25b")
    detections = assemble(files.detections, {})
    start = time.perf_counter()
    choice = choose_performer(detections, rig)
    chosen = time.perf_counter()
    result = refine_extrinsics(rig, detections.person(choice.index))
    done = time.perf_counter()
    lines = [table(result), *(f"{d.code}: {d.message}" for d in (*choice.diagnostics, *result.diagnostics))]
    lines.append(
        f"median {result.summary['before_median_px']:.2f} -> {result.summary['after_median_px']:.2f} px; "
        f"performer {chosen - start:.2f} s, refinement {done - chosen:.2f} s"
    )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
