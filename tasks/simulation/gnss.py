"""Daily GNSS positions of a jittered network, written as NGL tenv3 files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from tasks.simulation.deformation import Deformation
from tasks.simulation.geometry import KM_PER_DEGREE, Floats
from tasks.simulation.rain import YEAR
from tasks.simulation.seismicity import list_events
from tasks.simulation.terrain import elevation_at
from tasks.simulation.world import World, stream

HEADER = (
    "site YYMMMDD yyyy.yyyy __MJD week d reflon _e0(m) __east(m) ____n0(m) _north(m) u0(m) ____up(m) _ant(m) "
    "sig_e(m) sig_n(m) sig_u(m) __corr_en __corr_eu __corr_nu _latitude(deg) _longitude(deg) __height(m)"
)
MJD_2000 = 51544


@dataclass(frozen=True)
class GnssNetwork:
    """Positions (day, station, 3) m east, north, up relative to the station's start; NaN where there is none.

    `signal` is the part that the ground does for tectonic reasons (deformation and secular motion), `sigma`
    (day, station, 3) what the processing states. `steps` lists (station index, day) of equipment changes.
    """

    names: list[str]
    latitude: Floats
    longitude: Floats
    height: Floats
    position: Floats
    signal: Floats
    sigma: Floats
    steps: list[tuple[int, int]]


def flicker_noise(days: int, series: int, rng: np.random.Generator) -> Floats:
    """Return flicker noise (day, series) of amplitude 1 m/yr^0.25, spectral slope -1.

    Fractional differencing of order 1/2 (Kasdin 1995) of white noise with deviation dt^(1/4), dt in years
    (Williams 2003).
    """
    k = np.arange(1, days)
    kernel = np.concatenate([[1.0], np.cumprod((k - 0.5) / k)])
    white = rng.standard_normal((days, series)) / YEAR**0.25
    return np.asarray(fftconvolve(white, kernel[:, None], axes=0)[:days])


def simulate_gnss(world: World) -> GnssNetwork:
    """Return the network's daily positions: the mean of each day, taken at 12:00."""
    c, rng = world.config.gnss, stream(world.seed, "gnss")
    side, box = c.stations_per_side, world.region.bounds
    cell = (np.arange(side) + 0.5) / side
    grid_lat, grid_lon = (v.ravel() for v in np.meshgrid(cell, cell, indexing="ij"))
    jitter = rng.uniform(-0.3, 0.3, (2, side * side)) / side
    latitude = box.south + (box.north - box.south) * (grid_lat + jitter[0])
    longitude = box.west + (box.east - box.west) * (grid_lon + jitter[1])
    n, days = side * side, world.days
    noon = np.arange(days) + 0.5
    x, y = world.domain.plane.to_km(latitude, longitude)
    velocity = np.zeros((n, 3))
    # east grows across the middle of the region as above a locked fault (Savage and Burford 1973)
    velocity[:, 0] = c.secular_m_yr * (0.5 + np.arctan(y / 15.0) / np.pi)
    signal = Deformation.at(world, x, y).series(noon) + noon[:, None, None] / YEAR * velocity
    mean_steps = c.offsets_per_year * days / YEAR
    steps = [(s, int(day)) for s in range(n) for day in rng.uniform(0, days, rng.poisson(mean_steps))]
    position = signal + _seasonal(world, noon, n, rng) + _noise(world, n, rng)
    for station, day in steps:
        position[day:, station] += rng.normal(0, (0.005, 0.005, 0.012))
    white = np.array([c.white_horizontal_m, c.white_horizontal_m, c.white_up_m])
    sigma = np.maximum(white, 1e-4) * rng.uniform(0.9, 1.4, (days, n, 1))
    position[_missing(world, n, rng)] = np.nan
    names = [f"S{i:03d}" for i in range(n)]
    height = elevation_at(world, latitude, longitude)
    return GnssNetwork(names, latitude, longitude, height, position, signal, sigma, steps)


def _seasonal(world: World, noon: Floats, n: int, rng: np.random.Generator) -> Floats:
    c = world.config.gnss
    share = np.array([0.3, 0.3, 1.0])
    phase = 2 * np.pi * (noon[:, None, None] + world.region.catalog_start.timetuple().tm_yday - 1) / YEAR
    annual = c.annual_up_m * share * rng.uniform(0.3, 1, (n, 3))
    lag = rng.normal(0, 0.4, (n, 3))
    out = annual * np.cos(phase - lag) + 0.3 * annual * np.cos(2 * phase - lag)
    # stored water presses the ground down, more in some places than in others
    out[:, :, 2] -= c.load_up_m * world.load[:-1, None] * rng.uniform(0.6, 1.4, n)
    return np.asarray(out)


