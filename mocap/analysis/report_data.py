"""A solved take as the compact JSON that the report's page plays: millimetres, binned charts, a bounded size."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from mocap.analysis.confidence import confidence
from mocap.analysis.figure import stick_figure
from mocap.analysis.moments import Moment
from mocap.analysis.quality import Quality
from mocap.core.keypoints import KeypointSet, Points3D, Source
from mocap.core.take import SolvedTake
from mocap.kernels.kinematics import forward_kinematics

MOTION_BUDGET_BYTES = 4_500_000
"""Largest size of the embedded motion; longer takes are thinned out and the page interpolates."""
CHART_COLUMNS = 720
_MISSING = -32768
_UNIT_M = 0.001


def motion_data(take: SolvedTake, budget_bytes: int = MOTION_BUDGET_BYTES) -> dict[str, Any]:
    """Return joints, keypoints and points over time, packed, with the edges and the cameras to draw."""
    keypoint_set = take.detections.keypoint_set
    joints, edges, joint_names = _joints(take)
    centre = _centre(joints)
    trust = confidence(take.keypoints)
    step, packed = 1, 0
    while True:
        rows = slice(None, None, step)
        tracks = {
            "joints": _pack_xyz(joints[rows], centre),
            "keypoints": _pack_xyz(take.keypoints.xyz_m[rows], centre),
            "points": _pack_xyz(take.points.xyz_m[rows], centre),
            "confidence": _pack_bytes(np.rint(trust[rows] * 255).astype(np.uint8)),
            "contact": _pack_bytes(take.contact[rows].astype(np.uint8)),
        }
        packed = sum(len(track["data"]) for track in tracks.values())
        if packed <= budget_bytes:
            break
        step = max(step + 1, int(np.ceil(step * packed / budget_bytes)))
    figure = stick_figure(keypoint_set)
    fps = float(take.motion.timeline.fps)
    return {
        "n_frames": take.motion.timeline.n_frames,
        "fps": fps,
        "start_s": take.motion.timeline.start_s,
        "step": step,
        "unit_m": _UNIT_M,
        "centre_m": [round(float(v), 4) for v in centre],
        "tracks": tracks,
        "joint_names": joint_names,
        "joint_edges": edges,
        "joint_sides": [_joint_side(n) for n in joint_names],
        "joint_keypoint": _nearest_keypoint(joints, take.keypoints.xyz_m),
        "keypoint_names": list(keypoint_set.names),
        "keypoint_edges": [list(e) for e in figure.edges],
        "keypoint_sides": list(figure.node_sides),
        "contact_names": list(take.contact_names),
        "cameras": [
            {
                "name": camera.name,
                "at_m": [round(float(v), 4) for v in camera.center_world_m],
                "R_cam_from_world": [[round(float(v), 5) for v in row] for row in camera.R_cam_from_world],
                "half_fov": [
                    round(float(s / 2 / f), 4)
                    for s, f in zip(camera.intrinsics.size_px, camera.intrinsics.focal_px, strict=True)
                ],
            }
            for camera in take.rig.cameras
        ],
    }


def chart_data(take: SolvedTake, quality: Quality) -> dict[str, Any]:
    """Return the reprojection error per camera and the sources per keypoint, in CHART_COLUMNS columns at most."""
    timeline = take.motion.timeline
    n_columns = min(CHART_COLUMNS, max(timeline.n_frames, 1))
    fps = float(timeline.fps)
    edges_s = timeline.start_s + (np.arange(n_columns + 1) * max(timeline.n_frames, 1) / n_columns - 0.5) / fps
    cameras = {
        name: [_or_none(v, 2) for v in _binned_median(time_s, quality.frame_median_px[c], edges_s)]
        for c, (name, time_s) in enumerate(zip(take.detections.camera_names, take.detections.time_s, strict=True))
    }
    return {
        "from_s": float(edges_s[0]),
        "to_s": float(edges_s[-1]),
        "first_s": timeline.start_s,
        "last_s": timeline.start_s + max(timeline.n_frames - 1, 0) / fps,
        "n_columns": n_columns,
        "reprojection_px": cameras,
        "sources": _pack_bytes(_binned_source(take.keypoints.source, n_columns)),
        "source_names": [s.name.lower() for s in Source],
        "is_binned": n_columns < timeline.n_frames,
    }


def moment_data(moments: tuple[Moment, ...], thumbnails: list[bytes | None]) -> list[dict[str, Any]]:
    """Return the worst moments with their pictures."""
    return [
        {
            "frame": m.frame,
            "time_s": round(m.time_s, 4),
            "score": round(m.score, 2),
            "trouble": str(m.trouble),
            "camera": m.camera,
            "camera_frame": m.camera_frame,
            "keypoint": m.keypoint,
            "reason": m.reason,
            "picture": "" if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii"),
        }
        for m, jpeg in zip(moments, thumbnails, strict=True)
    ]


def bone_data(quality: Quality) -> list[dict[str, Any]]:
    """Return the bones' lengths before and after the solve, in mm."""
    return [
        {
            "name": b.name,
            "before_mm": _or_none(b.points_mean_m * 1e3, 1),
            "before_sd_mm": _or_none(b.points_sd_m * 1e3, 2),
            "after_mm": _or_none(b.mean_m * 1e3, 1),
            "after_sd_mm": _or_none(b.sd_m * 1e3, 2),
        }
        for b in quality.bones
    ]


