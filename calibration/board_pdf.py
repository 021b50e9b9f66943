"""PDF pages of black rectangles and lines of text, at exact size (ISO 32000-1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mocap.core.errors import SetupError
from mocap.core.publish import published

POINTS_PER_M = 72.0 / 0.0254
MARGIN_M = 0.008
NOTE_M = 0.014
"""Height of the ruler and the lines of text at the foot of a page."""
_LINE_M = 0.0004


def rectangle(r: Sequence[float], page_h: float) -> str:
    """Return the path of a rectangle x y width height in metres, y down from the page's upper edge."""
    x, y, w, h = r
    values = (x, page_h - y - h, w, h)
    return " ".join(f"{v * POINTS_PER_M:.5f}" for v in values) + " re"


def text(line: str, x: float, y: float) -> str:
    """Return a line of small text, its foot at x, y in metres from the page's lower left corner."""
    safe = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"BT /F1 6.5 Tf {x * POINTS_PER_M:.3f} {y * POINTS_PER_M:.3f} Td ({safe}) Tj ET"


def ruler(lines: Sequence[str], left: float, base: float, page_w: float) -> list[str]:
    """Return a ruler of 100 mm (50 on small pages) with what it is for, and lines of text above it."""
    length = 0.1 if page_w > 0.15 else 0.05
    said = f"{length * 1000:.0f} mm: measure it after printing; print at 100 %, not 'fit to page'"
    drawn = [rectangle((left, -base, length, _LINE_M), 0.0), rectangle((left, -base - 0.002, _LINE_M, 0.002), 0.0)]
    drawn += [rectangle((left + length - _LINE_M, -base - 0.002, _LINE_M, 0.002), 0.0), "f"]
    return drawn + [text(line, left, base + 0.004 + 0.0035 * i) for i, line in enumerate([said + lines[0], *lines[1:]])]


def write_pdf(path: Path, pages: Sequence[Sequence[str]], page_w: float, page_h: float) -> None:
    """Write pages of one size, each the operators of its content.

    Raises: SetupError output-not-writable.
    """
    if not path.absolute().parent.is_dir():
        # A mistyped folder is told at once; the print would be looked for in vain.
        raise SetupError(
            "output-not-writable",
            f"{path}: there is no folder {path.absolute().parent}.",
            "Choose a folder that exists, is writable and has space.",
        )
    with published(path) as temporary:
        temporary.write_bytes(_pdf(["\n".join(page) for page in pages], page_w, page_h))


def _pdf(contents: Sequence[str], page_w: float, page_h: float) -> bytes:
    """Return a PDF 1.4 file (section 7.5): catalog, pages, font, then each page and its content."""
    box = f"0 0 {page_w * POINTS_PER_M:.5f} {page_h * POINTS_PER_M:.5f}"
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(contents)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, content in enumerate(contents):
        font = "/Resources << /Font << /F1 3 0 R >> >>"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] /Contents {5 + 2 * i} 0 R {font} >>",
            f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        ]
    out = b"%PDF-1.4\n"
    places: list[int] = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode("latin-1")
    return out + f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode("latin-1")
