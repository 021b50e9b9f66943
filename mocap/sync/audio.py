"""Clocks from sound: claps and ambient sound heard by two cameras.

Coarse: onsets of the two recordings are correlated over all lags. Fine: around the strongest onsets (and, where there
are few, evenly) the generalised cross-correlation with phase transform (C. Knapp and G. Carter, "The generalized
correlation method for estimation of time delay", IEEE TASSP 1976) gives one lag per window with a sub-sample peak; a
line through the lags is offset and drift.

Sound takes 2.9 ms per metre. Unless camera and clap positions are known, that stays in the offset and in its sigma.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.ndimage import maximum_filter1d

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.media.audio import Sound
from mocap.sync.evidence import Evidence
from mocap.sync.hearing import BAND_HZ, ENVELOPE_HZ, MIN_OVERLAP_S, RATE_HZ, Heard, finding, prepare

SOURCE = "audio"
SPEED_M_S = 343.0
"""Of sound in dry air at 20 degrees; 10 degrees more or less change it by 1.7 %."""
WHOLE_S = 600
"""Recordings up to this length are compared by waveform as a whole."""
N_COARSE = 8
N_WINDOWS = 16
WINDOW_S = 0.12
LEAD_S = 0.02
"""A clap's window starts this long before it: the direct sound counts most, echoes come later."""
LONG_WINDOW_S = 2.0
SEARCH_S = 0.06
MIN_CLEAR = 7.0
"""Peak of a window's correlation over its background, in standard deviations, from which it counts; over what is within
NEAR_S too: two bursts of unrelated sound stand out together, but without one lag."""
NEAR_S = 0.005
PEAK_WIDTH_S = 0.0005
PEAK_S = 20e-6
"""Uncertainty of one window's lag, from echoes that differ between places."""
SAME_PLACE_S = 20e-6
"""Travel time that two claps of one person standing in one place may differ by (7 mm)."""
TRAVEL_S = 0.010
"""Uncertainty of a lag by unknown travel times: differences of a few metres."""
MAX_RATE = 200e-6
"""Clocks do not differ by more; lags that seem to drift faster come from sources in different places."""


@dataclass(frozen=True, eq=False)
class Lags:
    """Where the sound of one recording is found in another: window by window."""

    time_b_s: np.ndarray
    """[window] on b's clock."""
    lag_s: np.ndarray
    """[window] t_a - t_b of the same sound."""
    clear: np.ndarray
    """[window] height of the correlation's peak in standard deviations of its background."""


def coarse_lags(a: Heard, b: Heard) -> list[float]:
    """Return candidates for t_a - t_b in seconds (of sample times), best first: by onsets and by waveforms."""
    out: list[float] = []
    correlation, lags = _correlation(a.onset, b.onset, whiten=False)
    overlap = np.minimum(len(a.onset), len(b.onset) + lags) - np.maximum(0, lags)
    out += _peaks(np.where(overlap >= MIN_OVERLAP_S * ENVELOPE_HZ, correlation, -np.inf), lags, ENVELOPE_HZ)
    best, by_waveform = -np.inf, list[float]()
    for place in _strips(a, b):
        strip = _strip(a.samples, b.samples, *place)
        if (height := float(strip[0].max())) > best:
            best, by_waveform = height, _peaks(*strip, RATE_HZ)
    return out + by_waveform


