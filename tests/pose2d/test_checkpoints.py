"""Work on a video that was broken off goes on where it was, and ends in the same result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from mocap.core.keypoints import load_keypoint_set
from mocap.media.decode import Frame
from mocap.media.encode import write_video
from mocap.media.picture import Picture
from mocap.media.probe import VideoInfo, probe
from mocap.pose2d import estimator
from mocap.pose2d.checkpoints import Checkpoints
from mocap.pose2d.crops import Crops
from mocap.pose2d.estimator import ModelIdentity
from mocap.pose2d.following import Found, followed, in_squares
from mocap.pose2d.tracks import PersonTracks, Sighting

N_FRAMES, N_POINTS, EVERY = 211, 3, 40


class Broken(Exception):
    """Stands in for kill -9."""


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    path = tmp_path_factory.mktemp("video") / "cam1.mp4"
    return probe(
        write_video(path, (np.full((48, 64, 3), 7, np.uint8) for _ in range(N_FRAMES)), Fraction(60), (64, 48))
    )


def parts_in(folder: Path | None) -> Checkpoints:
    """The parts of a video of which every frame can be decoded."""
    kept = Checkpoints(folder, EVERY)
    kept.is_decoded = np.ones(N_FRAMES, bool)
    return kept


class Scene:
    """Two people who walk and are sometimes not seen; what is found depends on the place where it is looked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def pictures(self, begin: int = 0, breaks_at: int = N_FRAMES) -> Iterator[Frame]:
        for f in range(begin, N_FRAMES):
            if f == breaks_at:
                raise Broken
            yield Frame(f, f / 60, Picture.of(np.full((1, 1, 3), f, np.int64)))

    def look(self, picture: Picture, tracks: PersonTracks) -> list[Sighting]:
        f = int(picture.rgb[0, 0, 0])
        hips = [np.array([100.0 + f, 200.0]), np.array([400.0 - f, 220.0 + tracks.n_updates])]
        seen = [hips[0]] if f % 70 < 50 else []
        seen += [hips[1]] if f % 90 > 20 else []
        return [Sighting(h, h + [0.0, -60.0], 0.7) for h in seen]

    def find(self, picture: Picture, place: Sighting) -> Future[Found]:
        f = int(picture.rgb[0, 0, 0])
        self.asked.append(f)
        xy = place.hip_px + np.array([[0, 0], [3, 5], [np.sin(f), 1 / 3]])
        answer: Future[Found] = Future()
        moved = Sighting(place.hip_px * 1.001, place.top_px * 1.001, 0.6)
        answer.set_result(Found(xy, np.full(N_POINTS, 0.5), None if f % 41 == 40 else moved))
        return answer


def run(info: VideoInfo, scene: Scene, folder: Path | None, breaks_at: int = N_FRAMES) -> tuple[np.ndarray, np.ndarray]:
    kept = parts_in(folder)
    pictures = scene.pictures(kept.begin, breaks_at)
    return followed(pictures, info, N_POINTS, scene.look, scene.find, kept)


@pytest.mark.parametrize("breaks", [[5], [57], [100, 130, 131, 209], list(range(11, 211, 20))])
def test_a_run_broken_off_and_continued_equals_one_in_one_go(
    info: VideoInfo, tmp_path: Path, breaks: list[int]
) -> None:
    whole = run(info, Scene(), None)
    scene = Scene()
    for at in breaks:
        with pytest.raises(Broken):
            run(info, scene, tmp_path, at)
    done = run(info, scene, tmp_path)
    np.testing.assert_array_equal(done[0], whole[0])
    np.testing.assert_array_equal(done[1], whole[1])


def test_no_more_than_one_part_is_done_again(info: VideoInfo, tmp_path: Path) -> None:
    scene = Scene()
    with pytest.raises(Broken):
        run(info, scene, tmp_path, 207)
    before = len(scene.asked)
    run(info, scene, tmp_path)
    again = min(scene.asked[before:])
    step = 10  # frames between two looks at 60 Hz
    assert 207 - (EVERY + 2 * step) <= again <= 207


def test_a_damaged_part_is_done_again_with_all_after_it(info: VideoInfo, tmp_path: Path) -> None:
    whole = run(info, Scene(), None)
    with pytest.raises(Broken):
        run(info, Scene(), tmp_path, 207)
    parts = sorted(tmp_path.iterdir())
    assert len(parts) >= 4
    parts[1].write_bytes(parts[1].read_bytes()[:100])
    assert 0 < parts_in(tmp_path).begin < 2 * EVERY
    done = run(info, Scene(), tmp_path)
    np.testing.assert_array_equal(done[0], whole[0])


