"""The causal preview: what it may know, what it costs, how good it is, and what it says when it knows nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D, Source
from mocap.core.observations import common_timeline
from mocap.core.progress import NoProgress
from mocap.core.timeline import Timeline, TimeMap
from mocap.kernels.filters import filtered
from mocap.kernels.rotations import quat_conjugate, quat_log, quat_multiply
from mocap.reconstruct.framewise import framewise_points
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.limits import greatest_excess_deg
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig
from sessions.preview import MAX_KNOWN_SIGMA_M, Following, Preview, PreviewFrame, arriving
from sessions.preview_take import PreviewedTake, preview_take

FPS, N_FRAMES, N_CAMERAS = Fraction(60), 263, 4


class Scene:
    """A performer with faulty detections, on cameras that are out of step by parts of a frame."""

    def __init__(self, n_cameras: int = N_CAMERAS, *, in_step: bool = False) -> None:
        rng = np.random.default_rng(71)
        self.rig: CameraRig = ring_rig(n_cameras, rng)
        self.performer = Performer.random(np.random.default_rng(72), stride=0.3)
        offsets_s = np.zeros(n_cameras) if in_step else np.arange(n_cameras) * 0.003
        maps = {name: TimeMap(float(s)) for name, s in zip(self.rig.names, offsets_s, strict=True)}
        faults = Faults(noise_px=2.0, outlier_share=0.05, dropout_share=0.1)
        seen = detect([self.performer], self.rig, FPS, N_FRAMES, rng, faults=faults, time_maps=maps)
        self.seen = seen.keypoints
        self.timeline: Timeline = common_timeline(self.seen.time_s, FPS)
        self.truth_m = self.performer.points(self.timeline.time_s)

    def frames(self, seen: Keypoints2D, latency_s: float = 0.0) -> list[PreviewFrame]:
        preview = Preview(self.rig, seen.keypoint_set, FPS, self.timeline.start_s, latency_s=latency_s)
        return [f for part in arriving(seen, self.timeline) if (f := preview.push(part)) is not None]

    def take(self, seen: Keypoints2D, latency_s: float = 0.0) -> PreviewedTake:
        return preview_take(self.rig, seen, self.timeline, NoProgress(), latency_s=latency_s)

    def error_mm(self, xyz_m: np.ndarray, first: int = 60) -> float:
        return float(np.nanmean(np.linalg.norm(xyz_m - self.truth_m, axis=-1)[first:]) * 1e3)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.fixture(scope="module")
def previewed(scene: Scene) -> PreviewedTake:
    return scene.take(scene.seen)


def hidden(seen: Keypoints2D, where: np.ndarray) -> Keypoints2D:
    """Return the detections without those where [camera frame]."""
    xy = np.where(where[..., None, None, None], np.nan, seen.xy_px)
    return replace(seen, xy_px=xy, score=np.where(where[..., None, None], 0.0, seen.score))


def garbled(seen: Keypoints2D, where: np.ndarray) -> Keypoints2D:
    """Return the detections with those where [camera frame] thrown about the picture."""
    noise = np.random.default_rng(5).normal(0.0, 200.0, seen.xy_px.shape)
    return replace(seen, xy_px=seen.xy_px + np.where(where[..., None, None, None], noise, 0.0))


def everything_in(frame: PreviewFrame) -> list[np.ndarray]:
    of_body: list[np.ndarray] = []
    if (body := frame.body) is not None:
        pose, shape = body.pose, body.shape
        of_body = [pose.root_m, pose.local_wxyz, shape.segment, *shape.placed_m.values(), body.sigma_m, body.contact]
    return [
        frame.points.filtered_m,
        frame.points.measured_m,
        frame.points.sigma_m,
        frame.xyz_m,
        frame.sigma_m,
        frame.source,
        *of_body,
    ]


@pytest.mark.parametrize("change", [hidden, garbled])
@pytest.mark.parametrize("latency_s", [0.0, 0.055])
def test_what_comes_after_a_frame_and_its_latency_changes_nothing_of_it(
    scene: Scene, change: Callable[[Keypoints2D, np.ndarray], Keypoints2D], latency_s: float
) -> None:
    # The shape is fitted twice and everything learned several times before the cut.
    last = 151
    until_s = scene.timeline.start_s + last / float(FPS)
    as_it_was = scene.frames(scene.seen, latency_s)
    changed = scene.frames(change(scene.seen, scene.seen.time_s > until_s + latency_s + 1e-9), latency_s)
    for before, after in zip(as_it_was[: last + 1], changed[: last + 1], strict=True):
        for a, b in zip(everything_in(before), everything_in(after), strict=True):
            np.testing.assert_array_equal(a, b)
    after = [np.array_equal(a.xyz_m, b.xyz_m, equal_nan=True) for a, b in zip(as_it_was, changed, strict=True)]
    assert not any(after[last + 2 :])


def test_detections_after_a_frame_are_refused(scene: Scene) -> None:
    preview = Preview(scene.rig, scene.seen.keypoint_set, FPS, scene.timeline.start_s)
    later = list(arriving(scene.seen, scene.timeline))[7]
    with pytest.raises(ValueError, match="later than the frame"):
        preview.push(later)


def test_a_latency_beyond_what_is_live_is_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="latency_s"):
        Preview(scene.rig, scene.seen.keypoint_set, FPS, latency_s=0.4)


def test_every_detection_arrives_once_and_in_time(scene: Scene) -> None:
    frames = list(arriving(scene.seen, scene.timeline))
    assert len(frames) == scene.timeline.n_frames
    for n, part in enumerate(frames):
        now_s = scene.timeline.start_s + n / float(FPS)
        assert not (part.time_s > now_s + 1e-6).any()
    taken = sum(int((part.score > 0).sum()) for part in frames)
    in_time = scene.seen.time_s <= scene.timeline.time_s[-1] + 1e-6
    in_time &= scene.seen.time_s > scene.timeline.start_s - 1 / float(FPS) + 1e-6
    assert taken == int((scene.seen.score[in_time] > 0).sum())


def test_what_is_remembered_does_not_grow_with_time() -> None:
    """Cost per frame is that of the window: nothing else is kept."""
    fps, n_frames = Fraction(20), 331
    rng = np.random.default_rng(73)
    rig, performer = ring_rig(3, rng), Performer.random(rng, stride=0.0)
    seen = detect([performer], rig, fps, n_frames, rng, faults=Faults(noise_px=1.0)).keypoints
    preview = Preview(rig, seen.keypoint_set, fps)
    size: dict[int, int] = {}
    for n, part in enumerate(arriving(seen, Timeline(fps, n_frames))):
        preview.push(part)
        size[n] = len(pickle.dumps(preview))
    assert size[330] < 1.05 * size[200]


def test_it_beats_points_of_single_frames_and_one_euro_and_comes_near_the_whole_solve(
    scene: Scene, previewed: PreviewedTake
) -> None:
    raw = framewise_points(scene.seen, scene.rig, scene.timeline).xyz_m
    preview_mm = scene.error_mm(previewed.solved.keypoints.xyz_m)
    whole = solve_take(scene.rig, reconstruct_points(scene.seen, scene.rig, scene.timeline))
    error_m = np.linalg.norm(previewed.solved.keypoints.xyz_m - scene.truth_m, axis=-1)[60:]
    assert np.nanquantile(error_m, 0.999) < 0.15  # no limb is ever lost from sight
    assert preview_mm < 0.8 * scene.error_mm(raw)
    assert preview_mm < 0.5 * scene.error_mm(filtered(raw, float(FPS), "one-euro"))
    assert preview_mm < 2.5 * scene.error_mm(whole.keypoints.xyz_m)


def test_latency_makes_it_smoother(scene: Scene, previewed: PreviewedTake) -> None:
    def shake(take: PreviewedTake) -> float:
        off = (take.solved.keypoints.xyz_m - scene.truth_m)[60:]
        return float(np.nanmean(np.linalg.norm(np.diff(off, 2, axis=0), axis=-1)))

    late = scene.take(scene.seen, 0.05)
    assert late.solved.keypoints.xyz_m.shape == previewed.solved.keypoints.xyz_m.shape
    assert late.figures["latency_ms"] == pytest.approx(50.0)
    assert shake(late) < 0.7 * shake(previewed)


def test_intervals_hold_the_truth(scene: Scene, previewed: PreviewedTake) -> None:
    k = previewed.solved.keypoints
    z = np.abs(k.xyz_m - scene.truth_m)[60:] / k.sigma_m[60:, :, None]
    z = z[np.isfinite(z)]
    assert 0.6 < (z < 1).mean() < 0.9
    assert 0.9 < (z < 1.96).mean() < 0.999


def test_the_body_is_one_body_from_the_last_fit_of_its_shape_on(scene: Scene, previewed: PreviewedTake) -> None:
    changed_s = previewed.figures["shape_changed_s"]
    assert len(changed_s) == 2  # half a second, two seconds
    keypoints = previewed.solved.keypoints
    after = keypoints.time_s >= changed_s[-1] - 1e-9
    assert after.sum() > 100
    index = keypoints.keypoint_set.names.index
    for a, b in (("LHip", "LKnee"), ("LKnee", "LAnkle"), ("RShoulder", "RElbow"), ("RElbow", "RWrist")):
        length_m = np.linalg.norm(keypoints.xyz_m[:, index(a)] - keypoints.xyz_m[:, index(b)], axis=-1)
        assert np.ptp(length_m[after]) < 1e-9
        true_m = np.linalg.norm(scene.truth_m[0, index(a)] - scene.truth_m[0, index(b)])
        assert length_m[after][0] == pytest.approx(true_m, abs=0.02)


def test_joints_keep_to_their_ranges_and_never_flip(scene: Scene) -> None:
    poses = [f.body.pose for f in scene.frames(scene.seen) if f.body is not None]
    local = np.concatenate([p.local_wxyz for p in poses])[30:]
    assert max(greatest_excess_deg(local).values()) < 5.0
    turn = np.linalg.norm(quat_log(quat_multiply(quat_conjugate(local[:-1]), local[1:])), axis=-1)
    assert np.degrees(turn.max()) < 45.0


def is_flagged(frames: list[PreviewFrame], wanted: range) -> bool:
    """Return whether every keypoint is unknown in some frames."""
    return all(np.isnan(frames[n].xyz_m).all() and (frames[n].source == Source.MISSING).all() for n in wanted)


def test_a_performer_who_leaves_is_predicted_then_unknown_then_found_again(scene: Scene) -> None:
    away = np.zeros(scene.seen.time_s.shape, bool)
    away[:, 100:170] = True
    seen = hidden(scene.seen, away)
    frames = scene.frames(seen)
    shift = round(float(scene.timeline.start_s * FPS))
    gone = 100 - shift
    assert frames[gone + 3].following is Following.PREDICTED
    assert np.isfinite(frames[gone + 3].xyz_m).all()
    assert (frames[gone + 3].source != Source.MEASURED).all()
    assert np.nanmean(frames[gone + 5].sigma_m) > 1.5 * np.nanmean(frames[gone - 3].sigma_m)
    assert is_flagged(frames, range(gone + 32, gone + 68))
    assert frames[gone + 32].following is Following.LOST
    back = np.stack([f.xyz_m for f in frames])[gone + 80 :]
    assert np.nanmean(np.linalg.norm(back - scene.truth_m[gone + 80 :], axis=-1)) < 0.03
    solved = scene.take(seen).solved
    lost = next(d for d in solved.diagnostics if d.code == "preview-lost")
    assert any(s["frames"] > 30 for s in lost.data["stretches"])


def test_no_pose_stands_still_without_a_flag(scene: Scene) -> None:
    away = np.zeros(scene.seen.time_s.shape, bool)
    away[:, 100:170] = True
    solved = scene.take(hidden(scene.seen, away)).solved
    still = np.append(False, (np.diff(solved.motion.local_wxyz, axis=0) == 0).all((1, 2)))
    assert still.sum() > 30
    lost = next(d for d in solved.diagnostics if d.code == "preview-lost").data["stretches"]
    flagged = [
        (solved.keypoints.time_s >= s["from_s"] - 1e-4) & (solved.keypoints.time_s <= s["to_s"] + 1e-4) for s in lost
    ]
    assert np.any(flagged, axis=0)[still].all()


def test_one_camera_for_a_second_is_followed_and_less_certain(scene: Scene) -> None:
    away = np.zeros(scene.seen.time_s.shape, bool)
    away[1:, 120:180] = True
    frames = scene.frames(hidden(scene.seen, away))
    xyz_m, sigma_m = np.stack([f.xyz_m for f in frames]), np.stack([f.sigma_m for f in frames])
    alone = slice(140, 175)
    assert (np.stack([f.source for f in frames])[alone] != Source.MEASURED).all()
    assert np.nanmedian(sigma_m[alone]) > 1.5 * np.nanmedian(sigma_m[80:115])
    assert not (sigma_m > MAX_KNOWN_SIGMA_M).any()
    z = np.abs(xyz_m[alone] - scene.truth_m[alone]) / sigma_m[alone][..., None]
    assert np.nanmean(z < 3.0) > 0.8
    after = np.linalg.norm(xyz_m[200:] - scene.truth_m[200:], axis=-1)
    assert np.nanmean(after) < 0.03


def test_two_cameras_are_enough_for_a_preview() -> None:
    two = Scene(2, in_step=True)
    solved = two.take(two.seen).solved
    assert np.isfinite(solved.keypoints.xyz_m[60:]).all(-1).mean() > 0.9
    assert two.error_mm(solved.keypoints.xyz_m) < 60.0


def test_cameras_slower_than_the_timeline_leave_no_gaps() -> None:
    rng = np.random.default_rng(74)
    rig, performer = ring_rig(4, rng), Performer.random(rng, stride=0.3)
    seen = detect([performer], rig, Fraction(30), 60, rng, faults=Faults(noise_px=1.0)).keypoints
    timeline = Timeline(FPS, 118)
    solved = preview_take(rig, seen, timeline, NoProgress()).solved
    assert np.isfinite(solved.keypoints.xyz_m[40:]).all()
    assert (solved.keypoints.source[41::2] == Source.INTERPOLATED).all()
    error_m = np.linalg.norm(solved.keypoints.xyz_m - performer.points(timeline.time_s), axis=-1)
    assert error_m[40:].mean() < 0.02


def test_nobody_seen_is_nothing_known(scene: Scene) -> None:
    solved = scene.take(hidden(scene.seen, np.ones(scene.seen.time_s.shape, bool))).solved
    assert (solved.keypoints.source == Source.MISSING).all()
    assert not solved.contact.any()
    assert {d.code for d in solved.diagnostics} == {"preview", "preview-lost"}


def test_a_profile_is_used_from_the_first_frame_on(scene: Scene) -> None:
    whole = solve_take(scene.rig, reconstruct_points(scene.seen, scene.rig, scene.timeline))
    again = preview_take(scene.rig, scene.seen, scene.timeline, NoProgress(), whole.performer)
    assert again.figures["shape"] == "profile"
    assert again.figures["shape_changed_s"] == []
    early = np.linalg.norm(again.solved.keypoints.xyz_m - scene.truth_m, axis=-1)[10:30]
    without = np.linalg.norm(scene.take(scene.seen).solved.keypoints.xyz_m - scene.truth_m, axis=-1)[10:30]
    assert np.nanmean(early) < np.nanmean(without)
