"""Recordings that the camera split into files: found, ordered, joined, and refused where they have holes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.media.chapters import chapter_name, chapters_of, group_chapters
from mocap.media.decode import frames
from mocap.media.encode import write_video
from mocap.media.probe import probe, probe_recording
from mocap.media.seek import FrameReader

LENGTHS = (5, 7, 3)
FPS = Fraction(60000, 1001)


def write(path: Path, first: int, n: int, size: tuple[int, int] = (64, 48), fps: Fraction = FPS) -> Path:
    pictures = (np.full((size[1], size[0], 3), 15 * (first + k), np.uint8) for k in range(n))
    return write_video(path, pictures, fps, size)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A folder with three chapters of recording 0123 of 5, 7 and 3 frames, and another recording."""
    first = 0
    for k, n in enumerate(LENGTHS, 1):
        write(tmp_path / f"GX{k:02d}0123.MP4", first, n)
        first += n
    write(tmp_path / "GX010124.MP4", 0, 4)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "number", "chapter"),
    [
        ("GX010123.MP4", "0123", 1),
        ("GH120007.mp4", "0007", 12),
        ("GOPR4567.MP4", "4567", 1),
        ("GP014567.MP4", "4567", 2),
        ("GP104567.MP4", "4567", 11),
        ("left_GX020123.MP4", "0123", 2),
    ],
)
def test_both_naming_schemes_are_known(name: str, number: str, chapter: int) -> None:
    found = chapter_name(name)
    assert found is not None
    assert (found.number, found.chapter) == (number, chapter)


@pytest.mark.parametrize("name", ["cam01.mp4", "GX0123.MP4", "XGX010123.MP4", "GX0101234.MP4", "GX000123.MP4"])
def test_other_names_are_no_chapters(name: str) -> None:
    assert chapter_name(name) is None


def test_chapters_are_found_beside_the_first(card: Path) -> None:
    assert [p.name for p in chapters_of(card / "GX010123.MP4")] == [f"GX0{k}0123.MP4" for k in (1, 2, 3)]
    assert chapters_of(card / "GX010124.MP4") == (card / "GX010124.MP4",)


def test_the_old_scheme_is_joined_too(tmp_path: Path) -> None:
    for k, name in enumerate(("GOPR0042.MP4", "GP010042.MP4", "GP020042.MP4")):
        write(tmp_path / name, k, 2)
    info = probe(tmp_path / "GOPR0042.MP4")
    assert info.n_frames == 6
    assert [c.path.name for c in info.chapters] == ["GOPR0042.MP4", "GP010042.MP4", "GP020042.MP4"]


def test_a_recording_goes_on_from_chapter_to_chapter_without_a_gap(card: Path) -> None:
    info = probe(card / "GX010123.MP4")
    assert (info.n_frames, info.fps, info.is_variable_rate) == (15, FPS, False)
    assert [c.n_frames for c in info.chapters] == list(LENGTHS)
    np.testing.assert_allclose(info.time_s, np.arange(15) / float(FPS), atol=1e-6)
    assert info.diagnostics == ()


def test_frames_of_all_chapters_come_in_order(card: Path) -> None:
    info = probe(card / "GX010123.MP4")
    found = list(frames(info.path, info))
    assert [f.index for f in found] == list(range(15))
    np.testing.assert_allclose([f.rgb.mean() for f in found], 15 * np.arange(15), atol=3)


def test_any_frame_of_any_chapter_can_be_read(card: Path) -> None:
    with FrameReader(card / "GX010123.MP4") as reader:
        for index in (14, 0, 6, 5, 4, 12):
            rgb = reader.read(index)
            assert rgb is not None
            assert rgb.mean() == pytest.approx(15 * index, abs=3)


def test_a_missing_middle_chapter_is_an_error_that_names_it(card: Path) -> None:
    (card / "GX020123.MP4").unlink()
    with pytest.raises(InputError) as caught:
        probe(card / "GX010123.MP4")
    assert caught.value.code == "chapter-missing"
    assert "chapter 2 is missing" in caught.value.message


def test_a_missing_first_chapter_is_an_error(card: Path) -> None:
    with pytest.raises(InputError) as caught:
        group_chapters([card / "GX020123.MP4", card / "GX030123.MP4"])
    assert caught.value.code == "chapter-missing"


def test_given_files_are_grouped_in_the_order_of_their_first_mention() -> None:
    groups = group_chapters(["b/GX020001.MP4", "a/GX010001.MP4", "b/GX010001.MP4", "cam.mp4"])
    assert [[str(p) for p in g] for g in groups] == [
        [str(Path("b/GX010001.MP4")), str(Path("b/GX020001.MP4"))],
        [str(Path("a/GX010001.MP4"))],
        ["cam.mp4"],
    ]


def test_one_chapter_given_twice_is_an_error() -> None:
    with pytest.raises(InputError) as caught:
        group_chapters(["GX010001.MP4", "gx010001.mp4"])
    assert caught.value.code == "chapter-twice"


def test_a_later_chapter_alone_is_used_and_said(card: Path) -> None:
    info = probe(card / "GX020123.MP4")
    assert info.n_frames == 7
    assert [d.code for d in info.diagnostics] == ["chapter-not-first"]


def test_chapters_can_be_left_apart(card: Path) -> None:
    assert probe(card / "GX010123.MP4", join_chapters=False).n_frames == 5


def test_files_of_different_recordings_are_not_joined(tmp_path: Path) -> None:
    write(tmp_path / "GX010009.MP4", 0, 3)
    write(tmp_path / "GX020009.MP4", 0, 3, size=(80, 48))
    with pytest.raises(InputError) as caught:
        probe(tmp_path / "GX010009.MP4")
    assert caught.value.code == "chapters-differ"
    assert "size 64x48 and 80x48" in caught.value.message


def test_a_recording_keeps_its_chapters_in_storage(card: Path) -> None:
    from sessions.codec import decode, encode

    info = probe(card / "GX010123.MP4")
    assert decode(*encode(info)).chapters == info.chapters


def test_the_samples_of_all_chapters_count(shared: Callable[[str], Path], tmp_path: Path) -> None:
    source = shared("data/gopro") / "gpmf-parser/hero7.mp4"
    files = [shutil.copy(source, tmp_path / f"GH0{k}0001.MP4") for k in (1, 2)]
    info = probe_recording(files)
    assert info.n_frames == 2 * 352
    assert info.gopro is not None
    assert {s.key: s.n_samples for s in info.gopro.sensors}["GYRO"] == 2 * 2175