def _joints(take: SolvedTake) -> tuple[np.ndarray, list[list[int]], list[str]]:
    """Return positions [frame node 3] of the joints and of the tips of leaf bones, the bones, and the nodes' names."""
    skeleton, motion = take.motion.skeleton, take.motion
    R, p = forward_kinematics(skeleton.parents, skeleton.offset_m, motion.root_translation_m, motion.local_wxyz)
    leaves = np.flatnonzero(np.isfinite(skeleton.tip_m).all(-1))
    tips = p[:, leaves] + np.einsum("fjab,jb->fja", R[:, leaves], skeleton.tip_m[leaves])
    edges = [[parent, j] for j, parent in enumerate(skeleton.parents) if parent >= 0]
    edges += [[int(j), len(skeleton) + n] for n, j in enumerate(leaves)]
    names = [*skeleton.joint_names, *(f"{skeleton.joint_names[j]} tip" for j in leaves)]
    return np.concatenate([p, tips], axis=1), edges, names


def _joint_side(name: str) -> str:
    return "L" if name.startswith("Left") else "R" if name.startswith("Right") else ""


def _nearest_keypoint(joints: np.ndarray, keypoints: np.ndarray) -> list[int]:
    """Return per joint the keypoint that stays nearest to it over the take: whose confidence it is drawn with."""
    some = slice(None, None, max(1, len(joints) // 50))
    distance = np.linalg.norm(joints[some, :, None] - keypoints[some, None], axis=-1)
    known = np.isfinite(distance)
    mean = np.where(known, distance, 0).sum(0) / np.maximum(known.sum(0), 1)
    return [int(k) for k in np.where(known.any(0), mean, np.inf).argmin(-1)]


def _centre(joints: np.ndarray) -> np.ndarray:
    flat = joints.reshape(-1, 3)
    middle = (flat.min(0) + flat.max(0)) / 2 if len(flat) else np.zeros(3)
    return np.round(middle * [1.0, 1.0, 0.0], 3)


def _pack_xyz(xyz_m: np.ndarray, centre_m: np.ndarray) -> dict[str, Any]:
    """Return positions [frame node 3] as 16-bit units about `centre_m`: differenced in time, byte planes, deflated."""
    known = np.isfinite(xyz_m)
    units = np.rint((np.where(known, xyz_m, 0.0) - centre_m) / _UNIT_M)
    values = np.where(known, np.clip(units, -32767, 32767), _MISSING).astype(np.int16)
    change = np.diff(values, axis=0, prepend=np.zeros_like(values[:1]))  # wraps round; so does the page's sum
    planes = np.ascontiguousarray(change.astype("<i2")).view(np.uint8).reshape(-1, 2).T
    return {"shape": list(xyz_m.shape), "data": _deflated(planes.tobytes())}


def _pack_bytes(values: np.ndarray) -> dict[str, Any]:
    return {"shape": list(values.shape), "data": _deflated(np.ascontiguousarray(values).tobytes())}


def _deflated(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def _binned_median(time_s: np.ndarray, values: np.ndarray, edges_s: np.ndarray) -> np.ndarray:
    """Return [column] medians of the finite values whose time lies between consecutive edges; NaN for none."""
    out = np.full(len(edges_s) - 1, np.nan)
    known = np.isfinite(time_s) & np.isfinite(values)
    column = np.searchsorted(edges_s, time_s[known], side="right") - 1
    order = np.argsort(column, kind="stable")
    column, value = column[order], values[known][order]
    starts = np.flatnonzero(np.diff(column, prepend=-2))
    for start, chunk in zip(starts, np.split(value, starts[1:]) if len(starts) else [], strict=True):
        if 0 <= column[start] < len(out):
            out[column[start]] = np.median(chunk)
    return out


def _binned_source(source: np.ndarray, n_columns: int) -> np.ndarray:
    """Return [keypoint column] the least measured source of each column: a filled frame never hides among others."""
    rank = np.zeros(len(Source), np.uint8)
    for place, s in enumerate((Source.MEASURED, Source.EDITED, Source.INTERPOLATED, Source.SOLVED, Source.MISSING)):
        rank[s] = place
    by_rank = np.argsort(rank).astype(np.uint8)
    if len(source) == 0:
        return np.zeros((source.shape[1], n_columns), np.uint8)
    starts = np.arange(n_columns) * len(source) // n_columns
    return by_rank[np.maximum.reduceat(rank[source], starts, axis=0)].T


def _or_none(value: float, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def set_name(keypoint_set: KeypointSet) -> str:
    """Return the set's name with its size, as people read it."""
    return f"{keypoint_set.name} ({len(keypoint_set)} keypoints)"


def share_by_keypoint(points: Points3D) -> list[dict[str, float]]:
    """Return per keypoint the share of frames by source; sources that do not occur are left out."""
    n = max(len(points.time_s), 1)
    return [
        {
            s.name.lower(): round(float((points.source[:, k] == s).sum()) / n, 4)
            for s in Source
            if (points.source[:, k] == s).any()
        }
        for k in range(points.source.shape[1])
    ]
