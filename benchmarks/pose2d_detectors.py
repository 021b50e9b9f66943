"""In how many frames of the sample footage each person detector finds the performer.

    python benchmarks/pose2d_detectors.py ../shared [--pictures FOLDER]

The performer fills at least 30 % of the picture's height; others stand small in the background. Higher is better: at
least 398 of 400 frames. Exit status 1 below that.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from mocap.media.decode import frames
from mocap.pose2d.cards import load_card
from mocap.pose2d.detectors import PersonDetector

DETECTORS = {
    "yolox-nano": "models/yolox_nano_humanart_8xb8-300e.onnx",
    "rtmdet-nano": "models/rtmdet-nano_HW140701_end2end.onnx",
}
MIN_FOUND = 398
MIN_SCORE = 0.3
PERFORMER_HEIGHT = 0.3


def main() -> int:
    """Count, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--pictures", type=Path, help="also draw every 25th frame here")
    args = parser.parse_args()
    is_ok = True
    for name, file in DETECTORS.items():
        detector = PersonDetector(args.shared / file, load_card(name))
        found: list[float] = []
        n_others, seconds = 0, 0.0
        for video in sorted((args.shared / "data/pose2sim_demo/SinglePerson/videos").glob("*.mp4")):
            for frame in frames(video):
                start = time.perf_counter()
                boxes, scores = detector(frame.rgb, MIN_SCORE)
                seconds += time.perf_counter() - start
                is_large = boxes[:, 3] - boxes[:, 1] > PERFORMER_HEIGHT * frame.rgb.shape[0]
                found.append(float(scores[is_large].max(initial=0.0)))
                n_others += int(is_large.sum() > 1)
                if args.pictures and frame.index % 25 == 0:
                    draw(args.pictures / f"{name}_{video.stem}_{frame.index:03d}.jpg", frame.rgb, boxes, scores)
        n = int(np.sum(np.array(found) > 0))
        is_ok &= n >= MIN_FOUND
        print(
            f"{name}: performer found in {n} of {len(found)} frames; score min {min(found):.2f}, median "
            f"{np.median(found):.2f}; two large boxes in {n_others}; {1000 * seconds / len(found):.1f} ms a frame"
        )
    return 0 if is_ok else 1


def draw(file: Path, rgb: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> None:
    """Write a picture with its boxes, at a third of the size."""
    import cv2

    picture = np.ascontiguousarray(rgb[:, :, ::-1])
    for (x0, y0, x1, y1), score in zip(boxes.astype(int).tolist(), scores, strict=True):
        cv2.rectangle(picture, (x0, y0), (x1, y1), (0, 0, 255), 4)
        cv2.putText(picture, f"{score:.2f}", (x0, y0 + 40), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (0, 255, 0), 3)
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), cv2.resize(picture, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    sys.exit(main())
