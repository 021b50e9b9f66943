"""Findings of a calibration as lines for a person, and keeping an earlier result beside one that is no good."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ORDER = ("quality", "warning", "info")
_LABEL = {"quality": "failed", "warning": "warning", "info": "note"}


def finding_lines(diagnostics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line per finding, what failed first, then warnings, then notes."""
    ranked = sorted(diagnostics, key=lambda d: _ORDER.index(str(d["severity"])))
    return [f"{_LABEL[str(d['severity'])]}: {d['message']}" for d in ranked]


def failed_text(diagnostics: Sequence[Mapping[str, Any]]) -> str:
    """Return what the first line says of checks that failed."""
    n = sum(str(d["severity"]) == "quality" for d in diagnostics)
    return f", {n} check{'s' if n > 1 else ''} FAILED" if n else ""


def sane(value: float | None, digits: int, unit: str, limit: float) -> str:
    """Return a figure with its unit, `unknown` where it is no number or beyond what can be."""
    return f"{value:.{digits}f} {unit}" if value is not None and abs(value) <= limit else "unknown"


def keep_before(out: Path, folder: Path) -> Path | None:
    """Copy an earlier result to `folder` as `<stem>.before<suffix>` (.before2 ...) and return the name it will have."""
    if not out.exists():
        return None
    n = 1
    while (kept := out.with_name(f"{out.stem}.before{n if n > 1 else ''}{out.suffix}")).exists():
        n += 1
    shutil.copy2(out, folder / kept.name)
    return kept
