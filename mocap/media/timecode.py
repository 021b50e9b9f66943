"""Start timecode: the label (hours, minutes, seconds, frames) that a camera gives its first frame.

SMPTE ST 12-1 for the labels and for drop-frame counting; Apple's QuickTime File Format Specification, "Timecode Media",
for the `tmcd` track that MP4 and MOV files carry it in.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from mocap.media.mp4_index import IndexDamagedError, Movie, read_sample

_DROP_FRAME = 1
_TEXT = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})([:;.])(\d{2,3})")
_MAX_BASE = 1000


@dataclass(frozen=True)
class Timecode:
    """The label of a first frame."""

    frame_number: int
    """Frames counted since 00:00:00:00; drop-frame labels leave out numbers, this count does not."""
    rate: Fraction
    """Frames in one true second, e.g. 60000/1001."""
    base: int
    """Frames that one second of the label counts, e.g. 60."""
    is_drop_frame: bool

    @property
    def seconds(self) -> Fraction:
        """True time since the label 00:00:00:00: cameras whose clocks were set together differ by true time in it."""
        return self.frame_number / self.rate

    def __str__(self) -> str:
        number = self.frame_number
        if self.is_drop_frame:
            # Two labels (four at 60) are left out each minute but every tenth.
            skip = round(self.base / 15)
            per_minute, per_ten = 60 * self.base - skip, 600 * self.base - 9 * skip
            tens, rest = divmod(number, per_ten)
            number += 9 * skip * tens + (skip * ((rest - skip) // per_minute) if rest > skip else 0)
        frames, seconds = number % self.base, number // self.base
        mark = ";" if self.is_drop_frame else ":"
        return f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{frames:02d}"


def parse_timecode(text: str, rate: Fraction) -> Timecode | None:
    """Return a timecode from its text (`;` or `.` before the frames: drop-frame), or None where it is none."""
    match = _TEXT.fullmatch(text.strip())
    if match is None or rate <= 0:
        return None
    hours, minutes, seconds, frames = (int(match[i]) for i in (1, 2, 3, 5))
    base = max(round(rate), 1)
    if minutes > 59 or seconds > 59 or frames >= base:
        return None
    is_drop = match[4] != ":" and rate.denominator == 1001 and base % 30 == 0
    number = ((hours * 60 + minutes) * 60 + seconds) * base + frames
    if is_drop:
        total_minutes = 60 * hours + minutes
        number -= round(base / 15) * (total_minutes - total_minutes // 10)
    return Timecode(number, rate, base, is_drop)


def read_timecode(file: Path, movie: Movie) -> Timecode | None:
    """Return the start timecode of an MP4's or MOV's `tmcd` track; None where it has none that makes sense."""
    track = movie.track("tmcd") or next((t for t in movie.tracks if t.format == "tmcd"), None)
    if track is None or len(track.sample_entry) < 25:
        return None
    # After 8 bytes common to all entries: reserved, flags, time scale, duration of a frame, frames per second.
    # The last is not used: cameras write 29 for 29.97.
    _, flags, timescale, step, _ = struct.unpack_from(">IIIIB", track.sample_entry, 8)
    try:
        data = read_sample(file, track.samples, 0, max_bytes=16) if len(track.samples) else b""
    except IndexDamagedError:
        return None
    if len(data) < 4 or not timescale or not step:
        return None
    rate = Fraction(timescale, step)
    base = round(rate)
    if not 0 < base <= _MAX_BASE:
        return None
    return Timecode(struct.unpack_from(">I", data)[0], rate, base, bool(flags & _DROP_FRAME) and base % 30 == 0)
