"""The causal preview beside the whole take's solve, points of single frames and One Euro over these, against truth.

    python benchmarks/causal.py --cameras 4 8 --seeds 1 2 --clips walk both
    python benchmarks/causal.py --cameras 4 --frames 3000 --latencies-ms 0 --cost

Takes come from ../shared/bench/make_take.py as in solve_bars.py. Each line has the mean error (MPJPE) and its 95th
percentile, the mean acceleration error, the lag, and the share of keypoints that are given. The lag is how far behind
the truth a result runs: its error against the true velocity by least squares, errors above 0.3 m left out. The first
two seconds do not count: the body's sizes are being found there. `--cost` shows processor time by quarter of the take.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from solve_bars import CLIPS, FPS, Take, covered, make, scored, solved

from mocap.core.progress import NoProgress
from mocap.core.timeline import Timeline
from mocap.kernels.filters import filtered
from mocap.reconstruct.framewise import framewise_points
from sessions.preview import Preview, arriving
from sessions.preview_take import PreviewedTake, preview_take

SETTLED_S = 2.0
GROSS_M = 0.3


def lag_ms(xyz_m: np.ndarray, truth_m: np.ndarray) -> float:
    """Return how far the result runs behind the truth."""
    velocity = np.gradient(truth_m, 1 / float(FPS), axis=0)
    error = xyz_m - truth_m
    fine = np.linalg.norm(error, axis=-1) < GROSS_M
    return -float((error * velocity)[fine].sum() / (velocity**2)[fine].sum()) * 1e3


def line(name: str, xyz_m: np.ndarray, take: Take, more: str = "") -> None:
    """Print the figures of one result."""
    first = round(SETTLED_S * float(FPS))
    m = scored(xyz_m[first:], take.truth_m[first:])
    lag = lag_ms(xyz_m[first:], take.truth_m[first:])
    print(
        f"  {name:22s} {m['mpjpe_mm']:6.2f}/{m['p95_mm']:.2f} mm, acceleration {m['acc_err_mean_m_s2']:6.2f} m/s2, "
        f"lag {lag:5.1f} ms, given {m['coverage']:.4f}{more}",
        flush=True,
    )


def previewed(take: Take, latency_ms: float) -> PreviewedTake:
    """Return the preview of a take."""
    timeline = Timeline(FPS, take.detections.n_frames, 0.0)
    return preview_take(take.rig, take.detections, timeline, NoProgress(), None, latency_ms / 1e3)


def report(take: Take, latencies_ms: list[float]) -> None:
    """Print the figures of all methods on one take."""
    timeline = Timeline(FPS, take.detections.n_frames, 0.0)
    raw = framewise_points(take.detections, take.rig, timeline).xyz_m
    line("frame by frame", raw, take)
    line("One Euro on these", filtered(raw, float(FPS), "one-euro"), take)
    first = round(SETTLED_S * float(FPS))
    for latency_ms in latencies_ms:
        shown = previewed(take, latency_ms)
        k, ms = shown.solved.keypoints, shown.figures["ms_a_frame"]
        held = covered(k.xyz_m[first:], k.sigma_m[first:], take.truth_m[first:])
        more = f"; held {held}; {ms['mean']:.1f} ms a frame, median {ms['median']:.1f}, 99 % {ms['p99']:.1f}"
        line(f"preview, {latency_ms:g} ms late", k.xyz_m, take, more)
    line("whole take", solved(take)[0].keypoints.xyz_m, take)


def report_cost(take: Take) -> None:
    """Print the processor time of a frame by quarter of the take."""
    n_frames = take.detections.n_frames
    preview = Preview(take.rig, take.detections.keypoint_set, FPS)
    ms = np.zeros(n_frames)
    for n, seen in enumerate(arriving(take.detections, Timeline(FPS, n_frames, 0.0))):
        start = time.process_time()
        preview.push(seen)
        ms[n] = (time.process_time() - start) * 1e3
    quarters = "; ".join(f"{np.median(q):.2f} ({q.mean():.2f})" for q in np.array_split(ms, 4))
    start = time.process_time()
    solved(take)
    whole_ms = (time.process_time() - start) / n_frames * 1e3
    print(
        f"  ms a frame by quarter, median (mean): {quarters}; longest {ms.max():.0f}; whole take {whole_ms:.2f}",
        flush=True,
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--clips", nargs="+", choices=sorted(CLIPS), default=["walk"])
    parser.add_argument("--frames", type=int, default=1200)
    parser.add_argument("--latencies-ms", type=float, nargs="+", default=[0.0, 50.0, 100.0])
    parser.add_argument("--cost", action="store_true", help="processor time by quarter of the take, nothing else")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "mocap-solve-takes")
    args = parser.parse_args()
    for clips in args.clips:
        for cameras in args.cameras:
            for seed in args.seeds:
                print(f"{clips}, {cameras} cameras, seed {seed}, {args.frames} frames", flush=True)
                take = make(cameras, seed, clips, args.frames, None, args.cache)
                if args.cost:
                    report_cost(take)
                else:
                    report(take, args.latencies_ms)


if __name__ == "__main__":
    main()
