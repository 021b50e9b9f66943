"""NumPy archive with everything that was found out about a subject: metres, world Z up."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from exporters.job import Job, max_distance_m, require
from mocap.core.limbs import of_keypoints, put_back
from mocap.core.take import SolvedTake


def write(job: Job, path: Path) -> None:
    """Write keypoints with their uncertainty and origin, contacts, and the joints' world rotations.

    Arrays: `time_s` [frame] master time, `names` [keypoint], `xyz_m` [frame keypoint 3], `sigma_m` [frame keypoint] 1
    standard deviation per axis, `source` [frame keypoint] uint8, `inlier_probability` [camera frame keypoint] of the
    detections as they came, at the cameras' own frames (0 where a limb's left and right were found exchanged),
    `exchanged` [camera frame keypoint] which detections those are, `contact_names`, `contact` [frame contact],
    `joint_names`, `joint_R_world` [frame joint 3 3], `joint_xyz_m` [frame joint 3], `camera_names`, `source_names`
    (what the numbers of `source` mean).
    """
    take = job.take
    R_world, positions = job.joints_world
    exchanged, probability = _as_detected(take)
    arrays: dict[str, np.ndarray] = {
        "time_s": take.keypoints.time_s,
        "names": np.array(take.keypoints.keypoint_set.names),
        "xyz_m": take.keypoints.xyz_m,
        "sigma_m": take.keypoints.sigma_m,
        "source": take.keypoints.source,
        "source_names": np.array(["missing", "measured", "interpolated", "solved", "edited"]),
        "camera_names": np.array(take.detections.camera_names),
        "inlier_probability": probability,
        "exchanged": exchanged,
        "contact_names": np.array(take.contact_names, dtype=np.str_),
        "contact": take.contact,
        "joint_names": np.array(take.motion.skeleton.joint_names),
        "joint_R_world": R_world,
        "joint_xyz_m": positions,
    }
    # as np.savez_compressed, but at the fastest level: the slower ones take twice as long and save a few per cent
    with path.open("wb") as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def _as_detected(take: SolvedTake) -> tuple[np.ndarray, np.ndarray]:
    """Return which detections were of the other side, and the inlier probability of each as it came."""
    keypoint_set = take.detections.keypoint_set
    probability = put_back(take.inlier_probability, take.exchanged, keypoint_set)
    exchanged = of_keypoints(take.exchanged, keypoint_set) & np.isfinite(probability)
    return exchanged, np.where(exchanged, np.float32(0.0), probability)


def read_back(job: Job, path: Path) -> float:
    """Return the largest distance of the archive's points from the source."""
    take = job.take
    with np.load(path, allow_pickle=False) as data:
        require(tuple(data["names"]) == take.keypoints.keypoint_set.names, "other keypoint names")
        require(tuple(data["joint_names"]) == take.motion.skeleton.joint_names, "other joint names")
        require(bool(np.array_equal(data["time_s"], take.keypoints.time_s)), "other times")
        require(bool(np.array_equal(data["contact"], take.contact)), "other contacts")
        require(bool(np.array_equal(data["joint_R_world"], job.joints_world[0])), "other joint rotations")
        return max_distance_m(data["xyz_m"], take.keypoints.xyz_m, "keypoints")
