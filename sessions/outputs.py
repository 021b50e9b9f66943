"""What a finished take leaves for people and programs: exported files, reports, the overlay video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporters.job import ExportedFile
from exporters.resample import resample_take
from exporters.table import FORMATS, export
from exporters.trc import filtered_format
from mocap.analysis.filtering import summary_lines
from mocap.analysis.overlay import write_overlay
from mocap.analysis.quality import Quality, measure_quality, quality_summary
from mocap.analysis.report import write_report
from mocap.core.diagnostics import Diagnostic, Severity, finding_lines
from mocap.core.errors import InputError, SetupError
from mocap.core.filtering import FilteredPoints, FilterSpec
from mocap.core.jsontext import write_json
from mocap.core.progress import Progress
from mocap.core.publish import published_set
from mocap.core.take import SolvedTake
from mocap.reconstruct.framewise import framewise_points
from mocap.retarget import retarget
from sessions.process import Processed
from sessions.timing import Laps

RETARGETED = ("bvh", "fbx", "glb")
"""Formats that carry a skeleton, so that another rig makes sense in them."""


@dataclass
class Written:
    """Files that were published, and promised ones that could not be."""

    files: list[ExportedFile] = field(default_factory=list[ExportedFile])
    missing: list[Diagnostic] = field(default_factory=list[Diagnostic])


def parse_formats(text: str) -> list[str]:
    """Return formats from a list with commas. Raises InputError `format-unknown`."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    unknown = [n for n in names if n not in FORMATS]
    if unknown or not names:
        raise InputError(
            "format-unknown",
            f"Unknown format {', '.join(map(repr, unknown)) or '(none given)'}.",
            f"Choose from: {', '.join(FORMATS)}.",
        )
    return list(dict.fromkeys(names))


def filtered_points(take: SolvedTake, filters: Sequence[FilterSpec]) -> list[FilteredPoints]:
    """Return what each filter, one of a label, makes of points that were triangulated frame by frame.

    The take's own points are smooth already: a filter over them would say nothing of what it does. Raises InputError as
    `FilterSpec.apply`.
    """
    if not filters:
        return []
    timeline = take.motion.timeline
    before = framewise_points(take.detections, take.rig, timeline)
    once = {f.label: f for f in filters}.values()
    return [FilteredPoints(f, before, f.apply(before, float(timeline.fps))) for f in once]


def export_all(
    take: SolvedTake,
    formats: Sequence[str],
    folder: Path,
    progress: Progress,
    filtered: Sequence[FilteredPoints] = (),
    **options: Any,
) -> Written:
    """Export every format and what every filter made of the points, all or none.

    One that needs a missing Blender becomes a finding that says how to mend it.
    """
    written = Written()

    def missing(file: Path, error: SetupError) -> None:
        old = f" The {file.name} that is there is of an earlier run and was left as it is." if file.exists() else ""
        data = {"file": file.name, "is_old_file_there": bool(old)}
        written.missing.append(Diagnostic(error.code, Severity.QUALITY, f"{error}{old}", data))

    fps = options.get("fps") or take.motion.timeline.fps
    more = [filtered_format(f.spec, resample_take(replace(take, points=f.after), fps).points) for f in filtered]
    written.files += export(
        take, formats, folder, progress=progress, retarget=retarget, on_missing=missing, more=more, **options
    )
    return written


def report_data(
    processed: Processed, seconds: Mapping[str, float], quality: Quality | None = None, **more: Any
) -> dict[str, Any]:
    """Return the content of `report.json`."""
    solved, preview = processed.solved, processed.preview_figures
    return {
        **({} if preview is None else {"preview": preview}),
        "frames": solved.motion.timeline.n_frames,
        "fps": float(solved.motion.timeline.fps),
        "start_s": solved.motion.timeline.start_s,
        "subjects": [solved.subject],
        "keypoint_set": solved.detections.keypoint_set.name,
        "seconds": dict(seconds),
        **quality_summary(solved, quality),
        "refine": processed.refine_figures,
        "diagnostics": [d.to_json() for d in all_findings(processed)],
        **more,
    }


def all_findings(processed: Processed) -> list[Diagnostic]:
    """Return the findings of all stages and of the solve, each once."""
    own = [d for d in processed.solved.diagnostics if d not in processed.diagnostics]
    return [*processed.diagnostics, *own]


def is_good(found: Sequence[Diagnostic]) -> bool:
    """Return whether no quality gate failed."""
    return all(d.severity is not Severity.QUALITY for d in found)


