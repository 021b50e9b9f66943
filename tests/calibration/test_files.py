"""Reading and writing rigs, and what makes a calibration unusable."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.files import read_rig, read_rig_file, write_rig
from mocap.core.camera import Camera, CameraRig, Intrinsics, LensModel
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError, SetupError
from mocap.kernels.rotations import quat_exp, quat_to_matrix


def rig(n: int = 5, seed: int = 7) -> CameraRig:
    """Cameras of different lenses and places, the last one a fisheye; upright, around the origin, looking inwards."""
    rng = np.random.default_rng(seed)
    cameras: list[Camera] = []
    for i in range(n):
        fisheye = i == n - 1
        lens = Intrinsics(
            (1920, 1080),
            rng.uniform(900, 1000, 2),
            rng.uniform(500, 1000, 2),
            rng.normal(0, 0.05, 4 if fisheye else 5),
            LensModel.FISHEYE if fisheye else LensModel.BROWN,
        )
        turn = 2 * math.pi * i / n
        forward = -np.array([math.cos(turn), math.sin(turn), 0])
        R = np.array([np.cross([0, 0, -1], forward), [0, 0, -1], forward])
        R = quat_to_matrix(quat_exp(rng.normal(0, 0.1, 3))) @ R
        cameras.append(Camera(f"cam_{i + 1:02d}", lens, R, -R @ (-3.3 * forward + [0, 0, 1.5])))
    return CameraRig(tuple(cameras))


def section(**changes: object) -> str:
    values = {
        "name": '"left"',
        "size": "[1920, 1080]",
        "matrix": "[[900.0, 0.0, 960.0], [0.0, 900.0, 540.0], [0.0, 0.0, 1.0]]",
        "distortions": "[0.1, 0.0, 0.0, 0.0, 0.0]",
        "rotation": "[1.6, 0.1, 0.1]",
        "translation": "[0.1, 1.0, 4.0]",
    } | changes
    return "[cam_7]\n" + "".join(f"{k} = {v}\n" for k, v in values.items() if v is not None)


def code_of(path: Path) -> InputError:
    with pytest.raises(InputError) as error:
        read_rig(path)
    return error.value


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    before = rig()
    write_rig(tmp_path / "rig.toml", before)
    found = read_rig_file(tmp_path / "rig.toml")
    assert found.format == "aniposelib"
    assert found.diagnostics == ()
    assert found.rig.names == before.names
    for a, b in zip(before.cameras, found.rig.cameras, strict=True):
        assert (a.intrinsics.size_px, a.intrinsics.model) == (b.intrinsics.size_px, b.intrinsics.model)
        np.testing.assert_array_equal(a.intrinsics.matrix, b.intrinsics.matrix)
        np.testing.assert_array_equal(a.intrinsics.distortion, b.intrinsics.distortion)
        np.testing.assert_array_equal(a.t_cam_from_world_m, b.t_cam_from_world_m)
        np.testing.assert_allclose(a.R_cam_from_world, b.R_cam_from_world, rtol=0, atol=1e-15)
    assert [f.name for f in tmp_path.iterdir()] == ["rig.toml"]


def test_the_read_out_time_comes_back_and_nonsense_is_refused(tmp_path: Path) -> None:
    before = rig(2)
    known = CameraRig((replace(before[0], readout_s=0.0089), before[1]))
    write_rig(tmp_path / "rig.toml", known)
    assert [c.readout_s for c in read_rig(tmp_path / "rig.toml").cameras] == [0.0089, None]
    (tmp_path / "wrong.toml").write_text(section(readout_s="8.9"))
    assert "readout_s" in str(code_of(tmp_path / "wrong.toml"))


def test_the_file_has_the_layout_of_aniposelib(tmp_path: Path) -> None:
    before = rig()
    write_rig(tmp_path / "rig.toml", before)
    document = tomllib.loads((tmp_path / "rig.toml").read_text("utf-8"))
    assert list(document) == ["cam_0", "cam_1", "cam_2", "cam_3", "cam_4", "metadata"]
    entry = document["cam_4"]
    assert list(entry) == ["name", "size", "matrix", "distortions", "rotation", "translation", "fisheye"]
    assert entry["fisheye"] is True
    assert len(entry["distortions"]) == 4
    # Older TOML readers allow one type per array.
    assert all(isinstance(v, float) for v in np.ravel(np.array(entry["matrix"], object)))
    assert all(isinstance(v, int) for v in entry["size"])
    np.testing.assert_allclose(
        quat_to_matrix(quat_exp(np.array(entry["rotation"]))), before[4].R_cam_from_world, atol=1e-14
    )


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "folder.toml"
    (path / "x").mkdir(parents=True)
    with pytest.raises(SetupError) as error:
        write_rig(path, rig())
    assert error.value.code == "output-not-writable"
    assert [f.name for f in tmp_path.iterdir()] == ["folder.toml"]


def test_findings_about_the_original_calibration_stay_with_the_rig(tmp_path: Path) -> None:
    found = Diagnostic("rig-camera-ignored", Severity.INFO, 'camera "ö"\n is left out', {"cameras": ["ö"]})
    lying = Diagnostic("rig-not-z-up", Severity.WARNING, "found again by every reader", {})
    write_rig(tmp_path / "rig.toml", rig(), [found, lying])
    assert read_rig_file(tmp_path / "rig.toml").diagnostics == (found,)
    assert tomllib.loads((tmp_path / "rig.toml").read_text("utf-8"))["metadata"]["units"] == "m"


@pytest.mark.parametrize(
    "findings", ['"all well"', "[1, 2]", '[{code = "x"}]', '[{code="x",severity="y",message="",data="{}"}]']
)
def test_metadata_of_others_is_no_finding(findings: str, tmp_path: Path) -> None:
    write_rig(tmp_path / "rig.toml", rig())
    with (tmp_path / "rig.toml").open("a", encoding="utf-8") as file:
        file.write(f"findings = {findings}\n")
    assert read_rig_file(tmp_path / "rig.toml").diagnostics == ()


def test_the_folder_of_a_new_rig_is_made(tmp_path: Path) -> None:
    write_rig(tmp_path / "new" / "rig.toml", rig())
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["rig.toml"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("translation", "[nan, 1.0, 4.0]", "finite"),
        ("translation", "[0.1, 1.0]", "expected 3 numbers"),
        ("translation", None, "missing"),
        ("rotation", "[inf, 0.0, 0.0]", "finite"),
        ("rotation", None, "missing"),
        ("rotation", "[[1.0, 0.0, 0.0], [0.0, 1.1, 0.0], [0.0, 0.0, 1.0]]", "not a rotation"),
        ("rotation", "[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]", "not a rotation"),
        ("matrix", "[[0.0, 0.0, 960.0], [0.0, 900.0, 540.0], [0.0, 0.0, 1.0]]", "focal lengths above 0"),
        ("matrix", "[[900.0, 0.0, nan], [0.0, 900.0, 540.0], [0.0, 0.0, 1.0]]", "finite"),
        ("matrix", "[[900.0, 5.0, 960.0], [0.0, 900.0, 540.0], [0.0, 0.0, 1.0]]", "fx, 0, cx"),
        ("matrix", "[[900.0, 0.0], [0.0, 900.0]]", "3 x 3"),
        ("matrix", None, "missing"),
        ("size", "[0, 1080]", "above 0"),
        ("size", None, "missing"),
        ("size", '"full"', "expected numbers"),
        ("distortions", None, "missing"),
        ("distortions", "[0.1, 0.0, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0]", "k1 k2 p1 p2 k3"),
    ],
)
def test_an_unusable_value_is_named_with_camera_and_field(
    tmp_path: Path, field: str, value: str | None, words: str
) -> None:
    path = tmp_path / "Calib.toml"
    path.write_text(section(**{field: value}))
    error = code_of(path)
    assert error.code == "rig-value-invalid"
    assert f"camera left, {field}" in error.message
    assert words in error.message


def test_short_and_zero_ended_distortion_and_rounded_rotations_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "Calib.toml"
    path.write_text(section(distortions="[0.1, 0.2, 0.3, 0.4]"))
    assert read_rig(path)[0].intrinsics.distortion.tolist() == [0.1, 0.2, 0.3, 0.4, 0]
    path.write_text(section(distortions="[0.1, 0.2, 0.3, 0.4, 0.5, 0.0, 0.0, 0.0]"))
    assert read_rig(path)[0].intrinsics.distortion.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
    path.write_text(section(fisheye="true", distortions="[0.1, 0.2, 0.3, 0.4, 0.0]"))
    assert read_rig(path)[0].intrinsics.model is LensModel.FISHEYE
    rounded = np.round(quat_to_matrix(quat_exp(np.array([1.6, 0.1, 0.1]))), 4).tolist()
    path.write_text(section(rotation=rounded))
    R = read_rig(path)[0].R_cam_from_world
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(R, rounded, atol=1e-4)


@pytest.mark.parametrize(("units", "factor"), [('"m"', 1.0), ('"cm"', 0.01), ('"mm"', 0.001)])
def test_stated_units_are_used(tmp_path: Path, units: str, factor: float) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(section() + f"[metadata]\nunits = {units}\n")
    np.testing.assert_allclose(read_rig(path)[0].t_cam_from_world_m, np.array([0.1, 1, 4]) * factor)


def test_unstated_millimetres_are_recognised_and_doubtful_units_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(section(translation="[100.0, 1000.0, 4000.0]"))
    found = read_rig_file(path)
    np.testing.assert_allclose(found.rig[0].t_cam_from_world_m, [0.1, 1, 4])
    assert [d.code for d in found.diagnostics] == ["rig-unit-assumed"]
    path.write_text(section(translation="[10.0, 100.0, 200.0]"))
    assert code_of(path).code == "rig-unit-unknown"
    path.write_text(section() + '[metadata]\nunits = "feet"\n')
    assert code_of(path).code == "rig-unit-unknown"


def test_freemocap_is_read_as_millimetres(tmp_path: Path) -> None:
    path = tmp_path / "recording_camera_calibration.toml"
    path.write_text(section(translation="[10.0, 100.0, 200.0]") + "[metadata]\ncharuco_square_size = 39.0\n")
    found = read_rig_file(path)
    assert found.format == "freemocap"
    np.testing.assert_allclose(found.rig[0].t_cam_from_world_m, [0.01, 0.1, 0.2])


def test_a_world_that_is_not_z_up_is_reported(tmp_path: Path) -> None:
    turned = CameraRig(
        tuple(c.with_extrinsics(c.R_cam_from_world[:, [2, 0, 1]], c.t_cam_from_world_m) for c in rig().cameras)
    )
    write_rig(tmp_path / "rig.toml", turned)
    found = read_rig_file(tmp_path / "rig.toml")
    assert [d.code for d in found.diagnostics] == ["rig-not-z-up"]
    assert "+X" in found.diagnostics[0].message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "rig-unreadable"),
        (b"\x00\x00\x00\x18ftypmp42", "rig-not-recognised"),
        (b"hello, world\n", "rig-not-recognised"),
        (b"[project]\nname = 'x'\n", "rig-not-recognised"),
        (b"<svg/>", "rig-not-recognised"),
        (b"<calibration>", "rig-unreadable"),
        (b'{"cameras": ', "rig-unreadable"),
        (b"[cam_0]\nsize = [", "rig-unreadable"),
        (b"%YAML:1.0\n---\na: 3\n", "rig-not-recognised"),
        (b"%YAML:1.0\n---\n\tK: [", "rig-unreadable"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "rig"
    path.write_bytes(content)
    error = code_of(path)
    assert error.code == code
    assert str(path) in error.message


def test_missing_files_double_names_and_double_files(tmp_path: Path) -> None:
    assert code_of(tmp_path / "no.toml").code == "rig-missing"
    path = tmp_path / "a.toml"
    path.write_text(section() + section().replace("cam_7", "cam_8"))
    assert code_of(path).code == "rig-camera-twice"
    path.write_text(section())
    assert read_rig(tmp_path).names == ("left",)
    (tmp_path / "b.toml").write_text(section())
    assert code_of(tmp_path).code == "rig-ambiguous"
    (tmp_path / "empty").mkdir()
    assert code_of(tmp_path / "empty").code == "rig-not-recognised"
