from dataclasses import dataclass, replace

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import expm

from tasks.seismicity import EtasForecaster, EtasModel, fit_poisson, fit_smoothed, known_at
from tasks.seismicity.branching import GENERATIONS, _as_mixture, offspring_matrix, variance_nodes
from tasks.seismicity.geometry import Plane
from tasks.seismicity.kernels import cell_masses, mixture_cell_masses, omori_exponentials


@dataclass
class View:
    versions: xr.Dataset
    issue_time: np.datetime64

    def catalog(self) -> xr.Dataset:
        return known_at(self.versions, self.issue_time)


@pytest.fixture(scope="module")
def forecaster(model, region):
    return EtasForecaster(model, region)


@pytest.fixture(scope="module")
def revised(catalog):
    """The catalog with a second version of every fifth event, a month later, some below completeness."""
    later = catalog.isel(event=slice(0, None, 5))
    later = later.assign(
        available_time=later["available_time"] + np.timedelta64(30, "D"),
        magnitude=later["magnitude"] - 0.2,
        latitude=later["latitude"] + 0.03,
    )
    return xr.concat([catalog, later], dim="event")


def test_many_forecasts_equal_those_of_single_views(forecaster, revised):
    times = np.array(["2019-03-01", "2004-05-01", "2019-03-02T07:00", "2020-12-01"], dtype="datetime64[ns]")
    many = forecaster.forecast_many(revised, times)
    for time in times:
        one = forecaster.forecast(View(revised, time))
        xr.testing.assert_allclose(one, many.sel(issue_time=time, drop=True), rtol=1e-9)


def test_what_becomes_known_later_changes_nothing(forecaster, revised):
    time = np.datetime64("2012-06-01", "ns")
    future = revised["available_time"].to_numpy() > time
    changed = revised.assign(magnitude=revised["magnitude"] + 2.0 * xr.DataArray(future, dims="event"))
    before, after = (forecaster.forecast_many(c, np.array([time])) for c in (revised, changed))
    xr.testing.assert_allclose(before, after, rtol=1e-9)


def test_expected_counts_equal_the_mean_of_simulated_cascades(
    model, region, forecaster, branching, as_catalog
):
    plane, rng = Plane.of(region), np.random.default_rng(11)
    day = 18000.0
    history = np.array(
        [[day - 0.5, 5.0, 3.0, 6.0], [day - 20.0, -20.0, -12.0, 5.0], [day - 2.0, 44.2, 0.0, 5.5]]
    )
    catalog = as_catalog(history)
    issue = np.datetime64("1970-01-01", "ns") + np.timedelta64(int(day), "D")
    forecast = forecaster.forecast(View(catalog, issue))
    draws, groups = 1500, 20
    counts = np.zeros((groups, 3, 10, 10))
    for group in range(groups):
        roots = branching.draw_background(replace_rate(model, draws), plane, day, day + 30, rng)
        parents = np.concatenate([np.repeat(history, draws, axis=0), roots])
        rows = np.concatenate([roots, branching.cascade(parents, model.parameters, day, day + 30, rng)])
        column = np.floor((rows[:, 1] - plane.west) / plane.dx).astype(int)
        row = np.floor((rows[:, 2] - plane.south) / plane.dy).astype(int)
        inside = (column >= 0) & (column < 10) & (row >= 0) & (row < 10)
        for i, horizon in enumerate((1, 7, 30)):
            chosen = inside & (rows[:, 0] < day + horizon)
            np.add.at(counts[group, i], (row[chosen], column[chosen]), 1.0 / draws)
    expected = forecast.to_numpy()
    total, error = counts.sum(axis=(2, 3)), counts.std(axis=0, ddof=1) / np.sqrt(groups)
    total_error = total.std(axis=0, ddof=1) / np.sqrt(groups)
    assert np.all(np.abs(total.mean(axis=0) - expected.sum(axis=(1, 2))) < 4 * total_error)
    assert np.all(total_error < 0.02 * expected.sum(axis=(1, 2)))
    # Later generations are spread over cells: 2 % of a cell's count is allowed for that.
    assert np.all(np.abs(counts.mean(axis=0) - expected) < 4.5 * error + 0.02 * expected)


def replace_rate(model: EtasModel, draws: int) -> EtasModel:
    return EtasModel(replace(model.parameters, mu=model.parameters.mu * draws), model.background)


