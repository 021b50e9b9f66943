"""A small log-log chart as SVG, for benchmarks that show how cost grows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 560, 360, 70, 34, 20, 48
COLOURS = ("#0b7285", "#c2255c", "#5f3dc4", "#e67700", "#2b8a3e")


def write_log_chart(
    path: Path, title: str, x_label: str, y_label: str, lines: Mapping[str, Sequence[tuple[float, float]]]
) -> None:
    """Write lines of (x, y) points, both above zero, on logarithmic axes; slope 1 is drawn dotted for comparison."""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    x_range, y_range = (min(xs), max(xs)), (min(ys) / 1.3, max(ys) * 1.3)

    def at(x: float, y: float) -> tuple[float, float]:
        across = (math.log(x) - math.log(x_range[0])) / (math.log(x_range[1]) - math.log(x_range[0]))
        up = (math.log(y) - math.log(y_range[0])) / (math.log(y_range[1]) - math.log(y_range[0]))
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def text(x: float, y: float, content: str, anchor: str = "middle", fill: str = "#343a40") -> str:
        return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{fill}">{escape(content)}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(WIDTH / 2, 20, title),
        text(WIDTH / 2, HEIGHT - 8, x_label),
        f'<g transform="translate(14 {HEIGHT / 2:.0f}) rotate(-90)">{text(0, 0, y_label)}</g>',
    ]
    for x in sorted(set(xs)):
        column, _ = at(x, y_range[0])
        parts.append(f'<path d="M{column:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#dee2e6"/>')
        parts.append(text(column, HEIGHT - BOTTOM + 16, f"{x:g}"))
    for exponent in range(math.floor(math.log2(y_range[0])), math.ceil(math.log2(y_range[1])) + 1):
        if y_range[0] <= 2.0**exponent <= y_range[1]:
            _, row = at(x_range[0], 2.0**exponent)
            parts.append(f'<path d="M{LEFT} {row:.1f}H{WIDTH - RIGHT}" stroke="#dee2e6"/>')
            parts.append(text(LEFT - 6, row + 4, f"{2.0**exponent:g}", "end"))
    for n, (name, points) in enumerate(lines.items()):
        colour = COLOURS[n % len(COLOURS)]
        x0, y0 = points[0]
        # Slope 1 through the first point, as far as it stays in the picture.
        end = min(points[-1][0], x0 * y_range[1] / y0)
        (a, b), (c, d) = at(x0, y0), at(end, y0 * end / x0)
        parts.append(f'<path d="M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" stroke="{colour}" stroke-dasharray="2 4"/>')
        places = [at(x, y) for x, y in points]
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path d="M{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        parts.append(text(LEFT + 10, TOP + 14 + 16 * n, name, "start", colour))
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def growth(points: Sequence[tuple[float, float]]) -> float:
    """Return the exponent of y ~ x^exponent, by least squares on logarithms: 1 is linear."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = (sum(p[i] for p in logs) / len(logs) for i in (0, 1))
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in logs)
    return covariance / sum((x - mean_x) ** 2 for x, _ in logs)
