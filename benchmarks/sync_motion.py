"""Offsets and drift from keypoints alone against known truth, one line per take.

    python benchmarks/sync_motion.py --cameras 4 --seeds 1 5 27 --frames 600 [--no-rig]

Takes are made by ../shared/bench/make_take.py (`--time-offsets 1 --drift-ppm 40`). It refuses offsets beyond 0.9 s,
which a standard deviation of 1 s exceeds for most seeds; `--seeds auto N` uses the first N that it accepts, so
offsets are cut at 0.9 s (between two cameras up to 1.8 s; standard deviation about 0.5 s). `--start S` shifts each
camera's recording by a further random whole number of frames of standard deviation S seconds.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from calibration.files import read_rig
from mocap.core.camera import CameraRig
from mocap.core.keypoints import load_keypoint_set
from mocap.core.timeline import TimeMap
from mocap.pose2d.files import read_keypoints

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
CLIPS = ("cmu_12_01_walk.bvh",)


class View:
    """One camera's detections, with the times that a program under test sees."""

    def __init__(self, xy_px: np.ndarray, score: np.ndarray, time_s: np.ndarray) -> None:
        self.xy_px, self.score, self.time_s = xy_px, score, time_s
        self.keypoint_set = load_keypoint_set("halpe26")


def accepted_seeds(n: int, cameras: int, seconds: float, offset_s: float, drift_ppm: float) -> list[int]:
    """Return the first seeds whose offsets make_take.py does not refuse."""
    seeds: list[int] = []
    seed = 0
    while len(seeds) < n:
        normal = [[np.random.default_rng([seed, i, c]).standard_normal() for c in range(cameras)] for i in (12, 13)]
        offset, drift = np.abs(normal[0]).max() * offset_s, np.abs(normal[1]).max() * drift_ppm
        if offset + seconds * drift * 1e-6 <= 0.9:
            seeds.append(seed)
        seed += 1
    return seeds


def load_take(
    cameras: int, seed: int, frames: int, offset_s: float, drift_ppm: float, cache: Path
) -> tuple[CameraRig, list[View], np.ndarray, np.ndarray]:
    """Return (rig, views, true offsets, true drifts) of a take, made on first use."""
    file = cache / f"c{cameras}_s{seed}_f{frames}_o{offset_s}_d{drift_ppm}.npz"
    rig_file = file.with_suffix(".toml")
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="sync-take-"))
        clip = SHARED / "data/mocap_clips/cmu" / CLIPS[0]
        options = f"--clip {clip} --cameras {cameras} --seed {seed} --frames {frames} --time-offsets {offset_s}"
        command = [sys.executable, str(SHARED / "bench/make_take.py"), str(folder / "take"), *options.split()]
        subprocess.run([*command, "--drift-ppm", str(drift_ppm)], check=True, capture_output=True)
        shutil.copy(folder / "take/rig.toml", rig_file)
        names = read_rig(rig_file).names
        found = read_keypoints(folder / "take/pose", names, 60).detections
        truth = np.load(folder / "take/truth/truth.npz")
        np.savez(
            file,
            xy=np.stack([d.xy_px for d in found.values()]),
            score=np.stack([d.score for d in found.values()]),
            time=np.stack([d.time_s for d in found.values()]),
            offset=truth["cam_time_offset_s"],
            drift=truth["cam_drift_ppm"],
        )
        shutil.rmtree(folder)
    data = np.load(file)
    views = [View(x, s, t) for x, s, t in zip(data["xy"], data["score"], data["time"], strict=True)]
    return read_rig(rig_file), views, data["offset"], data["drift"]


def shift_starts(
    views: list[View], offset: np.ndarray, drift: np.ndarray, std_s: float, seed: int, keep: int
) -> tuple[list[View], np.ndarray]:
    """Return views cut to `keep` frames from random starts, their clocks at 0 there, and the offsets that follow."""
    rng = np.random.default_rng([seed, 77])
    spare = len(views[0].time_s) - keep
    starts = np.clip(np.rint(rng.normal(0.5 * spare, std_s * 60, len(views))), 0, spare).astype(int)
    out = []
    for v, s in zip(views, starts, strict=True):
        out.append(View(v.xy_px[s : s + keep], v.score[s : s + keep], v.time_s[s : s + keep] - v.time_s[s]))
    begin = np.array([v.time_s[s] for v, s in zip(views, starts, strict=True)])
    return out, offset + (1 + drift * 1e-6) * begin


