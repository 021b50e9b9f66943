"""What a person reads when recordings do not fit together, and that nothing of the others is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.cli.main import main

RATE_HZ = 48000
OFFSET_S = 0.437
"""Camera b starts so much after a."""
Mocap = Callable[..., tuple[int, Any]]


@pytest.fixture
def mocap(capfd: pytest.CaptureFixture[str]) -> Mocap:
    """Return a function that runs a command line with --json and returns status and result."""

    def run(*arguments: object) -> tuple[int, Any]:
        status = main([*map(str, arguments), "--json"])
        return status, json.loads(capfd.readouterr().out)

    return run


def room(seed: int = 5) -> np.ndarray:
    """Return 8 s of what is heard in a room: murmur, and three claps within the first five seconds."""
    rng = np.random.default_rng(seed)
    sound = 0.004 * rng.standard_normal(8 * RATE_HZ)
    decay = np.exp(-np.arange(2400) / 300)
    for at_s in rng.uniform(0.6, 5.0, 3):
        at = round(at_s * RATE_HZ)
        sound[at : at + 2400] += 0.5 * decay * rng.standard_normal(2400)
    return sound


@pytest.fixture
def clip(write_clip: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a clip as long as its sound, or of 8 s without one."""

    def write(name: str, sound: np.ndarray | None) -> Path:
        n = 240 if sound is None else round(len(sound) / RATE_HZ * 30)
        return write_clip(
            tmp_path / f"{name}.mov", [len(name) + ord(name[-1]) + k % 100 for k in range(n)], Fraction(30), sound
        )

    return write


@pytest.fixture
def pair(clip: Callable[..., Path]) -> list[Path]:
    """Two cameras in one room, the second started OFFSET_S later."""
    sound = room()
    return [clip("a", sound), clip("b", sound[round(OFFSET_S * RATE_HZ) :])]


def synchronised(mocap: Mocap, videos: list[Path]) -> tuple[int, Any]:
    return mocap("sync", *videos, "--methods", "audio", "--out", videos[0].parent / "sync.json")


def said(data: Any, code: str) -> str:
    return next(d["message"] for d in data["diagnostics"] if d["code"] == code)


def check_pair(data: Any) -> None:
    """The two good cameras keep what they have in common."""
    assert data["cameras"]["b"]["offset_s"] == pytest.approx(OFFSET_S, abs=0.0005)


def test_a_camera_without_sound_is_named_and_the_others_are_synchronised(
    pair: list[Path], clip: Callable[..., Path], mocap: Mocap
) -> None:
    status, data = synchronised(mocap, [*pair, clip("mute", None)])
    assert status == 3
    check_pair(data)
    assert "mute" in said(data, "audio-missing")
    assert "mute" in said(data, "sync-camera-untied")


def test_a_silent_camera_is_named_and_the_others_are_synchronised(
    pair: list[Path], clip: Callable[..., Path], mocap: Mocap
) -> None:
    status, data = synchronised(mocap, [*pair, clip("hush", np.zeros(5 * RATE_HZ))])
    assert status == 3
    check_pair(data)
    assert "hush" in said(data, "audio-silent")
    assert "hush" in said(data, "sync-camera-untied")


def test_clipped_sound_is_said_and_still_used(pair: list[Path], clip: Callable[..., Path], mocap: Mocap) -> None:
    _, data = synchronised(mocap, [*pair, clip("loud", 40 * room()[round(0.2 * RATE_HZ) :])])
    check_pair(data)
    assert "loud" in said(data, "audio-clipped")
    assert data["cameras"]["loud"]["offset_s"] == pytest.approx(0.2, abs=0.001)


def test_a_camera_that_starts_after_the_action_is_named(
    pair: list[Path], clip: Callable[..., Path], mocap: Mocap
) -> None:
    late = 0.004 * np.random.default_rng(9).standard_normal(4 * RATE_HZ)
    status, data = synchronised(mocap, [*pair, clip("late", late)])
    assert status == 3
    check_pair(data)
    assert "late" not in data["cameras"]
    message = said(data, "sync-camera-untied")
    assert "late" in message
    assert "clap" in message