def _peaks(correlation: np.ndarray, lags: np.ndarray, rate_hz: int) -> list[float]:
    out: list[float] = []
    reach = round(0.02 * rate_hz)
    for _ in range(N_COARSE // 2):
        i = int(correlation.argmax())
        if not np.isfinite(correlation[i]):
            break
        out.append(float(lags[i]) / rate_hz)
        correlation[max(0, i - reach) : i + reach + 1] = -np.inf
    return out


def _strips(a: Heard, b: Heard) -> list[tuple[slice, slice]]:
    """Return pieces of both recordings to compare by waveform: all of them, or of long ones b's liveliest part.

    That part is compared with all of a, in pieces that overlap by its length.
    """
    long = WHOLE_S * RATE_HZ
    if max(len(a.samples), len(b.samples)) <= long:
        return [(slice(None), slice(None))]
    n = min(len(b.samples), long // 2)
    hop = RATE_HZ // ENVELOPE_HZ
    busy = np.concatenate([[0.0], np.cumsum(np.maximum(b.onset, 0.0))])
    width = max(1, min(n // hop, len(b.onset)))
    at = int((busy[width:] - busy[:-width]).argmax()) * hop
    starts = range(0, max(len(a.samples) - n, 1), long - n)
    return [(slice(i, i + long), slice(at, at + n)) for i in starts]


def _strip(a: np.ndarray, b: np.ndarray, of_a: slice, of_b: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return the whitened correlation of two pieces, -inf where they overlap too little, and lags of the wholes."""
    x, y = a[of_a], b[of_b]
    correlation, lags = _correlation(x, y, whiten=True)
    overlap = np.minimum(len(x), len(y) + lags) - np.maximum(0, lags)
    correlation = np.where(overlap >= MIN_OVERLAP_S * RATE_HZ, correlation, -np.inf)
    return correlation, lags + (of_a.start or 0) - (of_b.start or 0)


def _correlation(x: np.ndarray, y: np.ndarray, whiten: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the cross-correlation over all lags [n] (x leads by lag), and the lags in samples."""
    size = next_fast_len(len(x) + len(y))
    cross = rfft(x, size) * np.conj(rfft(y, size))
    if whiten:
        cross /= np.maximum(np.abs(cross), 1e-3 * float(np.abs(cross).mean()) + 1e-30)
    lags = np.arange(-(len(y) - 1), len(x))
    return irfft(cross, size)[lags], lags


def match(a: Heard, b: Heard) -> Lags | None:
    """Return the lags of b's sound in a's, in seconds of sample times; None where the two share no sound."""
    best: Lags | None = None
    for lag in coarse_lags(a, b):
        found = _windows(a, b, lag)
        if found is not None and (best is None or found.clear.sum() > best.clear.sum()):
            best = found
    return best


def _windows(a: Heard, b: Heard, lag_s: float) -> Lags | None:
    """Return the lags near `lag_s`, of windows whose correlation has a clear peak."""
    low, high = max(0.0, -lag_s), min(len(b.samples) / RATE_HZ, len(a.samples) / RATE_HZ - lag_s)
    if high - low < MIN_OVERLAP_S:
        return None
    rows: list[tuple[float, float, float]] = []
    for start_s, length_s in _placed(b.onset, low, high):
        value = _fine(a.samples, b.samples, start_s, length_s, lag_s)
        if value is not None:
            rows.append((start_s + (LEAD_S if length_s == WINDOW_S else 0.5 * length_s), *value))
    if not rows:
        return None
    time_s, lag, clear = np.array(rows).T
    # one lag for all, but for drift and for sources in different places
    near = np.abs(lag - _weighted_median(lag, clear)) < 0.01 + MAX_RATE * np.ptp(time_s)
    return Lags(time_s[near], lag[near], clear[near])


def _weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, 0.5 * total[-1])])


def _placed(rise: np.ndarray, low_s: float, high_s: float) -> list[tuple[float, float]]:
    """Return windows (start, length) in seconds of onsets: the strongest onsets, and long ones spread evenly."""
    lo, hi = int(low_s * ENVELOPE_HZ), int(high_s * ENVELOPE_HZ)
    peaks = np.flatnonzero(rise == maximum_filter1d(rise, int(0.4 * ENVELOPE_HZ)))
    peaks = peaks[(peaks >= lo) & (peaks < hi)]
    strongest = peaks[np.argsort(-rise[peaks])][:N_WINDOWS]
    spread = float(rise.std())
    claps = [(float(p) / ENVELOPE_HZ - LEAD_S, WINDOW_S) for p in strongest if rise[p] > 4 * spread]
    n = int(np.clip((high_s - low_s) / LONG_WINDOW_S, 1, N_WINDOWS))
    step = (high_s - low_s) / n
    return claps + [(low_s + i * step, min(LONG_WINDOW_S, step)) for i in range(n)]


def _fine(a: np.ndarray, b: np.ndarray, start_s: float, length_s: float, lag_s: float) -> tuple[float, float] | None:
    """Return (lag, clearness) of one window of b in a, or None where there is no clear peak."""
    start_b = max(0, round(start_s * RATE_HZ))
    piece = b[start_b : start_b + round(length_s * RATE_HZ)]
    reach = round(SEARCH_S * RATE_HZ)
    start_a = start_b + round(lag_s * RATE_HZ) - reach
    lo, hi = max(0, start_a), min(len(a), start_a + len(piece) + 2 * reach)
    if len(piece) < 0.5 * length_s * RATE_HZ or hi - lo < len(piece):
        return None
    around = np.zeros(len(piece) + 2 * reach)
    around[lo - start_a : hi - start_a] = a[lo:hi]
    size = next_fast_len(len(around) + len(piece))
    X, Y = rfft(around, size), rfft(piece * _taper(len(piece), length_s == WINDOW_S), size)
    cross = X * np.conj(Y)
    hz = rfftfreq(size, 1 / RATE_HZ)
    band = (hz > BAND_HZ[0]) & (hz < BAND_HZ[1])
    # phase transform softened, so that bands without sound do not weigh as much as those with
    cross = np.where(band, cross / np.maximum(np.abs(cross), 1e-30) ** 0.7, 0.0)
    correlation = irfft(cross, size)[: 2 * reach + 1]
    i = int(correlation.argmax())
    if i in (0, 2 * reach):
        return None
    rest = np.concatenate([correlation[: max(0, i - 30)], correlation[i + 31 :]])
    clear = float((correlation[i] - np.median(rest)) / max(1.4826 * float(np.median(np.abs(rest))), 1e-30))
    if min(clear, _sharpness(correlation, i)) < MIN_CLEAR:
        return None
    left, mid, right = correlation[i - 1 : i + 2]
    fraction = 0.5 * (left - right) / (left - 2 * mid + right)
    return (start_a + i + fraction - start_b) / RATE_HZ, clear


def _sharpness(correlation: np.ndarray, i: int) -> float:
    """Return how far a peak stands above what is near it, in root mean squares of that."""
    near, width = round(NEAR_S * RATE_HZ), round(PEAK_WIDTH_S * RATE_HZ)
    around = np.concatenate([correlation[max(0, i - near) : max(0, i - width)], correlation[i + width + 1 : i + near]])
    return float(correlation[i] / max(np.sqrt(np.mean(around**2)), 1e-30))


def _taper(n: int, is_clap: bool) -> np.ndarray:
    """Return a window: a clap's rises fast and fades with its echoes, others are even."""
    if not is_clap:
        return np.hanning(n)
    t = np.arange(n) / RATE_HZ
    return np.minimum(t / (0.5 * LEAD_S), 1.0) * np.exp(-np.maximum(t - LEAD_S, 0.0) / 0.02)


def audio_evidence(
    sounds: Mapping[str, Sound | None],
    camera_positions_m: Mapping[str, np.ndarray] | None = None,
    clap_m: np.ndarray | None = None,
) -> tuple[list[Evidence], list[Diagnostic]]:
    """Return what sound says of each pair of cameras.

    With the positions of the cameras and of the claps [3] in the world the travel times are taken off; else the lag's
    sigma holds them: TRAVEL_S, or what the distance between the two cameras allows where that is more.
    """
    found: list[Diagnostic] = []
    prepared: dict[str, Heard] = {}
    for camera, sound in sounds.items():
        if sound is None:
            found.append(finding("audio-missing", camera, "the file has no sound track"))
            continue
        heard, notes = prepare(sound, camera)
        found += notes
        if heard is not None:
            prepared[camera] = heard
    names = list(prepared)
    evidence: list[Evidence] = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            lags = match(prepared[a], prepared[b])
            if lags is None:
                message = f"{a} and {b} share no sound that stands out."
                found.append(Diagnostic("audio-no-match", Severity.INFO, message, {"cameras": [a, b]}))
                continue
            travel = _travel(a, b, camera_positions_m, clap_m)
            said = _evidence(a, b, lags, prepared[a].start_s, prepared[b].start_s, *travel, clap_m is not None)
            if camera_positions_m is not None and clap_m is None:
                said = replace(said, places_m=(camera_positions_m[a], camera_positions_m[b]))
            evidence.append(said)
    if evidence and (clap_m is None or camera_positions_m is None):
        found.append(
            Diagnostic(
                "audio-travel-time",
                Severity.INFO,
                "The travel time of sound is not corrected (2.9 ms per metre): the positions of the cameras and of the "
                f"clap are not known. Each lag counts as uncertain by {TRAVEL_S * 1e3:.0f} ms or more.",
            )
        )
    return evidence, found


def _travel(
    a: str, b: str, positions_m: Mapping[str, np.ndarray] | None, clap_m: np.ndarray | None
) -> tuple[float, float]:
    """Return by how much later a sound reaches a than b, in seconds, and the uncertainty of that."""
    if positions_m is None:
        return 0.0, TRAVEL_S
    if clap_m is None:
        apart_m = float(np.linalg.norm(positions_m[a] - positions_m[b]))
        return 0.0, max(TRAVEL_S, apart_m / SPEED_M_S / np.sqrt(3))
    d_a, d_b = (float(np.linalg.norm(positions_m[n] - clap_m)) for n in (a, b))
    # 5 degrees of temperature, and a hand's breadth of the clap's place
    return (d_a - d_b) / SPEED_M_S, float(np.hypot(0.009 * abs(d_a - d_b), 0.1) / SPEED_M_S)


def _evidence(
    a: str, b: str, lags: Lags, start_a: float, start_b: float, travel_s: float, sigma_travel_s: float, is_known: bool
) -> Evidence:
    time_b = lags.time_b_s + start_b
    lag = lags.lag_s + start_a - start_b - travel_s
    centre, offset, rate, sigma, sigma_rate = _line(time_b, lag)
    detail = {
        "windows": len(lag),
        "clear": float(lags.clear.max()),
        "travel_time_corrected": is_known,
        "lags": [[float(t), float(v)] for t, v in zip(time_b, lag, strict=True)],
    }
    bias_s = sigma_travel_s / np.sqrt(2)  # one half of the variance comes from either camera
    return Evidence(
        SOURCE,
        a,
        b,
        centre + offset,
        centre,
        rate * 1e6,
        max(sigma, PEAK_S),
        sigma_rate * 1e6,
        float(bias_s),
        detail=detail,
    )


def _line(time_s: np.ndarray, lag_s: np.ndarray) -> tuple[float, float, float, float, float]:
    """Return (centre, lag there, rate, sigma, sigma of the rate) of lags against time, by re-weighted least squares.

    Where lags differ by more than clocks can drift, the sound came from different places: the rate is then unknown.
    """
    weight = np.ones(len(lag_s))
    centre, offset, rate, scale = float(time_s.mean()), float(np.median(lag_s)), 0.0, PEAK_S
    for _ in range(8):
        centre = float(np.average(time_s, weights=weight))
        u = time_s - centre
        offset = float(np.average(lag_s, weights=weight))
        spread = float((weight * u**2).sum())
        rate = float((weight * u * (lag_s - offset)).sum() / spread) if spread > 1e-6 else 0.0
        off = np.abs(lag_s - offset - rate * u)
        scale = max(1.4826 * float(np.median(off)), PEAK_S)
        weight = 1 / (1 + (off / (2 * scale)) ** 2) ** 2
    n = float(weight.sum())
    spread = float((weight * (time_s - centre) ** 2).sum())
    sigma = scale / np.sqrt(max(n, 1.0))
    if spread < 0.25 or abs(rate) > MAX_RATE:
        return centre, offset, 0.0, float(np.hypot(sigma, abs(rate) * np.sqrt(spread))), float("inf")
    sigma_rate = float(np.sqrt((scale**2 + SAME_PLACE_S**2) / spread))
    return centre, offset, rate, sigma, sigma_rate
