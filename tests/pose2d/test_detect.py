"""Running an estimator over cameras: parallel, cancellable, left and right along tracks, JSON for others."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.core.errors import Cancelled, InputError, SetupError
from mocap.core.keypoints import KeypointSet, load_keypoint_set
from mocap.core.progress import NoProgress
from mocap.media.decode import Frame
from mocap.media.encode import write_video
from mocap.media.probe import VideoInfo
from mocap.pose2d.checkpoints import Checkpoints
from mocap.pose2d.crops import Crops
from mocap.pose2d.detections import CameraDetections
from mocap.pose2d.estimator import ModelIdentity, detect_video, detect_videos
from mocap.pose2d.openpose_out import write_openpose
from mocap.pose2d.sides import untangle_sides
from mocap.pose2d.tracks import PersonTracks, Sighting, distinct

COCO = load_keypoint_set("coco17")


class Brightness:
    """An estimator that puts every keypoint at (frame's brightness, index of the crop's person)."""

    identity = ModelIdentity("brightness", ("0" * 64,), "numpy")
    is_fallback = False
    notice = ""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    @property
    def keypoint_set(self) -> KeypointSet:
        return COCO

    def estimate(
        self,
        pictures: Iterable[Frame],
        info: VideoInfo,
        crops: Crops | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        self.threads.add(threading.get_ident())
        n_persons = 1 if crops is None else crops.n_persons
        xy = np.full((info.n_frames, n_persons, 17, 2), np.nan, np.float32)
        score = np.zeros((info.n_frames, n_persons, 17), np.float32)
        for f, _, picture in pictures:
            xy[f, :, :, 0] = picture.rgb.mean()
            xy[f, :, :, 1] = np.arange(n_persons)[:, None]
            score[f] = 0.9
        return xy, score


@pytest.fixture
def videos(tmp_path: Path) -> dict[str, Path]:
    made = {}
    for c, n in enumerate((7, 5, 11)):
        pictures = (np.full((48, 64, 3), 20 * c + 5 * k, np.uint8) for k in range(n))
        made[f"cam{c + 1}"] = write_video(tmp_path / f"cam{c + 1}.mp4", pictures, Fraction(25), (64, 48))
    return made


def test_cameras_come_back_in_order_each_with_its_own_frames(videos: dict[str, Path]) -> None:
    found = detect_videos(videos, Brightness(), n_workers=2)
    assert list(found) == ["cam1", "cam2", "cam3"]
    assert [d.n_frames for d in found.values()] == [7, 5, 11]
    np.testing.assert_allclose(found["cam3"].xy_px[:, 0, 0, 0], 40 + 5 * np.arange(11), atol=3)
    np.testing.assert_allclose(found["cam1"].time_s, np.arange(7) / 25, atol=1e-6)
    assert found["cam1"].size_px == (64, 48)


def test_the_number_of_workers_changes_nothing(videos: dict[str, Path]) -> None:
    one, two = (detect_videos(videos, Brightness(), n_workers=n) for n in (1, 2))
    for name in videos:
        np.testing.assert_array_equal(one[name].xy_px, two[name].xy_px)


def test_a_preview_looks_at_every_second_frame_of_25_and_leaves_the_others_missing(videos: dict[str, Path]) -> None:
    full = detect_videos(videos, Brightness())["cam3"]
    preview = detect_videos(videos, Brightness(), quality="preview")["cam3"]
    assert preview.n_frames == 11
    np.testing.assert_array_equal(preview.xy_px[::2], full.xy_px[::2])
    np.testing.assert_array_equal(preview.time_s, full.time_s)
    assert np.isnan(preview.xy_px[1::2]).all()
    assert (preview.score[1::2] == 0).all()


def test_every_frame_is_reported_as_progress(videos: dict[str, Path]) -> None:
    class Counting(NoProgress):
        done = 0.0

        def advance(self, amount: float = 1.0) -> None:
            self.done += amount

    progress = Counting()
    detect_videos(videos, Brightness(), progress=progress)
    assert progress.done == 23


def test_cancelling_ends_all_workers(videos: dict[str, Path]) -> None:
    class Cancelling(NoProgress):
        def advance(self, amount: float = 1.0) -> None:
            raise Cancelled

    with pytest.raises(Cancelled):
        detect_videos(videos, Brightness(), progress=Cancelling())
    assert not [t for t in threading.enumerate() if t.name.startswith("mocap-detect")]


def test_given_crops_keep_their_persons(videos: dict[str, Path]) -> None:
    crops = Crops(np.full((7, 2, 2), 30.0), np.full((7, 2), 20.0), np.zeros((7, 2)))
    found = detect_video(videos["cam1"], Brightness(), crops=crops)
    assert found.n_persons == 2
    assert (found.xy_px[:, 1, :, 1] == 1).all()


def test_crops_of_another_video_are_refused(videos: dict[str, Path]) -> None:
    crops = Crops(np.full((5, 2, 2), 30.0), np.full((5, 2), 20.0), np.zeros((5, 2)))
    with pytest.raises(InputError) as caught:
        detect_video(videos["cam1"], Brightness(), crops=crops)
    assert caught.value.code == "crops-do-not-fit"


def test_a_file_that_is_not_a_video_stops_before_any_work(videos: dict[str, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("nothing")
    model = Brightness()
    with pytest.raises(InputError) as caught:
        detect_videos({**videos, "bad": bad}, model)
    assert caught.value.code == "not-a-video"
    assert not model.threads


# --- left and right -------------------------------------------------------------------------------------------------


def walker(n_frames: int = 47) -> np.ndarray:
    """[frame 17 2] a person seen from the front who raises the left arm and kicks with the right leg."""
    rng = np.random.default_rng(3)
    body = rng.uniform(-20, 20, (17, 2))
    for k, name in enumerate(COCO.names):
        body[k, 0] += 70 if "left" in name.lower() else -70 if "right" in name.lower() else 0
    body[:, 1] = np.linspace(0, 500, 17)
    t = np.arange(n_frames)[:, None]
    xy = body[None] + np.zeros((n_frames, 1, 1))
    wrist, ankle = COCO.index("LWrist"), COCO.index("RAnkle")
    assert wrist is not None
    assert ankle is not None
    xy[:, wrist, 1] -= 4 * t[:, 0]
    xy[:, ankle, 0] -= 3 * t[:, 0]
    return xy + rng.normal(0, 2, xy.shape)


def exchanged(xy: np.ndarray, frames: Iterable[int]) -> np.ndarray:
    out = xy.copy()
    rows = np.array(list(frames))
    out[rows] = xy[rows][:, list(COCO.mirror)]
    return out


@pytest.mark.parametrize("frames", [range(12, 20), [5], [0, 1, 2], range(40, 47), [8, 9, 15, 30, 31]])
def test_frames_with_sides_exchanged_are_put_right(frames: Iterable[int]) -> None:
    xy = walker()
    out, score, swapped = untangle_sides(exchanged(xy, frames), np.ones(xy.shape[:2]), COCO)
    np.testing.assert_allclose(out, xy)
    assert np.flatnonzero(swapped.all(-1)).tolist() == list(frames)
    assert (score[list(frames)][:, COCO.index("LWrist")] < 1).all()


def test_right_sides_are_left_alone() -> None:
    xy = walker()
    out, score, swapped = untangle_sides(xy, np.ones(xy.shape[:2]), COCO)
    assert not swapped.any()
    np.testing.assert_array_equal(out, xy)
    np.testing.assert_array_equal(score, 1)


def test_gaps_do_not_exchange_sides() -> None:
    xy = walker()
    xy[10:14] = np.nan
    score = np.where(np.isfinite(xy).all(-1), 0.9, 0.0)
    assert not untangle_sides(xy, score, COCO)[2].any()


def test_a_whole_track_reversed_is_put_right_by_what_is_expected() -> None:
    xy = walker()
    out, _, swapped = untangle_sides(exchanged(xy, range(47)), np.ones(xy.shape[:2]), COCO, expected_px=xy)
    assert swapped.all()
    np.testing.assert_allclose(out, xy)


# --- tracks -----------------------------------------------------------------------------------------------------------


def sighting(x: float, score: float = 0.9, radius: float = 50.0) -> Sighting:
    return Sighting(np.array([x, 100.0]), np.array([x, 100.0 - radius]), score)


def test_a_person_keeps_the_slot_while_moving() -> None:
    tracks = PersonTracks()
    seen: list[Sighting | None] = []
    for x in range(0, 200, 20):
        seen = tracks.update(
            [sighting(400 - x), sighting(float(x))] if x % 40 else [sighting(float(x)), sighting(400 - x)]
        )
    assert seen[0] is not None
    assert seen[1] is not None
    assert (seen[0].hip_px[0], seen[1].hip_px[0]) in {(180.0, 220.0), (220.0, 180.0)}


def test_weak_sightings_go_on_but_do_not_begin() -> None:
    tracks = PersonTracks()
    assert tracks.update([sighting(0, 0.4)]) == [None] * 4
    tracks.update([sighting(0, 0.8)])
    assert tracks.update([sighting(5, 0.4)])[0] is not None


def test_one_person_in_two_windows_is_one() -> None:
    best = sighting(3, 0.95)
    assert distinct([sighting(0, 0.6), best, sighting(200, 0.7)])[0] is best
    assert len(distinct([sighting(0, 0.6), best, sighting(200, 0.7)])) == 2


# --- files ------------------------------------------------------------------------------------------------------------


def detections() -> CameraDetections:
    xy = np.full((7, 2, 17, 2), np.nan)
    score = np.zeros((7, 2, 17))
    xy[:, 1], score[:, 1] = (12.25, 30.5), 0.5
    xy[3, 1, 4], score[3, 1, 4] = np.nan, 0.0
    xy[5], score[5] = np.nan, 0.0
    return CameraDetections(COCO, xy, score, np.arange(7) / 25, (64, 48))


def test_json_is_as_openpose_writes_it(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path, {"cam1": detections()})["cam1"]
    assert sorted(p.name for p in folder.iterdir()) == [f"cam1_{k:06d}.json" for k in range(7)]
    frame = json.loads((folder / "cam1_000003.json").read_text())
    assert [p["person_id"] for p in frame["people"]] == [[1]]
    values = np.reshape(frame["people"][0]["pose_keypoints_2d"], (17, 3))
    np.testing.assert_array_equal(values[0], (12.25, 30.5, 0.5))
    np.testing.assert_array_equal(values[4], (0, 0, 0))
    assert json.loads((folder / "cam1_000005.json").read_text())["people"] == []


def test_existing_keypoints_are_kept_unless_asked(tmp_path: Path) -> None:
    precious = tmp_path / "cam1_json" / "mine.json"
    precious.parent.mkdir()
    precious.write_text("{}")
    with pytest.raises(InputError) as caught:
        write_openpose(tmp_path, {"cam1": detections()})
    assert caught.value.code == "output-exists"
    assert precious.exists()
    write_openpose(tmp_path, {"cam1": detections()}, replace_existing=True)
    assert not precious.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["cam1_json"]


def test_an_output_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError) as caught:
        write_openpose(tmp_path / "file" / "out", {"cam1": detections()})
    assert caught.value.code == "output-not-writable"
