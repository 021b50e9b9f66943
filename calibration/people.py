"""Where cameras stand, from the keypoints of one person alone, lenses known: for rigs without a board.

Pairs of cameras give a first geometry (essential matrix: D. Nister, "An efficient solution to the five-point relative
pose problem", PAMI 2004), further cameras are added by resection, and a robust bundle adjustment over all keypoints
settles the rest. Metres come from a bone or the person's height; up is where heads are above ankles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from calibration.refine_bundle import Fit, Poses, adjust, residuals_px, triangulate_robust
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
CORRELATION = 10.0
PROVISIONAL_HEIGHT_M = 1.7
FOOT_SHARE = 0.04
"""Height of the ankle's centre above the sole, as a share of stature (H. Dempster and G. Gaughran, 1967)."""
N_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class PeopleResult:
    """A rig solved from people."""

    rig: CameraRig
    reprojection_px: dict[str, float]
    """Median error per camera."""
    pose_sd: np.ndarray
    """[camera 6] 1 sd of turn (rad) and shift (m)."""
    scale_sd_share: float
    """Relative uncertainty of the scale from the spread of the bone over the take (1 standard error)."""
    diagnostics: tuple[Diagnostic, ...]


def calibrate_people(
    lenses: Mapping[str, Intrinsics],
    detections: Keypoints2D,
    *,
    height_m: float | None = None,
    bone: tuple[str, str, float] | None = None,
    min_score: float = MIN_SCORE,
    progress: Progress | None = None,
) -> PeopleResult:
    """Return the rig that explains one person's keypoints, in metres by a `bone` (two keypoints, length) or a height.

    Cameras may have their own clocks: detections hold master times. Raises InputError `people-needs-one-person`,
    `people-lens-missing`, `people-scale-missing`, `people-bone-unknown`, `people-too-few`, `people-no-start` and
    `people-disconnected`.
    """
    progress = progress or NoProgress()
    provisional = _provisional(lenses, detections)
    _require_scale(detections.keypoint_set, height_m, bone)
    obs = gather(detections, min_score, MAX_OBSERVATIONS // detections.n_cameras)
    if obs.xy_px.shape[1] < MIN_MATCHES:
        raise InputError(
            "people-too-few",
            f"Only {obs.xy_px.shape[1]} keypoints are seen by two cameras at once, {MIN_MATCHES} are needed.",
            "Give a longer take in which one person walks about where the cameras see them.",
        )
    progress.start("placing the cameras from people", None)
    try:
        poses = _started(obs, provisional, progress)
        fit, rig = _settled(obs, poses, provisional, detections.keypoint_set, height_m, bone, progress)
    finally:
        progress.finish()
    return _result(fit, rig, obs, detections.keypoint_set, height_m, bone)


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


def _require_scale(kinds: KeypointSet, height_m: float | None, bone: tuple[str, str, float] | None) -> None:
    """Raise unless a length tells how large the person is."""
    if (height_m is None) == (bone is None) or (height_m or (bone[2] if bone else 0.0)) <= 0:
        raise InputError(
            "people-scale-missing",
            "People alone do not tell metres: one length is needed, the person's height or that of one bone.",
            "Give the height in metres, or a bone like LHip-LKnee=0.42, and only one of them.",
        )
    if bone is not None and any(name not in kinds.names for name in bone[:2]):
        raise InputError(
            "people-bone-unknown",
            f"There is no bone {bone[0]}-{bone[1]}: the keypoints are {', '.join(kinds.names)}.",
            "Name two keypoints of this set, as in LHip-LKnee=0.42.",
        )


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
    kinds: KeypointSet,
    height_m: float | None,
    bone: tuple[str, str, float] | None,
    progress: Progress,
) -> tuple[Fit, CameraRig]:
    """Return the bundle adjustment, scale set after every round, and the rig in an upright frame.

    Each round's own start is its weak prior, so rounds after the first are free to go on where the data lead.
    """
    fit = None
    for round_ in range(N_ROUNDS):
        points = fit.points_world_m if fit else triangulate_robust(obs, poses, poses.rig(rig))
        factor = _scale(points, obs, kinds, height_m, bone)[0]
        poses = Poses(poses.R_cam_from_world, poses.t_cam_from_world_m * factor, poses.offset_s)
        rig = poses.rig(rig)
        free = np.ones(len(rig), bool)
        free[0] = False
        fit = adjust(
            obs,
            rig,
            poses,
            free=free,
            free_offsets=False,
            correlation=1.0 if round_ < N_ROUNDS - 1 else CORRELATION,
            on_iteration=progress.advance,
            max_iterations=12,
        )
        poses = fit.poses
    assert fit is not None
    factor = _scale(fit.points_world_m, obs, kinds, height_m, bone)[0]
    poses = Poses(poses.R_cam_from_world, poses.t_cam_from_world_m * factor, poses.offset_s)
    points = fit.points_world_m * factor
    poses, points = _upright(poses, points, obs, kinds)
    return Fit(poses, points, fit.sigma_px, fit.pose_sd), poses.rig(rig)


