"""Move one camera of synthetic rigs by 0.5 degrees and 20 mm and print whether `check` names it, and false alarms.

    python benchmarks/calibration_check.py [--takes 20]

Higher is better for hits, lower for false alarms; tolerance one take of twenty.
"""

from __future__ import annotations

import argparse
import os
import time
from fractions import Fraction

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from calibration.check import check_rig
from mocap.core.camera import CameraRig
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig


def nudged(rig: CameraRig, camera: int, rng: np.random.Generator, deg: float = 0.5, mm: float = 20.0) -> CameraRig:
    """Return the rig with one camera turned and moved in a random direction."""
    axis, shift = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 3)))
    cameras = list(rig.cameras)
    old = cameras[camera]
    R = quat_to_matrix(quat_exp(np.deg2rad(deg) * axis)) @ old.R_cam_from_world
    cameras[camera] = old.with_extrinsics(R, -R @ (old.center_world_m + shift * mm / 1000))
    return CameraRig(tuple(cameras))


def main() -> None:
    """Print one line per take and the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", type=int, default=20)
    n_takes = parser.parse_args().takes
    hits = alarms = 0
    for take in range(n_takes):
        rng = np.random.default_rng(take)
        rig = ring_rig(4 + 2 * (take % 3), rng, size_px=(1920, 1080))
        performer = Performer.random(rng)
        seen = detect([performer], rig, Fraction(30), 240, rng, faults=Faults(3.0, 0.05, 0.1, 0.03)).keypoints
        camera = int(rng.integers(len(rig)))
        begin = time.perf_counter()
        found = check_rig(nudged(rig, camera, rng), seen)
        calm = check_rig(rig, seen)
        name = rig.names[camera]
        report = found.cameras[name]
        hits += found.moved == (name,)
        alarms += bool(calm.moved)
        print(
            f"take {take:2} {len(rig)} cameras: moved {name}, found {found.moved} {report.turned_deg:.2f} deg "
            f"{report.moved_mm:.0f} mm since {report.since_frame}; untouched: {calm.moved}; "
            f"{time.perf_counter() - begin:.1f} s",
            flush=True,
        )
    print(f"named {hits} of {n_takes}; false alarms {alarms} of {n_takes}")


if __name__ == "__main__":
    main()
