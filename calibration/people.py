"""Where cameras stand, from the keypoints of one person alone, lenses known: for rigs without a board.

Pairs of cameras give a first geometry (essential matrix: D. Nister, "An efficient solution to the five-point relative
pose problem", PAMI 2004), further cameras are added by resection, and a robust bundle adjustment over all keypoints
settles the rest. Metres come from a bone or the person's height; up is where heads are above ankles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from calibration.people_scale import FOOT_SHARE, make_ruler, scale_of
from calibration.refine_bundle import Fit, Poses, adjust, residuals_px
from calibration.refine_certainty import CameraCertainty, certainty
from calibration.refine_figures import CameraReprojection, error_correlation, reprojection
from calibration.refine_observations import Observations, gather
from mocap.core.camera import Camera, CameraRig, Intrinsics
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D, KeypointSet
from mocap.core.progress import NoProgress, Progress
from mocap.kernels.projection import undistort
from mocap.kernels.triangulation import triangulate_dlt

MIN_SCORE = 0.3
MAX_OBSERVATIONS = 24000
MIN_MATCHES = 100
RANSAC_PX = 6.0
PAIR_MATCHES = 1500
MIN_ANGLE_DEG = 4.0
"""Median angle between the rays of a pair that tells depth."""
SCALE_POINTS = (1200, 60000)
"""Keypoints that the scale is told from, between rounds and at the end."""
N_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class PeopleResult:
    """A rig solved from people."""

    rig: CameraRig
    reprojection: dict[str, CameraReprojection]
    certainty: dict[str, CameraCertainty]
    """How sure each camera is, relative to the cameras on average and to their scale."""
    scale_sd_share: float
    """Relative uncertainty of the scale from the spread of the length given over the take (1 standard error)."""
    diagnostics: tuple[Diagnostic, ...]


def calibrate_people(
    lenses: Mapping[str, Intrinsics],
    detections: Keypoints2D,
    *,
    height_m: float | None = None,
    bone: tuple[str, str, float] | None = None,
    min_score: float = MIN_SCORE,
    readouts_s: Mapping[str, float | None] | None = None,
    progress: Progress | None = None,
) -> PeopleResult:
    """Return the rig that explains one person's keypoints, in metres by a `bone` (two keypoints, length) or a height.

    Cameras may have their own clocks: detections hold master times. `readouts_s` are kept with the cameras; the
    detections are taken back to middle rows already. Raises InputError `people-needs-one-person`,
    `people-lens-missing`, `people-scale-missing`, `people-bone-unknown`, `people-too-few`, `people-no-start` and
    `people-disconnected`.
    """
    progress = progress or NoProgress()
    provisional = _provisional(lenses, detections).with_readouts(readouts_s or {})
    ruler = make_ruler(detections.keypoint_set, height_m, bone)
    obs = gather(detections, min_score, MAX_OBSERVATIONS // detections.n_cameras)
    if obs.xy_px.shape[1] < MIN_MATCHES:
        raise InputError(
            "people-too-few",
            f"Only {obs.xy_px.shape[1]} keypoints are seen by two cameras at once, {MIN_MATCHES} are needed.",
            "Give a longer take in which one person walks about where the cameras see them.",
        )
    progress.start("placing the cameras from people", None)
    try:
        start = _started(obs, provisional, progress)

        def scale(poses: Poses, max_points: int) -> tuple[float, float]:
            return scale_of(detections, poses, provisional, ruler, min_score, max_points)

        fit, correlation = _settled(obs, start, provisional, scale, progress)
        factor, scale_sd = scale(fit.poses, SCALE_POINTS[1])
    finally:
        progress.finish()
    fit = replace(fit, poses=_scaled(fit.poses, factor), points_world_m=fit.points_world_m * factor)
    return _result(fit, provisional, obs, detections.keypoint_set, scale_sd, correlation)


def _scaled(poses: Poses, factor: float) -> Poses:
    return replace(poses, t_cam_from_world_m=poses.t_cam_from_world_m * factor)


def _provisional(lenses: Mapping[str, Intrinsics], detections: Keypoints2D) -> CameraRig:
    """Return cameras with the given lenses, all at the origin."""
    if detections.n_persons != 1:
        raise InputError(
            "people-needs-one-person",
            f"Placing cameras from people needs one person per camera, got detections of {detections.n_persons}.",
            "Choose the performer first, or film one person alone.",
        )
    missing = [name for name in detections.camera_names if name not in lenses]
    if missing or detections.n_cameras < 2:
        raise InputError(
            "people-lens-missing",
            f"No lens is given for {', '.join(missing) or 'a second camera'}; there are {', '.join(lenses) or 'none'}.",
            "Give one lens file per camera of the take.",
        )
    return CameraRig(tuple(Camera(name, lenses[name], np.eye(3), np.zeros(3)) for name in detections.camera_names))


def _rays(obs: Observations, rig: CameraRig) -> np.ndarray:
    """Return undistorted coordinates [camera point 2]."""
    lenses = [c.intrinsics for c in rig.cameras]
    return np.stack([undistort(obs.xy_px[c], k.focal_px, k.center_px, k.distortion) for c, k in enumerate(lenses)])


def _started(obs: Observations, rig: CameraRig, progress: Progress) -> Poses:
    """Return first poses: the best pair, then cameras one by one by resection; scale provisional."""
    rays = _rays(obs, rig)
    seen = np.asarray(np.isfinite(rays).all(-1))
    n = len(rig)
    R, t = np.tile(np.eye(3), (n, 1, 1)), np.zeros((n, 3))
    first, second, R_second, t_second = _best_pair(rays, seen, rig)
    R[second], t[second] = R_second, t_second
    placed = [first, second]
    rng = np.random.default_rng(0)
    while len(placed) < n:
        progress.advance()
        points = triangulate_dlt(rays[placed], seen[placed].astype(float), R[placed], t[placed])
        points = _believable(points, rays[placed], R[placed], t[placed], rig)
        known = np.isfinite(points).all(-1)
        rest = [c for c in range(n) if c not in placed]
        new = max(rest, key=lambda c: int((seen[c] & known).sum()))
        on = seen[new] & known
        pose = _resected(points[on], rays[new, on], float(rig.cameras[new].intrinsics.focal_px.mean()), rng)
        if pose is None:
            raise InputError(
                "people-disconnected",
                f"Camera {rig.names[new]} sees the person too seldom together with "
                f"{', '.join(rig.names[c] for c in placed)}.",
                f"Film the person where {rig.names[new]} and another camera see them at once.",
            )
        R[new], t[new] = pose
        placed.append(new)
    return Poses(R, t, np.zeros(n))


def _best_pair(rays: np.ndarray, seen: np.ndarray, rig: CameraRig) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Return the pair with most inliers at useful angles, and the second's pose from the first, baseline 1."""
    import cv2

    best: tuple[float, int, int, np.ndarray, np.ndarray] | None = None
    rng = np.random.default_rng(0)
    n = len(rig)
    for a, b in combinations(range(n), 2):
        both = np.flatnonzero(seen[a] & seen[b])
        if len(both) < MIN_MATCHES:
            continue
        some = rng.permutation(both)[:PAIR_MATCHES]
        p, q = np.ascontiguousarray(rays[a, some]), np.ascontiguousarray(rays[b, some])
        focal = float(np.mean([rig.cameras[c].intrinsics.focal_px.mean() for c in (a, b)]))
        cv2.setRNGSeed(0)
        E, inside = cv2.findEssentialMat(p, q, np.eye(3), cv2.RANSAC, 0.999, RANSAC_PX / focal, maxIters=400)
        if E is None or E.shape != (3, 3):
            continue
        n_front, R, t, _ = cv2.recoverPose(E, p, q, np.eye(3), mask=inside)
        ray_p = np.concatenate([p, np.ones((len(p), 1))], 1)
        ray_q = np.concatenate([q, np.ones((len(q), 1))], 1) @ R
        cosine = (ray_p * ray_q).sum(1) / np.linalg.norm(ray_p, axis=1) / np.linalg.norm(ray_q, axis=1)
        angle = np.rad2deg(np.median(np.arccos(np.clip(cosine, -1, 1))))
        # Rays at right angles tell depth best; nearly opposite ones tell as little as nearly parallel ones.
        value = n_front / len(some) * np.sqrt(len(both)) * np.sin(np.deg2rad(np.clip(angle, 0, 180)))
        if angle > MIN_ANGLE_DEG and (best is None or value > best[0]):
            best = (float(value), a, b, R, t[:, 0])
    if best is None:
        raise InputError(
            "people-no-start",
            "No two cameras see the person move from sides different enough to tell where they stand.",
            "Film one person who walks through the whole volume for half a minute.",
        )
    return best[1:]


