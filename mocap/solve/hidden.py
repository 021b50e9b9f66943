"""Limbs that were hidden for a while: what the solve makes of them is a guess, which the user must hear of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.keypoints import Points3D, Source
from mocap.core.limbs import LIMBS, stretches

LEAST_SIGMA_M = 0.03
"""Where the solve knows a hidden limb better than this, nobody sees a difference."""
MAX_LISTED = 200
"""The most uncertain ones."""
ONE_OF = {"arm": (*LIMBS["arms"], *LIMBS["hands"]), "leg": LIMBS["legs"]}
SIDES = {"L": "left", "R": "right"}
TRUNK, WHOLE = "trunk and head", "whole body"


@dataclass(frozen=True)
class Hidden:
    """One stretch in which a limb was hidden."""

    limb: str
    landmarks: tuple[str, ...]
    from_s: float
    to_s: float
    n_frames: int
    sigma_mm: float
    """The greatest of its hidden landmarks and frames."""

    @property
    def text(self) -> str:
        """Of a person's report."""
        which = "" if self.limb == WHOLE else f" ({', '.join(self.landmarks)})"
        return f"{self.limb}{which} {self.from_s:.2f}-{self.to_s:.2f} s, +-{self.sigma_mm:.0f} mm"


def hidden_limbs(points: Points3D, keypoints: Points3D, index: Sequence[int]) -> list[Diagnostic]:
    """Return the finding that says which limbs were hidden, when, and how uncertain they are there; none if none was.

    `index` are the keypoints of the body that are measured somewhere in the take. Hidden is where `points`, before the
    solve, are missing: fewer than two views agree for longer than reconstruction bridges. `keypoints` are solved.
    """
    found = sorted(_hidden(points, keypoints, index), key=lambda h: -h.sigma_mm)
    if not found:
        return []
    worst, listed = found[0], sorted(found[:MAX_LISTED], key=lambda h: (h.from_s, h.limb))
    message = (
        f"limbs were hidden, no two cameras that agree saw them, for too long to bridge ({len(found)} "
        f"stretch{'es' if len(found) > 1 else ''}): there the pose is the likeliest given the frames around; the "
        f"most uncertain: {worst.text}. Look at these stretches in the animation; place keypoints by hand (mocap edit, "
        "move), or film with another camera on that side"
    )
    data = {"stretches": [asdict(h) for h in listed], "n_stretches": len(found)}
    return [Diagnostic("limbs-hidden", Severity.WARNING, message, data)]


def _hidden(points: Points3D, keypoints: Points3D, index: Sequence[int]) -> Iterator[Hidden]:
    landmarks = np.array([points.keypoint_set.landmarks[k] for k in index])
    sigma_m, hidden = keypoints.sigma_m[:, index], np.equal(points.source[:, index], Source.MISSING)
    whole: np.ndarray = np.all(hidden, axis=1)
    limbs = np.array([_limb(str(name)) for name in landmarks])
    for limb in (WHOLE, *dict.fromkeys(limbs.tolist())):
        of = np.flatnonzero((limbs == limb) | (limb == WHOLE))
        for first, last in stretches(whole if limb == WHOLE else np.any(hidden[:, of], axis=1) & ~whole):
            there = slice(first, last + 1)
            worst_m = float(sigma_m[there][:, of][hidden[there][:, of]].max())
            if worst_m > LEAST_SIGMA_M:
                from_s, to_s = (round(float(points.time_s[f]), 4) for f in (first, last))
                names = tuple(landmarks[of[hidden[there][:, of].any(0)]].tolist())
                yield Hidden(limb, names, from_s, to_s, last - first + 1, round(1e3 * worst_m, 1))


def _limb(landmark: str) -> str:
    """Return the limb of a landmark, with its side, as a person calls it."""
    for limb, landmarks in ONE_OF.items():
        if landmark[:1] in SIDES and landmark[1:] in landmarks:
            return f"{SIDES[landmark[0]]} {limb}"
    return TRUNK