def errors(
    maps: Mapping[str, TimeMap], names: Sequence[str], offset: np.ndarray, drift: np.ndarray, duration_s: float
) -> tuple[np.ndarray, ...]:
    """Return errors of offset, of the clock in the middle and at worst over the recording (s), and of drift (ppm)."""
    rate = (1 + drift * 1e-6) / (1 + drift[0] * 1e-6)
    true_offset = (offset - offset[0]) / (1 + drift[0] * 1e-6)
    own = np.array([maps[n].offset_s for n in names])
    own_rate = np.array([maps[n].drift_ppm for n in names]) * 1e-6
    t = np.linspace(0, duration_s, 11)
    error = own[:, None] + (1 + own_rate[:, None]) * t - true_offset[:, None] - rate[:, None] * t
    return own - true_offset, error[:, 5], np.abs(error).max(1), (own_rate - (rate - 1)) * 1e6


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seeds", nargs="+", default=["auto", "20"], help="seeds, or `auto N`")
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--offset", type=float, default=1.0)
    parser.add_argument("--drift", type=float, default=40.0)
    parser.add_argument("--start", type=float, default=0.0, help="whole-frame shifts of the starts, s")
    parser.add_argument("--no-rig", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "mocap-sync-takes")
    args = parser.parse_args()
    from mocap.sync.motion import synchronise_motion

    made = args.frames + (300 if args.start else 0)
    if args.seeds[0] == "auto":
        seeds = accepted_seeds(int(args.seeds[1]), args.cameras, made / 60, args.offset, args.drift)
    else:
        seeds = [int(s) for s in args.seeds]
    rows = []
    for seed in seeds:
        rig, views, offset, drift = load_take(args.cameras, seed, made, args.offset, args.drift, args.cache)
        if args.start:
            views, offset = shift_starts(views, offset, drift, args.start, seed, args.frames)
        rig_or_none: CameraRig | None = None if args.no_rig else rig
        start = time.perf_counter()
        result = synchronise_motion(dict(zip(rig.names, views, strict=True)), rig_or_none)
        seconds = time.perf_counter() - start
        at_0, middle, worst, ppm = errors(result.maps, rig.names, offset, drift, args.frames / 60)
        sigma = np.array([result.maps[n].sigma_s for n in rig.names])
        rows += list(zip(at_0[1:], middle[1:], worst[1:], ppm[1:], sigma[1:], strict=True))
        print(
            f"seed {seed:4d}: error at 0 {_list(at_0 * 1e3)} ms, middle {_list(middle * 1e3)} ms, sigma "
            f"{_list(sigma * 1e3)} ms, drift {_list(ppm, 0)} ppm, {seconds:.2f} s",
            flush=True,
        )
    _summary(np.array(rows))


def _list(values: np.ndarray, digits: int = 2) -> str:
    return "[" + " ".join(f"{v:.{digits}f}" for v in values[1:]) + "]"


def _summary(rows: np.ndarray) -> None:
    at_0, middle, worst, ppm, sigma = rows.T
    z = at_0 / sigma
    for name, error in (("offset at 0", at_0), ("middle", middle), ("worst over the take", worst)):
        e = np.abs(error) * 1e3
        shares = ", ".join(f"<{limit:g} ms {np.mean(e < limit):.1%}" for limit in (2, 8, 1000 / 60))
        print(f"{name}: median {np.median(e):.3f}, p95 {np.percentile(e, 95):.3f}, max {e.max():.3f} ms; {shares}")
    off = np.abs(ppm)
    print(f"drift: median {np.median(off):.1f}, p95 {np.percentile(off, 95):.1f}, max {off.max():.1f} ppm")
    inside = ", ".join(f"<{limit} {np.mean(np.abs(z) < limit):.0%}" for limit in (1, 2))
    print(f"calibration of sigma: rms z {np.sqrt(np.mean(z**2)):.2f}, |z|{inside}, max {np.abs(z).max():.1f}")


if __name__ == "__main__":
    main()
