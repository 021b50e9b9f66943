"""Calibrate rigs from footage of a board, blind and with given lenses, and print the errors beside their bars.

    python benchmarks/calibration_footage.py sessions [--data ../shared/data/caliscope_charuco]
    python benchmarks/calibration_footage.py shoot [--data ../shared/data/virtual_shoot]

sessions: two recordings of four webcams. The corners found are triangulated with the calibrated rig (the point of least
reprojection error of all cameras that see it) and compared with the pictures (px, root mean square length) and with the
board (mm, rigid fit); fitted on all instants, and on even ones and scored on odd ones. --splits: random halves in place
of even and odd, each beside the rig fitted to the scored half itself, which no rig fitted to the other half can be
expected to pass; what the worst instants hold; and what is left once cameras out of step are brought in step.
shoot: rendered clips with exact truth. Lower is better, tolerance 10 %; seconds of wall clock, and of one processor.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from calibration_board import aligned_errors

from calibration.board import parse_board
from calibration.board_detect import detect_board
from calibration.board_views import BoardViews
from calibration.files import read_rig
from calibration.report_data import triangulated
from calibration.residuals import point_reprojection
from calibration.rig import calibrate_rig
from calibration.rigid import rigid_fit
from calibration.world_board import world_from_board
from mocap.core.camera import CameraRig
from mocap.kernels.rotations import matrix_to_quat, quat_log

SHARED = Path(__file__).resolve().parents[2] / "shared/data"
WEBCAM_BOARD = "charuco:4x5:square=0.054:marker=0.0405:dict=4X4_1000:inverted"
SHOOT_BOARD = "charuco:6x8:square=0.14:marker=0.105:dict=5X5_100"
BOARD_THICKNESS_M = 0.004
FLOOR_RADIUS_M = 2.0


class Clock:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self.start = time.perf_counter(), time.process_time()

    @property
    def text(self) -> str:
        """Both."""
        wall, cpu = time.perf_counter() - self.start[0], time.process_time() - self.start[1]
        return f"{wall:.1f} s wall, {cpu:.1f} s of one processor ({cpu / 2:.1f} s on two)"


def points_of_least_error(rig: CameraRig, views: BoardViews) -> np.ndarray:
    """Return triangulated corners [point 3] of all instants: linear, then Gauss-Newton on pixels."""
    points = triangulated(rig, views).reshape(-1, 3)
    for _ in range(6):
        normal, gradient = np.tile(1e-9 * np.eye(3), (len(points), 1, 1)), np.zeros_like(points)
        for c, name in enumerate(views.camera_names):
            camera = rig[name]
            r, jac = point_reprojection(
                points,
                views.xy_px[c].reshape(-1, 2),
                camera.intrinsics,
                camera.R_cam_from_world,
                camera.t_cam_from_world_m,
            )
            seen = np.asarray(np.isfinite(r).all(-1))
            jac = np.where(seen[:, None, None], jac, 0.0)
            normal += jac.swapaxes(1, 2) @ jac
            gradient += (jac.swapaxes(1, 2) @ np.where(seen[:, None], r, 0.0)[..., None])[..., 0]
        points = points - np.linalg.solve(normal, gradient[..., None])[..., 0]
    return points


def squared_px(rig: CameraRig, views: BoardViews, points: np.ndarray) -> np.ndarray:
    """Return squared lengths of the residuals [camera frame corner] of points [point 3] in the pictures."""
    off = np.empty(views.xy_px.shape[:3])
    for c, name in enumerate(views.camera_names):
        camera = rig[name]
        r, _ = point_reprojection(
            points,
            views.xy_px[c].reshape(-1, 2),
            camera.intrinsics,
            camera.R_cam_from_world,
            camera.t_cam_from_world_m,
        )
        off[c] = (r**2).sum(-1).reshape(off.shape[1:])
    return off


def scored(rig: CameraRig, views: BoardViews) -> tuple[float, float]:
    """Return the errors of triangulated corners: px in the pictures, mm on the board."""
    points = points_of_least_error(rig, views)
    board, off_m = views.board.corners_m, []
    for corners in points.reshape(*views.xy_px.shape[1:3], 3):
        seen = np.isfinite(corners).all(-1)
        if seen.sum() >= 4:
            R, t = rigid_fit(board[seen], corners[seen])
            off_m.append(((corners[seen] - board[seen] @ R.T - t) ** 2).sum(-1))
    return float(np.sqrt(np.nanmean(squared_px(rig, views, points)))), 1000 * float(
        np.sqrt(np.concatenate(off_m).mean())
    )


def line(label: str, found: tuple[float, float], bar: tuple[float, float]) -> str:
    """Return one row: figures beside their bars."""
    verdict = "met" if found[0] <= bar[0] and found[1] <= bar[1] else "missed"
    return f"  {label:34} {found[0]:.3f} px {found[1]:.3f} mm   bar {bar[0]:.2f} px {bar[1]:.2f} mm   {verdict}"


def held_px(views: BoardViews, fitted: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Return the errors in px at instants held out: of the rig fitted to others, and of one fitted to them."""
    own = views.at_frames(held)
    return scored(calibrate_rig(views.at_frames(fitted)).rig, own)[0], scored(calibrate_rig(own).rig, own)[0]


