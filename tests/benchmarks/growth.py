"""What a day's ingest and cube update cost after 1 year and after 40 years of history; targets: ratios of at most 1.2.

The same synthetic observatory (16 GNSS stations with rapid positions a day later and final ones two weeks later, 20
events a day of which 12 are reviewed the day after, weather of 9 nodes every 6 hours, an interferogram every 8 days) is
written once as history, and then fed by the day, the two histories in turn, so that a busy machine is busy for both.
The catalog comes as the files of an event service, a month each and then a day, through the stage that an operator
runs: it finds the files that are new and reads them with those that hold versions of their events. Bytes are those of
the files created below the two repositories. The last chunk of an array is written anew while it fills, so both
histories end at the same place of their last chunks: the long one is longer by a whole number of the longest chunks
(14,336 days, 40.25 years in all).
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.cubes.build import build_groups
from tasks.cubes.store import CubeStore, ObservationStore
from tasks.cubes.update import reader, update_cube
from tasks.ingest import ingest_source
from tasks.regions import Bounds, Region, SourceConfig, Split
from tasks.workspace import Workspace

DAY: Final = np.timedelta64(86_400_000_000_000, "ns")
END: Final = date(2024, 1, 1)
DAYS: Final = 15
HISTORIES: Final = {"1y": 365, "40y": 365 + 14 * 1024}
STATIONS: Final = 16
EVENTS: Final = 20
REVIEWED: Final = 12
FINAL_AFTER: Final = timedelta(days=14)
TRAINING_DAYS: Final = 500
SEED: Final = 3
CATALOG: Final = "catalog/a"


class Day(NamedTuple):
    """What one day cost."""

    seconds: dict[str, float]
    ingest_bytes: float
    cube_bytes: float


class Cost(NamedTuple):
    """Medians over the days measured."""

    steps: dict[str, float]
    ingest_bytes: float
    cube_bytes: float

    @property
    def ingest_seconds(self) -> float:
        """Seconds of a day's ingest."""
        return sum(s for step, s in self.steps.items() if step not in CUBE_STEPS)

    @property
    def cube_seconds(self) -> float:
        """Seconds of a day's cube update."""
        return sum(s for step, s in self.steps.items() if step in CUBE_STEPS)

    @property
    def seconds(self) -> float:
        """Seconds of a day in all."""
        return sum(self.steps.values())

    @property
    def size(self) -> float:
        """Bytes of a day in all."""
        return self.ingest_bytes + self.cube_bytes


CUBE_STEPS: Final = ("find what changed", "update the cube")


def measure(settings: Settings) -> Measured:
    """Measure both histories in one run."""
    costs = measure_histories(HISTORIES, days=DAYS)
    one, forty = costs["1y"], costs["40y"]
    figures = {
        "update_seconds_ratio": forty.seconds / one.seconds,
        "update_bytes_ratio": forty.size / one.size,
    }
    for history, cost in costs.items():
        figures |= {
            f"ingest_seconds.{history}": cost.ingest_seconds,
            f"cube_seconds.{history}": cost.cube_seconds,
            f"ingest_bytes.{history}": cost.ingest_bytes,
            f"cube_bytes.{history}": cost.cube_bytes,
        }
    rows = [f"| {history} | {cost.ingest_seconds:.2f} s, {cost.ingest_bytes / 1e3:.0f} kB "
            f"| {cost.cube_seconds:.2f} s, {cost.cube_bytes / 1e3:.0f} kB |"
            for history, cost in costs.items()]  # fmt: skip
    table = "\n".join(["| history | a day's ingest | a day's cube update |", "|---|---|---|", *rows])
    steps = [
        f"| {step} | {one.steps[step] * 1e3:.0f} | {forty.steps[step] * 1e3:.0f} "
        f"| {forty.steps[step] / one.steps[step]:.2f} |"
        for step in one.steps
    ]
    where = "\n".join(["| ms of a day | 1y | 40y | ratio |", "|---|---|---|---|", *steps])
    return Measured(figures, n=DAYS, seed=SEED, tables={"cost": table, "steps": where})


