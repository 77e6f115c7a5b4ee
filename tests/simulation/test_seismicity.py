"""The truth obeys the law that the configuration states."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from tasks.regions import Region
from tasks.simulation import SimulationConfig, World, simulate_world


def test_equal_seeds_give_equal_worlds(small_region: Region, small_config: SimulationConfig) -> None:
    first, second = (simulate_world(small_region, small_config, seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(first.events, second.events)
    assert first.slips == second.slips
    np.testing.assert_array_equal(first.load, second.load)


def test_other_seeds_give_other_worlds(small_region: Region, small_config: SimulationConfig) -> None:
    first, second = (simulate_world(small_region, small_config, seed=s) for s in (5, 6))
    assert not np.array_equal(first.events["magnitude"][:50], second.events["magnitude"][:50])


def test_events_are_sorted_and_parents_come_first(demo_world: World) -> None:
    time = demo_world.events["time_days"].to_numpy()
    parent = demo_world.events["parent"].to_numpy()
    child = np.flatnonzero(parent >= 0)
    assert np.all(np.diff(time) >= 0)
    assert np.all(time[parent[child]] < time[child])


def test_b_value_is_recovered(demo_world: World) -> None:
    # Aki (1965); the truncation at M 7 changes b by less than its error
    magnitude = demo_world.events["magnitude"].to_numpy()
    b = 1 / (np.log(10) * (magnitude.mean() - 2.5))
    assert abs(b - 1.0) < 3 * b / np.sqrt(len(magnitude))


def test_branching_ratio_is_that_of_the_config(demo_world: World) -> None:
    rng = np.random.default_rng(0)
    law = demo_world.law
    productivity = law.productivity(law.draw_magnitudes(400_000, rng))
    error = productivity.std() / np.sqrt(len(productivity))
    assert abs(productivity.mean() - demo_world.config.seismicity.branching_ratio) < 4 * error
    assert demo_world.config.seismicity.branching_ratio == pytest.approx(0.55, abs=0.05)


def test_offspring_are_as_many_as_their_parents_should_have(demo_world: World) -> None:
    events, law = demo_world.events, demo_world.law
    c, p = law.config.omori_c_days, law.config.omori_p
    observable = 1 - (1 + (demo_world.days - events["time_days"].to_numpy()) / c) ** (1 - p)
    expected = float((law.productivity(events["magnitude"].to_numpy()) * observable).sum())
    assert abs((events["parent"] >= 0).sum() - expected) < 4 * np.sqrt(expected)


def test_omori_p_is_recovered(demo_world: World) -> None:
    time, parent = (demo_world.events[k].to_numpy() for k in ("time_days", "parent"))
    child = np.flatnonzero(parent >= 0)
    delay, limit = time[child] - time[parent[child]], demo_world.days - time[parent[child]]
    c = demo_world.config.seismicity.omori_c_days

    def cost(p: float) -> float:
        seen = 1 - (1 + limit / c) ** (1 - p)
        return float(-np.sum(np.log((p - 1) / c) - p * np.log1p(delay / c) - np.log(seen)))

    p = minimize_scalar(cost, bounds=(1.01, 1.9), method="bounded").x
    assert p == pytest.approx(demo_world.config.seismicity.omori_p, abs=0.03)


def test_slow_slip_multiplies_the_local_background_by_its_factor(demo_world: World) -> None:
    slip = demo_world.slips[0]
    alone = replace(demo_world.background, slips=(slip,))
    x, y = np.array([slip.x]), np.array([slip.y])
    day = np.floor(slip.start) + 1
    during = alone.rate(np.array([day]), x, y)
    without = replace(alone, slips=()).rate(np.array([day]), x, y)
    # the footprint is constant in a sub-cell, whose centre is up to 1.4 km from the slip's
    assert during / without == pytest.approx(slip.factor, rel=0.02)


def test_slow_slip_causes_as_many_events_as_its_law_says(demo_world: World) -> None:
    background = demo_world.background
    expected = 0.0
    for slip in demo_world.slips:
        ends = np.clip([slip.start, slip.end], 0, demo_world.days)
        expected += background.extra_field(slip).sum() * np.diff(background.load_integral(ends))[0]
    caused = (demo_world.events["slow_slip"] >= 0).sum()
    assert caused > 500
    assert abs(caused - expected) < 4 * np.sqrt(expected)


def test_count_agrees_with_the_integral_of_the_realised_intensity(demo_world: World) -> None:
    start = [demo_world.start]
    horizon = [demo_world.days]
    expected = float(demo_world.clairvoyant_archive(start, horizon).sum())
    count = float(demo_world.true_counts(start, horizon).sum())
    assert abs(count - expected) < 4 * np.sqrt(expected)


def test_intensity_is_the_density_of_the_clairvoyant_count(demo_world: World) -> None:
    rng = np.random.default_rng(0)
    n, begin, box = 3000, 1500.0, demo_world.region.bounds
    time = demo_world.to_time(begin + 10 * rng.uniform(size=n))
    latitude, longitude = rng.uniform(box.south, box.north, n), rng.uniform(box.west, box.east, n)
    edges = [len(demo_world.region.latitudes), len(demo_world.region.longitudes)]
    x, y = demo_world.domain.x_edges, demo_world.domain.y_edges
    area = (x[1] - x[0]) * edges[1] * (y[1] - y[0]) * edges[0]
    sampled = demo_world.intensity(time, latitude, longitude) * area * 10
    expected = float(demo_world.clairvoyant_archive(demo_world.to_time([begin]), [10]).sum())
    assert abs(sampled.mean() - expected) < 4 * sampled.std() / np.sqrt(n)
