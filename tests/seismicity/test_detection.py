"""ETAS-I: what large events hide is left out of the likelihood, and parents stand for what was not seen."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from tasks.seismicity import EtasModel
from tasks.seismicity.catalog import Events
from tasks.seismicity.detection import Visibility, fit_visibility, mu_at, seen_share, stands_for
from tasks.seismicity.etas import as_seen
from tasks.seismicity.etas_forecast import EtasForecaster
from tasks.seismicity.etas_law import NAMES, Triggering
from tasks.seismicity.etas_likelihood import Problem, expected_offspring, log_likelihood
from tasks.seismicity.etas_optimise import maximise
from tasks.seismicity.etas_simulation import SimulatedEvents, as_parents, hidden, simulate
from tasks.seismicity.geometry import Plane
from tasks.seismicity.incompleteness import SOUTHERN_CALIFORNIA

BETA, RANGE, M0 = math.log(10.0), 4.0, 3.0
BOUNDS = (
    (-20.0, 10.0), (math.log(1e-3), math.log(0.98)), (0.0, 4.0), (math.log(1e-4), 0.0), (0.02, 1.0),
    (math.log(1e-2), math.log(400.0)), (0.0, 2.5), (math.log(0.1), math.log(3.0)), (math.inf, math.inf),
)  # fmt: skip
THETA = np.array([0.1, math.log(0.6), 1.1, math.log(0.003), 0.2, math.log(0.7), 0.9, math.log(0.8), math.inf])
NONE = Events(*(np.empty(0) for _ in range(4)), np.empty(0, bool), np.empty(0, np.int64))


def problem_of(t, x, m, end, box=None) -> Problem:
    n = len(t)
    return Problem(
        t=np.array(t), x=np.array(x), y=np.zeros(n), m=np.array(m), target=np.ones(n, bool),
        background=np.full(n, 1e-3), reach2=np.full(n, math.inf), start=0.0, end=end, box=box, beta=BETA, m_range=RANGE,
    )  # fmt: skip


LAW = Visibility(sigma=0.25)


def mu_above(since: float, magnitude: float) -> float:
    """Median of what is seen above M0, `since` days after an event."""
    return min(magnitude - 4.5 - 0.75 * math.log10(since), magnitude) - M0


@pytest.mark.parametrize("magnitude", [5.0, 6.2, 7.0])
def test_one_large_event_is_expected_to_show_the_offspring_that_is_seen(magnitude: float) -> None:
    problem = problem_of([1.0], [0.0], [magnitude - M0], 30.0)
    law = Triggering.of(THETA, BETA, RANGE)

    def shown(log_age: float) -> float:
        age = math.exp(log_age)
        decay = law.omega / law.c * (1.0 + age / law.c) ** (-1.0 - law.omega)
        return age * decay * float(seen_share(np.array(mu_above(age, magnitude)), LAW.sigma, BETA))

    kappa = float(law.productivity(problem.m)[0])
    edges = np.linspace(math.log(1e-9), math.log(29.0), 60)
    exact = kappa * sum(quad(shown, a, b, limit=200)[0] for a, b in pairwise(edges))
    assert expected_offspring(law, as_seen(problem, M0, LAW, 1.1))[0] == pytest.approx(exact, rel=2e-3)
    assert exact < 0.99 * expected_offspring(law, problem)[0]


@given(mu=st.floats(-2.0, 3.0), sigma=st.floats(0.05, 0.6))
@settings(max_examples=30, deadline=None)
def test_the_share_that_is_seen_is_the_integral_over_magnitudes(mu: float, sigma: float) -> None:
    exact = quad(
        lambda m: BETA * math.exp(-BETA * m) * ndtr((m - mu) / sigma), 0.0, 12.0, points=[max(mu, 0.0)]
    )[0]
    assert float(seen_share(np.array(mu), sigma, BETA)) == pytest.approx(exact, rel=1e-6)


def test_places_far_from_the_large_event_are_seen_as_ever() -> None:
    t, x, m = np.array([0.0, 0.01, 0.01]), np.array([0.0, 10.0, 500.0]), np.array([3.5, 0.2, 0.2])
    mu = mu_at(t, (x, np.zeros(3), np.zeros(3)), m, M0, LAW)
    assert mu[1] == pytest.approx(mu_above(0.01, 6.5))
    assert stands_for(m, mu, LAW.sigma, 1.1, BETA)[[0, 2]].tolist() == [1.0, 1.0]


def thinned(rng: np.random.Generator, mu: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return magnitudes above M0, and which are seen."""
    m = rng.exponential(1.0 / BETA, mu.size)
    return m, rng.random(mu.size) < ndtr((m - mu) / sigma)