def halves(views: BoardViews, n_splits: int, bar_px: float) -> None:
    """Print how even instants on odd ones compare with random halves, and what the worst instants hold."""
    even, odd = np.arange(0, views.n_frames, 2), np.arange(1, views.n_frames, 2)
    rig, own = calibrate_rig(views.at_frames(even)).rig, views.at_frames(odd)
    off = squared_px(rig, own, points_of_least_error(rig, own))
    per_instant, n = np.nansum(off, axis=(0, 2)), np.isfinite(off).sum((0, 2))
    rest = np.argsort(per_instant)[:-2]
    there, floor = held_px(views, even, odd)
    print(
        f"  even on odd {there:.3f} px, fitted to the odd ones themselves {floor:.3f} (x {there / floor:.3f}); two of "
        f"{len(odd)} instants hold {1 - per_instant[rest].sum() / per_instant.sum():.0%}, without them "
        f"{np.sqrt(per_instant[rest].sum() / n[rest].sum()):.3f}; odd on even {held_px(views, odd, even)[0]:.3f}"
    )
    rng, found = np.random.default_rng(0), []
    for _ in range(n_splits):
        a, b = np.array_split(rng.permutation(views.n_frames), 2)
        found.append(held_px(views, np.sort(a), np.sort(b)))
    px, share = np.array(found)[:, 0], np.divide(*np.array(found).T)
    print(
        f"  {n_splits} random halves on the others: {px.min():.3f} to {px.max():.3f} px, median {np.median(px):.3f}, "
        f"{(px <= bar_px).mean():.0%} within {bar_px:.2f} px; by the error of a rig fitted to the scored half "
        f"x {share.min():.3f} to {share.max():.3f}, median {np.median(share):.3f}"
    )


def stepped(views: BoardViews) -> None:
    """Print the errors of the rig that allows for lags, on corners brought in step and as they were filmed."""
    result = calibrate_rig(views, allow_lags=True)
    in_step, as_filmed = scored(result.rig, result.views), scored(result.rig, views)
    print(
        f"  lags allowed for: {in_step[0]:.3f} px {in_step[1]:.3f} mm on corners brought in step, "
        f"{as_filmed[0]:.3f} px {as_filmed[1]:.3f} mm on corners as filmed"
    )


def sessions(data: Path, n_splits: int) -> None:
    """Print the errors of two recordings of webcams."""
    bars = {
        "post_optimization": ((1.25, 0.85), (1.45, 1.0), (1.47, 1.09)),
        "4_cam_recording": ((0.62, 0.76), (0.75, 0.9), (0.62, 0.76)),
    }
    for name, (all_bar, held_bar, given_bar) in bars.items():
        clock = Clock()
        folder = data / name / "calibration/extrinsic"
        views = detect_board({f"cam_{i}": folder / f"cam_{i}.mp4" for i in range(4)}, parse_board(WEBCAM_BOARD))
        result = calibrate_rig(views)
        print(f"{name}: detection and blind solve {clock.text}; bar 10 s on two")
        print(line("lenses unknown, all views", scored(result.rig, views), all_bar))
        even, odd = np.arange(0, views.n_frames, 2), np.arange(1, views.n_frames, 2)
        half = calibrate_rig(views.at_frames(even)).rig
        print(line("lenses unknown, even views on odd", scored(half, views.at_frames(odd)), held_bar))
        if n_splits:
            halves(views, n_splits, held_bar[0])
            stepped(views)
        lenses = {c.name: c.intrinsics for c in read_rig(data / name / "camera_array.toml").cameras}
        clock = Clock()
        given = calibrate_rig(views, lenses).rig
        solved = clock.text
        print(line("lenses given, all views", scored(given, views), given_bar) + f"; solve {solved}, bar 1 s")
        for note in result.diagnostics:
            if note.severity != "info":
                print(f"  note: {note.message}")