def test_gaussian_mixtures_reproduce_the_power_law(truth):
    variance, scale = variance_nodes(truth), np.array([truth.d, 50.0 * truth.d])
    edges = np.linspace(-45.0, 45.0, 10)
    x, y = np.array([3.0, -11.0]), np.array([0.2, 20.0])
    law = cell_masses(x, y, scale, truth.q - 1.0, edges, edges)
    mixture = mixture_cell_masses(
        x, y, variance, _as_mixture(scale, truth.q - 1, variance)[None], edges, edges
    )
    np.testing.assert_allclose(mixture[0], law, rtol=3e-3)


def test_generations_split_the_response_without_loss(model, region):
    operator = EtasForecaster(model, region)._operator
    parameters = model.parameters
    eigenvalues = np.linalg.eigvalsh(offspring_matrix(parameters, Plane.of(region), 2))
    span = 2.0 * (region.end - region.catalog_start).days + 30
    rates, weights = omori_exponentials(parameters.c, parameters.p, span)
    for mode in (0, eigenvalues.size // 2, eigenvalues.size - 1):
        value = eigenvalues[mode]
        # dz/ds = system z, and one more row that integrates the sum of z over 30 days.
        system = np.zeros((rates.size + 1, rates.size + 1))
        system[:-1, :-1] = parameters.branching_ratio * value * weights[:, None] - np.diag(rates)
        system[-1, :-1] = 1.0
        counted = expm(30.0 * system)[-1, :-1] * weights
        split = operator.response[:, 2, :, mode]
        together = (split * value ** np.arange(GENERATIONS + 1)[:, None]).sum(axis=0)
        np.testing.assert_allclose(together, counted, rtol=1e-6, atol=1e-12)


def test_offspring_stay_on_the_plane(truth, region):
    matrix = offspring_matrix(truth, Plane.of(region), 2)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert matrix.min() > 0
    assert 0.5 < matrix.sum(axis=1).min() < matrix.sum(axis=1).max() < 1


def test_after_a_long_silence_the_forecast_is_background_and_its_offspring(forecaster, model, catalog):
    quiet = catalog.isel(event=slice(0, 1)).assign(magnitude=("event", [3.0]))
    counts = forecaster.forecast_many(quiet, np.array(["2020-01-01"], dtype="datetime64[ns]"))
    total = counts.sum(("lat", "lon")).to_numpy()[0]
    floor = model.parameters.mu * np.array([1, 7, 30])
    assert np.all(total > floor)
    assert np.all(total < floor / (1 - model.parameters.branching_ratio))


def test_an_event_after_the_issue_time_is_refused(forecaster, catalog):
    class Leaking(View):
        def catalog(self) -> xr.Dataset:
            return self.versions

    with pytest.raises(ValueError, match="expected a catalog that ends there"):
        forecaster.forecast(Leaking(catalog, np.datetime64("2010-01-01", "ns")))


def test_a_background_of_another_grid_is_refused(model, region):
    with pytest.raises(ValueError, match=r"expected an ETAS background of \(10, 10\) cells"):
        EtasForecaster(EtasModel(model.parameters, np.ones((3, 3)) / 9), region)


def test_stationary_forecasts_keep_the_training_rate(catalog, region):
    time = np.array(["2019-01-01"], dtype="datetime64[ns]")
    poisson, smoothed = fit_poisson(catalog, region), fit_smoothed(catalog, region)
    a, b = (f.forecast_many(catalog, time).sum(("lat", "lon")).to_numpy()[0] for f in (poisson, smoothed))
    np.testing.assert_allclose(a, b, rtol=1e-12)
    assert a[2] == pytest.approx(30 * a[0])
    assert (poisson.name, smoothed.name) == ("poisson", "smoothed")
    view = poisson.forecast(View(catalog, time[0]))
    assert view.dims == ("horizon", "lat", "lon")
    xr.testing.assert_allclose(view, poisson.forecast_many(catalog, time).isel(issue_time=0, drop=True))


def test_smoothing_puts_the_rate_where_events_were(catalog, region, model):
    rate = fit_smoothed(catalog, region).rate_per_day.to_numpy()
    assert rate[2:5, 6:9].sum() / rate.sum() > 0.4
    assert rate.min() > 0


def test_a_catalog_without_training_events_is_refused(catalog, region):
    with pytest.raises(ValueError, match="region 'toy': expected two training events"):
        fit_poisson(catalog.isel(event=slice(0, 1)), region)
