"""What a day's ingest and cube update cost after 1 year and after 40 years of history; targets: ratios of at most 1.2.

The same synthetic observatory (16 GNSS stations, 2 events a day, weather of 9 nodes every 6 hours, an interferogram
every 8 days) is written once as history, and then fed by the day. Bytes are those of the files created below the two
repositories. The last chunk of an array is written anew while it fills, so both histories end at the same place of
their last chunks: the long one is longer by a whole number of the longest chunks (14,336 days, 40.25 years in all).
"""

import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.cubes.build import build_groups
from tasks.cubes.store import CubeStore, ObservationStore
from tasks.cubes.update import reader, update_cube
from tasks.regions import Bounds, Region, SourceConfig, Split

DAY: Final = np.timedelta64(86_400_000_000_000, "ns")
END: Final = date(2024, 1, 1)
DAYS: Final = 9
HISTORIES: Final = {"1y": 365, "40y": 365 + 14 * 1024}
STATIONS: Final = 16
TRAINING_DAYS: Final = 500
SEED: Final = 3


class Cost(NamedTuple):
    """Medians over the days measured."""

    ingest_seconds: float
    cube_seconds: float
    ingest_bytes: float
    cube_bytes: float

    @property
    def seconds(self) -> float:
        """Seconds of a day in all."""
        return self.ingest_seconds + self.cube_seconds

    @property
    def size(self) -> float:
        """Bytes of a day in all."""
        return self.ingest_bytes + self.cube_bytes


def measure(settings: Settings) -> Measured:
    """Measure both histories in one run."""
    costs = {name: measure_history(length, days=DAYS) for name, length in HISTORIES.items()}
    one, forty = costs["1y"], costs["40y"]
    figures = {
        "update_seconds_ratio": forty.seconds / one.seconds,
        "update_bytes_ratio": forty.size / one.size,
    }
    for history, cost in costs.items():
        figures |= {f"{name}.{history}": value for name, value in cost._asdict().items()}
    rows = [f"| {history} | {cost.ingest_seconds:.2f} s, {cost.ingest_bytes / 1e3:.0f} kB "
            f"| {cost.cube_seconds:.2f} s, {cost.cube_bytes / 1e3:.0f} kB |"
            for history, cost in costs.items()]  # fmt: skip
    table = "\n".join(["| history | a day's ingest | a day's cube update |", "|---|---|---|", *rows])
    return Measured(figures, n=DAYS, seed=SEED, tables={"cost": table})


def measure_history(length: int, *, days: int) -> Cost:
    """Return what a day costs after `length` days of history: medians over `days` days."""
    # The training period comes on top, so that a year of history is a year after it.
    start = END - timedelta(days=TRAINING_DAYS + length)
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory(prefix="quakecube-bench-") as home:
        root = Path(home)
        region = _region(start, END)
        store = ObservationStore(root / "o", region.name)
        cubes = CubeStore(root / "c", region.name)
        for group, make in MAKERS.items():
            store.write(group, make(start, END, rng))
        cubes.write(build_groups(region, store.read), "history")
        found: list[tuple[float, float, float, float]] = []
        for today in (END + timedelta(days=k) for k in range(days)):
            next_day = today + timedelta(days=1)
            parts = {group: make(today, next_day, rng) for group, make in MAKERS.items()}
            found.append(_one_day(_region(start, next_day), store, cubes, parts, root))
        return Cost(*(median(column) for column in zip(*found, strict=True)))


def _one_day(
    region: Region, store: ObservationStore, cubes: CubeStore, parts: dict[str, xr.Dataset], root: Path
) -> tuple[float, float, float, float]:
    sizes = [_size(root / name) for name in ("o", "c")]
    before = str(store.snapshot())
    started = time.perf_counter()
    for group, part in parts.items():
        store.write(group, part)
    ingested = time.perf_counter()
    update_cube(region, reader(store), cubes, store.changes(before))
    ended = time.perf_counter()
    grown = [_size(root / name) - size for name, size in zip(("o", "c"), sizes, strict=True)]
    return ingested - started, ended - ingested, grown[0], grown[1]


def _size(folder: Path) -> float:
    return float(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()))


def _region(start: date, end: date) -> Region:
    trained = start + timedelta(days=TRAINING_DAYS - 30)
    return Region(
        name="growing",
        title="Growing",
        bounds=Bounds(south=35.0, north=36.0, west=-118.0, east=-117.0),
        resolution_deg=0.1,
        start=start,
        end=end,
        catalog_start=start,
        etas_start=start,
        magnitude_completeness=1.0,
        split=Split(
            train_start=start, train_end=trained, validation_start=trained, validation_end=trained,
            test_start=trained, test_end=trained,
        ),
        sources=[
            SourceConfig(name="a", modality="catalog", provider="comcat", path="c"),
            SourceConfig(name="b", modality="gnss", provider="tenv3", path="g"),
            SourceConfig(name="c", modality="weather", provider="era5", path="w"),
            SourceConfig(name="d", modality="insar", provider="los_geotiff", path="i"),
        ],
    )  # fmt: skip