@pytest.mark.parametrize(("mu", "sigma"), [(0.3, 0.3), (1.0, 0.05)])
def test_those_that_were_seen_stand_for_all(mu: float, sigma: float) -> None:
    m, is_seen = thinned(np.random.default_rng(1), np.full(400_000, mu), sigma)
    weight = stands_for(m[is_seen], np.full(int(is_seen.sum()), mu), sigma, 1.1, BETA)
    assert weight @ np.exp(1.1 * m[is_seen]) == pytest.approx(np.exp(1.1 * m).sum(), rel=0.02)


@pytest.mark.parametrize(("g", "sigma"), [(4.5, 0.2), (5.5, 0.3)])
def test_what_a_network_hides_is_found_from_the_magnitudes_that_it_saw(g: float, sigma: float) -> None:
    rng = np.random.default_rng(2)
    t = np.concatenate([[0.0], np.sort(10 ** rng.uniform(-4, 1, 4000))])
    mu = np.append(-1e3, 7.0 - g - 0.75 * np.log10(t[1:]) - M0)
    m, is_seen = thinned(rng, mu, sigma)
    m[0], is_seen[0] = 4.0, True
    zeros = np.zeros(int(is_seen.sum()))
    found = fit_visibility(t[is_seen], (zeros, zeros, zeros), m[is_seen], M0, BETA)
    assert found.g == pytest.approx(g, abs=0.1)
    assert found.sigma == pytest.approx(sigma, abs=0.07)


def test_without_large_events_the_generic_law_stands() -> None:
    t, none = np.arange(50.0), np.zeros(50)
    found = fit_visibility(t, (none, none, none), np.full(50, 0.1), M0, BETA)
    assert found.g == pytest.approx(SOUTHERN_CALIFORNIA.g, abs=1e-3)


@pytest.fixture
def clustered() -> Problem:
    rng = np.random.default_rng(4)
    n = 60
    t = np.sort(np.concatenate([rng.uniform(0, 100, n - 31), [50.0], 50.0 + 10 ** rng.uniform(-3, 1, 30)]))
    m = rng.exponential(0.4, n)
    m[np.searchsorted(t, 50.0)] = 3.4
    m[np.searchsorted(t, 50.0) + 3] = 2.6
    problem = problem_of(t, rng.uniform(-30, 30, n), m, 100.0, np.array([-25.0, 25.0, -20.0, 20.0]))
    return problem._replace(target=(np.abs(problem.x) < 25) & (t > 20), start=20.0)


def test_the_gradient_of_what_was_seen_equals_differences(clustered: Problem) -> None:
    problem = as_seen(clustered, M0, LAW, 1.1)
    assert problem.unseen is not None
    assert problem.stands_for is not None
    assert problem.unseen.parent.size > 100
    assert (problem.stands_for > 1.5).any()
    _, slopes, _ = log_likelihood(THETA, problem)
    for k in range(8):
        step = np.zeros(9)
        step[k] = 1e-5
        up, down = (log_likelihood(THETA + s, problem)[0] for s in (step, -step))
        assert slopes[k] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-4), NAMES[k]


