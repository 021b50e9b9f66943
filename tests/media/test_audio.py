"""A file's sound, and its place on the camera's clock."""

from __future__ import annotations

import errno
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mocap.core.errors import InputError, SetupError
from mocap.media import audio
from mocap.media.audio import Sound, Sounds, read_audio, recording_sound
from mocap.media.probe import probe

RATE = 16000


def _write(path: Path, samples: np.ndarray, layout: str = "mono", gap_samples: int = 0) -> Path:
    """Write sound in two pieces, with a hole in its timestamps between them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout=layout)
        assert isinstance(stream, av.AudioStream)
        half = samples.shape[1] // 2
        for start, piece in ((0, samples[:, :half]), (half + gap_samples, samples[:, half:])):
            packed = np.ascontiguousarray(piece.T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray((packed * 32767).astype(np.int16), format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def test_channels_are_averaged_and_samples_keep_their_scale(tmp_path: Path) -> None:
    left = np.sin(np.arange(RATE) / 9)
    sound = read_audio(_write(tmp_path / "a.wav", np.stack([left, 0 * left]), "stereo"))
    assert sound is not None
    assert (sound.rate_hz, sound.start_s) == (RATE, 0.0)
    np.testing.assert_allclose(sound.samples, 0.5 * left, atol=1e-3)


def test_a_hole_in_the_timestamps_is_silence_not_a_shift(tmp_path: Path) -> None:
    tone = 0.5 * np.ones((1, RATE))
    sound = read_audio(_write(tmp_path / "a.mkv", tone, gap_samples=4000))
    assert sound is not None
    assert len(sound.samples) == RATE + 4000
    assert np.abs(sound.samples[8000:12000]).max() == 0
    assert sound.samples[12500] == pytest.approx(0.5, abs=1e-3)


def test_time_counts_from_the_first_picture(tmp_path: Path) -> None:
    sound = read_audio(_write(tmp_path / "a.wav", np.zeros((1, RATE))), video_start_s=0.25)
    assert sound is not None
    assert sound.start_s == pytest.approx(-0.25)


def test_a_file_that_is_no_sound_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(b"no sound at all")
    with pytest.raises(InputError) as caught:
        read_audio(file)
    assert caught.value.code == "audio-unreadable"


def test_the_sound_of_all_chapters_stands_on_one_clock(write_clip: Callable[..., Path], tmp_path: Path) -> None:
    rate, fps = 48000, Fraction(60000, 1001)
    clicks = []
    begin_s = 0.0
    for k, n in enumerate((30, 45, 20), 1):
        samples = np.zeros(round(n / fps * rate))
        samples[4800 * k] = 1.0
        clicks.append(begin_s + 0.1 * k)
        write_clip(tmp_path / f"GX0{k}0123.mov", [90] * n, fps, samples)
        begin_s += float(n / fps)
    sound = recording_sound(probe(tmp_path / "GX010123.mov"))
    assert sound is not None
    found_s = sound.start_s + np.flatnonzero(sound.samples > 0.5) / sound.rate_hz
    np.testing.assert_allclose(found_s, clicks, atol=1.1 / rate)


def test_a_chapter_without_sound_leaves_a_gap_and_moves_nothing(
    write_clip: Callable[..., Path], tmp_path: Path
) -> None:
    for k in (1, 2, 3):
        write_clip(tmp_path / f"GX0{k}0123.mov", [90] * 30, Fraction(30), None if k == 2 else np.full(48000, 0.5))
    info = probe(tmp_path / "GX010123.mov")
    sound = recording_sound(info)
    assert info.has_audio
    assert sound is not None
    assert len(sound.samples) == 3 * 48000
    assert np.abs(sound.samples[48000:96000]).max() == 0
    assert sound.samples[96000:].min() == pytest.approx(0.5, abs=1e-3)


def test_long_sound_lies_in_a_file_and_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "a.wav", np.sin(np.arange(3 * RATE) / 9)[None])
    short = read_audio(path)
    monkeypatch.setattr(audio, "IN_MEMORY", 1000)
    long = read_audio(path)
    assert short is not None
    assert long is not None
    assert isinstance(long.samples, np.memmap)
    assert not isinstance(short.samples, np.memmap)
    np.testing.assert_array_equal(long.samples, short.samples)
    assert long.duration_s == pytest.approx(3.0, abs=0.01)


def test_a_full_disk_is_not_blamed_on_the_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "a.wav", np.zeros((1, RATE)))

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(audio, "IN_MEMORY", 1)
    monkeypatch.setattr(audio.os, "posix_fallocate", full, raising=False)
    with pytest.raises(SetupError) as caught:
        read_audio(path)
    assert caught.value.code == "output-full"


def test_sound_is_read_when_it_is_asked_for() -> None:
    asked: list[str] = []

    def reader(camera: str) -> Callable[[], Sound | None]:
        return lambda: asked.append(camera)

    sounds = Sounds({"a": reader("a"), "b": reader("b")})
    assert list(sounds) == ["a", "b"]
    assert asked == []
    assert sounds["b"] is None
    assert asked == ["b"]
