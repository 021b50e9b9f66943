"""The file of a performer's profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from mocap.core.errors import InputError
from mocap.core.performer import PerformerProfile, read_performer

PROFILE = PerformerProfile(
    scale=0.97,
    segment_m={"LeftLeg": 0.41, "RightLeg": 0.42},
    landmark_m={"LHeel": (-0.05, 0.01, -0.06)},
    toe_m=(0.12, 0.0, -0.05),
    measured=("LHeel",),
    origin="take1",
)


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "performers" / "anna.json"
    PROFILE.write(file)
    assert read_performer(file) == PROFILE


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "mocap-performer", "version": 2}', '{"format": "rig", "version": 1}']
)
def test_another_file_is_no_profile(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_performer(file)
    assert caught.value.code == "performer-invalid"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "it is not JSON"), ("{}", "does not say"), ('{"format": "rig"}', "expected mocap-performer")],
)
def test_what_is_wrong_with_a_file_is_said_in_words(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(InputError, match=reason) as caught:
        read_performer(file)
    assert "Error(" not in str(caught.value)


def test_a_body_of_nine_metres_is_no_profile(tmp_path: Path) -> None:
    file = tmp_path / "anna.json"
    PROFILE.write(file)
    file.write_text(file.read_text().replace("0.41", "9.0"))
    with pytest.raises(InputError, match="no performer"):
        read_performer(file)
