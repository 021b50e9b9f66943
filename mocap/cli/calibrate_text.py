"""Findings of a calibration as lines for a person, and keeping an earlier result beside one that is no good."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ORDER = ("quality", "warning", "info")
_LABEL = {"quality": "failed", "warning": "warning", "info": "note"}


def finding_lines(diagnostics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line per finding, what failed first, then warnings, then notes."""
    ranked = sorted(diagnostics, key=lambda d: _ORDER.index(str(d["severity"])))
    return [f"{_LABEL[str(d['severity'])]} [{d['code']}]: {d['message']}" for d in ranked]


def failed_text(diagnostics: Sequence[Mapping[str, Any]]) -> str:
    """Return what the first line says of checks that failed, by their codes."""
    codes = [str(d["code"]) for d in diagnostics if str(d["severity"]) == "quality"]
    return f", check{'s' if len(codes) > 1 else ''} FAILED: {', '.join(codes)}" if codes else ""


def failed_checks(failed: Sequence[str]) -> str:
    """Return the verdict on a result whose checks failed, by their codes; empty where it is that of the fit alone."""
    codes = [code for code in failed if code != "redo"]
    return f"redo: failed ({', '.join(codes)}), not to be relied on" if codes else ""


def world_text(world: Mapping[str, Any]) -> str:
    """Return where the world frame comes from, and what speaks for it."""
    if world["from"] == "cameras":
        return "world from: cameras; floor and up are a guess, --world board:VIDEO gives them."
    if "tilt_from_people_deg" in world:
        return (
            f"world from: {world['from']}, {world['n_contacts']} contacts, the floor at "
            f"{world['tilt_from_people_deg']:.1f} degrees to the people on it."
        )
    if "seen_by" not in world:
        return f"world from: {world['from']}."
    from calibration.world import certainty_text

    seen = f"seen by {', '.join(world['seen_by'])}, {world['reproj_median_px']:.2f} px"
    return " ".join([f"world from: {world['from']}, {seen}.", *certainty_text(world)])


def figure(value: float | None, digits: int, unit: str) -> str:
    """Return a figure with its unit, `unknown` where nothing was found out."""
    return "unknown" if value is None else f"{value:.{digits}f} {unit}"


def confidence_text(value: float) -> str:
    """Return a probability; nothing measured is certain."""
    return "> 0.999" if value > 0.999 else f"{value:.3f}"


def keep_before(out: Path, folder: Path) -> Path | None:
    """Copy an earlier result and its reports to `folder` as `<stem>.before<suffix>` (.before2 ...).

    Returns the name that the result will have, beside its reports; None where there is none.
    """
    from calibration.files import beside

    if not out.exists():
        return None
    stem = beside(out, "").name
    there = [f for f in (out, beside(out, ".json"), beside(out, ".html")) if f.exists()]
    marks = (f".before{n if n > 1 else ''}" for n in itertools.count(1))
    names = ([f.with_name(stem + mark + f.name[len(stem) :]) for f in there] for mark in marks)
    kept = next(k for k in names if not any(f.exists() for f in k))
    for file, name in zip(there, kept, strict=True):
        shutil.copy2(file, folder / name.name)
    return kept[0]
