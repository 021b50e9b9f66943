"""`mocap demo` on the real footage, where it and the model were fetched before."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.media.packages import KNOWN


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    if not all(source.is_here for source in KNOWN):
        pytest.skip("needs the network once: the demo's footage and model are not in the cache")
    from mocap.cli import main as cli

    out = tmp_path_factory.mktemp("demo")
    return cli.main(["demo", "--out", str(out), "--json"]), out


def report(out: Path) -> dict[str, Any]:
    import json

    return json.loads((out / "report.json").read_text())


def test_the_demo_leaves_everything_it_promises(demo: tuple[int, Path]) -> None:
    status, out = demo
    has_blender = importlib.util.find_spec("bpy") is not None
    assert status == (0 if has_blender else 3)
    formats = {"bvh", "glb", "trc", "c3d", "csv"} | ({"fbx"} if has_blender else set())
    assert all(list((out / "exports").glob(f"*.{name}")) for name in formats)
    assert all((out / name).stat().st_size > 10_000 for name in ("report.html", "overlay.mp4"))
    assert all((out / "exports" / rig / "subject_0.bvh").is_file() for rig in ("mixamo", "ue5"))


def test_the_demo_is_as_good_as_it_should_be(demo: tuple[int, Path]) -> None:
    data = report(demo[1])
    assert data["frames"] == 100
    assert data["reproj_median_px"] <= 9
    assert data["refine"]["after_median_px"] < data["refine"]["before_median_px"]
    assert data["bone_sd_mm"] < 0.01
    assert data["share"]["measured"] > 0.9


def test_the_demo_notices_the_traps_of_its_footage(demo: tuple[int, Path]) -> None:
    found = {(d["code"], d["data"].get("camera")) for d in report(demo[1])["diagnostics"]}
    assert {("size-letterboxed", "cam01"), ("size-letterboxed", "cam02")} <= found
    assert "rig-stale" in {code for code, _ in found}


def test_no_keypoint_is_far_from_confident_detections_in_two_views(demo: tuple[int, Path]) -> None:
    from mocap.analysis.quality import measure_quality
    from sessions.folder import split_take_path
    from sessions.process import settings_of, take_sources
    from sessions.runner import stage_keys
    from sessions.stages import FROM_FOOTAGE

    session, take = split_take_path(str(demo[1] / "session" / "balance"))
    keys = stage_keys(FROM_FOOTAGE, take_sources(session, take)[0], settings_of(session, take))
    stored = take.store.load("solve", keys["solve"].key)
    assert stored is not None
    quality = measure_quality(stored.value)
    far = (quality.residual_px > 40) & quality.is_confident
    assert (far.sum(0) >= 2).sum() == 0
    # The clocks differ by a few milliseconds: a camera's first or last frame may lie outside the take, no other may.
    take_s, frame_s = stored.value.motion.timeline.time_s, stored.value.detections.time_s
    is_inside = (frame_s >= take_s[0] - 1e-6) & (frame_s <= take_s[-1] + 1e-6)
    assert is_inside[:, 1:-1].all()
    np.testing.assert_array_equal(np.isfinite(quality.frame_median_px), is_inside)


def test_looking_again_brings_more_confident_detections_that_agree_better(demo: tuple[int, Path]) -> None:
    gain = next(d["data"] for d in report(demo[1])["diagnostics"] if d["code"] == "second-look")
    assert gain["confident_share"]["after"] > gain["confident_share"]["before"]
    assert gain["reprojection_p90_px"]["after"] < 0.9 * gain["reprojection_p90_px"]["before"]


def test_a_second_demo_computes_no_stage_again(
    demo: tuple[int, Path], mocap: Callable[..., tuple[int, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mocap.cli.demo.FORMATS", ("bvh",))
    monkeypatch.setattr("mocap.cli.demo.RIGS", ())
    monkeypatch.setattr("sessions.outputs.write_overlay", lambda path, *_, **__: path)
    _, data = mocap("demo", "--out", demo[1])
    assert {"keypoints", "recrop", "solve"} <= set(data["reused"])
