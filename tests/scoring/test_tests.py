import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.scoring import (
    Gain,
    block_bootstrap,
    brier_score,
    load_scoring,
    n_test,
    negative_binomial_log_likelihood,
    poisson_log_likelihood,
    reliability,
    wilson_interval,
)


@given(forecast=st.floats(0.1, 200.0), observed=st.integers(0, 300))
def test_the_number_test_equals_the_sums_of_the_poisson_law(forecast, observed):
    found = n_test(forecast, observed)
    below = sum(
        math.exp(-forecast + k * math.log(forecast) - math.lgamma(k + 1)) for k in range(observed + 1)
    )
    assert found.delta2 == pytest.approx(below, rel=1e-6, abs=1e-12)
    assert found.delta1 + found.delta2 == pytest.approx(1 + stats.poisson.pmf(observed, forecast), abs=1e-9)


def test_the_negative_binomial_number_test_has_the_given_variance():
    found = n_test(10.0, 25, variance=60.0)
    size, share = 10.0**2 / 50.0, 10.0 / 60.0
    assert stats.nbinom(size, share).var() == pytest.approx(60.0)
    assert found.delta1 == pytest.approx(stats.nbinom(size, share).sf(24))
    assert found.delta1 > n_test(10.0, 25).delta1


@pytest.mark.parametrize(("forecast", "variance"), [(0.0, None), (math.nan, None), (5.0, 4.0)])
def test_an_impossible_number_test_is_refused(forecast, variance):
    with pytest.raises(ValueError, match="N-test: expected"):
        n_test(forecast, 3, variance)


def test_log_likelihoods_equal_scipy():
    rng = np.random.default_rng(0)
    rates, counts = rng.gamma(1.0, 1.0, (4, 3, 2)), rng.poisson(1.0, (4, 3, 2))
    poisson = stats.poisson.logpmf(counts, rates).sum(axis=(1, 2))
    np.testing.assert_allclose(poisson_log_likelihood(rates, counts), poisson)
    negative = stats.nbinom.logpmf(counts, 2.0, 2.0 / (2.0 + rates)).sum(axis=(1, 2))
    np.testing.assert_allclose(negative_binomial_log_likelihood(rates, counts, 0.5), negative)
    np.testing.assert_allclose(negative_binomial_log_likelihood(rates, counts, 1e-7), poisson, rtol=1e-5)


def gain(per_window, events):
    return Gain(np.asarray(per_window, float), np.asarray(events), np.zeros(int(np.sum(events))), 0.0, 0.0)


def test_the_bootstrap_interval_covers_as_stated():
    rng = np.random.default_rng(5)
    hits = 0
    for seed in range(150):
        events = rng.poisson(2.0, 120)
        low, high = block_bootstrap(gain(0.3 * events + rng.normal(0, 1, 120), events), 4, 300, 0.9, seed)
        hits += low <= 0.3 <= high
    assert 0.8 < hits / 150 < 0.97


def test_blocks_widen_the_interval_of_correlated_windows():
    noise = np.repeat(np.random.default_rng(6).normal(0, 1, 30), 10)
    one = gain(noise, np.ones(300, int))
    narrow, wide = (np.ptp(block_bootstrap(one, length, 1000, 0.95, 0)) for length in (1, 10))
    assert wide > 2 * narrow


def test_one_block_with_events_gives_no_interval():
    assert np.isnan(block_bootstrap(gain([1.0, 2.0, 0.0], [1, 2, 0]), 2, 100, 0.95, 0)).all()


def test_the_wilson_interval_equals_scipy():
    expected = stats.binomtest(7, 40).proportion_ci(0.95, method="wilson")
    assert wilson_interval(7, 40, 0.95) == pytest.approx((expected.low, expected.high))
    assert np.isnan(wilson_interval(0, 0, 0.95)).all()


def test_reliability_counts_every_cell_once_and_keeps_the_edges():
    probability = np.array([0.0, 0.05, 0.1, 0.5, 1.0])
    table = reliability(probability, probability > 0.3, (0.0, 0.1, 0.5, 1.0))
    assert [row.n for row in table] == [2, 1, 2]
    assert [row.observed for row in table] == [0.0, 0.0, 1.0]
    assert brier_score(np.array([0.0, 1.0]), np.array([False, True])) == 0.0


def test_the_default_configuration_loads_and_a_wrong_one_is_named(conf, tmp_path):
    assert load_scoring(conf).horizons_days == (1, 7, 30)
    (tmp_path / "scoring").mkdir()
    (tmp_path / "scoring" / "odd.yaml").write_text("reliability_edges: [0.5, 1.0]\nspeed: 3\n")
    with pytest.raises(ValueError, match=r"odd\.yaml.*(?s:.)*speed"):
        load_scoring(tmp_path, "odd")
    with pytest.raises(ValueError, match=r"none\.yaml: no such.*'odd'"):
        load_scoring(tmp_path, "none")
