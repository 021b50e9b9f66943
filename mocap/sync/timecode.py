"""Clocks from the start timecodes of the files: coarse, but known at once and over any gap.

A timecode is as right as the clock that it counts from. One set by a cable or an app is right to some frames; one set
by hand may be off by seconds, and nothing in the file says which it is. So its error has a heavy tail: alone it ties
cameras to a quarter of a second, and beside sound or motion it only says where to look.
"""

from __future__ import annotations

from collections.abc import Mapping

from mocap.media.timecode import Timecode
from mocap.sync.evidence import Evidence

SOURCE = "timecode"
SIGMA_S = 0.25
"""What is said of cameras that only timecode ties. With a Cauchy distribution of scale 0.1 s (some frames), two thirds
of the errors are within 0.18 s and one in ten is above 0.6 s."""
DAY_S = 86400.0


def timecode_evidence(timecodes: Mapping[str, Timecode | None]) -> list[Evidence]:
    """Return what start timecodes say of each camera against the first that has one.

    Labels that count from the start of the recording (all zero) are no time of day and say nothing.
    """
    known = {c: t for c, t in timecodes.items() if t is not None and t.frame_number > 0}
    if len(known) < 2:
        return []
    first, *others = known
    evidence: list[Evidence] = []
    for camera in others:
        later_s = float(known[camera].seconds - known[first].seconds)
        later_s = (later_s + DAY_S / 2) % DAY_S - DAY_S / 2  # a take may run over midnight
        detail = {"timecodes": [str(known[first]), str(known[camera])]}
        evidence.append(
            Evidence(
                SOURCE, first, camera, later_s, 0.0, 0.0, SIGMA_S, float("inf"), is_heavy_tailed=True, detail=detail
            )
        )
    return evidence
