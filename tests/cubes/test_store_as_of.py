"""What was known at any moment, told by the store, against a replay of the log of arrivals by brute force."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cubes import events, layout, zones
from tasks.cubes.store import ObservationStore

START = np.datetime64("2020-01-01", "ns")
DAY, HOUR = (np.timedelta64(n, "s").astype("timedelta64[ns]") for n in (86_400, 3_600))
MOMENTS = (88, 95, 104, 113, 122, 131)
Cell = tuple[int, int]
Log = dict[Cell, dict[int, float]]


class Version(NamedTuple):
    """One version of one value: its day and station, the hour at which it became known, and what it says."""

    day: int
    station: int
    hour: int
    value: float


class EventVersion(NamedTuple):
    """One version of an event: its number, the hour at which it became known, its magnitude and type."""

    event: int
    hour: int
    magnitude: int
    kind: str


withdrawn = st.just(float("nan"))
versions = st.builds(
    Version, st.integers(0, 9), st.integers(0, 2), st.integers(90, 130), st.integers(0, 2) | withdrawn
)
answers = st.lists(versions, min_size=1, max_size=5, unique_by=lambda v: (v.day, v.station))
logs = st.lists(answers, min_size=2, max_size=6)
event_versions = st.builds(
    EventVersion,
    st.integers(0, 5),
    st.integers(90, 130),
    st.integers(1, 5),
    st.sampled_from(["earthquake", "earthquake", "quarry_blast", "other"]),
)
event_logs = st.lists(
    st.lists(event_versions, min_size=1, max_size=4, unique_by=lambda v: (v.event, v.hour)),
    min_size=2,
    max_size=6,
)


@pytest.fixture(scope="module", autouse=True)
def _short_chunks() -> Iterator[None]:
    """Let zones and chunks hold a few rows, so that every edge is met."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (layout, zones, events):
            patch.setattr(module, "COLUMN_ROWS", 4)
        patch.setattr(layout, "OBSERVATION_ROWS", 2)
        patch.setattr(events, "MARK_ROWS", 8)
        yield


def at(hour: int) -> np.datetime64:
    moment: np.datetime64 = START + hour * HOUR
    return moment


def positions(answer: list[Version]) -> xr.Dataset:
    days, names = sorted({v.day for v in answer}), sorted({v.station for v in answer})
    shape = (len(days), len(names))
    east, known = np.full(shape, np.nan), np.full(shape, np.datetime64("NaT", "ns"))
    for v in answer:
        cell = days.index(v.day), names.index(v.station)
        east[cell], known[cell] = v.value, at(v.hour)
    return xr.Dataset(
        {
            "east": (("time", "station"), east),
            "available_time": (("time", "station"), known),
            "quality_flag": (("time", "station"), np.isnan(east).astype(np.uint8)),
        },
        coords={
            "time": START + np.array(days) * DAY,
            "station": np.array([f"S{k}" for k in names], dtype=object),
            "latitude": ("station", np.array(names, dtype=float)),
        },
    )


def scenes(answer: list[Version]) -> xr.Dataset:
    # A day has one scene: of the stations of an answer the last one speaks.
    rows = sorted({v.day: v for v in answer}.values())
    values = np.array([v.value for v in rows])
    return xr.Dataset(
        {
            "los_displacement": (
                ("time", "lat", "lon"),
                np.broadcast_to(values[:, None, None], (len(rows), 2, 3)),
            ),
            "time_start": ("time", START + np.array([v.day for v in rows]) * DAY - DAY),
            "available_time": ("time", np.array([at(v.hour) for v in rows])),
            "look_up": (("lat", "lon"), np.ones((2, 3))),
        },
        coords={
            "time": START + np.array([v.day for v in rows]) * DAY,
            "lat": [35.0, 36.0],
            "lon": [1.0, 2.0, 3.0],
        },
    )


