"""Finding a board in one picture: corners to a tenth of a pixel, wrong ones rejected.

Markers and ChArUco corners are OpenCV's (`cv2.aruco`); chessboards its `findChessboardCorners`. Measured on rendered
1080p clips with known truth, its ChArUco corners are 0.11 px off in the median; refining them again makes them worse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.board import BoardKind, BoardSpec

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_CORNERS = 4
"""Fewer corners fix no pose of a plane."""
_GLOBAL_SHARE = 0.35
"""Share of a square by which a corner may leave the best homography: lens distortion, but not a wrong number."""
_LOCAL_SHARE = 0.15
"""Share of a square by which a corner may leave what its neighbours say."""
_CHESSBOARD_SEARCH_PX = 1280
"""Chessboards are searched in pictures of at most this width or height, and refined in the full one."""


class BoardFinder:
    """Finds one board; holds OpenCV's detector, so each thread needs its own. `is_thorough`: for few photographs."""

    def __init__(self, board: BoardSpec, is_thorough: bool = False) -> None:
        self.board = board
        self._corners_m = board.corners_m[:, :2]
        if board.kind is BoardKind.CHARUCO:
            self._find: Callable[[np.ndarray], np.ndarray] = _charuco_finder(board)
        elif board.is_grid:
            self._find = _grid_finder(board)
        else:
            self._find = lambda gray: find_chessboard(gray, board, is_thorough)

    def find(self, gray: np.ndarray, is_mirrored: bool = False) -> np.ndarray:
        """Return [corner 2] float64 pixels of the picture as given, NaN where a corner was not found.

        gray [height width] uint8. `is_mirrored` looks for the back of a transparent board, or in a mirrored picture.
        """
        seen = prepared(gray, self.board.is_inverted, is_mirrored)
        xy = self._find(seen)
        good = consistent(xy, self._corners_m, self.board.square_m)
        xy = np.where(good[:, None], xy, np.nan)
        if is_mirrored:
            xy[:, 0] = gray.shape[1] - 1 - xy[:, 0]
        return xy


def prepared(gray: np.ndarray, is_inverted: bool, is_mirrored: bool) -> np.ndarray:
    """Return the picture in which the board has black markers on white and is seen from its front."""
    seen = gray[:, ::-1] if is_mirrored else gray
    return np.ascontiguousarray(255 - seen if is_inverted else seen)


def aruco_dictionary(name: str) -> Any:
    """Return OpenCV's dictionary."""
    import cv2

    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{name}"))


def charuco_board(board: BoardSpec) -> Any:
    """Return OpenCV's board."""
    import cv2

    shape = (board.columns, board.rows)
    made = cv2.aruco.CharucoBoard(shape, board.square_m, board.marker_m, aruco_dictionary(board.dictionary))
    made.setLegacyPattern(board.is_legacy)
    return made


def marker_detector(
    dictionary: str, border_bits: int = 1, *, is_subpixel: bool = False, is_any_polarity: bool = False
) -> Any:
    """Return OpenCV's detector of single markers."""
    import cv2

    parameters = cv2.aruco.DetectorParameters()
    parameters.markerBorderBits = border_bits
    parameters.detectInvertedMarker = is_any_polarity
    if is_subpixel:
        parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
        parameters.cornerRefinementWinSize = 4
    return cv2.aruco.ArucoDetector(aruco_dictionary(dictionary), parameters)


