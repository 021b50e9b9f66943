"""`mocap reconstruct` on OpenPose files with hands: fingers in the skeleton."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.core.keypoints import Keypoints2D, KeypointSet, load_keypoint_set, with_hands
from mocap.solve.body import RIG_NAMES
from mocap.synth.detections import Faults, detect
from mocap.synth.files import rig_toml, write_openpose
from mocap.synth.performer import WHOLEBODY133, Performer
from mocap.synth.rig import ring_rig

FPS, N_FRAMES = Fraction(60), 121
FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")

Mocap = Callable[..., tuple[int, dict[str, Any]]]


def _in_set(seen: Keypoints2D, target: KeypointSet) -> Keypoints2D:
    """Return detections by landmark; landmarks that the performer lacks (neck, middle of the hips) are missing."""
    at = [seen.keypoint_set.index(landmark) for landmark in target.landmarks]
    xy = np.stack([np.full_like(seen.xy_px[..., 0, :], np.nan) if k is None else seen.xy_px[..., k, :] for k in at], -2)
    score = np.stack([np.zeros_like(seen.score[..., 0]) if k is None else seen.score[..., k] for k in at], -1)
    return Keypoints2D(target, seen.camera_names, xy, score, seen.time_s)


@pytest.fixture(scope="module")
def performer() -> Performer:
    rng = np.random.default_rng(21)
    return Performer.random(rng).with_hands(rng)


def _write(folder: Path, performer: Performer, sides: str = "LR") -> tuple[object, ...]:
    rng = np.random.default_rng(5)
    rig = ring_rig(5, rng)
    seen = detect([performer], rig, FPS, N_FRAMES, rng, faults=Faults(noise_px=1.5, dropout_share=0.02)).keypoints
    keypoints = _in_set(seen, with_hands(load_keypoint_set("body_25")))
    unseen = [k > 24 and name[0] not in sides for k, name in enumerate(keypoints.keypoint_set.landmarks)]
    xy = np.where(np.array(unseen)[:, None], np.nan, keypoints.xy_px)
    keypoints = Keypoints2D(
        keypoints.keypoint_set, rig.names, xy, np.where(unseen, 0.0, keypoints.score), keypoints.time_s
    )
    write_openpose(folder / "keypoints", keypoints, has_hand_arrays=True)
    (folder / "rig.toml").write_text(rig_toml(rig))
    given = ("--rig", folder / "rig.toml", "--keypoints", folder / "keypoints", "--fps", 60, "--out", folder / "out")
    return ("reconstruct", *given, "--to", "bvh")


def test_hands_of_openpose_files_give_fingers_where_they_truly_are(
    performer: Performer, tmp_path: Path, mocap: Mocap
) -> None:
    status, report = mocap(*_write(tmp_path, performer))
    assert (status, report["keypoint_set"]) == (0, "body_25+hands")
    assert "fingers-hardly-seen" not in [d["code"] for d in report["diagnostics"]]
    with np.load(tmp_path / "out" / "subject_0.npz") as arrays:
        joints, names = arrays["joint_names"].tolist(), arrays["names"].tolist()
        time_s, xyz_m = arrays["time_s"], arrays["xyz_m"]
    fingers = [f"{side}Hand{finger}{n}" for side in ("Left", "Right") for finger in FINGERS for n in (1, 2, 3)]
    assert joints == [*RIG_NAMES, *fingers]
    truth_m = performer.points(time_s)
    hands = [n for n in names if n.startswith(("left_", "right_"))]
    assert len(hands) == 42
    found = xyz_m[:, [names.index(n) for n in hands]]
    true = truth_m[:, [WHOLEBODY133.names.index(n) for n in hands]]
    error_mm = 1e3 * np.linalg.norm(found - true, axis=-1)
    assert np.median(error_mm) < 4.0
    assert np.percentile(error_mm, 95) < 15.0


def test_a_hand_that_no_file_holds_is_said_and_stays_relaxed(
    performer: Performer, tmp_path: Path, mocap: Mocap
) -> None:
    _, report = mocap(*_write(tmp_path, performer, sides="L"))
    said = [d for d in report["diagnostics"] if d["code"] == "fingers-hardly-seen"]
    assert [d["data"]["hand"] for d in said] == ["right"]
