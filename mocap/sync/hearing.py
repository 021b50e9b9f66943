"""A recording's sound made ready for comparison: one rate, one band, and where it rises suddenly."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.ndimage import uniform_filter1d
from scipy.signal import resample_poly

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.media.audio import Sound, zeros

RATE_HZ = 16000
ENVELOPE_HZ = 500
BAND_HZ = (200.0, 7000.0)
SILENT = 1e-4
CLIPPED_SHARE = 1e-3
MIN_OVERLAP_S = 1.0
PIECE_S, MARGIN_S = 60, 1
"""Long sound is filtered in pieces of that length, with that much of their neighbours."""


@dataclass(frozen=True, eq=False)
class Heard:
    """A recording made ready for comparison."""

    samples: np.ndarray
    """[sample] at RATE_HZ, without hum and rumble, float32."""
    onset: np.ndarray
    """See `onsets`."""
    start_s: float
    """Of the first sample on the camera's clock."""


def prepare(sound: Sound, camera: str) -> tuple[Heard | None, list[Diagnostic]]:
    """Return the sound at RATE_HZ without hum and rumble, None where it says nothing, and findings.

    In pieces, so that hours of sound need no more memory than minutes.
    """
    samples = sound.samples
    if len(samples) < MIN_OVERLAP_S * sound.rate_hz:
        return None, [finding("audio-too-short", camera, f"only {sound.duration_s:.2f} s of sound")]
    pieces = [samples[i : i + PIECE_S * sound.rate_hz] for i in range(0, len(samples), PIECE_S * sound.rate_hz)]
    peak = float(max(np.abs(p).max() for p in pieces))
    if peak < SILENT:
        return None, [finding("audio-silent", camera, f"the loudest sample is {peak:.1e} of full scale")]
    found: list[Diagnostic] = []
    clipped = sum(int(np.count_nonzero(np.abs(p) >= 0.985 * peak)) for p in pieces) / len(samples)
    if peak > 0.9 and clipped > CLIPPED_SHARE:
        found.append(
            finding("audio-clipped", camera, f"{clipped:.1%} of the samples are at full scale; it is used as it is")
        )
    ready = _resampled(sound)
    return Heard(ready, onsets(ready), sound.start_s), found


def _resampled(sound: Sound) -> np.ndarray:
    """Return the band of a sound that is compared, at RATE_HZ: piece by piece, each with a margin on either side."""
    rate = sound.rate_hz
    g = gcd(RATE_HZ, rate)
    up, down = RATE_HZ // g, rate // g
    n = -(-len(sound.samples) * up // down)
    out = zeros(n)
    for first in range(0, n, PIECE_S * RATE_HZ):
        last = min(first + PIECE_S * RATE_HZ, n)
        # whole seconds: both rates have a sample there
        begin_s = max(0, first // RATE_HZ - MARGIN_S)
        end_s = -(-last // RATE_HZ) + MARGIN_S
        piece = np.asarray(sound.samples[begin_s * rate : end_s * rate], np.float64)
        band = _band(resample_poly(piece, up, down))
        out[first:last] = band[first - begin_s * RATE_HZ : last - begin_s * RATE_HZ]
    return out


def finding(code: str, camera: str, what: str) -> Diagnostic:
    """Return what is wrong with a camera's sound."""
    return Diagnostic(code, Severity.WARNING, f"Sound of {camera}: {what}.", {"camera": camera})


def _band(samples: np.ndarray) -> np.ndarray:
    size = next_fast_len(len(samples))
    spectrum = rfft(samples, size)
    hz = rfftfreq(size, 1 / RATE_HZ)
    return irfft(spectrum * ((hz > BAND_HZ[0]) & (hz < BAND_HZ[1])), size)[: len(samples)]


def onsets(samples: np.ndarray) -> np.ndarray:
    """Return how suddenly the sound rises, ENVELOPE_HZ times a second: rises of the logarithmic level."""
    hop = RATE_HZ // ENVELOPE_HZ
    n = len(samples) // hop
    power = np.zeros(n)
    for i in range(0, n, PIECE_S * ENVELOPE_HZ):
        piece = np.asarray(samples[i * hop : min(i + PIECE_S * ENVELOPE_HZ, n) * hop], np.float64)
        power[i : i + len(piece) // hop] = (piece.reshape(-1, hop) ** 2).mean(1)
    floor = max(float(np.median(power)), 1e-3 * float(power.mean()), 1e-14)
    level = np.log1p(power / floor)
    before = uniform_filter1d(level, 15, mode="nearest", origin=7)
    rise = np.maximum(level - before, 0.0)
    return rise - uniform_filter1d(rise, ENVELOPE_HZ, mode="nearest")
