import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.scoring import ScoringConfig, scorecard

POSITIVE = hnp.arrays(np.float64, (6, 2, 3), elements=st.floats(1e-4, 5.0))
COUNTS = hnp.arrays(np.int64, (6, 2, 3), elements=st.integers(0, 4))
CONFIG = ScoringConfig(bootstrap_draws=100)


def grid(values, horizon=7):
    times = np.datetime64("2019-01-01", "ns") + np.timedelta64(horizon, "D") * np.arange(values.shape[0])
    coords = {"issue_time": times, "lat": [35.05, 35.15], "lon": [-118.0, -117.9, -117.8]}
    return xr.DataArray(values, dims=("issue_time", "lat", "lon"), coords=coords)


def rates(**models):
    return xr.concat([grid(v) for v in models.values()], dim=xr.Variable("model", list(models)))


def score(counts, **models):
    card = scorecard({7: rates(**models)}, {7: grid(counts)}, CONFIG)
    return {name: by_horizon[7] for name, by_horizon in card.scores.items()}


@settings(max_examples=25, deadline=None)
@given(etas=POSITIVE, poisson=POSITIVE, counts=COUNTS)
def test_a_model_that_equals_the_reference_gains_nothing(etas, poisson, counts):
    counts[0, 0, 0] = 1
    found = score(counts, etas=etas, poisson=poisson, twin=etas.copy())
    for name in ("etas", "twin"):
        assert found[name].igpe_vs_etas == 0.0
        assert found[name].igpe_space == 0.0
    assert {s.n_events for s in found.values()} == {int(counts.sum())}


@settings(max_examples=25, deadline=None)
@given(etas=POSITIVE, counts=COUNTS, factor=st.floats(0.2, 5.0))
def test_a_scaled_reference_gains_the_closed_form_in_time_only(etas, counts, factor):
    counts[0, 0, 0] = 1
    found = score(counts, etas=etas, poisson=etas, scaled=etas * factor)["scaled"]
    n = counts.sum()
    expected = np.log(factor) - (factor - 1) * etas.sum() / n
    assert found.igpe_vs_etas == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert found.igpe_space == pytest.approx(0.0, abs=1e-9)
    assert found.igpe_time == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(etas=POSITIVE, model=POSITIVE, counts=COUNTS)
def test_the_gain_is_the_difference_of_log_likelihoods_per_event(etas, model, counts):
    counts[0, 0, 0] = 1
    found = score(counts, etas=etas, poisson=etas, model=model)
    difference = found["model"].log_likelihood - found["etas"].log_likelihood
    assert found["model"].igpe_vs_etas == pytest.approx(difference / counts.sum(), rel=1e-8, abs=1e-8)


def test_the_truth_beats_a_flat_reference_and_the_interval_excludes_zero():
    rng = np.random.default_rng(1)
    truth = rng.gamma(0.4, 2.0, size=(300, 2, 3)) + 0.01
    counts = rng.poisson(truth)
    flat = np.full_like(truth, truth.mean())
    config = ScoringConfig(bootstrap_draws=500)
    card = scorecard({7: rates(etas=flat, poisson=flat, truth=truth)}, {7: grid(counts)}, config)
    found = card.scores["truth"][7]
    assert 0 < found.low < found.igpe_vs_etas < found.high
    assert found.t_test.p_value < 1e-6
    assert found.w_test.p_value < 1e-6
    assert found.brier < found.brier_long_term
    assert found.n_test.p_value > 0.01
    for row in found.reliability:
        if row.n > 200:
            assert row.low - 0.03 < row.mean_forecast < row.high + 0.03


def test_the_scorecard_is_plain_json_without_nan():
    rate, counts = np.full((6, 2, 3), 0.1), np.zeros((6, 2, 3), np.int64)
    card = scorecard({7: rates(etas=rate, poisson=rate)}, {7: grid(counts)}, CONFIG)
    content = json.loads(card.to_json())
    entry = content["scores"]["etas"]["7"]
    assert entry["igpe_vs_etas"] is None
    assert entry["n_events"] == 0
    assert entry["n_test"]["law"] == "poisson"
    assert entry["reliability"][0]["n"] == 0


def test_an_event_where_a_model_says_never_is_refused_by_name_and_cell():
    rate, counts = np.full((6, 2, 3), 0.1), np.zeros((6, 2, 3), np.int64)
    counts[2, 1, 0] = 1
    bad = rate.copy()
    bad[2, 1, 0] = 0.0
    with pytest.raises(
        ValueError, match=r"model 'bad', horizon 7 days: .* cell lat 35.15, lon -118 .*2019-01-15"
    ):
        score(counts, etas=rate, poisson=rate, bad=bad)


def test_a_rate_of_zero_without_event_is_allowed():
    rate, counts = np.full((6, 2, 3), 0.1), np.zeros((6, 2, 3), np.int64)
    counts[2, 1, 0] = 1
    sparse = rate.copy()
    sparse[0] = 0.0
    found = score(counts, etas=rate, poisson=rate, sparse=sparse)["sparse"]
    assert found.igpe_vs_etas == pytest.approx(0.6)


@pytest.mark.parametrize(("value", "what"), [(np.nan, "a finite rate"), (-0.1, "a rate of 0 or more")])
def test_nan_and_negative_rates_are_refused(value, what):
    rate, counts = np.full((6, 2, 3), 0.1), np.zeros((6, 2, 3), np.int64)
    bad = rate.copy()
    bad[0, 0, 0] = value
    with pytest.raises(ValueError, match=f"model 'bad'.*{what}"):
        score(counts, etas=rate, poisson=rate, bad=bad)


def test_overlapping_windows_and_a_missing_reference_are_refused():
    rate, counts = np.full((6, 2, 3), 0.1), np.zeros((6, 2, 3), np.int64)
    with pytest.raises(ValueError, match="do not overlap"):
        scorecard({30: rates(etas=rate, poisson=rate)}, {30: grid(counts)}, CONFIG)
    with pytest.raises(ValueError, match="expected the model 'etas'"):
        score(counts, poisson=rate)
    with pytest.raises(ValueError, match="differ in their coordinate 'issue_time'"):
        scorecard({7: rates(etas=rate, poisson=rate)}, {7: grid(counts, 8)}, CONFIG)


def test_a_dispersion_makes_the_number_test_negative_binomial():
    rate, counts = np.full((6, 2, 3), 0.5), np.ones((6, 2, 3), np.int64)
    models = {7: rates(etas=rate, poisson=rate)}
    card = scorecard(models, {7: grid(counts)}, CONFIG, dispersion={"etas": {7: 2.0}})
    etas, poisson = card.scores["etas"][7], card.scores["poisson"][7]
    assert (etas.n_test.law, poisson.n_test.law) == ("negative_binomial", "poisson")
    assert etas.n_test.delta1 > poisson.n_test.delta1
