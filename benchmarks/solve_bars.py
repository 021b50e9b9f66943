"""Accuracy, liveliness, uncertainty, outliers and exchanged limbs of points and solve, against known truth.

    python benchmarks/solve_bars.py --cameras 3 4 8 16 --seeds 1 2 3 4 5 --clips walk both
    python benchmarks/solve_bars.py --cameras 8 --seeds 1 --gaps --swaps

Takes come from ../shared/bench/make_take.py, held in memory; each figure stands beside its bar and, for accuracy,
beside ../shared/bench/reference_dlt.py told every outlier (`--method oracle --butter 6`). `--gaps` hides keypoints and
whole limbs from all cameras for 0.5 to 3 s; `--swaps` exchanges left and right of limbs and of the whole body in single
views, on takes that have no exchanges of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import find_peaks

from calibration.files import read_rig
from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D, load_keypoint_set
from mocap.core.limbs import limb_groups, of_keypoints, put_back
from mocap.core.take import SolvedTake
from mocap.core.timeline import Timeline
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.take import solve_take

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
CMU = SHARED / "data/mocap_clips/cmu"
WALK, FAST = "cmu_12_01_walk.bvh", "asf_amc/01_01.amc"
CLIPS: dict[str, tuple[str, ...]] = {"walk": (WALK,), "fast": (FAST,), "both": (WALK, FAST)}
FPS = Fraction(60)
HALPE = load_keypoint_set("halpe26")
ACCURACY_BARS_MM = {3: (20.0, 45.0), 4: (12.0, 26.0), 8: (7.5, 15.0), 16: (4.2, 8.0)}
OUTLIER_FLAGS, SWAPPED = 12, 4
PEAKS_APART, PEAK_WITHIN = 20, 4
"""Frames between two peaks at least; a result's peak lies within so many frames of the truth's."""
GAPS_S = (0.5, 1.0, 2.0, 3.0)
HIDDEN = (
    ("LWrist",),
    ("RAnkle", "RHeel", "RBigToe", "RSmallToe"),
    ("RElbow", "RWrist"),
    ("LKnee", "LAnkle", "LHeel", "LBigToe", "LSmallToe"),
)


@dataclass(frozen=True, eq=False)
class Take:
    """One synthetic take."""

    rig: CameraRig
    rig_file: Path
    detections: Keypoints2D
    flags: np.ndarray
    """[camera frame keypoint] of make_take.py."""
    truth_m: np.ndarray
    """[frame keypoint 3]"""


def bench_module(name: str) -> Any:
    """Return a module of ../shared/bench."""
    sys.path.insert(0, str(SHARED / "bench"))
    module = __import__(name)
    sys.path.pop(0)
    return module


def make(cameras: int, seed: int, clips: str, frames: int, swaps: float | None, cache: Path) -> Take:
    """Return a take, made on first use; its keypoint files are kept in memory instead of written."""
    folder = cache / f"{clips}_c{cameras}_s{seed}_f{frames}_w{swaps}"
    if not (folder / "detections.npz").exists():
        module = bench_module("make_take")
        seen: list[tuple[np.ndarray, np.ndarray]] = []

        def keep(_folder: Path, _name: str, uv: np.ndarray, conf: np.ndarray, _rng: object) -> np.ndarray:
            seen.append((np.round(uv[0], 3), np.round(conf[0], 3)))
            return np.zeros((conf.shape[1], 1), np.int8)

        module.write_json = keep
        argv = [str(folder), "--cameras", str(cameras), "--seed", str(seed), "--frames", str(frames), "--overwrite"]
        argv += [a for clip in CLIPS[clips] for a in ("--clip", str(CMU / clip))]
        argv += [] if swaps is None else ["--swap", str(swaps)]
        with contextlib.redirect_stdout(io.StringIO()):
            module.main(argv)
        score = np.stack([s for _, s in seen]) * ((np.stack([s for _, s in seen]) > 0).sum(-1, keepdims=True) >= 4)
        np.savez(folder / "detections.npz", xy=np.stack([u for u, _ in seen]), score=score)
    data, flags = np.load(folder / "detections.npz"), np.load(folder / "truth/detections.npz")["flags"][:, 0]
    score = data["score"]
    xy = np.where(score[..., None] > 0, data["xy"], np.nan)
    rig = read_rig(folder / "rig.toml")
    time_s = np.tile(np.arange(frames) / float(FPS), (cameras, 1))
    detections = Keypoints2D(HALPE, rig.names, xy[:, :, None], score[:, :, None], time_s)
    return Take(rig, folder / "rig.toml", detections, flags, np.load(folder / "truth/truth.npz")["xyz"][0])


def hide(take: Take, seed: int) -> tuple[Take, np.ndarray]:
    """Return the take with keypoints hidden from all cameras in places, and where [frame keypoint]."""
    rng = np.random.default_rng([seed, 501])
    hidden = np.zeros(take.truth_m.shape[:2], bool)
    at = int(rng.integers(60, 120))
    for n, length_s in enumerate(np.tile(GAPS_S, 20)):
        stop = at + round(length_s * float(FPS))
        if stop + 60 > len(hidden):
            break
        hidden[at:stop, [HALPE.names.index(k) for k in HIDDEN[(n + n // 4) % 4]]] = True
        at = stop + int(rng.integers(60, 90))
    d = take.detections
    gone = np.broadcast_to(hidden, d.score[:, :, 0].shape)[:, :, None]
    xy, score = np.where(gone[..., None], np.nan, d.xy_px), np.where(gone, 0.0, d.score)
    return replace(take, detections=replace(d, xy_px=xy, score=score)), hidden


def exchange(take: Take, seed: int) -> tuple[Take, np.ndarray]:
    """Return the take with sides exchanged in stretches of single views, and where [camera frame limb]."""
    rng = np.random.default_rng([seed, 502])
    turned: np.ndarray = np.zeros((*take.flags.shape[:2], len(limb_groups(HALPE))), bool)
    for camera in range(len(turned)):
        at = rng.integers(0, 600)
        while (stop := at + rng.integers(5, 60)) < turned.shape[1]:
            limbs = ([0], [1], [0, 1, 2])[int(rng.integers(3))]
            turned[camera, at:stop, limbs] = True
            at = stop + rng.integers(300, 900)
    d = take.detections
    xy, score = (put_back(v[:, :, 0], turned, HALPE)[:, :, None] for v in (d.xy_px, d.score))
    flags = put_back(take.flags, turned, HALPE)
    return replace(take, detections=replace(d, xy_px=xy, score=score), flags=flags), turned


def ratios(called: np.ndarray, true: np.ndarray) -> str:
    """Return precision and recall as text."""
    hit = (called & true).sum()
    return f"P {hit / max(called.sum(), 1):.3f} R {hit / max(true.sum(), 1):.3f}"


def covered(xyz_m: np.ndarray, sigma_m: np.ndarray, truth_m: np.ndarray, where: np.ndarray | None = None) -> str:
    """Return the shares of coordinates within 1 and 1.96 sd of the truth, as text."""
    z = np.abs(xyz_m - truth_m) / sigma_m[..., None]
    z = z[np.isfinite(z).all(-1) & (True if where is None else where)]
    return f"{(z < 1).mean():.3f} {(z < 1.96).mean():.3f}" if z.size else "none"


def off(xyz_m: np.ndarray, truth_m: np.ndarray, where: np.ndarray) -> str:
    """Return how far from the truth points are where they are known, as text."""
    error_mm = np.linalg.norm(xyz_m - truth_m, axis=-1)[where] * 1e3
    return f"{np.nanmean(error_mm):.0f} mm off" if np.isfinite(error_mm).any() else "nowhere known"


def peak_speed_ratio(xyz_m: np.ndarray, truth_m: np.ndarray) -> str:
    """Return wrist peaks over the truth's, as text: the take's greatest, left and right, and the greatest ten of each.

    Of the ten, mean and standard deviation: flattening shows in the first, what the images leave open in the second.
    """
    wrists = [HALPE.names.index(n) for n in ("LWrist", "RWrist")]
    own, true = (np.linalg.norm(np.gradient(x[:, wrists], axis=0), axis=-1).T for x in (xyz_m, truth_m))
    greatest = " ".join(f"{r:.3f}" for r in own.max(1) / true.max(1))
    ratios = []
    for mine, other in zip(own, true, strict=True):
        peaks = find_peaks(other, distance=PEAKS_APART)[0]
        for at in sorted(peaks, key=lambda f: -other[f])[:10]:
            ratios.append(mine[max(at - PEAK_WITHIN, 0) : at + PEAK_WITHIN + 1].max() / other[at])
    return f"{greatest} (ten greatest {np.mean(ratios):.3f} +- {np.std(ratios):.3f})"


def oracle(take: Take) -> str:
    """Return MPJPE, p95, acceleration error and wrist peaks of the frame-wise reference that is told every outlier."""
    module = bench_module("reference_dlt")
    d = take.detections
    xyc = np.concatenate([np.nan_to_num(d.xy_px[:, :, 0]), d.score[:, :, 0, :, None]], axis=-1).astype(float)
    module.load_detections = lambda _take, _cams: xyc
    module.read_rig = lambda _path: bench_module("benchlib").read_rig(take.rig_file)
    with np.errstate(all="ignore"):
        xyz, _, _ = module.triangulate(take.rig_file.parent, "oracle", fc=6.0)
    m = scored(xyz, take.truth_m)
    figures = f"{m['mpjpe_mm']:.2f}/{m['p95_mm']:.2f} mm, acceleration {m['acc_err_mean_m_s2']:.2f} m/s2"
    return f"{figures}, wrist peaks {peak_speed_ratio(xyz, take.truth_m)}"


def scored(xyz_m: np.ndarray, truth_m: np.ndarray) -> dict[str, float]:
    """Return the figures of ../shared/bench/score.py."""
    bones = [(HALPE.names.index(a), HALPE.names.index(b)) for a, b in (("LHip", "LKnee"), ("LShoulder", "LElbow"))]
    return bench_module("score").metrics(xyz_m, truth_m, float(FPS), range(len(HALPE)), bones)


def solved(take: Take) -> tuple[SolvedTake, float]:
    """Return the solved take and the time of points and solve in ms per frame."""
    timeline = Timeline(FPS, take.detections.n_frames, 0.0)
    start = time.perf_counter()
    result = solve_take(take.rig, reconstruct_points(take.detections, take.rig, timeline))
    return result, (time.perf_counter() - start) / timeline.n_frames * 1e3


def report_default(take: Take, with_oracle: bool) -> None:
    """Print the figures of a take as it is."""
    result, ms = solved(take)
    m = scored(result.keypoints.xyz_m, take.truth_m)
    bar = ACCURACY_BARS_MM.get(len(take.rig))
    limit = f" (bar {bar[0]}/{bar[1]})" if bar else ""
    print(
        f"  position {m['mpjpe_mm']:.2f}/{m['p95_mm']:.2f} mm{limit}, coverage {m['coverage']:.4f}; {ms:.2f} ms/frame"
    )
    if with_oracle:
        print(f"  oracle   {oracle(take)}")
    speed = peak_speed_ratio(result.keypoints.xyz_m, take.truth_m)
    jitter = f"jitter ratio {m['jitter_ratio']:.3f} (bar 1)"
    print(f"  motion   acceleration {m['acc_err_mean_m_s2']:.2f} m/s2, {jitter}, wrist peaks {speed} (bar 0.97-1.03)")
    report_intervals(result, take.truth_m)
    report_outliers(result, take)


def report_intervals(result: SolvedTake, truth_m: np.ndarray, hidden: np.ndarray | None = None) -> None:
    """Print how often the intervals hold the truth."""
    for name, k in (("solved", result.keypoints), ("points", result.points)):
        inside = (
            ""
            if hidden is None
            else f"; in gaps {covered(k.xyz_m, k.sigma_m, truth_m, hidden)}, {off(k.xyz_m, truth_m, hidden)}"
        )
        print(f"  held     {name} {covered(k.xyz_m, k.sigma_m, truth_m)}{inside} (bar .63-.73 .92-.98)")


def report_outliers(result: SolvedTake, take: Take) -> None:
    """Print how well outlying observations are found, all and by kind."""
    seen = take.detections.score[:, :, 0] > 0
    probability = put_back(result.inlier_probability, result.exchanged, HALPE)
    called = seen & ((np.nan_to_num(probability) < 0.5) | of_keypoints(result.exchanged, HALPE))
    true = seen & (take.flags & OUTLIER_FLAGS > 0)
    swapped = seen & (take.flags & SWAPPED > 0)
    kinds = f"jumps found {called[true & ~swapped].mean():.3f}, exchanged {called[swapped].mean():.3f}"
    print(f"  outliers {ratios(called, true)} ({kinds}) (bar .95 .95)")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--clips", nargs="+", choices=sorted(CLIPS), default=["walk"])
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--gaps", action="store_true", help="hide keypoints for up to 3 s and print the intervals")
    parser.add_argument("--swaps", action="store_true", help="exchange limbs in single views and print who is found")
    parser.add_argument("--no-oracle", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "mocap-solve-takes")
    args = parser.parse_args()
    for clips in args.clips:
        for cameras in args.cameras:
            for seed in args.seeds:
                print(f"{clips}, {cameras} cameras, seed {seed}", flush=True)
                take = make(cameras, seed, clips, args.frames, None, args.cache)
                report_default(take, not args.no_oracle)
                if args.gaps:
                    holed, hidden = hide(take, seed)
                    print("  with gaps of 0.5 to 3 s:")
                    report_intervals(solved(holed)[0], take.truth_m, hidden)
                if args.swaps:
                    report_swaps(make(cameras, seed, clips, args.frames, 0.0, args.cache), seed)


def report_swaps(take: Take, seed: int) -> None:
    """Print how well injected exchanges are found, by limb and frame."""
    turned_take, turned = exchange(take, seed)
    result, _ = solved(turned_take)
    groups = limb_groups(HALPE)
    seen = (take.detections.score[:, :, 0] > 0).astype(int) @ groups.T.astype(int) > 0
    each = ", ".join(
        f"{name} {ratios(result.exchanged[..., g] & seen[..., g], turned[..., g] & seen[..., g])}"
        for g, name in enumerate(("arms", "legs", "head"))
    )
    print(f"  injected exchanges {ratios(result.exchanged & seen, turned & seen)} (bar .98 .98): {each}")


if __name__ == "__main__":
    main()
