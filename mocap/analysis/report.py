"""The report of one take: a single HTML page that needs no network and no other file."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mocap.analysis.moments import worst_moments
from mocap.analysis.quality import Quality, measure_quality, quality_summary
from mocap.analysis.report_data import bone_data, chart_data, moment_data, motion_data, set_name, share_by_keypoint
from mocap.analysis.thumbnails import moment_thumbnails
from mocap.core.diagnostics import Diagnostic
from mocap.core.jsontext import jsonable
from mocap.core.progress import NoProgress, Progress
from mocap.core.publish import published
from mocap.core.take import SolvedTake

N_MOMENTS = 8


def write_report(
    path: Path,
    take: SolvedTake,
    *,
    title: str,
    stage_seconds: Mapping[str, float] | None = None,
    diagnostics: Sequence[Diagnostic] = (),
    refine: Mapping[str, Any] | None = None,
    exports: Sequence[tuple[Path | str, str]] = (),
    videos: Mapping[str, Path] | None = None,
    pixel_maps: Mapping[str, np.ndarray] | None = None,
    notice: str | None = None,
    quality: Quality | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write `report.html` and return its path.

    Args:
        path: the file to write; replaced in one step.
        take: the solved take.
        title: heading of the page, e.g. the take's name.
        stage_seconds: wall time by stage; an entry "total" is shown apart.
        diagnostics: findings of all stages; those of the take are added when they are not among them.
        refine: figures before and after the refinement of the cameras: {"before": {camera: px}, "after": {camera: px}}
            and any further entries, which are listed as they are.
        exports: written files and their formats.
        videos: camera name to footage, for the pictures of the worst moments; without it there are none.
        pixel_maps: camera name to the affine map [2 3] from the calibration's pixels to the video's.
        notice: something that everyone who reads the page must know first.
        quality: what `measure_quality` returned for the take; measured when absent.
        progress: told of the pictures.

    Raises: SetupError output-not-writable, output-full, and the InputErrors of `mocap.media.probe.probe` for footage.
    """
    quality = quality or measure_quality(take)
    moments = worst_moments(take, quality, N_MOMENTS)
    pictures = moment_thumbnails(take, moments, videos or {}, pixel_maps, progress or NoProgress())
    found = [*diagnostics, *(d for d in take.diagnostics if d not in diagnostics)]
    timeline = take.motion.timeline
    data = {
        "title": title,
        "subject": take.subject,
        "notice": notice or "",
        "facts": {
            "Frames": timeline.n_frames,
            "Frame rate": f"{float(timeline.fps):.6g} Hz",
            "Duration": f"{timeline.duration_s:.2f} s",
            "Cameras": len(take.detections.camera_names),
            "Keypoints": set_name(take.detections.keypoint_set),
            "Rig": f"{len(take.motion.skeleton)} joints",
        },
        "summary": quality_summary(take, quality),
        "motion": motion_data(take),
        "charts": chart_data(take, quality),
        "keypoint_shares": share_by_keypoint(take.keypoints),
        "moments": moment_data(moments, pictures),
        "bones": bone_data(quality),
        "refine": jsonable(refine or {}),
        "diagnostics": [jsonable(d.to_json()) for d in found],
        "stages": {name: round(float(s), 3) for name, s in (stage_seconds or {}).items()},
        "exports": [_file(Path(file), form, path) for file, form in exports],
    }
    with published(path) as temporary:
        temporary.write_text(page(data), "utf-8")
    return path


def page(data: Mapping[str, Any]) -> str:
    """Return the HTML of the report's data. Strings in it reach the page as text only, never as markup."""
    files = resources.files("mocap.analysis")
    # "<" never appears in the embedded JSON, so no string can end the script element it stands in.
    embedded = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "title": html.escape(str(data["title"])),
        "style": files.joinpath("report.css").read_text("utf-8"),
        "data": embedded,
        "viewer": files.joinpath("report_viewer.js").read_text("utf-8"),
        "script": files.joinpath("report.js").read_text("utf-8"),
    }
    template = files.joinpath("report_template.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _file(file: Path, form: str, report: Path) -> dict[str, Any]:
    try:
        size = file.stat().st_size
    except OSError:
        size = None
    folder = report.resolve().parent
    is_inside = file.resolve().is_relative_to(folder)
    return {
        "name": file.resolve().relative_to(folder).as_posix() if is_inside else str(file),
        "format": form,
        "bytes": size,
    }
