"""A small region and canonical observations of every modality, made from known formulas and a fixed seed."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
import xarray as xr

from tasks.regions import Region, SourceConfig

DAY = np.timedelta64(1, "D").astype("timedelta64[ns]")
Observations = dict[str, xr.Dataset]


def random_catalog(
    make_catalog: Callable[..., xr.Dataset], region: Region, rng: np.random.Generator, n: int
) -> xr.Dataset:
    start, end = (t.astype("datetime64[s]") for t in region.catalog_window)
    seconds = np.sort(rng.integers(0, int((end - start).astype(int)), n))
    rows = [
        (str(k), str(start + np.timedelta64(int(s), "s")), 35 + rng.random(), -118 + rng.random(),
         3.0 + rng.exponential(0.4), "earthquake")
        for k, s in enumerate(seconds)
    ]  # fmt: skip
    return make_catalog(rows, np.timedelta64(5, "m"))


def make_gnss(region: Region, rng: np.random.Generator, stations: int = 9) -> xr.Dataset:
    days = np.arange(region.window.start, region.window.end, DAY)
    t = np.arange(days.size) / 365.25
    side = np.arange(stations)
    lat, lon = 34.9 + 0.6 * (side // 3), -118.1 + 0.6 * (side % 3)
    shape = (days.size, stations)
    data: dict[str, object] = {}
    for name, rate in {"east": 0.01, "north": -0.02, "up": 0.001}.items():
        season = 0.003 * np.sin(2 * np.pi * t)[:, None]
        data[name] = (("time", "station"), rate * t[:, None] + season + rng.normal(0, 0.001, shape))
        data[f"sigma_{name}"] = (("time", "station"), np.full(shape, 0.001))
    noon = days + np.timedelta64(12, "h")
    data["available_time"] = (("time", "station"), np.repeat((days + 3 * DAY)[:, None], stations, axis=1))
    data["quality_flag"] = (("time", "station"), np.zeros(shape, np.uint8))
    return xr.Dataset(
        data,
        coords={
            "time": noon,
            "station": np.array([f"S{k:03d}" for k in side], dtype=object),
            "latitude": ("station", lat),
            "longitude": ("station", lon),
            "elevation_m": ("station", np.zeros(stations)),
        },
    )


def make_insar(region: Region, rng: np.random.Generator, pairs: int = 40) -> xr.Dataset:
    lat, lon = np.arange(35.0125, 36, 0.025), np.arange(-117.9875, -117, 0.025)
    start = region.window.start + np.arange(pairs) * 24 * DAY + np.timedelta64(14, "h")
    end = start + 12 * DAY
    shape = (pairs, lat.size, lon.size)
    look = {"look_east": -0.6, "look_north": -0.1, "look_up": np.sqrt(1 - 0.37)}
    return xr.Dataset(
        {
            "los_displacement": (("time", "lat", "lon"), rng.normal(0, 0.005, shape).astype(np.float32)),
            "coherence": (("time", "lat", "lon"), rng.uniform(0.2, 1, shape).astype(np.float32)),
            "time_start": ("time", start),
            "available_time": ("time", end + 3 * DAY),
            "quality_flag": (("time", "lat", "lon"), np.zeros(shape, np.uint8)),
        }
        | {name: (("lat", "lon"), np.full(shape[1:], value)) for name, value in look.items()},
        coords={"time": end, "lat": lat, "lon": lon},
        attrs={"track": "T1", "orbit": "ascending", "crs": "EPSG:4326"},
    )


def make_weather(region: Region, rng: np.random.Generator) -> xr.Dataset:
    time = np.arange(region.window.start, region.window.end, np.timedelta64(3, "h")) + np.timedelta64(3, "h")
    t = np.arange(time.size) / (8 * 365.25)
    lat, lon = np.array([34.75, 35.5, 36.25]), np.array([-118.25, -117.5, -116.75])
    shape = (time.size, 3, 3)
    season = 10 * np.cos(2 * np.pi * t)[:, None, None]
    return xr.Dataset(
        {
            "air_temperature": (("time", "lat", "lon"), 290 + season + rng.normal(0, 2, shape)),
            "precipitation_amount": (("time", "lat", "lon"), rng.exponential(0.3, shape)),
            "available_time": ("time", time + DAY),
        },
        coords={"time": time, "lat": lat, "lon": lon},
    )


def make_records(region: Region, rng: np.random.Generator, n: int = 60) -> xr.Dataset:
    start = region.window.start + np.arange(n) * 18 * DAY + np.timedelta64(7, "h")
    return xr.Dataset(
        {
            "velocity": (
                ("record", "channel", "sample"),
                rng.normal(0, 1e-6, (n, 3, 1200)).astype(np.float32),
            ),
            "time": ("record", start),
            "available_time": ("record", start + np.timedelta64(5, "m")),
            "station": ("record", np.array([f"QC.S{k % 3}" for k in range(n)], dtype=object)),
            "latitude": ("record", 35.2 + 0.2 * (np.arange(n) % 3)),
            "longitude": ("record", -117.5 + 0.1 * (np.arange(n) % 3)),
            "elevation_m": ("record", np.zeros(n)),
            "quality_flag": (("record", "channel"), np.zeros((n, 3), np.uint8)),
        },
        coords={"channel": np.array(["Z", "N", "E"], dtype=object)},
        attrs={"sampling_rate_hz": 20.0},
    )


def make_elevation() -> xr.Dataset:
    lat, lon = np.arange(34.95, 36.1, 0.05), np.arange(-118.05, -116.9, 0.05)
    height = 1000 + 100 * (lat[:, None] - 35.5) + 0 * lon[None, :]
    return xr.Dataset(
        {"elevation": (("lat", "lon"), height.astype(np.float32), {"units": "m"})},
        coords={"lat": lat, "lon": lon},
    )


@pytest.fixture(scope="session")
def region(make_region: Callable[..., Region]) -> Region:
    split = ["2015-03-01", "2017-01-01", "2017-03-01", "2017-06-01", "2017-08-01", "2018-01-01"]
    sources = [
        SourceConfig(name="comcat", modality="catalog", provider="comcat", path="c"),
        SourceConfig(name="scedc", modality="catalog", provider="scedc", path="s"),
        SourceConfig(name="scedc_m3", modality="catalog", provider="scedc_m3", path="m"),
        SourceConfig(name="daily", modality="gnss", provider="tenv3", path="g", latency_days=2),
        SourceConfig(name="asc", modality="insar", provider="los_geotiff", path="i", latency_days=3),
        SourceConfig(name="era5", modality="weather", provider="era5", path="w", latency_days=1),
        SourceConfig(name="stations", modality="waveform", provider="miniseed", path="r"),
        SourceConfig(name="elevation", modality="static", provider="raster", path="e"),
    ]
    return make_region(
        split,
        name="tiny",
        resolution_deg=0.2,
        start=date(2015, 1, 1),
        catalog_start=date(2014, 1, 1),
        etas_start=date(2015, 1, 1),
        sources=sources,
    )


@pytest.fixture(scope="session")
def observations(make_catalog: Callable[..., xr.Dataset], region: Region) -> Observations:
    rng = np.random.default_rng(1)
    scedc = random_catalog(make_catalog, region, rng, 200)
    m3 = scedc.assign(event_id=("event", np.array([f"m{k}" for k in range(200)], dtype=object)))
    return {
        "catalog/scedc": scedc,
        "catalog/scedc_m3": m3,
        "gnss/daily": make_gnss(region, rng),
        "insar/asc": make_insar(region, rng),
        "weather/era5": make_weather(region, rng),
        "waveform/stations": make_records(region, rng),
        "static/elevation": make_elevation(),
    }


@pytest.fixture(scope="session")
def read(observations: Observations) -> Callable[[str], xr.Dataset | None]:
    return observations.get