def measure_histories(lengths: dict[str, int], *, days: int) -> dict[str, Cost]:
    """Return by name what a day costs after so many days of history: medians over `days` days, after one to warm up."""
    with ExitStack() as stack:
        observatories = {name: stack.enter_context(observatory(length)) for name, length in lengths.items()}
        found: dict[str, list[Day]] = {name: [] for name in lengths}
        for today in (END + timedelta(days=k) for k in range(days + 1)):
            for name, one in observatories.items():
                found[name].append(one.live_through(today))
    return {name: _median(measured[1:]) for name, measured in found.items()}


def _median(days: list[Day]) -> Cost:
    return Cost(
        {step: median(day.seconds[step] for day in days) for step in days[0].seconds},
        median(day.ingest_bytes for day in days),
        median(day.cube_bytes for day in days),
    )


class Observatory:
    """A store and its cube in a folder, with all that arrived from `start` until `END`."""

    def __init__(self, root: Path, start: date) -> None:
        self._root, self._start = root, start
        region = _region(start, END)
        self._workspace = Workspace(home=root, conf=root, tracking_uri="")
        self._store = ObservationStore(self._workspace.observations, region.name)
        self._cubes = CubeStore(self._workspace.cubes, region.name)
        for month, events in _catalog(start, END):
            _land(root, month, events)
        self._read_catalog()
        for group, make in MAKERS.items():
            for answer in make(start, END, start):
                self._store.write(group, answer)
        self._cubes.write(build_groups(region, reader(self._store)), "history")

    def live_through(self, today: date) -> Day:
        """Take in what arrives of one day, bring the cube up to date, and tell what it cost."""
        next_day = today + timedelta(days=1)
        answers = {group: make(today, next_day, self._start) for group, make in MAKERS.items()}
        for day, events in _catalog(today, next_day):
            _land(self._root, day, events)
        before, sizes = str(self._store.snapshot()), self._sizes()
        seconds: dict[str, float] = {}
        with _timed(seconds, "read and ingest catalog"):
            self._read_catalog()
        for group, arrived in answers.items():
            with _timed(seconds, f"ingest {group.partition('/')[0]}"):
                for answer in arrived:
                    self._store.write(group, answer)
        with _timed(seconds, CUBE_STEPS[0]):
            changes = self._store.changes(before)
        with _timed(seconds, CUBE_STEPS[1]):
            update_cube(_region(self._start, next_day), reader(self._store), self._cubes, changes)
        grown = [after - size for after, size in zip(self._sizes(), sizes, strict=True)]
        return Day(seconds, *grown)

    def _sizes(self) -> list[float]:
        return [
            float(sum(p.stat().st_size for p in (self._root / name).rglob("*") if p.is_file()))
            for name in ("observations", "cubes")
        ]

    def _read_catalog(self) -> None:
        # of a region that goes on: another period would be another source
        region = _region(self._start, END + timedelta(days=3650))
        report = ingest_source.fn(self._workspace, region, CATALOG, str(self._root), "")
        if report.status != "stored":
            raise RuntimeError(f"expected the catalog's new files to be stored, found {report}")


@contextmanager
def observatory(length: int) -> Iterator[Observatory]:
    """Give an observatory with `length` days of history after its training period."""
    with tempfile.TemporaryDirectory(prefix="quakecube-bench-") as home:
        yield Observatory(Path(home), END - timedelta(days=TRAINING_DAYS + length))


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - started


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
            SourceConfig(
                name="a", modality="catalog", provider="comcat", path="c", options={"availability": "versions"}
            ),
            SourceConfig(name="b", modality="gnss", provider="tenv3", path="g"),
            SourceConfig(name="c", modality="weather", provider="era5", path="w"),
            SourceConfig(name="d", modality="insar", provider="los_geotiff", path="i"),
        ],
    )  # fmt: skip


def _catalog(start: date, end: date) -> Iterator[tuple[str, pd.DataFrame]]:
    """What is said of the days before `end`: their events, and of those of the day before the reviewed versions.

    By the names of the files that hold it: months, or one day.
    """
    first_said, day_before = _events(start, end, 0), timedelta(days=1)
    if end - start == day_before:
        yield f"{start}", pd.concat([first_said, _events(start - day_before, end - day_before, REVIEWED)])
        return
    # a month that is asked for later has of each event the latest version
    latest = pd.concat([first_said, _events(start, end - day_before, REVIEWED)])
    latest = latest.drop_duplicates("id", keep="last")
    yield from ((f"{month}", rows) for month, rows in latest.groupby(latest["time"].dt.to_period("M")))


