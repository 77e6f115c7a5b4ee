"""Sequences, Holm, equivalence and power: what turns a gain into a decision."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.scoring import (
    equivalence,
    holm,
    information_gain,
    interval,
    number_power,
    sequence_draws,
    sequence_labels,
    simulated_power,
    spatial_test,
)
from tasks.scoring.gridded import fixed_draws


@given(
    hits=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=9),
    reach=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
)
def test_sequences_are_the_chains_of_bins_within_reach(hits, reach):
    counts = np.zeros((10, 6, 6), int)
    for hit in hits:
        counts[hit] += 1
    labels = sequence_labels(counts, reach)
    places = sorted(set(hits))
    group = {p: p for p in places}
    for _ in places:  # merge by brute force until nothing changes
        for a in places:
            for b in places:
                if all(abs(i - j) <= r for i, j, r in zip(a, b, reach, strict=True)):
                    group[a] = group[b] = min(group[a], group[b])
    for a in places:
        for b in places:
            assert (labels[a] == labels[b]) == (group[a] == group[b])
    assert (labels[counts > 0] > 0).all()


def test_one_sequence_that_holds_the_gain_makes_the_interval_wide():
    rng = np.random.default_rng(0)
    counts = np.zeros((200, 4, 4), int)
    counts[rng.integers(0, 200, 40), 0, 0] += 1
    counts[100:110, 3, 3] = 4
    reference = np.full(counts.shape, 0.01)
    lucky = reference.copy()
    lucky[100:110, 3, 3] *= 20
    draws, number, effective, largest = sequence_draws(
        lucky, reference, counts, sequence_labels(counts, (1, 1, 1)), 2000, 0
    )
    low, high = interval(draws, 0.95)
    gain = information_gain(lucky, reference, counts).per_earthquake
    assert number > 20
    assert 3.0 < effective < 5.0
    assert largest == pytest.approx(40 / counts.sum())
    assert low < 0.2 * gain < gain < high


def clustered_world(rng, windows=400):
    """Sequences of random size, a model that half foresees them and one that knows only their mean."""
    size = np.where(rng.random(windows) < 0.12, 3.0 * rng.lognormal(0, 0.6, windows), 0.0)
    counts = rng.poisson(size)
    foreseen = 0.05 + size * np.exp(rng.normal(-0.05, 0.4, windows))
    steady = np.full(windows, 0.05 + 0.12 * 3.0 * np.exp(0.18))
    labels = np.where(counts > 0, 1 + np.arange(windows), 0)
    return tuple(array.reshape(-1, 1, 1) for array in (foreseen, steady, counts, labels))


def test_the_sequence_interval_covers_the_gain_of_all_worlds():
    rng = np.random.default_rng(1)
    gains = [information_gain(*clustered_world(rng)[:3]) for _ in range(1500)]
    truth = sum(g.per_window.sum() for g in gains) / sum(g.events.sum() for g in gains)
    hits, repeats = 0, 200
    for seed in range(repeats):
        low, high = interval(sequence_draws(*clustered_world(rng), 300, seed).draws, 0.9)
        hits += low <= truth <= high
    assert 0.8 < hits / repeats < 0.96


def test_what_a_model_expects_of_a_sequence_comes_and_goes_with_it():
    counts = np.zeros((60, 3, 3), int)
    counts[5, 0, 0] = counts[50, 0, 0] = 2
    counts[25:31, 2, 2] = 20
    steady = np.full(counts.shape, 0.1)
    clustering = steady.copy()
    clustering[25:31, 2, 2] = 30.0
    labels = sequence_labels(counts, (3, 1, 1))
    draws, number, effective, largest = sequence_draws(clustering, steady, counts, labels, 500, 0)
    assert (number, largest) == (3, 120 / 124)
    assert effective == pytest.approx(124**2 / (120**2 + 2 * 2**2))
    # Where the swarm is not drawn, nobody is charged for having expected it: the models are the same there.
    assert draws.min() == pytest.approx(0.0, abs=1e-12)
    assert draws.max() == pytest.approx(np.log(300) - 6 * 29.9 / 120)


def test_fewer_than_two_sequences_give_no_interval():
    counts = np.zeros((5, 2, 2), int)
    counts[1:3, 0, 0] = 3
    ones = np.ones(counts.shape)
    draws, number, effective, largest = sequence_draws(
        ones, ones, counts, sequence_labels(counts, (1, 1, 1)), 100, 0
    )
    assert (draws.size, number, effective, largest) == (0, 1, 1.0, 1.0)
    assert np.isnan(interval(draws, 0.9)).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_keeps_their_order_and_is_bonferroni_for_the_smallest(p_values):
    adjusted = holm(dict(enumerate(p_values)))
    for i, p in enumerate(p_values):
        assert p <= adjusted[i] <= 1.0
        for j, q in enumerate(p_values):
            assert adjusted[i] <= adjusted[j] or p >= q
    smallest = int(np.argmin(p_values))
    assert adjusted[smallest] == pytest.approx(min(1.0, len(p_values) * p_values[smallest]))


def test_holm_of_a_known_example_and_with_a_missing_value():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "none": math.nan})
    assert {k: found[k] for k in "abcd"} == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert math.isnan(found["none"])


def test_equality_is_claimed_of_a_narrow_interval_round_zero_and_not_of_a_wide_one():
    rng = np.random.default_rng(2)
    assert equivalence(rng.normal(0.001, 0.004, 2000), 0.02).p_value < 0.01
    assert equivalence(rng.normal(0.0, 0.1, 2000), 0.02).p_value > 0.3
    assert equivalence(rng.normal(0.05, 0.004, 2000), 0.02).p_value > 0.95
    assert math.isnan(equivalence(np.empty(0), 0.02).p_value)


def test_a_test_rejects_the_truth_as_often_as_its_level_and_a_wrong_forecast_more_with_more_events():
    truth = np.geomspace(1, 0.01, 40)
    uniform = np.full(40, truth.mean())
    assert simulated_power("S", truth, truth, 50, 4000, 1) == pytest.approx(0.05, abs=0.02)
    flat = np.geomspace(1, 0.5, 40)
    few, many = (simulated_power("S", flat, truth / truth.sum(), n, 1000, 1) for n in (2, 50))
    assert few < 0.7 * many
    assert many > 0.95
    # Nothing is as unlikely under a uniform law as anything else: the test cannot see a uniform forecast fail.
    assert simulated_power("S", truth, uniform, 1, 1000, 1) < 0.05


def test_power_equals_how_often_the_test_itself_rejects():
    rng = np.random.default_rng(5)
    truth, forecast = rng.gamma(1.0, 1.0, 25), rng.gamma(1.0, 1.0, 25)
    rejected = 0
    for seed in range(300):
        counts = rng.multinomial(12, truth / truth.sum())
        rejected += spatial_test(forecast, counts, fixed_draws(12, 400, seed)).p_value < 0.05
    assert simulated_power("S", truth, forecast, 12, 4000, 7) == pytest.approx(rejected / 300, abs=0.08)


@pytest.mark.parametrize(("truth", "forecast"), [(10.0, 10.0), (10.0, 20.0), (3.0, 0.5), (200.0, 150.0)])
def test_the_power_of_the_number_test_is_the_share_of_numbers_that_it_rejects(truth, forecast):
    from tasks.scoring import n_test

    numbers = np.arange(0, 500)
    rejected = np.array([n_test(forecast, int(n)).p_value < 0.05 for n in numbers])
    expected = stats.poisson.pmf(numbers, truth)[rejected].sum()
    assert number_power(truth, forecast) == pytest.approx(expected, abs=1e-9)


def test_the_gain_splits_into_time_space_and_magnitude_that_add_up():
    rng = np.random.default_rng(6)
    time, space, size = (
        rng.gamma(2, 1, (9, 1, 1, 1)),
        rng.gamma(2, 1, (1, 3, 4, 1)),
        rng.gamma(2, 1, (1, 1, 1, 5)),
    )
    reference = np.full((9, 3, 4, 5), 0.3)
    counts = rng.poisson(0.4, reference.shape)

    def split(factor):
        found = information_gain(reference * factor, reference, counts)
        n = counts.sum()
        return found.time / n, found.space / n, found.magnitude / n, found.per_earthquake

    only_time = split(time)
    assert only_time[1:3] == pytest.approx((0, 0), abs=1e-9)
    assert split(space / space.mean())[0] == pytest.approx(0, abs=1e-9)
    assert split(space / space.mean())[2] == pytest.approx(0, abs=1e-9)
    by_size = size / size.mean()
    expected = (counts.sum(axis=(0, 1, 2)) * np.log(by_size).ravel()).sum() / counts.sum()
    assert split(by_size)[2] == pytest.approx(expected)
    parts = split(time * space * size * rng.gamma(5, 0.2, reference.shape))
    assert sum(parts[:3]) == pytest.approx(parts[3])