def test_clips_of_different_moments_are_an_error_that_says_what_was_tried(
    clip: Callable[..., Path], mocap: Mocap, tmp_path: Path
) -> None:
    status, data = synchronised(mocap, [clip("a", room(1)), clip("b", room(2))])
    assert status == 1
    assert data["error"]["code"] == "sync-no-evidence"
    assert "a, b" in data["error"]["message"]
    assert "sound" in data["error"]["message"]
    assert not (tmp_path / "sync.json").exists()


def test_no_sound_at_all_is_an_error_that_says_so(clip: Callable[..., Path], mocap: Mocap) -> None:
    status, data = synchronised(mocap, [clip("a", None), clip("b", None)])
    assert status == 1
    assert data["error"]["code"] == "sync-no-evidence"
    assert "no sound" in data["error"]["message"]


def test_a_file_that_changes_its_rate_is_said_and_its_sound_stays_in_place(
    pair: list[Path], write_clip: Callable[..., Path], mocap: Mocap, tmp_path: Path
) -> None:
    times = [3000 * k for k in range(60)] + [180000 + 3750 * k for k in range(100)]
    sound = room()[round(0.3 * RATE_HZ) : round(6 * RATE_HZ)]
    phone = write_clip(tmp_path / "phone.mov", [60] * 160, Fraction(30), sound, times)
    _, data = synchronised(mocap, [*pair, phone])
    check_pair(data)
    assert "30.00 Hz from 0.00 s, then 24.00 Hz from 2.00 s" in said(data, "video-rate-changes")
    assert data["cameras"]["phone"]["offset_s"] == pytest.approx(0.3, abs=0.001)


def test_a_missing_middle_chapter_is_an_error_that_names_it(
    pair: list[Path], write_clip: Callable[..., Path], mocap: Mocap, tmp_path: Path
) -> None:
    chapters = [write_clip(tmp_path / f"GX0{k}0008.mov", [60] * 30, Fraction(30), None) for k in (1, 3)]
    for verb in (("sync", *pair, *chapters, "--out", tmp_path / "sync.json"), ("probe", *chapters)):
        status, data = mocap(*verb)
        assert status == 1
        assert data["error"]["code"] == "chapter-missing"
        assert "recording 0008" in data["error"]["message"]
        assert "chapter 2 is missing" in data["error"]["message"]
    assert not (tmp_path / "sync.json").exists()


def test_chapters_given_together_are_one_camera(
    pair: list[Path], write_clip: Callable[..., Path], mocap: Mocap, tmp_path: Path
) -> None:
    sound = room()[round(0.25 * RATE_HZ) :]
    half = 3 * RATE_HZ
    write_clip(tmp_path / "GX010008.mov", [60] * 90, Fraction(30), sound[:half])
    write_clip(tmp_path / "GX020008.mov", [60] * 90, Fraction(30), sound[half : 2 * half])
    _, data = synchronised(mocap, [*pair, tmp_path / "GX010008.mov", tmp_path / "GX020008.mov"])
    assert set(data["cameras"]) == {"a", "b", "GX010008"}
    assert data["cameras"]["GX010008"]["offset_s"] == pytest.approx(0.25, abs=0.001)


def test_two_recordings_of_one_camera_are_no_take(shared: Callable[[str], Path], mocap: Mocap, tmp_path: Path) -> None:
    real = shared("data/gopro") / "gpmf-parser"
    for name, source in (("left", "hero7.mp4"), ("right", "hero7.mp4"), ("third", "karma.mp4")):
        file = tmp_path / name / "DCIM" / "100GOPRO" / "GH010001.MP4"
        file.parent.mkdir(parents=True)
        # An empty box at the end makes the copies different files (ISO/IEC 14496-12, section 8.1.2).
        file.write_bytes((real / source).read_bytes() + (b"\0\0\0\x08free" if name == "right" else b""))
    session = tmp_path / "shoot"
    assert mocap("init", session)[0] == 0
    status, data = mocap("import", session, "walk", *sorted(tmp_path.glob("*/DCIM/*/*.MP4")))
    assert status == 1
    assert data["error"]["code"] == "camera-films-twice"
    assert "C3281324500963" in data["error"]["message"]
    status, data = mocap("import", session, "walk", *sorted(tmp_path.glob("[lt]*/DCIM/*/*.MP4")))
    assert status == 0, data
    assert set(data["take"]["cameras"]) == {"left", "third"}
