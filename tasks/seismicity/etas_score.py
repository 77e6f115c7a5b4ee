"""How well ETAS forecast each next earthquake: the log-likelihood of a period, in its temporal and its spatial part."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.seismicity.etas_law import Triggering
from tasks.seismicity.etas_likelihood import Problem, box_masses, log_likelihood
from tasks.seismicity.omori import omori_integrals
from tasks.seismicity.pair_sums import in_threads
from tasks.seismicity.vector_math import exp, log, vectorised

Floats = NDArray[np.float64]


class NextEventScore(NamedTuple):
    """Log-likelihood of a period by event; rates know all events before.

    Attributes
    ----------
    temporal_log_rate : array (target,)
        ln of the rate in the box, 1/day.
    spatial : array (target,)
        ln of the density in space given the time, 1/km2.
    expected : float
        Events expected in the window.
    expected_after_first : float
        The same with triggering integrated only from the first target to the last one, and background from the
        start to the last one: what EarthquakeNPP's published figures use.
    """

    temporal_log_rate: Floats
    spatial: Floats
    expected: float
    expected_after_first: float

    def temporal(self, published: bool) -> float:
        """Return the mean temporal log-likelihood of an event, nats; by the published definition or the whole one."""
        expected = self.expected_after_first if published else self.expected
        return float(self.temporal_log_rate.mean()) - expected / self.temporal_log_rate.size


@vectorised
def _rates_in_time(
    first: int,
    last: int,
    moments: Floats,
    t: Floats,
    before: NDArray[np.int64],
    kappa: Floats,
    c: float,
    p: float,
    taper: float,
    out: Floats,
) -> None:
    for i in range(first, last):
        total = 0.0
        for j in range(before[i]):
            since = moments[i] - t[j]
            total += kappa[j] * exp(-p * log(since + c) - taper * since)
        out[i] = total


def rates_in_time(moments: Floats, law: Triggering, problem: Problem) -> Floats:
    """Return the rate of the box (moment,), 1/day, just before each moment (days), given the events before it."""
    masses = box_masses(problem, law.scale(problem.m), law.rho)[:, 0]
    kappa = problem.productivity(law) * masses / law.total[0]
    before = np.searchsorted(problem.t, moments)
    out = np.empty(moments.size)
    in_threads(
        lambda first, last: _rates_in_time(
            first, last, moments, problem.t, before, kappa, law.c, 1.0 + law.omega, law.taper, out
        ),
        moments.size,
    )
    return law.mu + out


def triggered_between(since: float, until: float, law: Triggering, problem: Problem) -> float:
    """Return the number of triggered targets expected in [since, until), by events before `until`, days."""
    masses = box_masses(problem, law.scale(problem.m), law.rho)[:, 0]
    ages = [
        omori_integrals(np.maximum(moment - problem.t, 0.0), law.c, law.omega, law.taper)[:, 0]
        for moment in (since, until)
    ]
    return float((problem.productivity(law) * masses) @ (ages[1] - ages[0]) / law.total[0])


def score_next_events(theta: Floats, problem: Problem) -> NextEventScore:
    """Return the scores of the problem's targets in its window under theta (9,).

    The two parts sum up to the space-time log-likelihood: ln lambda(t, x) = ln lambda(t) + ln(lambda(t, x)/lambda(t)).
    """
    law = Triggering.of(theta, problem.beta, problem.m_range)
    _, _, rate = log_likelihood(theta, problem)
    moments = problem.t[problem.target]
    in_time = rates_in_time(moments, law, problem)
    first, last = float(moments[0]), float(moments[-1])
    return NextEventScore(
        np.log(in_time),
        np.log(rate / in_time),
        law.mu * (problem.end - problem.start) + triggered_between(problem.start, problem.end, law, problem),
        law.mu * (last - problem.start) + triggered_between(first, last, law, problem),
    )
