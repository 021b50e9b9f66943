"""Calibrate synthetic rigs from a board and print the errors against the truth, and how the cost grows.

    python benchmarks/calibration_board.py accuracy [--seeds 3] [--peer]
    python benchmarks/calibration_board.py scaling [--figures docs/images]
    python benchmarks/calibration_board.py coverage [--runs 50]

4 and 8 cameras on a 5 m ring, a 7x5 ChArUco board of 100 mm squares, 240 frames, 0.35 px noise, 2 % outliers. Lower is
better; tolerance 20 % of each figure; seconds are of one processor. `--peer` runs aniposelib on the same corners in the
same process (`pip install "mocap-studio[benchmark]"`) and prints by how much ours is faster.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from chart import growth, write_log_chart

from calibration.board import parse_board
from calibration.board_views import BoardViews
from calibration.rig import RigResult, calibrate_rig
from mocap.core.camera import Camera, CameraRig, Intrinsics
from mocap.kernels.rotations import matrix_to_quat, quat_exp, quat_log, quat_to_matrix
from mocap.synth.board import shoot_board
from mocap.synth.rig import ring_rig

SEEN_SHARE = 0.39
"""Share of the frames in which one of the cameras sees the printed side of the board."""
CHI2_95 = 7.815
"""The 95 % quantile of chi-squared with three degrees of freedom."""
BOARD = parse_board("charuco:7x5:square=0.1:marker=0.075:dict=4X4_50")


def synthetic(n_cameras: int, n_frames: int, seed: int) -> tuple[CameraRig, BoardViews]:
    """Return a rig and the views of a board in it."""
    rng = np.random.default_rng(seed)
    rig = ring_rig(n_cameras, rng, radius_m=5.0, size_px=(1920, 1080))
    return rig, resampled(rig, n_frames, seed, rng)


def resampled(rig: CameraRig, n_frames: int, seed: int, rng: np.random.Generator) -> BoardViews:
    """Return views of the board in a rig."""
    shoot = shoot_board(rig, BOARD.corners_m, n_frames, rng)
    n = len(rig)
    time_s = np.tile(np.arange(n_frames) / 10.0, (n, 1))
    return BoardViews(
        BOARD,
        rig.names,
        tuple(c.intrinsics.size_px for c in rig.cameras),
        shoot.xy_px,
        time_s,
        np.full((n, n_frames), 0.5),
        np.zeros(n, bool),
    )


def aligned_errors(found: CameraRig, truth: CameraRig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return errors after a rigid fit: centres [camera 3] in m, rotations [camera] in degrees, focal lengths in %."""
    a = np.stack([found[n].center_world_m for n in truth.names])
    b = np.stack([truth[n].center_world_m for n in truth.names])
    u, _, vt = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    Q = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    gap = (a - a.mean(0)) @ Q.T + b.mean(0) - b
    turn = np.stack([found[n].R_cam_from_world @ Q.T @ truth[n].R_cam_from_world.T for n in truth.names])
    angle = np.rad2deg(np.linalg.norm(quat_log(matrix_to_quat(turn)), axis=-1))
    focal = np.array([found[n].intrinsics.focal_px / truth[n].intrinsics.focal_px - 1 for n in truth.names])
    return gap, angle, 100 * np.abs(focal).mean(1)


def report(label: str, found: CameraRig, truth: CameraRig, seconds: float) -> None:
    """Print one line of errors."""
    gap, angle, focal = aligned_errors(found, truth)
    mm = 1000 * np.linalg.norm(gap, axis=-1)
    print(
        f"{label:34} centres {mm.mean():7.2f} mm (max {mm.max():7.2f})  rotation {angle.mean():.4f} deg "
        f"(max {angle.max():.4f})  focal {focal.mean():.3f} %  {seconds:6.2f} s",
        flush=True,
    )


def timed(views: BoardViews, rig: CameraRig | None) -> tuple[RigResult, float]:
    """Return a calibration and its time; lenses are those of `rig`, or unknown."""
    begin = time.process_time()
    lenses = None if rig is None else {c.name: c.intrinsics for c in rig.cameras}
    return calibrate_rig(views, lenses), time.process_time() - begin


def accuracy(n_seeds: int, with_peer: bool) -> None:
    """Print errors for 4 and 8 cameras, lenses given and blind."""
    warm_up(with_peer)
    for n_cameras in (4, 8):
        for seed in range(n_seeds):
            rig, views = synthetic(n_cameras, 240, 100 + seed)
            for label, lenses in (("given", rig), ("blind", None)):
                result, seconds = timed(views, lenses)
                report(f"{n_cameras} cameras, seed {seed}, lenses {label}", result.rig, rig, seconds)
                if with_peer:
                    peer(views, rig, lenses is not None, f"  aniposelib, lenses {label}", seconds)


def warm_up(with_peer: bool) -> None:
    """Solve something small, so that loading and compiling count for neither side."""
    rig, views = synthetic(4, 60, 7)
    timed(views, rig)
    if with_peer and importlib.util.find_spec("aniposelib") is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            aniposelib_rig(views, rig)


def peer(views: BoardViews, rig: CameraRig, is_given: bool, label: str, our_seconds: float) -> None:
    """Print aniposelib's errors on the same corners, or that it is not installed."""
    if importlib.util.find_spec("aniposelib") is None:
        print(f"{label}: skipped, aniposelib is not installed")
        return
    begin = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        found = aniposelib_rig(views, rig if is_given else None)
    seconds = time.process_time() - begin
    report(label, found, rig, seconds)
    print(f"  ours is {seconds / our_seconds:.0f} times as fast", flush=True)


