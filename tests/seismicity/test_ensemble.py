"""The stacked ensemble: weights are the optimum of the validation score, and see nothing else."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from tasks.regions import Region
from tasks.seismicity import (
    EtasForecaster,
    StackedForecaster,
    fit_ensemble,
    fit_poisson,
    fit_reasenberg_jones,
    fit_smoothed,
    known_at,
)
from tasks.seismicity.baselines import Baselines
from tasks.seismicity.detection import Visibility
from tasks.seismicity.ensemble import PRIOR_EVENTS, stacking_weights
from tasks.seismicity.etas import EtasModel


def score(weights: np.ndarray, rate: np.ndarray, total: np.ndarray) -> float:
    prior = PRIOR_EVENTS / total.size * np.log(weights).sum()
    return float(np.log(weights @ rate).sum() - weights @ total + prior)


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(0, 40), st.integers(0, 10**6))
def test_em_ends_at_the_optimum(members, events, seed):
    rng = np.random.default_rng(seed)
    rate, total = (
        np.exp(rng.normal(-2, 1, (members, events))),
        np.exp(rng.normal(np.log(events + 1), 0.5, members)),
    )
    found = stacking_weights(rate, total)
    assert found.sum() == pytest.approx(1.0)
    assert (found > 0).all()

    def loss(free: np.ndarray) -> float:
        weights = np.exp(free - np.logaddexp.reduce(free))
        return -score(weights, rate, total)

    best = min(
        minimize(loss, start, method="BFGS").fun
        for start in (np.zeros(members), np.log(found), -np.arange(members))
    )
    assert -score(found, rate, total) <= best + 1e-5 * (1 + abs(best))


def test_the_member_that_made_the_events_gets_the_weight():
    rng = np.random.default_rng(1)
    cells = np.exp(rng.normal(0, 1.5, 400))
    truth, flat = 800 * cells / cells.sum(), np.full(400, 2.0)
    where = rng.choice(400, rng.poisson(800), p=truth / truth.sum())
    weights = stacking_weights(np.stack([flat[where], truth[where]]), np.array([800.0, 800.0]))
    assert weights[1] > 0.9


@pytest.fixture(scope="module")
def members(catalog: xr.Dataset, region: Region):
    return fit_poisson(catalog, region), fit_smoothed(catalog, region)


@pytest.fixture(scope="module")
def ensemble(catalog: xr.Dataset, region: Region, members) -> StackedForecaster:
    return fit_ensemble(catalog, region, members)


def test_the_mixture_lies_between_its_members(ensemble, catalog, members):
    times = np.array(["2019-03-01", "2019-04-01"], dtype="datetime64[ns]")
    mixed = ensemble.forecast_many(catalog, times)
    parts = [m.forecast_many(catalog, times) for m in members]
    assert mixed.dims == parts[0].dims
    low, high = np.minimum(*(p.values for p in parts)), np.maximum(*(p.values for p in parts))
    assert np.all((mixed.values >= low - 1e-15) & (mixed.values <= high + 1e-15))
    expected = sum(
        ensemble.weights.sel(horizon=7, member=p.name).item() * r.sel(horizon=7)
        for p, r in zip(members, parts, strict=True)
    )
    np.testing.assert_allclose(mixed.sel(horizon=7), expected)


def test_what_became_known_after_validation_does_not_move_the_weights(ensemble, catalog, region, members):
    end = np.datetime64(region.split.validation_end, "ns")
    before = known_at(catalog, end)
    xr.testing.assert_equal(fit_ensemble(before, region, members).weights, ensemble.weights)
    taken_back = before.isel(event=slice(None, None, 2))
    taken_back = taken_back.assign(
        available_time=("event", np.full(taken_back.sizes["event"], end + np.timedelta64(90, "D"))),
        magnitude=("event", np.full(taken_back.sizes["event"], np.nan)),
    )
    later = xr.concat([catalog, taken_back], dim="event")
    xr.testing.assert_equal(fit_ensemble(later, region, members).weights, ensemble.weights)


def test_weights_outlive_json_and_belong_to_their_members(ensemble, members):
    again = StackedForecaster.from_json(ensemble.to_json(), members)
    np.testing.assert_array_equal(again.weights, ensemble.weights)
    assert set(json.loads(ensemble.to_json())) == {"1", "7", "30"}
    with pytest.raises(ValueError, match="expected weights of"):
        StackedForecaster(members[::-1], ensemble.weights)
    with pytest.raises(ValueError, match="sum to 1"):
        StackedForecaster(members, 2 * ensemble.weights)


def test_a_validation_shorter_than_a_horizon_gives_equal_weights(catalog, region, members):
    split = region.split.model_copy(update={"validation_start": region.split.validation_end})
    short = region.model_copy(update={"split": split})
    np.testing.assert_array_equal(fit_ensemble(catalog, short, members).weights, 0.5)


def test_all_baselines_are_kept_and_read_back(catalog, region, model, tmp_path):
    split = region.split.model_copy(update={"validation_end": date(2016, 6, 1)})
    short = region.model_copy(update={"split": split})
    recent = catalog.isel(event=np.flatnonzero(catalog.origin_time >= np.datetime64("2014-01-01")))
    law = replace(model.parameters, visibility=tuple(Visibility()))
    five = (
        fit_poisson(recent, short),
        fit_smoothed(recent, short),
        fit_reasenberg_jones(recent, short),
        EtasForecaster(model, short),
        EtasForecaster(EtasModel(law, model.background), short),
    )
    fitted = Baselines(*five, fit_ensemble(recent, short, five))
    fitted.save(tmp_path)
    read = Baselines.load(tmp_path, short)
    assert [f.name for f in read] == list(read._fields)
    times = np.array(["2016-03-01", "2016-08-01"], dtype="datetime64[ns]")
    rates = {m.name: m.forecast_many(recent, times) for m in five}
    xr.testing.assert_allclose(
        read.ensemble.forecast_many(recent, times), fitted.ensemble.mix(rates), rtol=1e-12
    )
    for name in ("poisson", "smoothed", "reasenberg_jones"):
        again = getattr(read, name).forecast_many(recent, times)
        xr.testing.assert_allclose(again, rates[name], rtol=1e-12)
    # The catalog is made by this very ETAS.
    assert float(read.ensemble.weights.sel(horizon=1, member=["etas", "etas_i"]).sum()) > 0.5
