"""Residual analysis: in the model's own time a catalog that follows it is a Poisson process of rate one."""

import math
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import kstest

from tasks.regions import Region
from tasks.seismicity.catalog import known_at, select_events, to_days
from tasks.seismicity.etas import EtasModel, problem_of
from tasks.seismicity.etas_law import Triggering
from tasks.seismicity.etas_likelihood import Problem, box_masses
from tasks.seismicity.geometry import Plane
from tasks.seismicity.omori import omori_integrals

Floats = NDArray[np.float64]
# Parents and times that are looked at together.
_BLOCK = 512


def expected_until(theta: Floats, problem: Problem, days: Floats) -> Floats:
    """Return how many targets the model expects from the window's start to each of the times (time,).

    Parameters
    ----------
    theta : array (9,)
        In the order of `etas_law.NAMES`.
    problem : Problem
    days : array (time,)
        Inside the window.
    """
    law = Triggering.of(theta, problem.beta, problem.m_range)
    weight = (
        problem.productivity(law) * box_masses(problem, law.scale(problem.m), law.rho)[:, 0] / law.total[0]
    )
    before = omori_integrals(np.maximum(problem.start - problem.t, 0.0), law.c, law.omega, law.taper)[:, 0]
    expected = law.mu * (days - problem.start)
    for low in range(0, days.size, _BLOCK):
        part = days[low : low + _BLOCK]
        known = problem.t < part[-1] if part.size else np.zeros(0, bool)
        ages = np.maximum(part[:, None] - problem.t[known], 0.0)
        passed = omori_integrals(ages.ravel(), law.c, law.omega, law.taper)[:, 0].reshape(ages.shape)
        expected[low : low + _BLOCK] += np.maximum(passed - before[known], 0.0) @ weight[known]
    return expected


def transformed_times(theta: Floats, problem: Problem) -> tuple[Floats, float]:
    """Return the targets' transformed times (target,), and the p-value that they are a Poisson process of rate one.

    The time of a target is the number that the model expects until then (Ogata 1988); given their number they are
    uniform, which is tested by Kolmogorov and Smirnov.

    Parameters
    ----------
    theta : array (9,)
    problem : Problem
    """
    ends = np.append(problem.t[problem.target], problem.end)
    expected = expected_until(theta, problem, ends)
    times = expected[:-1]
    return times, float(kstest(times / expected[-1], "uniform").pvalue)


class Residuals(NamedTuple):
    """How a period went in the model's own time.

    Attributes
    ----------
    times : array (event,)
        Expected number of events from the start of the period to each event.
    expected : float
        Expected number in the whole period.
    p_value : float
        That they are a Poisson process of rate one, given their number; NaN without events.
    """

    times: Floats
    expected: float
    p_value: float


def residuals(
    model: EtasModel, catalog: xr.Dataset, region: Region, start: np.datetime64, end: np.datetime64
) -> Residuals:
    """Return how the events of the box in [start, end) came, in the time of a fitted model; earlier ones trigger.

    Parameters
    ----------
    model : EtasModel
    catalog : Dataset (event) of versions
        As known at `end`.
    region : Region
    start, end : datetime64
    """
    window = (float(to_days(start)), float(to_days(end)))
    events = select_events(known_at(catalog, end), region)
    problem = problem_of(events, Plane.of(region), region, window, model.parameters.b * math.log(10.0))
    span = model.parameters.magnitude_max - model.parameters.m0
    problem = problem._replace(m_range=span, target=problem.target & (events.days < window[1]))
    ends = np.append(problem.t[problem.target], problem.end)
    expected = expected_until(model.parameters.theta, problem, ends)
    p = float(kstest(expected[:-1] / expected[-1], "uniform").pvalue) if expected.size > 1 else math.nan
    return Residuals(expected[:-1], float(expected[-1]), p)
