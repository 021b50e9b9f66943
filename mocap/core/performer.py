"""What is known of a performer's body from an earlier take, and its file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mocap.core.errors import InputError
from mocap.core.jsontext import write_json
from mocap.core.publish import disk_error

FORMAT, VERSION = "mocap-performer", 1
Place = tuple[float, float, float]


@dataclass(frozen=True)
class PerformerProfile:
    """Sizes of one performer's body, as the solve of a take found them."""

    scale: float
    """Overall size against the studio's reference body."""
    segment_m: dict[str, float]
    """Length of each segment, named by the joint at its far end."""
    landmark_m: dict[str, Place]
    """Place of each keypoint's landmark in its joint's frame."""
    toe_m: Place
    """Place of the left toe joint in the foot's frame."""
    measured: tuple[str, ...]
    """Landmarks that were measured; the places of others follow from the overall size."""
    origin: str = ""
    """The take that it was found in."""

    def write(self, path: Path) -> None:
        """Write the profile as JSON, whole or not at all.

        Raises SetupError `output-not-writable`, `output-full`.
        """
        try:
            write_json(path, {"format": FORMAT, "version": VERSION, **self.to_json()})
        except OSError as error:
            raise disk_error(error, path) from error

    def to_json(self) -> dict[str, Any]:
        """Return the profile as a JSON object."""
        return {
            "origin": self.origin,
            "scale": self.scale,
            "segment_m": dict(self.segment_m),
            "landmark_m": {k: list(v) for k, v in self.landmark_m.items()},
            "toe_m": list(self.toe_m),
            "measured": list(self.measured),
        }


def performer_from_json(data: Mapping[str, Any]) -> PerformerProfile:
    """Return the profile of `to_json`. Raises KeyError, TypeError, AttributeError or ValueError when it is none."""
    return PerformerProfile(
        scale=_size(data["scale"]),
        segment_m={str(k): _size(v) for k, v in data["segment_m"].items()},
        landmark_m={str(k): _place(v) for k, v in data["landmark_m"].items()},
        toe_m=_place(data["toe_m"]),
        measured=tuple(str(n) for n in data["measured"]),
        origin=str(data["origin"]),
    )


def read_performer(path: Path) -> PerformerProfile:
    """Return the profile of a file that `PerformerProfile.write` wrote. Raises InputError `performer-invalid`."""
    try:
        read = json.loads(path.read_text("utf-8"))
        data = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
        if "format" not in data:
            raise ValueError(f"it does not say that it is a {FORMAT}")
        if data["format"] != FORMAT or data.get("version") != VERSION:
            raise ValueError(f"expected {FORMAT} version {VERSION}, got {data['format']} {data.get('version')}")
        return performer_from_json(data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "performer-invalid",
            f"{path} is no performer's profile: {_reason(error)}.",
            "Give a file that an earlier take wrote, or the name of a new one.",
        ) from error


def _reason(error: Exception) -> str:
    """Return for a person what an error of reading says."""
    if isinstance(error, OSError):
        return (error.strerror or "it cannot be read").lower()
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "it is not JSON"
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"
    if isinstance(error, TypeError | AttributeError):
        return "its entries are not those of a profile"
    return str(error)


def _size(value: Any) -> float:
    if not (math.isfinite(float(value)) and 0.0 < float(value) < 5.0):
        raise ValueError(f"a size of {value} is no body's")
    return float(value)


def _place(value: Any) -> Place:
    x, y, z = (float(v) for v in cast("list[Any]", value))
    if not all(math.isfinite(v) and abs(v) < 2.0 for v in (x, y, z)):
        raise ValueError(f"a place of {value} is on no body")
    return x, y, z
