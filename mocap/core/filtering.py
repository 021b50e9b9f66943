"""A filter as a person asks for it, in one line of text, and what it makes of reconstructed points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mocap.core.errors import InputError
from mocap.core.keypoints import KeypointSet, Points3D
from mocap.kernels.filters import FILTERS, filtered

_KEYPOINTS = "keypoints"


@dataclass(frozen=True)
class FilterSpec:
    """A filter by name with its parameters, for all keypoints or some."""

    name: str
    parameters: Mapping[str, float]
    keypoints: tuple[str, ...] = ()
    """Names of the set; empty for all."""

    @property
    def label(self) -> str:
        """Name with the parameters that are not the usual ones, e.g. `butterworth_cutoff_hz4`: for files."""
        usual = FILTERS[self.name].defaults
        own = [f"{k}{v:g}" for k, v in self.parameters.items() if v != usual[k]]
        return "_".join([self.name, *own, *self.keypoints])

    def apply(self, points: Points3D, rate_hz: float) -> Points3D:
        """Return the points with this filter over time; gaps and other keypoints stay as they are.

        The uncertainty is that of the input: a filter does not say what it leaves. Raises InputError
        `filter-parameter` when the rate does not allow a parameter, `filter-keypoint` for a name the set lacks.
        """
        index = self._index(points.keypoint_set)
        xyz_m = points.xyz_m.copy()
        try:
            xyz_m[:, index] = filtered(xyz_m[:, index], rate_hz, self.name, self.parameters)
        except ValueError as error:
            raise InputError(
                "filter-parameter", f"--filter {self.name}: {error}.", "Give a value that fits the take's frame rate."
            ) from error
        return replace(points, xyz_m=xyz_m)

    def _index(self, keypoint_set: KeypointSet) -> np.ndarray:
        unknown = [n for n in self.keypoints if n not in keypoint_set.names]
        if unknown:
            raise InputError(
                "filter-keypoint",
                f"--filter {self.name}: {', '.join(unknown)} is not in the keypoint set {keypoint_set.name}.",
                f"Choose from: {', '.join(keypoint_set.names)}.",
            )
        return np.array([keypoint_set.names.index(n) for n in self.keypoints or keypoint_set.names])


@dataclass(frozen=True, eq=False)
class FilteredPoints:
    """What a filter made of points, beside what it was given."""

    spec: FilterSpec
    before: Points3D
    after: Points3D


def parse_filter(text: str) -> FilterSpec:
    """Return the filter that e.g. `butterworth:cutoff_hz=8:keypoints=LWrist,RWrist` asks for.

    Raises InputError `filter-unknown` or `filter-parameter`.
    """
    name, *items = text.strip().split(":")
    if name not in FILTERS:
        raise InputError("filter-unknown", f"There is no filter {name!r}.", f"Choose one of: {', '.join(FILTERS)}.")
    defaults = FILTERS[name].defaults
    parameters, keypoints = dict(defaults), ()
    for item in items:
        key, _, value = item.partition("=")
        if key == _KEYPOINTS and value:
            keypoints = tuple(n.strip() for n in value.split(","))
            continue
        try:
            number = float(value)
        except ValueError:
            number = np.nan
        low, high = FILTERS[name].limits.get(key, (np.inf, -np.inf))
        if not low <= number <= high or (key == "order" and number != int(number)):
            known = ", ".join(f"{k} from {a:g} to {b:g}" for k, (a, b) in FILTERS[name].limits.items())
            raise InputError(
                "filter-parameter",
                f"--filter {text}: got {item!r}; {name} has {known or 'no parameter'}; an order is a whole number.",
                "Correct or leave out this parameter.",
            )
        parameters[key] = number
    return FilterSpec(name, parameters, keypoints)
