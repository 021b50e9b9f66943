"""Footage and calibration: which video belongs to which camera, and how its pixels belong to the calibration's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from calibration.pixel_fit import D, PixelFit, not_corrected
from mocap.core.camera import MAX_READOUT_S, Camera, CameraRig, Intrinsics
from mocap.core.camera_names import CameraMatch, match_cameras, normal_name
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.media.decode import frames
from mocap.media.probe import VideoInfo

__all__ = [
    "CameraMatch",
    "PixelFit",
    "adapt_to_size",
    "check_inside",
    "fit_footage",
    "fit_keypoints",
    "fit_video",
    "map_keypoints",
    "match_cameras",
    "match_footage",
    "normal_name",
    "not_corrected",
]

_SAME_PX = 1
"""Sizes that differ by this much are the same: some programs write the last index instead of the count."""
_ASPECT_TOLERANCE = 0.02
"""Largest relative difference of aspect ratios that is explained without bars seen in the picture."""
_DARK = 40
"""Largest value of a colour channel in a black bar: compression lets the picture bleed into it."""
_CONFIDENT_SCORE = 0.3
_OUTSIDE_MARGIN = 0.05
"""Of the picture's longer side: so far beyond the edge a detector may place what the edge cuts off."""
_OUTSIDE_SHARE = 0.02
"""More confident keypoints than this do not lie beyond the margin in the picture that the camera was calibrated in."""
_LOOK_AT = (0, 15, 30)
"""Frames looked at for bars: early, so that no more of the video than a second is decoded."""


class _Scored(Protocol):
    @property
    def xy_px(self) -> np.ndarray: ...

    @property
    def score(self) -> np.ndarray: ...


def match_footage(camera_names: Sequence[str], videos: Sequence[Path]) -> tuple[dict[str, Path], list[Diagnostic]]:
    """Return the video of each camera that has one, in the rig's order, and what the match rests on.

    Raises: InputError as `match_cameras`.
    """
    match = match_cameras(camera_names, [str(v) for v in videos], "videos", may_lack=True)
    return {camera: Path(name) for camera, name in match.found.items()}, list(match.diagnostics)


def fit_footage(camera: Camera, video: VideoInfo) -> PixelFit:
    """Return how a video's pixels belong to its camera's calibration; where sizes differ, frames are looked at.

    The read-out time is the calibration's, else what the video states. Raises: InputError as `adapt_to_size`, and those
    of decoding.
    """
    return _with_rows(_fit_size(camera, video), camera.name, video, camera.readout_s)


def fit_video(name: str, video: VideoInfo) -> PixelFit:
    """Return the fit of a video without a calibration: its own pixels, with the read-out time that it states."""
    size = video.size_px
    return _with_rows(PixelFit(_affine(np.ones(2), np.zeros(2)), "same", size, size), name, video, None)


def _with_rows(fit: PixelFit, camera: str, video: VideoInfo, calibrated_s: float | None) -> PixelFit:
    """Return the fit with what is known of the sensor's rows: the calibration's read-out time, else the video's."""
    stated_s = video.gopro.readout_s if video.gopro is not None else None
    readout_s = calibrated_s if calibrated_s is not None else (stated_s or 0.0)
    found = fit.diagnostics
    if not 0 <= readout_s <= MAX_READOUT_S:
        message = (
            f"Camera {camera}: {video.path.name} states that a picture is read in {readout_s:g} s, which no sensor "
            f"takes (0 to {MAX_READOUT_S:g} s): it is not used, and the rolling shutter is not corrected. Where the "
            "time is known, give it as readout_s in the rig file."
        )
        data = {"camera": camera, "stated_s": readout_s, "limit_s": MAX_READOUT_S}
        found, readout_s = (*found, Diagnostic("readout-implausible", Severity.WARNING, message, data)), 0.0
    return replace(fit, camera=camera, readout_s=readout_s, rotation_deg=video.rotation_deg, diagnostics=found)


def fit_keypoints(camera: Camera) -> PixelFit:
    """Return the fit of keypoints in the pixels of the calibration itself."""
    same = adapt_to_size(camera.intrinsics, camera.intrinsics.size_px)
    return replace(same, camera=camera.name, readout_s=camera.readout_s or 0.0)


def map_keypoints(cameras: Iterable[Camera], detections: Mapping[str, D]) -> dict[str, D]:
    """Return keypoints in the calibration's pixels at the middle rows' instants, of cameras whose read-out is known."""
    fits = {c.name: fit_keypoints(c) for c in cameras if c.readout_s}
    return {name: fits[name].map(d) if name in fits else d for name, d in detections.items()}


