"""Pictures of the calibration report, as SVG."""

from __future__ import annotations

import html

import numpy as np

from calibration.report_data import MetricError, coverage
from mocap.core.camera import CameraRig

WIDTH_PX = 420
RESIDUAL_SCALE = 20.0
MAX_ARROWS = 500
PLAN_PX = 640.0
ELLIPSE_SHARE = 0.1
"""Of the plan's longer side: the longest ellipse of uncertainty is about that long."""


def lens_figure(xy_px: np.ndarray, residuals_px: np.ndarray, size_px: tuple[int, int], is_rejected: np.ndarray) -> str:
    """Return one camera's coverage as a heat map with residual vectors, 20 times as long as they are."""
    width, height = size_px
    scale = WIDTH_PX / max(width, height)
    cells = coverage(xy_px, size_px)
    rows, columns = cells.shape
    full = max(np.percentile(cells[cells > 0], 90), 1.0) if cells.any() else 1.0
    parts = [_open(width * scale, height * scale)]
    for (row, column), n in np.ndenumerate(cells):
        x, y = column * width * scale / columns, row * height * scale / rows
        share = min(n / full, 1.0)
        colour = f"rgba(40,110,200,{0.12 + 0.6 * share:.2f})" if n else "rgba(200,60,40,0.10)"
        w, h = width * scale / columns, height * scale / rows
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{colour}"/>')
    parts += _arrows(xy_px, residuals_px, scale)
    for x, y in xy_px[is_rejected][:200] * scale:
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="none" stroke="#c22"/>')
    return "".join([*parts, "</svg>"])


def _arrows(xy_px: np.ndarray, residuals_px: np.ndarray, scale: float) -> list[str]:
    known = np.isfinite(residuals_px).all(-1)
    start, vector = xy_px[known], residuals_px[known]
    step = max(1, len(start) // MAX_ARROWS)
    out: list[str] = []
    for (x, y), (u, v) in zip(start[::step] * scale, vector[::step] * scale * RESIDUAL_SCALE, strict=True):
        out.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x + u:.1f}" y2="{y + v:.1f}" stroke="#111"/>')
    return out


def plan_figure(rig: CameraRig, center_covariance_m2: np.ndarray, error: MetricError) -> str:
    """Return the rig from above and a legend: cameras with ellipses of uncertainty, boards coloured by their error."""
    centers = np.array([c.center_world_m for c in rig.cameras])
    points = np.concatenate([centers[:, :2], error.place_m[:, :2]])
    low, high = points.min(0), points.max(0)
    margin = 0.12 * float(max(np.ptp(points, axis=0).max(), 0.5))
    size = high - low + 2 * margin
    scale = PLAN_PX / float(size.max())
    times = _ellipse_times(center_covariance_m2, scale)

    def at(xy: np.ndarray) -> tuple[float, float]:
        return float((xy[0] - low[0] + margin) * scale), float((high[1] + margin - xy[1]) * scale)

    parts = [_open(float(size[0]) * scale, float(size[1]) * scale)]
    worst = max(float(np.percentile(error.fit_rms_mm, 95)), 0.1) if len(error.fit_rms_mm) else 1.0
    for place, rms in zip(error.place_m, error.fit_rms_mm, strict=True):
        x, y = at(place)
        share = min(float(rms) / worst, 1.0)
        red, green = int(40 + 190 * share), int(160 - 110 * share)
        title = f"<title>{rms:.2f} mm at {place[0]:.2f}, {place[1]:.2f}, {place[2]:.2f} m</title>"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="rgb({red},{green},70)">{title}</circle>')
    for camera, center, covariance in zip(rig.cameras, centers, center_covariance_m2, strict=True):
        parts.append(_ellipse(at(center), covariance[:2, :2], scale * times))
        x, y = at(center)
        u, v = at(center + camera.R_cam_from_world[2] * float(size.max()) * 0.06)
        name = html.escape(camera.name)
        parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{u:.1f}" y2="{v:.1f}" stroke="#248" stroke-width="2"/>')
        is_right = x > 0.7 * float(size[0]) * scale
        anchor, dx = ("end", -8) if is_right else ("start", 8)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#248"/>')
        parts.append(f'<text x="{x + dx:.1f}" y="{y - 6:.1f}" text-anchor="{anchor}">')
        parts.append(f"{name} ({center[2]:.2f} m up)</text>")
    parts.append(_ruler(scale, float(size[1]) * scale))
    legend = f"<p>Ellipses: 2 sd of each camera's place among the cameras, {times:g} times as large."
    if len(error.fit_rms_mm):
        legend += f" Dots: boards by their error, from green (0 mm) to red ({worst:.2f} mm or more)."
    return "".join([*parts, f"</svg>{legend}</p>"])


