"""RTMPose without its weights: crops, SimCC, following, batches, on models made for the purpose."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from mocap.core.errors import SetupError
from mocap.media.encode import write_video
from mocap.media.picture import Developer
from mocap.media.probe import probe
from mocap.pose2d.batching import Batcher
from mocap.pose2d.cards import load_card
from mocap.pose2d.crops import Crops
from mocap.pose2d.estimator import detect_video, detect_videos
from mocap.pose2d.following import KEY_INTERVAL_S, MAX_BUFFER_BYTES, frames_between
from mocap.pose2d.onnx_model import OnnxModel
from mocap.pose2d.rtmo import Rtmo
from mocap.pose2d.rtmpose import RtmPose
from mocap.pose2d.simcc import decode_simcc, mirrored_back
from mocap.pose2d.topdown_crop import Window, cut, image_points, window_from_box

Maker = Callable[[Path, int], Path]
Fixed = Callable[[Path, dict[str, np.ndarray]], Path]
SIZE = (192, 256)


def spot(x: int, y: int, shape: tuple[int, int] = (480, 640)) -> np.ndarray:
    picture = np.zeros((*shape, 3), np.uint8)
    picture[y - 4 : y + 5, x - 4 : x + 5, 0] = 120
    picture[y - 1 : y + 2, x - 1 : x + 2, 0] = 250
    return picture


def moving(tmp_path: Path, n: int = 23) -> tuple[Path, np.ndarray]:
    """Return a video of a spot, and where it is."""
    at = np.stack([200 + 7 * np.arange(n), 240 - 3 * np.arange(n)], axis=-1)
    return write_video(tmp_path / "cam1.mp4", (spot(*p) for p in at), Fraction(30), (640, 480)), at


def around(rgb: np.ndarray, _score: float) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.unravel_index(rgb[:, :, 0].argmax(), rgb.shape[:2])
    return np.array([[x - 60, y - 90, x + 70, y + 100]], np.float32), np.array([0.9], np.float32)


# --- crops and decoding -----------------------------------------------------------------------------------------------


def test_a_box_grows_by_a_quarter_and_to_the_inputs_shape() -> None:
    window = window_from_box(np.array([100, 50, 140, 250]), SIZE)
    np.testing.assert_allclose(window.center_px, (120, 150))
    np.testing.assert_allclose(window.size_px, (187.5, 250))
    np.testing.assert_allclose(window_from_box(np.array([0, 0, 300, 100]), SIZE).size_px, (375, 500))


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.9])
def test_a_point_in_the_crop_is_found_again_in_the_picture(angle: float) -> None:
    window = Window(np.array([310, 220], np.float32), np.array([210, 280], np.float32), angle)
    crop = cut(spot(333, 251), window, SIZE)
    y, x = np.argwhere(crop[:, :, 0] > 200).mean(0)
    np.testing.assert_allclose(image_points(np.array([x, y]), window, SIZE), (333, 251), atol=0.6)


def test_a_turned_crop_has_the_persons_up_at_its_top() -> None:
    window = Window(np.array([310, 220], np.float32), np.array([210, 280], np.float32), np.pi / 2)
    top = image_points(np.array([96, 0]), window, SIZE)
    np.testing.assert_allclose(top, (310 + 140, 220), atol=1e-4)


def test_outside_the_picture_is_black() -> None:
    crop = cut(np.full((50, 60, 3), 255, np.uint8), window_from_box(np.array([-100, -100, -10, -10]), SIZE), SIZE)
    assert not crop[:20].any()


def test_simcc_is_the_highest_bin_and_the_smaller_maximum() -> None:
    x, y = np.zeros((1, 3, 384), np.float32), np.zeros((1, 3, 512), np.float32)
    x[0, 0, 101], y[0, 0, 40] = 0.9, 0.6
    x[0, 1, 3], y[0, 1, 511] = 0.2, 0.8
    xy, score = decode_simcc(x, y, 2.0)
    np.testing.assert_allclose(xy[0, :2], [(50.5, 20), (1.5, 255.5)])
    np.testing.assert_allclose(score[0], (0.6, 0.2, 0))
    assert np.isnan(xy[0, 2]).all()


def test_the_flip_test_exchanges_sides_and_columns() -> None:
    x, y = np.arange(12, dtype=np.float32).reshape(1, 3, 4), np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    back_x, back_y = mirrored_back(x, y, (0, 2, 1))
    np.testing.assert_array_equal(back_x[0, 1], x[0, 2, ::-1])
    np.testing.assert_array_equal(back_y[0], y[0, [0, 2, 1]])


# --- the estimator ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip_test", [False, True])
def test_a_person_is_followed_between_detections(simcc_model: Maker, tmp_path: Path, flip_test: bool) -> None:
    video, at = moving(tmp_path)
    calls = []

    def people(rgb: np.ndarray, score: float) -> tuple[np.ndarray, np.ndarray]:
        calls.append(1)
        return around(rgb, score)

    file = simcc_model(tmp_path / "model.onnx", 17)
    model = RtmPose(load_card("rtmpose-m-body17"), file, people, "", device="cpu", flip_test=flip_test)
    found = detect_video(video, model)
    assert found.n_persons == 1
    assert len(calls) == 6  # every fifth of 23 frames, and the last
    error = np.abs(found.xy_px[:, 0] - at[:, None]).max()
    assert error < 3.5
    assert (found.score > 0).all()
    assert not [t for t in threading.enumerate() if t.name.startswith("mocap-infer")]


def test_cameras_together_are_as_each_alone(simcc_model: Maker, tmp_path: Path) -> None:
    video, _ = moving(tmp_path)
    model = RtmPose(load_card("rtmpose-m-halpe26"), simcc_model(tmp_path / "m.onnx", 26), around, "", device="cpu")
    alone = detect_video(video, model)
    both = detect_videos({"a": video, "b": video}, model)
    assert both["a"].keypoint_set.name == "halpe26"
    np.testing.assert_array_equal(both["a"].xy_px, alone.xy_px)
    np.testing.assert_array_equal(both["b"].xy_px, alone.xy_px)


def test_given_crops_are_looked_into_turned_or_not(simcc_model: Maker, tmp_path: Path) -> None:
    video, at = moving(tmp_path)
    centers = np.stack([at + 10, at - 20, at * np.nan], axis=1)
    crops = Crops(centers, np.full((23, 3), 190.0), np.broadcast_to([0.0, 2.1, 0.0], (23, 3)))
    model = RtmPose(load_card("rtmpose-m-body17"), simcc_model(tmp_path / "m.onnx", 17), around, "", device="cpu")
    found = detect_video(video, model, crops=crops)
    assert found.n_persons == 3
    assert np.abs(found.xy_px[:, :2] - at[:, None, None]).max() < 3.5
    assert np.isnan(found.xy_px[:, 2]).all()


def test_someone_whom_the_detector_loses_is_followed_until_the_keypoints_fade(
    simcc_model: Maker, tmp_path: Path
) -> None:
    video, at = moving(tmp_path)

    def only_first(rgb: np.ndarray, score: float, seen: list[int] = []) -> tuple[np.ndarray, np.ndarray]:  # noqa: B006
        seen.append(1)
        boxes, scores = around(rgb, score)
        return (boxes, scores) if len(seen) == 1 else (boxes[:0], scores[:0])

    model = RtmPose(load_card("rtmpose-m-body17"), simcc_model(tmp_path / "m.onnx", 17), only_first, "", device="cpu")
    found = detect_video(video, model)
    assert found.n_persons == 1
    # All keypoints of this model lie in one spot: the box shrinks onto it, but stays with it for a while.
    assert np.abs(found.xy_px[:10, 0] - at[:10, None]).max() < 4


@pytest.mark.parametrize(("pixel_format", "bytes_per_px"), [("yuv420p", 3), ("yuv444p10le", 6)])
def test_no_more_is_kept_between_detections_than_memory_allows(
    tmp_path: Path, pixel_format: str, bytes_per_px: int
) -> None:
    info = probe(moving(tmp_path, 3)[0])
    small, large = (Developer().picture(VideoFrame(*size, pixel_format)) for size in ((640, 480), (3840, 2160)))
    assert frames_between(info, small) == round(30 * KEY_INTERVAL_S)
    fast = dataclasses.replace(info, fps=Fraction(120))
    assert frames_between(fast, large) == MAX_BUFFER_BYTES // (3840 * 2160 * bytes_per_px)


def test_a_video_with_nobody_in_it_says_so(simcc_model: Maker, tmp_path: Path) -> None:
    video, _ = moving(tmp_path)

    def nobody(_rgb: np.ndarray, _score: float) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)

    model = RtmPose(load_card("rtmpose-m-body17"), simcc_model(tmp_path / "m.onnx", 17), nobody, "", device="cpu")
    found = detect_video(video, model)
    assert found.n_persons == 0
    assert [d.code for d in found.diagnostics] == ["nobody-found"]


def test_a_model_with_other_outputs_than_its_card_is_refused(simcc_model: Maker, tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        RtmPose(load_card("rtmpose-m-halpe26"), simcc_model(tmp_path / "m.onnx", 17), around, "", device="cpu")
    assert caught.value.code == "model-outputs-differ"
    assert "simcc_x [26 384]" in caught.value.message
    assert "simcc_x [17 384]" in caught.value.message


def test_the_identity_tells_weights_and_settings_apart(simcc_model: Maker, tmp_path: Path) -> None:
    file = simcc_model(tmp_path / "m.onnx", 17)
    card = load_card("rtmpose-m-body17")
    plain, flipped = (RtmPose(card, file, around, "d", device="cpu", flip_test=f).identity for f in (False, True))
    assert plain.weights_sha256[1] == "d"
    assert len(plain.weights_sha256[0]) == 64
    assert plain != flipped


def test_an_error_of_the_model_reaches_whoever_waits() -> None:
    def fail(_items: list[int]) -> list[int]:
        raise ValueError("broken")

    with Batcher(fail, 2, 3) as batcher:
        answers = [batcher.submit(i) for i in range(7)]
        for answer in answers:
            with pytest.raises(ValueError, match="broken"):
                answer.result(timeout=5)


# --- what the model is given ------------------------------------------------------------------------------------------


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Copies of the blobs that the model is given, in order; it answers as ever."""
    blobs: list[np.ndarray] = []
    real = OnnxModel.__call__

    def recorded(model: OnnxModel, blob: np.ndarray) -> list[np.ndarray]:
        blobs.append(blob.copy())
        return real(model, blob)

    monkeypatch.setattr(OnnxModel, "__call__", recorded)
    return blobs


