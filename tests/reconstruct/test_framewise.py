"""Frame by frame: no smoothing, wrong views left out, short gaps bridged and flagged."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from mocap.core.keypoints import Source
from mocap.core.timeline import Timeline
from mocap.reconstruct.framewise import framewise_points
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS, N_FRAMES = Fraction(60), 47


def test_every_frame_is_for_itself_and_wrong_views_are_left_out() -> None:
    rng = np.random.default_rng(5)
    rig, performer = ring_rig(5, rng), Performer.random(rng)
    seen = detect([performer], rig, FPS, N_FRAMES, rng, faults=Faults(noise_px=2.0, outlier_share=0.05)).keypoints
    timeline = Timeline(FPS, N_FRAMES, 0.0)
    points = framewise_points(seen, rig, timeline)
    error_m = points.xyz_m - performer.points(timeline.time_s)
    assert np.nanpercentile(np.linalg.norm(error_m, axis=-1), 99) < 0.05
    step = np.diff(error_m, axis=0)
    # White noise: the differences have twice its variance, which smoothing would lower.
    np.testing.assert_allclose(np.nanmedian(step**2) / np.nanmedian(error_m**2), 2.0, rtol=0.25)


def test_short_gaps_are_bridged_and_flagged_and_long_ones_stay() -> None:
    rng = np.random.default_rng(5)
    rig, performer = ring_rig(5, rng), Performer.random(rng)
    seen = detect([performer], rig, FPS, N_FRAMES, rng, faults=Faults(noise_px=1.0)).keypoints
    xy_px, score = seen.xy_px.copy(), seen.score.copy()
    for keypoint, gap in ((3, slice(11, 17)), (7, slice(5, 41))):
        xy_px[:, gap, :, keypoint], score[:, gap, :, keypoint] = np.nan, 0.0
    points = framewise_points(replace(seen, xy_px=xy_px, score=score), rig, Timeline(FPS, N_FRAMES, 0.0))
    assert (points.source[11:17, 3] == Source.INTERPOLATED).all()
    assert (points.source[5:41, 7] == Source.MISSING).all()
    assert np.isnan(points.xyz_m[5:41, 7]).all()