def find_markers(detector: Any, gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers [marker] and corners [marker 4 2], clockwise from the upper left, of all markers in a picture."""
    corners, ids, _ = detector.detectMarkers(gray)
    if ids is None or len(ids) == 0:
        return np.zeros(0, np.int64), np.zeros((0, 4, 2))
    return np.asarray(ids).ravel().astype(np.int64), np.asarray(corners, np.float64).reshape(-1, 4, 2)


def _charuco_finder(board: BoardSpec) -> Callable[[np.ndarray], np.ndarray]:
    import cv2

    detector = cv2.aruco.CharucoDetector(charuco_board(board))
    n = board.n_corners

    def find(gray: np.ndarray) -> np.ndarray:
        xy = np.full((n, 2), np.nan)
        corners, ids, _, _ = detector.detectBoard(gray)
        if corners is not None and ids is not None and len(corners):
            xy[np.asarray(ids, np.int64).ravel()] = np.asarray(corners, np.float64).reshape(-1, 2)
        return xy

    return find


def _grid_finder(board: BoardSpec) -> Callable[[np.ndarray], np.ndarray]:
    detector = marker_detector(board.dictionary, board.border_bits, is_subpixel=True)

    def find(gray: np.ndarray) -> np.ndarray:
        return grid_corners(board, *find_markers(detector, gray))

    return find


def grid_corners(board: BoardSpec, ids: np.ndarray, corners_px: np.ndarray) -> np.ndarray:
    """Return [corner 2] of a grid from its markers; a number that occurs twice is used by neither."""
    xy = np.full((board.n_markers, 4, 2), np.nan)
    numbers, counts = np.unique(ids, return_counts=True)
    for number in numbers[counts == 1]:
        place = number - board.first_id
        if 0 <= place < board.n_markers:
            xy[place] = np.roll(corners_px[ids == number][0], board.corner_turn, axis=0)
    return xy.reshape(-1, 2)


def find_chessboard(gray: np.ndarray, board: BoardSpec, is_thorough: bool = False) -> np.ndarray:
    """Return [corner 2] of a whole chessboard, or all NaN.

    Order: seen from the front, x right of y; of the two ways to turn it the one whose first square is black, which
    OpenCV does not promise. A board that looks the same turned by 180 degrees starts at its upper left in the picture.
    """
    import cv2

    shape = (board.columns, board.rows)
    nothing = np.full((board.n_corners, 2), np.nan)
    shrink = min(1.0, _CHESSBOARD_SEARCH_PX / max(gray.shape))
    small = gray if shrink == 1.0 else cv2.resize(gray, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_FAST_CHECK
    is_found, corners = cv2.findChessboardCorners(small, shape, flags=flags)
    if not is_found and is_thorough:
        # Ten times slower, and finds some that the other misses (measured: 23 to 25 of 28 photographs).
        is_found, corners = cv2.findChessboardCornersSB(small, shape, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    if not is_found:
        return nothing
    xy = (np.asarray(corners, np.float64).reshape(-1, 2) + 0.5) / shrink - 0.5
    xy = _refined(gray, xy, board)
    return _ordered(gray, xy, board)


def _refined(gray: np.ndarray, xy: np.ndarray, board: BoardSpec) -> np.ndarray:
    """Return saddle points to sub-pixel accuracy, in a window that holds no other corner."""
    import cv2

    lattice = xy.reshape(board.rows, board.columns, 2)
    side = min(np.linalg.norm(np.diff(lattice, axis=a), axis=-1).min() for a in (0, 1))
    window = int(np.clip(side * 0.3, 2, 11))
    start = xy.astype(np.float32).reshape(-1, 1, 2)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 40, 1e-3)
    return cv2.cornerSubPix(gray, start, (window, window), (-1, -1), stop).reshape(-1, 2).astype(np.float64)


def _ordered(gray: np.ndarray, xy: np.ndarray, board: BoardSpec) -> np.ndarray:
    lattice = xy.reshape(board.rows, board.columns, 2)
    along_x = lattice[:, -1].mean(0) - lattice[:, 0].mean(0)
    along_y = lattice[-1].mean(0) - lattice[0].mean(0)
    if along_x[0] * along_y[1] - along_x[1] * along_y[0] < 0:
        lattice = lattice[::-1]
    turned = lattice[::-1, ::-1]
    if board.is_symmetric:
        first, last = lattice[0, 0].sum(), turned[0, 0].sum()
        return (lattice if first <= last else turned).reshape(-1, 2)
    return (lattice if _is_first_dark(gray, lattice) else turned).reshape(-1, 2)


def _is_first_dark(gray: np.ndarray, lattice: np.ndarray) -> bool:
    """Return whether the square between the first four corners is darker than its neighbours."""
    middles = (lattice[:-1, :-1] + lattice[1:, 1:] + lattice[1:, :-1] + lattice[:-1, 1:]) / 4.0
    at = np.rint(middles).astype(np.int64)
    height, width = gray.shape
    value = gray[at[..., 1].clip(0, height - 1), at[..., 0].clip(0, width - 1)].astype(np.float64)
    row, column = np.indices(value.shape)
    is_like_first = (row + column) % 2 == 0
    return bool(value[is_like_first].mean() < value[~is_like_first].mean())


def consistent(xy_px: np.ndarray, board_xy_m: np.ndarray, square_m: float) -> np.ndarray:
    """Return [corner] which corners lie as on a flat board seen from its front, and are enough to place it.

    A homography by RANSAC drops corners with wrong numbers; then each corner's deviation from it is compared with its
    neighbours', which share the lens's distortion.
    """
    import cv2

    seen = np.isfinite(xy_px).all(-1)
    nothing = np.zeros(len(xy_px), bool)
    if seen.sum() < MIN_CORNERS:
        return nothing
    image, plane = xy_px[seen], board_xy_m[seen] / square_m
    if np.linalg.svd(plane - plane.mean(0), compute_uv=False)[1] < 0.6:
        return nothing
    side_px = _square_px(image, plane)
    H, inlier = cv2.findHomography(plane, image, cv2.RANSAC, max(3.0, _GLOBAL_SHARE * side_px), maxIters=500)
    if H is None or inlier.sum() < MIN_CORNERS:
        return nothing
    keep = inlier.ravel().astype(bool)
    mapped = cv2.perspectiveTransform(plane[None], H)[0]
    if not _is_front(mapped, plane):
        return nothing
    keep &= _agrees_with_neighbours(image - mapped, plane, keep, max(1.5, _LOCAL_SHARE * side_px))
    if keep.sum() < MIN_CORNERS or keep.sum() < 0.5 * len(keep):
        return nothing
    out = nothing.copy()
    out[np.flatnonzero(seen)[keep]] = True
    return out


def _square_px(image: np.ndarray, plane: np.ndarray) -> float:
    """Return the median side of a square in the picture, from pairs of neighbouring corners."""
    distance = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argmin(1)
    length_px = np.linalg.norm(image - image[nearest], axis=-1)
    return float(np.median(length_px / distance[np.arange(len(plane)), nearest]))


def _is_front(mapped: np.ndarray, plane: np.ndarray) -> bool:
    """Return whether the best affine map from board to picture keeps the sense of turning (x right, y down)."""
    design = np.concatenate([plane, np.ones((len(plane), 1))], -1)
    affine = np.linalg.lstsq(design, mapped, rcond=None)[0]
    return bool(np.linalg.det(affine[:2]) > 0)


def _agrees_with_neighbours(
    residual: np.ndarray, plane: np.ndarray, keep: np.ndarray, tolerance_px: float
) -> np.ndarray:
    if keep.sum() < 2 * MIN_CORNERS:
        return keep
    distance = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
    distance[:, ~keep] = np.inf
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, :6]
    return np.linalg.norm(residual - np.median(residual[nearest], axis=1), axis=-1) < tolerance_px


def sharpness(gray: np.ndarray, xy_px: np.ndarray) -> float:
    """Return the median over corners of the steepest edge divided by the contrast, in 1/px; NaN without corners."""
    half = 6
    height, width = gray.shape
    at = np.rint(xy_px[np.isfinite(xy_px).all(-1)]).astype(np.int64)
    inside = (at >= half).all(-1) & (at[:, 0] < width - half) & (at[:, 1] < height - half)
    at = at[inside][:24]
    if len(at) == 0:
        return float("nan")
    offset = np.arange(-half, half + 1)
    patch = gray[at[:, 1, None, None] + offset[:, None], at[:, 0, None, None] + offset].astype(np.float64)
    gx = (patch[:, 1:-1, 2:] - patch[:, 1:-1, :-2]) / 2.0
    gy = (patch[:, 2:, 1:-1] - patch[:, :-2, 1:-1]) / 2.0
    steepest = np.hypot(gx, gy).max((1, 2))
    contrast = np.ptp(patch, axis=(1, 2))
    return float(np.median(steepest / np.maximum(contrast, 8.0)))