def noise(n: int, seed: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (n, 256, 192, 3), np.uint8))


def normalised(crops: list[np.ndarray]) -> np.ndarray:
    """[crop channel height width], as OpenMMLab's pipeline has it, in float64."""
    card = load_card("rtmpose-m-body17")
    rgb = np.stack(crops).astype(np.float64)
    return ((rgb - np.array(card["mean_rgb"])) / np.array(card["std_rgb"])).transpose(0, 3, 1, 2)


def test_the_model_is_given_normalised_rgb_whatever_a_batch_before_left(
    simcc_model: Maker, tmp_path: Path, given: list[np.ndarray]
) -> None:
    model = RtmPose(load_card("rtmpose-m-body17"), simcc_model(tmp_path / "m.onnx", 17), around, "", device="cpu")
    batches = [noise(n, seed) for seed, n in enumerate((2, 5, 1, 3))]
    for crops in batches:
        assert len(model.crops(crops)) == len(crops)
    assert [len(blob) for blob in given] == [2, 5, 1, 3]
    for blob, crops in zip(given, batches, strict=True):
        assert blob.dtype == np.float32
        np.testing.assert_allclose(blob, normalised(crops), atol=1e-5)


def test_two_threads_at_once_have_blobs_of_their_own(
    simcc_model: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[np.ndarray]
) -> None:
    model = RtmPose(load_card("rtmpose-m-body17"), simcc_model(tmp_path / "m.onnx", 17), around, "", device="cpu")
    both, recorded = threading.Barrier(2), OnnxModel.__call__

    def once_both_are_filled(model: OnnxModel, blob: np.ndarray) -> list[np.ndarray]:
        both.wait(timeout=10)
        return recorded(model, blob)

    monkeypatch.setattr(OnnxModel, "__call__", once_both_are_filled)
    batches = [noise(2, 11), noise(2, 12)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(model.crops, batches))
    # In either order: each thread's own crops, once.
    same = [[np.allclose(blob, normalised(crops), atol=1e-5) for crops in batches] for blob in given]
    assert sorted(same) == [[False, True], [True, False]]


