"""What was known at any moment, against a replay of the arrivals by brute force."""

from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cubes.clock import DAY, known_at
from tasks.cubes.revisions import REVISION, as_known, sort_versions

START = np.datetime64("2020-01-01", "ns")
STATIONS = 2


class Arrival(NamedTuple):
    """One version of one value: its day and station, when it became known (hours), and what it says."""

    day: int
    station: int
    hour: int
    value: int


arrivals = st.lists(
    st.builds(
        Arrival, st.integers(0, 3), st.integers(0, STATIONS - 1), st.integers(100, 140), st.integers(0, 5)
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda a: (a.day, a.station, a.hour),
)


def dataset(versions: list[Arrival], stations: bool) -> xr.Dataset:
    """The answer of a provider that holds `versions`, one row a day."""
    days = sorted({v.day for v in versions})
    names = sorted({v.station for v in versions})
    shape = (len(days), len(names)) if stations else (len(days),)
    values, stamps = np.full(shape, np.nan), np.full(shape, np.datetime64("NaT", "ns"))
    for v in versions:
        cell = (days.index(v.day), names.index(v.station))[: len(shape)]
        values[cell], stamps[cell] = v.value, START + np.timedelta64(v.hour, "h")
    dims = ("time", "station") if stations else ("time",)
    data = {"value": (dims, values), "available_time": (dims, stamps)}
    if stations:
        data["quality_flag"] = (dims, np.isnan(values).astype(np.uint8))
    coords: dict[str, object] = {"time": START + np.asarray(days) * DAY}
    if stations:
        coords["station"] = np.array([f"S{k}" for k in names], dtype=object)
    return xr.Dataset(data, coords=coords)


def stored(log: list[Arrival], stations: bool) -> tuple[xr.Dataset, xr.Dataset | None]:
    """Bring the arrivals one after the other, as the store does."""
    current, revisions = dataset(log[:1], stations), None
    for arrival in log[1:]:
        answer, kept = sort_versions(current, dataset([arrival], stations))
        current = answer.combine_first(current)
        if kept is not None:
            revisions = kept if revisions is None else xr.concat([revisions, kept], dim=REVISION)
    return current, revisions


def told_by_brute_force(log: list[Arrival], asked: int) -> dict[tuple[int, int], float]:
    expected: dict[tuple[int, int], float] = {}
    for arrival in sorted(log, key=lambda a: a.hour):
        if arrival.hour <= asked:
            expected[arrival.day, arrival.station] = arrival.value
    return expected


def told_by_the_store(log: list[Arrival], stations: bool, asked: int) -> dict[tuple[int, int], float]:
    found = as_known(*stored(log, stations), START + np.timedelta64(asked, "h"))
    cells = {}
    for t, time in enumerate(found["time"].values):
        for s, value in enumerate(np.atleast_1d(found["value"].values[t])):
            if np.isfinite(value):
                name = int(str(found["station"].values[s])[1:]) if stations else 0
                cells[int((time - START) / DAY), name] = float(value)
    return cells


def one_station(log: list[Arrival], stations: bool) -> list[Arrival]:
    return log if stations else list({(a.day, a.hour): a._replace(station=0) for a in log}.values())


@pytest.mark.parametrize("stations", [True, False])
@settings(deadline=None, max_examples=60)
@given(log=arrivals, asked=st.integers(95, 145))
def test_what_was_known_is_what_the_log_of_arrivals_says(
    stations: bool, log: list[Arrival], asked: int
) -> None:
    log = sorted(one_station(log, stations), key=lambda a: a.hour)

    assert told_by_the_store(log, stations, asked) == told_by_brute_force(log, asked)


@pytest.mark.parametrize("stations", [True, False])
@settings(deadline=None, max_examples=60)
@given(log=arrivals, asked=st.integers(95, 145))
def test_versions_that_differ_may_arrive_in_any_order(stations: bool, log: list[Arrival], asked: int) -> None:
    log = [a._replace(value=k) for k, a in enumerate(one_station(log, stations))]

    assert told_by_the_store(log, stations, asked) == told_by_brute_force(log, asked)


def test_a_value_mended_at_its_own_time_leaves_no_revision() -> None:
    one, two = Arrival(0, 0, 100, 1), Arrival(0, 0, 100, 2)
    rows, revisions = sort_versions(dataset([one], True), dataset([two], True))

    assert revisions is None
    assert float(rows["value"][0, 0]) == 2


def test_without_revisions_it_is_what_the_stamps_say() -> None:
    group = dataset([Arrival(0, 0, 100, 1), Arrival(1, 1, 130, 2)], True)
    moment = START + np.timedelta64(120, "h")

    xr.testing.assert_identical(as_known(group, None, moment), known_at(group, moment))


def test_a_scene_is_kept_whole() -> None:
    grid = {"lat": [35.0, 36.0], "lon": [-118.0, -117.0]}

    def scene(value: float, hour: int) -> xr.Dataset:
        return xr.Dataset(
            {
                "air_temperature": (("time", "lat", "lon"), np.full((1, 2, 2), value)),
                "available_time": ("time", [START + np.timedelta64(hour, "h")]),
            },
            coords={"time": [START], **grid},
        )

    final, kept = sort_versions(scene(290.0, 100), scene(291.0, 200))
    early = as_known(final, kept, START + np.timedelta64(150, "h"))
    late = as_known(final, kept, START + np.timedelta64(250, "h"))

    assert (early["air_temperature"].values == 290.0).all()
    assert (late["air_temperature"].values == 291.0).all()
    assert as_known(final, kept, START + np.timedelta64(50, "h")).sizes["time"] == 0
