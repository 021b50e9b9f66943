"""Refine the stale Pose2Sim demo rig from OpenPose keypoints and print the error per camera before and after.

Run: python benchmarks/refine_demo.py ../shared/data/pose2sim_demo. Lower is better; tolerance 0.2 px on the median.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from calibration.refine import RefineResult, refine_extrinsics
from mocap.core.camera import Camera, CameraRig, Intrinsics
from mocap.core.keypoints import Keypoints2D, load_keypoint_set
from mocap.tracking.performer import choose_performer

FOLDER = "openpose_body25b_2022"


def load_rig(path: Path) -> CameraRig:
    """Return the Qualisys rig: millimetres, 1/64 px, rows of R in the file are camera axes, the camera looks along -Z."""
    cameras: list[Camera] = []
    for node in ElementTree.parse(path).getroot().iter("camera"):
        turn, lens = node.find("transform"), node.find("intrinsic")
        if turn is None or lens is None:
            continue
        R = np.diag([1.0, -1.0, -1.0]) @ np.array([[float(turn.get(f"r{i}{j}", "nan")) for j in "123"] for i in "123"])
        center = np.array([float(turn.get(a, "nan")) for a in "xyz"]) / 1000.0
        focal = [float(lens.get(f"focalLength{a}", "nan")) / 64.0 for a in "UV"]
        middle = [float(lens.get(f"centerPoint{a}", "nan")) / 64.0 for a in "UV"]
        names = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2")
        distortion = [*(float(lens.get(n, "0")) for n in names), 0.0]
        size = (
            round(float(lens.get("sensorMaxU", "0")) / 64.0) + 1,
            round(float(lens.get("sensorMaxV", "0")) / 64) + 1,
        )
        intrinsics = Intrinsics(size, np.array(focal), np.array(middle), np.array(distortion))
        cameras.append(Camera(node.get("serial", ""), intrinsics, R, -R @ center))
    return CameraRig(tuple(cameras))


def load_openpose(folders: list[Path], names: tuple[str, ...], keypoint_set: str = "body_25b") -> Keypoints2D:
    """Return OpenPose JSON at 60 fps, people in the order of the files."""
    frames = [[json.loads(f.read_text())["people"] for f in sorted(folder.glob("*.json"))] for folder in folders]
    kps = load_keypoint_set(keypoint_set)
    n_frames, n_people = max(map(len, frames)), max(len(people) for camera in frames for people in camera)
    data = np.zeros((len(frames), n_frames, n_people, len(kps), 3), np.float32)
    for c, camera in enumerate(frames):
        for f, people in enumerate(camera):
            for p, person in enumerate(people):
                values = person.get("pose_keypoints_2d") or [0.0] * (3 * len(kps))
                data[c, f, p] = np.reshape(values, (-1, 3))
    seen = data[..., 2] > 0
    xy = np.where(seen[..., None], data[..., :2], np.nan)
    return Keypoints2D(kps, names, xy, data[..., 2], np.tile(np.arange(n_frames) / 60.0, (len(frames), 1)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", action="store_true")
    root = parser.parse_args().data / FOLDER
    rig = load_rig(root / "calib-2d" / "Calib.qca.txt")
    detections = load_openpose(sorted((root / "pose-2d").glob("cam*_json")), rig.names)
    choice = choose_performer(detections, rig)
    start = time.perf_counter()
    result: RefineResult = refine_extrinsics(rig, detections.person(choice.index))
    seconds = time.perf_counter() - start
    lines = [f"{'camera':8} {'median px':>16} {'p95 px':>16} {'bias px':>26} {'moved':>22}"]
    for name in rig.names:
        a, b = result.before[name], result.after[name]
        move = result.moved.get(name)
        moved = f"{move.turned_deg:.2f} deg {move.shifted_mm:.0f} mm" if move else "-"
        bias = "({:+.1f}, {:+.1f}) -> ({:+.1f}, {:+.1f})".format(*a.bias_px, *b.bias_px)
        lines.append(
            f"{name:8} {a.median_px:7.1f} -> {b.median_px:5.1f} {a.p95_px:7.1f} -> {b.p95_px:5.1f} {bias:>26} {moved:>22}"
        )
    lines += [f"{d.code}: {d.message}" for d in (*choice.diagnostics, *result.diagnostics)]
    lines.append(f"median {result.summary['after_median_px']:.2f} px, {seconds:.2f} s")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
