"""What a correction by hand changes of a take that was processed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.core.progress import NoProgress
from sessions.folder import open_session
from sessions.process import Processed, process_take

Mocap = Callable[..., tuple[int, dict[str, Any]]]


def run(session: Path) -> Processed:
    opened = open_session(session)
    return process_take(opened, opened.take("wave"), NoProgress())


def test_a_nudged_camera_is_used_at_its_new_times_without_placing_the_clocks_again(session: Path, mocap: Mocap) -> None:
    before = run(session)
    assert mocap("edit", f"{session}/wave", "offset", "cam2", "--by", 0.011)[0] == 0
    after = run(session)
    moved_s = after.solved.detections.time_s - before.solved.detections.time_s
    np.testing.assert_allclose(moved_s, np.broadcast_to([[0.0], [0.011], [0.0]], moved_s.shape), atol=1e-12)
    assert {"footage", "fit", "keypoints", "clocks"} <= after.run.reused
    assert {"times", "points", "solve"}.isdisjoint(after.run.reused)
    assert "times-by-hand" in {d.code for d in after.diagnostics}
    assert mocap("edit", f"{session}/wave", "undo")[0] == 0
    assert "solve" in run(session).run.reused


def test_a_trim_from_the_command_shortens_the_result(session: Path, mocap: Mocap) -> None:
    assert mocap("edit", f"{session}/wave", "trim", 0.2, 0.5)[0] == 0
    timeline = run(session).solved.motion.timeline
    assert timeline.n_frames == 9
    assert timeline.start_s == pytest.approx(0.2)
    _, status = mocap("status", session)
    assert status["takes"]["wave"]["edits"] == 1


def test_a_processed_take_refuses_what_lies_outside_its_time_and_keypoints(session: Path, mocap: Mocap) -> None:
    seen = run(session).solved.detections
    status, data = mocap("edit", f"{session}/wave", "trim", 100, 200)
    assert (status, data["error"]["code"]) == (1, "edit-invalid")
    status, data = mocap("edit", f"{session}/wave", "mask", "cam1", 0, 3, "Tail")
    assert (status, data["error"]["code"]) == (1, "edit-invalid")
    assert ", ".join(seen.keypoint_set.names) in data["error"]["message"]
    assert mocap("edit", f"{session}/wave", "mask", "cam1", 0, 3, "LWrist")[0] == 0
    run(session)
