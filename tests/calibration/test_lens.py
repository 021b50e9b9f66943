"""One lens from views of a board."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.board import parse_board
from calibration.board_views import BoardViews
from calibration.lens import LensResult, calibrate_lens
from calibration.lens_prior import LensPrior, preset_findings
from mocap.core.camera import Camera, CameraRig, Intrinsics, LensModel
from mocap.core.errors import InputError
from mocap.synth.board import shoot_board
from mocap.synth.rig import look_at

BOARD = parse_board("charuco:7x5:square=0.1:marker=0.075:dict=4X4_50")


def views_of(lens: Intrinsics, n_frames: int = 89, radius_m: float = 0.7, seed: int = 2) -> BoardViews:
    """Return one camera's views of a board carried in front of it."""
    R, t = look_at(np.array([2.2, 0.3, 1.3]), np.array([0.0, 0.0, 1.2]))
    rig = CameraRig((Camera("cam1", lens, R, t),))
    xy = shoot_board(rig, BOARD.corners_m, n_frames, np.random.default_rng(seed), radius_m=radius_m).xy_px
    time_s = np.arange(n_frames)[None] / 10.0
    return BoardViews(BOARD, ("cam1",), (lens.size_px,), xy, time_s, np.full((1, n_frames), 0.5), np.zeros(1, bool))


def lens(distortion: list[float], model: LensModel = LensModel.BROWN, focal: float = 1000.0) -> Intrinsics:
    """Return a full HD lens."""
    return Intrinsics(
        (1920, 1080), np.array([focal, focal * 1.001]), np.array([949.0, 551.0]), np.array(distortion), model
    )


@pytest.fixture(scope="module")
def brown() -> tuple[Intrinsics, LensResult]:
    """A lens with distortion and its calibration."""
    truth = lens([-0.22, 0.06, 0.0008, -0.0005, -0.005])
    return truth, calibrate_lens(views_of(truth))


def test_a_distorted_lens_is_found_within_its_uncertainty(brown: tuple[Intrinsics, LensResult]):
    truth, result = brown
    assert result.intrinsics.model is LensModel.BROWN
    sd = np.sqrt(np.diag(result.covariance))
    gap = np.abs(result.intrinsics.focal_px - truth.focal_px)
    assert (gap < 4 * sd[:2]).all()
    assert (gap / truth.focal_px < 0.006).all()


def test_the_choice_of_model_is_reported_with_its_evidence(brown: tuple[Intrinsics, LensResult]):
    _, result = brown
    assert set(result.held_out_px) == {"pinhole", "brown", "fisheye"}
    assert result.held_out_px["brown"] < result.held_out_px["pinhole"]
    assert "lens-model-chosen" in {d.code for d in result.diagnostics}


def test_a_lens_without_distortion_is_a_pinhole():
    result = calibrate_lens(views_of(lens([0.0] * 5)))
    assert not result.intrinsics.distortion.any()


def test_a_wide_fisheye_is_recognised():
    truth = lens([0.05, -0.02, 0.01, -0.003], LensModel.FISHEYE, 480.0)
    result = calibrate_lens(views_of(truth, 151, radius_m=1.6))
    assert result.intrinsics.model is LensModel.FISHEYE
    assert abs(result.intrinsics.focal_px[0] / 480.0 - 1) < 0.02


def test_a_preset_is_a_prior_that_the_board_refines(brown: tuple[Intrinsics, LensResult]):
    truth, result = brown
    prior = result.prior
    off = replace(prior, intrinsics=replace(prior.intrinsics, focal_px=truth.focal_px * 1.004))
    again = calibrate_lens(views_of(truth, seed=5), prior=off)
    assert abs(again.intrinsics.focal_px[0] / truth.focal_px[0] - 1) < 0.004


def test_a_preset_of_another_lens_mode_is_said_with_both_values():
    size_px, brown = (1920, 1080), np.zeros(5)
    sd = np.array([10.0, 10.0, 20.0, 20.0, *[0.05] * 5])
    preset = LensPrior(Intrinsics(size_px, np.array([1000.0, 1000.0]), np.array([960.0, 540.0]), brown), sd)
    seen = replace(preset.intrinsics, focal_px=np.array([1200.0, 1200.0]))
    (finding,) = preset_findings({"a": preset, "b": preset.intrinsics}, {"a": (seen, 3.0), "b": (seen, 3.0)})
    assert finding.code == "lens-preset-contradicted"
    assert (finding.data["preset_focal_px"], finding.data["focal_px"]) == (1000.0, 1200.0)
    near = replace(preset.intrinsics, focal_px=np.array([1030.0, 1030.0]))
    assert preset_findings({"a": preset}, {"a": (near, 3.0)}) == []


def test_what_frontal_views_cannot_tell_is_held_and_named():
    """A few views, nearly alike, in the middle of the picture: nothing of the distortion can be seen."""
    truth = lens([0.0] * 5)
    views = views_of(truth, 61, radius_m=0.05)
    few = views.at_frames(np.flatnonzero(views.is_seen[0].sum(-1) > 10)[:6])
    result = calibrate_lens(few, "brown")
    assert not result.is_free.all()
    assert "lens-parameters-held" in {d.code for d in result.diagnostics}


@pytest.mark.parametrize(
    ("n", "model", "code"), [(3, "auto", "lens-too-few-views"), (89, "cubic", "lens-model-unknown")]
)
def test_what_cannot_work_is_an_error(n: int, model: str, code: str):
    with pytest.raises(InputError) as caught:
        calibrate_lens(views_of(lens([0.0] * 5), n), model)
    assert caught.value.code == code
