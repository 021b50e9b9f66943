"""What the program says of video files, good and bad."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.media.probe import probe


def code_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        probe(path)
    assert str(path) in caught.value.message
    assert caught.value.advice.endswith(".")
    return caught.value.code


def test_size_count_and_exact_rate_are_read(video: Path) -> None:
    info = probe(video)
    assert (info.size_px, info.n_frames, info.codec) == ((160, 96), 23, "h264")
    assert info.fps == Fraction(30000, 1001)
    assert not info.is_variable_rate
    assert not info.has_audio
    assert info.diagnostics == ()


def test_times_are_those_of_presentation_from_zero(video: Path) -> None:
    np.testing.assert_allclose(probe(video).time_s, np.arange(23) * 1001 / 30000, atol=1e-6)


def test_a_coarse_clock_does_not_hide_the_exact_rate(timed_video: Callable[..., Path]) -> None:
    times_ms = [round(k * 1001 / 60) for k in range(40)]
    assert probe(timed_video(times_ms, ".mkv")).fps == Fraction(60000, 1001)


def test_a_variable_rate_is_noticed_and_every_frame_keeps_its_time(
    timed_video: Callable[[Sequence[int]], Path],
) -> None:
    times_ms = [0, 33, 67, 100, 180, 213, 247, 280, 380]
    info = probe(timed_video(times_ms))
    assert info.is_variable_rate
    np.testing.assert_allclose(info.time_s, np.array(times_ms) / 1000, atol=1e-4)
    assert [d.code for d in info.diagnostics] == ["video-variable-rate"]
    assert float(info.fps) == pytest.approx(8 / 0.380, rel=1e-3)


@pytest.mark.parametrize(("degrees", "size"), [(90, (96, 160)), (180, (160, 96)), (270, (96, 160))])
def test_a_rotation_flag_turns_the_size(turned: Callable[[int], Path], degrees: int, size: tuple[int, int]) -> None:
    info = probe(turned(degrees))
    assert (info.rotation_deg, info.size_px) == (degrees, size)


def test_a_file_cut_in_its_pictures_is_described_by_what_is_left(video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[: int(video.stat().st_size * 0.9)])
    info = probe(cut)
    assert 3 <= info.n_frames < 23
    assert [d.code for d in info.diagnostics] == ["video-truncated"]
    assert info.diagnostics[0].data == {"readable": info.n_frames, "declared": 23}
    assert not info.is_variable_rate


def test_a_recording_that_never_ended_has_no_index(video: Path, tmp_path: Path) -> None:
    data = video.read_bytes()
    cut = tmp_path / "no_moov.mp4"
    at = data.index(b"moov") - 4
    cut.write_bytes(data[:at] + data[at + int.from_bytes(data[at : at + 4]) :])
    assert code_of(cut) == "video-no-index"


def test_an_index_that_is_cut_is_no_index(video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut_moov.mp4"
    cut.write_bytes(video.read_bytes()[:400])
    assert code_of(cut) == "video-no-index"


def test_a_video_with_zero_frames_is_refused(video: Path, tmp_path: Path) -> None:
    data = video.read_bytes()
    empty = tmp_path / "zero.mp4"
    empty.write_bytes(data[: data.index(b"mdat") + 4])
    assert code_of(empty) == "video-no-frames"


def test_text_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "cam1.mp4"
    path.write_text("not a video\n" * 100)
    assert code_of(path) == "not-a-video"


def test_a_still_picture_is_not_a_video(tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "still.png"
    cv2.imwrite(str(path), np.zeros((48, 64, 3), np.uint8))
    assert code_of(path) == "not-a-video"


def test_noise_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(1).bytes(50_000))
    assert code_of(path) == "not-a-video"


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16_000))
    assert code_of(path) == "video-no-picture"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert code_of(path) == "video-empty-file"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path / "nowhere.mp4") == "video-missing"


def test_a_folder_is_not_readable_as_a_video(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "video-unreadable"


def test_pictures_that_cannot_be_decoded_are_refused(video: Path, tmp_path: Path) -> None:
    data = bytearray(video.read_bytes())
    at = data.index(b"mdat") + 4
    data[at:] = bytes(len(data) - at)
    path = tmp_path / "zeros.mp4"
    path.write_bytes(data)
    assert code_of(path) in {"video-undecodable", "video-no-frames"}


def test_real_footage_is_read_exactly(shared: Callable[[str], Path]) -> None:
    info = probe(shared("data/pose2sim_demo/SinglePerson/videos") / "cam02.mp4")
    assert (info.codec, info.size_px, info.n_frames, info.fps, info.has_audio) == ("vp9", (1080, 1920), 100, 60, True)


def test_the_file_is_left_as_it_was(video: Path, tmp_path: Path) -> None:
    copy = shutil.copy(video, tmp_path / "copy.mp4")
    probe(video)
    assert Path(copy).read_bytes() == video.read_bytes()


def test_frames_that_the_camera_left_out_do_not_lower_the_rate(timed_video: Callable[[Sequence[int]], Path]) -> None:
    times_ms = [20 * k for k in range(40) if k not in (7, 20, 21)]
    info = probe(timed_video(times_ms))
    assert info.fps == 50
    assert info.is_variable_rate
    np.testing.assert_allclose(info.time_s, np.array(times_ms) / 1000, atol=1e-4)
    (found,) = info.diagnostics
    assert found.code == "video-frames-dropped"
    assert (found.data["dropped"], found.data["gaps"]) == (3, 2)


def test_a_file_that_changes_its_rate_says_where(timed_video: Callable[[Sequence[int]], Path]) -> None:
    times_ms = [40 * k for k in range(20)] + [800 + 25 * k for k in range(20)]
    info = probe(timed_video(times_ms))
    (found,) = info.diagnostics
    assert found.code == "video-rate-changes"
    assert [round(p["rate_hz"]) for p in found.data["parts"]] == [25, 40]
    assert found.data["parts"][1]["start_s"] == pytest.approx(0.8, abs=0.05)
    np.testing.assert_allclose(info.time_s, np.array(times_ms) / 1000, atol=1e-4)


def test_pictures_are_not_read_for_the_times(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mocap.media import timestamps

    def refuse(file: Path) -> None:
        raise AssertionError(f"every packet of {file} is read")

    monkeypatch.setattr(timestamps, "_from_packets", refuse)
    assert probe(video).n_frames == 23


def test_the_index_and_the_packets_tell_the_same_times(
    video: Path, turned: Callable[[int], Path], shared: Callable[[str], Path]
) -> None:
    from mocap.media.mp4_index import read_movie
    from mocap.media.probe import open_video
    from mocap.media.timestamps import _from_index, _from_packets

    demo = sorted(shared("data/pose2sim_demo/SinglePerson/videos").glob("*.mp4"))
    gopro = sorted(shared("data/gopro/gpmf-parser").glob("*.mp4"))
    for file in (video, turned(90), demo[0], *gopro):
        movie = read_movie(file)
        assert movie is not None
        with open_video(file) as container:
            index = _from_index(file, container, container.streams.video[0], movie)
        assert index is not None
        assert (index.pts, index.n_broken) == ((packets := _from_packets(file)).pts, packets.n_broken)


def test_a_file_in_fragments_is_read_packet_by_packet(tmp_path: Path) -> None:
    import av

    path = tmp_path / "fragments.mp4"
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "5"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(13):
            picture = np.full((48, 64, 3), 9 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    info = probe(path)
    assert (info.n_frames, info.fps) == (13, 25)
