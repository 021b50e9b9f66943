"""Errors, diagnostics and progress."""

from __future__ import annotations

import json
import pickle

import pytest

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import Cancelled, InputError, MocapError, SetupError
from mocap.core.progress import NoProgress, track


@pytest.mark.parametrize("kind", [MocapError, InputError, SetupError, Cancelled])
def test_errors_cross_process_boundaries_whole(kind: type[MocapError]) -> None:
    error = pickle.loads(pickle.dumps(kind("rig-missing", "No rig.", "Give a rig.")))
    assert type(error) is kind
    assert (error.code, error.message, error.advice) == ("rig-missing", "No rig.", "Give a rig.")


def test_an_error_reads_as_message_and_advice() -> None:
    assert str(InputError("rig-missing", "No rig.", "Give a rig.")) == "No rig.\n  -> Give a rig."


def test_a_diagnostic_is_json() -> None:
    finding = Diagnostic("size-mismatch", Severity.WARNING, "cam1 is 1080 px wide.", {"width_px": 1080})
    assert json.loads(json.dumps(finding.to_json())) == {
        "code": "size-mismatch",
        "severity": "warning",
        "message": "cam1 is 1080 px wide.",
        "data": {"width_px": 1080},
    }


class Recorder:
    """Records calls, and cancels after some units."""

    def __init__(self, stop_after: int) -> None:
        self.calls: list[str] = []
        self.stop_after = stop_after

    def start(self, label: str, total: float | None) -> None:
        self.calls.append(f"start {label} {total}")

    def advance(self, amount: float = 1.0) -> None:
        self.calls.append("advance")
        if self.calls.count("advance") == self.stop_after:
            raise Cancelled

    def finish(self) -> None:
        self.calls.append("finish")


def test_tracking_reports_each_item_and_the_end() -> None:
    recorder = Recorder(stop_after=99)
    assert list(track([1, 2], recorder, "reading", 2)) == [1, 2]
    assert recorder.calls == ["start reading 2", "advance", "advance", "finish"]


def test_cancelling_stops_the_loop_and_ends_the_piece_of_work() -> None:
    recorder = Recorder(stop_after=2)
    done: list[int] = []
    with pytest.raises(Cancelled):
        done.extend(track(range(7), recorder, "reading"))
    assert recorder.calls[-1] == "finish"
    assert recorder.calls.count("advance") == 2


def test_no_progress_changes_nothing() -> None:
    assert list(track("abc", NoProgress(), "reading")) == ["a", "b", "c"]
