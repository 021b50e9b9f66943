"""Recordings in chapters, and cameras of different and variable rates, from `import` to the result."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.analysis.footage import grab_frames
from mocap.analysis.overlay import write_overlay
from mocap.analysis.reprojection import project_world
from mocap.core.progress import NoProgress
from mocap.media.decode import frames
from mocap.media.encode import write_video
from mocap.media.probe import probe
from sessions.folder import open_session
from sessions.process import Processed, process_take

Mocap = Callable[..., tuple[int, dict[str, Any]]]
SIZE_PX = (320, 240)
NTSC_60 = Fraction(60000, 1001)


def code_of(result: tuple[int, dict[str, Any]]) -> str:
    status, data = result
    assert status == 1, data
    return data["error"]["code"]


def film(shoot: Any, camera: str, path: Path, times_s: np.ndarray) -> None:
    """Write beside a video what the stand-in model sees in it at its frames' times."""
    seen_px = project_world(shoot.rig[camera], shoot.performer.points(times_s))
    np.savez(
        path.with_suffix(".npz"), xy_px=seen_px[:, None].astype(np.float32), score=np.ones(seen_px.shape[:2])[:, None]
    )


def grey(levels: Sequence[int]) -> list[np.ndarray]:
    return [np.full((SIZE_PX[1], SIZE_PX[0], 3), level, np.uint8) for level in levels]


@pytest.fixture
def fresh(shoot: Any, stand_in: Any, mocap: Mocap, tmp_path: Path) -> Path:
    """A session with the rig and no take."""
    folder = tmp_path / "session"
    for arguments in (("init", folder), ("import", folder, "--rig", shoot.rig_file)):
        assert mocap(*arguments)[0] == 0
    return folder


@pytest.fixture
def chapters(shoot: Any, tmp_path: Path) -> Path:
    """A folder per camera, as copied from its card: a recording of 11, 7 and 5 frames at 59.94 Hz."""
    for c, camera in enumerate(shoot.rig.names):
        folder = tmp_path / "cards" / camera / "100GOPRO"
        first = 0
        for k, n in enumerate((11, 7, 5), 1):
            folder.mkdir(parents=True, exist_ok=True)
            # All cameras count their recordings alike, so only the folders tell them apart.
            levels = [40 * c + 4 * f for f in range(first, first + n)]
            write_video(folder / f"GX0{k}0031.MP4", grey(levels), NTSC_60, SIZE_PX)
            first += n
        film(shoot, camera, folder / "GX010031.MP4", np.arange(23) / float(NTSC_60))
    return tmp_path / "cards"


def run(session: Path) -> Processed:
    opened = open_session(session)
    return process_take(opened, opened.take("walk"), NoProgress())


def test_recordings_in_chapters_go_through_the_whole_run(fresh: Path, chapters: Path, shoot: Any, mocap: Mocap) -> None:
    status, data = mocap("import", fresh, "walk", *sorted(chapters.rglob("*.MP4")))
    assert status == 0, data
    assert {c: Path(p).parent.parent.name for c, p in data["take"]["cameras"].items()} == {
        c: c for c in shoot.rig.names
    }
    assert [v["n_frames"] for v in data["take"]["videos"]] == [23, 23, 23]
    done = run(fresh)
    assert done.solved.motion.timeline.fps == NTSC_60
    assert done.solved.motion.timeline.n_frames == 23
    np.testing.assert_allclose(done.solved.detections.time_s, np.arange(23)[None] / float(NTSC_60) + np.zeros((3, 1)))
    error_m = done.solved.keypoints.xyz_m - shoot.performer.points(done.solved.motion.timeline.time_s)
    assert np.median(np.linalg.norm(error_m, axis=-1)) < 0.01


