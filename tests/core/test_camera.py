"""Cameras are valid or do not exist."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from mocap.core.camera import Camera, CameraRig, Intrinsics, LensModel
from mocap.core.errors import InputError


def lens(**changes: object) -> Intrinsics:
    values: dict[str, object] = {
        "size_px": (1920, 1080),
        "focal_px": np.array([1500.0, 1490.0]),
        "center_px": np.array([961.0, 541.0]),
        "distortion": np.array([-0.1, 0.05, 0.001, -0.0005, 0.0]),
    }
    return Intrinsics(**(values | changes))  # pyright: ignore[reportArgumentType] - the point is to pass wrong values


QUARTER_TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def test_read_out_times_are_set_by_name_and_others_kept() -> None:
    known = Camera("a", lens(), np.eye(3), np.zeros(3), 0.008)
    rig = CameraRig((known, Camera("b", lens(), np.eye(3), np.zeros(3))))
    assert [c.readout_s for c in rig.with_readouts({"b": 0.016, "elsewhere": 0.02}).cameras] == [0.008, 0.016]
    assert rig.with_readouts({"a": None})["a"].readout_s is None


def test_the_matrix_holds_focal_lengths_and_centre() -> None:
    np.testing.assert_array_equal(lens().matrix, [[1500, 0, 961], [0, 1490, 541], [0, 0, 1]])


@pytest.mark.parametrize(
    "changes",
    [
        {"focal_px": np.array([1500.0, np.nan])},
        {"focal_px": np.array([-1500.0, 1490.0])},
        {"center_px": np.array([np.inf, 541.0])},
        {"size_px": (0, 1080)},
        {"distortion": np.zeros(4)},
        {"distortion": np.zeros(5), "model": LensModel.FISHEYE},
    ],
)
def test_a_lens_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"finite|expected shape"):
        lens(**changes)


def test_the_centre_is_the_point_that_the_camera_maps_to_zero() -> None:
    camera = Camera("cam1", lens(), QUARTER_TURN, np.array([0.3, -1.2, 4.0]))
    np.testing.assert_allclose(QUARTER_TURN @ camera.center_world_m + [0.3, -1.2, 4.0], 0, atol=1e-15)


@pytest.mark.parametrize(
    "R", [np.diag([1.0, 1.0, -1.0]), 1.001 * np.eye(3), np.full((3, 3), np.nan)], ids=["mirrored", "scaled", "nan"]
)
def test_extrinsics_that_are_no_rigid_motion_are_refused(R: np.ndarray) -> None:
    with pytest.raises(ValueError, match="camera left: extrinsics"):
        Camera("left", lens(), R, np.zeros(3))


def test_moving_a_camera_keeps_its_lens_and_the_original() -> None:
    camera = Camera("cam1", lens(), np.eye(3), np.zeros(3))
    moved = camera.with_extrinsics(QUARTER_TURN, np.ones(3))
    assert moved.intrinsics is camera.intrinsics
    np.testing.assert_array_equal(camera.t_cam_from_world_m, 0)


def test_arrays_cannot_be_changed_through_the_camera_or_behind_its_back() -> None:
    t = np.zeros(3)
    camera = Camera("cam1", lens(), np.eye(3), t)
    t[0] = 9.0
    assert camera.t_cam_from_world_m[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        camera.t_cam_from_world_m[0] = 1.0
    with pytest.raises(FrozenInstanceError):
        camera.name = "other"  # pyright: ignore[reportAttributeAccessIssue] - the point of the test


def test_a_rig_is_indexed_by_name_and_by_place() -> None:
    a, b = (Camera(n, lens(), np.eye(3), np.zeros(3)) for n in ("a", "b"))
    rig = CameraRig((a, b))
    assert (rig["b"], rig[0], len(rig), rig.names) == (b, a, 2, ("a", "b"))


def test_a_rig_can_be_put_in_the_order_of_names() -> None:
    a, b, c = (Camera(n, lens(), np.eye(3), np.zeros(3)) for n in "abc")
    assert CameraRig((a, b, c)).in_order(["c", "a"]).cameras == (c, a)


def test_a_camera_that_a_rig_lacks_is_named() -> None:
    rig = CameraRig((Camera("a", lens(), np.eye(3), np.zeros(3)),))
    with pytest.raises(InputError, match="camera b, which the rig lacks; it has a") as caught:
        rig.in_order(["a", "b"])
    assert caught.value.code == "rig-camera-missing"


def test_two_cameras_of_one_name_are_refused() -> None:
    a = Camera("a", lens(), np.eye(3), np.zeros(3))
    with pytest.raises(ValueError, match="unique"):
        CameraRig((a, a))