def summary_text(data: Mapping[str, Any]) -> str:
    """Return how good a take is, in a few lines for a person."""
    share = data["share"]
    lines = [f"{data['frames']} frames at {data['fps']:g} Hz, {len(data['cameras'])} cameras"]
    if preview := data.get("preview"):
        ms = preview["ms_a_frame"]
        lines[0] += f", PREVIEW with {preview['latency_ms']:g} ms latency, {ms['mean']:.1f} ms of work a frame"
    if (refine := data.get("refine")) and refine.get("is_refined"):
        before, after = refine["before_median_px"], refine["after_median_px"]
        lines.append(f"cameras corrected from the performer: reprojection {before:.1f} -> {after:.1f} px (median)")
    median, p95 = _figure(data["reproj_median_px"], "px"), _figure(data["reproj_p95_px"], "px")
    lines.append(f"reprojection of the solved keypoints: median {median}, 95 % below {p95}")
    before, after = _figure(data["points_bone_sd_mm"], "mm"), _figure(data["bone_sd_mm"], "mm", 3)
    lines.append(f"bone lengths: sd {before} before the solve, {after} after")
    lines.append(
        f"keypoints: {share['measured']:.1%} measured, {share['interpolated']:.1%} interpolated, "
        f"{share['solved']:.1%} from the skeleton alone"
    )
    lines += [line for figures in data.get("filters", []) for line in summary_lines(figures)]
    seconds = data["seconds"]
    stages = ", ".join(f"{name} {s:.1f}" for name, s in seconds.items() if name != "total" and s >= 0.05)
    lines.append(f"time: {seconds['total']:.1f} s ({stages})")
    lines += finding_lines(data["diagnostics"])
    return "\n".join(lines)


def _figure(value: float | None, unit: str, digits: int = 1) -> str:
    return "unknown" if value is None else f"{value:.{digits}f} {unit}"


def write_take_report(processed: Processed, folder: Path, title: str, laps: Laps, progress: Progress) -> dict[str, Any]:
    """Write `report.html` and `report.json` into a take's folder and return the data."""
    quality = measure_quality(processed.solved)
    # One set of seconds for both reports: they end where the writing of the reports begins.
    laps.lap("report")
    seconds = laps.seconds
    data = report_data(processed, seconds, quality)
    with published_set(folder) as staging:
        _html(processed, staging / "report.html", title, seconds, quality, [], progress)
        write_json(staging / "report.json", data)
    return data


def _html(
    processed: Processed,
    path: Path,
    title: str,
    seconds: Mapping[str, float],
    quality: Quality,
    files: Sequence[ExportedFile],
    progress: Progress,
    found: Sequence[Diagnostic] = (),
) -> None:
    write_report(
        path,
        processed.solved,
        title=title,
        stage_seconds=seconds,
        diagnostics=[*all_findings(processed), *found],
        refine=processed.refine_figures,
        exports=[(f.path, f.format) for f in files],
        videos=processed.videos,
        pixel_maps=processed.pixel_maps,
        quality=quality,
        progress=progress,
    )


def write_everything(
    processed: Processed,
    folder: Path,
    title: str,
    exports: Sequence[tuple[str, Sequence[str]]],
    laps: Laps,
    progress: Progress,
) -> dict[str, Any]:
    """Write exports for several rigs, the overlay and both reports; all of them appear together, or none.

    Args:
        processed: The take.
        folder: Gets `exports/`, `overlay.mp4`, `report.html` and `report.json`.
        title: Of the report.
        exports: (rig name, formats); the studio's own rig goes to `exports/`, others to `exports/<rig>/`.
        laps: Goes on counting; the report holds its seconds.
        progress: Told of everything.

    Returns:
        The content of `report.json`, with the files and what is missing.
    """
    with published_set(folder) as staging:
        return _write_staged(processed, staging, folder, title, exports, laps, progress)


def _write_staged(
    processed: Processed,
    staging: Path,
    folder: Path,
    title: str,
    exports: Sequence[tuple[str, Sequence[str]]],
    laps: Laps,
    progress: Progress,
) -> dict[str, Any]:
    """Write everything into `staging`, whose files will stand in `folder`, and return the content of `report.json`."""
    solved = processed.solved
    quality = measure_quality(solved)
    laps.lap("quality")
    written = Written()
    with ThreadPoolExecutor(2) as pool:
        # Blender runs in a process of its own and the encoder releases the interpreter: they overlap.
        overlay = pool.submit(
            write_overlay,
            staging / "overlay.mp4",
            solved,
            processed.videos,
            pixel_maps=processed.pixel_maps,
            quality=quality,
            progress=progress,
        )
        jobs: list[Future[Written]] = []
        for rig, formats in exports:
            place = Path("exports") / ("" if rig == "studio" else rig)
            job = pool.submit(
                export_all,
                solved,
                formats,
                staging / place,
                progress,
                rig_name=rig,
                videos=processed.videos,
                pixel_maps=processed.pixel_maps,
                final_folder=folder / place,
            )
            jobs.append(job)
        try:
            for job in jobs:
                one = job.result()
                written.files += one.files
                written.missing += one.missing
            overlay.result()
        finally:
            for job in jobs:
                job.cancel()
    laps.lap("export and overlay")
    # Both reports give the same seconds: they end where the writing of the reports begins.
    seconds = laps.seconds
    staged = [replace(f, path=staging / f.path.relative_to(folder)) for f in written.files]
    _html(processed, staging / "report.html", title, seconds, quality, staged, progress, written.missing)
    data = report_data(processed, seconds, quality)
    data["diagnostics"] = [d.to_json() for d in [*all_findings(processed), *written.missing]]
    names = [str(f.path.relative_to(folder)) for f in written.files]
    data["files"] = [*names, "overlay.mp4", "report.html", "report.json"]
    write_json(staging / "report.json", data)
    return data
