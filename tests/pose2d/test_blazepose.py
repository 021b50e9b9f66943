"""BlazePose: what its tensors mean, and what it finds on real footage."""

from __future__ import annotations

import hashlib
import itertools
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mocap.core.errors import SetupError
from mocap.core.keypoints import load_keypoint_set
from mocap.core.progress import NoProgress
from mocap.media import packages
from mocap.media.decode import frames
from mocap.media.packages import MEDIAPIPE_POSE, fetch
from mocap.media.picture import Picture
from mocap.media.probe import VideoInfo, probe
from mocap.pose2d import blazepose
from mocap.pose2d.blazepose import BlazePose
from mocap.pose2d.blazepose_decode import (
    averaged,
    decode_landmarks,
    decode_people,
    detector_anchors,
    mirrored_back,
    refine_on_heatmaps,
    sigmoid,
)
from mocap.pose2d.cards import card_names, load_card
from mocap.pose2d.crops import Crops, crops_from_keypoints

N = 11


@pytest.fixture(scope="session")
def model() -> BlazePose:
    try:
        return BlazePose()
    except SetupError as error:
        if error.code != "download-failed":
            raise
        pytest.skip("needs the network once: BlazePose's weights are not in the cache")


@pytest.fixture(scope="session")
def footage(shared: Callable[[str], Path]) -> VideoInfo:
    return probe(shared("data/pose2sim_demo/SinglePerson/videos") / "cam03.mp4")


@pytest.fixture(scope="session")
def found(model: BlazePose, footage: VideoInfo) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and scores of the first frames, people followed by the detector."""
    return model.estimate(itertools.islice(frames(footage.path, footage), N), footage)


# --- tensors ----------------------------------------------------------------------------------------------------------


def test_anchors_cover_the_window_cell_by_cell() -> None:
    anchors = detector_anchors()
    assert anchors.shape == (2254, 2)
    np.testing.assert_allclose(anchors[0], (0.5 / 28, 0.5 / 28))
    np.testing.assert_allclose(anchors[2], (1.5 / 28, 0.5 / 28))
    np.testing.assert_allclose(anchors[-1], (6.5 / 7, 6.5 / 7))


def answers(at: dict[int, tuple[float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Raw detector output with people at anchors: index -> (hip x, hip y, logit), body circle of radius 0.2 above."""
    boxes, logits = np.zeros((2254, 12)), np.full(2254, -9.0)
    for k, (x, y, logit) in at.items():
        offset = 224 * (np.array([x, y]) - detector_anchors()[k])
        boxes[k] = np.concatenate([offset, [40, 40], offset, offset - (0, 0.2 * 224), np.zeros(4)])
        logits[k] = logit
    return boxes, logits


def test_neighbouring_answers_are_blended_into_one_person() -> None:
    hips, tops, scores = decode_people(*answers({900: (0.40, 0.5, 2.0), 902: (0.44, 0.5, 2.0)}), 0.5)
    np.testing.assert_allclose(hips, [[0.42, 0.5]])
    np.testing.assert_allclose(tops, [[0.42, 0.3]])
    np.testing.assert_allclose(scores, sigmoid(np.array([2.0])))


def test_people_apart_stay_apart_and_weak_answers_are_dropped() -> None:
    raw = answers({100: (0.2, 0.5, 1.0), 500: (0.8, 0.6, 3.0), 700: (0.5, 0.1, -1.0)})
    hips, _, scores = decode_people(*raw, 0.5)
    np.testing.assert_allclose(hips, [[0.8, 0.6], [0.2, 0.5]])
    assert scores[0] > scores[1]


def test_nobody_is_an_empty_answer() -> None:
    hips, tops, scores = decode_people(*answers({}), 0.5)
    assert (hips.shape, tops.shape, scores.shape) == ((0, 2), (0, 2), (0,))


