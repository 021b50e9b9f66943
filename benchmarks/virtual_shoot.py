"""Rendered four-camera footage with exact truth, everything from the files alone: the command, stage by stage, scored.

    python benchmarks/virtual_shoot.py ../shared --out /tmp/shoot [--model blazepose] [--set refine_rig=no]

Runs `mocap calibrate rig` on the board clips and the floor clips, `mocap init`, `import`, `run` (which places the
clocks by sound and motion, detects, reconstructs and solves) and `export`, and lets ../shared/bench/score_shoot.py
compare the solved and the unsolved keypoints and the rig with the truth: one common time shift is removed, nothing is
aligned. Lower is better; bar: 28 mm mean over shoulders, elbows, wrists, hips, knees and ankles.

Also prints, per joint, the steady part of the error in the body's own axes: what the model calls a joint lies off the
joint's centre by that much, which no number of cameras mends.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

BAR_MM = 28.0
BOARD = "charuco:6x8:square=0.14:marker=0.105:dict=5X5_100"
BOARD_THICKNESS_M = "0.004"
TAKE = "walk"
JOINTS = [
    f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
]


def mocap(*words: object) -> dict[str, Any]:
    """Run a verb of the command with --json and return its result; its progress goes to this terminal."""
    program = "import sys; from mocap.cli.entry import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *map(str, words), "--json"]
    start_s = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(f"{time.perf_counter() - start_s:7.1f} s  mocap {' '.join(map(str, words[:3]))} ...", flush=True)
    if done.returncode not in (0, 3):
        sys.exit(f"mocap ended with {done.returncode}:\n{done.stdout}")
    return json.loads(done.stdout)


def score(bench: Path, shoot: Path, *words: object) -> dict[str, Any]:
    """Return what score_shoot.py says."""
    command = [sys.executable, "score_shoot.py", shoot.resolve(), *words]
    return json.loads(
        subprocess.run([*map(str, command)], cwd=bench, capture_output=True, text=True, check=True).stdout
    )


def body_axes(left: np.ndarray, right: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return [frame 3 3] rows forward, left, up of a body from points [frame 3] of both hips and above them."""
    middle = (left + right) / 2
    up = above - middle
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    side = left - right
    side -= (side * up).sum(-1, keepdims=True) * up
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    return np.stack([np.cross(side, up), side, up], axis=1)


def steady_errors_mm(shoot: Path, result: Path, shift_s: float) -> dict[str, tuple[np.ndarray, float]]:
    """Return per joint the median error forward, left and up of the trunk, and the mean length of the rest."""
    truth, solved = np.load(shoot / "truth.npz"), np.load(result)
    names, found = [str(n) for n in truth["names"]], [str(n) for n in solved["names"]]
    time_s = solved["time_s"] + shift_s
    inside = (time_s >= truth["t"][0]) & (time_s <= truth["t"][-1])

    def at(joint: str) -> np.ndarray:
        xyz = truth["joints"][:, names.index(joint)]
        return np.stack([np.interp(time_s[inside], truth["t"], xyz[:, i]) for i in range(3)], axis=-1)

    above = (at("left_shoulder") + at("right_shoulder")) / 2
    axes = body_axes(at("left_hip"), at("right_hip"), above)
    out = {}
    for joint in JOINTS:
        off = solved["xyz_m"][inside][:, found.index(joint)] - at(joint)
        local = 1e3 * np.einsum("fij,fj->fi", axes, off)
        steady = np.nanmedian(local, axis=0)
        out[joint] = (steady, float(np.nanmean(np.linalg.norm(local - steady, axis=-1))))
    return out


def calibrated(shoot: Path, out: Path) -> Path:
    """Return the rig solved from the board clips, in the world of the floor board."""
    boards, floor = sorted((shoot / "calibration").glob("*.mp4")), sorted((shoot / "floor").glob("*.mp4"))
    rig = out / "rig.toml"
    if rig.is_file():
        return rig
    world = ["--world", f"board:{floor[0]}", *floor[1:], "--board-thickness", BOARD_THICKNESS_M]
    mocap("calibrate", "rig", "--board", BOARD, *boards, "--out", rig, *world)
    return rig


def main() -> int:
    """Run, score and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the session; what an earlier run left there is used"
    )
    parser.add_argument("--model", default="blazepose", help="2D keypoint model (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="key=value", help="a setting of the take")
    args = parser.parse_args()
    shoot, bench, out = args.shared / "data/virtual_shoot", args.shared / "bench", args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    rig = calibrated(shoot, out)
    session = out / "session"
    if not session.is_dir():
        mocap("init", session)
        mocap("import", session, "--rig", rig)
        mocap("import", session, TAKE, *sorted((shoot / "videos").glob("*.mp4")))
    settings = [word for pair in [f"model={args.model}", *args.set] for word in ("--set", pair)]
    report = mocap("run", session, TAKE, *settings)["takes"][TAKE]
    mocap("export", f"{session}/{TAKE}", "--to", "trc,points_trc,npz", "--out", out)
    print("stages: " + ", ".join(f"{k} {v:.1f}" for k, v in report["seconds"].items() if v >= 0.1) + " s")
    for found in report["diagnostics"]:
        print(f"  {found['code']}: {found['message']}")
    solved, points = (score(bench, shoot, out / f"subject_0{kind}.trc")["keypoints"] for kind in ("", "_points"))
    cameras = score(bench, shoot, "--rig", rig)["rig"]
    print(
        f"rig: centres off by {max(cameras['world_centre_mm']):.1f} mm, directions by "
        f"{max(cameras['world_rotation_deg']):.3f} deg, focal lengths by {max(cameras['focal_pct']):.2f} % at most"
    )
    steady = steady_errors_mm(shoot, out / "subject_0.npz", solved["time_shift_s"])
    print(f"{'joint':16s} solved  points   steady part of the solved (forward left up)  rest   [mm]")
    for joint in JOINTS:
        bias, rest = steady[joint]
        print(
            f"{joint:16s} {solved['per_joint_mm'][joint]:6.1f}  {points['per_joint_mm'][joint]:6.1f}   "
            f"{bias[0]:+6.1f} {bias[1]:+6.1f} {bias[2]:+6.1f}  {rest:27.1f}"
        )
    mean = solved["mpjpe_mm"]
    print(
        f"{'mean':16s} {mean:6.1f}  {points['mpjpe_mm']:6.1f}   bar {BAR_MM:.0f}; median {solved['median_mm']:.1f}, "
        f"p95 {solved['p95_mm']:.1f} mm; {solved['coverage']:.1%} of the samples; clocks shifted together by "
        f"{solved['time_shift_s'] * 1e3:.1f} ms"
    )
    return 0 if mean <= BAR_MM and solved["coverage"] > 0.99 else 1


if __name__ == "__main__":
    sys.exit(main())
