import json
import math
from datetime import date

import numpy as np
import pytest

from tasks.seismicity import EtasModel, fit_etas
from tasks.seismicity.etas_law import mean_productivity
from tasks.seismicity.etas_likelihood import Problem, log_likelihood


@pytest.fixture(scope="module")
def fitted(catalog, region):
    return fit_etas(catalog, region)


@pytest.fixture
def problem():
    rng = np.random.default_rng(4)
    n = 60
    t = np.sort(rng.uniform(0, 100, n))
    t[10] = t[11]
    x, y = rng.uniform(-30, 30, n), rng.uniform(-20, 20, n)
    return Problem(
        t=t,
        x=x,
        y=y,
        m=rng.exponential(0.4, n),
        target=(np.abs(x) < 25) & (t > 20),
        background=rng.uniform(0.5, 1.5, n) / 2000,
        reach2=np.full(n, 400.0),
        start=20.0,
        end=100.0,
        box=np.array([-25.0, 25.0, -20.0, 20.0]),
        beta=2.3,
        m_range=4.0,
    )


THETA = np.array([0.1, math.log(0.6), 1.1, math.log(0.02), 0.2, math.log(0.7), 0.9, math.log(0.8), math.inf])
TAPERED = np.array(
    [0.1, math.log(0.6), 1.1, math.log(0.02), -0.2, math.log(0.7), 0.9, math.log(0.8), math.log(300.0)]
)


def test_the_rate_equals_a_direct_double_loop(problem):
    mu, n, alpha, c, p, d, gamma, q = (*np.exp(THETA[:2]), 1.1, 0.02, 1.2, 0.7, 0.9, 1.8)
    k = n / math.exp(mean_productivity(alpha, problem.beta, problem.m_range)[0])
    _, _, rate = log_likelihood(THETA, problem)
    expected = []
    for i in np.flatnonzero(problem.target):
        value = mu * problem.background[i]
        for j in range(problem.t.size):
            age = problem.t[i] - problem.t[j]
            r2 = (problem.x[i] - problem.x[j]) ** 2 + (problem.y[i] - problem.y[j]) ** 2
            if age > 0 and r2 <= 400:
                big = d * math.exp(gamma * problem.m[j])
                omori = (p - 1) * c ** (p - 1) * (age + c) ** -p
                space = (q - 1) / math.pi * big ** (q - 1) * (r2 + big) ** -q
                value += k * math.exp(alpha * problem.m[j]) * omori * space
        expected.append(value)
    np.testing.assert_allclose(rate, expected, rtol=1e-9)


def test_the_likelihood_subtracts_the_integral_of_the_rate(problem):
    mu, n, alpha, c, p1, d, gamma, q1 = (*np.exp(THETA[:2]), 1.1, 0.02, 0.2, 0.7, 0.9, 0.8)
    k = n / math.exp(mean_productivity(alpha, problem.beta, problem.m_range)[0])
    value, _, rate = log_likelihood(THETA, problem)
    # Brute force by inverse transform of both kernels on a regular lattice of quantiles.
    u = (np.arange(1500) + 0.5) / 1500
    angle = 2 * math.pi * (np.arange(200) + 0.5) / 200
    integral = mu * 80.0
    for t, x, y, m in zip(problem.t, problem.x, problem.y, problem.m, strict=True):
        age = c * (u ** (-1 / p1) - 1)
        in_time = np.mean((t + age >= 20) & (t + age < 100))
        radius = np.sqrt(d * math.exp(gamma * m) * (u ** (-1 / q1) - 1))[:, None]
        in_box = np.mean(
            (np.abs(x + radius * np.cos(angle)) < 25) & (np.abs(y + radius * np.sin(angle)) < 20)
        )
        integral += k * math.exp(alpha * m) * in_time * in_box
    assert value == pytest.approx(np.log(rate).sum() - integral, abs=0.05)


@pytest.mark.parametrize("theta", [THETA, TAPERED], ids=["omori", "tapered"])
@pytest.mark.parametrize("wide", [False, True], ids=["box", "plane"])
def test_the_gradient_equals_differences(problem, theta, wide):
    problem = problem._replace(box=None) if wide else problem
    _, slopes, _ = log_likelihood(theta, problem)
    for k in np.flatnonzero(np.isfinite(theta)):
        shift = np.zeros(9)
        shift[k] = 1e-5
        difference = log_likelihood(theta + shift, problem)[0] - log_likelihood(theta - shift, problem)[0]
        assert slopes[k] == pytest.approx(difference / 2e-5, rel=1e-5, abs=1e-6)


def test_without_triggering_the_likelihood_is_that_of_a_poisson_process(problem):
    theta = THETA.copy()
    theta[1] = -80.0
    n, area = int(problem.target.sum()), 2000.0
    flat = problem._replace(background=np.full(problem.t.size, 1 / area))
    expected = n * (theta[0] - math.log(area)) - math.exp(theta[0]) * 80.0
    assert log_likelihood(theta, flat)[0] == pytest.approx(expected, rel=1e-12)


def test_parameters_are_recovered_from_a_simulated_catalog(fitted, truth):
    found = fitted.parameters
    assert found.converged
    assert found.at_bound == ()
    for name, slack in (("mu", 0.15), ("branching_ratio", 0.15), ("alpha", 0.15), ("b", 0.08)):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=slack), name
    for name, value in (("log_c", math.log(truth.c)), ("omega", truth.p - 1)):
        mine = math.log(found.c) if name == "log_c" else found.p - 1
        assert abs(mine - value) < 3 * found.standard_errors[name] < 1.0, name
    # The median distance of offspring is what d and q determine together.
    median = [math.sqrt(p.d * (2 ** (1 / (p.q - 1)) - 1)) for p in (found, truth)]
    assert median[0] == pytest.approx(median[1], rel=0.25)


def test_the_background_is_found_where_it_is(fitted, model):
    assert fitted.background.sum() == pytest.approx(1.0)
    assert fitted.background.min() > 0
    assert fitted.background[2:5, 6:9].sum() == pytest.approx(model.background[2:5, 6:9].sum(), abs=0.08)


def test_what_is_known_after_training_does_not_change_the_fit(catalog, region):
    short = region.model_copy(update={"etas_start": date(2014, 1, 1)})
    recent = catalog.isel(event=catalog["origin_time"].to_numpy() > np.datetime64("2013-06-01"))
    known = recent["available_time"].to_numpy() <= np.datetime64(region.split.train_end, "ns")
    assert 0 < known.sum() < known.size
    all_of_it, early = fit_etas(recent, short, rounds=1), fit_etas(recent.isel(event=known), short, rounds=1)
    assert all_of_it.to_json() == early.to_json()


def test_json_round_trip_is_identity(fitted):
    again = EtasModel.from_json(fitted.to_json())
    assert again.parameters == fitted.parameters
    np.testing.assert_array_equal(again.background, fitted.background)
    with pytest.raises(ValueError, match="not an ETAS model"):
        EtasModel.from_json(json.dumps({"parameters": {}}))


def test_too_few_events_are_refused_with_a_message(catalog, region):
    with pytest.raises(ValueError, match="region 'toy': ETAS expects 50 targets"):
        fit_etas(catalog.isel(event=slice(0, 60)).isel(event=slice(0, 40)), region)