def test_a_point_moves_to_the_peak_of_its_heatmap_nearby() -> None:
    maps = np.full((64, 64, 5), -20.0)
    maps[30, 21, 0] = maps[30, 22, 0] = 6.0
    maps[50, 50, 1] = 6.0  # too far away
    maps[30, 20, 2] = -1.0  # no peak
    maps[0, 0, 3] = 6.0
    start = np.array([[20.5, 31.5], [20.5, 31.5], [20.5, 31.5], [0.2, 0.2], [70.0, -8.0]]) / 64
    out, peak = refine_on_heatmaps(start, maps)
    np.testing.assert_allclose(out[0] * 64, (21.5, 30.0), atol=1e-4)
    np.testing.assert_allclose(out[1:3], start[1:3])
    np.testing.assert_allclose(out[3] * 64, (0, 0), atol=1e-4)
    np.testing.assert_allclose(out[4], start[4])
    np.testing.assert_allclose(peak, [*sigmoid(np.array([6.0, -20.0, -1.0, 6.0])), 0.0], atol=1e-9)


def test_a_point_is_as_sure_as_the_less_sure_of_both_answers() -> None:
    raw = np.zeros((39, 5))
    raw[:, :2] = 128.0
    raw[4, 3:] = 2.0, -1.0
    maps = np.full((64, 64, 39), 20.0)
    maps[..., 6] = -20.0
    maps[..., 7] = -2.0
    maps[32, 3, 7] = 20.0  # a peak, but not where the point is
    xy, score = decode_landmarks(raw, maps)
    np.testing.assert_allclose(xy[6:8], 0.5)
    assert score[4] == pytest.approx(sigmoid(np.array(2.0)) * sigmoid(np.array(-1.0)))
    assert score[5] == pytest.approx(0.25)
    assert score[6] == pytest.approx(0.0, abs=1e-8)
    assert score[7] == pytest.approx(sigmoid(np.array(-2.0)))


# --- cards and weights ------------------------------------------------------------------------------------------------


def test_cards_name_a_keypoint_set_a_licence_and_the_weights() -> None:
    assert "blazepose" in card_names()
    card = load_card("blazepose")
    assert len(load_keypoint_set(card["keypoint_set"])) == blazepose.N_POINTS
    assert (card["licence"], card["is_fallback"]) == ("Apache-2.0", True)
    assert len(card["landmarks"]["sha256"]) == 64


def test_an_unknown_card_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match="blazepose"):
        load_card("nonesuch")


def test_no_network_and_no_model_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCAP_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(SetupError) as caught:
        BlazePose()
    assert caught.value.code == "download-failed"
    assert "mediapipe==0.10.21" in caught.value.advice


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCAP_CACHE", str(tmp_path))
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for member in MEDIAPIPE_POSE.members[:2]:
            archive.writestr(member, b"not weights")
    monkeypatch.setattr(
        packages.WheelSource, "folder", property(lambda self: tmp_path / "wheels" / hashlib.md5(b"x").hexdigest())
    )
    packages._unpack(MEDIAPIPE_POSE, wheel)
    with pytest.raises(SetupError) as caught:
        BlazePose()
    assert caught.value.code == "model-damaged"


