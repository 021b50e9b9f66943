"""The report of a calibration: figures as JSON, and one HTML page with pictures that needs no other file."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from calibration.board_views import BoardViews
from calibration.failed import failures, verdict_with
from calibration.files import beside
from calibration.report_data import MAX_ERROR_PX, MetricError, bounded, camera_data, metric_data, metric_error
from calibration.report_figures import RESIDUAL_SCALE, graph_figure, lens_figure, plan_figure
from calibration.rig import RigResult
from calibration.world import certainty_text
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic
from mocap.core.jsontext import dumps
from mocap.core.publish import publish_text


def rig_report(
    result: RigResult,
    rig: CameraRig,
    views: BoardViews,
    *,
    held_out: MetricError | None = None,
    diagnostics: Sequence[Diagnostic] = (),
    inherited: Sequence[str] = (),
    world: Mapping[str, Any] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return the figures of a calibrated rig, JSON-serialisable; `failed` says why they are not to be relied on.

    Args:
        result: what `calibrate_rig` returned.
        rig: its cameras, in the world in which they are written.
        views: what it was made from.
        held_out: errors on views that a calibration did not use.
        diagnostics: all findings.
        inherited: why the lenses that it was given are not to be relied on.
        world: where the world frame comes from.
        seconds: wall time by stage.
    """
    failed = failures(str(result.verdict), diagnostics, inherited)
    return {
        "verdict": verdict_with(str(result.verdict), failed),
        "failed": failed,
        "advice": list(result.advice),
        "board": views.board.text,
        "frames": views.n_frames,
        "sigma_px": bounded(result.sigma_px, MAX_ERROR_PX),
        "rms_px": bounded(np.sqrt(np.nanmean((result.residuals_px**2).sum(-1))), MAX_ERROR_PX),
        "cameras": camera_data(result, rig, views),
        "lengths": metric_data(metric_error(rig, views), held_out),
        "shared_views": {
            name: {other: int(n) for other, n in zip(views.camera_names, row, strict=True)}
            for name, row in zip(views.camera_names, result.n_shared, strict=True)
        },
        "world": dict(world or {"from": "cameras", "note": "upright as the cameras are held; no floor was given"}),
        "diagnostics": [d.to_json() for d in diagnostics],
        "seconds": dict(seconds or {}),
    }


