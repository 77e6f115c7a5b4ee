"""Nearest neighbours against brute force, and the share of background against simulated family trees."""

from types import SimpleNamespace

import numpy as np
import pytest

from tasks.regions import Region
from tasks.seismicity.declustering import DIMENSION, LEAST_KM, nearest_neighbours
from tasks.seismicity.etas import EtasModel
from tasks.seismicity.geometry import Plane


@pytest.fixture(scope="module")
def families(model: EtasModel, branching: SimpleNamespace, region: Region) -> tuple[np.ndarray, np.ndarray]:
    """Events (day, x, y, magnitude) of ten years, and which of them have no parent."""
    rng = np.random.default_rng(12)
    roots = branching.draw_background(model, Plane.of(region), 0.0, 3650.0, rng)
    children = branching.cascade(roots, model.parameters, 0.0, 3650.0, rng)
    rows = np.concatenate([roots, children])
    order = np.argsort(rows[:, 0])
    return rows[order], (np.arange(len(rows)) < len(roots))[order]


def test_neighbours_are_those_of_brute_force(families):
    rows = families[0][:300]
    day, x, y, magnitude = rows.T
    found = nearest_neighbours(day, x, y, magnitude, 1.0)
    for j in range(1, 300):
        distance = np.maximum(np.hypot(x[:j] - x[j], y[:j] - y[j]), LEAST_KM)
        eta = (day[j] - day[:j]) / 365.25 * distance**DIMENSION * 10.0 ** -magnitude[:j]
        assert found.parent[j] == int(eta.argmin())
        assert found.log_eta[j] == pytest.approx(np.log10(eta.min()), abs=1e-9)
    assert found.parent[0] == -1
    assert found.background[0] == 1
    np.testing.assert_allclose(found.log_time[1:] + found.log_distance[1:], found.log_eta[1:], atol=1e-9)


def test_the_share_of_background_is_that_of_the_simulation(families):
    rows, is_root = families
    found = nearest_neighbours(*rows.T, 1.0)
    assert found.background.mean() == pytest.approx(is_root.mean(), abs=0.08)
    # Background and triggered events overlap in every declustering; four of five are told apart here.
    right = (found.background > 0.5) == is_root
    assert right.mean() > 0.8


def test_a_poisson_catalog_with_one_burst_is_two_modes():
    rng = np.random.default_rng(13)
    quiet = np.column_stack(
        [rng.random(1000) * 7300, rng.random((1000, 2)) * 200, 3 + rng.exponential(0.43, 1000)]
    )
    burst = np.column_stack(
        [3000 + rng.random(300) ** 3 * 5, 100 + rng.normal(0, 1, (300, 2)), 3 + rng.exponential(0.43, 300)]
    )
    rows = np.concatenate([quiet, burst])
    order = np.argsort(rows[:, 0])
    found = nearest_neighbours(*rows[order].T, 1.0)
    in_burst = order >= 1000
    assert found.background[in_burst].mean() < 0.05
    assert found.background[~in_burst].mean() > 0.95


def test_unsorted_or_few_events_are_refused():
    day = np.arange(20.0)
    with pytest.raises(ValueError, match="in order of time"):
        nearest_neighbours(day[::-1], day, day, day, 1.0)
    with pytest.raises(ValueError, match="ten events or more"):
        nearest_neighbours(day[:5], day[:5], day[:5], day[:5], 1.0)
