"""Drawing a figure and its detections on a picture, with OpenCV at sub-pixel positions."""

from __future__ import annotations

import numpy as np

from mocap.analysis.figure import SIDE_RGB, Figure, confidence_rgb

_SHIFT = 4
"""OpenCV draws at 1/16 px."""
_FAR_PX = 20000.0
"""Positions beyond this overflow OpenCV's fixed point when shifted, and cannot be seen anyway."""


def draw_figure(
    image: np.ndarray,
    figure: Figure,
    xy_px: np.ndarray,
    confidence: np.ndarray,
    width_px: float,
) -> None:
    """Draw a figure in place: bones in the colour of their ends' lesser confidence, rimmed in that of their side.

    image [h w 3] RGB; xy_px [keypoint 2] pixels of `image` (NaN is not drawn); confidence [keypoint]; width of a bone.
    """
    import cv2

    middles = np.array(figure.middles, np.int64).reshape(-1, 2)
    xy_px = np.concatenate([xy_px, xy_px[middles].mean(1)])
    confidence = np.concatenate([confidence, confidence[middles].min(1)])
    drawable = _drawable(xy_px)
    xy = _fixed(np.where(drawable[:, None], xy_px, 0.0))
    core, rim = max(1, round(width_px)), max(3, round(width_px) + 2)
    edges = [*zip(figure.edges, figure.edge_sides, strict=True), *((e, "") for e in figure.middle_edges)]
    shown = [(e, s) for e, s in edges if drawable[e[0]] and drawable[e[1]]]
    for (a, b), side in shown:
        cv2.line(image, xy[a], xy[b], SIDE_RGB[side], rim, cv2.LINE_AA, _SHIFT)
    ends = np.array([edge for edge, _ in shown], np.int64).reshape(-1, 2)
    colours = confidence_rgb(confidence[ends].min(-1)).tolist()
    for ((a, b), _), colour in zip(shown, colours, strict=True):
        cv2.line(image, xy[a], xy[b], colour, core, cv2.LINE_AA, _SHIFT)


def draw_detections(image: np.ndarray, xy_px: np.ndarray, is_used: np.ndarray, radius_px: float) -> None:
    """Draw detections in place: white dots where the solve used them, dark crosses with a light rim where it did not.

    xy_px [keypoint 2] pixels of `image`; is_used [keypoint] bool.
    """
    import cv2

    drawable = _drawable(xy_px)
    radius = int(radius_px * 2**_SHIFT)
    for k in np.flatnonzero(drawable):
        (at,) = _fixed(xy_px[k : k + 1])
        if is_used[k]:
            cv2.circle(image, at, radius + 12, (0, 0, 0), -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(image, at, radius, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
            continue
        arm = radius + 16
        for width, colour in ((3, (255, 255, 255)), (1, (200, 30, 30))):
            for dy in (-arm, arm):
                cv2.line(
                    image, (at[0] - arm, at[1] - dy), (at[0] + arm, at[1] + dy), colour, width, cv2.LINE_AA, _SHIFT
                )


def shade(image: np.ndarray, top: int, bottom: int, left: int, right: int, strength: float = 0.6) -> None:
    """Darken a rectangle in place, so that text on it can be read."""
    box = image[top:bottom, left:right]
    box[:] = (box * np.float32(1.0 - strength)).astype(np.uint8)


def write_text(
    image: np.ndarray, text: str, left: float, baseline: float, height_px: float, rgb: tuple[int, int, int]
) -> int:
    """Write text in place and return its width in pixels; height_px is that of a capital letter."""
    import cv2

    font, scale = cv2.FONT_HERSHEY_SIMPLEX, height_px / 22.0
    width = max(1, round(height_px / 11))
    printable = text.encode("ascii", "replace").decode()  # OpenCV's built-in font has no other letters
    cv2.putText(image, printable, (round(left), round(baseline)), font, scale, rgb, width, cv2.LINE_AA)
    return int(cv2.getTextSize(printable, font, scale, width)[0][0])


def _drawable(xy_px: np.ndarray) -> np.ndarray:
    return np.asarray(np.isfinite(xy_px).all(-1) & (np.abs(np.nan_to_num(xy_px)) < _FAR_PX).all(-1))


def _fixed(xy_px: np.ndarray) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in np.rint(xy_px * 2**_SHIFT)]
