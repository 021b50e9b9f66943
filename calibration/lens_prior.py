"""What a lens may be before a board is seen, and where the search for it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from calibration.cauchy import CAUCHY
from calibration.rig_bundle import Prior
from calibration.rig_poses import view_poses
from calibration.rig_views import N_LENS, Views, packed
from mocap.core.camera import N_DISTORTION, Intrinsics, LensModel
from mocap.core.diagnostics import Diagnostic, Severity

ASPECT_SD = 0.004
"""1 sd of fy / fx - 1: pixels are square but for stretched video."""
CENTER_SD = 0.02
"""1 sd of the principal point, as a share of the longer side."""
DISTORTION_SD = {
    LensModel.BROWN: np.array([0.4, 0.4, 0.01, 0.01, 0.3]),
    LensModel.FISHEYE: np.array([0.1, 0.1, 0.1, 0.1]),
}
FOCAL_SHARES = np.geomspace(0.35, 2.2, 8)
"""Focal lengths tried, as shares of the longer side."""
N_SEED_VIEWS = 12
HUGE_SD = 1e6
CONTRADICTED_SDS = 4.0
"""A preset whose focal length is off by more of its standard deviations is of another lens mode or model."""


@dataclass(frozen=True, eq=False)
class LensPrior:
    """A lens believed in to some extent: a preset, or an earlier calibration."""

    intrinsics: Intrinsics
    sd: np.ndarray
    """[9] 1 sd of fx fy cx cy and of the distortion (0: exact; a fisheye has no ninth)."""
    aspect_sd: float = ASPECT_SD
    """1 sd of fy / fx about that of the intrinsics."""

    def relaxed(self, lens: np.ndarray) -> LensPrior:
        """Return the prior as it weighs at a lens [9]: of Cauchy's law, which lets go of what the views contradict.

        Most lenses are usual and a few are far from it; a Gaussian would pull those back by as many sigmas as they are
        off. Iterative re-weighting (P. Holland and R. Welsch, 1977) makes its sd grow with the gap instead.
        """
        gap = (lens - packed(self.intrinsics)) / CAUCHY
        off_aspect = lens[1] / lens[0] - self.intrinsics.focal_px[1] / self.intrinsics.focal_px[0]
        sd = np.where(self.sd > 0, np.hypot(self.sd, gap), 0.0)
        sd[:2] = np.where(self.sd[:2] >= HUGE_SD, self.sd[:2], sd[:2])
        aspect_sd = float(np.hypot(self.aspect_sd, off_aspect / CAUCHY)) if self.aspect_sd > 0 else 0.0
        return replace(self, sd=sd, aspect_sd=aspect_sd)


def general_prior(size_px: tuple[int, int], model: LensModel) -> LensPrior:
    """Return what is true of most lenses: square pixels, a centred axis, moderate distortion, any focal length."""
    n = N_DISTORTION[model]
    longer = max(size_px)
    sd = np.zeros(N_LENS)
    sd[:2], sd[2:4], sd[4 : 4 + n] = HUGE_SD, CENTER_SD * longer, DISTORTION_SD[model]
    center = (np.array(size_px) - 1.0) / 2.0
    return LensPrior(Intrinsics(size_px, np.full(2, 0.8 * longer), center, np.zeros(n), model), sd)


def preset_findings(
    given: Mapping[str, Intrinsics | LensPrior], found: Mapping[str, tuple[Intrinsics, float]]
) -> list[Diagnostic]:
    """Return a finding per camera whose views contradict the preset that its lens was refined from.

    found: lens by camera and 1 sd of its focal length in px. Compared are the focal lengths: a wrong lens mode or model
    differs by tens of percent there, and the other parameters trade against each other.
    """
    out: list[Diagnostic] = []
    for name, prior in given.items():
        if not isinstance(prior, LensPrior) or name not in found:
            continue
        lens, sd_px = found[name]
        was_px, is_px = float(prior.intrinsics.focal_px.mean()), float(lens.focal_px.mean())
        limit_px = CONTRADICTED_SDS * float(np.hypot(prior.sd[0], sd_px))
        if not abs(is_px - was_px) > limit_px:
            continue
        message = (
            f"Camera {name}: the preset says a focal length of {was_px:.0f} px (to {prior.sd[0]:.0f}), the board says "
            f"{is_px:.0f} (to {sd_px:.0f}), which was used. Camera model or lens mode are probably others than named."
        )
        data = {"camera": name, "preset_focal_px": was_px, "focal_px": is_px}
        out.append(Diagnostic("lens-preset-contradicted", Severity.WARNING, message, data))
    return out


def information(priors: list[LensPrior], lens: np.ndarray) -> Prior:
    """Return the priors of all cameras about the state; the aspect's term is linearised at lenses [camera 9]."""
    mean = np.stack([packed(p.intrinsics) for p in priors])
    out = np.zeros((len(priors), N_LENS, N_LENS))
    for c, prior in enumerate(priors):
        sd = np.where(prior.sd > 0, prior.sd, np.inf)
        out[c][np.diag_indices(N_LENS)] = 1.0 / sd**2
        if np.isfinite(prior.aspect_sd) and prior.aspect_sd > 0:
            ratio = prior.intrinsics.focal_px[1] / prior.intrinsics.focal_px[0]
            row = np.zeros(N_LENS)
            row[:2] = -ratio, 1.0
            out[c] += np.outer(row, row) / (prior.aspect_sd * lens[c, 0]) ** 2
            if sd[0] >= HUGE_SD:
                # Any focal length: the aspect must not pull towards the mean's.
                mean[c, :2] = mean[c, 0] * np.array([1.0, ratio])
    return Prior(mean, out)