def aniposelib_rig(views: BoardViews, rig: CameraRig | None) -> CameraRig:
    """Return aniposelib's calibration of the same corners; lenses those of `rig`, or unknown."""
    from aniposelib.boards import CharucoBoard  # pyright: ignore[reportMissingImports]: an extra
    from aniposelib.cameras import CameraGroup  # pyright: ignore[reportMissingImports]

    group = CameraGroup.from_names(list(views.camera_names))
    for c, camera in enumerate(group.cameras):
        camera.set_size(views.size_px[c])
        if rig is not None:
            camera.set_camera_matrix(rig[c].intrinsics.matrix)
            camera.set_distortions(rig[c].intrinsics.distortion)
    spec = views.board
    board = CharucoBoard(spec.columns, spec.rows, square_length=spec.square_m, marker_length=spec.marker_m)
    rows = [
        [
            {
                "framenum": (0, f),
                "corners": xy[seen].reshape(-1, 1, 2),
                "ids": np.flatnonzero(seen).reshape(-1, 1),
                "filled": xy.reshape(-1, 1, 2),
            }
            for f, xy in enumerate(views.xy_px[c])
            if (seen := np.isfinite(xy).all(-1)).sum() >= 6
        ]
        for c in range(len(views.camera_names))
    ]
    group.calibrate_rows(rows, board, init_intrinsics=rig is None, init_extrinsics=True, verbose=False)
    found = []
    for c, camera in enumerate(group.cameras):
        k = camera.get_camera_matrix()
        lens = Intrinsics(views.size_px[c], np.diag(k)[:2], k[:2, 2], np.resize(camera.get_distortions(), 5))
        R = quat_to_matrix(quat_exp(np.ravel(camera.get_rotation())))
        found.append(Camera(views.camera_names[c], lens, R, np.ravel(camera.get_translation())))
    return CameraRig(tuple(found))


def scaling(folder: Path | None) -> None:
    """Print, and draw in `folder`, the seconds by cameras (200 views each) and by views of each of 8 cameras."""
    warm_up(False)
    for name, label, cases in (
        ("cameras", "cameras, 200 views each", [(n, 200) for n in (4, 8, 12, 16)]),
        ("views", "views of each of 8 cameras", [(8, n) for n in (50, 100, 200, 400)]),
    ):
        lines: dict[str, list[tuple[float, float]]] = {"lenses given": [], "lenses unknown": []}
        for n_cameras, n_each in cases:
            rig, views = synthetic(n_cameras, round(n_each / SEEN_SHARE), 7)
            n_views = int((views.is_seen.sum(-1) >= 6).sum())
            for (kind, line), lenses in zip(lines.items(), (rig, None), strict=True):
                _, seconds = timed(views, lenses)
                line.append((n_cameras if name == "cameras" else n_each, seconds))
                print(f"{n_cameras:3} cameras x {n_views / n_cameras:3.0f} views, {kind}: {seconds:6.2f} s", flush=True)
        for kind, line in lines.items():
            print(f"{kind}: seconds grow with {name} to the power {growth(line):.2f} (1: linear)")
        if folder is not None:
            path = folder / f"calibration_{name}.svg"
            write_log_chart(path, "Calibrating a rig from board views", label, "seconds of one processor", lines)
            print(f"{path} written")


def coverage(n_runs: int) -> None:
    """Print how often 95 % ellipsoids of camera centres hold the truth."""
    for n_cameras, is_given in ((4, True), (4, False), (8, True), (8, False)):
        rig, _ = synthetic(n_cameras, 5, 11)
        squared = np.zeros((n_runs, n_cameras))
        for run in range(n_runs):
            views = resampled(rig, 120, run, np.random.default_rng(1000 + run))
            result, _ = timed(views, rig if is_given else None)
            gap, _, _ = aligned_errors(result.rig, rig)
            covariance = aligned_covariance(result, rig)
            squared[run] = np.einsum("ci,cij,cj->c", gap, np.linalg.pinv(covariance, rcond=1e-9, hermitian=True), gap)
        print(
            f"{n_cameras} cameras, lenses {'given' if is_given else 'blind'}: {100 * (squared < CHI2_95).mean():.1f} % "
            f"of {squared.size} centres inside 95 % ellipsoids (bar: 90 to 99; mean squared distance "
            f"{squared.mean():.2f}, expected below 3)",
            flush=True,
        )


def aligned_covariance(result: RigResult, truth: CameraRig) -> np.ndarray:
    """Return the covariances of the centres [camera 3 3] turned into the truth's frame."""
    a = np.stack([result.rig[n].center_world_m for n in truth.names])
    b = np.stack([truth[n].center_world_m for n in truth.names])
    u, _, vt = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    Q = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    return Q @ result.certainty.center_covariance_m2 @ Q.T


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("accuracy", "scaling", "coverage"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--peer", action="store_true", help="aniposelib on the same corners, if it is installed")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="folder to draw the scaling to, as SVG")
    args = parser.parse_args()
    if args.what == "accuracy":
        accuracy(args.seeds, args.peer)
    elif args.what == "scaling":
        scaling(args.figures)
    else:
        coverage(args.runs)


if __name__ == "__main__":
    main()
