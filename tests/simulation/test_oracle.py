"""The oracle is calibrated, sees nothing of the future, and is worth more than a law without the hidden state."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from tasks.regions import Region
from tasks.simulation import SimulationConfig, World, simulate_world
from tasks.simulation.rain import RainLaw
from tasks.simulation.slow_slip import SlowSlipLaw

HORIZONS = [1, 7, 30]


def log_likelihood(counts: np.ndarray, expected: np.ndarray) -> float:
    return float((counts * np.log(expected) - expected).sum())


def test_oracle_is_the_mean_count_over_many_worlds(
    demo_region: Region, demo_config: SimulationConfig
) -> None:
    dates = {"start": date(2012, 1, 1), "catalog_start": date(2012, 1, 1), "end": date(2012, 7, 1)}
    region = demo_region.model_copy(update=dates)
    surplus = []
    for seed in range(40):
        world = simulate_world(region, demo_config, seed)
        issue = world.start + np.array([0, 75, 150], dtype="timedelta64[D]")
        difference = world.true_counts(issue, HORIZONS) - world.oracle_archive(issue, HORIZONS)
        surplus.append(difference.sum(("lat", "lon")).to_numpy())
    values = np.concatenate(surplus)
    error = values.std(axis=0) / np.sqrt(len(values))
    assert np.all(np.abs(values.mean(axis=0)) < 3.5 * error)


def test_oracle_does_not_look_ahead(demo_world: World) -> None:
    issue = demo_world.to_time([1200.0])
    known = demo_world.events[demo_world.events["time_days"] <= 1200.0]
    slips = tuple(s for s in demo_world.slips if s.start <= 1200.0)
    extended = tuple(replace(s, duration=s.duration + 50) if s.end > 1200.0 else s for s in slips)
    assert extended != slips
    load = demo_world.load.copy()
    load[1201:] = 99.0
    changed = replace(
        demo_world,
        events=known,
        load=load,
        slips=extended,
        background=replace(demo_world.background, slips=extended),
    )
    before = demo_world.oracle_archive(issue, HORIZONS)
    np.testing.assert_allclose(changed.oracle_archive(issue, HORIZONS), before, rtol=1e-5)


def test_clairvoyant_explains_the_counts_better_than_the_oracle(demo_world: World) -> None:
    issue = demo_world.to_time(np.arange(500.0, 2800.0, 30.0))
    counts, oracle, clairvoyant = (
        method(issue, [7]).to_numpy()
        for method in (demo_world.true_counts, demo_world.oracle_archive, demo_world.clairvoyant_archive)
    )
    assert log_likelihood(counts, clairvoyant) > log_likelihood(counts, oracle)


def test_hidden_state_is_worth_a_tenth_of_a_nat_per_event(demo_world: World) -> None:
    issue = demo_world.to_time(np.arange(500.0, 2850.0, 7.0))
    background, law = demo_world.background, demo_world.expectation.slip_law
    share = law.arrivals_per_day * law.config.duration_mean_days
    stationary = background.field * (1 + share * law.mean_extra_factor(background.domain))
    blind = replace(
        demo_world.expectation,
        background=replace(background, field=stationary * background.load_factor.mean(), slips=()),
        slip_law=SlowSlipLaw(law.config.model_copy(update={"per_year": 0.0}), law.faults),
        law=replace(demo_world.law, config=demo_world.law.config.model_copy(update={"load_beta": 0.0})),
    )
    counts = demo_world.true_counts(issue, [7]).to_numpy()
    oracle = demo_world.oracle_archive(issue, [7]).to_numpy()
    etas = blind.oracle(demo_world.to_days(issue), np.array([7.0]))
    gain = (log_likelihood(counts, oracle) - log_likelihood(counts, etas)) / counts.sum()
    assert gain > 0.1


def test_window_past_the_end_is_refused(demo_world: World) -> None:
    issue = demo_world.to_time([demo_world.days - 3.0])
    with pytest.raises(ValueError, match="within the 2922 days"):
        demo_world.clairvoyant_archive(issue, [7])


def test_expected_load_factor_is_the_mean_over_drawn_rain(demo_config: SimulationConfig) -> None:
    law = RainLaw(demo_config.weather, 0.0)
    rng = np.random.default_rng(0)
    draws = [law.draw(12, rng) for _ in range(4000)]
    beta = 1.0
    # every draw is a state at day 2 and, ten days later, an outcome
    state = np.array([load[2] for _, _, load in draws])
    wet = np.array([w[2] for _, w, _ in draws])
    outcome = np.exp(beta * np.array([load[12] for _, _, load in draws]))
    expected = law.expected_factor(beta, np.full(len(draws), 2), state, wet, 10)[:, 10]
    error = (outcome - expected).std() / np.sqrt(len(draws))
    assert abs((outcome - expected).mean()) < 4 * error


def test_expected_days_left_are_those_of_drawn_durations(demo_world: World) -> None:
    law = demo_world.expectation.slip_law
    rng = np.random.default_rng(0)
    c = law.config
    duration = rng.gamma(c.duration_shape, c.duration_mean_days / c.duration_shape, 200_000)
    left = np.minimum(duration[duration > 20] - 20, 30)
    expected = law.expected_days_left(np.array([20.0]), np.array([30.0]))[0]
    assert left.mean() == pytest.approx(expected, abs=4 * left.std() / np.sqrt(len(left)))
