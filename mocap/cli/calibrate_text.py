"""What the calibrating verbs say of their results to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def failed_clause(diagnostics: Sequence[Mapping[str, Any]]) -> str:
    """Return what the first line says of checks that failed, by their codes."""
    codes = [str(d["code"]) for d in diagnostics if str(d["severity"]) == "quality"]
    return f", check{'s' if len(codes) > 1 else ''} FAILED: {', '.join(codes)}" if codes else ""


def failed_verdict(failed: Sequence[str]) -> str:
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