def records(answer: list[Version]) -> xr.Dataset:
    values = np.array([v.value for v in answer], dtype=np.float32)
    shape = (len(answer), 3, 4)
    return xr.Dataset(
        {
            "velocity": (("record", "channel", "sample"), np.broadcast_to(values[:, None, None], shape)),
            "time": ("record", START + np.array([v.day for v in answer]) * DAY),
            "available_time": ("record", np.array([at(v.hour) for v in answer])),
            "station": ("record", np.array([f"QC.S{v.station}" for v in answer], dtype=object)),
            "quality_flag": (("record", "channel"), np.zeros(shape[:2], np.uint8)),
        },
        coords={"channel": np.array(["Z", "N", "E"], dtype=object)},
    )


def catalog(answer: list[EventVersion]) -> xr.Dataset:
    return xr.Dataset(
        {
            "event_id": ("event", np.array([f"e{v.event}" for v in answer], dtype=object)),
            "origin_time": ("event", START + np.array([v.event for v in answer]) * HOUR),
            "available_time": ("event", np.array([at(v.hour) for v in answer])),
            "magnitude": ("event", np.array([float(v.magnitude) for v in answer])),
            "event_type": ("event", np.array([v.kind for v in answer], dtype=object)),
        }
    )


def cells(found: xr.Dataset | None, name: str) -> dict[Cell, tuple[float, np.datetime64]]:
    """Each value of which something is told, and when that became known."""
    assert found is not None
    out: dict[Cell, tuple[float, np.datetime64]] = {}
    known, values = found["available_time"].values, found[name].values
    for index in np.argwhere(~np.isnat(known)):
        day = int((found["time"].values[index[0]] - START) / DAY)
        column = index[1] if len(index) > 1 else index[0]
        station = int(str(found["station"].values[column])[-1]) if "station" in found.variables else 0
        told = np.unique(values[tuple(index)])
        assert told.size == 1
        out[day, station] = float(told[0]), known[tuple(index)]
    return out


def learn(log: Log, answer: list[Version]) -> None:
    """Take an answer into the log of arrivals: what says again what was in force at its time is no news.

    Nor is, once the first value turns out to have been known earlier, the time from which it was known before. A gap
    before the first value is what nothing is: not known.
    """
    for v in answer:
        cell = log.setdefault((v.day, v.station), {})
        before = [hour for hour in cell if hour <= v.hour]
        if not before and cell:
            first = cell[min(cell)]
            if np.isnan(v.value) and not np.isnan(first):
                continue
            if np.array_equal(first, v.value, equal_nan=True):
                del cell[min(cell)]
        elif before and np.array_equal(cell[max(before)], v.value, equal_nan=True):
            continue
        elif before and max(before) == min(cell) and np.isnan(cell[min(cell)]):
            del cell[min(cell)]
        cell[v.hour] = v.value


def told(log: Log, hour: int) -> dict[Cell, float]:
    """What the log says at `hour`: of each value the version that became known last."""
    return {c: cell[max(h for h in cell if h <= hour)] for c, cell in log.items() if min(cell) <= hour}


def assert_agrees(
    store: ObservationStore, group: str, name: str, log: Log, snapshot: str | None = None
) -> None:
    for hour in MOMENTS:
        found = cells(store.as_of(group, at(hour), snapshot), name)
        np.testing.assert_equal({c: value for c, (value, _) in found.items()}, told(log, hour))
        assert all(known <= at(hour) for _, known in found.values())
    latest, first = store.read(group, snapshot), store.read(group, snapshot, first=True)
    np.testing.assert_equal({c: v for c, (v, _) in cells(latest, name).items()}, told(log, 1000))
    expected = {c: (cell[min(cell)], at(min(cell))) for c, cell in log.items()}
    np.testing.assert_equal(cells(first, name), expected)


