"""Options of a take, by name: `mocap run DIR --set key=value` and the `[config]` table of `take.toml`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from mocap.core.errors import InputError
from mocap.pose2d.quality import QUALITIES, STANDARD


@dataclass(frozen=True)
class Option:
    """One option: what it means, its default, and how its text is read."""

    default: Any
    parse: Callable[[str], Any]
    help: str
    is_stored_well: Callable[[Any], bool]
    """Whether a value read from `take.toml` is of the right kind."""


def _boolean(text: str) -> bool:
    values = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in values:
        raise ValueError("expected true or false")
    return values[text.lower()]


def _name(text: str) -> str:
    if text and not (text[0].isalnum() and all(c.isalnum() or c in " _-" for c in text)):
        raise ValueError("expected a name of letters, digits, spaces, _ and -")
    return text


def parse_point(text: str) -> tuple[float, float] | None:
    """Return `X,Y` in metres as a pair, or None for an empty text. Raises ValueError."""
    if not text.strip():
        return None
    parts = [float(v) for v in text.split(",")]
    if len(parts) != 2 or not all(math.isfinite(v) for v in parts):
        raise ValueError("expected X,Y in metres")
    return parts[0], parts[1]


UNKNOWNS = ("cameras", "clocks")
"""What the skeleton's solve may find beside the motion."""


def parse_unknowns(text: str) -> str:
    """Return names of UNKNOWNS, comma-separated and in their order. Raises ValueError for any other name."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if wrong := [name for name in names if name not in UNKNOWNS]:
        raise ValueError(f"expected {' or '.join(UNKNOWNS)} or both, got {', '.join(wrong)}")
    return ",".join(name for name in UNKNOWNS if name in names)


def _are_unknowns(value: Any) -> bool:
    return isinstance(value, str) and all(name in UNKNOWNS for name in value.split(",") if name)


def _quality(text: str) -> str:
    if text not in QUALITIES:
        raise ValueError(f"expected one of {', '.join(QUALITIES)}")
    return text


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_point(value: Any) -> bool:
    if not isinstance(value, list | tuple):
        return False
    parts = cast("list[Any]", value)
    numbers = [v for v in parts if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    return len(parts) == len(numbers) == 2


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


OPTIONS: dict[str, Option] = {
    "model": Option(
        "auto", str, "2D keypoint model; auto: RTMPose when its weights are here, else BlazePose", _is_text
    ),
    "quality": Option(
        STANDARD,
        _quality,
        "work for 2D keypoints: preview (smallest model, 15 frames a second), standard, or best (largest model)",
        lambda value: value in QUALITIES,
    ),
    "recrop": Option(True, _boolean, "detect a second time where the 3D result expects the performer", _is_boolean),
    "refine_rig": Option(True, _boolean, "correct the cameras' places and directions from the performer", _is_boolean),
    "solve_for": Option(
        "",
        parse_unknowns,
        "what the skeleton's solve finds beside the motion: cameras, clocks, or cameras,clocks",
        _are_unknowns,
    ),
    "performer": Option(
        "", _name, "NAME of the performer: the body found in their first take serves the others", _is_text
    ),
    "subject_at": Option(None, parse_point, "X,Y in metres: the performer is the person who stands there", _is_point),
}
"""Every option; a stage sees those that it declares."""


def defaults() -> dict[str, Any]:
    """Return every option with its default."""
    return {name: option.default for name, option in OPTIONS.items()}


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """Return options from texts `key=value`.

    Raises:
        InputError: `setting-unknown` or `setting-invalid`.
    """
    return dict(_parse_pair(pair) for pair in pairs)


def _parse_pair(pair: str) -> tuple[str, Any]:
    key, equals, text = pair.partition("=")
    listing = "; ".join(f"{name} ({option.help})" for name, option in OPTIONS.items())
    if key not in OPTIONS:
        raise InputError("setting-unknown", f"There is no setting {key!r}.", f"Use one of: {listing}.")
    if not equals:
        raise InputError("setting-invalid", f"--set {pair}: expected {key}=VALUE.", "Give a value after `=`.")
    try:
        return key, OPTIONS[key].parse(text)
    except ValueError as error:
        raise InputError(
            "setting-invalid", f"--set {pair}: {error}.", f"Give a value for: {OPTIONS[key].help}."
        ) from error


def check_config(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return stored options, lists as tuples. Raises InputError `setting-unknown`, `setting-invalid`."""
    unknown = sorted(set(values) - set(OPTIONS))
    if unknown:
        raise InputError(
            "setting-unknown", f"{where}: unknown settings {', '.join(unknown)}.", f"Use: {', '.join(OPTIONS)}."
        )
    for name, value in values.items():
        if not OPTIONS[name].is_stored_well(value):
            raise InputError(
                "setting-invalid",
                f"{where}: {name} = {value!r} is not a value of the right kind.",
                f"Give a value for: {OPTIONS[name].help} (true and false without quotes, a point as [X, Y]).",
            )
    return {k: tuple(cast("list[Any]", v)) if isinstance(v, list) else v for k, v in values.items()}
