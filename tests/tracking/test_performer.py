"""Choosing the performer among people whose true identity is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from mocap.core.camera import Camera, CameraRig, Intrinsics
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D, load_keypoint_set
from mocap.kernels.projection import project
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.tracking.performer import choose_performer, viewing_middle_m

SET = load_keypoint_set("halpe26")
NONE = -1
Path = Callable[[np.ndarray], np.ndarray]
"""Times [frame] to floor positions [frame 2]."""

# Left arm up: mirroring or exchanged sides would not go unnoticed.
BODY = {
    "Nose": (0.10, 0.0, 1.60), "Head": (0.0, 0.0, 1.75), "Neck": (0.0, 0.0, 1.48), "Hip": (0.0, 0.0, 0.95),
    "LShoulder": (0.0, 0.20, 1.42), "RShoulder": (0.0, -0.20, 1.42), "LElbow": (0.05, 0.42, 1.60),
    "RElbow": (0.02, -0.26, 1.13), "LWrist": (0.08, 0.47, 1.86), "RWrist": (0.15, -0.25, 0.90),
    "LHip": (0.0, 0.11, 0.93), "RHip": (0.0, -0.11, 0.93), "LKnee": (0.06, 0.12, 0.50), "RKnee": (-0.02, -0.12, 0.50),
    "LAnkle": (0.0, 0.12, 0.08), "RAnkle": (-0.10, -0.12, 0.10),
}  # fmt: skip


@dataclass
class Scene:
    """Detections with the person behind each of them."""

    rig: CameraRig
    detections: Keypoints2D
    who: np.ndarray  # [camera frame listed] truth, -1 for nobody

    def right_share(self, index: np.ndarray, person: int) -> float:
        """Share of chosen detections that are this person's."""
        picked = np.take_along_axis(self.who, np.maximum(index, 0)[..., None], 2)[..., 0]
        return float((picked[index >= 0] == person).mean())


def make_rig(n: int = 5) -> CameraRig:
    """Return n cameras on a ring that look at a point one metre above the floor."""
    cameras = []
    for i in range(n):
        angle = 2 * np.pi * i / n + 0.2
        center = np.array([4.6 * np.cos(angle), 4.6 * np.sin(angle), 1.3 + 0.35 * i])
        z = np.array([0, 0, 1.0]) - center
        z /= np.linalg.norm(z)
        x = np.cross(z, [0, 0, 1.0])
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(z, x), z])
        lens = Intrinsics(
            (1280, 1024), np.array([800.0, 806.0]), np.array([641.0, 509.0]), np.array([-0.1, 0, 0, 0, 0])
        )
        cameras.append(Camera(f"cam{i}", lens, R, -R @ center))
    return CameraRig(tuple(cameras))


def person(path: Path, time_s: np.ndarray, liveliness: float, height: float = 1.0) -> np.ndarray:
    """Return keypoints [frame keypoint 3] of a body on a path, limbs swinging by `liveliness` metres."""
    body = np.full((len(SET), 3), np.nan)
    for name, place in BODY.items():
        body[SET.names.index(name)] = np.array(place) * height
    limb = np.array([0.2 if "Hip" in n or "Neck" in n else 1.0 for n in SET.names])[:, None]
    phase = np.arange(len(SET))[:, None] * np.array([0.7, 1.3, 2.1])
    swing = liveliness * limb * np.sin(6.0 * time_s[:, None, None] + phase)
    floor = np.concatenate([path(time_s), np.zeros((len(time_s), 1))], -1)
    return body + swing + floor[:, None]


def make_scene(people: list[np.ndarray], rig: CameraRig, visible: np.ndarray | None = None, fps: float = 30.0) -> Scene:
    """Return detections in random order with 3 px noise and 8 % gross errors. visible [person camera] bool."""
    rng = np.random.default_rng(11)
    n_people, n_frames = len(people), len(people[0])
    visible = np.ones((n_people, len(rig)), bool) if visible is None else visible
    xy = np.full((len(rig), n_frames, n_people, len(SET), 2), np.nan)
    who = np.full(xy.shape[:3], NONE)
    for c, camera in enumerate(rig.cameras):
        k = camera.intrinsics
        order = np.stack([rng.permutation(n_people) for _ in range(n_frames)])
        for p, points in enumerate(people):
            if visible[p, c]:
                cam = points @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
                pixels = project(cam, k.focal_px, k.center_px, k.distortion)
                xy[c, np.arange(n_frames), order[:, p]] = pixels + rng.normal(0, 3, pixels.shape)
                who[c, np.arange(n_frames), order[:, p]] = p
    gross = rng.random(xy.shape[:-1]) < 0.08
    xy[gross] += rng.normal(0, 80, (int(gross.sum()), 2))
    score = np.where(np.isfinite(xy).all(-1), 0.8, 0.0)
    times = np.tile(np.arange(n_frames) / fps, (len(rig), 1))
    return Scene(rig, Keypoints2D(SET, rig.names, xy, score, times), who)