# --- one stage ----------------------------------------------------------------------------------------------------


def rtmo_answer() -> dict[str, np.ndarray]:
    dets = np.zeros((1, 3, 5), np.float32)
    dets[0] = [[100, 50, 200, 350, 0.9], [104, 52, 204, 352, 0.7], [400, 60, 480, 300, 0.8]]
    points = np.zeros((1, 3, 17, 3), np.float32)
    points[0, :, :, 0] = [[150], [152], [440]]
    points[0, :, :, 1] = np.linspace(60, 290, 17)
    points[0, :, :, 2] = 0.8
    points[0, 2, 5, 2] = 0
    return {"dets": dets, "keypoints": points}


def test_rtmo_gives_every_person_once_in_the_pictures_pixels(fixed_model: Fixed, tmp_path: Path) -> None:
    model = Rtmo(load_card("rtmo-s"), fixed_model(tmp_path / "rtmo.onnx", rtmo_answer()), device="cpu")
    video = write_video(tmp_path / "v.mp4", (np.zeros((160, 320, 3), np.uint8),) * 7, Fraction(25), (320, 160))
    found = detect_video(video, model)
    assert found.n_persons == 2
    np.testing.assert_allclose(found.xy_px[:, 0, 0], np.broadcast_to((75, 30), (7, 2)), atol=1e-3)
    np.testing.assert_allclose(found.xy_px[:, 1, 16], np.broadcast_to((220, 145), (7, 2)), atol=1e-3)
    assert np.isnan(found.xy_px[:, 1, 5]).all()


def test_rtmo_keeps_the_person_of_each_given_crop(fixed_model: Fixed, tmp_path: Path) -> None:
    model = Rtmo(load_card("rtmo-s"), fixed_model(tmp_path / "rtmo.onnx", rtmo_answer()), device="cpu")
    video = write_video(tmp_path / "v.mp4", (np.zeros((160, 320, 3), np.uint8),) * 5, Fraction(25), (320, 160))
    centers = np.broadcast_to(np.array([[225.0, 90.0], [10.0, 10.0]]), (5, 2, 2))
    found = detect_video(video, model, crops=Crops(centers, np.full((5, 2), 60.0), np.zeros((5, 2))))
    assert found.n_persons == 2
    np.testing.assert_allclose(found.xy_px[:, 0, 0, 0], 220, atol=1e-3)
    assert np.isnan(found.xy_px[:, 1]).all()