def test_the_overlay_shows_the_frames_of_all_chapters(
    fresh: Path, chapters: Path, mocap: Mocap, tmp_path: Path
) -> None:
    assert mocap("import", fresh, "walk", *sorted(chapters.rglob("GX01*.MP4")))[0] == 0
    done = run(fresh)
    overlay = write_overlay(tmp_path / "overlay.mp4", done.solved, done.videos, pixel_maps=done.pixel_maps)
    shown = [float(np.median(f.rgb[20:120, 40:200])) for f in frames(overlay)]
    assert len(shown) == 23
    np.testing.assert_allclose(shown, 4 * np.arange(23), atol=6)


def test_another_second_chapter_is_looked_at_again(fresh: Path, chapters: Path, stand_in: Any, mocap: Mocap) -> None:
    assert mocap("import", fresh, "walk", *sorted(chapters.rglob("GX01*.MP4")))[0] == 0
    run(fresh)
    stand_in.RUNS.clear()
    run(fresh)
    assert stand_in.RUNS == []
    second = chapters / "cam2" / "100GOPRO" / "GX020031.MP4"
    write_video(second, grey([7] * 7), NTSC_60, SIZE_PX)
    done = run(fresh)
    assert {r.item for r in done.run.records if r.stage == "keypoints" and not r.reused} == {"cam2"}


def test_a_chapter_that_went_away_is_named(fresh: Path, chapters: Path, mocap: Mocap) -> None:
    assert mocap("import", fresh, "walk", *sorted(chapters.rglob("GX01*.MP4")))[0] == 0
    last = chapters / "cam3" / "100GOPRO" / "GX030031.MP4"
    last.unlink()
    status, data = mocap("run", fresh)
    assert status == 1
    assert data["error"]["code"] == "video-missing"
    assert str(last) in data["error"]["message"]
    _, data = mocap("status", fresh)
    assert len(data["takes"]["walk"]["chapters"]) == 3


def test_a_missing_middle_chapter_is_refused_at_import(fresh: Path, chapters: Path, mocap: Mocap) -> None:
    (chapters / "cam2" / "100GOPRO" / "GX020031.MP4").unlink()
    status, data = mocap("import", fresh, "walk", *sorted(chapters.rglob("*.MP4")))
    assert status == 1
    assert data["error"]["code"] == "chapter-missing"
    assert "chapter 2 is missing" in data["error"]["message"]
    assert open_session(fresh).take_names() == []


def test_cameras_of_mixed_and_variable_rates_keep_their_exact_times(
    fresh: Path, shoot: Any, write_clip: Callable[..., Path], mocap: Mocap, tmp_path: Path
) -> None:
    """59.94 Hz, 25 Hz, and a phone that changes from 30 to 24 Hz and drops frames."""
    phone = [3000 * k for k in range(20)] + [57000 + 3750 * k for k in range(1, 12) if k not in (4, 5)]
    units_s = {
        "cam1": np.arange(60) * 1001 / 60000,
        "cam2": np.arange(26) / 25,
        "cam3": np.array(phone) / 90000,
    }
    rates = {"cam1": NTSC_60, "cam2": Fraction(25), "cam3": Fraction(30)}
    for c, (camera, times_s) in enumerate(units_s.items()):
        path = tmp_path / f"{camera}.mp4"
        levels = [40 * c + 2 * f for f in range(len(times_s))]
        write_clip(path, levels, rates[camera], times=phone if camera == "cam3" else None, size_px=SIZE_PX)
        film(shoot, camera, path, times_s)
        np.testing.assert_allclose(probe(path).time_s, times_s, atol=1e-9)
    assert mocap("import", fresh, "walk", *sorted(tmp_path.glob("cam*.mp4")))[0] == 0
    done = run(fresh)
    for c, times_s in enumerate(units_s.values()):
        np.testing.assert_allclose(done.solved.detections.time_s[c][: len(times_s)], times_s, atol=1e-9)
    assert done.solved.motion.timeline.fps == NTSC_60
    error_m = done.solved.keypoints.xyz_m - shoot.performer.points(done.solved.motion.timeline.time_s)
    assert np.median(np.linalg.norm(error_m, axis=-1)) < 0.01
    assert "video-variable-rate" in {d.code for d in done.diagnostics}
    status, data = mocap("export", f"{fresh}/walk", "--to", "bvh", "--out", tmp_path / "out")
    assert status == 0, data
    bvh = Path(data["files"][0]["path"]).read_text()
    frame_time = float(bvh.split("Frame Time:")[1].split()[0])
    assert frame_time == pytest.approx(1001 / 60000, abs=1e-9)