TIME = np.arange(101) / 30.0


def circle(t: np.ndarray) -> np.ndarray:
    """Walk around the middle."""
    return np.stack([0.6 * np.cos(1.5 * t), 0.6 * np.sin(1.5 * t)], -1)


def standing(x: float, y: float) -> Path:
    """Stay at one place."""
    return lambda t: np.tile([x, y], (len(t), 1)).astype(float)


def test_the_person_who_moves_is_chosen_over_one_who_stands_still() -> None:
    scene = make_scene([person(standing(0.9, -0.8), TIME, 0.0), person(circle, TIME, 0.1)], make_rig())
    choice = choose_performer(scene.detections, scene.rig)
    assert scene.right_share(choice.index, 1) > 0.99
    assert (choice.index >= 0).mean() > 0.97
    assert choice.diagnostics[0].code == "performer-chosen"
    assert choice.diagnostics[0].data["n_candidates"] == 2


def test_two_people_who_cross_are_told_apart() -> None:
    def across(t: np.ndarray) -> np.ndarray:
        return np.stack([-1.2 + 0.8 * t, np.full_like(t, 0.25)], -1)

    def against(t: np.ndarray) -> np.ndarray:
        return np.stack([1.2 - 0.8 * t, np.full_like(t, -0.25)], -1)

    scene = make_scene([person(across, TIME, 0.08), person(against, TIME, 0.08, height=0.94)], make_rig())
    choice = choose_performer(scene.detections, scene.rig)
    chosen = int(np.argmax([scene.right_share(choice.index, p) for p in range(2)]))
    assert scene.right_share(choice.index, chosen) > 0.98
    assert (choice.index >= 0).mean() > 0.95


@pytest.mark.parametrize(("at", "expected"), [((0.9, -0.8), 0), ((-0.2, 0.1), 1)])
def test_a_given_floor_point_picks_the_person_nearest_to_it(at: tuple[float, float], expected: int) -> None:
    scene = make_scene([person(standing(0.9, -0.8), TIME, 0.0), person(circle, TIME, 0.1)], make_rig())
    choice = choose_performer(scene.detections, scene.rig, subject_at_m=at)
    assert scene.right_share(choice.index, expected) > 0.99


def test_a_given_floor_point_where_nobody_is_lists_who_is_where() -> None:
    scene = make_scene([person(standing(0.9, -0.8), TIME, 0.0), person(circle, TIME, 0.1)], make_rig())
    with pytest.raises(InputError) as caught:
        choose_performer(scene.detections, scene.rig, subject_at_m=(50.0, 50.0))
    assert caught.value.code == "no-one-there"
    assert "(0.9" in caught.value.message
    assert caught.value.message.count("m away") == 2


def test_somebody_who_walks_past_a_given_floor_point_is_there() -> None:
    def away(t: np.ndarray) -> np.ndarray:
        return np.stack([-1.8 + 1.07 * t, np.full_like(t, 0.25)], -1)

    scene = make_scene([person(away, TIME, 0.1)], make_rig())
    choice = choose_performer(scene.detections, scene.rig, subject_at_m=(-1.8, 0.25))
    assert choice.candidates[0].distance_m > 1.5
    assert (choice.index >= 0).mean() > 0.95


def test_a_bystander_in_two_views_does_not_win_however_lively() -> None:
    visible = np.ones((2, 5), bool)
    visible[1, 2:] = False
    bystander = person(standing(-2.0, 1.5), TIME, 0.25)
    scene = make_scene([person(circle, TIME, 0.03), bystander], make_rig(), visible)
    choice = choose_performer(scene.detections, scene.rig)
    assert scene.right_share(choice.index, 0) > 0.99


def test_a_view_that_shows_only_somebody_else_is_left_out_and_named() -> None:
    visible = np.array([[True, True, True, True, False], [False, False, False, False, True]])
    scene = make_scene([person(circle, TIME, 0.1), person(standing(1.2, 0.9), TIME, 0.1)], make_rig(), visible)
    choice = choose_performer(scene.detections, scene.rig)
    assert (choice.index[4] == NONE).all()
    assert scene.right_share(choice.index, 0) == 1.0
    warning = next(d for d in choice.diagnostics if d.code == "view-without-performer")
    assert warning.data["cameras"] == ["cam4"]


def test_one_person_per_view_passes_through() -> None:
    scene = make_scene([person(circle, TIME, 0.1)], make_rig())
    choice = choose_performer(scene.detections, scene.rig)
    assert (choice.index == 0).all()
    assert [d.code for d in choice.diagnostics] == ["performer-chosen"]


