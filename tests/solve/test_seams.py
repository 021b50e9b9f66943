"""Long takes are solved in windows: where one ends, nothing may show."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mocap.core import windows
from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.body import LANDMARKS
from mocap.solve.pose import bind_pose, freedom
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

HIDDEN = ("LWrist", "LElbow")
DOF = freedom(tuple(n for n in LANDMARKS if n != "Hip"))


@pytest.mark.parametrize(("fps", "max_frames", "gap"), [(60, 320, (100, 250)), (240, 960, (430, 550))])
def test_a_limb_hidden_across_a_border_of_windows_makes_no_step_there(
    fps: int, max_frames: int, gap: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "MAX_FRAMES", max_frames)
    performer, rig = Performer.random(np.random.default_rng(22)), ring_rig(4, np.random.default_rng(23))
    faults = Faults(noise_px=3.0, outlier_share=0.05, dropout_share=0.1)
    n_frames = max_frames + 10
    k = detect([performer], rig, Fraction(fps), n_frames, np.random.default_rng(24), faults=faults).keypoints
    xy, score = k.xy_px.copy(), k.score.copy()
    for name in HIDDEN:
        at = k.keypoint_set.names.index(name)
        xy[:, slice(*gap), 0, at], score[:, slice(*gap), 0, at] = np.nan, 0.0
    seen = Keypoints2D(k.keypoint_set, k.camera_names, xy, score, k.time_s)
    take = solve_take(rig, reconstruct_points(seen, rig, common_timeline(seen.time_s, Fraction(fps))))
    (border,) = (w.start for w in windows.windows(n_frames, float(fps))[1:])
    truth = performer.points(take.keypoints.time_s)
    for name in HIDDEN:
        at = k.keypoint_set.names.index(name)
        solved, true = (np.linalg.norm(np.diff(x[:, at], 2, axis=0), axis=-1) for x in (take.keypoints.xyz_m, truth))
        assert solved[slice(*gap)].max() < 1.2 * true.max()
        step_m = np.linalg.norm(np.diff(take.keypoints.xyz_m[:, at], axis=0), axis=-1)
        assert step_m[border - 1] == pytest.approx((step_m[border - 2] + step_m[border]) / 2, rel=0.05)


def test_a_pose_fades_into_another_by_turns_that_its_joints_can_make() -> None:
    rng, n = np.random.default_rng(26), 3 + len(DOF.joint)
    a, b = (bind_pose(3).moved(0.4 * rng.normal(size=(3, n)), DOF) for _ in range(2))
    faded = a.faded(b, np.array([0.0, 0.5, 1.0]), DOF)
    assert np.allclose(faded.root_m, [a.root_m[0], (a.root_m[1] + b.root_m[1]) / 2, b.root_m[2]])
    assert np.allclose(np.abs((faded.local_wxyz[0] * a.local_wxyz[0]).sum(-1)), 1.0)
    assert np.allclose(np.abs((faded.local_wxyz[2] * b.local_wxyz[2]).sum(-1)), 1.0)
    # a step of nothing leaves what is possible as it is
    assert np.allclose(faded.moved(np.zeros((3, n)), DOF).local_wxyz, faded.local_wxyz)
