"""Findings that do not stop the work but that the user must hear of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters."""

    INFO = "info"
    WARNING = "warning"
    QUALITY = "quality"
    """A quality gate failed: the command finishes and exits with status 3."""


@dataclass(frozen=True)
class Diagnostic:
    """One finding, with what the program did about it and the figures that show it."""

    code: str
    """Stable identifier in kebab-case; listed in docs/errors.md."""
    severity: Severity
    message: str
    """What was found, where, and what was done about it."""
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    """Figures, JSON-serialisable."""

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Diagnostic:
        """Return the finding of `to_json`. Raises KeyError, TypeError or ValueError when it is none."""
        severity = Severity(stored["severity"])
        return cls(str(stored["code"]), severity, str(stored["message"]), dict(stored["data"]))

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return {"code": self.code, "severity": str(self.severity), "message": self.message, "data": self.data}


_WORD = {Severity.QUALITY: "failed", Severity.WARNING: "warning", Severity.INFO: "note"}
"""What a person reads, the worst first."""


def finding_lines(stored: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line per finding (of `to_json`) for a person: what failed first, then warnings, then notes."""
    worst_first = list(_WORD)
    ranked = sorted(stored, key=lambda d: worst_first.index(Severity(d["severity"])))
    return [f"{_WORD[Severity(d['severity'])]} [{d['code']}]: {d['message']}" for d in ranked]