def fits(model: EtasModel, plane: Plane, seed: int) -> np.ndarray:
    """Return theta (fit, 8) of a drawn catalog: of all of it, of what was seen by ETAS, and by ETAS-I."""
    p = model.parameters
    found = simulate(model, plane, NONE, 0.0, 2500.0, 1, seed)
    inside = (
        (found.x >= plane.west) & (found.x < plane.east) & (found.y >= plane.south) & (found.y < plane.north)
    )
    row = np.clip(((found.y - plane.south) / plane.dy).astype(int), 0, plane.rows - 1)
    column = np.clip(((found.x - plane.west) / plane.dx).astype(int), 0, plane.columns - 1)
    density = model.background[row, column] / (model.background.sum() * plane.dx * plane.dy)
    missed = hidden(found, as_parents(NONE), p.m0)

    def likelihood(kept: np.ndarray, events: SimulatedEvents) -> Problem:
        return problem_of(events.days, events.x, events.magnitude - p.m0, 2500.0, plane.box)._replace(
            y=events.y, target=inside[kept], background=density[kept]
        )

    log_n = math.log(p.branching_ratio)
    theta = np.array(
        [
            math.log(p.mu),
            log_n,
            p.alpha,
            math.log(p.c),
            p.p - 1,
            math.log(p.d),
            p.gamma,
            math.log(p.q - 1),
            math.inf,
        ]
    )
    whole = likelihood(np.ones(missed.size, bool), found)
    part = likelihood(~missed, found.take(~missed))
    law = fit_visibility(part.t, part.places, part.m, p.m0, BETA)
    by_etas = by_etas_i = maximise(theta, part, BOUNDS, 1e-9).theta
    for _ in range(2):
        by_etas_i = maximise(by_etas_i, as_seen(part, p.m0, law, float(by_etas_i[2])), BOUNDS, 1e-9).theta
    return np.array([maximise(theta, whole, BOUNDS, 1e-9).theta, by_etas, by_etas_i])[:, :8]


def check_recovery(model: EtasModel, region, seeds: range, tolerance: float) -> None:
    quick = EtasModel(replace(model.parameters, mu=0.6, c=0.003), model.background)
    found = np.array([fits(quick, Plane.of(region), seed) for seed in seeds])
    by_etas, by_etas_i = (found[:, k] - found[:, 0] for k in (1, 2))
    alpha, log_c = 2, 3
    assert by_etas[:, alpha].mean() < -0.03, (
        "ETAS takes what large events hide for a smaller productivity of theirs"
    )
    assert by_etas[:, log_c].mean() > 0.05, "and for a slower beginning"
    off = by_etas_i.mean(axis=0)
    error = by_etas_i.std(axis=0, ddof=1) / math.sqrt(len(off))
    assert (np.abs(off) < 2.0 * error + tolerance).all(), off
    assert abs(off[alpha]) < 0.4 * abs(by_etas[:, alpha].mean())


def test_what_etas_makes_of_hidden_events_etas_i_does_not(model: EtasModel, region) -> None:
    check_recovery(model, region, range(3), 0.02)


@pytest.mark.heavy
def test_etas_i_is_unbiased_over_many_catalogs_with_hidden_events(model: EtasModel, region) -> None:
    check_recovery(model, region, range(40), 0.01)


def test_a_forecast_of_etas_i_is_one_whether_made_at_once_or_in_passing(model, region, catalog) -> None:
    forecaster = EtasForecaster(
        EtasModel(replace(model.parameters, visibility=tuple(LAW)), model.background), region, (1, 7)
    )
    assert forecaster.name == "etas_i"
    assert EtasModel.from_json(forecaster.model.to_json()).parameters == forecaster.model.parameters
    large = np.flatnonzero(catalog["magnitude"].values > 5.5)[:3]
    times = catalog["origin_time"].values[large].astype("datetime64[D]").astype(
        "datetime64[ns]"
    ) + np.timedelta64(1, "D")
    many = forecaster.forecast_many(catalog, times)
    plain = EtasForecaster(model, region, (1, 7)).forecast_many(catalog, times)
    for k, time in enumerate(times):
        known = catalog.isel(event=np.flatnonzero(catalog["available_time"].values <= time))

        class View:
            issue_time = time

            def catalog(self, known=known):
                return known

        np.testing.assert_allclose(many[k], forecaster.forecast(View()), rtol=1e-9)
    assert float(many.sum()) > float(plain.sum()), "what was not seen triggers as well"