def replay(
    make: Callable[[list[Version]], xr.Dataset], group: str, name: str, arrived: list[list[Version]]
) -> None:
    """Write the answers one by one and compare what the store tells, now and of earlier snapshots, with the log."""
    with tempfile.TemporaryDirectory(prefix="quakecube-test-") as folder:
        store, log = ObservationStore(Path(folder), "tiny"), Log()
        middle: tuple[str, Log] | None = None
        for k, answer in enumerate(arrived):
            learn(log, answer)
            snapshot = store.write(group, make(answer))
            if k == len(arrived) // 2:
                middle = snapshot, {cell: dict(said) for cell, said in log.items()}
        assert store.write(group, make(arrived[-1])) == snapshot
        assert store.groups() == [group]
        assert_agrees(store, group, name, log)
        assert middle is not None
        assert_agrees(store, group, name, middle[1], middle[0])
        whole = store.read(group)
        assert whole is not None
        assert store.write(group, whole.load()) == snapshot
        for day in (0, 4, 9):
            since = START + day * DAY
            late = store.read_since(group, since)
            expected = {c: v for c, v in told(log, 1000).items() if c[0] >= day}
            np.testing.assert_equal({c: v for c, (v, _) in cells(late, name).items()}, expected)


def of_stations(arrived: list[list[Version]], station: int | None) -> list[list[Version]]:
    if station is None:
        return arrived
    return [list({v.day: v._replace(station=station) for v in answer}.values()) for answer in arrived]


MODALITIES = {
    "positions": (positions, "gnss/a", "east", None),
    "scenes": (scenes, "insar/a", "los_displacement", 0),
    "records": (records, "waveform/a", "velocity", None),
}


@pytest.mark.parametrize("kind", MODALITIES)
@settings(deadline=None, max_examples=6)
@given(arrived=logs)
def test_the_store_tells_what_was_known_whatever_the_order_of_arrival(
    kind: str, arrived: list[list[Version]]
) -> None:
    make, group, name, station = MODALITIES[kind]
    replay(make, group, name, of_stations(arrived, station))


@pytest.mark.heavy
@pytest.mark.parametrize("kind", MODALITIES)
@settings(deadline=None, max_examples=100)
@given(arrived=logs)
def test_the_store_tells_what_was_known_in_many_trials(kind: str, arrived: list[list[Version]]) -> None:
    make, group, name, station = MODALITIES[kind]
    replay(make, group, name, of_stations(arrived, station))


def catalog_replay(arrived: list[list[EventVersion]]) -> None:
    with tempfile.TemporaryDirectory(prefix="quakecube-test-") as folder:
        store = ObservationStore(Path(folder), "tiny")
        log: dict[tuple[int, int], EventVersion] = {}
        for answer in arrived:
            log |= {(v.event, v.hour): v for v in answer}
            store.write("catalog/a", catalog(answer))
        for hour in MOMENTS:
            known: dict[int, EventVersion] = {}
            for v in sorted(log.values(), key=lambda v: v.hour):
                if v.hour <= hour:
                    known[v.event] = v
            found = store.as_of("catalog/a", at(hour))
            assert found is not None
            assert list(zip(found["event_id"].values, found["magnitude"].values, strict=True)) == [
                (f"e{number}", v.magnitude) for number, v in sorted(known.items()) if v.kind != "other"
            ]


@settings(deadline=None, max_examples=6)
@given(arrived=event_logs)
def test_of_a_catalog_the_versions_in_force_are_told_and_deleted_events_are_gone(
    arrived: list[list[EventVersion]],
) -> None:
    catalog_replay(arrived)


@pytest.mark.heavy
@settings(deadline=None, max_examples=100)
@given(arrived=event_logs)
def test_of_a_catalog_the_versions_in_force_are_told_in_many_trials(
    arrived: list[list[EventVersion]],
) -> None:
    catalog_replay(arrived)


def test_static_layers_are_known_as_they_are_stored(tmp_path: Path) -> None:
    store = ObservationStore(tmp_path, "tiny")
    layer = xr.Dataset(
        {"elevation": (("lat", "lon"), np.ones((2, 2)))}, coords={"lat": [1.0, 2.0], "lon": [3.0, 4.0]}
    )
    store.write("static/elevation", layer)
    found = store.as_of("static/elevation", at(0))
    assert found is not None
    xr.testing.assert_equal(found.load(), layer)
    assert store.as_of("static/slope", at(0)) is None
    assert ObservationStore(tmp_path, "none").as_of("static/elevation", at(0)) is None