def test_weights_are_kept_for_work_without_network(model: BlazePose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert fetch(MEDIAPIPE_POSE, NoProgress()).is_dir()
    assert BlazePose().identity == model.identity
    assert model.is_fallback
    assert "fallback" in model.notice


# --- real footage -----------------------------------------------------------------------------------------------------


def test_the_performer_is_one_track_that_agrees_with_openpose(
    found: tuple[np.ndarray, np.ndarray], shared: Callable[[str], Path]
) -> None:
    xy, score = found
    assert xy.shape[1] == 1
    assert np.isfinite(xy[:N, 0]).all()
    assert np.isnan(xy[N:]).all()
    assert (score[N:] == 0).all()
    folder = shared("data/pose2sim_demo/openpose_body25b_2022/pose-2d/cam3_json")
    files = sorted(folder.glob("*.json"))
    blaze, body = load_keypoint_set("blazepose33"), load_keypoint_set("body_25b")
    limbs = ["LShoulder", "RShoulder", "LElbow", "RElbow", "LHip", "RHip", "LKnee", "RKnee", "LAnkle", "RAnkle"]
    distance = []
    for k in range(N - 1):  # frame k of the JSON is frame k + 1 of the video
        people = json.loads(files[k].read_text())["people"]
        points = np.reshape(people[0]["pose_keypoints_2d"], (25, 3))
        for name in limbs:
            theirs = points[body.index(name)]
            if theirs[2] > 0.5:
                distance.append(np.hypot(*(xy[k + 1, 0, blaze.index(name)] - theirs[:2])))
    assert len(distance) > 50
    assert np.median(distance) < 20.0  # of a body that is about 900 px tall
    assert np.percentile(distance, 90) < 50.0


def test_looking_again_in_crops_around_the_keypoints_finds_the_same(
    model: BlazePose, footage: VideoInfo, found: tuple[np.ndarray, np.ndarray]
) -> None:
    crops = crops_from_keypoints(found[0], model.keypoint_set)
    xy, _ = model.estimate(itertools.islice(frames(footage.path, footage), N), footage, crops)
    sure = found[1][:N] > 0.9
    # Crops around keypoints are tighter than the detector's: under 1 % of the body's 900 px.
    assert np.median(np.linalg.norm(xy[:N] - found[0][:N], axis=-1)[sure]) < 8.0
    assert np.isnan(xy[N:]).all()


def test_an_empty_room_has_nobody(model: BlazePose, footage: VideoInfo) -> None:
    wall = np.full((1920, 1088, 3), 120, np.uint8)
    blank = (f._replace(picture=Picture.of(wall)) for f in itertools.islice(frames(footage.path, footage), 3))
    xy, score = model.estimate(blank, footage)
    assert xy.shape == (100, 0, 33, 2)
    assert score.shape == (100, 0, 33)


def test_with_the_flip_test_a_mirrored_picture_has_the_mirrored_answer(footage: VideoInfo, model: BlazePose) -> None:
    del model  # its weights are here
    flipping = BlazePose(flip_test=True)
    assert "flip" in flipping.identity.runtime
    frame = next(iter(frames(footage.path, footage)))
    frame = frame._replace(picture=Picture.of(frame.rgb))
    last = footage.width_px - 1
    here = np.full((footage.n_frames, 1), np.nan)
    center, size, turn = np.repeat(here[..., None], 2, axis=-1), here.copy(), here.copy()
    center[0, 0], size[0, 0], turn[0, 0] = (540, 960), 1200, 0.1
    xy, score = flipping.estimate([frame], footage, Crops(center, size, turn))
    center[0, 0, 0] = last - 540
    mirrored = frame._replace(picture=Picture.of(np.ascontiguousarray(frame.rgb[:, ::-1])))
    other_xy, other_score = flipping.estimate([mirrored], footage, Crops(center, size, -turn))
    back = list(flipping.keypoint_set.mirror)
    np.testing.assert_allclose(other_xy[0, 0, back] * (-1, 1) + (last, 0), xy[0, 0], atol=1.5)
    np.testing.assert_allclose(other_score[0, 0, back], score[0, 0], atol=0.02)


def test_two_answers_are_averaged_by_their_scores() -> None:
    xy, score = averaged(np.array([[0.2, 0.4]]), np.array([0.9]), np.array([[0.6, 0.4]]), np.array([0.3]))
    np.testing.assert_allclose(xy, [[0.3, 0.4]])
    np.testing.assert_allclose(score, [0.6])
    points, scores = mirrored_back(np.array([[0.1, 0.5], [0.3, 0.6], [0.4, 0.7]]), np.array([0.1, 0.2, 0.3]), (1, 0))
    np.testing.assert_allclose(points, [[0.7, 0.6], [0.9, 0.5], [0.6, 0.7]])
    np.testing.assert_allclose(scores, [0.2, 0.1, 0.3])
