"""Hourly weather on a coarse grid, whose rain is the rain that the load integrates, written like ERA5."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import lfilter

from tasks.simulation.geometry import Floats
from tasks.simulation.rain import YEAR
from tasks.simulation.terrain import elevation_at
from tasks.simulation.world import World, stream

LAPSE_K_M = 0.0065
SCALE_HEIGHT_M = 8400.0
WET_DELAY_PER_PA = 9.4e-5


@dataclass(frozen=True)
class Weather:
    """Hourly fields (time, lat, lon) float32, lat and lon ascending; hour i ends i + 1 hours after the world's start.

    `t2m` K, `sp` Pa, `tp` m in the hour, `u10 v10` m s-1, `swvl1` 1.
    """

    lat: Floats
    lon: Floats
    fields: dict[str, NDArray[np.float32]]

    def mean_at(self, name: str, days: Floats) -> Floats:
        """Return the regional mean of a field in the hour that holds each time (days), ends of the record repeated."""
        hour = np.clip(np.floor(np.asarray(days) * 24).astype(int), 0, len(self.fields[name]) - 1)
        return np.asarray(self.fields[name][hour].mean(axis=(1, 2)), dtype=np.float64)

    def wet_delay(self, days: Floats) -> Floats:
        """Return the zenith wet delay, m, about 9.4 mm per hPa of vapour (linear, cf. Saastamoinen 1972).

        Vapour is 55 % of saturation (Magnus) and rises to 90 % as rain falls.
        """
        celsius = self.mean_at("t2m", days) - 273.15
        saturation = 611.2 * np.exp(17.62 * celsius / (243.12 + celsius))
        humidity = 0.55 + 0.35 * np.tanh(self.mean_at("tp", days) * 2000)
        return np.asarray(WET_DELAY_PER_PA * humidity * saturation)


def simulate_weather(world: World) -> Weather:
    """Return the world's hourly weather.

    Temperature: season, diurnal cycle and synoptic AR(1), lower with height and in rain. Pressure: height and
    synoptic AR(1). Rain: each day's amount in one burst of hours, spread over the grid with a pattern of mean
    one, so that the grid's mean is the rain of the load. Soil moisture follows the load. Fields are rounded as
    packed reanalyses are.
    """
    c, rng = world.config.weather, stream(world.seed, "weather")
    box = world.region.bounds.grown(c.grid_deg / 2)
    lat = np.arange(box.south, box.north + 1e-6, c.grid_deg)
    lon = np.arange(box.west, box.east + 1e-6, c.grid_deg)
    grid = (len(lat), len(lon))
    hours = world.days * 24
    day = (np.arange(hours) + 1) / 24
    phase = 2 * np.pi * (day + world.region.catalog_start.timetuple().tm_yday - 1) / YEAR
    memory = float(np.exp(-1 / c.synoptic_memory_hours))

    def synoptic() -> Floats:
        noise = rng.standard_normal(hours) * np.sqrt(1 - memory**2)
        return np.asarray(lfilter([1.0], [1.0, -memory], noise))

    pattern = rng.uniform(-1, 1, (2, *grid))
    height = elevation_at(world, *(v.ravel() for v in np.meshgrid(lat, lon, indexing="ij"))).reshape(grid)
    rain = _hourly_rain(world, grid, rng)
    raining = rain > 1e-4
    diurnal = np.cos(2 * np.pi * (day - 14 / 24))
    regional = (
        c.temperature_mean_k
        - c.temperature_season_k * np.cos(phase - 2 * np.pi * 20 / YEAR)
        + c.temperature_diurnal_k * diurnal
        + c.temperature_synoptic_k * synoptic()
    )
    local = _grid(synoptic(), pattern[0])
    t2m = _grid(regional, np.ones(grid)) - LAPSE_K_M * height.astype(np.float32) + local - 2.0 * raining
    pressure = 101_325 + c.pressure_synoptic_pa * synoptic()
    sp = _grid(pressure, np.exp(-height / SCALE_HEIGHT_M))
    winds = [_grid(c.wind_sd_m_s * synoptic(), 1 + 0.2 * pattern[1]) for _ in range(2)]
    load = np.repeat(np.tanh(world.load[:-1] / 2), 24)
    soil = np.clip(
        _grid(0.25 + 0.12 * load, np.ones(grid)) + _grid(np.ones(hours), 0.02 * pattern[1]), 0.02, 0.5
    )
    digits = {"t2m": 2, "sp": 0, "tp": 6, "u10": 2, "v10": 2, "swvl1": 4}
    raw = {"t2m": t2m, "sp": sp, "tp": rain, "u10": winds[0], "v10": winds[1], "swvl1": soil}
    return Weather(lat, lon, {k: np.round(v.astype(np.float32), digits[k]) for k, v in raw.items()})


def _grid(series: Floats, pattern: Floats) -> NDArray[np.float32]:
    return np.asarray(series.astype(np.float32)[:, None, None] * pattern.astype(np.float32)[None])


def _hourly_rain(world: World, grid: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    hours = np.arange(24)
    begin = rng.integers(0, 20, world.days)[:, None]
    length = rng.integers(2, 13, world.days)[:, None]
    weight = rng.gamma(1.5, size=(world.days, 24)) * ((hours >= begin) & (hours < begin + length))
    amount = world.rain[:, None] / 1000 * weight / weight.sum(axis=1, keepdims=True)
    pattern = rng.gamma(4.0, size=(world.days, *grid))
    pattern /= pattern.mean(axis=(1, 2), keepdims=True)
    return _grid(amount.ravel(), np.ones(grid)) * np.repeat(pattern.astype(np.float32), 24, axis=0)


_ATTRS = {
    "t2m": ("K", "2 metre temperature"),
    "sp": ("Pa", "Surface pressure"),
    "tp": ("m", "Total precipitation"),
    "u10": ("m s**-1", "10 metre U wind component"),
    "v10": ("m s**-1", "10 metre V wind component"),
    "swvl1": ("m**3 m**-3", "Volumetric soil water layer 1"),
}


def write_weather(world: World, weather: Weather, root: Path) -> None:
    """Write `weather/YYYY.nc`: NetCDF4, `valid_time` the end of the hour, latitude descending."""
    folder = root / "weather"
    folder.mkdir(parents=True)
    time = world.start + np.timedelta64(1, "h") * np.arange(1, world.days * 24 + 1)
    # the hour that ends at midnight belongs to the day, and so to the file, before
    year = pd.DatetimeIndex(time - np.timedelta64(1, "h")).year.to_numpy()
    encoding: dict[str, dict[str, object]] = {
        name: {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": None} for name in _ATTRS
    }
    encoding["valid_time"] = {"units": "seconds since 1970-01-01", "dtype": "int64"}
    for value in np.unique(year):
        rows = np.flatnonzero(year == value)
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        data = {
            name: (
                ("valid_time", "latitude", "longitude"),
                weather.fields[name][part, ::-1, :],
                {"units": units, "long_name": title},
            )
            for name, (units, title) in _ATTRS.items()
        }
        dataset = xr.Dataset(
            data,
            coords={
                "valid_time": time[part].astype("datetime64[ns]"),
                "latitude": ("latitude", weather.lat[::-1], {"units": "degrees_north"}),
                "longitude": ("longitude", weather.lon, {"units": "degrees_east"}),
                "expver": ("valid_time", np.full(len(rows), "0001", dtype=object)),
            },
            attrs={"institution": "QuakeCube joint simulator", "Conventions": "CF-1.7"},
        )
        for name in _ATTRS:
            encoding[name]["chunksizes"] = (min(744, len(rows)), len(weather.lat), len(weather.lon))
        dataset.to_netcdf(folder / f"{value}.nc", engine="h5netcdf", encoding=encoding)