def _track(points: np.ndarray, obs: Observations, keypoint: int) -> np.ndarray:
    """Return one keypoint's places [instant 3], NaN where unknown."""
    out = np.full((obs.n_instants, 3), np.nan)
    on = obs.keypoint == keypoint
    out[obs.instant[on]] = points[on]
    return out


def _length(points: np.ndarray, obs: Observations, a: int, b: int) -> tuple[float, float]:
    """Return the typical distance of two keypoints and its relative standard error.

    The mode of the distances by half-sample steps would be noisy; the median of the middle half is not, and the noise
    of triangulated ends, which lengthens distances, is a second-order effect of 1 mm.
    """
    gap = np.linalg.norm(_track(points, obs, a) - _track(points, obs, b), axis=-1)
    gap = gap[np.isfinite(gap)]
    if len(gap) < 10:
        return float("nan"), float("nan")
    middle = float(np.median(gap))
    spread = 1.4826 * float(np.median(np.abs(gap - middle)))
    return middle, spread / middle / np.sqrt(len(gap) / CORRELATION)


def _scale(
    points: np.ndarray,
    obs: Observations,
    kinds: KeypointSet,
    height_m: float | None,
    bone: tuple[str, str, float] | None,
) -> tuple[float, float]:
    """Return metres per unit of the points, and its relative standard error."""
    if bone is not None:
        length, error = _length(points, obs, kinds.names.index(bone[0]), kinds.names.index(bone[1]))
        known = bone[2]
    else:
        length, error = _stature(points, obs, kinds)
        known = height_m or PROVISIONAL_HEIGHT_M
    if not np.isfinite(length) or length <= 0:
        raise InputError(
            "people-scale-missing",
            "The keypoints that the scale rests on are seen by two cameras too seldom.",
            "Give the length of a bone that the cameras see well.",
        )
    return known / length, error


def _stature(points: np.ndarray, obs: Observations, kinds: KeypointSet) -> tuple[float, float]:
    """Return the person's height in the points' unit: head to ankle along the bones, and the foot below."""

    def at(landmark: str) -> int | None:
        return kinds.index(landmark)

    total, variance = 0.0, 0.0
    for side in ("L", "R"):
        chain = [at("Head"), at("Neck"), at("Hip"), at(f"{side}Knee"), at(f"{side}Ankle")]
        chain[2] = chain[2] if chain[2] is not None else at(f"{side}Hip")
        links = [k for k in chain if k is not None]
        if chain[0] is None or len(links) < 4:
            return float("nan"), float("nan")
        parts = [_length(points, obs, a, b) for a, b in pairwise(links)]
        total += 0.5 * sum(p[0] for p in parts)
        variance += 0.25 * sum((p[0] * p[1]) ** 2 for p in parts)
    return total / (1.0 - FOOT_SHARE), float(np.sqrt(variance)) / total


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
    fit: Fit,
    rig: CameraRig,
    obs: Observations,
    kinds: KeypointSet,
    height_m: float | None,
    bone: tuple[str, str, float] | None,
) -> PeopleResult:
    """Return the rig with its figures."""
    error = np.linalg.norm(residuals_px(fit.points_world_m, obs, fit.poses, rig), axis=-1)
    per_camera = {n: float(np.nanmedian(error[c])) for c, n in enumerate(rig.names)}
    scale_sd = _scale(fit.points_world_m, obs, kinds, height_m, bone)[1]
    text = ", ".join(f"{n} {v:.1f}" for n, v in per_camera.items())
    found = Diagnostic(
        "rig-from-people",
        Severity.INFO,
        f"The cameras were placed from one person's keypoints: median reprojection {text} px, scale within "
        f"{100 * 2 * scale_sd:.1f} % of the length given.",
        {"reprojection_px": per_camera, "scale_sd_share": scale_sd},
    )
    return PeopleResult(rig, per_camera, fit.pose_sd[:, :6], scale_sd, (found,))
