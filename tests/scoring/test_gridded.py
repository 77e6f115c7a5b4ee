"""Poisson tests by simulation: against sums that can be written down, and calibrated under their own null."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks.scoring import (
    Draws,
    conditional_likelihood_test,
    fixed_draws,
    likelihood_test,
    magnitude_test,
    poisson_draws,
    spatial_test,
)
from tasks.scoring.gridded import joint_log_likelihood, simulate

TESTS = {
    "CL": conditional_likelihood_test,
    "S": spatial_test,
    "M": magnitude_test,
}


def by_hand(rates: np.ndarray, draws: Draws) -> list[float]:
    """The statistic of each simulated catalog, one event at a time."""
    edges = np.cumsum(rates) / rates.sum()
    found, start = [], 0
    for n in draws.events:
        places = [int(np.argmax(u < edges)) for u in draws.uniforms[start : start + n]]
        counts = np.bincount(np.array(places, int), minlength=rates.size)
        found.append(stats.poisson.logpmf(counts, rates).sum())
        start += n
    return found


@settings(max_examples=30, deadline=None)
@given(
    rates=st.lists(st.floats(1e-6, 20.0), min_size=1, max_size=9),
    events=st.lists(st.integers(0, 30), min_size=1, max_size=8),
    seed=st.integers(0, 1000),
)
def test_simulated_statistics_equal_the_poisson_law_bin_by_bin(rates, events, seed):
    expected = np.array(rates)
    number = np.array(events)
    draws = Draws(number, np.random.default_rng(seed).random(int(number.sum())))
    found = simulate(expected, expected, float(expected.sum()), [draws])
    np.testing.assert_allclose(found, by_hand(expected, draws), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(1.0, 0.0), 0.5, np.nextafter(0.5, 0.0)])
def test_an_event_at_the_edge_of_a_bin_falls_into_one_that_can_have_it(uniform):
    rates = np.array([0.0, 1.0, 0.0, 1.0, 0.0])
    draws = Draws(np.array([1]), np.array([uniform]))
    assert simulate(rates, rates, 2.0, [draws])[0] == -2.0
    many = np.full(300_000, 0.1)
    assert np.isfinite(simulate(many, many, 3e4, [draws])[0])


def test_the_conditional_quantile_equals_the_sum_over_all_arrangements():
    rates, counts = np.array([0.5, 1.5, 3.0]), np.array([2, 1, 0])
    share = rates / rates.sum()
    observed = joint_log_likelihood(rates, counts, rates.sum())
    exact = 0.0
    for places in itertools.product(range(3), repeat=3):
        drawn = np.bincount(places, minlength=3)
        if joint_log_likelihood(rates, drawn, rates.sum()) <= observed + 1e-12:
            exact += math.prod(share[k] for k in places)
    found = conditional_likelihood_test(rates, counts, fixed_draws(3, 40_000, 1))
    assert found.at_most == pytest.approx(exact, abs=0.01)
    assert found.observed == pytest.approx(stats.poisson.logpmf(counts, rates).sum())


@pytest.mark.parametrize("name", ["L", *TESTS])
def test_a_true_model_is_rejected_as_often_as_stated(name):
    rng = np.random.default_rng(3)
    rates = rng.gamma(1.0, 0.4, 60)
    rejected = 0
    for seed in range(300):
        counts = rng.poisson(rates)
        if name == "L":
            found = likelihood_test(rates, counts, poisson_draws(rates.sum(), 400, seed))
        else:
            found = TESTS[name](rates, counts, fixed_draws(int(counts.sum()), 400, seed))
        rejected += found.p_value < 0.1
    assert 0.05 < rejected / 300 < 0.16


def test_scaling_a_forecast_changes_neither_where_nor_how_large():
    rates = np.random.default_rng(0).gamma(1.0, 1.0, 30)
    counts = np.random.default_rng(1).poisson(rates)
    n = int(counts.sum())
    for test in (spatial_test, magnitude_test):
        one, ten = (test(k * rates, counts, fixed_draws(n, 500, 5)) for k in (1.0, 10.0))
        assert one.observed == pytest.approx(ten.observed)
        assert one.at_most == ten.at_most


def test_events_where_a_model_says_never_are_impossible_not_an_error():
    rates, counts = np.array([1.0, 0.0]), np.array([0, 1])
    found = spatial_test(rates, counts, fixed_draws(1, 100, 0))
    assert found.observed == -math.inf
    assert found.p_value == 0.0


def test_equal_sums_in_another_order_are_ties():
    rates = np.array([0.1, 0.1, 0.1, 0.7])
    found = magnitude_test(rates, np.array([1, 1, 1, 0]), fixed_draws(3, 2000, 0))
    drawn = magnitude_test(rates, np.array([0, 1, 1, 1]), fixed_draws(3, 2000, 0))
    assert found.at_most < drawn.at_most
    assert found.at_most + found.at_least > 1.0


def test_draws_are_the_same_for_a_seed_and_as_many_as_asked():
    assert sum(d.events.size for d in fixed_draws(400_000, 7, 0)) == 7
    first, again = (np.concatenate([d.uniforms for d in poisson_draws(3.0, 50, 9)]) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("rates", [[-1.0, 2.0], [math.nan, 1.0], [0.0, 0.0]])
def test_impossible_rates_are_refused(rates):
    with pytest.raises(ValueError, match="expected finite rates of 0 or more"):
        spatial_test(np.array(rates), np.array([1, 0]), fixed_draws(1, 10, 0))
    with pytest.raises(ValueError, match="one shape"):
        spatial_test(np.ones(3), np.ones(2, int), fixed_draws(2, 10, 0))
