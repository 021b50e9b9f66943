"""Whose a take's recordings are, and what earlier takes say of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mocap.core.errors import InputError
from sessions.cameras import known_serials, match_recordings, recording_key, rig_key_of
from sessions.folder import Recording, Session, add_take, create_session

CAMERAS = ("left", "right")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = create_session(tmp_path / "s")
    session.rig_file.write_text("one rig")
    return session


def recordings(folder: Path, *names: str, serials: tuple[str, str] = ("C1", "C2")) -> list[Recording]:
    given = zip(("1.mp4", "2.mp4"), names or (None, None), serials, strict=True)
    return [Recording((folder / file,), name, serial) for file, name, serial in given]


def test_recordings_come_back_with_camera_serial_number_and_chapters(session: Session, tmp_path: Path) -> None:
    files = tuple(tmp_path / f"GX0{k}0001.MP4" for k in (1, 2))
    given = [Recording(files, "left", "C1"), Recording((tmp_path / "b.mp4",))]
    add_take(session, "walk", given, rig_key="abc")
    take = session.take("walk")
    assert take.recordings == tuple(given)
    assert take.rig_key == "abc"


def test_names_given_at_import_count_and_other_rigs_go_by_the_files(session: Session, tmp_path: Path) -> None:
    take = add_take(session, "walk", recordings(tmp_path, "right", "left"))
    found, _ = match_recordings(CAMERAS, take)
    assert {c: r.path.name for c, r in found.items()} == {"left": "2.mp4", "right": "1.mp4"}
    found, _ = match_recordings(("cam1", "cam2"), take)
    assert {c: r.path.name for c, r in found.items()} == {"cam1": "1.mp4", "cam2": "2.mp4"}


def test_serial_numbers_are_known_from_other_takes_of_the_same_rig(session: Session, tmp_path: Path) -> None:
    add_take(session, "one", recordings(tmp_path, "left", "right"), rig_key=rig_key_of(session))
    assert known_serials(session, CAMERAS, "two") == {"left": "C1", "right": "C2"}
    assert known_serials(session, CAMERAS, "one") == {}
    (session.folder / "takes" / "broken").mkdir()
    (session.folder / "takes" / "broken" / "take.toml").write_text("videos = [")
    assert known_serials(session, CAMERAS, "two") == {"left": "C1", "right": "C2"}
    session.rig_file.write_text("calibrated again")
    assert known_serials(session, CAMERAS, "two") == {}


def test_every_chapter_counts_for_the_key(tmp_path: Path) -> None:
    files = tuple(tmp_path / f"GX0{k}0001.MP4" for k in (1, 2))
    for k, file in enumerate(files):
        file.write_bytes(bytes([k]))
    recording = Recording(files)
    before = recording_key("left", recording)
    assert recording_key("left", replace(recording, files=files[:1])) == before
    files[1].write_bytes(b"another")
    changed = recording_key("left", recording)
    assert changed != before
    shutil.copy(files[1], tmp_path / "GX030001.MP4")
    assert recording_key("left", recording) not in (before, changed)
    files[1].unlink()
    with pytest.raises(InputError) as caught:
        recording_key("left", recording)
    assert caught.value.code == "video-missing"
    assert "a chapter" in caught.value.message
