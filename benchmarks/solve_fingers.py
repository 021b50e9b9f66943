"""Fingers on synthetic whole-body takes: carried rigidly by the hand, as plain points, and solved as joints.

    python benchmarks/solve_fingers.py [--cameras 3 5 8] [--noise-px 2 4] [--seeds 1 2 3] [--frames 600]

The performers' hands (`mocap.synth.hands`) are nothing of the solve's own model. "attached" is the same solve with a
set whose finger keypoints are no landmarks, so that they are carried by the joint in whose frame they move least.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline
from mocap.core.take import SolvedTake
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.body import ONLY_WITH_FINGERS
from mocap.solve.hand import FINGERS, HANDS, finger_landmarks, knuckle
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import WHOLEBODY133, Performer
from mocap.synth.rig import ring_rig

FPS = Fraction(60)
LANDMARKS = WHOLEBODY133.landmarks
CHAINS = [[LANDMARKS.index(s + n) for n in (knuckle(f), *finger_landmarks(f))] for s in "LR" for f in FINGERS]
HAND = sorted(k for chain in CHAINS for k in chain)
TIPS = [chain[-1] for chain in CHAINS]
HIDDEN_S = 1.0


class Row(NamedTuple):
    """Figures of one way on one take."""

    hand_mm: float
    tip_mm: float
    bend_deg: float
    palm_deg: float
    within_95: float
    solve_ms: float


def attached(detections: Keypoints2D) -> Keypoints2D:
    """Return the detections with a set whose fingers are no landmarks of their own."""
    fingers = {n for side in HANDS for n in HANDS[side].landmarks if n[1:] != "Thumb"}
    fingers |= {s + n for s in "LR" for n in ONLY_WITH_FINGERS}
    names = tuple("" if n in fingers else n for n in LANDMARKS)
    return replace(detections, keypoint_set=replace(WHOLEBODY133, landmarks=names))


def bends_deg(xyz_m: np.ndarray) -> np.ndarray:
    """Return the angle between each bone of a finger and the next [frame joint]."""
    out = []
    for chain in CHAINS:
        bones = np.diff(xyz_m[:, chain], axis=1)
        for one, other in zip(bones.swapaxes(0, 1)[:-1], bones.swapaxes(0, 1)[1:], strict=True):
            out.append(np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other), axis=-1), (one * other).sum(-1))))
    return np.stack(out, axis=1)


def palm_deg(xyz_m: np.ndarray, truth_m: np.ndarray) -> float:
    """Return the mean angle by which lines across and along the palms are off."""
    off = []
    for s in "LR":
        for a, b in (("Index", "Pinky"), ("Wrist", "Middle")):
            ours, true = (x[:, LANDMARKS.index(s + b)] - x[:, LANDMARKS.index(s + a)] for x in (xyz_m, truth_m))
            off.append(np.degrees(np.arctan2(np.linalg.norm(np.cross(ours, true), axis=-1), (ours * true).sum(-1))))
    return float(np.nanmean(off))


def figures(xyz_m: np.ndarray, sigma_m: np.ndarray, truth_m: np.ndarray, ms: float) -> Row:
    """Return the figures of keypoints against the truth [frame keypoint 3]."""
    error = np.linalg.norm(xyz_m - truth_m, axis=-1) * 1e3
    ratio = np.abs(xyz_m - truth_m)[:, HAND] / sigma_m[:, HAND, None]
    known = np.isfinite(ratio)
    return Row(
        float(np.nanmean(error[:, HAND])),
        float(np.nanmean(error[:, TIPS])),
        float(np.nanmean(np.abs(bends_deg(xyz_m) - bends_deg(truth_m)))),
        palm_deg(xyz_m, truth_m),
        float((ratio[known] < 1.96).mean()),
        ms,
    )


def solved(rig: CameraRig, detections: Keypoints2D) -> tuple[SolvedTake, float]:
    """Return the result and the processor's milliseconds per frame of the solve alone."""
    points = reconstruct_points(detections, rig, common_timeline(detections.time_s, FPS))
    start = time.process_time()
    result = solve_take(rig, points)
    return result, (time.process_time() - start) * 1e3 / len(result.keypoints.time_s)


def hidden(detections: Keypoints2D) -> tuple[Keypoints2D, np.ndarray]:
    """Return the detections with both hands unseen for a second out of every four, and those frames."""
    frames = np.flatnonzero((np.arange(detections.n_frames) / float(FPS)) % 4.0 >= 4.0 - HIDDEN_S)
    is_hand = np.array(["_hand_root" in name or k in HAND for k, name in enumerate(WHOLEBODY133.names)])
    is_gone = np.isin(np.arange(detections.n_frames), frames)[:, None, None] & is_hand
    xy = np.where(is_gone[..., None], np.nan, detections.xy_px)
    score = np.where(np.isfinite(xy).all(-1), detections.score, 0.0)
    return replace(detections, xy_px=xy, score=score), frames


def report(cameras: int, noise_px: float, seed: int, n_frames: int) -> dict[str, Row]:
    """Return the figures of each way for one take."""
    rng = np.random.default_rng([seed, cameras])
    rig = ring_rig(cameras, rng)
    performer = Performer.random(rng).with_hands(rng)
    faults = Faults(noise_px=noise_px, outlier_share=0.02, dropout_share=0.02)
    detections = detect([performer], rig, FPS, n_frames, rng, faults=faults).keypoints
    before, before_ms = solved(rig, attached(detections))
    after, after_ms = solved(rig, detections)
    truth = performer.points(after.keypoints.time_s)
    unseen, frames = hidden(detections)
    gaps = solved(rig, unseen)[0].keypoints
    frames = frames[frames < len(gaps.time_s)]
    return {
        "points": figures(after.points.xyz_m, after.points.sigma_m, truth, np.nan),
        "attached": figures(before.keypoints.xyz_m, before.keypoints.sigma_m, truth, before_ms),
        "fingers": figures(after.keypoints.xyz_m, after.keypoints.sigma_m, truth, after_ms),
        "fingers, hidden 1 s": figures(gaps.xyz_m[frames], gaps.sigma_m[frames], truth[frames], np.nan),
    }


def main() -> None:
    """Read the options and print the table, means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="*", default=[3, 5, 8])
    parser.add_argument("--noise-px", type=float, nargs="*", default=[2.0, 4.0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--frames", type=int, default=600)
    args = parser.parse_args()
    print("cameras noise  way                  hand mm  tip mm  bend deg  palm deg  within 1.96 sd  solve ms")
    for cameras in args.cameras:
        for noise_px in args.noise_px:
            takes = [report(cameras, noise_px, seed, args.frames) for seed in args.seeds]
            for way in takes[0]:
                row = Row(*np.mean([take[way] for take in takes], axis=0))
                print(
                    f"{cameras:7d} {noise_px:5.1f}  {way:20s} {row.hand_mm:7.2f} {row.tip_mm:7.2f} {row.bend_deg:9.2f} "
                    f"{row.palm_deg:9.2f} {row.within_95:15.3f} {row.solve_ms:9.2f}"
                )


if __name__ == "__main__":
    main()
