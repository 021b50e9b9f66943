"""What to tell a user whose board was not found, or not found as it was named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from calibration.board import BoardSpec
from calibration.board_detect_layout import Finding, Suggestion, suggest, suggest_chessboard
from calibration.board_detect_print import lengths_contradict
from calibration.board_views import BoardViews
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError

BLURRED_PX = 1.5
"""`blur_px` of pictures in which markers of 20 pixels are lost; sharp footage is at 0.3 to 0.9."""
BLURRED_CORNERS = 0.2
"""`sharpness` at the corners below which they are not placed to a tenth of a pixel; sharp footage is at 0.45."""
_FEW_FRAMES = 10


def not_found(samples: Mapping[str, Sequence[np.ndarray]], board: BoardSpec) -> InputError:
    """Return the error for a board that no camera shows: with what the pictures do show."""
    n = sum(len(s) for s in samples.values())
    where = f"in {n} pictures of {', '.join(samples)}"
    if (contradiction := lengths_contradict(samples, board)) is not None:
        return InputError("board-lengths-contradict", contradiction, "Give --board with the lengths of the print.")
    shown = suggest(samples, board)
    if shown is not None:
        return _other_markers(shown, board, where)
    if not board.has_markers and (other := suggest_chessboard(samples, board)) is not None:
        return InputError(
            "board-size-wrong",
            f"No chessboard with {board.columns}x{board.rows} inner corners was found {where}, but one with "
            f"{other.columns}x{other.rows}.",
            f"Give --board {other.text} (inner corners are one fewer than squares).",
        )
    blurs = {camera: _typical_blur_px(grays) for camera, grays in samples.items()}
    blurred = {c: b for c, b in blurs.items() if b > BLURRED_PX}
    if blurred and len(blurred) >= 0.5 * len(samples):
        listing = ", ".join(f"{c} by {b:.1f} px" for c, b in blurred.items())
        return InputError(
            "board-blurred",
            f"No {board.kind} board was found {where}: the pictures are blurred ({listing}; sharp footage by less "
            "than 1).",
            "Focus the cameras, add light or shorten the exposure, and hold the board still now and then.",
        )
    return InputError(
        "board-not-found",
        f"No {board.kind} board {board.text} was found {where}, also not inverted, mirrored, transposed or legacy, and "
        "no markers of any other known dictionary.",
        "Check --board against the printed board, that the clips show it large enough (markers of 20 pixels), and that "
        "it is held still now and then.",
    )


def _typical_blur_px(grays: Sequence[np.ndarray]) -> float:
    """Return the median blur of pictures; NaN where none has edges."""
    blurs = np.array([blur_px(g) for g in grays])
    return float(np.nanmedian(blurs)) if np.isfinite(blurs).any() else float("nan")


def blur_px(gray: np.ndarray, added_px: float = 1.5) -> float:
    """Return the blur of a picture's sharpest edges as the sd of a Gaussian, in pixels; NaN where it has no edges.

    An edge blurred by s loses slope by sqrt(1 + (added / s)^2) when it is blurred once more (S. Zhuo and T. Sim,
    "Defocus map estimation from a single image", Pattern Recognition 2011, eq. 4), whatever its contrast. The worse of
    edges across x and across y: motion blurs along one.
    """
    import cv2

    values = gray.astype(np.float32)
    again = cv2.GaussianBlur(values, (0, 0), added_px)
    found: list[float] = []
    for axis in (0, 1):
        slope, softer = (np.abs(np.gradient(v, axis=axis)) for v in (values, again))
        # Steps of a few grey values are noise of the encoder.
        on = slope >= max(float(np.quantile(slope, 0.999)), 4.0)
        if on.sum() >= 20:
            ratio = float(np.median(slope[on] / np.maximum(softer[on], 1e-3)))
            found.append(added_px / np.sqrt(max(ratio**2 - 1.0, 1e-3)))
    return max(found, default=float("nan"))


def _other_markers(shown: Suggestion, board: BoardSpec, where: str) -> InputError:
    ids = f"numbers {shown.ids[0]} to {shown.ids[-1]}"
    if shown.board is not None and board.has_markers:
        likely = shown.board
        advice = f"Give --board {likely.text} if that is the printed board (measure its lengths)."
    else:
        likely = None
        advice = "Give --board as the printed board is, with columns, rows, dictionary and lengths."
    if not board.has_markers:
        return InputError(
            "board-dictionary-wrong",
            f"No chessboard was found {where}, but markers of {shown.dictionary} ({ids}).",
            "Name the board as charuco:..., aprilgrid:... or aruco:...",
        )
    if shown.dictionary != board.dictionary:
        return InputError(
            "board-dictionary-wrong",
            f"No markers of {board.dictionary} on a {board.columns}x{board.rows} board were found {where}, but markers "
            f"of {shown.dictionary} ({ids}).",
            advice,
        )
    size = f"; they lie as on a board of {likely.columns}x{likely.rows}" if likely else ""
    return InputError(
        "board-size-wrong",
        f"Markers of {board.dictionary} ({ids}) were found {where}, but not where a {board.columns}x{board.rows} "
        f"{board.kind} has them{size}.",
        advice,
    )


def notes_on_layout(asked: BoardSpec, finding: Finding) -> list[Diagnostic]:
    """Return findings on how the board differs from what was asked for."""
    found = finding.board
    notes: list[Diagnostic] = []
    if found != asked:
        what = _differences(asked, found)
        message = f"The board is not {asked.text} but {found.text} ({what}); the latter is used."
        notes.append(Diagnostic("board-found-otherwise", Severity.WARNING, message, {"board": found.text}))
    backs = [c for c, n in finding.n_back.items() if n > 0]
    if backs and len(backs) == len(finding.n_back):
        notes.append(
            Diagnostic(
                "board-all-mirrored",
                Severity.QUALITY,
                "Every camera sees the board mirrored. Unless it is transparent and all cameras see its back, the "
                "videos are mirrored (a selfie setting), and everything made with them will be too. "
                "Switch mirroring off and film again.",
                {"cameras": backs},
            )
        )
    elif backs:
        notes.append(
            Diagnostic(
                "board-mirrored",
                Severity.WARNING,
                f"{', '.join(backs)}: the board is seen mirrored, so from behind through a transparent board; used so. "
                "If the board is not transparent, that video is mirrored: switch mirroring off and film again.",
                {"cameras": backs},
            )
        )
    return notes


def _differences(asked: BoardSpec, found: BoardSpec) -> str:
    words: list[str] = []
    if (asked.columns, asked.rows) != (found.columns, found.rows):
        words.append("columns and rows exchanged")
    if asked.is_inverted != found.is_inverted:
        words.append("black and white exchanged" if found.is_inverted else "not inverted")
    if asked.is_legacy != found.is_legacy:
        words.append("the pattern of OpenCV before 4.6" if found.is_legacy else "the pattern since OpenCV 4.6")
    same = replace(
        found,
        columns=asked.columns,
        rows=asked.rows,
        is_inverted=asked.is_inverted,
        is_legacy=asked.is_legacy,
    )
    if same != asked:
        words.append("its markers are numbered or turned otherwise")
    return ", ".join(words)


def notes_on_cameras(views: BoardViews, samples: Mapping[str, Sequence[np.ndarray]]) -> list[Diagnostic]:
    """Return findings on cameras that see the board rarely, not at all, or blurred; samples: pictures by camera."""
    notes: list[Diagnostic] = []
    n_views = views.is_seen.any(-1).sum(-1)
    for c, camera in enumerate(views.camera_names):
        n = int(n_views[c])
        n_looked = int(np.isfinite(views.time_s[c]).sum())
        data = {"camera": camera, "n_views": n, "n_frames": n_looked}
        blur = _typical_blur_px(samples[camera]) if n == 0 else np.nan
        if blur > BLURRED_PX:
            message = (
                f"{camera}: the board was not found in any of {n_looked} frames, whose edges are blurred by {blur:.1f} "
                "px (sharp footage by less than 1). Focus, add light or shorten the exposure."
            )
            notes.append(Diagnostic("board-blurred", Severity.WARNING, message, {**data, "blur_px": blur}))
        elif n == 0:
            message = f"{camera}: the board was not found in any of {n_looked} frames; film it in front of this camera."
            notes.append(Diagnostic("board-not-seen", Severity.WARNING, message, data))
        elif n < min(_FEW_FRAMES, n_looked):
            message = f"{camera}: the board was found in only {n} of {n_looked} frames; film it longer there."
            notes.append(Diagnostic("board-seldom-seen", Severity.WARNING, message, data))
        sharp = float(np.nanmedian(views.sharpness[c])) if np.isfinite(views.sharpness[c]).any() else np.nan
        if sharp < BLURRED_CORNERS:
            message = (
                f"{camera}: the board's edges are blurred (sharpness {sharp:.2f}; sharp footage has 0.4 or more), so "
                "its corners are placed badly. Focus, add light, shorten the exposure, hold the board still."
            )
            notes.append(Diagnostic("board-blurred", Severity.WARNING, message, {**data, "sharpness": sharp}))
    return notes