def _ellipse_times(covariance_m2: np.ndarray, scale: float) -> float:
    """Return how many times as large ellipses of 2 sd are drawn: 1, 2 or 5 times a power of ten."""
    largest_m = 4.0 * float(np.sqrt(max(np.linalg.eigvalsh(covariance_m2[:, :2, :2]).max(), 1e-16)))
    wanted = ELLIPSE_SHARE * PLAN_PX / (largest_m * scale)
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(power * max(step for step in (1, 2, 5) if step * power <= wanted * (1 + 1e-9)))


def _ellipse(at: tuple[float, float], covariance: np.ndarray, scale: float) -> str:
    value, vector = np.linalg.eigh(covariance)
    radius = 2.0 * np.sqrt(np.maximum(value, 0.0)) * scale
    angle = np.degrees(np.arctan2(-vector[1, 1], vector[0, 1]))
    return (
        f'<ellipse cx="{at[0]:.1f}" cy="{at[1]:.1f}" rx="{radius[1]:.1f}" ry="{radius[0]:.1f}" '
        f'fill="rgba(34,68,136,0.2)" transform="rotate({angle:.1f} {at[0]:.1f} {at[1]:.1f})"/>'
    )


def _ruler(scale: float, height: float) -> str:
    y = height - 10
    return (
        f'<line x1="12" y1="{y:.0f}" x2="{12 + scale:.1f}" y2="{y:.0f}" stroke="#000" stroke-width="2"/>'
        f'<text x="14" y="{y - 5:.0f}">1 m</text>'
    )


def graph_figure(names: tuple[str, ...], n_shared: np.ndarray) -> str:
    """Return the graph of shared views: lines as wide as the cameras see the board together."""
    n = len(names)
    angle = 2 * np.pi * np.arange(n) / max(n, 1) - np.pi / 2
    at = np.stack([200 + 130 * np.cos(angle), 170 + 120 * np.sin(angle)], -1)
    most = max(int((n_shared - np.diag(np.diag(n_shared))).max(initial=0)), 1)
    parts = [_open(400, 340)]
    for a in range(n):
        for b in range(a + 1, n):
            shared = int(n_shared[a, b])
            colour, dash = (
                ("#248", "") if shared >= 8 else ("#c62", "") if shared else ("#ccc", ' stroke-dasharray="3"')
            )
            (x, y), (u, v) = at[a], at[b]
            wide = 1 + 6 * shared / most
            parts.append(f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{u:.0f}" y2="{v:.0f}" stroke="{colour}"{dash}')
            parts.append(f' stroke-width="{wide:.1f}" opacity="0.6"/>')
            if shared:
                mx, my = x + 0.42 * (u - x), y + 0.42 * (v - y)
                parts.append(f'<text x="{mx:.0f}" y="{my:.0f}">{shared}</text>')
    for name, (x, y) in zip(names, at, strict=True):
        parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="9" fill="#fff" stroke="#248" stroke-width="2"/>')
        parts.append(f'<text x="{x:.0f}" y="{y - 14:.0f}" text-anchor="middle">{html.escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def _open(width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="12">'
    )
