"""The performer in takes with known identities, and in real detections of two people and a bystander."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from calibration.files import read_rig
from mocap.core.keypoints import Keypoints2D
from mocap.pose2d.assemble import assemble
from mocap.pose2d.files import read_keypoints
from mocap.tracking.performer import choose_performer

WALK = "data/mocap_clips/cmu/cmu_12_01_walk.bvh"


def test_the_same_person_is_chosen_throughout_a_take_with_two(shared: Callable[[str], Path], tmp_path: Path) -> None:
    command = [sys.executable, str(shared("bench/make_take.py")), str(tmp_path / "take"), "--clip", str(shared(WALK))]
    options = ["--cameras", "5", "--seed", "3", "--subjects", "2", "--frames", "300"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    rig = read_rig(tmp_path / "take" / "rig.toml")
    files = read_keypoints(tmp_path / "take" / "pose", rig.names, 60, keypoint_set="halpe26")
    choice = choose_performer(assemble(files.detections, {}), rig)
    truth = np.load(tmp_path / "take" / "truth" / "detections.npz")["order"]
    picked = np.take_along_axis(truth, np.maximum(choice.index, 0)[..., None], 2)[..., 0]
    picked = picked[choice.index >= 0]
    person = int(np.bincount(picked[picked >= 0]).argmax())
    assert (picked == person).mean() >= 0.995
    listed = (truth == person).any(-1)
    assert len(picked) >= 0.97 * listed.sum()


def _demo(folder: Path, rig_names: tuple[str, ...]) -> Keypoints2D:
    return assemble(read_keypoints(folder, rig_names, 60, keypoint_set="body_25b").detections, {})


def test_the_man_on_the_beam_is_chosen_over_a_second_person_and_a_bystander(shared: Callable[[str], Path]) -> None:
    root = shared("data/pose2sim_demo/openpose_2024_two_person")
    rig = read_rig(root / "Calibration" / "Calib.qca.txt")
    detections = _demo(root / "T02_Participants1-2" / "pose", rig.names)
    associated = _demo(root / "T02_Participants1-2" / "pose-associated", rig.names)
    choice = choose_performer(detections, rig)
    ours = np.nan_to_num(detections.person(choice.index).xy_px[:, :, 0])
    his = np.nan_to_num(associated.xy_px[:, :, 1])
    same = np.linalg.norm(ours - his, axis=-1).max(-1) < 0.5
    assert same.mean() > 0.98
    assert choice.diagnostics[0].data["n_candidates"] == 3


def test_a_floor_point_chooses_the_bystander(shared: Callable[[str], Path]) -> None:
    root = shared("data/pose2sim_demo/openpose_2024_two_person")
    rig = read_rig(root / "Calibration" / "Calib.qca.txt")
    detections = _demo(root / "T02_Participants1-2" / "pose", rig.names)
    choice = choose_performer(detections, rig, subject_at_m=(-4.5, 0.4))
    assert (choice.index[:2] >= 0).mean() > 0.95
    assert (choice.index[2:] == -1).all()
