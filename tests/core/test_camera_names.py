"""Matching names of folders and videos to a rig's cameras."""

from __future__ import annotations

import pytest

from mocap.core.camera_names import match_cameras, natural_key, normal_name
from mocap.core.errors import InputError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cam_01_json", "cam1"),
        ("Cam1", "cam1"),
        ("videos/cam-001.MP4", "cam1"),
        ("cam01_json", "cam1"),
        ("cam_00", "cam0"),
        ("cam10", "cam10"),
        ("s01_02", "s1/2"),
    ],
)
def test_separators_zeros_suffix_and_case_do_not_count(name: str, expected: str) -> None:
    assert normal_name(name) == expected


def test_natural_order_puts_2_before_10() -> None:
    assert sorted(["cam10", "cam2", "cam1"], key=natural_key) == ["cam1", "cam2", "cam10"]


def test_equal_names_match_silently_in_the_order_of_the_rig() -> None:
    match = match_cameras(["cam_02", "cam_01"], ["cam1_json", "cam2_json"])
    assert list(match.found.items()) == [("cam_02", "cam2_json"), ("cam_01", "cam1_json")]
    assert match.diagnostics == ()


def test_a_camera_name_inside_a_longer_one_matches() -> None:
    names = ["S01_T02_cam10.mp4", "S01_T02_cam01.mp4"]
    match = match_cameras(["cam01", "cam10"], names)
    assert match.found == {"cam01": "S01_T02_cam01.mp4", "cam10": "S01_T02_cam10.mp4"}
    assert match_cameras(["int_cam01_img", "int_cam02_img"], ["cam02", "cam01"]).found["int_cam02_img"] == "cam02"


def test_foreign_names_match_in_natural_order_and_are_reported() -> None:
    match = match_cameras(["a2", "a10", "b"], ["GX30", "GX4", "GX100"])
    assert match.found == {"a2": "GX4", "a10": "GX30", "b": "GX100"}
    assert [d.code for d in match.diagnostics] == ["cameras-matched-in-order"]


def test_counting_from_0_and_from_1_matches_in_order() -> None:
    match = match_cameras(["cam_0", "cam_1", "cam_2"], ["cam3", "cam1", "cam2"])
    assert match.found == {"cam_0": "cam1", "cam_1": "cam2", "cam_2": "cam3"}
    assert match.diagnostics


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (["cam1", "cam2"], "camera-count-mismatch"),
        (["cam1", "cam2", "cam4"], "cameras-unmatched"),
        (["cam1", "cam01", "cam2"], "camera-twice"),
        (["cam1.mp4", "cam2.mp4", "cam2.mov"], "camera-twice"),
        ([], "camera-count-mismatch"),
    ],
)
def test_anything_but_one_to_one_is_an_error_that_lists_both_sides(found: list[str], code: str) -> None:
    with pytest.raises(InputError) as error:
        match_cameras(["cam_01", "cam_02", "cam_03"], found)
    assert error.value.code == code
    for name in ["cam_01", "cam_02", "cam_03", *found]:
        assert name in error.value.message


@pytest.mark.parametrize("take", ["walk_1", "walk1", "S01-T02", "2024.05.01"])
def test_numbers_beside_a_camera_name_do_not_hide_it(take: str) -> None:
    cameras = ["gp1", "gp2", "gp3", "gp4"]
    files = [f"{take}_gp{n}.mp4" for n in (1, 2, 4)]
    match = match_cameras(cameras, files, may_lack=True)
    assert match.found == dict(zip(["gp1", "gp2", "gp4"], files, strict=True))
    assert [d.code for d in match.diagnostics] == ["cameras-without-video"]
    whole = [f"{take}_gp{n}.mp4" for n in (1, 2, 3, 4)]
    assert [d.code for d in match_cameras(cameras, whole).diagnostics] == ["cameras-matched-inside"]


def test_a_camera_name_within_a_word_or_number_is_not_that_camera() -> None:
    for cameras, files in [
        (["left", "right", "top"], ["upright.mp4", "left.mp4"]),
        (["cam1", "cam2", "cam3"], ["cam1.mp4", "scam2.mp4"]),
        (["cam1", "cam2", "cam3"], ["cam1.mp4", "take_cam2b.mp4"]),
        (["1", "2", "3"], ["1.mp4", "cam_20.mp4"]),
    ]:
        with pytest.raises(InputError, match="camera"):
            match_cameras(cameras, files, may_lack=True)


def test_many_names_are_cut_and_one_is_no_plural() -> None:
    with pytest.raises(InputError, match="f_3, f_4 and 25 more") as error:
        match_cameras(["left", "right"], [f"f_{n}" for n in range(30)], "keypoint sources in pose")
    assert "f_5" not in error.value.message
    with pytest.raises(InputError, match="there is 1 keypoint source in pose"):
        match_cameras(["left", "right"], ["front"], "keypoint sources in pose")


def test_two_camera_names_in_one_file_name_are_a_tie() -> None:
    with pytest.raises(InputError) as error:
        match_cameras(["cam1", "cam2", "cam3"], ["cam1_cam2_sync.mp4", "cam3.mp4"], may_lack=True)
    assert error.value.code == "camera-count-mismatch"
    with pytest.raises(InputError) as error:
        match_cameras(["cam1", "cam2"], ["cam1_cam2_sync.mp4", "cam2.mp4"])
    assert error.value.code == "cameras-unmatched"


def test_the_longer_of_two_camera_names_is_meant_where_one_is_part_of_the_other() -> None:
    match = match_cameras(["cam1", "cam1_top"], ["walk_cam1.mp4", "walk_cam1_top.mp4"])
    assert match.found == {"cam1": "walk_cam1.mp4", "cam1_top": "walk_cam1_top.mp4"}


def test_a_rig_that_counts_from_0_without_its_first_camera_may_be_shifted_and_says_so() -> None:
    rig = ["cam0", "cam1", "cam2", "cam3"]
    codes = [d.code for d in match_cameras(rig, ["cam1", "cam2", "cam3"], may_lack=True).diagnostics]
    assert codes == ["cameras-without-video", "cameras-maybe-shifted"]
    for files in (["cam0", "cam1", "cam2"], ["cam0", "cam2", "cam3"]):
        codes = [d.code for d in match_cameras(rig, files, may_lack=True).diagnostics]
        assert codes == ["cameras-without-video"]


def test_the_advice_for_too_few_that_are_named_right_is_not_to_rename_them() -> None:
    with pytest.raises(InputError) as error:
        match_cameras(["gp1", "gp2", "gp3"], ["gp1", "gp2"])
    assert "Rename" not in error.value.advice
    assert "gp3" in error.value.advice
