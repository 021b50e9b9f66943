"""Findings as lines for a person: alike wherever they are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mocap.cli import sync
from mocap.core.diagnostics import Diagnostic, Severity, finding_lines
from sessions.outputs import summary_text

FOUND = [Diagnostic(f"{s}-{n}", s, f"{s} {n}").to_json() for n in (1, 2) for s in reversed(Severity)]
LINES = [
    *("failed [quality-1]: quality 1", "failed [quality-2]: quality 2"),
    *("warning [warning-1]: warning 1", "warning [warning-2]: warning 2"),
    *("note [info-1]: info 1", "note [info-2]: info 2"),
]


def test_what_failed_comes_first_and_findings_of_one_kind_keep_their_order() -> None:
    assert finding_lines(FOUND) == LINES


def _summary(diagnostics: list[dict[str, Any]]) -> str:
    figures = ("reproj_median_px", "reproj_p95_px", "points_bone_sd_mm", "bone_sd_mm")
    share = {"measured": 1.0, "interpolated": 0.0, "solved": 0.0}
    data = {"frames": 7, "fps": 60.0, "cameras": {}, "share": share, "seconds": {"total": 1.0}}
    return summary_text({**data, **dict.fromkeys(figures), "diagnostics": diagnostics})


def _clocks(diagnostics: list[dict[str, Any]]) -> str:
    return sync._text({"reference": "cam1", "cameras": {}, "diagnostics": diagnostics})


@pytest.mark.parametrize("text", [_summary, _clocks])
def test_takes_and_clocks_say_their_findings_in_the_same_words(text: Callable[[list[dict[str, Any]]], str]) -> None:
    assert text(FOUND).splitlines()[-len(LINES) :] == LINES
