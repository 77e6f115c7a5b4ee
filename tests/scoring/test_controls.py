"""Controls: what must vanish with shuffled labels does, and whatever reads the future is refused by name."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from fusion_models.data.asof import as_of, view_digest
from fusion_models.data.cube import CubeData, LeakError
from tasks.scoring import busiest_times, label_shuffle, leaking, refuse_future, refuse_leaks, without_future

DAY = np.timedelta64(1, "D")
START = np.datetime64("2019-01-01", "ns")
LAT, LON = np.array([35.05, 35.15]), np.array([-118.0, -117.9])
Times = np.ndarray


@pytest.fixture(scope="module")
def cube() -> CubeData:
    """A hundred days with an event a day, each known a day later and all corrected on day 60; and a daily map."""
    rng = np.random.default_rng(0)
    days = START + DAY * np.arange(100)
    cell = rng.integers(0, 4, 100)
    first = xr.Dataset(
        {
            "event_id": ("event", np.array([f"e{i}" for i in range(100)], dtype=object)),
            "origin_time": ("event", days + np.timedelta64(6, "h")),
            "available_time": ("event", days + DAY),
            "latitude": ("event", LAT[cell // 2]),
            "longitude": ("event", LON[cell % 2]),
            "magnitude": ("event", np.full(100, 3.0)),
        }
    )
    old = first.isel(event=slice(0, 50))
    corrected = old.assign(available_time=("event", np.full(50, START + 60 * DAY))).assign(
        magnitude=("event", np.full(50, 4.0))
    )
    counts = np.zeros((100, 2, 2), np.int32)
    counts[np.arange(100), cell // 2, cell % 2] = 1
    coords = {"time": days, "lat": LAT, "lon": LON}
    strain = xr.Dataset(
        {
            "dilatation_rate": (("time", "lat", "lon"), rng.normal(0, 1, (100, 2, 2)).astype(np.float32)),
            "available_time": ("time", days + 2 * DAY),
        },
        coords=coords,
    )
    groups = {
        "catalog": xr.concat([first, corrected], dim="event"),
        "labels": xr.Dataset({"event_count": (("time", "lat", "lon"), counts)}, coords=coords),
        "strain": strain,
    }
    return CubeData(groups, LAT, LON, 0.1, "toy", "snapshot")


def rates(times: Times, value: Callable[[np.datetime64], float]) -> xr.DataArray:
    values = np.array([[np.full((2, 2), value(t) * h) for h in (1, 7)] for t in times])
    coords = {"issue_time": times, "horizon": [1, 7], "lat": LAT, "lon": LON}
    return xr.DataArray(values, coords, ("issue_time", "horizon", "lat", "lon"))


def honest(cube: CubeData, times: Times) -> xr.DataArray:
    """Rate from the energy of events known and the latest strain known."""

    def rate(time: np.datetime64) -> float:
        view = as_of(cube, time)
        strain = np.nan_to_num(view.day_values("strain", 5)["dilatation_rate"])
        energy = float((10.0 ** view.catalog_columns()["magnitude"].astype(float)).sum())
        return 1e-5 * energy * float(np.exp(strain.mean()))

    return rates(times, rate)


def all_versions(cube: CubeData, times: Times) -> xr.DataArray:
    """A forecaster that takes the corrected magnitudes of old events before they were corrected."""
    catalog = cube.groups["catalog"]

    def rate(time: np.datetime64) -> float:
        old = catalog["origin_time"].values < time
        return float(catalog["magnitude"].values[old].max())

    return rates(times, rate)


def scaled_over_all_dates(cube: CubeData, times: Times) -> xr.DataArray:
    """A forecaster whose inputs are normalised with the mean of the whole record."""
    mean = float(np.nanmean(cube.groups["strain"]["dilatation_rate"].values))
    return rates(times, lambda _: 1.0 + abs(mean))


def todays_strain(cube: CubeData, times: Times) -> xr.DataArray:
    """A forecaster that reads a value of the past that was not yet available."""
    strain = cube.groups["strain"]["dilatation_rate"].fillna(0.0)
    return rates(times, lambda time: 1.0 + abs(float(strain.sel(time=time - DAY).mean())))


def coming_counts(cube: CubeData, times: Times) -> xr.DataArray:
    labels = cube.groups["labels"]["event_count"]
    return rates(times, lambda time: 0.1 + 0.001 * float(labels.sel(time=slice(time, None)).sum()))


def blind(cube: CubeData, *times: np.datetime64) -> dict[np.datetime64, CubeData]:
    return {time: without_future(cube, time) for time in times}


def test_a_forecaster_that_uses_what_was_known_passes(cube: CubeData) -> None:
    assert refuse_future("honest", honest, cube, blind(cube, START + 40 * DAY, START + 70 * DAY)) < 1e-9


@pytest.mark.parametrize("leak", [all_versions, scaled_over_all_dates, todays_strain, coming_counts])
def test_each_kind_of_leak_is_refused_by_name(cube: CubeData, leak: Callable[..., xr.DataArray]) -> None:
    with pytest.raises(LeakError, match=r"'sly' at 2019-02-10.*reads the future"):
        refuse_future("sly", leak, cube, blind(cube, START + 40 * DAY))


@pytest.mark.parametrize("share", [0.01, 0.1, 1.0])
def test_a_leak_put_into_an_honest_forecaster_is_refused(cube: CubeData, share: float) -> None:
    with pytest.raises(LeakError):
        refuse_future("injected", leaking(honest, share), cube, blind(cube, START + 10 * DAY))


def test_the_control_of_all_proves_itself_and_says_when_it_cannot(cube: CubeData) -> None:
    found = refuse_leaks({"honest": honest}, cube, [START + 10 * DAY], honest)
    assert found.injected_refused
    assert found.largest_change["honest"] < 1e-9
    assert found.issue_times == ["2019-01-11T00:00:00"]
    with pytest.raises(LeakError, match="'sly'"):
        refuse_leaks({"honest": honest, "sly": coming_counts}, cube, [START + 10 * DAY], honest)
    # Nothing follows the end of the record, so no leak can be put in, and the control says so.
    assert not refuse_leaks({"honest": honest}, cube, [START + 100 * DAY], honest).injected_refused


def test_without_the_future_nothing_of_it_is_left(cube: CubeData) -> None:
    moment = START + 40 * DAY
    blind = without_future(cube, moment)
    assert (blind.groups["catalog"]["available_time"].values <= moment).all()
    assert blind.groups["labels"].sizes["time"] == 40
    seen = np.isfinite(blind.groups["strain"]["dilatation_rate"].values).any(axis=(1, 2))
    assert seen.sum() == 39
    view, again = as_of(cube, moment), as_of(blind, moment)
    assert view_digest(view, 60, 8) == view_digest(again, 60, 8)


def test_the_busiest_windows_come_in_order_of_time() -> None:
    times = START + DAY * np.arange(4)
    counts = xr.DataArray(
        np.array([1, 7, 0, 5]).reshape(4, 1, 1), {"issue_time": times}, ("issue_time", "lat", "lon")
    )
    assert busiest_times(counts, 2) == [times[1], times[3]]


def test_the_gain_of_a_model_that_knows_when_vanishes_with_windows_exchanged() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat(rng.gamma(0.3, 1.0, (200, 1, 1)) + 0.01, 6, axis=1)
    counts = rng.poisson(truth)
    steady = np.full(truth.shape, truth.mean())
    found = label_shuffle(truth, steady, counts, 500, 0)
    assert found.gain > 0.5
    assert found.p_value == 1 / 501
    assert found.high < 0.0


def test_the_gain_of_a_model_that_only_knows_where_survives_the_exchange() -> None:
    rng = np.random.default_rng(2)
    place = np.broadcast_to(rng.gamma(0.3, 1.0, (1, 8, 1)) + 0.01, (100, 8, 1)).copy()
    counts = rng.poisson(0.3 * place)
    found = label_shuffle(place, np.full(place.shape, place.mean()), counts, 500, 0)
    assert found.gain > 0.3
    assert found.mean == pytest.approx(found.gain)
    assert found.p_value == 1.0


def test_a_model_of_noise_is_told_from_its_shuffles_as_often_as_chance() -> None:
    rng = np.random.default_rng(3)
    p_values = []
    for seed in range(200):
        noise = rng.gamma(2.0, 0.5, (40, 2, 2))
        counts = rng.poisson(0.5, noise.shape)
        p_values.append(label_shuffle(noise, np.ones(noise.shape), counts, 99, seed).p_value)
    assert np.mean(np.array(p_values) <= 0.1) == pytest.approx(0.1, abs=0.06)


def test_without_events_there_is_nothing_to_shuffle() -> None:
    with pytest.raises(ValueError, match="at least one event"):
        label_shuffle(np.ones((3, 1, 1)), np.ones((3, 1, 1)), np.zeros((3, 1, 1), int), 100, 0)