def test_a_stale_rig_does_not_lose_the_performer() -> None:
    scene = make_scene([person(circle, TIME, 0.1), person(standing(0.9, -0.8), TIME, 0.0)], make_rig())
    rng = np.random.default_rng(4)
    cameras = []
    for camera in scene.rig.cameras:
        axis = rng.normal(size=3)
        turn = quat_to_matrix(quat_exp(np.deg2rad(1.0) * axis / np.linalg.norm(axis)))
        R = turn @ camera.R_cam_from_world
        cameras.append(camera.with_extrinsics(R, -R @ (camera.center_world_m + rng.normal(0, 0.02, 3))))
    choice = choose_performer(scene.detections, CameraRig(tuple(cameras)))
    assert scene.right_share(choice.index, 0) > 0.99
    assert (choice.index >= 0).mean() > 0.97


def test_cameras_with_other_clocks_and_fewer_frames_agree_on_one_person() -> None:
    scene = make_scene([person(circle, TIME, 0.1), person(standing(0.9, -0.8), TIME, 0.0)], make_rig())
    d = scene.detections
    times = d.time_s.copy()
    xy, score = d.xy_px.copy(), d.score.copy()
    times[3, 61:], xy[3, 61:], score[3, 61:] = np.nan, np.nan, 0.0
    times[1] += 0.009
    choice = choose_performer(Keypoints2D(SET, d.camera_names, xy, score, times), scene.rig)
    assert scene.right_share(choice.index, 0) > 0.99
    assert (choice.index[3, 61:] == NONE).all()


def test_two_cameras_are_enough() -> None:
    scene = make_scene(
        [person(circle, TIME, 0.1), person(standing(0.9, -0.8), TIME, 0.0)], CameraRig(make_rig().cameras[:2])
    )
    choice = choose_performer(scene.detections, scene.rig)
    assert scene.right_share(choice.index, 0) > 0.98


def test_the_choice_does_not_depend_on_the_order_of_the_cameras() -> None:
    scene = make_scene([person(circle, TIME, 0.1), person(standing(0.9, -0.8), TIME, 0.0)], make_rig())
    order = [3, 0, 4, 2, 1]
    d = scene.detections
    names = tuple(d.camera_names[c] for c in order)
    turned = Keypoints2D(SET, names, d.xy_px[order], d.score[order], d.time_s[order])
    expected = choose_performer(d, scene.rig).index[order]
    assert (choose_performer(turned, scene.rig).index == expected).mean() > 0.995


def test_no_people_at_all_is_an_error() -> None:
    scene = make_scene([person(circle, TIME[:7], 0.1)], make_rig())
    with pytest.raises(InputError) as raised:
        choose_performer(scene.detections.person(np.full((5, 7), NONE)), scene.rig)
    assert raised.value.code == "no-person-detected"


def test_people_whom_no_two_cameras_agree_on_are_an_error() -> None:
    visible = np.eye(5, dtype=bool)
    places = [(-2.0, 1.0), (1.5, 1.5), (0.1, -1.8), (2.0, -0.4), (-1.0, -1.2)]
    people = [person(standing(x, y), TIME[:37], 0.05) for x, y in places]
    scene = make_scene(people, make_rig(), visible)
    with pytest.raises(InputError) as raised:
        choose_performer(scene.detections, scene.rig)
    assert raised.value.code == "performer-not-found"
    assert "cam3" in raised.value.message


def test_a_camera_that_the_rig_lacks_is_named() -> None:
    scene = make_scene([person(circle, TIME[:7], 0.1)], make_rig())
    with pytest.raises(InputError) as raised:
        choose_performer(scene.detections, CameraRig(scene.rig.cameras[1:]))
    assert raised.value.code == "rig-camera-missing"
    assert "cam0" in raised.value.message


def test_the_viewing_middle_is_where_the_cameras_look() -> None:
    middle, reach = viewing_middle_m(make_rig())
    np.testing.assert_allclose(middle, [0, 0, 1.0], atol=0.005)
    assert 4.0 < reach < 6.0


def test_cost_stays_linear_in_frames() -> None:
    t = np.arange(1009) / 30.0
    scene = make_scene([person(circle, t, 0.1), person(standing(0.9, -0.8), t, 0.0)], make_rig())
    start = time.process_time()
    choose_performer(scene.detections, scene.rig)
    # Measured 0.4 ms a frame; the bound catches a loop over detections or combinations of cameras.
    assert (time.process_time() - start) / len(t) < 0.003


def test_a_single_frame_is_named_as_too_short() -> None:
    scene = make_scene([person(standing(0.2, 0.1), TIME[:1], 0.05)], make_rig())
    with pytest.raises(InputError, match="3 are needed") as raised:
        choose_performer(scene.detections, scene.rig)
    assert raised.value.code == "take-too-short"
