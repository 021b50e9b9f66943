"""Run a small job from an installed wheel, outside the source tree: a synthetic take in, verified files out.

Usage: PATH=<venv>/bin:$PATH python wheel_job.py, in an empty folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

import mocap
from mocap.core.timeline import Timeline
from mocap.synth.detections import detect
from mocap.synth.files import write_take
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS = Fraction(60)


def mocap_command(*arguments: str, allowed: tuple[int, ...] = (0,)) -> None:
    """Run the installed command; another exit status than those allowed ends this program."""
    status = subprocess.run(["mocap", *arguments], check=False).returncode
    if status not in allowed:
        raise SystemExit(f"mocap {' '.join(arguments)}: exit status {status}, expected one of {allowed}")


def main() -> int:
    """Make a take, reconstruct it with the installed command, and check what was written."""
    root = Path(mocap.__file__).resolve()
    if "site-packages" not in root.parts:
        raise SystemExit(f"the wheel is not what was imported: {root}")
    rng = np.random.default_rng(1)
    rig = ring_rig(4, rng)
    performer = Performer.random(rng)
    take = detect([performer], rig, FPS, 61, rng)
    truth = performer.points(Timeline(FPS, 61).time_s)
    write_take(Path("take"), rig, take.keypoints)
    mocap_command("--help")
    # 3: this environment lacks Blender and the models, and doctor says so
    mocap_command("doctor", allowed=(0, 3))
    mocap_command(
        *("reconstruct", "--rig", "take/rig.toml", "--keypoints", "take/keypoints", "--fps", "60"),
        *("--out", "out", "--to", "trc,bvh,glb,c3d,csv"),
    )
    report = json.loads(Path("out/report.json").read_text("utf-8"))
    with np.load("out/subject_0.npz") as result:
        error_mm = 1e3 * np.linalg.norm(result["xyz_m"] - truth, axis=-1)
    missing = [n for n in ("trc", "bvh", "glb", "c3d", "csv") if not Path(f"out/subject_0.{n}").is_file()]
    print(f"{report['frames']} frames, median error {np.median(error_mm):.1f} mm, missing files: {missing or 'none'}")
    return int(bool(missing) or not np.median(error_mm) < 10.0)


if __name__ == "__main__":
    sys.exit(main())
