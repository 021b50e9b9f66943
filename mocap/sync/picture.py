"""The evidence as a picture: agreement against lag, and lags of sound over the take."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np

from mocap.core.publish import publish_text
from mocap.sync.coarse import LagScores
from mocap.sync.evidence import Evidence
from mocap.sync.synchronise import SyncResult

WIDTH, HEIGHT, MARGIN = 460, 130, 34


def write_picture(path: Path, result: SyncResult) -> None:
    """Write an SVG: one panel for each curve of motion and for each pair that shares sound."""
    panels = [_curve_panel(f"motion, {name}: agreement against lag", c) for name, c in result.curves.items()]
    panels += [_lag_panel(e) for e in result.evidence if len(e.detail.get("lags", ())) > 0]
    columns = 2
    rows = max(1, -(-len(panels) // columns))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns * WIDTH}" height="{rows * (HEIGHT + 30)}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for i, panel in enumerate(panels):
        x, y = (i % columns) * WIDTH, (i // columns) * (HEIGHT + 30)
        parts.append(f'<g transform="translate({x},{y})">{panel}</g>')
    parts.append("</svg>")
    publish_text(path, "\n".join(parts))


def _curve_panel(title: str, curve: LagScores) -> str:
    known = curve.score > -0.5
    if known.sum() < 2:
        return f'<text x="{MARGIN}" y="18">{escape(title)}: no overlap</text>'
    best = float(curve.lag_s[int(curve.score.argmax())])
    lag, score = curve.lag_s[known], curve.score[known]
    return _panel(f"{title}; best at {best:+.2f} s", lag, score, mark=best, line=True)


def _lag_panel(e: Evidence) -> str:
    time_s, lag_s = np.array(e.detail["lags"], float).reshape(-1, 2).T
    return _panel(f"{e.label}: lag in ms at each sound", time_s, 1e3 * lag_s, line=False)


def _panel(title: str, x: np.ndarray, y: np.ndarray, mark: float | None = None, line: bool = True) -> str:
    """Return one panel's SVG: a frame, axis ends in figures, and a line or dots."""
    low_x, high_x = float(x.min()), max(float(x.max()), float(x.min()) + 1e-6)
    low_y, high_y = float(y.min()), max(float(y.max()), float(y.min()) + 1e-6)

    def at_x(value: np.ndarray | float) -> np.ndarray | float:
        return MARGIN + (value - low_x) / (high_x - low_x) * (WIDTH - 2 * MARGIN)

    def at_y(value: np.ndarray | float) -> np.ndarray | float:
        return 24 + HEIGHT - (value - low_y) / (high_y - low_y) * (HEIGHT - 24)

    points = list(zip(np.atleast_1d(at_x(x)), np.atleast_1d(at_y(y)), strict=True))
    parts = [f'<text x="{MARGIN}" y="16" font-weight="bold">{escape(title)}</text>']
    parts.append(
        f'<rect x="{MARGIN}" y="24" width="{WIDTH - 2 * MARGIN}" height="{HEIGHT}" fill="none" stroke="#bbb"/>'
    )
    if mark is not None:
        parts.append(f'<line x1="{at_x(mark):.1f}" x2="{at_x(mark):.1f}" y1="24" y2="{24 + HEIGHT}" stroke="#d33"/>')
    if line:
        joined = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline fill="none" stroke="#246" points="{joined}"/>')
    else:
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="#246"/>' for px, py in points]
    bottom = 24 + HEIGHT
    parts.append(f'<text x="{MARGIN}" y="{bottom + 13}" fill="#555" font-size="10">{low_x:.2f} s</text>')
    end = f'x="{WIDTH - MARGIN}" y="{bottom + 13}" text-anchor="end" fill="#555" font-size="10"'
    parts.append(f"<text {end}>{high_x:.2f} s</text>")

    for value, y_px in ((high_y, 34), (low_y, bottom - 3)):
        parts.append(f'<text x="{MARGIN + 3}" y="{y_px}" fill="#555" font-size="10">{value:.3g}</text>')
    return "".join(parts)
