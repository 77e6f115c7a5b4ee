"""A cube of 40 years and 200 x 200 cells, built by two worker processes: their memory, the time, the graph."""

import logging
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import xarray as xr
from distributed import Client, LocalCluster

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.cubes.build import lazy_groups
from tasks.cubes.stream import graph_tasks, stream_cube
from tasks.regions import Bounds, Region, SourceConfig, Split

SEED = 11
DAY = np.timedelta64(1, "D").astype("timedelta64[ns]")
WEATHER = (
    "air_temperature", "surface_air_pressure", "precipitation_amount", "eastward_wind", "northward_wind",
    "volumetric_soil_moisture", "zenith_delay",
)  # fmt: skip
# Dask asks the C library to give memory back at once, which makes it map and unmap every array of 128 KiB or more:
# with this limit only the large ones, and a third of the time is saved.
_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": 65_536, "MALLOC_MMAP_THRESHOLD_": 1 << 24,
    "OMP_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1, "MKL_NUM_THREADS": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Size of the region."""

    years: int = 40
    cells: int = 200
    stations: int = 25
    events: int = 20_000
    pairs: int = 240

    @property
    def region(self) -> Region:
        """A region of 2 x 2 degrees, cut into `cells` x `cells`."""
        start = date(2024 - self.years, 1, 1)
        end, train_end = date(2024, 1, 1), date(2022, 1, 1)
        return Region(
            name="grown",
            title="Grown",
            bounds=Bounds(south=35.0, north=37.0, west=-119.0, east=-117.0),
            resolution_deg=2.0 / self.cells,
            start=start,
            end=end,
            catalog_start=start,
            etas_start=start,
            magnitude_completeness=3.0,
            split=Split(
                train_start=start, train_end=train_end, validation_start=date(2022, 3, 1),
                validation_end=date(2022, 10, 1), test_start=date(2022, 12, 1), test_end=end,
            ),
            sources=[
                SourceConfig(name="comcat", modality="catalog", provider="comcat", path="c"),
                SourceConfig(name="daily", modality="gnss", provider="tenv3", path="g", latency_days=2),
                SourceConfig(name="asc", modality="insar", provider="los_geotiff", path="i", latency_days=3),
                SourceConfig(name="era5", modality="weather", provider="era5", path="w", latency_days=1),
            ],
        )  # fmt: skip


def measure(settings: Settings) -> Measured:
    """Build the large cube in an empty folder."""
    return build(Scale())


def build(scale: Scale) -> Measured:
    """Build a cube of `scale` with two worker processes of one thread; return figures."""
    region = scale.region
    observations = {
        "catalog/comcat": catalog(region, scale),
        "gnss/daily": gnss(region, scale),
        "insar/asc": insar(region, scale),
        "weather/era5": weather(region),
    }
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": _ENVIRONMENT}),
        tempfile.TemporaryDirectory(prefix="quakecube-build-") as folder,
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, memory_limit="2GiB",
            dashboard_address="127.0.0.1:0", worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        started = time.perf_counter()
        groups = lazy_groups(region, observations.get)
        prepared = time.perf_counter()
        tasks = graph_tasks(groups)
        stream_cube(folder, region.store_name, groups, "benchmark")
        done = time.perf_counter()
        peaks = client.run(peak_mib)
        stored = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
    values = sum(a.nbytes for g in groups.values() for a in g.data_vars.values())
    gridded = [n for g in groups.values() for n, a in g.data_vars.items() if {"lat", "lon"} <= set(a.dims)]
    figures = {
        "peak_worker_mib": max(peaks.values()),
        "peak_client_mib": peak_mib(),
        "seconds": done - started,
        "seconds_before_the_graph": prepared - started,
        "graph_tasks": float(tasks),
        "gridded_variables": float(len(gridded)),
        "gib_of_values": values / 2**30,
        "gib_stored": stored / 2**30,
    }
    return Measured(figures, 1, SEED, {"build": table(figures, scale)})