def _catalog(start: date, end: date, rng: np.random.Generator) -> xr.Dataset:
    days = (end - start).days
    n = 2 * days
    origin = np.sort(np.datetime64(start, "ns") + (rng.random(n) * days * 86_400e9).astype("timedelta64[ns]"))
    event = {
        "event_id": [f"ci{int(t) // 1_000_000}" for t in origin.astype(np.int64)],
        "latitude": 35 + rng.random(n), "longitude": -118 + rng.random(n), "depth_km": rng.random(n) * 10,
        "magnitude": 1 + rng.exponential(0.4, n), "magnitude_error": np.full(n, np.nan),
        "magnitude_type": ["ml"] * n, "event_type": ["earthquake"] * n,
    }  # fmt: skip
    data = {k: ("event", np.array(v, dtype=object) if isinstance(v, list) else v) for k, v in event.items()}
    return xr.Dataset(
        data
        | {
            "origin_time": ("event", origin),
            "available_time": ("event", origin + np.timedelta64(5, "m")),
            "quality_flag": ("event", np.zeros(n, np.uint8)),
        }
    )


def _gnss(start: date, end: date, rng: np.random.Generator) -> xr.Dataset:
    days = np.arange(np.datetime64(start, "ns"), np.datetime64(end, "ns"), DAY)
    shape = (days.size, STATIONS)
    side = np.arange(STATIONS)
    data = {n: (("time", "station"), rng.normal(0, 0.002, shape)) for n in
            ("east", "north", "up", "sigma_east", "sigma_north", "sigma_up")}  # fmt: skip
    known = np.repeat((days + DAY)[:, None], STATIONS, axis=1)
    return xr.Dataset(
        data
        | {
            "available_time": (("time", "station"), known),
            "quality_flag": (("time", "station"), np.zeros(shape, np.uint8)),
        },
        coords={
            "time": days + DAY // 2,
            "station": np.array([f"S{k:03d}" for k in side], dtype=object),
            "latitude": ("station", 35.0 + 0.3 * (side // 4)),
            "longitude": ("station", -118.0 + 0.3 * (side % 4)),
            "elevation_m": ("station", np.zeros(STATIONS)),
        },
    )


def _weather(start: date, end: date, rng: np.random.Generator) -> xr.Dataset:
    step = DAY // 4
    time_ = np.arange(np.datetime64(start, "ns"), np.datetime64(end, "ns"), step) + step
    shape = (time_.size, 3, 3)
    return xr.Dataset(
        {
            "air_temperature": (("time", "lat", "lon"), rng.normal(290, 5, shape)),
            "precipitation_amount": (("time", "lat", "lon"), rng.exponential(1.0, shape)),
            "available_time": ("time", time_ + DAY),
        },
        coords={
            "time": time_,
            "lat": np.array([35.0, 35.5, 36.0]),
            "lon": np.array([-118.0, -117.5, -117.0]),
        },
    )


def _insar(start: date, end: date, rng: np.random.Generator) -> xr.Dataset:
    days = np.arange(np.datetime64(start, "ns"), np.datetime64(end, "ns"), DAY)
    passes = days[(days.astype("datetime64[D]").astype(np.int64) % 8) == 0] + np.timedelta64(14, "h")
    lat, lon = 35.0 + 0.05 * np.arange(20) + 0.025, -118.0 + 0.05 * np.arange(20) + 0.025
    shape = (passes.size, lat.size, lon.size)
    look = {"look_east": -0.6, "look_north": -0.1, "look_up": np.sqrt(1 - 0.37)}
    return xr.Dataset(
        {
            "los_displacement": (("time", "lat", "lon"), rng.normal(0, 0.005, shape).astype(np.float32)),
            "coherence": (("time", "lat", "lon"), rng.uniform(0.4, 1, shape).astype(np.float32)),
            "time_start": ("time", passes - 12 * DAY),
            "available_time": ("time", passes + DAY),
            "quality_flag": (("time", "lat", "lon"), np.zeros(shape, np.uint8)),
        }
        | {name: (("lat", "lon"), np.full(shape[1:], value)) for name, value in look.items()},
        coords={"time": passes, "lat": lat, "lon": lon},
        attrs={"track": "T1", "orbit": "ascending", "crs": "EPSG:4326"},
    )


Maker = Callable[[date, date, np.random.Generator], xr.Dataset]
MAKERS: Final[dict[str, Maker]] = {
    "catalog/a": _catalog, "gnss/b": _gnss, "weather/c": _weather, "insar/d": _insar,
}  # fmt: skip
