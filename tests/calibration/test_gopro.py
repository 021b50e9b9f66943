"""GoPro presets, and what GoPro files say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration.gopro import gopro_lens, read_settings, recorded_lens, require_unstabilised
from mocap.core.camera import LensModel
from mocap.core.errors import InputError


def test_a_profile_is_scaled_to_the_picture() -> None:
    full, half = gopro_lens("gopro:hero10:linear", (5312, 2988)), gopro_lens("gopro:hero10:linear", (2656, 1494))
    assert full.intrinsics.model is LensModel.FISHEYE
    assert full.intrinsics.focal_px[0] == pytest.approx(2532.6, abs=0.1)
    assert np.allclose(half.intrinsics.focal_px * 2, full.intrinsics.focal_px)
    # Pixel centres: the middle of the picture is (size - 1) / 2.
    offset = [g.intrinsics.center_px - (np.array(g.intrinsics.size_px) - 1) / 2 for g in (full, half)]
    assert np.allclose(offset[1] * 2, offset[0])
    assert full.diagnostics == ()


def test_spelling_of_the_model_does_not_matter() -> None:
    a = gopro_lens("gopro:GoPro HERO10 Black:Max-Lens", (2704, 1520))
    b = gopro_lens("gopro:hero10:max lens", (2704, 1520))
    assert np.allclose(a.intrinsics.focal_px, b.intrinsics.focal_px)


def test_unstabilised_profiles_come_first() -> None:
    assert "stabilisation off" in gopro_lens("gopro:hero10:narrow", (1920, 1080)).source


def test_a_mode_without_profile_is_taken_from_the_nearest_generation_and_said_so() -> None:
    lens = gopro_lens("gopro:hero12:linear", (1920, 1080))
    assert [d.code for d in lens.diagnostics] == ["gopro-lens-of-other-model"]
    assert "hero11" in lens.source
    # A real HERO12 in this mode: 918 px (f-fraysse/Go2Kin).
    assert lens.intrinsics.focal_px[0] == pytest.approx(918, rel=0.01)
    assert lens.sd[0] > 2 * gopro_lens("gopro:hero11:linear", (1920, 1080)).sd[0]


def test_another_aspect_is_said_so() -> None:
    codes = [d.code for d in gopro_lens("gopro:hero8:linear", (1000, 1000)).diagnostics]
    assert codes == ["gopro-lens-of-other-aspect"]


def test_a_portrait_picture_is_the_turned_lens() -> None:
    upright, turned = gopro_lens("gopro:hero10:wide", (1080, 1920)), gopro_lens("gopro:hero10:wide", (1920, 1080))
    assert np.allclose(upright.intrinsics.focal_px, turned.intrinsics.focal_px[::-1])


@pytest.mark.parametrize("text", ["gopro:hero10", "gopro:foo:wide", "gopro:hero10:spherical", "canon:r5:wide"])
def test_an_unknown_lens_lists_the_known(text: str) -> None:
    with pytest.raises(InputError) as error:
        gopro_lens(text, (1920, 1080))
    assert error.value.code == "gopro-lens-unknown"


def test_a_stabilised_file_is_refused(shared: Callable[[str], Path]) -> None:
    video = shared("data/gopro/gpmf-parser") / "hero7.mp4"
    settings = read_settings(video)
    assert settings is not None
    assert (settings.model, settings.mode, settings.stabilisation) == ("HERO7 Black", "wide", "HS EIS")
    with pytest.raises(InputError, match="HERO7 Black HS EIS") as error:
        require_unstabilised({"cam1": video})
    assert error.value.code == "video-stabilised"


def test_the_preset_that_a_file_names_is_found(shared: Callable[[str], Path]) -> None:
    text = recorded_lens(shared("data/gopro/gpmf-parser") / "hero7.mp4")
    assert text == "gopro:hero7black:wide"
    assert "hero7" in gopro_lens(text, (1920, 1080)).source.lower()


def test_a_file_that_names_no_preset_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"not a video")
    with pytest.raises(InputError, match=r"x\.mp4") as error:
        recorded_lens(tmp_path / "x.mp4")
    assert error.value.code == "gopro-lens-unknown"


def test_a_file_without_settings_passes(shared: Callable[[str], Path], tmp_path: Path) -> None:
    require_unstabilised({"cam1": shared("data/virtual_shoot/floor") / "gp1.mp4"})
    (tmp_path / "x.mp4").write_bytes(b"not a video")
    assert read_settings(tmp_path / "x.mp4") is None