def test_a_turned_phone_goes_through_the_whole_run_upright(
    fresh: Path, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    """The sensor's picture is 240 x 320, red on its left; the file asks for a quarter turn clockwise."""
    stored = np.full((320, 240, 3), 90, np.uint8)
    stored[:, :120] = (255, 0, 0)
    phone = write_video(tmp_path / "cam2.mp4", [stored] * 23, Fraction(30), (240, 320))
    data = bytearray(phone.read_bytes())
    at = data.index(b"tkhd") + 44  # ISO/IEC 14496-12, section 8.3.2, version 0: the matrix's place in the box
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 320 << 16, 0, 1 << 30)
    phone.write_bytes(data)
    film(shoot, "cam2", phone, np.arange(23) / 30)
    assert mocap("import", fresh, "walk", shoot.videos[0], phone, shoot.videos[2])[0] == 0
    done = run(fresh)
    info = done.run["footage"]["cam2"]
    assert (info.rotation_deg, info.size_px) == (90, SIZE_PX)
    picture = grab_frames(phone, [11])[11]
    assert picture.shape == (240, 320, 3)
    assert picture[:100, :, 0].min() > 200
    assert picture[140:, :, 0].max() < 150
    error_m = done.solved.keypoints.xyz_m - shoot.performer.points(done.solved.motion.timeline.time_s)
    assert np.median(np.linalg.norm(error_m, axis=-1)) < 0.03


def test_a_camera_of_the_rig_without_a_video_is_said_and_the_others_are_used(
    fresh: Path, shoot: Any, mocap: Mocap, tmp_path: Path
) -> None:
    for c, camera in enumerate(shoot.rig.names):
        path = write_video(tmp_path / f"{camera}.mp4", grey([40 * c + f for f in range(30)]), Fraction(30), SIZE_PX)
        film(shoot, camera, path, np.arange(30) / 30)
    first, left_out, last = shoot.rig.names
    status, data = mocap("import", fresh, "walk", tmp_path / f"{first}.mp4", tmp_path / f"{last}.mp4")
    assert status == 0
    assert any(left_out in note for note in data["take"]["notes"])
    done = run(fresh)
    assert done.solved.rig.names == (first, last)
    [finding] = [d for d in done.diagnostics if d.code == "cameras-without-video"]
    assert finding.data["cameras"] == [left_out]
    assert set(done.videos) == {first, last}


def test_clips_of_different_moments_are_said_not_to_fit(
    fresh: Path, shoot: Any, write_clip: Callable[..., Path], mocap: Mocap, tmp_path: Path
) -> None:
    for c, camera in enumerate(shoot.rig.names):
        path = write_clip(tmp_path / f"{camera}.mp4", [40 * c + f for f in range(60)], Fraction(30), size_px=SIZE_PX)
        film(shoot, camera, path, 20.0 * c + 0.37 * c + np.arange(60) / 30)
    assert mocap("import", fresh, "walk", *sorted(tmp_path.glob("cam*.mp4")))[0] == 0
    status, data = mocap("run", fresh)
    # This performer hardly moves, so that the views fit at any instant: no failure, but said.
    assert status == 0, data
    found = {d["code"]: d["message"] for d in data["takes"]["walk"]["diagnostics"]}
    assert "cam1, cam2, cam3" in found["times-assumed"]
    assert "may not overlap in time" in found["times-assumed"]
    assert "taken as one instant" in found["times-assumed"]
    assert data["takes"]["walk"]["frames"] == 60
