"""Marks of a calibration that failed its checks: its figures and its rig file are not taken for those of a good one."""

from __future__ import annotations

from collections.abc import Sequence

from mocap.core.diagnostics import Diagnostic, Severity


def failures(verdict: str, diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Return why a calibration is not to be relied on: the verdict `redo`, codes of failed checks; else empty."""
    codes = [d.code for d in diagnostics if d.severity is Severity.QUALITY]
    return [*(["redo"] if verdict == "redo" else []), *dict.fromkeys(codes)]


def failed_mark(reasons: Sequence[str]) -> list[Diagnostic]:
    """Return the finding that goes into the rig file of a failed calibration, so that every reader of it is told."""
    if not reasons:
        return []
    message = (
        f"The calibration that this rig comes from failed ({', '.join(reasons)}): cameras may stand elsewhere and "
        "lengths may be wrong. Calibrate again."
    )
    return [Diagnostic("calibration-failed", Severity.WARNING, message, {"reasons": list(reasons)})]


def mark_in(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the mark among the findings of a rig file, if it has one: what matters to those who use but its lenses."""
    return [d for d in diagnostics if d.code == "calibration-failed"]


def reasons_in(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Return the reasons that the marks among findings give, each once."""
    return list(dict.fromkeys(str(reason) for d in mark_in(diagnostics) for reason in d.data["reasons"]))


def outlasting_refinement(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Return the reasons of a rig file's mark that cameras placed anew do not answer: wrong lengths, lenses, floors."""
    reasons = reasons_in(diagnostics)
    return [r for r in reasons if r not in (ANSWERED_BY_POSES if POSES_ALONE in reasons else POSE_CHECKS)]


def without_mark(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the findings of a rig file but for the mark: what is made of it has its own."""
    return [d for d in diagnostics if d.code != "calibration-failed"]