def shoot(data: Path) -> None:
    """Print the errors of the rendered shoot against its truth."""
    clock = Clock()
    board = parse_board(SHOOT_BOARD)
    views = detect_board({f"gp{i}": data / f"calibration/gp{i}.mp4" for i in range(1, 5)}, board)
    floor = detect_board({f"gp{i}": data / f"floor/gp{i}.mp4" for i in range(1, 5)}, board, max_frames=24)
    rig = calibrate_rig(views).rig
    placed = world_from_board(rig, floor, BOARD_THICKNESS_M).rig
    truth = read_rig(data / "rig_truth.toml")
    print(f"virtual_shoot: detection, blind solve and world {clock.text}")
    gap, turn_deg, focal = aligned_errors(rig, truth)
    rows = [
        ("focal length", focal.max(), 0.3, "%"),
        ("centres, rigidly aligned", 1000 * np.linalg.norm(gap, axis=-1).max(), 8.0, "mm"),
        ("rotations, rigidly aligned", mean_aligned_deg(rig, truth).max(), 0.1, "deg"),
        ("rotations, centres aligned", turn_deg.max(), 0.1, "deg"),
    ]
    centers = np.stack([placed[n].center_world_m - truth[n].center_world_m for n in truth.names])
    turns = np.stack([placed[n].R_cam_from_world @ truth[n].R_cam_from_world.T for n in truth.names])
    rows += [
        ("centres in the board's world", 1000 * np.linalg.norm(centers, axis=-1).max(), 25.0, "mm"),
        ("rotations in the board's world", angle_deg(turns).max(), 0.3, "deg"),
        *floor_errors(placed, truth),
    ]
    for label, value, bar, unit in rows:
        print(f"  {label:34} {value:.3f} {unit} (worst)   bar {bar:g} {unit}   {'met' if value <= bar else 'missed'}")


def angle_deg(R: np.ndarray) -> np.ndarray:
    """Return the angles [n] of rotations [n 3 3]."""
    return np.rad2deg(np.linalg.norm(quat_log(matrix_to_quat(R)), axis=-1))


def mean_turn(found: CameraRig, truth: CameraRig) -> np.ndarray:
    """Return truth_from_found [3 3], the mean over the cameras' orientations."""
    turns = [truth[n].R_cam_from_world.T @ found[n].R_cam_from_world for n in truth.names]
    u, _, vt = np.linalg.svd(np.sum(turns, axis=0))
    return u @ vt


def mean_aligned_deg(found: CameraRig, truth: CameraRig) -> np.ndarray:
    """Return the errors [camera] of orientations after the one turn that fits them best."""
    turn = mean_turn(found, truth)
    return angle_deg(np.stack([truth[n].R_cam_from_world @ turn @ found[n].R_cam_from_world.T for n in truth.names]))


def floor_errors(placed: CameraRig, truth: CameraRig) -> list[tuple[str, float, float, str]]:
    """Return the tilt of the floor z = 0 and its greatest height within 2 m, the cameras laid on the true ones."""
    turn = mean_turn(placed, truth)
    shift = np.mean([truth[n].center_world_m - turn @ placed[n].center_world_m for n in truth.names], axis=0)
    normal = turn[:, 2]
    height_m = float(normal @ shift / normal[2])
    slope = float(np.linalg.norm(normal[:2]) / normal[2])
    return [
        ("floor plane, height over 2 m", 1000 * (abs(height_m) + FLOOR_RADIUS_M * slope), 5.0, "mm"),
        ("floor plane, tilt", float(np.rad2deg(np.arctan(slope))), 0.2, "deg"),
    ]


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sessions", "shoot"))
    parser.add_argument("--data", type=Path, help="folder of the footage")
    parser.add_argument(
        "--splits", type=int, default=0, help="sessions: so many random halves fitted and scored beside"
    )
    args = parser.parse_args()
    if args.what == "sessions":
        sessions(args.data or SHARED / "caliscope_charuco", args.splits)
    else:
        shoot(args.data or SHARED / "virtual_shoot")


if __name__ == "__main__":
    main()
