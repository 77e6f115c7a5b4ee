"""Instrument response removal and resampling of one window in the frequency domain."""

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from obspy.core.inventory.response import Response

OUTPUT_RATE_HZ = 20.0
WINDOW_SECONDS = 60
PAD_SECONDS = 10
SAMPLES = int(WINDOW_SECONDS * OUTPUT_RATE_HZ)
# corners of the cosine prefilter, Hz: below lies drift of accelerometers, above the Nyquist frequency of the output
PREFILTER_HZ = (0.05, 0.1, 8.0, 9.5)
WATER_LEVEL_DB = 60.0
_TRANSFORM_SECONDS = 2 * (WINDOW_SECONDS + 2 * PAD_SECONDS)
_TAPER_SECONDS = 2.0
_MOTION = re.compile(r"[NMC]?M(/S(EC)?(\*\*2|/S(EC)?)?|/\(S(EC)?\*\*2\))?", re.IGNORECASE)


class Gain(NamedTuple):
    """What the spectrum of a channel at one sampling rate is multiplied with: `inverse` (frequency,) complex."""

    rate_hz: float
    inverse: NDArray[np.complex128]


class Counts(NamedTuple):
    """Counts on the padded window: `samples` (n,), `valid` (n,), and how far the samples lie after their slots, s."""

    samples: NDArray[np.float64]
    valid: NDArray[np.bool_]
    shift_seconds: float


def inverse_response(response: Response, rate_hz: float) -> Gain:
    """Return prefilter divided by the response from velocity (m/s) to counts, evaluated by evalresp through obspy.

    Below 60 dB under its maximum the response is raised to that level with its phase kept (water level), as in
    obspy's `remove_response`. An accelerometer is integrated on the way.

    Raises
    ------
    ValueError
        If the sampling rate does not give a whole number of samples in the transform, the response is empty, or it is
        not one to ground motion in metres or a part of them: obspy takes a response in other units as it is.
    """
    refuse_units(response)
    n = _TRANSFORM_SECONDS * rate_hz
    if abs(n - round(n)) > 1e-6:
        raise ValueError(
            f"sampling rate {rate_hz:g} Hz gives no whole number of samples in {_TRANSFORM_SECONDS} s"
        )
    frequency = np.fft.rfftfreq(round(n), 1.0 / rate_hz).astype(np.float64)
    values = np.asarray(
        response.get_evalresp_response_for_frequencies(frequency, output="VEL"), dtype=np.complex128
    )
    magnitude = np.abs(values)
    level = magnitude[1:].max(initial=0.0) * 10.0 ** (-WATER_LEVEL_DB / 20.0)
    if not level > 0 or not np.isfinite(level):
        raise ValueError("the response is zero or not finite at all frequencies")
    # where the response vanishes it has no phase to keep
    unit = np.divide(values, magnitude, out=np.ones_like(values), where=magnitude > 0)
    values = np.where(magnitude < level, unit * level, values)
    return Gain(rate_hz, _prefilter(frequency, rate_hz / 2) / values)


def refuse_units(response: Response) -> None:
    """Raise ValueError unless the response begins with ground motion in a unit that obspy converts."""
    stages = [stage.input_units for stage in response.response_stages[:1]]
    sensitivity = response.instrument_sensitivity
    stated = [*stages, *([sensitivity.input_units] if sensitivity is not None else [])]
    for units in stated:
        if units is not None and not _MOTION.fullmatch(units.strip()):
            raise ValueError(f"input units of ground motion, such as M/S, are expected, found {units!r}")


def _prefilter(frequency: NDArray[np.float64], nyquist_hz: float) -> NDArray[np.float64]:
    f1, f2, f3, f4 = PREFILTER_HZ
    f3, f4 = min(f3, 0.8 * nyquist_hz), min(f4, 0.95 * nyquist_hz)
    rise = np.clip((frequency - f1) / (f2 - f1), 0.0, 1.0)
    fall = np.clip((f4 - frequency) / (f4 - f3), 0.0, 1.0)
    gain: NDArray[np.float64] = 0.25 * (1 - np.cos(np.pi * rise)) * (1 - np.cos(np.pi * fall))
    return gain


def to_velocity(counts: Counts, gain: Gain) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return ground velocity (1200,), m/s at 20 Hz on the window without its pads, and where there were data.

    The mean of the valid samples is removed and their ends are tapered over 2 s; samples that are missing count as
    zero in the filter and are False in the mask. The time shift of the samples is undone by a phase.
    """
    valid = counts.valid
    samples = np.where(valid, counts.samples - counts.samples[valid].mean(), 0.0)
    index = np.flatnonzero(valid)
    ramp = np.minimum(_TAPER_SECONDS * gain.rate_hz, index.size / 2)
    distance = np.minimum(np.arange(valid.size) - index[0], index[-1] - np.arange(valid.size)) + 1.0
    samples *= np.sin(0.5 * np.pi * np.clip(distance / max(ramp, 1.0), 0.0, 1.0)) ** 2
    n = round(_TRANSFORM_SECONDS * gain.rate_hz)
    spectrum = np.fft.rfft(samples, n) * gain.inverse
    frequency = np.fft.rfftfreq(n, 1.0 / gain.rate_hz)
    spectrum *= np.exp(-2j * np.pi * frequency * counts.shift_seconds)
    n_out = round(_TRANSFORM_SECONDS * OUTPUT_RATE_HZ)
    first = round(PAD_SECONDS * OUTPUT_RATE_HZ)
    velocity = np.fft.irfft(spectrum, n_out)[first : first + SAMPLES] * (n_out / n)
    slots = (PAD_SECONDS + np.arange(SAMPLES) / OUTPUT_RATE_HZ - counts.shift_seconds) * gain.rate_hz
    observed: NDArray[np.bool_] = valid[np.clip(np.round(slots).astype(int), 0, valid.size - 1)]
    return velocity, observed