def _fit_size(camera: Camera, video: VideoInfo) -> PixelFit:
    size = video.size_px
    if _is_same(size, camera.intrinsics.size_px):
        return adapt_to_size(camera.intrinsics, size, camera=camera.name)
    shown = islice(frames(video.path, video), _LOOK_AT[-1] + 1)
    pictures = [frame.rgb for i, frame in enumerate(shown) if i in _LOOK_AT]
    return adapt_to_size(camera.intrinsics, size, pictures, camera.name)


def adapt_to_size(
    intrinsics: Intrinsics, size_px: tuple[int, int], pictures: Iterable[np.ndarray] = (), camera: str = ""
) -> PixelFit:
    """Return the map from pixels of a picture of `size_px` to those of the calibration.

    The same aspect ratio is a plain change of size. Otherwise black bars in `pictures` ([h w 3] uint8) that are as wide
    as an unstretched picture would leave explain the size; without them, aspect ratios within 2 % are taken for
    a centred crop (one side equal, the other smaller) or a stretch, as a warning.

    Raises: InputError size-rotated, size-mismatch.
    """
    (w, h), (W, H) = size_px, intrinsics.size_px
    scale = np.array([w / W, h / H])
    aspect = float(scale[0] / scale[1])
    name = f"Camera {camera}: " if camera else ""
    sizes = f"the footage is {w} x {h} px, the calibration is for {W} x {H} px"
    if _is_same(size_px, (W, H)):
        return PixelFit(_affine(np.ones(2), np.zeros(2)), "same", size_px, (W, H))
    if max(abs(w - W * scale.mean()), abs(h - H * scale.mean())) <= _SAME_PX:
        message = f"{name}{sizes}: the same picture in another size, scaled by {1 / scale.mean():.4f}."
        found = Diagnostic("size-scaled", Severity.INFO, message, {"camera": camera, "scale": round(1 / scale[0], 6)})
        return PixelFit(_affine(scale, np.zeros(2)), "scaled", size_px, (W, H), (found,))
    _check_rotated(size_px, (W, H), name + sizes)
    bars = measured_bars(pictures)
    fit = _letterboxed(size_px, (W, H), bars, camera, name + sizes)
    if fit is not None:
        return fit
    if abs(np.log(aspect)) > _ASPECT_TOLERANCE:
        seen = "no picture was looked at" if bars is None else f"black bars left, top, right, bottom: {_px(bars)}"
        raise InputError(
            "size-mismatch",
            f"{name}{sizes}: aspect ratios {w / h:.3f} and {W / H:.3f} ({seen}).",
            "Record and calibrate in the same mode (resolution, field of view, stabilisation off), or give the"
            " calibration of this mode.",
        )
    return _assumed(size_px, (W, H), bars, camera, name + sizes)


def check_inside(rig: CameraRig, detections: Mapping[str, _Scored]) -> None:
    """Raise when keypoints of a picture of unknown size cannot be of the size that their camera was calibrated in.

    Keypoints of a smaller picture lie inside a larger one, so only a calibration that is too small is noticed.

    Raises: InputError keypoints-outside-picture.
    """
    for name, found in detections.items():
        if name not in rig.names:
            continue
        width, height = rig[name].intrinsics.size_px
        xy_px = np.asarray(found.xy_px, np.float64)[np.asarray(found.score) >= _CONFIDENT_SCORE]
        xy_px = xy_px[np.isfinite(xy_px).all(-1)]
        margin_px = _OUTSIDE_MARGIN * max(width, height)
        outside = ((xy_px < -margin_px) | (xy_px > np.array([width, height]) + margin_px)).any(-1)
        if len(xy_px) and outside.mean() > _OUTSIDE_SHARE:
            (left, top), (right, bottom) = np.percentile(xy_px, [1, 99], axis=0)
            raise InputError(
                "keypoints-outside-picture",
                f"Camera {name}: {outside.mean():.0%} of the confident keypoints lie outside the {width} x {height} px"
                f" that it was calibrated in: they reach from {left:.0f} to {right:.0f} px across and from {top:.0f} to"
                f" {bottom:.0f} px down.",
                "Give the calibration of the resolution that the keypoints were detected in, and check that the camera"
                " names belong to the right folders.",
            )


def measured_bars(pictures: Iterable[np.ndarray]) -> tuple[int, int, int, int] | None:
    """Return the widths of black bars (left, top, right, bottom), black in all pictures; None if it cannot be told."""
    brightest: np.ndarray | None = None
    for rgb in pictures:
        picture = rgb.max(-1)
        brightest = picture if brightest is None else np.maximum(brightest, picture)
    if brightest is None:
        return None
    lit_x, lit_y = (np.flatnonzero(np.percentile(brightest, 95, axis=a) > _DARK) for a in (0, 1))
    if not len(lit_x) or not len(lit_y):
        return None
    h, w = brightest.shape
    return int(lit_x[0]), int(lit_y[0]), int(w - 1 - lit_x[-1]), int(h - 1 - lit_y[-1])


