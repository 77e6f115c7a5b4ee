"""The Reasenberg-Jones forecaster: what it makes of foreshocks, revisions and productive sequences."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pytest
import xarray as xr

from tasks.regions import Region
from tasks.seismicity import fit_reasenberg_jones, known_at
from tasks.seismicity.catalog import Events, times_in_force
from tasks.seismicity.geometry import Plane, on_cells
from tasks.seismicity.incompleteness import Incompleteness, completeness_at
from tasks.seismicity.rj_forecast import ReasenbergJonesForecaster
from tasks.seismicity.sequences import LONGEST_DAYS, find_sequences, zone_radius_km


@dataclass
class View:
    versions: xr.Dataset
    issue_time: np.datetime64

    def catalog(self) -> xr.Dataset:
        return known_at(self.versions, self.issue_time)


def events(*rows: tuple[float, float, float, float]) -> Events:
    """Events of rows (day, x, y, magnitude)."""
    days, x, y, magnitude = (np.array(v, float) for v in zip(*rows, strict=True))
    return Events(days, x, y, magnitude, np.ones(days.size, bool), np.arange(days.size))


@pytest.fixture(scope="module")
def forecaster(catalog: xr.Dataset, region: Region) -> ReasenbergJonesForecaster:
    return fit_reasenberg_jones(catalog, region)


@pytest.fixture(scope="module")
def revised(catalog: xr.Dataset) -> xr.Dataset:
    """The catalog with a second version of every fifth event, a month later: some smaller, some withdrawn."""
    later = catalog.isel(event=slice(0, None, 5))
    magnitude = later["magnitude"].values - 0.2
    magnitude[::3] = np.nan
    later = later.assign(
        available_time=later["available_time"] + np.timedelta64(30, "D"), magnitude=("event", magnitude)
    )
    return xr.concat([catalog, later], dim="event")


def test_a_larger_event_makes_the_earlier_one_a_foreshock():
    found = find_sequences(events((0, 0, 0, 6.4), (1, 5, 0, 3.5), (2, 8, 0, 7.1), (3, 9, 0, 3.6)), 3.0, 4.0)
    assert [(s.mainshock, s.members.tolist()) for s in found] == [(0, [1]), (2, [3])]
    assert found[0].end == 2.0
    assert np.isinf(found[1].end)


def test_a_smaller_event_is_an_aftershock_only_in_zone_and_time():
    radius = float(zone_radius_km(6.0))
    rows = [
        (0, 0, 0, 6.0),
        (5, radius - 0.1, 0, 5.0),
        (6, radius + 0.1, 0, 5.0),
        (LONGEST_DAYS + 1, 0, 0, 5.0),
    ]
    found = find_sequences(events(*rows), 3.0, LONGEST_DAYS + 2)
    assert [s.mainshock for s in found] == [0, 2, 3]
    assert found[0].members.tolist() == [1]


def test_an_event_in_two_zones_belongs_to_the_nearer_mainshock():
    found = find_sequences(events((0, 0, 0, 5.0), (1, 15, 0, 5.0), (2, 9, 0, 3.0), (3, 4, 0, 3.0)), 3.0, 4.0)
    assert [s.members.tolist() for s in found] == [[3], [2]]


def test_completeness_after_large_events_follows_the_law_and_recovers():
    at = np.array([-1.0, 0.01, 0.1, 1.0, 10.0, 0.02])
    found = completeness_at(at, np.array([0.0]), np.array([7.0]), 2.0)
    np.testing.assert_allclose(found, [2.0, 4.0, 3.25, 2.5, 2.0, 2.5 - 0.75 * np.log10(0.02)])
    assert Incompleteness().duration_days(7.0, 2.0) == pytest.approx(10 ** (0.5 / 0.75))
    assert Incompleteness().duration_days(4.0, 3.0) == 0.0


def test_versions_in_force_are_those_known_at_each_moment(revised):
    times = np.array(["2004-05-01", "2012-01-01T07:00", "2019-03-01"], dtype="datetime64[ns]")
    enter, leave = times_in_force(revised, times)
    for i, time in enumerate(times):
        rows = np.flatnonzero((enter <= i) & (i < leave))
        known = known_at(revised, time)
        assert sorted(
            zip(revised.event_id.values[rows], revised.available_time.values[rows], strict=True)
        ) == sorted(zip(known.event_id.values, known.available_time.values, strict=True))


def test_many_forecasts_equal_those_of_single_views(forecaster, revised):
    times = np.array(["2019-03-01", "2004-05-01", "2019-03-02T07:00", "2020-12-01"], dtype="datetime64[ns]")
    many = forecaster.forecast_many(revised, np.concatenate([times, times + np.timedelta64(20, "D")]))
    for time in times:
        one = forecaster.forecast(View(revised, time))
        xr.testing.assert_allclose(one, many.sel(issue_time=time, drop=True), rtol=1e-9)


def test_what_becomes_known_later_changes_nothing(forecaster, revised):
    time = np.datetime64("2012-06-01", "ns")
    future = revised["available_time"].to_numpy() > time
    changed = revised.assign(magnitude=revised["magnitude"] + 2.0 * xr.DataArray(future, dims="event"))
    before, after = (forecaster.forecast_many(c, np.array([time])) for c in (revised, changed))
    xr.testing.assert_allclose(before, after, rtol=1e-12)


@pytest.fixture(scope="module")
def one_sequence(region: Region, as_catalog: Callable[..., xr.Dataset]) -> Callable[[int], xr.Dataset]:
    """Make the catalog of an M6 in the middle and so many M3.5 in the ten days after."""
    day = (np.datetime64("2010-01-01") - np.datetime64("1970-01-01")).astype(int)

    def make(aftershocks: int) -> xr.Dataset:
        rows = [(day, 0.0, 0.0, 6.0)]
        rows += [(day + 10.0 * ((k + 1) / (aftershocks + 1)) ** 3, 5.0, 0.0, 3.5) for k in range(aftershocks)]
        return as_catalog(np.array(rows))

    return make


def test_a_productive_sequence_is_expected_to_go_on(region, one_sequence):
    quiet = ReasenbergJonesForecaster(on_cells(np.full((10, 10), 1e-6), region), region)
    time = np.array(["2010-01-12"], dtype="datetime64[ns]")
    totals = [
        quiet.forecast_many(one_sequence(n), time).sel(horizon=7).sum(("lat", "lon")).item()
        for n in (0, 10, 200)
    ]
    assert totals[0] < totals[1] < totals[2]
    [(_, belief)] = quiet.sequences(View(one_sequence(200), time[0]))
    assert belief.mean_a()[0] > region_generic(region) + 0.2


def region_generic(region: Region) -> float:
    return ReasenbergJonesForecaster(on_cells(np.full((10, 10), 1e-6), region), region).generic.a


def test_the_map_follows_the_aftershocks(region, one_sequence):
    quiet = ReasenbergJonesForecaster(on_cells(np.full((10, 10), 1e-9), region), region)
    plane = Plane.of(region)
    counts = quiet.forecast(View(one_sequence(100), np.datetime64("2010-01-12", "ns"))).sel(horizon=7)
    row, column = np.unravel_index(int(counts.values.argmax()), counts.shape)
    assert plane.west + plane.dx * column <= 5.0 < plane.west + plane.dx * (column + 1)
    assert abs(plane.south + plane.dy * (row + 0.5)) < plane.dy


def test_after_a_year_the_background_is_all_there_is(region, one_sequence):
    background = on_cells(np.full((10, 10), 1e-3), region)
    found = ReasenbergJonesForecaster(background, region).forecast(
        View(one_sequence(50), np.datetime64("2011-02-01", "ns"))
    )
    np.testing.assert_allclose(found.sel(horizon=30), 30 * background)


def test_the_background_leaves_aftershocks_out(forecaster, catalog, region):
    window = (catalog.origin_time >= np.datetime64("2001-01-01")) & (
        catalog.origin_time < np.datetime64("2016-01-01")
    )
    all_events = int(window.sum()) / (date(2016, 1, 1) - date(2001, 1, 1)).days
    assert 0.3 * all_events < float(forecaster.background.sum()) < 0.9 * all_events
    again = ReasenbergJonesForecaster.from_json(forecaster.to_json(), region)
    xr.testing.assert_equal(again.background.drop_attrs(), forecaster.background.drop_attrs())


def test_an_event_after_the_issue_time_is_refused(forecaster, catalog):
    class Leaking(View):
        def catalog(self) -> xr.Dataset:
            return self.versions

    with pytest.raises(ValueError, match="expected a catalog that ends there"):
        forecaster.forecast(Leaking(catalog, np.datetime64("2010-01-01", "ns")))


def test_a_catalog_without_background_is_refused(catalog, region):
    with pytest.raises(ValueError, match="region 'toy': expected two events or more outside"):
        fit_reasenberg_jones(catalog.isel(event=slice(0, 1)), region)
    with pytest.raises(ValueError, match="finite and positive"):
        ReasenbergJonesForecaster(on_cells(np.zeros((10, 10)), region), region)