def peak_mib() -> float:
    """Return the most memory that this process ever held, MiB (VmHWM of proc(5))."""
    lines = Path(f"/proc/{os.getpid()}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def catalog(region: Region, scale: Scale) -> xr.Dataset:
    """Return events uniform in time and space with Gutenberg-Richter magnitudes."""
    rng = np.random.default_rng(SEED)
    n = scale.events
    start, end = (t.astype("datetime64[s]").astype(np.int64) for t in region.window)
    origin = np.sort(rng.integers(start, end, n)).astype("datetime64[s]").astype("datetime64[ns]")
    text = {
        "event_id": [f"e{k}" for k in range(n)],
        "magnitude_type": ["ml"] * n,
        "event_type": ["earthquake"] * n,
    }
    numbers = {
        "latitude": rng.uniform(35, 37, n), "longitude": rng.uniform(-119, -117, n), "depth_km": rng.uniform(1, 15, n),
        "magnitude": 3.0 + rng.exponential(0.43, n), "magnitude_error": np.full(n, np.nan),
    }  # fmt: skip
    return xr.Dataset(
        {name: ("event", np.array(values, dtype=object)) for name, values in text.items()}
        | {name: ("event", values) for name, values in numbers.items()}
        | {
            "origin_time": ("event", origin),
            "available_time": ("event", origin + np.timedelta64(5, "m")),
            "quality_flag": ("event", np.zeros(n, np.uint8)),
        },
        attrs={"modality": "catalog"},
    )


def gnss(region: Region, scale: Scale) -> xr.Dataset:
    """Return daily positions: a trend, a season and millimetres of noise."""
    rng = np.random.default_rng(SEED)
    days = np.arange(region.window.start, region.window.end, DAY)
    years, shape = np.arange(days.size)[:, None] / 365.25, (days.size, scale.stations)
    data: dict[str, object] = {}
    for name, trend in {"east": 0.01, "north": -0.02, "up": 0.001}.items():
        series = trend * years + 0.003 * np.sin(2 * np.pi * years) + rng.normal(0, 0.002, shape)
        data[name], data[f"sigma_{name}"] = (
            (("time", "station"), series),
            (("time", "station"), np.full(shape, 0.002)),
        )
    known = np.repeat((days + 3 * DAY)[:, None], scale.stations, axis=1)
    data |= {
        "available_time": (("time", "station"), known),
        "quality_flag": (("time", "station"), np.zeros(shape, np.uint8)),
    }
    side = int(np.sqrt(scale.stations))
    k = np.arange(scale.stations)
    return xr.Dataset(
        data,
        coords={
            "time": days + np.timedelta64(12, "h"),
            "station": np.array([f"S{i:03d}" for i in k], dtype=object),
            "latitude": ("station", 35.0 + 2.0 * (k // side) / side),
            "longitude": ("station", -119.0 + 2.0 * (k % side) / side),
            "elevation_m": ("station", np.zeros(scale.stations)),
        },
    )


def insar(region: Region, scale: Scale) -> xr.Dataset:
    """Return interferograms of 12 days on pixels of half a cell, made by Dask as they are read."""
    step = region.resolution_deg / 2
    lat, lon = np.arange(35 + step / 2, 37, step), np.arange(-119 + step / 2, -117, step)
    start = (
        region.window.end
        - (scale.pairs - np.arange(scale.pairs)) * 6 * DAY
        - 20 * DAY
        + np.timedelta64(14, "h")
    )
    shape, random = (scale.pairs, lat.size, lon.size), da.random.default_rng(SEED)
    chunks = (32, lat.size, lon.size)
    look = {"look_east": -0.6, "look_north": -0.1, "look_up": float(np.sqrt(1 - 0.37))}
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {
            "los_displacement": (dims, random.normal(0, 0.005, shape, chunks=chunks).astype(np.float32)),
            "coherence": (dims, random.uniform(0.2, 1, shape, chunks=chunks).astype(np.float32)),
            "quality_flag": (dims, da.zeros(shape, chunks=chunks, dtype=np.uint8)),
            "time_start": ("time", start),
            "available_time": ("time", start + 15 * DAY),
        }
        | {name: (("lat", "lon"), np.full(shape[1:], value)) for name, value in look.items()},
        coords={"time": start + 12 * DAY, "lat": lat, "lon": lon},
        attrs={"track": "T1", "orbit": "ascending", "crs": "EPSG:4326"},
    )


def weather(region: Region) -> xr.Dataset:
    """Return daily fields at a quarter of a degree, as a reanalysis has them, made by Dask as they are read."""
    days = np.arange(region.window.start, region.window.end, DAY) + DAY
    lat, lon = np.arange(35.0, 37.01, 0.25), np.arange(-119.0, -116.99, 0.25)
    shape, random = (days.size, lat.size, lon.size), da.random.default_rng(SEED)
    season = da.cos(da.arange(days.size, chunks=2048) / 58.1)[:, None, None]
    data = {
        name: (("time", "lat", "lon"), season + random.exponential(1.0, shape, chunks=(2048, *shape[1:])))
        for name in WEATHER
    }
    return xr.Dataset(
        {**data, "available_time": ("time", days + DAY)}, coords={"time": days, "lat": lat, "lon": lon}
    )


def table(figures: dict[str, float], scale: Scale) -> str:
    """Return the README's table."""
    what = f"{scale.years} years x {scale.cells} x {scale.cells} cells x {figures['gridded_variables']:.0f} variables"
    rows = {
        "most memory of a worker": f"{figures['peak_worker_mib']:.0f} MiB",
        "most memory of the process that asks": f"{figures['peak_client_mib']:.0f} MiB",
        "time, two workers of one thread": f"{figures['seconds']:.0f} s",
        "tasks in the graph": f"{figures['graph_tasks']:.0f}",
        "values; in the store": f"{figures['gib_of_values']:.1f}; {figures['gib_stored']:.1f} GiB",
    }
    return "\n".join(
        [f"| {what} | |", "|---|---:|", *(f"| {key} | {value} |" for key, value in rows.items())]
    )
