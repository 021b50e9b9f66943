"""A session from `init` to `export`, on footage with known truth."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.files import write_rig
from mocap.cli import main as cli
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.progress import NoProgress
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from sessions import footage_stages, process
from sessions.edits import append_edit
from sessions.folder import open_session
from sessions.runner import Stage
from sessions.stages import FROM_FOOTAGE

Mocap = Callable[..., tuple[int, dict[str, Any]]]
SOLVE_STAGES = ["edits", "cameras", "points", "gain", "solve", "bias"]


def code_of(result: tuple[int, dict[str, Any]]) -> str:
    status, data = result
    assert status == 1, data
    return data["error"]["code"]


def npz(folder: Path, name: str = "subject_0.npz") -> dict[str, np.ndarray]:
    with np.load(folder / name) as arrays:
        return dict(arrays)


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    kinds = {name: np.issubdtype(v.dtype, np.floating) for name, v in a.items()}
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n], equal_nan=kinds[n]) for n in a)


def test_a_session_runs_from_init_to_export(session: Path, shoot: Any, mocap: Mocap) -> None:
    status, data = mocap("run", session)
    assert status == 0, data
    report = data["takes"]["wave"]
    assert report["frames"] == 23
    assert report["reused"] == []
    status, data = mocap("export", f"{session}/wave", "--to", "npz,bvh,trc")
    assert status == 0
    assert len(data["files"]) == 3
    arrays = npz(session / "takes" / "wave" / "exports")
    error_m = np.linalg.norm(arrays["xyz_m"] - shoot.performer.points(arrays["time_s"]), axis=-1)
    assert np.median(error_m) < 0.03
    assert (session / "takes" / "wave" / "report.html").stat().st_size > 10_000
    assert json.loads((session / "takes" / "wave" / "report.json").read_text())["frames"] == 23


def test_each_camera_is_looked_at_twice_and_a_second_run_looks_at_none(
    session: Path, stand_in: Any, mocap: Mocap
) -> None:
    mocap("run", session)
    assert sorted(stand_in.RUNS) == [(f"cam{c}", again) for c in (1, 2, 3) for again in (False, True)]
    stand_in.RUNS.clear()
    _, data = mocap("run", session)
    assert stand_in.RUNS == []
    assert set(data["takes"]["wave"]["reused"]) == {s.name for s in FROM_FOOTAGE}


def test_a_correction_recomputes_only_what_follows_it(session: Path, stand_in: Any, mocap: Mocap) -> None:
    mocap("run", session)
    take = open_session(session).take("wave")
    append_edit(take.edits_file, "mask", camera="cam1", start_frame=3, end_frame=8, keypoints=[])
    stand_in.RUNS.clear()
    _, status = mocap("status", session)
    assert [n for n, s in status["takes"]["wave"]["stages"].items() if s != "done"] == SOLVE_STAGES
    _, data = mocap("run", session)
    assert stand_in.RUNS == []
    assert {s.name for s in FROM_FOOTAGE} - set(data["takes"]["wave"]["reused"]) == set(SOLVE_STAGES)


def test_a_setting_is_kept_and_from_computes_again(session: Path, mocap: Mocap) -> None:
    assert mocap("run", session, "wave", "--set", "refine_rig=no")[0] == 0
    _, data = mocap("run", session, "wave", "--from", "points")
    assert {s.name for s in FROM_FOOTAGE} - set(data["takes"]["wave"]["reused"]) == {"points", "gain", "solve", "bias"}
    _, status = mocap("status", session)
    assert status["takes"]["wave"]["config"] == {"refine_rig": False}
    assert status["takes"]["wave"]["is_up_to_date"]
    assert code_of(mocap("run", session, "--from", "magic")) == "unknown-stage"
    assert code_of(mocap("run", session, "--set", "magic=1")) == "setting-unknown"
    assert code_of(mocap("run", session, "--set", "quality=superb")) == "setting-invalid"


def test_explain_says_what_a_stage_was_made_from(session: Path, mocap: Mocap) -> None:
    mocap("run", session)
    _, data = mocap("explain", f"{session}/wave:recrop")
    (stage,) = data["stages"]
    assert stage["state"] == "done"
    assert stage["config"] == {"model": "auto", "quality": "standard", "recrop": True}
    assert "sha256" in stage["identity"]
    assert len(stage["artifacts"]) == 3
    assert all((session / "takes" / "wave" / place / "meta.json").is_file() for place in stage["artifacts"])
    _, everything = mocap("explain", f"{session}/wave")
    assert [s["stage"] for s in everything["stages"]] == [s.name for s in FROM_FOOTAGE]
    assert code_of(mocap("explain", f"{session}/wave:magic")) == "unknown-stage"


def test_explain_says_that_its_seconds_are_added_up_over_cameras(
    session: Path, mocap: Mocap, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_SLEEP_S", "0.02")
    monkeypatch.setattr("sessions.process.threads_for", lambda n_cameras: n_cameras)
    _, ran = mocap("run", session)
    _, data = mocap("explain", f"{session}/wave")
    stages = {s["stage"]: s for s in data["stages"]}
    assert stages["keypoints"]["items"] == 3
    assert stages["points"]["items"] is None
    # Three cameras at once: they pass together, and are made one by one.
    assert stages["keypoints"]["seconds"] > 1.5 * ran["takes"]["wave"]["seconds"]["keypoints"]
    assert cli.main(["explain", f"{session}/wave"]) == 0
    said = dict(line.split(" (", 1) for line in capfd.readouterr().out.splitlines() if line[:1] != " ")
    assert said["keypoints"].endswith(" s added up over 3 cameras")
    assert said["points"].endswith(" s")


def test_status_of_a_fresh_take_says_what_is_to_do(session: Path, mocap: Mocap) -> None:
    _, data = mocap("status", session)
    assert set(data["takes"]["wave"]["stages"].values()) == {"to do"}
    assert not data["takes"]["wave"]["is_up_to_date"]


def test_a_video_that_went_away_is_named_and_the_other_takes_are_shown(
    session: Path, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    copies = [Path(shutil.copy(v, tmp_path / v.name)) for v in shoot.videos]
    assert mocap("import", session, "gone", *copies)[0] == 0
    copies[1].unlink()
    _, data = mocap("status", session)
    assert data["takes"]["gone"]["error"]["code"] == "video-missing"
    assert "stages" in data["takes"]["wave"]
    assert code_of(mocap("run", session, "gone")) == "video-missing"


def test_another_rig_keeps_the_one_before_and_says_so(session: Path, shoot: Any, mocap: Mocap, tmp_path: Path) -> None:
    other, third = tmp_path / "other.toml", tmp_path / "third.toml"
    other.write_text(shoot.rig_file.read_text().replace("cam3", "cam4"))
    third.write_text(shoot.rig_file.read_text().replace("cam3", "cam5"))
    _, same = mocap("import", session, "--rig", shoot.rig_file)
    assert (same["rig"]["kept"], same["rig"]["notes"]) == (None, [])
    assert not list(session.glob("rig.before*"))
    for n, file in enumerate([other, third], 1):
        before = (session / "rig.toml").read_bytes()
        kept = session / f"rig.before-{n}.toml"
        status, data = mocap("import", session, "--rig", file)
        assert (status, data["rig"]["kept"]) == (0, str(kept))
        assert f"kept as {kept.name}" in data["rig"]["notes"][-1]
        assert kept.read_bytes() == before


def test_the_rig_that_was_replaced_is_named_to_who_reads(
    session: Path, shoot: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(shoot.rig_file.read_text().replace("cam3", "cam4"))
    assert cli.main(["import", str(session), "--rig", str(other)]) == 0
    assert "The rig that was there is kept as rig.before-1.toml" in capfd.readouterr().out


def test_what_was_found_about_the_rig_is_said_at_import_and_in_every_report(
    session: Path, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    # The world of this copy has Y up (world' = x, z, -y), and its file tells what was found when it was made.
    lying = quat_to_matrix(quat_exp(np.array([-np.pi / 2, 0.0, 0.0])))
    cameras = [c.with_extrinsics(c.R_cam_from_world @ lying.T, c.t_cam_from_world_m) for c in shoot.rig.cameras]
    left_out = Diagnostic("rig-camera-ignored", Severity.INFO, "camera 9 is left out", {"cameras": ["9"]})
    write_rig(tmp_path / "lying.toml", CameraRig(tuple(cameras)), [left_out])
    _, imported = mocap("import", session, "--rig", tmp_path / "lying.toml")
    assert imported["rig"]["notes"][0] == left_out.message
    assert "along world +Y" in imported["rig"]["notes"][1]
    _, data = mocap("run", session, "wave")
    codes = [d["code"] for d in data["takes"]["wave"]["diagnostics"]]
    assert codes[:2] == ["rig-camera-ignored", "rig-not-z-up"]


@pytest.mark.parametrize(
    ("chosen", "code"),
    [([0, 1], "camera-count-mismatch"), ([0, 1, 1], "video-twice"), ([], "usage")],
    ids=["one-missing-and-no-names", "one-twice", "none"],
)
def test_videos_that_are_not_the_rigs_cameras_are_refused(
    chosen: list[int], code: str, session: Path, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    (tmp_path / "again").mkdir()
    videos = [shoot.videos[c] for c in chosen]
    if chosen == [0, 1, 1]:
        videos[2] = Path(shutil.copy(videos[1], tmp_path / "again" / videos[1].name))
    if chosen == [0, 1]:
        videos = [Path(shutil.copy(v, tmp_path / f"{name}.mp4")) for v, name in zip(videos, "ab", strict=True)]
    status, data = mocap("import", session, "walk", *videos)
    assert status == (2 if code == "usage" else 1)
    assert data["error"]["code"] == code
    assert open_session(session).take_names() == ["wave"]


def test_videos_with_other_names_than_the_rigs_cameras_are_refused(
    session: Path, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    names = ["cam1.mp4", "cam2.mp4", "kitchen.mp4"]
    videos = [Path(shutil.copy(v, tmp_path / n)) for v, n in zip(shoot.videos, names, strict=True)]
    assert code_of(mocap("import", session, "walk", *videos)) == "cameras-unmatched"


def test_footage_of_another_shape_than_the_calibration_is_refused(
    session: Path, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    rig = tmp_path / "wide.toml"
    rig.write_text(shoot.rig_file.read_text().replace("240", "100"))
    assert mocap("import", session, "--rig", rig)[0] == 0
    assert code_of(mocap("run", session)) in {"size-mismatch", "rig-value-invalid"}


def test_a_file_that_is_not_a_video_is_refused_and_no_take_is_made(
    session: Path, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    text = tmp_path / "cam3.mp4"
    text.write_text("not a video")
    assert code_of(mocap("import", session, "walk", *shoot.videos[:2], text)) == "not-a-video"
    assert open_session(session).take_names() == ["wave"]


def test_a_session_without_a_rig_says_how_to_add_one(shoot: Any, mocap: Mocap, tmp_path: Path) -> None:
    mocap("init", tmp_path / "s")
    assert code_of(mocap("run", tmp_path / "s")) == "session-empty"
    assert mocap("import", tmp_path / "s", "walk", *shoot.videos)[0] == 0
    assert code_of(mocap("run", tmp_path / "s")) == "session-no-rig"


def test_without_blender_the_other_files_are_written_and_the_command_that_mends_it_is_named(
    session: Path, mocap: Mocap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporters.fbx.blender_command", lambda: None)
    status, data = mocap("export", f"{session}/wave", "--to", "fbx,bvh")
    assert status == 3
    assert [f["format"] for f in data["files"]] == ["bvh"]
    assert data["diagnostics"][0]["code"] == "blender-missing"
    assert "pip install" in data["diagnostics"][0]["message"]
    assert "earlier run" not in data["diagnostics"][0]["message"]


def test_without_blender_an_fbx_of_an_earlier_run_is_said_to_be_old(
    session: Path, mocap: Mocap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporters.fbx.blender_command", lambda: None)
    old = session / "takes" / "wave" / "exports" / "subject_0.fbx"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    _, data = mocap("export", f"{session}/wave", "--to", "fbx")
    assert "subject_0.fbx that is there is of an earlier run" in data["diagnostics"][0]["message"]
    assert old.read_text() == "old"


def test_an_unknown_format_or_rig_lists_the_known_ones(session: Path, mocap: Mocap) -> None:
    status, data = mocap("export", f"{session}/wave", "--to", "bvh,mp3")
    assert (status, data["error"]["code"]) == (1, "format-unknown")
    assert "glb" in data["error"]["advice"]
    status, data = mocap("export", f"{session}/wave", "--to", "bvh", "--rig", "robot")
    assert (status, data["error"]["code"]) == (1, "rig-unknown")
    assert "mixamo" in data["error"]["advice"]


def test_an_export_for_a_character_at_another_rate_goes_to_its_own_folder(session: Path, mocap: Mocap) -> None:
    status, data = mocap("export", f"{session}/wave", "--to", "bvh", "--rig", "mixamo", "--fps", "15")
    assert status == 0
    text = (session / "takes" / "wave" / "exports" / "mixamo" / "subject_0_15fps.bvh").read_text()
    assert "Frames: 12" in text
    assert data["files"][0]["max_error_mm"] <= 0.5


class Interrupting:
    """A stage that is interrupted by Ctrl-C in the middle of its work."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.once = threading.Lock()

    def __call__(self, inputs: Any, config: Any, progress: Any) -> Any:
        # One camera of several interrupts: a second interrupt would end the process at once, as it should.
        if self.once.acquire(blocking=False):
            signal.raise_signal(signal.SIGINT)
        progress.start("after the interrupt", 1)
        return self.stage.run(inputs, config, progress)


