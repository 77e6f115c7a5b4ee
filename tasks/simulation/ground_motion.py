"""Ground velocity at seismometers: Brune sources, attenuation, P, S and coda with random phase, and ambient noise."""

from dataclasses import dataclass

import numpy as np

from tasks.simulation.config import WaveformConfig
from tasks.simulation.deformation import moment
from tasks.simulation.geometry import Floats

P_VELOCITY_KM_S = 6.0
S_VELOCITY_KM_S = 3.46
DENSITY_KG_M3 = 2700.0
RADIATION = {"P": 0.52, "S": 0.63}
COMPONENT_SHARE = {"P": (0.85, 0.37, 0.37), "S": (0.4, 0.65, 0.65)}
CODA_SHARE = 0.25


@dataclass(frozen=True)
class Shaking:
    """A source as the stations need it: origin time in s on the record's clock, place in km, magnitude."""

    origin_s: float
    x: float
    y: float
    depth_km: float
    magnitude: float


def travel_times(distance_km: Floats) -> tuple[Floats, Floats]:
    """Return P and S travel times, s, of straight rays over hypocentral distances in a uniform crust."""
    return distance_km / P_VELOCITY_KM_S, distance_km / S_VELOCITY_KM_S


def corner_frequency(magnitude: float, stress_drop_pa: float) -> float:
    """Return Brune's (1970, 1971) S corner frequency, Hz, of a circular source: fc = 2.34 vs / (2 pi r)."""
    radius = (7 * moment(magnitude) / (16 * stress_drop_pa)) ** (1 / 3)
    return float(2.34 * S_VELOCITY_KM_S * 1000 / (2 * np.pi * radius))


def velocity_spectrum(
    frequency: Floats, distance_km: Floats, magnitude: float, phase: str, config: WaveformConfig
) -> Floats:
    """Return the far-field velocity amplitude spectrum (station, frequency), m, of the phase "P" or "S".

    Brune (1970) omega-squared source, 1/R, path Q and site kappa; free surface factor 2 (as in Boore 1983).
    """
    speed = P_VELOCITY_KM_S if phase == "P" else S_VELOCITY_KM_S
    corner = corner_frequency(magnitude, config.stress_drop_pa) * (1.5 if phase == "P" else 1.0)
    metres = np.maximum(distance_km, 1.0)[:, None] * 1000
    plateau = (
        2 * RADIATION[phase] * moment(magnitude) / (4 * np.pi * DENSITY_KG_M3 * (speed * 1000) ** 3 * metres)
    )
    decay = metres / 1000 / speed / config.quality_factor + config.kappa_s
    source = 2 * np.pi * frequency / (1 + (frequency / corner) ** 2)
    return np.asarray(plateau * source * np.exp(-np.pi * frequency * decay))


def shaking(
    source: Shaking,
    station_x: Floats,
    station_y: Floats,
    site: Floats,
    samples: int,
    rate_hz: float,
    config: WaveformConfig,
    rng: np.random.Generator,
) -> Floats:
    """Return ground velocity (station, channel Z N E, sample), m s-1, of one event, nothing before its P.

    Windowed noise takes the target spectrum (Boore 1983); the coda is S of random phase with a longer window.
    """
    distance = np.hypot(np.hypot(station_x - source.x, station_y - source.y), source.depth_km)
    arrival = dict(zip("PS", travel_times(distance), strict=True))
    time = np.arange(samples) / rate_hz
    frequency = np.fft.rfftfreq(2 * samples, 1 / rate_hz)
    rise = 0.5 / corner_frequency(source.magnitude, config.stress_drop_pa) + 0.02 * distance
    out = np.zeros((len(distance), 3, samples))
    for phase, width, share in (("P", rise, 1.0), ("S", rise, 1.0), ("S", 6 + 5 * rise, CODA_SHARE)):
        since = (time - source.origin_s) - arrival[phase][:, None]
        scaled = np.maximum(since, 0) / width[:, None]
        window = scaled * np.exp(1 - scaled)
        energy = np.sqrt((window**2).sum(axis=1, keepdims=True)) / rate_hz
        window = np.divide(window, energy, out=np.zeros_like(window), where=energy > 0)
        noise = rng.standard_normal(out.shape) * window[:, None, :]
        target = velocity_spectrum(frequency, distance, source.magnitude, phase, config)
        shaped = np.fft.irfft(np.fft.rfft(noise, n=2 * samples) * target[:, None, :], n=2 * samples)[
            ..., :samples
        ]
        parts = np.asarray(COMPONENT_SHARE[phase])[None, :, None]
        out += share * parts * site[:, None, None] * shaped * (since >= 0)[:, None, :]
    return out


def ambient_noise(shape: tuple[int, ...], rate_hz: float, rng: np.random.Generator) -> Floats:
    """Return noise (..., sample) of unit rms whose power falls as 1/f above 0.05 Hz and is flat below."""
    samples = shape[-1]
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / rate_hz), 0.05)
    spectrum = np.fft.rfft(rng.standard_normal(shape)) * frequency**-0.5
    spectrum[..., 0] = 0.0
    noise = np.fft.irfft(spectrum, n=samples)
    return np.asarray(noise / noise.std(axis=-1, keepdims=True))
