"""rtmlib and MediaPipe on the same videos: run by `pose2d_speed.py` with the Python of an environment that has them.

    python pose2d.py rtmlib JOB.json     python pose2d.py mediapipe JOB.json

JOB holds videos, threads, and for rtmlib model, size, detector, detector_size, boxes (per video and frame the boxes to
look in) and looks (per video the frames in which the detector runs): the same work as ours, each by its own code.
Prints {"wall_s", "cpu_s", "frames"} without loading. Needs `pip install rtmlib mediapipe==0.10.21 onnxruntime`; imports
nothing of this project.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2


def pictures(video):
    """Yield the BGR pictures of a video."""
    capture = cv2.VideoCapture(video)
    while True:
        there, picture = capture.read()
        if not there:
            return
        yield picture


def rtmlib_runs(job):
    """Return a function per video that does our detector calls and our crops with rtmlib."""
    from rtmlib import YOLOX, RTMPose

    def run(c):
        look = set(job["looks"][c])
        n = 0
        for picture in pictures(job["videos"][c]):
            if n in look:
                detector(picture)
            if boxes := job["boxes"][c][n]:
                pose(picture, bboxes=boxes)
            n += 1
        return n

    pose = RTMPose(job["model"], model_input_size=tuple(job["size"]), backend="onnxruntime", device="cpu")
    size = tuple(job["detector_size"])
    detector = YOLOX(job["detector"], model_input_size=size, backend="onnxruntime", device="cpu")
    return run


def mediapipe_runs(job):
    """Return a function per video that follows one person with MediaPipe's own graph, model full."""
    import mediapipe

    def run(c):
        with mediapipe.solutions.pose.Pose(model_complexity=1, smooth_landmarks=False) as pose:
            n = 0
            for picture in pictures(job["videos"][c]):
                pose.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
                n += 1
        return n

    return run


def main():
    """Run and print."""
    job = json.loads(Path(sys.argv[2]).read_text())
    # rtmlib's sessions use every processor by themselves; MediaPipe's graph of one video does not.
    run, n_threads = (rtmlib_runs(job), 1) if sys.argv[1] == "rtmlib" else (mediapipe_runs(job), job["threads"])
    start, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(n_threads) as pool:
        n = sum(pool.map(run, range(len(job["videos"]))))
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    sys.stdout.write("\n" + json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "frames": n}) + "\n")


if __name__ == "__main__":
    main()
