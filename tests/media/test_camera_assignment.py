"""A name for each camera of a take, and no camera twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.media.camera_assignment import (
    Assignment,
    assign_cameras,
    camera_folder,
    check_serials,
    is_counted,
    name_cameras,
    serial_numbers,
)
from mocap.media.encode import write_video
from mocap.media.gopro_facts import GoProFacts
from mocap.media.probe import VideoInfo, probe

Make = Callable[..., list[VideoInfo]]


@pytest.fixture
def recordings(tmp_path: Path) -> Make:
    """Return a function that makes different videos at the given paths, with serial numbers where given."""

    def make(*names: str, serials: tuple[str | None, ...] = ()) -> list[VideoInfo]:
        found: list[VideoInfo] = []
        for k, name in enumerate(names):
            path = tmp_path / name
            write_video(path, (np.full((48, 64, 3), 40 * k + j, np.uint8) for j in range(2)), Fraction(25), (64, 48))
            info = probe(path, join_chapters=False)
            found.append(replace(info, gopro=GoProFacts(serial=serials[k])) if serials else info)
        return found

    return make


def names(recordings: list[VideoInfo]) -> list[str]:
    return list(name_cameras(recordings))


def test_telling_file_names_name_the_cameras(recordings: Make) -> None:
    assert names(recordings("shoot/left.mp4", "shoot/right.mp4")) == ["left", "right"]


def test_folders_name_the_cameras_where_files_are_counted(recordings: Make) -> None:
    assert names(recordings("left/GX010001.MP4", "right/GX010044.MP4")) == ["left", "right"]


def test_folders_of_a_memory_card_do_not_count(recordings: Make) -> None:
    given = recordings("left/DCIM/100GOPRO/GX010001.MP4", "right/DCIM/100GOPRO/GX010001.MP4")
    assert names(given) == ["left", "right"]


@pytest.mark.parametrize(
    "stem",
    [
        "VID_20261122_120000",
        "PXL_20261122_120000123",
        "20261122_120000",
        "DJI_20240101_0001",
        "DJI_20240101120000_0001",
        "IMG_E1234",
        "IMG_1234",
    ],
)
@pytest.mark.parametrize("card", ["", "DCIM/Camera/", "DCIM/DJI_001/", "DCIM/202611__/", "PRIVATE/M4ROOT/CLIP/"])
def test_names_of_phones_drones_and_cards_name_no_camera(stem: str, card: str) -> None:
    left, right = (Path(f"/shoot/{side}/{card}{stem}.mp4") for side in ("left", "right"))
    assert is_counted(left)
    assert (camera_folder(left), camera_folder(right)) == ("left", "right")


@pytest.mark.parametrize("stem", ["left", "cam1", "gp1", "kitchen_2", "c_front", "DJI_left"])
def test_names_that_people_give_name_the_camera(stem: str) -> None:
    assert not is_counted(Path(f"/shoot/{stem}.mp4"))


def test_serial_numbers_name_the_cameras_in_one_folder(recordings: Make) -> None:
    given = recordings("GX010001.MP4", "GX010044.MP4", serials=("C3281324500963", "C3281325934846"))
    assert names(given) == ["cam_0963", "cam_4846"]


def test_serial_numbers_with_equal_ends_are_cut_where_they_differ(recordings: Make) -> None:
    given = recordings("GX010001.MP4", "GX010044.MP4", serials=("C10963", "C20963"))
    assert names(given) == ["cam_10963", "cam_20963"]


def test_without_anything_better_the_files_name_themselves(recordings: Make) -> None:
    assert names(recordings("GX010001.MP4", "GX010044.MP4")) == ["GX010001", "GX010044"]


def test_a_take_that_nothing_tells_apart_is_refused(recordings: Make) -> None:
    with pytest.raises(InputError) as caught:
        name_cameras(recordings("a/DCIM/GX010001.MP4", "A/DCIM/GX010001.MP4"))
    assert caught.value.code == "cameras-unnamed"


def test_one_video_for_two_cameras_is_refused(recordings: Make, tmp_path: Path) -> None:
    (first,) = recordings("left.mp4")
    copy = tmp_path / "right.mp4"
    copy.write_bytes(first.path.read_bytes())
    with pytest.raises(InputError) as caught:
        name_cameras([first, probe(copy)])
    assert caught.value.code == "video-twice"


def test_one_file_given_twice_is_said_before_names_are_matched(recordings: Make) -> None:
    first, second = recordings("gp1.mp4", "gp2.mp4")
    with pytest.raises(InputError) as caught:
        assign_cameras(RIG, [first, first, second])
    assert caught.value.code == "video-twice"


def test_one_camera_cannot_film_a_take_twice(recordings: Make) -> None:
    with pytest.raises(InputError) as caught:
        name_cameras(recordings("left.mp4", "right.mp4", serials=("C1", "C1")))
    assert caught.value.code == "camera-films-twice"


def test_swapped_cameras_are_noticed_by_their_serial_numbers(recordings: Make) -> None:
    cameras = name_cameras(recordings("left.mp4", "right.mp4", serials=("C1", "C2")))
    known = serial_numbers(cameras)
    check_serials(cameras, known)
    with pytest.raises(InputError) as caught:
        check_serials({"left": cameras["right"], "right": cameras["left"]}, known)
    assert caught.value.code == "camera-swapped"
    assert "which was right" in caught.value.message


def test_a_new_camera_under_an_old_name_is_noticed(recordings: Make) -> None:
    (new,) = recordings("left.mp4", serials=("C9",))
    with pytest.raises(InputError) as caught:
        check_serials({"left": new}, {"left": "C1"})
    assert caught.value.code == "camera-swapped"
    check_serials({"third": new}, {"left": "C1"})


RIG = ("left", "middle", "right")


def files_of(found: Assignment[VideoInfo]) -> dict[str, str]:
    return {camera: f"{info.path.parent.name}/{info.path.name}" for camera, info in found.cameras.items()}


def test_file_names_that_are_the_rigs_cameras_are_taken(recordings: Make) -> None:
    found = assign_cameras(RIG, recordings("s/right.mp4", "s/left.mp4", "s/middle.mp4"))
    assert files_of(found) == {"left": "s/left.mp4", "middle": "s/middle.mp4", "right": "s/right.mp4"}
    assert found.is_known


def test_folders_that_are_the_rigs_cameras_are_taken_where_file_names_are_not(recordings: Make) -> None:
    given = recordings("right/GX010001.MP4", "left/DCIM/100GOPRO/GX010007.MP4", "middle/GX010001.MP4")
    found = assign_cameras(RIG, given)
    assert found.is_known
    assert [info.path for info in found.cameras.values()] == [given[1].path, given[2].path, given[0].path]


def test_serial_numbers_in_the_rigs_names_are_taken(recordings: Make) -> None:
    given = recordings("GX010001.MP4", "GX010002.MP4", serials=("C3281324500963", "C3281325934846"))
    found = assign_cameras(("cam_4846", "cam_0963"), given)
    assert [info.path.name for info in found.cameras.values()] == ["GX010002.MP4", "GX010001.MP4"]


def test_serial_numbers_of_earlier_takes_win_over_the_order_of_names(recordings: Make) -> None:
    given = recordings("GX010001.MP4", "GX010002.MP4", "GX010003.MP4", serials=("C3", "C1", "C2"))
    found = assign_cameras(RIG, given, {"left": "C1", "middle": "C2", "right": "C3"})
    assert [info.gopro.serial for info in found.cameras.values() if info.gopro] == ["C1", "C2", "C3"]
    assert found.is_known
    assert [d.code for d in found.diagnostics] == ["cameras-matched-by-serial"]


def test_the_order_of_names_is_only_assumed_and_said(recordings: Make) -> None:
    found = assign_cameras(RIG, recordings("GX010003.MP4", "GX010001.MP4", "GX010002.MP4"))
    assert [info.path.name for info in found.cameras.values()] == [f"GX01000{k}.MP4" for k in (1, 2, 3)]
    assert not found.is_known
    assert [d.code for d in found.diagnostics] == ["cameras-matched-in-order"]


def test_a_name_that_contradicts_a_serial_number_is_refused(recordings: Make) -> None:
    given = recordings("left.mp4", "middle.mp4", "right.mp4", serials=("C2", "C1", "C3"))
    with pytest.raises(InputError) as caught:
        assign_cameras(RIG, given, {"left": "C1", "middle": "C2", "right": "C3"})
    assert caught.value.code == "camera-swapped"


def test_one_video_under_two_of_the_rigs_names_is_refused(recordings: Make, tmp_path: Path) -> None:
    left, right = recordings("left.mp4", "right.mp4")
    copy = tmp_path / "middle.mp4"
    copy.write_bytes(left.path.read_bytes())
    with pytest.raises(InputError) as caught:
        assign_cameras(RIG, [left, right, probe(copy)])
    assert caught.value.code == "video-twice"


def test_names_of_which_some_are_the_rigs_are_refused(recordings: Make) -> None:
    with pytest.raises(InputError) as caught:
        assign_cameras(RIG, recordings("s/left.mp4", "s/middle.mp4", "s/kitchen.mp4"))
    assert caught.value.code == "cameras-unmatched"


def test_a_camera_without_a_video_is_left_out_and_named(recordings: Make) -> None:
    given = recordings("walk_cam3.mp4", "walk_cam1.mp4")
    found = assign_cameras(["cam1", "cam2", "cam3"], given)
    assert {c: r.path.name for c, r in found.cameras.items()} == {"cam1": "walk_cam1.mp4", "cam3": "walk_cam3.mp4"}
    assert found.is_known
    [finding] = found.diagnostics
    assert (finding.code, finding.data["cameras"]) == ("cameras-without-video", ["cam2"])


def test_earlier_serial_numbers_name_the_cameras_that_are_there(recordings: Make) -> None:
    given = recordings("GX010001.MP4", "GX010002.MP4", serials=("C3", "C1"))
    found = assign_cameras(["left", "mid", "right"], given, {"left": "C1", "mid": "C2", "right": "C3"})
    assert list(found.cameras) == ["left", "right"]
    assert {d.code for d in found.diagnostics} == {"cameras-matched-by-serial", "cameras-without-video"}


def test_too_few_videos_whose_names_do_not_tell_are_refused(recordings: Make) -> None:
    with pytest.raises(InputError) as caught:
        assign_cameras(["left", "mid", "right"], recordings("GX010001.MP4", "GX010002.MP4"))
    assert caught.value.code == "camera-count-mismatch"


def test_the_name_of_a_single_recording_is_its_file_s(recordings: Make) -> None:
    assert names(recordings("left/GX010001.MP4")) == ["GX010001"]
