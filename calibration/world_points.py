"""The world frame of a rig from points that were clicked in the pictures: of known places, or any on the floor."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.rigid import rigid_fit
from calibration.world import WorldResult, check_upright, moved_rig
from mocap.core.camera import CameraRig
from mocap.core.camera_names import normal_name
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.kernels.projection import project, undistort
from mocap.kernels.triangulation import triangulate_dlt

MAX_ERROR_PX = 15.0
"""A click farther from where the other clicks put the point is a wrong point, or the camera moved."""
MAX_SCALE_OFF = 0.03
MAX_FIT_M = 0.1
MIN_SPREAD_M = 0.2
"""Points nearer than this to one line tell no plane."""
_ADVICE = "Give CSV with the columns camera,point,x_px,y_px and, where the places are known, X_m,Y_m,Z_m."


@dataclass(frozen=True, eq=False)
class ClickedPoint:
    """One point of the scene in some pictures."""

    name: str
    px: Mapping[str, np.ndarray]
    """Camera name to [2] distorted pixels."""
    world_m: np.ndarray | None = None
    """[3] its place in the world, Z up; None: somewhere on the floor."""


def read_points(path: Path) -> tuple[ClickedPoint, ...]:
    """Return clicked points from CSV `camera,point,x_px,y_px[,X_m,Y_m,Z_m]` or JSON.

    JSON: `{"points": [{"name": ..., "px": {camera: [x, y]}, "world_m": [X, Y, Z]}]}`, `world_m` optional.

    Raises: InputError world-points-unreadable.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error
    try:
        points = _from_json(text) if text.lstrip().startswith("{") else _from_csv(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if not points:
        raise _unreadable(path, "it holds no point")
    return points


def _unreadable(path: Path, why: str) -> InputError:
    return InputError("world-points-unreadable", f"{path}: not readable as clicked points: {why}.", _ADVICE)


def _from_json(text: str) -> tuple[ClickedPoint, ...]:
    out = []
    for k, entry in enumerate(json.loads(text)["points"]):
        px = {str(c): _vector(v, 2) for c, v in entry["px"].items()}
        world = entry.get("world_m")
        out.append(ClickedPoint(str(entry.get("name", k + 1)), px, None if world is None else _vector(world, 3)))
    return tuple(out)


def _from_csv(text: str) -> tuple[ClickedPoint, ...]:
    px: dict[str, dict[str, np.ndarray]] = {}
    world: dict[str, np.ndarray] = {}
    for row in csv.DictReader(io.StringIO(text), skipinitialspace=True):
        fields: dict[str, Any] = {(k or "").strip(): (v or "").strip() for k, v in row.items() if isinstance(v, str)}
        name = fields["point"]
        px.setdefault(name, {})[fields["camera"]] = _vector([fields["x_px"], fields["y_px"]], 2)
        if fields.get("X_m"):
            world[name] = _vector([fields["X_m"], fields["Y_m"], fields["Z_m"]], 3)
    return tuple(ClickedPoint(n, p, world.get(n)) for n, p in px.items())


def _vector(values: Sequence[Any], n: int) -> np.ndarray:
    out = np.array([float(v) for v in values])
    if out.shape != (n,) or not np.isfinite(out).all():
        raise ValueError(f"expected {n} finite numbers, got {values!r}")
    return out


def world_from_points(rig: CameraRig, points: Sequence[ClickedPoint]) -> WorldResult:
    """Return the rig in the world of clicked points.

    Three points of known places or more, not on one line, make the world (rigid fit: W. Kabsch, 1976; metres stay the
    rig's). Without known places all points lie on the floor: the first is the origin, the second is towards +X, up is
    where the cameras are.

    Raises: InputError world-points-too-few, world-points-do-not-fit, world-mirrored, world-upside-down.
    """
    known = [p for p in points if p.world_m is not None]
    used = known or list(points)
    places, error_px, seen = _triangulated(rig, used)
    used = [p for p, on in zip(used, seen, strict=True) if on]
    places = places[seen]
    if len(used) < 3 or _spread(places) < MIN_SPREAD_M:
        raise InputError(
            "world-points-too-few",
            f"{len(used)} of {len(known or points)} clicked points are seen by two of {', '.join(rig.names)}"
            + ("." if len(used) < 3 else f" and lie within {_spread(places):.2f} m of one line."),
            "Click three points or more, not in a row, each in two pictures.",
        )
    if known:
        R, t, data, notes = _fitted(used, places)
    else:
        R, t, data, notes = _on_floor(rig, places)
    placed = moved_rig(rig, R, t)
    check_upright(placed, "the clicked points")
    data = {
        **data,
        "n_points": len(used),
        "reproj_median_px": float(np.median(error_px)),
        "points": [p.name for p in used],
    }
    return WorldResult(placed, R, t, data, notes)


def _triangulated(rig: CameraRig, points: Sequence[ClickedPoint]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places [point 3] in the rig's frame, errors [click] px, and which points two cameras see."""
    keys = {normal_name(n): c for c, n in enumerate(rig.names)}
    xy = np.full((len(rig), len(points), 2), np.nan)
    for p, point in enumerate(points):
        for camera, px in point.px.items():
            if normal_name(camera) in keys:
                xy[keys[normal_name(camera)], p] = px
    lenses = [c.intrinsics for c in rig.cameras]
    rays = np.stack([undistort(xy[c], k.focal_px, k.center_px, k.distortion) for c, k in enumerate(lenses)])
    weight = np.where(np.isfinite(rays).all(-1), np.array([k.focal_px.mean() for k in lenses])[:, None], 0.0)
    R, t = (np.stack([getattr(c, a) for c in rig.cameras]) for a in ("R_cam_from_world", "t_cam_from_world_m"))
    places = triangulate_dlt(rays, weight, R, t)
    off = np.full(xy.shape[:2], np.nan)
    for c, k in enumerate(lenses):
        pixels = project(places @ R[c].T + t[c], k.focal_px, k.center_px, k.distortion)
        off[c] = np.linalg.norm(pixels - xy[c], axis=-1)
    seen = (weight > 0).sum(0) >= 2
    off[:, ~seen] = np.nan
    if np.isfinite(off).any() and np.nanmax(off) > MAX_ERROR_PX:
        c, p = (int(i) for i in np.unravel_index(int(np.nanargmax(off)), off.shape))
        raise InputError(
            "world-points-do-not-fit",
            f"Point {points[p].name} was clicked {off[c, p]:.0f} px from where the other cameras see it in "
            f"{rig.names[c]} (expected less than {MAX_ERROR_PX:g}).",
            "Click the same point of the scene in all pictures, and check that no camera was moved.",
        )
    return places, off[np.isfinite(off)], seen


def _spread(places: np.ndarray) -> float:
    """Return how far points [point 3] are from their best line (root mean square)."""
    return float(np.linalg.svd(places - places.mean(0), compute_uv=False)[1] / np.sqrt(len(places)))


def _rms_m(a: np.ndarray, b: np.ndarray, sign: float = 1.0) -> float:
    """Return the root mean square distance of points a, moved to fit b best (mirrored where sign is -1)."""
    R, t = rigid_fit(a, b, sign)
    return float(np.sqrt(((a @ R.T + t - b) ** 2).sum(-1).mean()))


def _fitted(
    points: Sequence[ClickedPoint], places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, Any], tuple[Diagnostic, ...]]:
    """Return R, t (world from rig), figures and findings of points with known places."""
    world = np.stack([p.world_m for p in points if p.world_m is not None])
    R, t = rigid_fit(places, world)
    rms_m, mirrored_m = _rms_m(places, world), _rms_m(places, world, -1.0)
    if mirrored_m < MAX_FIT_M < rms_m:
        raise InputError(
            "world-mirrored",
            f"The clicked points fit their places to {1000 * mirrored_m:.0f} mm in a mirror, and to {1000 * rms_m:.0f} "
            "mm otherwise: the places are given left-handed, or the rig is mirrored.",
            "Give X, Y, Z right-handed with Z up, and check that no video is mirrored.",
        )
    gaps = [np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(len(x), 1)] for x in (places, world)]
    ratio = float(np.median(gaps[1]) / np.median(gaps[0]))
    R_scaled, t_scaled = rigid_fit(ratio * places, world)
    scaled_m = _rms_m(ratio * places, world)
    if scaled_m > MAX_FIT_M:
        worst = points[int(np.linalg.norm(ratio * places @ R_scaled.T + t_scaled - world, axis=-1).argmax())].name
        raise InputError(
            "world-points-do-not-fit",
            f"The clicked points fit the places given to {1000 * scaled_m:.0f} mm only (expected less than "
            f"{1000 * MAX_FIT_M:.0f}), worst {worst}.",
            "Check the places and that each click is on the right point.",
        )
    data = {"from": "points", "fit_rms_m": rms_m, "scale_ratio": ratio}
    if abs(ratio - 1.0) < MAX_SCALE_OFF:
        return R, t, data, ()
    message = (
        f"The clicked points are {ratio:.3f} times as far apart as the calibration has them: the size given for the "
        "board or the person is probably wrong by as much. The calibration's metres were kept."
    )
    return R, t, data, (Diagnostic("world-scale-differs", Severity.QUALITY, message, {"ratio": ratio}),)


def _on_floor(
    rig: CameraRig, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, Any], tuple[Diagnostic, ...]]:
    """Return R, t (world from rig), figures and findings of points somewhere on the floor."""
    middle = places.mean(0)
    normal = np.linalg.svd(places - middle)[2][2]
    height = np.array([(c.center_world_m - middle) @ normal for c in rig.cameras])
    up = normal * (1.0 if np.median(height) > 0 else -1.0)
    x = places[1] - places[0]
    x = x - up * (x @ up)
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(up, x), up])
    off_m = (places - middle) @ up
    origin = places[0] - up * off_m[0]
    data = {"from": "floor points", "floor_residual_m": float(np.sqrt((off_m**2).mean()))}
    return R, -R @ origin, data, ()
