"""Tests on simulated catalogs, against a loop over the catalogs and under their own null."""

import math

import numpy as np
import pytest

from tasks.scoring import SimulatedCatalogs, catalog_tests, compare_catalog_tests


def simulated(
    seed: int, catalogs: int = 300, mean: float = 4.0, shape: tuple[int, int] = (6, 5)
) -> SimulatedCatalogs:
    rng = np.random.default_rng(seed)
    share = np.outer(np.geomspace(1, 0.1, shape[0]), np.geomspace(1, 0.05, shape[1])).ravel()
    events = rng.poisson(mean, catalogs)
    bins = rng.choice(share.size, int(events.sum()), p=share / share.sum())
    cell, magnitude = np.unravel_index(bins, shape)
    return SimulatedCatalogs(np.repeat(np.arange(catalogs), events), cell, magnitude, catalogs, *shape)


def counts_of(forecast: SimulatedCatalogs, catalog: int) -> np.ndarray:
    counts = np.zeros((forecast.cells, forecast.magnitudes), int)
    own = forecast.catalog == catalog
    np.add.at(counts, (forecast.cell[own], forecast.magnitude[own]), 1)
    return counts


def test_statistics_equal_a_loop_over_the_catalogs():
    forecast = simulated(0)
    every = [counts_of(forecast, i) for i in range(forecast.catalogs)]
    observed = every[3]
    n = observed.sum()
    mean = np.mean(every, axis=0)
    space, size = mean.sum(1), mean.sum(0)

    def pseudo(k):
        return (k.sum(1) * np.log(space)).sum() - space.sum()

    def spatial(k):
        return (k.sum(1) * np.log(space / space.sum())).sum() / k.sum()

    def distance(k):
        own = k.sum(0) * n / k.sum()
        return ((np.log10(own + 1) - np.log10(size * n / size.sum() + 1)) ** 2).sum()

    some = [k for k in every if k.sum()]
    found = catalog_tests(forecast, observed)
    for name, statistic, drawn in (("PL", pseudo, every), ("S", spatial, some), ("M", distance, some)):
        values = np.array([statistic(k) for k in drawn])
        assert found[name].observed == pytest.approx(statistic(observed))
        assert found[name].simulations == values.size
        assert found[name].at_most == pytest.approx(np.mean(values <= statistic(observed) + 1e-9))
        assert found[name].median == pytest.approx(np.median(values))
    assert found["N"].at_least == np.mean([k.sum() >= n for k in every])


def test_catalogs_of_the_same_law_are_rejected_as_often_as_stated():
    forecast = simulated(1, 400)
    rejected = dict.fromkeys(("N", "S", "M", "PL"), 0)
    for i in range(400):
        for name, result in catalog_tests(forecast, counts_of(forecast, i)).items():
            rejected[name] += result.p_value < 0.1
    assert rejected["S"] / 400 == pytest.approx(0.1, abs=0.03)
    assert rejected["M"] / 400 == pytest.approx(0.1, abs=0.03)
    assert rejected["PL"] / 400 == pytest.approx(0.1, abs=0.03)
    assert 0.0 < rejected["N"] / 400 < 0.11


def test_wrong_places_sizes_and_numbers_are_each_caught_by_their_own_test():
    forecast = simulated(2, 1000, mean=30.0)
    usual = np.zeros((6, 5), int)
    usual[0, 0] = 11
    usual[1, 0], usual[0, 1], usual[2, 1], usual[3, 0] = 7, 5, 4, 3
    place, size = np.zeros_like(usual), np.zeros_like(usual)
    place[5, 0], place[5, 1] = 18, 12
    size[0, 4], size[1, 4] = 18, 12
    assert catalog_tests(forecast, place)["S"].p_value < 0.01
    assert catalog_tests(forecast, size)["M"].p_value < 0.01
    assert catalog_tests(forecast, 4 * usual)["N"].p_value < 0.01
    assert catalog_tests(forecast, usual)["N"].p_value > 0.2


def test_events_in_cells_that_no_catalog_reaches_are_counted_and_left_out():
    forecast = simulated(3)._replace(cells=7)
    observed = np.zeros((7, 5), int)
    observed[6, 0] = 2
    assert math.isnan(catalog_tests(forecast, observed)["PL"].observed)
    observed[0, 0] = 1
    found = catalog_tests(forecast, observed)
    assert found["S"].events_left_out == found["PL"].events_left_out == 2
    assert math.isfinite(found["PL"].observed)


def test_without_observed_events_only_the_number_is_judged():
    found = catalog_tests(simulated(4), np.zeros((6, 5), int))
    assert found["N"].observed == 0.0
    assert all(math.isnan(found[name].p_value) for name in ("S", "M", "PL"))


def test_models_with_other_numbers_of_catalogs_are_not_compared():
    observed = counts_of(simulated(5), 0)
    with pytest.raises(ValueError, match=r"expected 300 simulated catalogs.*'short': 200"):
        compare_catalog_tests({"etas": simulated(5), "short": simulated(6, 200)}, observed, 300)
    assert set(compare_catalog_tests({"etas": simulated(5)}, observed, 300)) == {"etas"}


def test_wrong_shapes_and_bins_are_refused():
    forecast = simulated(7)
    with pytest.raises(ValueError, match="of shape"):
        catalog_tests(forecast, np.zeros((5, 6), int))
    with pytest.raises(ValueError, match="expected cell from 0 to 5"):
        catalog_tests(forecast._replace(cell=forecast.cell + 1), np.zeros((6, 5), int))
    empty = np.empty(0, int)
    with pytest.raises(ValueError, match="at least one simulated event"):
        catalog_tests(SimulatedCatalogs(empty, empty, empty, 10, 6, 5), np.zeros((6, 5), int))
