"""Motion that no body can do, found in the measured points before the solve follows them.

Three questions are asked of every measured point: does it get there by an acceleration beyond its limit, does it lie
inside another part of the body, does the body reach it only with a joint beyond its range? The limits are data
(`body_limits.toml`, `joint_limits.toml`). What fails is set aside, counted, and logged with when, where and why.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.limbs import stretches
from mocap.core.observations import Observations
from mocap.solve.body import JOINT_NAMES, LANDMARKS, PARENTS
from mocap.solve.limits import joint_limits

TOO_FAST, INSIDE_BODY, BEYOND_RANGE = "too_fast", "self_penetration", "beyond_joint_range"
RANGE_TOLERANCE_DEG = 15.0
"""Angles of single frames are noisy: beyond its range by less than this, a joint is not called impossible."""
MAX_LOGGED = 200


@dataclass(frozen=True)
class Entry:
    """One stretch of impossible motion of one landmark."""

    landmark: str
    first: int
    """Frame."""
    last: int
    reason: str
    value: float
    """What was found: m/s^2, metres from the core's axis, or degrees beyond the range."""
    limit: float
    detail: str
    """The body part or joint range that is in the way."""


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(resources.files("mocap.solve").joinpath("body_limits.toml").read_text("utf-8"))


def acceleration_limit_m_s2(landmark: str) -> float:
    """Return the greatest acceleration that is believed of a landmark."""
    table = _data()["acceleration_m_s2"]
    return float(table.get(landmark, table["default"]))


def inside_body(names: Sequence[str], points_m: np.ndarray, scale: float) -> list[Entry]:
    """Return where measured points [frame landmark 3] lie in the core of another part of the body.

    scale: the body's size against the reference body.
    """
    found: list[Entry] = []
    place = {n: points_m[:, k] for k, n in enumerate(names)}
    for a, b, middle in (("LHip", "RHip", "Hip"), ("LShoulder", "RShoulder", "Neck")):
        if middle not in place and a in place and b in place:
            place[middle] = (place[a] + place[b]) / 2
    for core in _data()["core"]:
        if core["from"] not in place or core["to"] not in place:
            continue
        start, end = place[core["from"]], place[core["to"]]
        radius = core["radius_m"] * scale
        for k, name in enumerate(names):
            if name not in core["landmarks"] and name[1:] not in core["landmarks"]:
                continue
            along = end - start
            share = ((points_m[:, k] - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
            share = np.clip(share, 0.0, 1.0)
            distance = np.linalg.norm(points_m[:, k] - start - share[:, None] * along, axis=-1)
            for first, last in stretches(np.nan_to_num(distance, nan=np.inf) < radius):
                nearest = float(distance[first : last + 1].min())
                found.append(Entry(name, first, last, INSIDE_BODY, nearest, radius, core["name"]))
    return found


def beyond_range(names: Sequence[str], local_wxyz: np.ndarray, known: np.ndarray) -> list[Entry]:
    """Return the landmarks that the body reaches only with a joint beyond its range.

    local_wxyz [frame joint 4] fitted without limits; known [frame landmark] which landmarks were measured. Named are
    the measured landmarks that the joint moves.
    """
    limits = joint_limits()
    excess = np.stack([np.degrees(np.abs(m.excess(local_wxyz[:, m.joint])[0])) for m in limits], axis=1)
    found: list[Entry] = []
    for k, name in enumerate(names):
        on_the_way = np.array([_is_moved(name, m.joint) for m in limits])
        of_landmark = np.where(on_the_way, excess, 0.0)
        for first, last in stretches(known[:, k] & (of_landmark.max(1) > RANGE_TOLERANCE_DEG)):
            worst = of_landmark[first : last + 1].max(0)
            joint = int(worst.argmax())
            found.append(Entry(name, first, last, BEYOND_RANGE, float(worst[joint]), 0.0, limits[joint].name))
    return found


def _is_moved(landmark: str, joint: int) -> bool:
    """Return whether turning a joint moves a landmark: one on a descendant, or off the joint's own centre."""
    j = JOINT_NAMES.index(LANDMARKS[landmark].joint)
    if j == joint:
        return LANDMARKS[landmark].is_free
    while j >= 0 and j != joint:
        j = PARENTS[j]
    return j == joint


def merged(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries with those of one landmark and reason joined where they touch or overlap."""
    out: list[Entry] = []
    for e in sorted(entries, key=lambda e: (e.landmark, e.reason, e.detail, e.first)):
        before = out[-1] if out else None
        same = before is not None and (before.landmark, before.reason, before.detail) == (
            e.landmark,
            e.reason,
            e.detail,
        )
        if before is not None and same and e.first <= before.last + 1:
            value = min(before.value, e.value) if e.reason == INSIDE_BODY else max(before.value, e.value)
            out[-1] = replace(before, last=max(before.last, e.last), value=value)
        else:
            out.append(e)
    return out


def mask_of(entries: Sequence[Entry], names: Sequence[str], n_frames: int) -> np.ndarray:
    """Return [frame landmark] what the entries name."""
    mask = np.zeros((n_frames, len(names)), bool)
    for e in entries:
        mask[e.first : e.last + 1, names.index(e.landmark)] = True
    return mask


def without(observations: Observations, mask: np.ndarray) -> tuple[Observations, np.ndarray]:
    """Return the observations without those of a mask [frame landmark], and which went [camera frame landmark]."""
    nearest = observations.nearest_frame(len(mask))
    gone = np.where(nearest[..., None] >= 0, mask[np.maximum(nearest, 0)], False) & observations.seen
    px_per_unit = np.where(gone, 0.0, observations.px_per_unit)
    score = np.where(gone, 0.0, observations.score)
    o = observations
    return Observations(o.xy, px_per_unit, score, o.frame, o.R_cam_from_world, o.t_cam_from_world_m), gone


def log(entries: Sequence[Entry], counts: dict[str, int], time_s: np.ndarray) -> tuple[Diagnostic, ...]:
    """Return the finding that says when, where and why motion was called impossible; none when there was none."""
    if not entries:
        return ()
    rows = [
        {
            "landmark": e.landmark,
            "from_s": round(float(time_s[e.first]), 4),
            "to_s": round(float(time_s[e.last]), 4),
            "frames": e.last - e.first + 1,
            "reason": e.reason,
            "value": round(e.value, 3),
            "limit": round(e.limit, 3),
            "what": e.detail,
        }
        for e in sorted(entries, key=lambda e: (e.first, e.landmark))
    ]
    each = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in counts.items() if n)
    longest = max(rows, key=lambda r: r["frames"])
    message = (
        f"motion that no body can do was left out in {len(rows)} stretches (detections: {each}); the longest: "
        f"{longest['landmark']} {longest['from_s']:.2f}-{longest['to_s']:.2f} s, {longest['reason'].replace('_', ' ')}"
    )
    data = {"stretches": rows[:MAX_LOGGED], "n_stretches": len(rows), "detections": counts}
    return (Diagnostic("motion-implausible", Severity.WARNING, message, data),)


def counted(
    entries: Sequence[Entry], names: Sequence[str], observations: Observations, rejected: np.ndarray, n_frames: int
) -> dict[str, int]:
    """Return how many of the rejected detections [camera frame landmark] go with each reason, each under the first."""
    counts: dict[str, int] = {}
    left = rejected.copy()
    for reason in (TOO_FAST, INSIDE_BODY, BEYOND_RANGE):
        gone = without(observations, mask_of([e for e in entries if e.reason == reason], names, n_frames))[1] & left
        counts[reason] = int(gone.sum())
        left &= ~gone
    return counts
