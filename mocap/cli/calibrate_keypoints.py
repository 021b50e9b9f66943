"""What the verbs that calibrate from people share: one performer's keypoints from files or videos, and the figures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.options import frame_rate, point
from mocap.cli.ui import Ui

if TYPE_CHECKING:
    from calibration.refine_certainty import CameraCertainty
    from calibration.refine_figures import CameraReprojection
    from mocap.core.camera import CameraRig
    from mocap.core.diagnostics import Diagnostic
    from mocap.core.keypoints import Keypoints2D
    from mocap.core.timeline import TimeMap
    from mocap.pose2d.detections import CameraDetections

ASSUMED_FPS = Fraction(60)
"""Where cameras have no clocks of their own, the frame rate does not change where they stand."""


@dataclass(frozen=True, eq=False)
class Performer:
    """One person's keypoints in all cameras of a rig, and how they were come by."""

    detections: Keypoints2D
    alone: Keypoints2D
    """The performer as each camera by itself would choose: the rig had no part in it."""
    time_maps: Mapping[str, TimeMap]
    diagnostics: tuple[Diagnostic, ...]


def add_keypoint_options(parser: argparse.ArgumentParser, *, is_required: bool, has_place: bool = True) -> None:
    """Declare how keypoints are given."""
    parser.add_argument(
        "--keypoints", required=is_required, type=Path, metavar="DIR", help="one folder or file per camera"
    )
    parser.add_argument(
        "--fps", required=is_required, type=frame_rate, metavar="F", help="frame rate, e.g. 60 or 60000/1001"
    )
    parser.add_argument("--times", type=Path, metavar="FILE", help="clocks: JSON, or CSV camera,offset_s,drift_ppm")
    parser.add_argument("--keypoint-set", metavar="NAME", help="where the files do not tell")
    if has_place:
        parser.add_argument("--subject-at", type=point, metavar="X,Y", help="the performer stands here (metres)")


def read_performer(
    rig: CameraRig,
    folder: Path,
    fps: Fraction,
    ui: Ui,
    *,
    times: Path | None = None,
    keypoint_set: str | None = None,
    subject_at: tuple[float, float] | None = None,
    is_rate_known: bool = True,
    without: str,
) -> Performer:
    """Return the performer's keypoints out of files, read as `mocap reconstruct --keypoints` reads them.

    `without` says what becomes of cameras that have no keypoints.
    Where the frame rate is only assumed, so are speeds, and a rolling shutter is not corrected, which is said.
    Raises: InputError as `read_keypoints`, `read_times`, `assemble` and `choose_performer`.
    """
    from calibration.match import map_keypoints
    from mocap.pose2d.files import read_keypoints
    from mocap.pose2d.times import read_times

    files = read_keypoints(folder, rig.names, fps, keypoint_set, ui.progress, may_lack=True)
    used = rig.in_order(tuple(files.detections))
    maps = read_times(times, used.names) if times is not None else {}
    notes = told_without(files.diagnostics, without)
    seen = files.detections
    if is_rate_known:
        seen = map_keypoints(used.cameras, seen)
    else:
        notes += _rate_unknown(used)
    return _chosen(used, seen, maps, notes, ui, subject_at)


def told_without(found: Sequence[Diagnostic], outcome: str) -> list[Diagnostic]:
    """Return the findings; that on cameras without keypoints says what becomes of them in this verb."""
    from dataclasses import replace

    def told(finding: Diagnostic) -> Diagnostic:
        if finding.code != "cameras-without-video":
            return finding
        return replace(finding, message=f"There are no keypoints of {', '.join(finding.data['cameras'])}: {outcome}.")

    return [told(d) for d in found]


def _rate_unknown(rig: CameraRig) -> list[Diagnostic]:
    """Return the finding that rolling shutters cannot be corrected; none where the rig says of no such."""
    from mocap.core.diagnostics import Diagnostic, Severity

    cameras = [c.name for c in rig.cameras if c.readout_s]
    if not cameras:
        return []
    message = (
        f"The rolling shutter of {', '.join(cameras)} is not corrected, for without the frame rate no speed is known. "
        "Give it with --fps."
    )
    return [Diagnostic("rolling-shutter-not-corrected", Severity.WARNING, message, {"cameras": cameras, "share": 1.0})]


def detect_performer(
    rig: CameraRig,
    videos: Sequence[Path],
    ui: Ui,
    *,
    times: Path | None = None,
    subject_at: tuple[float, float] | None = None,
) -> Performer:
    """Return the performer's keypoints in videos: found by the default model, in the calibration's pixels.

    Without `times` the clocks are told from sound and motion, as for a take of a session.

    Raises: InputError as `match_cameras`, `probe`, `fit_footage` and `choose_performer`.
    """
    from calibration.match import fit_footage, match_footage
    from mocap.media.probe import probe
    from mocap.pose2d.estimator import detect_videos
    from mocap.pose2d.models import make_estimator
    from mocap.pose2d.times import read_times
    from sessions.clock_stage import find_clocks

    files, notes = match_footage(rig.names, videos)
    used = rig.in_order(tuple(files))
    infos = {camera: probe(file) for camera, file in files.items()}
    fits = {c.name: fit_footage(c, infos[c.name]) for c in used.cameras}
    model = make_estimator("auto", ui.progress)
    seen = detect_videos(files, model, infos=infos, progress=ui.progress)
    found = [
        *notes,
        *(d for f in fits.values() for d in f.diagnostics),
        *(d for s in seen.values() for d in s.diagnostics),
    ]
    maps: Mapping[str, TimeMap]
    if times is not None:
        maps = read_times(times, used.names)
    else:
        inputs = {"footage": infos, "fit": fits, "keypoints": seen, "videos": files, "rig": used}
        maps, more = find_clocks(inputs, ui.progress)
        found += more
    return _chosen(used, {c: fits[c].map(d) for c, d in seen.items()}, maps, found, ui, subject_at)


def _chosen(
    rig: CameraRig,
    detections: Mapping[str, CameraDetections],
    maps: Mapping[str, TimeMap],
    found: Sequence[Diagnostic],
    ui: Ui,
    subject_at: tuple[float, float] | None,
) -> Performer:
    from calibration.check import MIN_SCORE
    from calibration.exchange import require_not_exchanged
    from calibration.match import check_inside, not_corrected
    from mocap.core.errors import InputError
    from mocap.pose2d.assemble import assemble
    from mocap.tracking.main_person import main_person
    from mocap.tracking.performer import choose_performer

    check_inside(rig, detections)
    # Found by the clocks already, where they were told from the same detections.
    found = [*found, *(d for d in not_corrected(detections) if d not in found)]
    views = assemble(detections, maps)
    alone = views.person(main_person(views))
    try:
        choice = choose_performer(views, rig, subject_at, ui.progress)
    except InputError as error:
        if error.code == "performer-not-found":
            require_not_exchanged(rig, alone, MIN_SCORE)
        raise
    return Performer(views.person(choice.index), alone, maps, (*found, *choice.diagnostics))


def camera_figures(
    before: Mapping[str, CameraReprojection] | None,
    after: Mapping[str, CameraReprojection],
    certainty: Mapping[str, CameraCertainty],
) -> dict[str, dict[str, Any]]:
    """Return the figures of each camera, JSON-serialisable: errors before and after, and how sure its place is."""
    out: dict[str, dict[str, Any]] = {}
    for name, now in after.items():
        out[name] = {
            **({} if before is None else {"before": vars(before[name])}),
            "after": vars(now),
            "certainty": vars(certainty[name]) if name in certainty else None,
        }
    return out
