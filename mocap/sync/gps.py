"""Clocks from satellite time: what the cameras' receivers stamped, coarse but absolute and over any gap."""

from __future__ import annotations

from collections.abc import Mapping

from mocap.media.telemetry import GpsTimes
from mocap.sync.evidence import Evidence

SOURCE = "gps"
SIGMA_S = 0.01
"""What is left between two cameras besides what each one's own stamps are off by."""


def gps_evidence(times: Mapping[str, GpsTimes | None]) -> list[Evidence]:
    """Return what satellite time says of each camera against the first that has it.

    Stamps of a whole payload (GPSU) may be off by seconds and then tie nothing (`fuse` leaves such evidence out);
    stamps of samples (GPS9) are good to some hundredths. Samples without a fix do not count.
    """
    known = {c: found for c, t in times.items() if t is not None and (found := t.start_utc_s()) is not None}
    if len(known) < 2:
        return []
    first, *others = known
    start_s, own_s = known[first]
    evidence: list[Evidence] = []
    for camera in others:
        utc_s, sigma_s = known[camera]
        # one star of pairs: the first camera's error is in all of them alike
        detail = {"start_utc_s": [start_s, utc_s]}
        evidence.append(
            Evidence(
                SOURCE,
                first,
                camera,
                utc_s - start_s,
                0.0,
                0.0,
                max(SIGMA_S, sigma_s, own_s),
                float("inf"),
                max(sigma_s, own_s),
                detail=detail,
            )
        )
    return evidence