def _is_same(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return abs(a[0] - b[0]) <= _SAME_PX and abs(a[1] - b[1]) <= _SAME_PX


def _affine(scale: np.ndarray, offset_px: np.ndarray) -> np.ndarray:
    """[2 3] calibration_from_video of content scaled by `scale` that begins `offset_px` inside the video.

    Scaling keeps the edges of the picture in place, which lie half a pixel outside the centres of the first pixels.
    """
    return np.concatenate([np.diag(1 / scale), ((0.5 - offset_px) / scale - 0.5)[:, None]], axis=1)


def _px(bars: Iterable[float]) -> str:
    return ", ".join(f"{b:.3g}" for b in bars) + " px"


def _check_rotated(size: tuple[int, int], calibrated: tuple[int, int], text: str) -> None:
    (w, h), (W, H) = size, calibrated
    if (w > h) != (W > H) and abs(np.log((w / h) * (W / H))) < _ASPECT_TOLERANCE:
        raise InputError(
            "size-rotated",
            f"{text}: turned by 90 degrees against each other.",
            "Turn the footage as in the calibration (ffmpeg -i IN -vf transpose=1 OUT, or transpose=2), or calibrate"
            " again with the camera held as in the footage.",
        )


def _letterboxed(
    size: tuple[int, int],
    calibrated: tuple[int, int],
    bars: tuple[int, int, int, int] | None,
    camera: str,
    text: str,
) -> PixelFit | None:
    """Return the fit of an unstretched picture between bars if the bars measured are those it would leave."""
    if bars is None:
        return None
    video = np.array(size, float)
    scale = float((video / calibrated).min())
    expected = (video - scale * np.array(calibrated)) / 2
    measured = np.array(bars, float).reshape(2, 2)
    # Half a bar or two pixels: its edge is blurred, and the scene beside it may be dark.
    off = np.abs(measured - expected)
    if expected.max() < 1 or (off > np.maximum(2.0, 0.25 * expected))[:, expected >= 1].any():
        return None
    side = "left and right" if expected[0] > expected[1] else "top and bottom"
    offset = expected.max()
    A = _affine(np.full(2, scale), expected)
    message = (
        f"{text}: its content is scaled by {scale:.4f} between black bars of {offset:.1f} px {side} (measured"
        f" {_px(measured[:, int(np.argmax(expected))])}). Its pixels are mapped: x' = {A[0, 0]:.4f} x {A[0, 2]:+.2f},"
        f" y' = {A[1, 1]:.4f} y {A[1, 2]:+.2f}."
    )
    data = {"camera": camera, "scale": round(scale, 6), "bars_px": list(bars), "calibration_from_video": A.tolist()}
    return PixelFit(
        A, "letterboxed", size, calibrated, (Diagnostic("size-letterboxed", Severity.WARNING, message, data),)
    )


def _assumed(
    size: tuple[int, int],
    calibrated: tuple[int, int],
    bars: tuple[int, int, int, int] | None,
    camera: str,
    text: str,
) -> PixelFit:
    """Return the likelier of crop and stretch, with how far the other one would be off."""
    video, full = np.array(size, float), np.array(calibrated, float)
    crop = _affine(np.ones(2), (video - full) / 2)
    stretch = _affine(video / full, np.zeros(2))
    is_crop = bool((video <= full).all() and (video == full).any()) and bars is not None
    corners = np.array([[0, 0], [size[0] - 1, size[1] - 1]])
    other = float(np.abs(corners @ (crop - stretch)[:, :2].T + (crop - stretch)[:, 2]).max()) if is_crop else None
    if other is None:
        scale = float((video / full).min())
        other = float(((video - scale * full) / 2).max() / scale)
    kind = "cropped" if is_crop else "stretched"
    seen = "no picture was looked at" if bars is None else "no black bars are seen"
    how = "a crop about its centre" if is_crop else "a slight stretch of the whole picture"
    message = f"{text}, and {seen}: taken for {how}. If that is wrong, points are off by up to {other:.1f} px."
    data = {"camera": camera, "kind": kind, "off_by_px": round(other, 2)}
    A = crop if is_crop else stretch
    return PixelFit(A, kind, size, calibrated, (Diagnostic("size-assumed", Severity.WARNING, message, data),))
