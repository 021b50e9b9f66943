"""Whether the solve names the camera whose clock is off, accuses none where all agree, and what placing clocks leaves.

    python benchmarks/solve_clocks.py --cameras 2 3 4 8 --seeds 1 2 3 --frames 600 --late-ms 0 50 100 300

Takes come from ../shared/bench/make_take.py, held in memory; with several cameras another one is late in every take. A
hit is exactly that camera named (`camera-clock-off`), or no one where none is late; of two cameras either may be the
late one. `--moved` turns and shifts another camera by 1 degree and 5 cm besides, which is not to be named. Placing is
what `--solve-for clocks` begins with: how far the worst clock is from the truth then. Bar: 9 hits of 10 at 50 and 100
ms, and no false alarm.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from solve_bars import CLIPS, FPS, make

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline
from mocap.core.progress import NoProgress
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.take import solve_take
from sessions.clock_placing import placed_clocks

TURN_DEG, SHIFT_M = 1.0, 0.05


def moved(rig: CameraRig, camera: int, rng: np.random.Generator) -> CameraRig:
    """Return the rig with one camera elsewhere than it says."""
    cameras, (turn, shift) = list(rig.cameras), rng.normal(size=(2, 3))
    R = quat_to_matrix(quat_exp(np.radians(TURN_DEG) * turn / np.linalg.norm(turn)))
    c = cameras[camera]
    shifted = R @ c.t_cam_from_world_m + SHIFT_M * shift / np.linalg.norm(shift)
    cameras[camera] = c.with_extrinsics(R @ c.R_cam_from_world, shifted)
    return CameraRig(tuple(cameras))


def named(rig: CameraRig, seen: Keypoints2D) -> dict[str, float]:
    """Return the cameras that the solve names, with what their clocks are to be put on by, in seconds."""
    take = solve_take(rig, reconstruct_points(seen, rig, common_timeline(seen.time_s, FPS)))
    found = [d.data["clock_s"] for d in take.diagnostics if d.code == "camera-clock-off"]
    return found[0] if found else {}


def left_ms(rig: CameraRig, seen: Keypoints2D, late_s: np.ndarray) -> float:
    """Return how far the worst clock is from the truth, against the first, once clocks are placed."""
    placed = placed_clocks(rig, [seen], FPS, NoProgress())
    left_s = late_s + [placed[n].offset_s if placed else 0.0 for n in rig.names]
    return 1e3 * float(np.abs(left_s - left_s[0]).max())


def run(cameras: int, late_ms: float, args: argparse.Namespace) -> None:
    """Print the line of takes with so many cameras, one of them late."""
    hits, said, left, spent_s = 0, list[float](), list[float](), 0.0
    takes = [(clips, seed) for clips in args.clips for seed in args.seeds]
    for n, (clips, seed) in enumerate(takes):
        # a ring of two would see the performer from opposite sides
        take = make(max(cameras, 4), seed, clips, args.frames, None, args.cache)
        d, camera, sign = take.detections, n % cameras, 1 - 2 * (n % 2)
        rig = CameraRig(take.rig.cameras[:cameras])
        if args.moved:
            rig = moved(rig, (camera + 1) % cameras, np.random.default_rng([seed, 901]))
        late_s = np.zeros(cameras)
        late_s[camera] = 1e-3 * sign * late_ms
        time_s = d.time_s[:cameras] + late_s[:, None]
        seen = Keypoints2D(d.keypoint_set, rig.names, d.xy_px[:cameras], d.score[:cameras], time_s)
        found = named(rig, seen)
        expected = {rig.names[camera]} if late_ms else set[str]()
        hits += set(found) == expected or bool(cameras == 2 and late_ms and len(found) == 1)
        said += [1e3 * abs(s) for s in found.values()]
        start = time.process_time()
        left.append(left_ms(rig, seen, late_s))
        spent_s += time.process_time() - start
    mean = f"{np.mean(said):.0f}" if said else "-"
    print(
        f"{cameras:8}{late_ms:10g}{len(takes):7}{hits:6}{mean:>10}{max(left):16.1f}{spent_s / len(takes):10.1f}",
        flush=True,
    )


def main() -> None:
    """Read the options and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[2, 3, 4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--clips", nargs="+", choices=sorted(CLIPS), default=["walk", "both"])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--late-ms", type=float, nargs="+", default=[0.0, 50.0, 100.0, 300.0])
    parser.add_argument("--moved", action="store_true", help="another camera stands elsewhere than calibrated")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "mocap-solve-takes")
    args = parser.parse_args()
    print(
        f"{'cameras':>8}{'late, ms':>10}{'takes':>7}{'hits':>6}{'said, ms':>10}{'placed: worst, ms':>18}{'cpu, s':>8}"
    )
    for cameras in args.cameras:
        for late_ms in args.late_ms:
            run(cameras, late_ms, args)


if __name__ == "__main__":
    main()