def _land(root: Path, name: str, events: pd.DataFrame) -> None:
    (root / "c").mkdir(exist_ok=True)
    events.to_csv(
        root / "c" / f"{name}.csv", index=False, float_format="%.4f", date_format="%Y-%m-%dT%H:%M:%S.%fZ"
    )


def _events(start: date, end: date, reviewed: int) -> pd.DataFrame:
    """The events of the days from `start` to `end`, or the reviewed versions of so many a day, as ComCat lists them."""
    days = np.arange(np.datetime64(start, "D"), np.datetime64(end, "D"))
    draws = np.stack(
        [np.random.default_rng([SEED, int(d)]).random((EVENTS, 5)) for d in days.astype(np.int64)]
    )
    if reviewed:
        draws = draws[:, :reviewed]
    midnight = np.repeat(days.astype("datetime64[ns]"), draws.shape[1])
    draws = draws.reshape(-1, 5)
    origin = midnight + (draws[:, 0] * 86_400e9).astype("timedelta64[ns]")
    known = midnight + DAY + np.timedelta64(12, "h") if reviewed else origin + np.timedelta64(5, "m")
    return pd.DataFrame(
        {
            "time": origin + np.timedelta64(100 if reviewed else 0, "ms"),
            "latitude": 35 + draws[:, 1], "longitude": -118 + draws[:, 2], "depth": draws[:, 3] * 10,
            "mag": 1 - 0.4 * np.log(1 - draws[:, 4]) + (0.1 if reviewed else 0.0), "magType": "ml",
            "id": [f"ci{int(t) // 1_000_000}" for t in origin.astype(np.int64)], "updated": known,
            "type": "earthquake", "magError": "",
        }
    )  # fmt: skip


def _gnss(start: date, end: date, first: date) -> Iterator[xr.Dataset]:
    """The rapid positions of the days, and the final ones of the days two weeks before."""
    yield _positions(start, end, is_final=False)
    final_from = start if start == first else start - FINAL_AFTER
    if end - FINAL_AFTER > final_from:
        yield _positions(final_from, end - FINAL_AFTER, is_final=True)


def _positions(start: date, end: date, *, is_final: bool) -> xr.Dataset:
    rng = np.random.default_rng([SEED, start.toordinal(), is_final])
    days = np.arange(np.datetime64(start, "ns"), np.datetime64(end, "ns"), DAY)
    shape = (days.size, STATIONS)
    side = np.arange(STATIONS)
    data = {n: (("time", "station"), rng.normal(0, 0.002, shape)) for n in
            ("east", "north", "up", "sigma_east", "sigma_north", "sigma_up")}  # fmt: skip
    delay = DAY + (np.timedelta64(FINAL_AFTER, "ns") if is_final else np.timedelta64(0, "ns"))
    known = np.repeat((days + delay)[:, None], STATIONS, axis=1)
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


def _weather(start: date, end: date, first: date) -> Iterator[xr.Dataset]:
    rng = np.random.default_rng([SEED, start.toordinal()])
    step = DAY // 4
    time_ = np.arange(np.datetime64(start, "ns"), np.datetime64(end, "ns"), step) + step
    shape = (time_.size, 3, 3)
    yield xr.Dataset(
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


def _insar(start: date, end: date, first: date) -> Iterator[xr.Dataset]:
    rng = np.random.default_rng([SEED, start.toordinal()])
    days = np.arange(np.datetime64(start, "ns"), np.datetime64(end, "ns"), DAY)
    passes = days[(days.astype("datetime64[D]").astype(np.int64) % 8) == 0] + np.timedelta64(14, "h")
    lat, lon = 35.0 + 0.05 * np.arange(20) + 0.025, -118.0 + 0.05 * np.arange(20) + 0.025
    shape = (passes.size, lat.size, lon.size)
    look = {"look_east": -0.6, "look_north": -0.1, "look_up": np.sqrt(1 - 0.37)}
    yield xr.Dataset(
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


# The answers that arrive in a period, given also when the history began.
Maker = Callable[[date, date, date], Iterator[xr.Dataset]]
MAKERS: Final[dict[str, Maker]] = {
    "gnss/b": _gnss, "weather/c": _weather, "insar/d": _insar,
}  # fmt: skip