def test_given_crops_continue_too(tmp_path: Path) -> None:
    crops = Crops(np.ones((N_FRAMES, 1, 2)), np.full((N_FRAMES, 1), 9.0), np.zeros((N_FRAMES, 1)))

    def find(picture: Picture, *_place: object) -> Future[tuple[np.ndarray, np.ndarray]]:
        answer: Future[tuple[np.ndarray, np.ndarray]] = Future()
        answer.set_result((np.full((N_POINTS, 2), picture.rgb[0, 0, 0]), np.full(N_POINTS, 0.5)))
        return answer

    def go(pictures: Iterable[Frame], kept: Checkpoints) -> np.ndarray:
        return in_squares(pictures, crops, N_POINTS, find, kept)[0]

    with pytest.raises(Broken):
        go(Scene().pictures(0, 150), parts_in(tmp_path))
    kept = parts_in(tmp_path)
    assert 150 - EVERY <= kept.begin <= 150
    done = go(Scene().pictures(kept.begin), kept)
    np.testing.assert_array_equal(done[:, 0, 0, 0], np.arange(N_FRAMES))


def test_without_a_folder_nothing_is_kept(info: VideoInfo) -> None:
    assert not Checkpoints().is_due(10**6)
    run(info, Scene(), None)


def test_memory_is_taken_for_those_who_were_seen_only(info: VideoInfo, tmp_path: Path) -> None:
    scene = Scene()
    with pytest.raises(Broken):
        run(info, scene, tmp_path, 207)
    shapes = []
    for part in sorted(tmp_path.iterdir()):
        with np.load(part) as kept:
            shapes.append(kept["xy_px"].shape[1])
    assert shapes == sorted(shapes)
    assert shapes[-1] == 2  # a slot for each of both people, none for those who never came


def test_frames_that_could_not_be_decoded_stay_known(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, 10)
    kept.is_decoded = np.ones(30, bool)
    kept.is_decoded[[3, 4, 17]] = False
    xy, score = np.zeros((30, 1, N_POINTS, 2), np.float32), np.ones((30, 1, N_POINTS), np.float32)
    kept.save(12, None, xy, score)
    kept.save(24, None, xy, score)
    again = Checkpoints(tmp_path, 10)
    assert again.begin == 24
    assert np.flatnonzero(~again.is_decoded).tolist() == [3, 4, 17]


class Watcher:
    """An estimator of one person at the place of the picture's brightness; breaks off before a frame."""

    identity = ModelIdentity("watcher", (), "numpy")
    is_fallback = False
    notice = ""
    keypoint_set = load_keypoint_set("coco17")

    def __init__(self, breaks_at: int | None = None) -> None:
        self.breaks_at = breaks_at
        self.first: int | None = None

    def pictures(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self.first = frame.index if self.first is None else self.first
            if frame.index == self.breaks_at:
                raise Broken
            yield frame

    def look(self, picture: Picture, _tracks: PersonTracks) -> list[Sighting]:
        hip = np.array([30.0, picture.rgb.mean() / 4])
        return [Sighting(hip, hip - [0.0, 20.0], 0.7)]

    def find(self, picture: Picture, place: Sighting) -> Future[Found]:
        answer: Future[Found] = Future()
        xy = place.hip_px + 2 * np.arange(34).reshape(17, 2) + picture.rgb[0, 0, :2] / 32
        answer.set_result(Found(xy, np.full(17, 0.5), place))
        return answer

    def estimate(
        self,
        pictures: Iterable[Frame],
        info: VideoInfo,
        crops: Crops | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        assert crops is None
        return followed(self.pictures(pictures), info, 17, self.look, self.find, checkpoints or Checkpoints())


def damaged(path: Path, n_frames: int, lost: Iterable[int]) -> Path:
    """Write a video of noise of which some frames' packets are zeros."""
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(n_frames))
    write_video(path, noise, Fraction(60), (64, 48))
    with av.open(str(path)) as container:
        packets = sorted((p.pts, p.pos, p.size) for p in container.demux(video=0) if p.pos is not None)
    data = bytearray(path.read_bytes())
    for _, at, size in (packets[f] for f in lost):
        data[at : at + size] = bytes(size)
    path.write_bytes(data)
    return path


def test_frames_lost_before_the_break_are_named_as_by_a_run_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimator, "Checkpoints", partial(Checkpoints, every_frames=EVERY))
    lost = [20, 21, 33, 120]
    video = damaged(tmp_path / "cam1.mp4", 150, lost)
    whole = estimator.detect_video(video, Watcher())
    assert [d.code for d in whole.diagnostics] == ["video-frames-lost"]
    assert whole.diagnostics[0].data["lost"] == [(20, 21), (33, 33), (120, 120)]
    folder = tmp_path / "parts"
    folder.mkdir()
    with pytest.raises(Broken):
        estimator.detect_video(video, Watcher(breaks_at=100), unfinished=folder)
    again = Watcher()
    resumed = estimator.detect_video(video, again, unfinished=folder)
    assert again.first is not None
    assert 33 < again.first < 100
    assert resumed.diagnostics == whole.diagnostics
    np.testing.assert_array_equal(resumed.xy_px, whole.xy_px)
    np.testing.assert_array_equal(resumed.score, whole.score)
    assert np.flatnonzero(np.isnan(resumed.xy_px).all((1, 2, 3))).tolist() == lost
