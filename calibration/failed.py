"""Marks of a calibration that failed its checks: its figures and its rig file are not taken for those of a good one."""

from __future__ import annotations

from collections.abc import Sequence

from mocap.core.diagnostics import Diagnostic, Severity

POSE_CHECKS = ("camera-moved", "cameras-do-not-fit")
"""Failed checks that cameras placed anew answer."""
TAKE_CHECKS = ("camera-clock-off",)
"""Failed checks of the take that a rig was refined from: the rig was judged without that fault."""


def failures(verdict: str, diagnostics: Sequence[Diagnostic], inherited: Sequence[str] = ()) -> list[str]:
    """Return why a calibration is not to be relied on: the verdict `redo`, codes of failed checks; else empty.

    inherited: reasons of what it was made from that it does not answer.
    """
    codes = [d.code for d in diagnostics if d.severity is Severity.QUALITY]
    return list(dict.fromkeys([*(["redo"] if verdict == "redo" else []), *codes, *inherited]))


def verdict_with(verdict: str, failed: Sequence[str]) -> str:
    """Return the verdict in words: nothing whose checks failed is good or usable."""
    return "redo" if failed and verdict in ("good", "usable") else verdict


def failed_mark(reasons: Sequence[str], *, poses_alone: bool = False) -> list[Diagnostic]:
    """Return the finding that goes into the rig file of a failed calibration, so that every reader of it is told.

    poses_alone: whether the verdict `redo` is of the cameras' places only, their lenses being given. Faults of the take
    that the rig does not have are left out.
    """
    reasons = [r for r in reasons if r not in TAKE_CHECKS]
    if not reasons:
        return []
    message = (
        f"The calibration that this rig comes from failed ({', '.join(reasons)}): cameras may stand elsewhere and "
        "lengths may be wrong. Calibrate again."
    )
    data = {"reasons": list(reasons), "poses_alone": poses_alone}
    return [Diagnostic("calibration-failed", Severity.WARNING, message, data)]


def mark_in(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the mark among the findings of a rig file, if it has one: what matters to those who use but its lenses."""
    return [d for d in diagnostics if d.code == "calibration-failed"]


def reasons_in(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Return the reasons that the marks among findings give, each once."""
    return list(dict.fromkeys(str(reason) for d in mark_in(diagnostics) for reason in d.data.get("reasons", ())))


def outlasting_poses(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Return the reasons of marks that cameras placed anew do not answer: wrong lengths, lenses, floors."""
    left: list[str] = []
    for mark in mark_in(diagnostics):
        answered = (*POSE_CHECKS, *(("redo",) if mark.data.get("poses_alone") else ()))
        left += [r for r in reasons_in([mark]) if r not in answered]
    return list(dict.fromkeys(left))


def outlasting_lenses(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Return the reasons of marks that concern those who take but the lenses: not the places, nor the world."""
    return [r for r in outlasting_poses(diagnostics) if not r.startswith("world-")]


def without_mark(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the findings of a rig file but for the mark: what is made of it has its own."""
    return [d for d in diagnostics if d.code != "calibration-failed"]