def _believable(points: np.ndarray, rays: np.ndarray, R: np.ndarray, t: np.ndarray, rig: CameraRig) -> np.ndarray:
    """Return points, NaN where they lie behind a camera that sees them or miss a ray by far."""
    cam = np.einsum("cij,pj->cpi", R, points) + t[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        miss = np.linalg.norm(cam[..., :2] / cam[..., 2:] - rays, axis=-1)
    focal = float(np.mean([c.intrinsics.focal_px.mean() for c in rig.cameras]))
    bad = np.isfinite(rays).all(-1) & ~((cam[..., 2] > 0) & (miss < 3 * RANSAC_PX / focal))
    return np.where(bad.any(0)[:, None], np.nan, points)


def _resected(
    points: np.ndarray, rays: np.ndarray, focal_px: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return R, t of a camera that sees points [n 3] along rays [n 2], or None."""
    import cv2

    if len(points) < MIN_MATCHES // 2:
        return None
    some = rng.permutation(len(points))[: 2 * PAIR_MATCHES]
    cv2.setRNGSeed(0)
    ok, turn, t, inside = cv2.solvePnPRansac(
        points[some],
        rays[some],
        np.eye(3),
        np.zeros(4),
        iterationsCount=300,
        reprojectionError=2 * RANSAC_PX / focal_px,
        flags=cv2.SOLVEPNP_EPNP,
    )
    if not ok or inside is None or len(inside) < 0.3 * len(some):
        return None
    return cv2.Rodrigues(turn)[0], t[:, 0]


def _settled(
    obs: Observations,
    poses: Poses,
    rig: CameraRig,
    scale: Callable[[Poses, int], tuple[float, float]],
    progress: Progress,
) -> tuple[Fit, float]:
    """Return the bundle adjustment, scale set after every round, and how many errors in a row count as one.

    Each round's own start is its weak prior, so rounds after the first are free to go on where the data lead.
    """
    fit, correlation = None, 1.0
    free = np.arange(len(rig)) > 0
    for round_ in range(N_ROUNDS):
        poses = _scaled(poses, scale(poses, SCALE_POINTS[0])[0])
        if fit is not None and round_ == N_ROUNDS - 1:
            correlation = error_correlation(residuals_px(fit.points_world_m, obs, fit.poses, rig), obs)
        fit = adjust(
            obs,
            poses.rig(rig),
            poses,
            free=free,
            correlation=correlation,
            on_iteration=progress.advance,
            max_iterations=12,
        )
        poses = fit.poses
    assert fit is not None
    return fit, correlation


def _track(points: np.ndarray, obs: Observations, keypoint: int) -> np.ndarray:
    """Return one keypoint's places [instant 3], NaN where unknown."""
    out = np.full((obs.n_instants, 3), np.nan)
    on = obs.keypoint == keypoint
    out[obs.instant[on]] = points[on]
    return out


def _upright(poses: Poses, points: np.ndarray, obs: Observations, kinds: KeypointSet) -> tuple[Poses, np.ndarray]:
    """Return the same with Z up as the person stands on average, floor below the ankles, person at the origin."""
    feet = [k for k in (kinds.index("LAnkle"), kinds.index("RAnkle")) if k is not None]
    head = next((k for n in ("Head", "Nose", "Neck") if (k := kinds.index(n)) is not None), None)
    if head is None or not feet:
        return poses, points
    low = np.nanmean(np.stack([_track(points, obs, k) for k in feet]), axis=0)
    direction = _track(points, obs, head) - low
    direction = direction[np.isfinite(direction).all(-1)]
    up = np.median(direction / np.linalg.norm(direction, axis=-1, keepdims=True), axis=0)
    up /= np.linalg.norm(up)
    side = poses.R_cam_from_world[0, 0] - up * (up @ poses.R_cam_from_world[0, 0])
    side /= np.linalg.norm(side)
    turn = np.stack([side, np.cross(up, side), up])
    turned = points @ turn.T
    origin = np.nanmedian(turned, axis=0)
    ankles = np.concatenate([_track(turned, obs, k)[:, 2] for k in feet])
    stature = float(np.median(np.linalg.norm(direction, axis=-1)))
    origin[2] = np.nanpercentile(ankles, 10) - FOOT_SHARE * stature
    R = poses.R_cam_from_world @ turn.T
    t = poses.t_cam_from_world_m + np.einsum("cij,j->ci", R, origin)
    return Poses(R, t, poses.offset_s), turned - origin


def _result(
    fit: Fit, provisional: CameraRig, obs: Observations, kinds: KeypointSet, scale_sd: float, correlation: float
) -> PeopleResult:
    """Return the upright rig with its figures."""
    poses, points = _upright(fit.poses, fit.points_world_m, obs, kinds)
    rig = poses.rig(provisional)
    figures = reprojection(residuals_px(points, obs, poses, rig), rig, correlation)
    arm_m = float(np.nanmedian(np.linalg.norm(points - poses.center_world_m[:, None], axis=-1)))
    sure = certainty(fit.covariance, poses, arm_m, is_gauge_free=True)
    text = ", ".join(f"{n} {c.median_px:.1f}" for n, c in figures.items())
    found = Diagnostic(
        "rig-from-people",
        Severity.INFO,
        f"The cameras were placed from one person's keypoints: median reprojection {text} px, scale within "
        f"{100 * 2 * scale_sd:.1f} % by the length given.",
        {"reprojection_px": {n: c.median_px for n, c in figures.items()}, "scale_sd_share": scale_sd},
    )
    return PeopleResult(rig, figures, dict(zip(rig.names, sure, strict=True)), scale_sd, (found,))
