"""The engine of ETAS: closed forms, bundles against all pairs, EM against the gradient, published scores, recovery."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.seismicity.catalog import Events
from tasks.seismicity.etas import EtasModel
from tasks.seismicity.etas_law import mean_productivity
from tasks.seismicity.etas_likelihood import Problem, log_likelihood
from tasks.seismicity.etas_optimise import maximise, maximise_by_em, maximise_in_bundles, standard_errors
from tasks.seismicity.etas_simulation import as_parents, draw_batch, simulate
from tasks.seismicity.geometry import Plane
from tasks.seismicity.residuals import residuals, transformed_times

BETA, RANGE = math.log(10.0), 4.0
BOUNDS = (
    (-20.0, 10.0), (math.log(1e-3), math.log(0.98)), (0.0, 4.0), (math.log(1e-4), 0.0), (0.02, 1.0),
    (math.log(1e-2), math.log(400.0)), (0.0, 2.5), (math.log(0.1), math.log(3.0)), (math.inf, math.inf),
)  # fmt: skip
NONE = Events(*(np.empty(0) for _ in range(4)), np.empty(0, bool), np.empty(0, np.int64))


def theta_of(model: EtasModel) -> np.ndarray:
    """Return theta (9,) of a model whose magnitudes range over 4 units."""
    p = model.parameters
    n = p.k * math.exp(mean_productivity(p.alpha, BETA, RANGE)[0])
    logs = [math.log(v) for v in (p.mu, n, p.c, p.d, p.q - 1.0)]
    return np.array([logs[0], logs[1], p.alpha, logs[2], p.p - 1.0, logs[3], p.gamma, logs[4], math.inf])


def drawn(model: EtasModel, plane: Plane, days: float, seed: int) -> Problem:
    """Return the likelihood of a catalog drawn from the model, under its true background."""
    found = simulate(model, plane, NONE, 0.0, days, 1, seed)
    inside = (
        (found.x >= plane.west) & (found.x < plane.east) & (found.y >= plane.south) & (found.y < plane.north)
    )
    row = np.clip(((found.y - plane.south) / plane.dy).astype(int), 0, plane.rows - 1)
    column = np.clip(((found.x - plane.west) / plane.dx).astype(int), 0, plane.columns - 1)
    return Problem(
        t=found.days, x=found.x, y=found.y, m=found.magnitude - model.parameters.m0, target=inside,
        background=model.background[row, column] / (model.background.sum() * plane.dx * plane.dy),
        reach2=np.full(found.days.size, math.inf), start=0.0, end=days, box=plane.box, beta=BETA, m_range=RANGE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plane(region) -> Plane:
    return Plane.of(region)


@given(
    m=st.floats(0.0, 3.5), since=st.floats(0.01, 500.0), omega=st.floats(0.05, 0.8), c=st.floats(0.002, 0.3)
)
@settings(max_examples=30, deadline=None)
def test_one_parent_and_one_child_have_the_likelihood_of_omori_s_law(m, since, omega, c) -> None:
    n, alpha, mu, end = 0.5, 1.2, 0.01, 600.0
    theta = np.array(
        [math.log(mu), math.log(n), alpha, math.log(c), omega, 0.0, 0.0, math.log(0.5), math.inf]
    )
    problem = Problem(
        t=np.array([0.0, since]), x=np.zeros(2), y=np.zeros(2), m=np.array([m, 0.0]), target=np.array([False, True]),
        background=np.full(2, 1e-3), reach2=np.full(2, math.inf), start=0.0, end=end, box=None, beta=BETA,
        m_range=RANGE,
    )  # fmt: skip
    k = n / math.exp(mean_productivity(alpha, BETA, RANGE)[0])
    rate = (
        mu * 1e-3 + k * math.exp(alpha * m) * omega / c * (1.0 + since / c) ** (-1.0 - omega) * 0.5 / math.pi
    )

    def came(magnitude: float, time: float) -> float:
        return k * math.exp(alpha * magnitude) * (1.0 - (1.0 + time / c) ** -omega)

    exact = math.log(rate) - mu * end - came(m, end) - came(0.0, end - since)
    assert log_likelihood(theta, problem)[0] == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("seed", [1, 2])
def test_bundles_give_the_likelihood_of_all_pairs(model, plane, seed) -> None:
    busy = EtasModel(replace(model.parameters, mu=2.0), model.background)
    problem = drawn(busy, plane, 1500.0, seed)
    theta = theta_of(busy)
    plan = problem.pairs_in_bundles(theta)
    assert plan.evaluations < 0.6 * problem.pairs.evaluations
    exact, slopes, rate = log_likelihood(theta, problem)
    value, near, near_rate = log_likelihood(theta, problem, plan)
    n = problem.target.sum()
    assert abs(value - exact) < 1e-6 * n
    assert near == pytest.approx(slopes, abs=1e-4 * n)
    assert near_rate == pytest.approx(rate, rel=1e-3)


def test_three_ways_lead_to_one_maximum(model, plane) -> None:
    problem = drawn(model, plane, 1500.0, 3)
    start = theta_of(model) + np.array([0.2, -0.2, -0.2, 0.3, 0.05, -0.3, -0.2, 0.1, 0.0])
    by_gradient = maximise(start, problem, BOUNDS)
    in_bundles = maximise_in_bundles(start, problem, BOUNDS)
    by_em = maximise_by_em(start, problem, BOUNDS, 1e-7)
    n = problem.target.sum()
    assert by_gradient.converged
    assert in_bundles.value == pytest.approx(by_gradient.value, abs=2e-6 * n)
    # EM creeps along flat ridges: it stops a little below
    assert 0.0 <= by_gradient.value - by_em.value + 1e-6 * n < 1e-4 * n


def recovered(model: EtasModel, plane: Plane, seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """Return (estimate - truth) and its standard error (seed, parameter)."""
    truth, off, errors = theta_of(model), [], []
    for seed in seeds:
        problem = drawn(model, plane, 2500.0, seed)
        plan = problem.pairs
        found = maximise(truth, problem, BOUNDS, 1e-9, plan)
        off.append(found.theta[:8] - truth[:8])
        errors.append(list(standard_errors(found.theta, problem, BOUNDS, plan).values()))
    return np.array(off), np.array(errors)


def _unbiased(off: np.ndarray, errors: np.ndarray, sigmas: float) -> None:
    inside = np.isfinite(errors).all(axis=1)  # at a bound there is no error
    assert inside.mean() > 0.85
    off, errors = off[inside], errors[inside]
    # the error of the mean, from the scatter itself
    mean, scatter = off.mean(axis=0), off.std(axis=0, ddof=1)
    assert (np.abs(mean) < sigmas * scatter / math.sqrt(len(off)) + 0.1 * scatter).all(), mean / scatter
    # what the Hessian says is what is seen
    assert np.median(errors, axis=0) == pytest.approx(scatter, rel=0.6)


def test_parameters_of_drawn_catalogs_are_recovered_without_bias(model, plane) -> None:
    busy = EtasModel(replace(model.parameters, mu=0.6), model.background)
    _unbiased(*recovered(busy, plane, range(12)), sigmas=3.0)


@pytest.mark.heavy
def test_parameters_of_two_hundred_drawn_catalogs_are_recovered_without_bias(model, plane) -> None:
    busy = EtasModel(replace(model.parameters, mu=0.6), model.background)
    _unbiased(*recovered(busy, plane, range(200)), sigmas=2.0)


def test_in_its_own_time_a_catalog_is_a_poisson_process(model, plane) -> None:
    problem = drawn(model, plane, 3000.0, 7)
    times, ks = transformed_times(theta_of(model), problem)
    n = int(problem.target.sum())
    assert (np.diff(times) >= 0).all()
    assert times[-1] == pytest.approx(n, abs=5 * math.sqrt(n))
    assert ks > 0.01
    wrong = theta_of(model)
    wrong[1] -= 3.0  # hardly any offspring: clusters remain
    assert transformed_times(wrong, problem)[1] < 1e-4


def test_residuals_of_a_region_are_those_of_its_likelihood(model, region, catalog) -> None:
    found = residuals(
        model, catalog, region, np.datetime64("2001-01-01", "ns"), np.datetime64("2016-01-01", "ns")
    )
    assert found.expected == pytest.approx(found.times.size, abs=6 * math.sqrt(found.times.size))
    assert (np.diff(found.times) >= 0).all()
    assert 0.0 < found.times[0] <= found.times[-1] < found.expected
    assert found.p_value > 0.001
    assert theta_of(model)[:8] == pytest.approx(model.parameters.theta[:8])


def test_drawn_catalogs_depend_on_the_seed_alone_and_keep_the_window(model, plane) -> None:
    one, again = (simulate(model, plane, NONE, 10.0, 60.0, 1200, 5) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert (one.days >= 10.0).all()
    assert (one.days < 60.0).all()
    assert (np.diff(one.catalog) >= 0).all()
    assert (np.diff(one.days)[np.diff(one.catalog) == 0] >= 0).all()


def test_what_is_hidden_after_large_events_is_left_out_on_demand(model, plane) -> None:
    large = Events(
        np.array([9.999]), np.zeros(1), np.zeros(1), np.array([6.9]), np.ones(1, bool), np.zeros(1, np.int64)
    )
    whole = simulate(model, plane, large, 10.0, 11.0, 600, 5)
    seen = simulate(model, plane, large, 10.0, 11.0, 600, 5, hide=True)
    early = 6.9 - 4.5 - 0.75 * math.log10(0.1)
    assert seen.days.size < whole.days.size
    near = np.hypot(seen.x, seen.y) < 40.0
    assert (seen.magnitude[near & (seen.days < 10.05)] >= early - 0.05).all()
    # a draw with factor 0 has no offspring of the history
    quiet = draw_batch(model, plane, as_parents(large), (10.0, 11.0), 600, np.random.SeedSequence(1), 0.0)
    assert quiet.days.size < 0.05 * whole.days.size


@pytest.mark.archive
def test_published_scores_of_san_jacinto_are_met_to_their_digits(archive: Path) -> None:
    from tests.benchmarks import sanjac

    catalog = sanjac.read(archive / sanjac.CATALOG)
    theta = sanjac.theta_from_rates(sanjac.PUBLISHED, sanjac.AREA_KM2, sanjac.BETA, sanjac.M_RANGE)
    as_published = sanjac.scores(theta, catalog, sanjac.COMPLETENESS)
    assert as_published.temporal(published=True) == pytest.approx(sanjac.TEMPORAL, abs=1e-5)
    assert as_published.spatial.mean() == pytest.approx(sanjac.SPATIAL, abs=1e-5)
    assert sanjac.poisson(catalog) == pytest.approx(
        (sanjac.POISSON_TEMPORAL, sanjac.POISSON_SPATIAL), abs=1e-5
    )