def seeds(views: Views, size_px: tuple[int, int], model: LensModel) -> list[np.ndarray]:
    """Return lenses [9] to start from, the best first: focal lengths under which the views look like one rigid plane.

    views are those of one camera.
    """
    chosen = spread_views(views, N_SEED_VIEWS)
    n, m = len(chosen), len(FOCAL_SHARES)
    lenses = np.tile(packed(general_prior(size_px, model).intrinsics), (m, 1))
    lenses[:, :2] = FOCAL_SHARES[:, None] * max(size_px)
    # One camera per focal length, all at once.
    trials = Views(
        np.repeat(np.arange(m), n),
        np.arange(n * m),
        np.tile(views.xy_px[chosen], (m, 1, 1)),
        views.corners_m,
        m,
        n * m,
    )
    poses = view_poses(trials, lenses, (model,) * m, n_iterations=2)
    error = np.where(np.isfinite(poses.error_px[:, 0]), np.minimum(poses.error_px[:, 0], 1e3), 1e3)
    score = np.log(error + 0.1).reshape(m, n).mean(1)
    return [lenses[i] for i in np.argsort(score)]


def spread_views(views: Views, n: int) -> np.ndarray:
    """Return indices of up to n views, chosen one by one: many corners, far in picture and tilt from those chosen."""
    seen = views.seen
    count = seen.sum(1)
    usable = np.flatnonzero(count >= max(6, 0.4 * count.max(initial=0)))
    if len(usable) <= n:
        return usable
    xy = np.where(seen[..., None], views.xy_px, 0.0)[usable]
    middle = xy.sum(1) / count[usable, None]
    centred = np.where(seen[usable][..., None], xy - middle[:, None], 0.0)
    spread = np.einsum("vni,vnj->vij", centred, centred) / count[usable, None, None]
    features = np.stack(
        [middle[:, 0], middle[:, 1], *(np.sqrt(spread[:, i, i]) for i in (0, 1)), np.cbrt(spread[:, 0, 1])], 1
    )
    features = features / (features.std(0) + 1e-9)
    chosen = [int(np.argmax(count[usable]))]
    gap = np.linalg.norm(features - features[chosen[0]], axis=1)
    while len(chosen) < n:
        new = int(np.argmax(gap * np.sqrt(count[usable])))
        chosen.append(new)
        gap = np.minimum(gap, np.linalg.norm(features - features[new], axis=1))
    return usable[np.sort(chosen)]
