"""Kinds of command-line values that several verbs share."""

from __future__ import annotations

import argparse
import contextlib
import errno
import math
import tempfile
from collections.abc import Callable, Generator
from fractions import Fraction
from pathlib import Path

from mocap.core.errors import SetupError
from mocap.core.publish import why_not_writable


def frame_rate(text: str) -> Fraction:
    """Return an exact frame rate from `60`, `59.94` or `60000/1001`."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"expected a frame rate above 0, e.g. 60 or 60000/1001, got {text!r}")
    return value


def point(text: str) -> tuple[float, float]:
    """Return `X,Y` in metres."""
    x, y = _coordinates(text, 2, "X,Y in metres, e.g. 0.5,-1")
    return x, y


def point3(text: str) -> tuple[float, float, float]:
    """Return `X,Y,Z` in metres."""
    x, y, z = _coordinates(text, 3, "X,Y,Z in metres, e.g. 0.5,-1,1.2")
    return x, y, z


def length_m(low: float, high: float) -> Callable[[str], float]:
    """Return a type of lengths from `low` to `high` metres; a number that fits in cm or mm is told so."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if low <= value <= high:
            return value
        wanted = f"expected a length of {low:g} to {high:g} m"
        meant = next((value / n for n in (100, 1000) if 0 < low <= value / n <= high), None)
        hint = f"; give metres: {meant:g}?" if meant is not None else ", in metres"
        raise argparse.ArgumentTypeError(f"{wanted}{hint} (got {text!r})")

    return parse


def _coordinates(text: str, n: int, expected: str) -> list[float]:
    try:
        values = [float(v) for v in text.split(",")]
    except ValueError:
        values = []
    if len(values) != n or not all(math.isfinite(v) for v in values):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return values


def add_filter_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--filter`, which several verbs have."""
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="NAME[:PARAMETER=VALUE]",
        help="also write what this filter makes of points triangulated frame by frame, and compare it with the solve; "
        "may be given several times: "
        "butterworth, savgol, gcv, rts, or the causal kalman and one-euro; keypoints=LWrist,RWrist limits it to some",
    )


def writable_folder(folder: Path) -> None:
    """Make an output folder and check that files can be put there, before hours of work rely on it.

    Raises:
        SetupError: `output-not-writable` or `output-full`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".mocap-") as probe:
            probe.write(bytes(1 << 16))
            probe.flush()
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        code = "output-full" if is_full else "output-not-writable"
        what = "the disk is full" if is_full else f"cannot be written to: {why_not_writable(error)}"
        raise SetupError(code, f"{folder}: {what}.", "Choose another output folder or mend this one.") from error


@contextlib.contextmanager
def output_folder(folder: Path) -> Generator[None]:
    """Have a writable folder; whatever of it was made and is still empty when the work fails is removed.

    Raises:
        SetupError: as `writable_folder`.
    """
    made = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        writable_folder(folder)
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for empty in made:
                empty.rmdir()
        raise
