"""The anisotropic kernel: large events trigger along their ruptures, and no offspring is gained or lost."""

import math

import numpy as np
import pytest

from tasks.seismicity.etas_law import Triggering
from tasks.seismicity.etas_likelihood import Problem, expected_offspring, log_likelihood
from tasks.seismicity.etas_optimise import maximise
from tasks.seismicity.ruptures import along_ruptures, direction_degrees, fault_direction, rupture_length

BETA, RANGE, M0 = math.log(10.0), 4.0, 3.0
THETA = np.array([0.1, math.log(0.6), 1.1, math.log(0.01), 0.2, math.log(0.7), 0.9, math.log(0.8), math.inf])
BOUNDS = (
    (-20.0, 10.0), (math.log(1e-3), math.log(0.98)), (0.0, 4.0), (math.log(1e-4), 0.0), (0.02, 1.0),
    (math.log(1e-2), math.log(400.0)), (0.0, 2.5), (math.log(0.1), math.log(3.0)), (math.inf, math.inf),
)  # fmt: skip


def fault_zone(strike: float, aftershocks: int, seed: int = 0) -> Problem:
    """Earlier events along a fault, one of M 7 in their middle, and aftershocks along its rupture."""
    rng = np.random.default_rng(seed)
    length = float(rupture_length(np.array(7.0)))
    along = np.concatenate(
        [rng.uniform(-40, 40, 100), [0.0], rng.uniform(-length / 2, length / 2, aftershocks)]
    )
    across = np.concatenate([rng.normal(0, 2, 100), [0.0], rng.normal(0, 2, aftershocks)])
    east, north = math.sin(math.radians(strike)), math.cos(math.radians(strike))
    t = np.concatenate(
        [
            np.sort(rng.uniform(0, 1000, 100)),
            [1000.0],
            1000.0 + np.sort(10 ** rng.uniform(-2, 2, aftershocks)),
        ]
    )
    n = t.size
    m = rng.exponential(0.3, n)
    m[100] = 4.0
    return Problem(
        t=t, x=along * east + across * north, y=along * north - across * east, m=m, target=np.ones(n, bool),
        background=np.full(n, 1e-4), reach2=np.full(n, math.inf), start=0.0, end=1200.0, box=None, beta=BETA,
        m_range=RANGE,
    )  # fmt: skip


@pytest.mark.parametrize("strike", [10.0, 90.0, 135.0])
def test_the_direction_is_that_of_the_events_before(strike: float) -> None:
    problem = fault_zone(strike, 50)
    direction = fault_direction(problem.x[:100], problem.y[:100], (0.0, 0.0), 56.0)
    assert direction is not None
    assert direction_degrees(direction) == pytest.approx(strike, abs=3.0)
    rng = np.random.default_rng(1)
    assert fault_direction(*rng.normal(size=(2, 400)), (0.0, 0.0), 56.0) is None, "a round cloud has none"
    assert fault_direction(problem.x[:10], problem.y[:10], (0.0, 0.0), 56.0) is None


def test_no_offspring_is_gained_or_lost_and_targets_are_the_same() -> None:
    problem = fault_zone(40.0, 60)
    aligned = along_ruptures(problem, M0, 6.0)
    law = Triggering.of(THETA, BETA, RANGE)
    assert aligned.t.size == problem.t.size + 15
    assert int(aligned.target.sum()) == int(problem.target.sum())
    assert expected_offspring(law, aligned)[0] == pytest.approx(
        expected_offspring(law, problem)[0], rel=1e-12
    )
    value, slopes, _ = log_likelihood(THETA, aligned)
    for k in range(8):
        step = np.zeros(9)
        step[k] = 1e-5
        up, down = (log_likelihood(THETA + s, aligned)[0] for s in (step, -step))
        assert slopes[k] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-3)
    assert value > log_likelihood(THETA, problem)[0]
    assert along_ruptures(problem, M0, 7.5) is problem


def test_aftershocks_along_a_rupture_are_worth_it_and_a_wrong_direction_is_not() -> None:
    def gain(problem: Problem) -> float:
        point, line = (
            maximise(THETA, p, BOUNDS, 1e-9).value for p in (problem, along_ruptures(problem, M0, 6.0))
        )
        return (line - point) / 150

    right = fault_zone(40.0, 150)
    wrong = right._replace(
        x=np.concatenate([right.x[:101], right.y[101:]]), y=np.concatenate([right.y[:101], -right.x[101:]])
    )
    assert gain(right) > 0.2
    assert gain(wrong) < 0.0


def test_the_future_does_not_turn_a_rupture() -> None:
    problem = fault_zone(40.0, 60)
    moved = problem._replace(x=np.where(problem.t > 1000.0, 500.0, problem.x))
    first, second = (along_ruptures(p, M0, 6.0) for p in (problem, moved))
    pieces = [p.x[(p.t == 1000.0) & ~p.target] for p in (first, second)]
    np.testing.assert_array_equal(*pieces)