def write_rig_report(
    path: Path,
    data: Mapping[str, Any],
    result: RigResult,
    rig: CameraRig,
    views: BoardViews,
    held_out: MetricError | None,
) -> list[Path]:
    """Write the report beside the rig `path`, .json and .html, and return both.

    Raises: SetupError output-not-writable.
    """
    error = held_out or metric_error(rig, views)
    turn = np.stack([rig[n].R_cam_from_world.T @ result.rig[n].R_cam_from_world for n in views.camera_names])
    covariance = turn @ result.certainty.center_covariance_m2 @ turn.transpose(0, 2, 1)
    parts = {
        "title": f"{'FAILED calibration' if data['failed'] else 'Calibration'} of {len(rig)} cameras",
        "mark": _mark(data),
        "verdict": _verdict(data),
        "cameras": _cameras(data),
        "lengths": _lengths(data),
        "plan": plan_figure(rig, covariance, error),
        "graph": graph_figure(views.camera_names, result.n_shared),
        "lenses": "".join(_lens(c, name, data, result, views) for c, name in enumerate(views.camera_names)),
        "findings": _findings(data),
    }
    template = resources.files("calibration").joinpath("report_template.html").read_text("utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda m: parts[m[1]], template)
    text = dumps(data, indent=1) + "\n"
    return [publish_text(beside(path, ".json"), text), publish_text(beside(path, ".html"), page)]


def _mark(data: Mapping[str, Any]) -> str:
    """Return what stands over the figures of a failed calibration; nothing over those of another."""
    return '<p class="failed">Figures of a failed calibration: not to be relied on.</p>' if data["failed"] else ""


def _verdict(data: Mapping[str, Any]) -> str:
    checks = [code for code in data["failed"] if code != "redo"]
    meaning = {
        "good": "Good: use it.",
        "usable": "Usable, with the reservations below.",
        "redo": "Film the board again: this calibration is not to be relied on.",
    }[data["verdict"]]
    if checks:
        listed = html.escape(", ".join(checks))
        meaning = f"Failed: {listed} (see the findings). This calibration is not to be relied on."
    advice = "".join(f"<li>{html.escape(a)}</li>" for a in data["advice"])
    items = f"<ul>{advice}</ul>" if advice else ""
    word = data["verdict"]
    return f'<div class="verdict {word}"><b>{meaning}</b>{items}</div>'


def _cameras(data: Mapping[str, Any]) -> str:
    head = (
        "camera",
        "views",
        "corners",
        "rms px",
        "p95 px",
        "covered",
        "focal px",
        "place ± mm",
        "turn ± °",
        "place m",
    )
    rows = []
    for name, c in data["cameras"].items():
        place = ", ".join(_text(v, 3) for v in c["center_m"])
        values = (
            f"{name} (mirrored)" if c["is_mirrored"] else name,
            c["n_views"],
            c["n_corners"],
            _text(c["rms_px"], 2),
            _text(c["reproj_p95_px"], 2),
            f"{c['coverage_share']:.0%}",
            f"{_text(c['focal_px'][0], 1)} ± {_text(c['focal_sd_px'], 1)} {c['lens_model']}",
            _text(c["center_sd_mm"], 1),
            _text(c["rotation_sd_deg"], 3),
            place,
        )
        rows.append("<tr>" + "".join(f"<td>{html.escape(str(v))}</td>" for v in values) + "</tr>")
    return f"<table><tr>{''.join(f'<th>{h}</th>' for h in head)}</tr>{''.join(rows)}</table>"


def _lengths(data: Mapping[str, Any]) -> str:
    rows = []
    for label, key in (("all views", "all_views"), ("held out (fitted on the other half)", "held_out")):
        e = data["lengths"][key]
        if e is None:
            continue
        rows.append(
            f"<tr><td>{label}</td><td>{e['n_boards']}</td><td>{_text(e['board_fit_rms_mm'], 2)}</td>"
            f"<td>{_text(e['length_error_median_percent'], 2)}</td>"
            f"<td>{_text(e['length_error_rms_percent'], 2)}</td></tr>"
        )
    head = "<tr><th></th><th>boards</th><th>fit rms mm</th><th>length error %</th><th>rms %</th></tr>"
    world = html.escape(str(data["world"].get("from", "")))
    certain = "".join(f"{html.escape(s)} " for s in certainty_text(data["world"]))
    note = (
        f"<p>World from: {world}. {certain}Scale: from the board's squares as given ({html.escape(data['board'])}); "
        "a wrong square size scales everything alike and shows in no residual, so measure the print.</p>"
    )
    return f"<table>{head}{''.join(rows)}</table>{note}"


def _lens(c: int, name: str, data: Mapping[str, Any], result: RigResult, views: BoardViews) -> str:
    figure = lens_figure(views.xy_px[c], result.residuals_px[c], views.size_px[c], result.is_rejected[c])
    share = data["cameras"][name]["coverage_share"]
    return (
        f"<figure>{figure}<figcaption>{html.escape(name)}: {share:.0%} of the picture covered (red: no board was "
        f"there); lines: residuals, {RESIDUAL_SCALE:.0f} times as long; red rings: corners left out.</figcaption>"
        "</figure>"
    )


def _findings(data: Mapping[str, Any]) -> str:
    items = [
        f'<li class="{html.escape(d["severity"])}">{html.escape(d["message"])} '
        f"<code>{html.escape(d['code'])}</code></li>"
        for d in data["diagnostics"]
    ]
    return f"<ul>{''.join(items)}</ul>" if items else "<p>None.</p>"


def _text(value: float | None, digits: int) -> str:
    return "unknown" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"