@pytest.mark.parametrize("name", [s.name for s in FROM_FOOTAGE])
def test_ctrl_c_at_any_stage_leaves_whole_artifacts_and_the_next_run_goes_on(
    name: str, session: Path, mocap: Mocap, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tuple(replace(s, run=Interrupting(s)) if s.name == name else s for s in FROM_FOOTAGE)
    monkeypatch.setattr(process, "FROM_FOOTAGE", table)
    status, data = mocap("run", session)
    assert (status, data["error"]["code"]) == (130, "cancelled")
    store = open_session(session).take("wave").store
    kept = list(store.folder.glob("*/*")) if store.folder.exists() else []
    assert all(store.load(p.parent.name, p.name) is not None for p in kept)
    assert not list(store.folder.glob(".part*"))
    monkeypatch.setattr(process, "FROM_FOOTAGE", FROM_FOOTAGE)
    status, data = mocap("run", session)
    assert status == 0
    before = [s.name for s in FROM_FOOTAGE[: [s.name for s in FROM_FOOTAGE].index(name)]]
    assert set(before) <= set(data["takes"]["wave"]["reused"])


def in_process(shoot: Any, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    code = "import sys, stand_in; from mocap.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(shoot.folder), **environment},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals: not on Windows")
def test_a_run_killed_in_the_middle_goes_on_to_the_same_result(
    session: Path, shoot: Any, stand_in: Any, mocap: Mocap, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    shutil.copytree(session, fresh)
    killed = in_process(shoot, "run", session, STAND_IN_DIES_AT="cam3")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert mocap("run", session)[0] == 0
    assert mocap("run", fresh)[0] == 0
    for folder in (session, fresh):
        assert mocap("export", f"{folder}/wave", "--to", "npz")[0] == 0
    results = [npz(folder / "takes" / "wave" / "exports") for folder in (session, fresh)]
    assert same(*results)


def test_two_processes_at_once_on_one_take_do_not_disturb_each_other(session: Path, shoot: Any, mocap: Mocap) -> None:
    both = [in_process(shoot, "run", session, "--json", STAND_IN_SLEEP_S="0.08") for _ in range(2)]
    outputs = [json.loads(p.communicate(timeout=60)[0]) for p in both]
    assert sorted(p.returncode for p in both) == [0, 1], outputs
    refused = next(o for o in outputs if "error" in o)
    assert refused["error"]["code"] == "take-busy"
    assert "process" in refused["error"]["message"]
    status, data = mocap("run", session)
    assert status == 0
    assert set(data["takes"]["wave"]["reused"]) == {s.name for s in FROM_FOOTAGE}


def test_the_text_for_people_names_quality_and_the_next_step(session: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(session)]) == 0
    out = capfd.readouterr().out
    assert "reprojection" in out
    assert "report.html" in out
    assert "mocap export" in out


def test_a_session_and_its_videos_that_moved_are_still_up_to_date(
    session: Path, stand_in: Any, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    assert mocap("run", session)[0] == 0
    n_runs = len(stand_in.RUNS)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for video in shoot.videos:
        shutil.copy2(video, moved)
    take = session / "takes" / "wave" / "take.toml"
    take.write_text(take.read_text().replace(str(shoot.folder), str(moved)))
    session.rename(tmp_path / "renamed")
    status, data = mocap("run", tmp_path / "renamed")
    assert status == 0
    assert {"keypoints", "solve"} <= set(data["takes"]["wave"]["reused"])
    assert len(stand_in.RUNS) == n_runs


def test_stages_computed_after_a_move_read_the_videos_where_they_are_now(tmp_path: Path, shoot: Any) -> None:
    here = tmp_path / "here.mp4"
    shutil.copy2(shoot.videos[0], here)
    known = footage_stages.probe_video({"videos": shoot.videos[0]}, {}, NoProgress())
    assert footage_stages.footage_here({"videos": here, "footage": known}).path == here
