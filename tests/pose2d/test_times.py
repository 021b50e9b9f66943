"""Reading camera times."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.pose2d.times import read_times

CAMERAS = ["cam_01", "cam_02", "cam_03"]


def test_the_json_of_sync(tmp_path: Path) -> None:
    cameras = {
        "cam_01": {"offset_s": 0, "drift_ppm": 0, "sigma_s": 0.0, "methods": []},
        "cam_02": {"offset_s": -0.25, "drift_ppm": 30.0, "sigma_s": 0.002, "methods": ["audio", "motion"]},
        "cam_03": {"offset_s": 1.5, "drift_ppm": -12.5, "sigma_s": None, "methods": ["audio"]},
    }
    path = tmp_path / "sync.json"
    path.write_text(json.dumps({"reference": "cam_01", "cameras": cameras}))
    times = read_times(path, CAMERAS)
    assert list(times) == CAMERAS
    assert times["cam_02"].methods == ("audio", "motion")
    assert times["cam_02"].sigma_s == 0.002
    np.testing.assert_allclose(times["cam_02"].master_time_s(np.array([0.0, 100.0])), [-0.25, 99.753], atol=1e-12)


def test_csv_with_other_spellings_and_more_cameras(tmp_path: Path) -> None:
    path = tmp_path / "times.csv"
    path.write_text(
        "\ufeffcamera, offset_s, drift_ppm\r\nCam1,0,0\r\ncam2,0.5,\r\ncam3,-1e-3,20\r\ncam9,1,1\r\n", "utf-8"
    )
    times = read_times(path, CAMERAS)
    assert [(t.offset_s, t.drift_ppm) for t in times.values()] == [(0, 0), (0.5, 0), (-0.001, 20)]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("camera,offset_s\ncam1,0\ncam2,0\n", "times-camera-missing"),
        ("camera,offset_s\ncam1,0\ncam2,0\ncam3,soon\n", "times-unreadable"),
        ("camera,offset_s\ncam1,0\ncam2,0\ncam3,nan\n", "times-unreadable"),
        ("camera,offset_s\ncam1,0\ncam01,0\ncam2,0\ncam3,0\n", "camera-twice"),
        ("name,offset\ncam1,0\n", "times-unreadable"),
        ("", "times-unreadable"),
        ("{", "times-unreadable"),
        ('{"cameras": []}', "times-unreadable"),
        ('{"reference": "cam_01", "cameras": {"cam_01": {"offset_s": 1}}}', "times-reference"),
        ('{"reference": "cam_07", "cameras": {"cam_01": {"offset_s": 0}}}', "times-reference"),
    ],
)
def test_unusable_files_are_errors(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "times"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_times(path, CAMERAS)
    assert error.value.code == code
    assert str(path) in error.value.message


def test_a_missing_or_binary_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_times(tmp_path / "no.csv", CAMERAS)
    assert error.value.code == "times-missing"
    (tmp_path / "bin").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError) as error:
        read_times(tmp_path / "bin", CAMERAS)
    assert error.value.code == "times-unreadable"
