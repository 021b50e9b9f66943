"""Clocks from the start timecodes of the files: coarse, but known at once and over any gap."""

from __future__ import annotations

from collections.abc import Mapping

from mocap.media.timecode import Timecode
from mocap.sync.evidence import Evidence

SOURCE = "timecode"
SIGMA_S = 0.1
"""Cameras whose clocks were set from one source agree to some frames; those with a cable agree better, which sound and
motion then show."""
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
        evidence.append(Evidence(SOURCE, first, camera, later_s, 0.0, 0.0, SIGMA_S, float("inf"), detail=detail))
    return evidence
