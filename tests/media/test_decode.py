"""Pictures come out upright, in order, at their own times; writing and reading back agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mocap.core.diagnostics import Diagnostic
from mocap.core.errors import Cancelled, SetupError
from mocap.core.progress import NoProgress
from mocap.media import decode
from mocap.media.decode import frames
from mocap.media.encode import write_video
from mocap.media.probe import probe


def test_every_frame_has_its_index_time_and_content(video: Path) -> None:
    info = probe(video)
    found = list(frames(video, info))
    assert [f.index for f in found] == list(range(23))
    np.testing.assert_array_equal([f.time_s for f in found], info.time_s)
    brightness = [float(f.rgb[70, 120].mean()) for f in found]
    np.testing.assert_allclose(brightness, 8 * np.arange(23), atol=4)


@pytest.mark.parametrize(("degrees", "corner"), [(90, "upper right"), (180, "lower right"), (270, "lower left")])
def test_pictures_are_turned_upright(turned: Callable[[int], Path], degrees: int, corner: str) -> None:
    rgb = next(frames(turned(degrees))).rgb
    assert rgb.shape == ((160, 96, 3) if degrees != 180 else (96, 160, 3))
    h, w = rgb.shape[:2]
    red = {
        "upper right": rgb[h // 4, 3 * w // 4],
        "lower right": rgb[3 * h // 4, 3 * w // 4],
        "lower left": rgb[3 * h // 4, w // 4],
    }[corner]
    assert red[0] > 200
    assert rgb[h // 4, w // 4].max() < 50


def test_a_cut_file_yields_what_it_has(video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[: int(video.stat().st_size * 0.9)])
    info = probe(cut)
    found = list(frames(cut, info))
    assert [f.index for f in found] == list(range(info.n_frames))


def test_frames_that_cannot_be_decoded_are_left_out_and_named(video: Path, tmp_path: Path) -> None:
    data = bytearray(video.read_bytes())
    at = data.index(b"mdat") + 4
    middle = at + (len(data) - at) * 2 // 3
    data[middle:] = bytes(len(data) - middle)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    info = probe(path)
    found: list[Diagnostic] = []
    there = [f.index for f in frames(path, info, diagnostics=found)]
    n = len(there)
    assert 0 < n < info.n_frames
    assert [d.code for d in found] == ["video-frames-lost"]
    lost = [list(range(a, b + 1)) for a, b in found[0].data.pop("lost")]
    assert sorted(sum(lost, there)) == list(range(info.n_frames))
    assert found[0].data == {"decoded": n, "expected": info.n_frames}


def test_lost_frames_are_named_in_runs(video: Path) -> None:
    is_decoded = np.ones(23, bool)
    is_decoded[[3, 7, 8, 9, 22]] = False
    said = decode.frames_lost(probe(video), is_decoded).message
    assert said == (
        "video.mp4: 5 of 23 frames could not be decoded and are left out: 3, 7-9, 22 (the first at 0.10 s)."
    )


def test_variable_rate_frames_keep_their_times(timed_video: Callable[[list[int]], Path]) -> None:
    times_ms = [0, 40, 70, 150, 160, 300]
    assert [round(f.time_s * 1000) for f in frames(timed_video(times_ms))] == times_ms


def test_odd_sizes_are_written_without_their_last_row_and_column(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "odd.mp4", (np.zeros((49, 65, 3), np.uint8) for _ in range(3)), Fraction(25), (65, 49)
    )
    assert probe(path).size_px == (64, 48)


def test_a_broken_off_video_leaves_the_old_file(video: Path) -> None:
    before = video.read_bytes()

    def pictures() -> Iterator[np.ndarray]:
        yield np.zeros((48, 64, 3), np.uint8)
        raise Cancelled

    with pytest.raises(Cancelled):
        write_video(video, pictures(), Fraction(25), (64, 48), progress=NoProgress())
    assert video.read_bytes() == before
    assert list(video.parent.iterdir()) == [video]


def test_a_folder_that_cannot_be_is_refused(video: Path) -> None:
    with pytest.raises(SetupError) as caught:
        write_video(video / "out.mp4", iter(()), Fraction(25), (64, 48))
    assert caught.value.code == "output-not-writable"


@pytest.mark.parametrize("begin", [0, 100, 299, 300, 511, 599, 600])
def test_a_video_entered_in_its_middle_gives_the_same_pictures(tmp_path: Path, begin: int) -> None:
    path = tmp_path / "long.mp4"
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    write_video(path, (np.roll(noise, k, axis=1) for k in range(600)), Fraction(60), (64, 48))
    info = probe(path)
    whole = {f.index: f for f in frames(path, info)}
    found: list[Diagnostic] = []
    entered = list(frames(path, info, begin=begin, diagnostics=found))
    assert [f.index for f in entered] == list(range(begin, 600))
    for frame in entered:
        assert frame.time_s == whole[frame.index].time_s
        np.testing.assert_array_equal(frame.rgb, whole[frame.index].rgb)
    assert not found


def test_a_video_entered_at_a_key_frame_is_not_decoded_from_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.mp4"
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    write_video(path, (np.roll(noise, k, axis=1) for k in range(600)), Fraction(60), (64, 48))
    with av.open(str(path)) as container:
        keys = [p.pts for p in container.demux(video=0) if p.is_keyframe and p.pts is not None]
    info = probe(path)
    at = [int(np.searchsorted(info.pts, pts)) for pts in keys]
    key = max(k for k in at if k <= 599)
    assert key > decode.SEEK_FROM
    n_decoded = 0

    def counted(container: object) -> Iterator[object]:
        nonlocal n_decoded
        for frame in original(container):  # type: ignore[arg-type]  # what the module itself passes on
            n_decoded += 1
            yield frame

    original = decode.decoded
    monkeypatch.setattr(decode, "decoded", counted)
    assert [f.index for f in frames(path, info, begin=key)] == list(range(key, 600))
    # the group before, and not what was found too late and then everything
    before = max(k for k in at if k <= key - decode.RUN_UP)
    assert n_decoded == 600 - before
