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
