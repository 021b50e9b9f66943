"""The world from clicked points: of known places, or somewhere on the floor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.world import moved_rig
from calibration.world_points import ClickedPoint, read_points, world_from_points
from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.kernels.projection import project
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.synth.rig import ring_rig

PLACES_M = np.array([[0, 0, 0], [1.3, 0, 0], [1.1, 0.9, 0], [-0.4, 1.0, 0.35], [0.2, -1.1, 0.0]])
R_SOME = quat_to_matrix(quat_exp(np.array([0.4, -0.9, 1.7])))
T_SOME_M = np.array([1.0, -2.0, 3.0])


def make_rig() -> CameraRig:
    return ring_rig(5, np.random.default_rng(2), size_px=(1920, 1080))


def clicks(rig: CameraRig, places: np.ndarray = PLACES_M, noise_px: float = 0.5) -> dict[str, dict[str, np.ndarray]]:
    """Pixels by point and camera."""
    rng = np.random.default_rng(3)
    out: dict[str, dict[str, np.ndarray]] = {f"p{k}": {} for k in range(len(places))}
    for c in rig.cameras:
        k = c.intrinsics
        xy = project(places @ c.R_cam_from_world.T + c.t_cam_from_world_m, k.focal_px, k.center_px, k.distortion)
        for p in range(len(places)):
            out[f"p{p}"][c.name] = xy[p] + rng.normal(0, noise_px, 2)
    return out


def points(rig: CameraRig, places: np.ndarray | None = PLACES_M) -> list[ClickedPoint]:
    return [ClickedPoint(n, px, None if places is None else places[int(n[1:])]) for n, px in clicks(rig).items()]


def worst_mm_deg(a: CameraRig, b: CameraRig) -> tuple[float, float]:
    apart = [np.linalg.norm(x.center_world_m - y.center_world_m) for x, y in zip(a.cameras, b.cameras, strict=True)]
    traces = [np.trace(x.R_cam_from_world @ y.R_cam_from_world.T) for x, y in zip(a.cameras, b.cameras, strict=True)]
    return float(1000 * max(apart)), float(np.degrees(np.arccos(np.clip((min(traces) - 1) / 2, -1, 1))))


def error_code(rig: CameraRig, clicked: list[ClickedPoint]) -> str:
    with pytest.raises(InputError) as error:
        world_from_points(rig, clicked)
    return error.value.code


def test_points_of_known_places_make_the_world() -> None:
    rig = make_rig()
    result = world_from_points(moved_rig(rig, R_SOME, T_SOME_M), points(rig))
    mm, deg = worst_mm_deg(result.rig, rig)
    assert mm < 12
    assert deg < 0.2
    assert result.data["fit_rms_m"] < 0.005
    assert result.diagnostics == ()


def test_points_on_the_floor_make_a_world_with_the_first_as_origin() -> None:
    rig = make_rig()
    clicked = [p for p in points(rig, None) if p.name != "p3"]
    result = world_from_points(moved_rig(rig, R_SOME, T_SOME_M), clicked)
    # The first point is the true origin and the second on the true X axis.
    mm, deg = worst_mm_deg(result.rig, rig)
    assert mm < 15
    assert deg < 0.3


def test_a_click_on_another_point_is_named() -> None:
    rig = make_rig()
    clicked = points(rig)
    wrong = {**clicked[2].px, "cam2": clicked[2].px["cam2"] + [60.0, 0.0]}
    clicked[2] = ClickedPoint("p2", wrong, clicked[2].world_m)
    with pytest.raises(InputError) as error:
        world_from_points(rig, clicked)
    assert error.value.code == "world-points-do-not-fit"
    assert "p2" in error.value.message


def test_places_in_a_left_handed_frame_are_refused() -> None:
    rig = make_rig()
    assert error_code(rig, points(rig, PLACES_M * [1.0, -1.0, 1.0])) == "world-mirrored"


def test_a_wrong_scale_is_reported_and_metres_are_kept() -> None:
    rig = make_rig()
    result = world_from_points(rig, points(rig, 1.1 * PLACES_M))
    assert [d.code for d in result.diagnostics] == ["world-scale-differs"]
    assert result.data["scale_ratio"] == pytest.approx(1.1, abs=0.01)
    assert np.linalg.norm(result.rig[0].center_world_m - result.rig[1].center_world_m) == pytest.approx(
        float(np.linalg.norm(rig[0].center_world_m - rig[1].center_world_m))
    )


def test_too_few_points_or_points_in_a_row_are_refused() -> None:
    rig = make_rig()
    assert error_code(rig, points(rig)[:2]) == "world-points-too-few"
    row = np.array([[0.1 * k, 0.2 * k, 0.0] for k in range(5)])
    in_row = [ClickedPoint(n, px, row[int(n[1:])]) for n, px in clicks(rig, row).items()]
    assert error_code(rig, in_row) == "world-points-too-few"


def test_places_wrong_by_decimetres_are_refused() -> None:
    rig = make_rig()
    off = PLACES_M + np.array([[0, 0, 0], [0.4, 0, 0], [0, -0.4, 0], [0, 0.0, 0.4], [-0.3, 0.2, 0]])
    assert error_code(rig, points(rig, off)) == "world-points-do-not-fit"


def test_csv_and_json_say_the_same(tmp_path: Path) -> None:
    rig = make_rig()
    clicked = points(rig)
    rows = [
        f"{c},{p.name},{x},{y},{','.join(str(v) for v in p.world_m)}"
        for p in clicked
        if p.world_m is not None
        for c, (x, y) in p.px.items()
    ]
    (tmp_path / "a.csv").write_text("\n".join(["camera,point,x_px,y_px,X_m,Y_m,Z_m", *rows]), "utf-8")
    entries = [
        {"name": p.name, "px": {c: list(v) for c, v in p.px.items()}, "world_m": list(p.world_m)}
        for p in clicked
        if p.world_m is not None
    ]
    (tmp_path / "a.json").write_text(json.dumps({"points": entries}), "utf-8")
    for a, b in zip(read_points(tmp_path / "a.csv"), read_points(tmp_path / "a.json"), strict=True):
        assert a.name == b.name
        assert a.world_m is not None
        assert b.world_m is not None
        np.testing.assert_allclose(a.world_m, b.world_m)
        np.testing.assert_allclose(a.px["cam1"], b.px["cam1"])


@pytest.mark.parametrize("text", ["", "camera,x\ncam1,2\n", '{"points": [{"px": {"cam1": [1]}}]}', "{"])
def test_a_file_that_is_no_list_of_points_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(text, "utf-8")
    with pytest.raises(InputError) as error:
        read_points(tmp_path / "p.csv")
    assert error.value.code == "world-points-unreadable"
