"""`mocap reconstruct --causal`: the same files, labelled as a preview."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporters.trc import read_trc
from mocap.synth.detections import Faults, detect
from mocap.synth.files import write_take
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

Mocap = Callable[..., tuple[int, dict[str, Any]]]
N_FRAMES = 83


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    rng = np.random.default_rng(19)
    rig, performer = ring_rig(4, rng), Performer.random(rng, stride=0.0)
    seen = detect([performer], rig, Fraction(60), N_FRAMES, rng, faults=Faults(noise_px=1.0)).keypoints
    folder = write_take(tmp_path_factory.mktemp("take") / "take", rig, seen)
    return ("reconstruct", "--rig", folder / "rig.toml", "--keypoints", folder / "keypoints", "--fps", "60")


def test_it_writes_the_same_files_and_says_that_it_is_a_preview(
    given: tuple[object, ...], mocap: Mocap, tmp_path: Path
) -> None:
    code, shown = mocap(*given, "--out", tmp_path, "--causal", "--latency-ms", "40")
    assert code == 0
    assert {"subject_0.trc", "subject_0_points.trc", "subject_0.npz", "subject_0.bvh", "report.json"} <= {
        p.name for p in tmp_path.iterdir()
    }
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["preview"]["mode"] == "preview"
    assert report["preview"]["latency_ms"] == pytest.approx(2 / 60 * 1e3, abs=0.01)
    assert report["preview"]["ms_a_frame"]["mean"] > 0
    assert "preview" in {d["code"] for d in shown["diagnostics"]}
    assert len(read_trc(tmp_path / "subject_0.trc")[2]) == N_FRAMES


def test_rough_detections_of_a_right_rig_fail_no_gate_and_blame_no_camera(mocap: Mocap, tmp_path: Path) -> None:
    rng = np.random.default_rng(20)
    rig, performer = ring_rig(4, rng), Performer.random(rng)
    faults = Faults(noise_px=3.0, outlier_share=0.1, dropout_share=0.1)
    seen = detect([performer], rig, Fraction(60), N_FRAMES, rng, faults=faults).keypoints
    folder = write_take(tmp_path / "take", rig, seen)
    given = ("reconstruct", "--rig", folder / "rig.toml", "--keypoints", folder / "keypoints", "--fps", "60")
    code, shown = mocap(*given, "--out", tmp_path / "out", "--causal")
    assert code == 0
    assert not {"bones-unsteady", "rig-biased"} & {d["code"] for d in shown["diagnostics"]}


def test_the_whole_takes_report_names_no_preview(given: tuple[object, ...], mocap: Mocap, tmp_path: Path) -> None:
    assert mocap(*given, "--out", tmp_path)[0] == 0
    assert "preview" not in json.loads((tmp_path / "report.json").read_text())


@pytest.mark.parametrize(
    "options",
    [("--latency-ms", "20"), ("--causal", "--latency-ms", "900"), ("--causal", "--latency-ms", "-1")],
)
def test_a_latency_that_cannot_be_is_refused(
    given: tuple[object, ...], mocap: Mocap, tmp_path: Path, options: tuple[str, ...]
) -> None:
    code, shown = mocap(*given, "--out", tmp_path / "out", *options)
    assert code == 2
    assert "latency-ms" in shown["error"]["message"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [("--refine-rig",), ("--solve-for", "cameras")])
def test_a_preview_does_not_correct_the_cameras_from_the_whole_take(
    option: tuple[str, ...], given: tuple[object, ...], mocap: Mocap, tmp_path: Path
) -> None:
    code, shown = mocap(*given, "--out", tmp_path / "out", "--causal", *option)
    assert code == 2
    assert option[0] in shown["error"]["message"]


def test_a_preview_reads_a_profile_and_writes_none(given: tuple[object, ...], mocap: Mocap, tmp_path: Path) -> None:
    profile = tmp_path / "anna.json"
    code, shown = mocap(*given, "--out", tmp_path / "a", "--causal", "--performer", profile)
    assert code == 1
    assert shown["error"]["code"] == "performer-invalid"
    assert mocap(*given, "--out", tmp_path / "b", "--performer", profile)[0] == 0
    assert mocap(*given, "--out", tmp_path / "c", "--causal", "--performer", profile)[0] == 0
    report = json.loads((tmp_path / "c" / "report.json").read_text())
    assert report["preview"]["shape"] == "profile"
    assert report["performer"]["is_used"]