def _noise(world: World, n: int, rng: np.random.Generator) -> Floats:
    c, days = world.config.gnss, world.days
    white = np.array([c.white_horizontal_m, c.white_horizontal_m, c.white_up_m])
    flicker = np.array([c.flicker_horizontal_m, c.flicker_horizontal_m, c.flicker_up_m])
    out = white * rng.standard_normal((days, n, 3)) + flicker * flicker_noise(days, n * 3, rng).reshape(
        days, n, 3
    )
    common = rng.standard_normal((days, 1, 3)) + flicker_noise(days, 3, rng)[:, None, :]
    return np.asarray(out + c.common_mode_m * np.array([1.0, 1.0, 3.0]) * common)


def _missing(world: World, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    c, days = world.config.gnss, world.days
    missing = rng.uniform(size=(days, n)) < c.gap_share
    for station in range(n):
        for begin in rng.uniform(0, days, rng.poisson(c.outages_per_year * days / YEAR)):
            missing[int(begin) : int(begin + rng.uniform(5, 60)), station] = True
        if rng.uniform() < 0.15:
            missing[: int(rng.uniform(0, 0.3) * days), station] = True
    return np.asarray(missing)


def write_gnss(world: World, network: GnssNetwork, root: Path) -> None:
    """Write `gnss/SITE.tenv3` (23 columns) and `gnss/steps.txt` (code 1 equipment, code 2 earthquake in reach)."""
    folder = root / "gnss"
    folder.mkdir(parents=True)
    dates = pd.DatetimeIndex(world.start + np.arange(world.days) * np.timedelta64(1, "D"))
    mjd = (dates - pd.Timestamp("1858-11-17")).days.to_numpy()
    stamps = [d.strftime("%y%b%d").upper() for d in dates]
    prefixes = [
        f"{stamp} {2000 + (m - MJD_2000) / YEAR:.4f} {m} {(m - 44244) // 7} {(m - 44244) % 7}"
        for stamp, m in zip(stamps, mjd.tolist(), strict=True)
    ]
    reference = round((world.region.bounds.west + world.region.bounds.east) / 2, 1)
    for i, name in enumerate(network.names):
        _write_station(folder / f"{name}.tenv3", network, i, prefixes, reference)
    _write_steps(world, network, stamps, folder / "steps.txt")


def _write_station(path: Path, network: GnssNetwork, i: int, prefixes: list[str], reference: float) -> None:
    lat, lon, height = network.latitude[i], network.longitude[i], network.height[i]
    metres_east = KM_PER_DEGREE * 1000 * np.cos(np.radians(lat))
    base = np.array([(lon - reference) * metres_east, lat * KM_PER_DEGREE * 1000, height])
    whole = np.floor(base)
    lines = [HEADER]
    fractions = network.position[:, i] + (base - whole)
    rows = np.flatnonzero(np.isfinite(fractions[:, 0]))
    name, e0, n0, u0 = network.names[i], int(whole[0]), int(whole[1]), int(whole[2])
    moved = network.position[:, i] / np.array([metres_east, KM_PER_DEGREE * 1000, 1.0])
    for row in rows.tolist():
        east, north, up = fractions[row]
        sigma_east, sigma_north, sigma_up = network.sigma[row, i]
        lines.append(
            f"{name} {prefixes[row]} {reference:.1f} {e0} {east:.6f} {n0} {north:.6f} {u0} {up:.6f} 0.0083 "
            f"{sigma_east:.6f} {sigma_north:.6f} {sigma_up:.6f} 0.01 0.02 -0.03 "
            f"{lat + moved[row, 1]:.10f} {lon + moved[row, 0]:.10f} {height + moved[row, 2]:.5f}"
        )
    path.write_text("\n".join(lines) + "\n")


def _write_steps(world: World, network: GnssNetwork, stamps: list[str], path: Path) -> None:
    lines = [(day, f"{network.names[s]} {stamps[day]} 1 Antenna_Changed") for s, day in network.steps]
    x, y = world.domain.plane.to_km(network.latitude, network.longitude)
    large = world.events[world.events["magnitude"] >= world.config.deformation.coseismic_magnitude]
    for event in list_events(large):
        threshold = 10 ** (event.magnitude / 2 - 0.8)
        distance = np.hypot(x - event.x_km, y - event.y_km)
        day = int(event.time_days)
        for s in np.flatnonzero(distance <= threshold).tolist():
            text = f"{threshold:.3f} {distance[s]:.3f} {event.magnitude:.2f} {event_id(event.row)}"
            lines.append((day, f"{network.names[s]} {stamps[day]} 2 {text}"))
    path.write_text("\n".join(text for _, text in sorted(lines)) + "\n")


def event_id(row: int) -> str:
    """Return the network's id of the true event in `row` of the world's table."""
    return f"qs{row:06d}"
