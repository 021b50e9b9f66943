"""The overlay video."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.analysis.confidence import confidence
from mocap.analysis.draw import draw_figure
from mocap.analysis.figure import stick_figure
from mocap.analysis.footage import apply_map, compose, grab_frames, scaling
from mocap.analysis.overlay import write_overlay
from mocap.analysis.reprojection import reprojections
from mocap.core.errors import InputError, SetupError
from mocap.core.keypoints import Points3D, Source, keypoint_set_names, load_keypoint_set
from mocap.media.decode import frames
from mocap.media.probe import probe


def test_the_overlay_tiles_all_views_at_the_takes_rate(take, footage, tmp_path):
    out = write_overlay(tmp_path / "overlay.mp4", take, footage(take))
    info = probe(out)
    # Five 320 x 180 views: three columns, two rows, and the legend beneath.
    assert info.size_px == (960, 360 + 44)
    assert info.n_frames == 7
    assert info.fps == take.motion.timeline.fps


def test_bones_are_drawn_where_the_lens_puts_them(take, footage, tmp_path):
    write_overlay(tmp_path / "overlay.mp4", take, footage(take))
    picture = next(f.rgb for f in frames(tmp_path / "overlay.mp4") if f.index == 3)
    names = take.detections.keypoint_set.names
    for c in (0, 1, 2):
        knee, ankle = reprojections(take, take.keypoints)[c, 3, [names.index("LKnee"), names.index("LAnkle")]]
        x, y = apply_map(scaling((1280, 720), (320, 180)), (knee + ankle) / 2)
        red, green, _ = picture[round(y), 320 * c + round(x)].astype(int)
        assert green > red + 50


def test_a_shift_between_calibration_and_footage_moves_the_drawing(take, footage, tmp_path):
    videos = {"cam1": footage(take)["cam1"]}
    shifted = compose(scaling((1280, 720), (320, 180)), np.array([[1.0, 0, 0], [0, 1.0, 40.0]]))
    write_overlay(tmp_path / "a.mp4", take, videos)
    write_overlay(tmp_path / "b.mp4", take, videos, pixel_maps={"cam1": shifted})
    a, b = (next(frames(tmp_path / name)).rgb.astype(int) for name in ("a.mp4", "b.mp4"))
    rows_a, rows_b = (np.flatnonzero((np.ptp(x[30:180], axis=2) > 40).any(1)) for x in (a, b))
    assert 36 <= rows_b.min() - rows_a.min() <= 44


def test_a_camera_without_footage_at_an_instant_shows_that(take, footage, tmp_path):
    from dataclasses import replace

    from mocap.core.keypoints import Keypoints2D

    d, time = take.detections, np.array(take.detections.time_s)
    time[1] += 10.0
    late = replace(take, detections=Keypoints2D(d.keypoint_set, d.camera_names, d.xy_px, d.score, time))
    videos = footage(take)
    write_overlay(tmp_path / "overlay.mp4", late, {n: videos[n] for n in ("cam1", "cam2")})
    picture = next(frames(tmp_path / "overlay.mp4")).rgb
    assert picture[100:170, 330:].mean() < 30 < picture[100:170, :310].mean()


def test_footage_of_a_camera_that_the_take_lacks_is_an_error(take, footage, tmp_path):
    videos = {"cam9": footage(take)["cam1"]}
    with pytest.raises(InputError, match="cam9") as caught:
        write_overlay(tmp_path / "overlay.mp4", take, videos)
    assert caught.value.code == "overlay-unknown-camera"


def test_no_footage_is_an_error(take, tmp_path):
    with pytest.raises(InputError) as caught:
        write_overlay(tmp_path / "overlay.mp4", take, {})
    assert caught.value.code == "overlay-no-footage"


def test_an_overlay_that_cannot_be_written_leaves_nothing(take, footage, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SetupError) as caught:
        write_overlay(tmp_path / "file" / "overlay.mp4", take, footage(take))
    assert caught.value.code == "output-not-writable"


def test_single_frames_are_grabbed_out_of_order_and_past_the_end(take, footage):
    video = footage(take)["cam1"]
    got = grab_frames(video, [6, 2, 99, -1])
    every = {f.index: f.rgb for f in frames(video)}
    assert sorted(got) == [2, 6]
    assert all(np.array_equal(got[i], every[i]) for i in got)


def test_frames_far_into_a_video_are_reached_by_seeking(new_take, footage):
    video = footage(new_take(n_frames=199, n_cameras=2))["cam1"]
    every = {f.index: f.rgb for f in frames(video)}
    got = grab_frames(video, [3, 131, 197])
    assert all(np.array_equal(got[i], every[i]) for i in (3, 131, 197))


@pytest.mark.parametrize("name", [n for n in keypoint_set_names() if n != "hand21"])
def test_every_keypoint_set_has_a_connected_body(name):
    keypoint_set = load_keypoint_set(name)
    figure = stick_figure(keypoint_set)
    reached, edges = {keypoint_set.index("LAnkle")}, list(figure.edges)
    for _ in range(len(edges)):
        reached |= {i for e in edges if reached & set(e) for i in e}
    assert {keypoint_set.index(k) for k in ("RAnkle", "LWrist", "RWrist", "RHip")} <= reached
    sides = dict(zip(keypoint_set.landmarks, figure.node_sides, strict=True))
    assert (sides["LKnee"], sides["RKnee"]) == ("L", "R")


@pytest.mark.parametrize("name", [n for n in keypoint_set_names() if n != "hand21"])
def test_the_neck_and_the_head_are_drawn(name):
    keypoint_set = load_keypoint_set(name)
    figure = stick_figure(keypoint_set)
    # A middle lies on the line between its two keypoints.
    to_middles = [(k, len(keypoint_set) + m) for m, pair in enumerate(figure.middles) for k in pair]
    edges = [*figure.edges, *figure.middle_edges, *to_middles]
    reached = {keypoint_set.index("LElbow")}
    for _ in edges:
        reached |= {i for e in edges if reached & set(e) for i in e}
    assert reached & {keypoint_set.index("Nose"), keypoint_set.index("Head")}


def test_a_neck_is_drawn_between_the_middles_of_shoulders_and_ears():
    keypoint_set = load_keypoint_set("blazepose33")
    xy_px = np.full((len(keypoint_set), 2), np.nan)
    for name, at in (("LShoulder", (30, 80)), ("RShoulder", (70, 80)), ("LEar", (40, 20)), ("REar", (60, 20))):
        xy_px[keypoint_set.index(name)] = at
    picture = np.zeros((100, 100, 3), np.uint8)
    draw_figure(picture, stick_figure(keypoint_set), xy_px, np.ones(len(keypoint_set)), 3.0)
    assert picture[50, 50].tolist() == [55, 200, 113]


def test_confidence_falls_with_sigma_and_is_capped_by_source(take):
    k = take.keypoints
    sigma, source = np.array(k.sigma_m), np.array(k.source)
    sigma[0, :3] = 0.0, 0.04, 0.4
    sigma[1, :3] = 0.0
    source[1, :2] = Source.INTERPOLATED, Source.SOLVED
    value = confidence(Points3D(k.keypoint_set, k.time_s, k.xyz_m, sigma, source))
    assert np.allclose(value[0, :3], [1.0, 0.5, 1 / 101])
    assert np.allclose(value[1, :3], [0.5, 0.3, 1.0])
