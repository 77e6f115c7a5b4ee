"""A minute of three-component ground velocity as thirteen numbers that a network can read."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

BANDS_HZ: Final = ((0.5, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0))
FEATURES: Final = (
    *(f"log_rms_vertical_{low:g}_{high:g}_hz" for low, high in BANDS_HZ),
    *(f"log_rms_horizontal_{low:g}_{high:g}_hz" for low, high in BANDS_HZ),
    "log_peak_velocity",
    "log_horizontal_to_vertical",
    "spectral_centroid_hz",
    "sta_lta_max",
)
MINIMUM_SHARE: Final = 0.5
TAPER_SHARE: Final = 0.05
_SMALLEST: Final = 1e-15
Floats = NDArray[np.float64]


def record_features(velocity: NDArray[np.floating], sampling_rate_hz: float) -> NDArray[np.float32]:
    """Return (record, feature) float32 of velocity (record, channel, sample) m s-1, channels Z N E.

    Per octave band log10 of the rms velocity (m s-1), vertical and horizontal (root of the summed squares
    of north and east); log10 of the peak velocity of any channel; log10 of horizontal over vertical rms
    0.5-8 Hz; power centroid of the vertical, Hz; and the largest ratio of 1 s to 10 s mean square of the vertical
    (causal windows). Mean removed, 5 % cosine taper. NaN samples are missing: a channel with less than half its
    samples, or constant, has no features; gaps count as zero and the rms is of the samples observed.

    Raises
    ------
    ValueError
        If the sampling rate does not reach 16 Hz, twice the highest frequency.
    """
    if sampling_rate_hz < 2 * BANDS_HZ[-1][1]:
        raise ValueError(
            f"sampling_rate_hz must be at least {2 * BANDS_HZ[-1][1]:g}, found {sampling_rate_hz:g}"
        )
    n = velocity.shape[-1]
    seen = np.isfinite(velocity)
    count = seen.sum(axis=-1)
    filled = np.where(seen, velocity, 0.0).astype(np.float64)
    mean = filled.sum(axis=-1) / np.maximum(count, 1)
    centred = np.where(seen, filled - mean[..., None], 0.0)
    usable = (count >= MINIMUM_SHARE * n) & (np.abs(centred).max(axis=-1, initial=0.0) > 0)
    taper = _taper(n)
    spectrum = np.asarray(np.abs(np.fft.rfft(centred * taper, axis=-1)) ** 2, dtype=np.float64)
    frequency = np.asarray(np.fft.rfftfreq(n, 1 / sampling_rate_hz), dtype=np.float64)
    # Parseval, one-sided; divided by what the taper and the gaps leave of the window.
    scale = 2.0 / (n * (taper**2).mean() * np.maximum(count, 1))
    power = [np.where(usable, _band(spectrum, frequency, *band) * scale, np.nan) for band in BANDS_HZ]
    vertical = np.stack([p[:, 0] for p in power], axis=1)
    horizontal = np.stack([p[:, 1] + p[:, 2] for p in power], axis=1)
    peak = np.where(usable, np.abs(centred).max(axis=-1, initial=0.0), np.nan)
    best = np.where(usable.any(axis=1), np.nan_to_num(peak, nan=0.0).max(axis=1, initial=0.0), np.nan)
    ratio = 0.5 * (_log(horizontal.sum(axis=1)) - _log(vertical.sum(axis=1)))
    within = (frequency >= BANDS_HZ[0][0]) & (frequency < BANDS_HZ[-1][1])
    weight = spectrum[:, 0, within]
    # Row by row: a matrix product may round a record by its place in the batch.
    centroid = (weight * frequency[within]).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-300)
    columns = [
        *(0.5 * _log(vertical)).T,
        *(0.5 * _log(horizontal)).T,
        _log(best),
        ratio,
        np.where(usable[:, 0], centroid, np.nan),
        np.where(usable[:, 0], sta_lta_max(centred[:, 0], sampling_rate_hz), np.nan),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def sta_lta_max(
    samples: Floats, sampling_rate_hz: float, short_s: float = 1.0, long_s: float = 10.0
) -> Floats:
    """Return (record,) the largest ratio of short to long trailing mean square of (record, sample); 0 if silent."""
    short, long = round(short_s * sampling_rate_hz), round(long_s * sampling_rate_hz)
    if samples.shape[-1] < long:
        raise ValueError(f"expected at least {long} samples ({long_s:g} s), found {samples.shape[-1]}")
    total = np.concatenate([np.zeros((samples.shape[0], 1)), np.cumsum(samples**2, axis=1)], axis=1)
    ends = np.arange(long, samples.shape[1] + 1)
    sta = (total[:, ends] - total[:, ends - short]) / short
    lta = (total[:, ends] - total[:, ends - long]) / long
    return np.asarray(np.divide(sta, lta, out=np.zeros_like(sta), where=lta > 0).max(axis=1))


def _band(spectrum: Floats, frequency: Floats, low: float, high: float) -> Floats:
    return np.asarray(spectrum[..., (frequency >= low) & (frequency < high)].sum(axis=-1))


def _log(values: Floats) -> Floats:
    return np.asarray(np.log10(np.maximum(values, _SMALLEST**2)))


def _taper(n: int) -> Floats:
    edge = max(1, round(TAPER_SHARE * n))
    window = np.ones(n)
    rise = 0.5 * (1 - np.cos(np.pi * (np.arange(edge) + 0.5) / edge))
    window[:edge], window[n - edge :] = rise, rise[::-1]
    return window
