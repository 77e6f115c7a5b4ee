"""The map of smoothed seismicity: what it is made of is chosen within the training period, blasts are left out."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from tasks.regions import Region
from tasks.seismicity import fit_smoothed
from tasks.seismicity.catalog import Events
from tasks.seismicity.geometry import Plane
from tasks.seismicity.kernels import cell_masses
from tasks.seismicity.smoothing import Q1, background_weights, choose_smoothing, kernel_sums

NEAR_NOON = 117.5 / 360.0


def rows_of(rng: np.random.Generator, day: np.ndarray, x: object, y: object) -> np.ndarray:
    magnitude = 3.0 + rng.exponential(0.43, day.size)
    return np.column_stack([day, np.broadcast_to(x, day.size), np.broadcast_to(y, day.size), magnitude])


def as_events(rows: np.ndarray) -> Events:
    day, x, y, magnitude = rows[np.argsort(rows[:, 0])].T
    return Events(day, x, y, magnitude, np.ones(day.size, bool), np.arange(day.size))


@pytest.fixture
def quiet() -> np.ndarray:
    """Background on one line, from 2001 to 2016."""
    rng = np.random.default_rng(1)
    return rows_of(rng, 11400 + rng.random(400) * 5300, rng.uniform(-40, 40, 400), 10.0)


def test_a_burst_that_does_not_come_again_is_left_out_of_the_map(quiet, region):
    rng = np.random.default_rng(2)
    burst = rows_of(rng, 12000 + rng.random(300) ** 3 * 20, -20 + rng.normal(0, 1, 300), -20.0)
    events, plane = as_events(np.concatenate([quiet, burst])), Plane.of(region)
    weightings = background_weights(events, plane, region)
    assert choose_smoothing(events, weightings, plane)[0] == "declustered"


def test_what_clusters_again_and_again_stays_in_the_map(quiet, region):
    rng = np.random.default_rng(3)
    bursts = [rows_of(rng, 11500 + 500 * k + rng.random(80) * 3, -20.0, -20.0) for k in range(10)]
    events, plane = as_events(np.concatenate([quiet, *bursts])), Plane.of(region)
    weightings = background_weights(events, plane, region)
    assert choose_smoothing(events, weightings, plane)[0] == "all"


def test_blasts_are_left_out_of_the_map_but_not_of_the_rate(
    quiet, region: Region, as_catalog: Callable[..., xr.Dataset]
):
    rng = np.random.default_rng(4)
    working = 11500 + rng.permutation(5000)[:200]
    by_day = rows_of(rng, working + NEAR_NOON + rng.uniform(10, 15, 200) / 24, -25.0, -25.0)
    by_night = by_day + np.array([0.5, 0, 0, 0])
    day, night = (fit_smoothed(as_catalog(np.concatenate([quiet, r])), region) for r in (by_day, by_night))
    assert day.rate_per_day.attrs["suspected_blasts"] > 190
    assert night.rate_per_day.attrs["suspected_blasts"] == 0
    plane = Plane.of(region)
    cell = int((-25 - plane.south) // plane.dy), int((-25 - plane.west) // plane.dx)
    assert day.rate_per_day.values[cell] < 0.1 * night.rate_per_day.values[cell]
    assert float(day.rate_per_day.sum()) == pytest.approx(float(night.rate_per_day.sum()), rel=1e-9)


def test_few_events_get_a_fixed_choice(quiet, region):
    events, plane = as_events(quiet[:15]), Plane.of(region)
    assert choose_smoothing(events, background_weights(events, plane, region), plane) == ("all", 8)


def test_kernel_sums_are_the_masses_of_the_power_law():
    x, y, d, weight = (
        np.array([3.0, -41.0]),
        np.array([0.2, 60.0]),
        np.array([0.7, 12.0]),
        np.array([2.0, 0.5]),
    )
    edges_x, edges_y = np.linspace(-45.0, 45.0, 10), np.linspace(-30.0, 50.0, 6)
    masses = cell_masses(x, y, d**2, Q1, edges_x, edges_y)
    found = kernel_sums(x, y, d, weight, edges_x, edges_y)
    # The other one takes 2 x 2 Gauss points in far cells.
    np.testing.assert_allclose(found.ravel(), weight @ masses, rtol=3e-3)
    wide = np.array([-1e6, 1e6])
    assert kernel_sums(x, y, d, weight, wide, wide)[0, 0] == pytest.approx(weight.sum(), rel=1e-4)
