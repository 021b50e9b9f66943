"""The report page."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from mocap.analysis.report import write_report
from mocap.analysis.report_data import chart_data, motion_data
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import SetupError
from mocap.core.keypoints import Points3D, Source

NASTY = 'take </script><script>alert("1")</script> & {{data}} é'


def _data(path: Path) -> dict:
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"), re.S)
    assert text
    return json.loads(text[1])


def _unpacked(track: dict, unit_m: float, centre_m: list[float]) -> np.ndarray:
    """Undo the packing as the page does."""
    low, high = (
        np.frombuffer(zlib.decompress(base64.b64decode(track["data"])), np.uint8).reshape(2, -1).astype(np.uint16)
    )
    change = (low | (high << 8)).view(np.int16).reshape(track["shape"])
    units = np.cumsum(change, axis=0, dtype=np.int16)
    return np.where(units == -32768, np.nan, units * unit_m + np.array(centre_m))


def test_a_report_is_one_page_that_asks_for_nothing_else(take, tmp_path):
    text = write_report(tmp_path / "report.html", take, title="walk").read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert not list(tmp_path.glob(".*"))


def test_strings_of_the_user_never_become_markup(take, tmp_path):
    diagnostics = [Diagnostic("odd-name", Severity.WARNING, NASTY, {"name": NASTY})]
    path = write_report(
        tmp_path / "report.html", take, title=NASTY, notice=NASTY, diagnostics=diagnostics,
        stage_seconds={NASTY: 1.0}, refine={NASTY: {"before": float("nan")}}, exports=[(NASTY, NASTY)],
    )  # fmt: skip
    text = path.read_text("utf-8")
    assert "<script>alert" not in text
    assert text.count("</script>") == 3
    data = _data(path)
    assert data["title"] == data["notice"] == data["diagnostics"][0]["message"] == NASTY
    assert data["refine"][NASTY] == {"before": None}


def test_positions_survive_packing_to_half_a_millimetre(take):
    k = take.keypoints
    xyz, source = np.array(k.xyz_m), np.array(k.source)
    xyz[2:4, 5], source[2:4, 5] = np.nan, Source.MISSING
    points = Points3D(k.keypoint_set, k.time_s, xyz, k.sigma_m, source)
    from dataclasses import replace

    data = motion_data(replace(take, keypoints=points))
    got = _unpacked(data["tracks"]["keypoints"], data["unit_m"], data["centre_m"])
    assert np.array_equal(np.isnan(got), np.isnan(xyz))
    assert np.nanmax(np.abs(got - xyz)) <= 0.00051


def test_long_takes_are_thinned_out_to_the_budget(new_take):
    data = motion_data(new_take(n_frames=599, n_cameras=2, noise_m=0.01), budget_bytes=60_000)
    assert data["step"] > 1
    assert sum(len(t["data"]) for t in data["tracks"].values()) <= 60_000
    assert data["tracks"]["joints"]["shape"][0] == -(-599 // data["step"])


def test_a_filled_frame_is_seen_in_the_timeline_of_a_long_take(new_take):
    from dataclasses import replace

    from mocap.analysis.quality import measure_quality

    take = new_take(n_frames=1499, n_cameras=2)
    k, source = take.keypoints, np.array(take.keypoints.source)
    source[1000, 10] = Source.INTERPOLATED
    take = replace(take, keypoints=Points3D(k.keypoint_set, k.time_s, k.xyz_m, k.sigma_m, source))
    data = chart_data(take, measure_quality(take))
    strip = np.frombuffer(zlib.decompress(base64.b64decode(data["sources"]["data"])), np.uint8).reshape(26, -1)
    assert data["is_binned"]
    assert (strip == Source.INTERPOLATED).sum() == 1
    assert strip[10, 1000 * 720 // 1499] == Source.INTERPOLATED


def test_the_chart_is_labelled_from_the_first_instant_to_the_last(new_take):
    from mocap.analysis.quality import measure_quality

    take = new_take(n_frames=7, start_s=0.0)
    data = chart_data(take, measure_quality(take))
    assert (data["first_s"], data["last_s"]) == (0.0, pytest.approx(6 * 1001 / 60000))
    assert data["from_s"] < data["first_s"] < data["last_s"] < data["to_s"]


def test_worst_moments_carry_pictures_of_the_footage(new_take, footage, tmp_path):
    take = new_take(n_frames=53, n_cameras=3, noise_px=5.0)
    path = write_report(tmp_path / "report.html", take, title="walk", videos=footage(take))
    moments = _data(path)["moments"]
    assert len(moments) >= 3
    assert all(m["picture"].startswith("data:image/jpeg;base64,") for m in moments)


def test_a_report_without_footage_has_no_pictures(take, tmp_path):
    assert all(m["picture"] == "" for m in _data(write_report(tmp_path / "r.html", take, title="walk"))["moments"])


def test_a_report_that_cannot_be_written_keeps_the_old_one(take, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SetupError) as caught:
        write_report(tmp_path / "file" / "report.html", take, title="walk")
    assert caught.value.code == "output-not-writable"
    assert (tmp_path / "file").read_text() == "in the way"


def test_the_page_runs_in_a_browser_without_errors(new_take, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine to open the page in")
    path = write_report(tmp_path / "report.html", new_take(n_frames=31, noise_px=3.0), title=NASTY)
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert 'data-ready="yes"' in done.stdout
    assert "CONSOLE" not in done.stderr
    assert '&lt;script&gt;alert("1")' in done.stdout
    assert done.stdout.count('class="moment"') >= 3
