"""`mocap detect`: 2D keypoints of videos."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import time
from pathlib import Path

import numpy as np

from mocap.cli.options import output_folder
from mocap.cli.ui import Result, Ui
from mocap.core.diagnostics import finding_lines

SUMMARY = "find people's 2D keypoints in videos"
EXAMPLE = "mocap detect cam01.mp4 cam02.mp4 --model rtmpose --out keypoints"
FORMATS = ("openpose", "coco", "npz")
KEEPS_STAGES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="one per camera, named by file or folder")
    parser.add_argument(
        "--model",
        default="auto",
        metavar="NAME",
        help="a model of `mocap models list`, or mmpose:CONFIG,CHECKPOINT (default: rtmpose when its weights are here, "
        "else blazepose)",
    )
    parser.add_argument(
        "--quality",
        choices=("preview", "standard", "best"),
        default="standard",
        help="preview: the smallest model on about 15 frames a second, for a look on set; best: the largest model, on "
        "mirrored pictures too (default: %(default)s)",
    )
    parser.add_argument("--detector", metavar="NAME", help="person detector (default: the best that is here)")
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda, directml or coreml (default: %(default)s)"
    )
    parser.add_argument(
        "--flip-test",
        action="store_true",
        help="look at mirrored pictures too: a little better, half as fast (not with RTMO)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for <camera>_json/ (one file per frame) and <camera>.npz",
    )
    parser.add_argument(
        "--to",
        type=_formats,
        default=("openpose", "npz"),
        metavar="FORMATS",
        help="openpose (one JSON file per frame), coco (one JSON file per camera), npz (arrays with exact times); "
        "default: openpose,npz",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace keypoints that are in DIR already")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Detect and write; a run that was killed goes on where its last part ended."""
    from mocap.media.camera_assignment import name_cameras
    from mocap.media.chapters import whole_recordings
    from mocap.media.fingerprint import fingerprint
    from mocap.media.probe import probe
    from mocap.pose2d.detections_out import check_files, write_files
    from mocap.pose2d.estimator import detect_videos
    from mocap.pose2d.models import make_estimator
    from mocap.pose2d.openpose_out import check_targets, write_openpose
    from mocap.pose2d.quality import QUALITIES
    from sessions.store import content_key

    infos = name_cameras([probe(chapters[0]) for chapters in whole_recordings(args.videos)])
    videos = {camera: info.path for camera, info in infos.items()}
    kinds = [kind for kind in args.to if kind != "openpose"]
    if "openpose" in args.to:
        check_targets(args.out, videos, args.overwrite)
    for kind in kinds:
        check_files(args.out, videos, kind, args.overwrite)
    with output_folder(args.out):
        model = make_estimator(
            args.model,
            ui.progress,
            device=args.device,
            detector=args.detector,
            flip_test=args.flip_test,
            quality=args.quality,
        )
        start_s = time.perf_counter()
        parts = args.out / ".unfinished"
        made_from = [model.identity.to_json(), args.quality]
        content = {c: [fingerprint(part.path) for part in infos[c].files] for c in videos}
        unfinished = {c: parts / content_key(c, content[c], *made_from) for c in videos}
        found = detect_videos(
            videos, model, infos=infos, progress=ui.progress, quality=args.quality, unfinished=unfinished
        )
        seconds = time.perf_counter() - start_s
        written = {kind: write_files(args.out, found, kind) for kind in kinds}
        if "openpose" in args.to:
            folders = write_openpose(args.out, found, replace_existing=args.overwrite, progress=ui.progress)
            written = {"openpose": folders, **written}
        for folder in unfinished.values():
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            parts.rmdir()  # unless another run keeps its parts there
    cameras = {}
    lines = []
    for camera, d in found.items():
        stride = QUALITIES[args.quality].stride(infos[camera].fps)
        share = [float(np.isfinite(d.xy_px[::stride, p]).any((-1, -2)).mean()) for p in range(d.n_persons)]
        cameras[camera] = {
            "files": {kind: str(paths[camera]) for kind, paths in written.items()},
            "n_frames": d.n_frames,
            "looked_at_every": stride,
            "n_persons": d.n_persons,
            "share_of_frames": share,
            "diagnostics": [x.to_json() for x in d.diagnostics],
        }
        people = ", ".join(f"{s:.0%}" for s in share) or "nobody"
        looked = "" if stride == 1 else f", 1 in {stride} looked at"
        lines.append(f"{camera}: {d.n_frames} frames{looked}, people seen in: {people}")
        lines += [f"  {line}" for line in finding_lines(cameras[camera]["diagnostics"])]
    n = sum(d.n_frames for d in found.values())
    lines.append(f"written to {args.out}: {', '.join(args.to)}")
    lines.append(f"{n} frames in {seconds:.1f} s ({n / seconds:.0f} a second). {model.notice}")
    data = {
        "model": model.identity.to_json(),
        "keypoint_set": model.keypoint_set.name,
        "is_fallback": model.is_fallback,
        "notice": model.notice,
        "seconds": seconds,
        "cameras": cameras,
    }
    return Result(data, "\n".join(lines))


def _formats(text: str) -> tuple[str, ...]:
    """Return formats from a list with commas."""
    names = tuple(dict.fromkeys(n.strip() for n in text.split(",") if n.strip()))
    if not names or any(n not in FORMATS for n in names):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(FORMATS)}, got {text!r}")
    return names
