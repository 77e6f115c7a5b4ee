"""Maximum likelihood of the ETAS parameters: by gradient, or by expectation-maximisation; and their standard errors."""

import logging
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tasks.seismicity.etas_law import NAMES, Triggering
from tasks.seismicity.etas_likelihood import Problem, expected_offspring, log_likelihood, pair_slopes
from tasks.seismicity.pair_branching import expected_log_sums
from tasks.seismicity.pair_plan import PairPlan

Floats = NDArray[np.float64]
Bounds = tuple[tuple[float, float], ...]
log = logging.getLogger(__name__)


class Maximum(NamedTuple):
    """Where a maximisation ended.

    Attributes
    ----------
    theta : array (9,)
        In the order of `etas_law.NAMES`.
    value : float
        Log-likelihood.
    converged : bool
        Whether it ended by its tolerance.
    evaluations : int
        Of the likelihood, or of the expected one.
    """

    theta: Floats
    value: float
    converged: bool
    evaluations: int


def climb(
    objective: Callable[[Floats], tuple[float, Floats]],
    theta: Floats,
    bounds: Bounds,
    scale: float,
    tolerance: float,
) -> Maximum:
    """Maximise an objective that gives value and gradient (9,) by L-BFGS-B, over the parameters whose bounds differ.

    `scale` divides the objective, so that `tolerance` and the smallest gradient are those of one event.
    """
    free = np.array([high > low for low, high in bounds])

    def descent(trial: Floats) -> tuple[float, Floats]:
        whole = theta.copy()
        whole[free] = trial
        value, slopes = objective(whole)
        return -value / scale, -slopes[free] / scale

    found = minimize(
        descent,
        theta[free],
        jac=True,
        method="L-BFGS-B",
        bounds=[b for b, is_free in zip(bounds, free, strict=True) if is_free],
        options={"maxiter": 300, "ftol": tolerance, "gtol": 1e-6, "maxcor": 20},
    )
    whole = theta.copy()
    whole[free] = found.x
    return Maximum(whole, -float(found.fun) * scale, bool(found.success), int(found.nfev))


def maximise(
    theta: Floats, problem: Problem, bounds: Bounds, tolerance: float = 1e-10, pairs: PairPlan | None = None
) -> Maximum:
    """Return the parameters of the largest likelihood, by its gradient (L-BFGS-B).

    Parameters
    ----------
    theta : array (9,)
        Where to start.
    problem : Problem
        Events, window and background.
    bounds : pairs of floats (9)
        Of each parameter; one with equal bounds is held.
    tolerance : float
        Relative change of the likelihood at which to stop.
    pairs : PairPlan, optional
        The plan of its pairs; made if not given.
    """
    plan = problem.pairs if pairs is None else pairs

    def objective(trial: Floats) -> tuple[float, Floats]:
        value, slopes, _ = log_likelihood(trial, problem, plan)
        return value, slopes

    return climb(objective, theta, bounds, float(problem.target.sum()), tolerance)


def maximise_in_bundles(theta: Floats, problem: Problem, bounds: Bounds, tolerance: float = 1e-10) -> Maximum:
    """Return what `maximise` does, with distant parents in bundles: for catalogs of tens of thousands of events.

    Bundles are good near the parameters that they were made for. So a rough maximum comes first, and they are made anew
    until it stands still. The value is that of the last bundles: within 1e-6 per event of that of all pairs.
    """
    evaluations = 0
    found = Maximum(theta, -math.inf, False, 0)
    for rounds in range(6):
        last = found.value
        rough = rounds == 0
        pairs = problem.pairs_in_bundles(found.theta, 1e-3 if rough else None)
        found = maximise(found.theta, problem, bounds, 1e-7 if rough else tolerance, pairs)
        evaluations += found.evaluations
        if not rough and abs(found.value - last) < 1e-7 * float(problem.target.sum()):
            break
    return found._replace(evaluations=evaluations)


def maximise_by_em(
    theta: Floats,
    problem: Problem,
    bounds: Bounds,
    tolerance: float = 1e-9,
    rounds: int = 100,
    pairs: PairPlan | None = None,
) -> Maximum:
    """Return the same parameters by expectation-maximisation (Veen and Schoenberg 2008), as a second method.

    Each round takes as given how probably each parent triggered each target, and maximises the expected likelihood
    of the branching. The probabilities of pairs are computed when they are needed and never stored. Arguments as for
    `maximise`; it stops when a round changes the likelihood of an event by less than `tolerance`.
    """
    plan = problem.pairs if pairs is None else pairs
    n = float(problem.target.sum())
    last, evaluations = -math.inf, 0
    for _ in range(rounds):
        value, _, rate = log_likelihood(theta, problem, plan)
        if abs(value - last) < tolerance * n:
            return Maximum(theta, value, True, evaluations)
        last = value
        expected = ExpectedLikelihood(theta, problem, plan, rate[plan.target_row])
        found = climb(expected, theta, bounds, n, 1e-9)
        theta, evaluations = found.theta, evaluations + found.evaluations
    return Maximum(theta, last, False, evaluations)


class ExpectedLikelihood:
    """The log-likelihood of the branching, expected under the triggering probabilities of `theta`.

    Parameters
    ----------
    theta : array (9,)
        Which parameters give the probabilities.
    problem : Problem
        Events, window and background.
    plan : PairPlan
        Its pairs.
    rate : array (target,), 1/(day km2)
        Under theta, in the plan's order.
    """

    def __init__(self, theta: Floats, problem: Problem, plan: PairPlan, rate: Floats) -> None:
        law = Triggering.of(theta, problem.beta, problem.m_range)
        background = problem.background[problem.target][plan.target_row]
        self._problem, self._plan, self._rate = problem, plan, rate
        self._law = law.pair_law(plan.sources.m, problem.curvature)
        self._independent = float((law.mu * background / rate).sum())

    def __call__(self, trial: Floats) -> tuple[float, Floats]:
        """Return value and gradient (9,); the terms that do not depend on the parameters are left out."""
        law = Triggering.of(trial, self._problem.beta, self._problem.m_range)
        new = law.pair_law(self._plan.sources.m, self._problem.curvature)
        likely, sums = expected_log_sums(self._plan, self._law, new, self._rate)
        offspring, slopes = expected_offspring(law, self._problem)
        background = law.mu * (self._problem.end - self._problem.start)
        gradient = pair_slopes(law, sums) - slopes
        gradient[0] = self._independent - background
        return likely + self._independent * float(trial[0]) - background - offspring, gradient


def at_bound(theta: Floats, bounds: Bounds) -> NDArray[np.bool_]:
    """Return which parameters (9,) stopped at a bound; one that is held is not among them."""
    return np.array(
        [low < high and min(v - low, high - v) < 1e-6 for v, (low, high) in zip(theta, bounds, strict=True)]
    )


def standard_errors(
    theta: Floats, problem: Problem, bounds: Bounds, pairs: PairPlan | None = None
) -> dict[str, float]:
    """Return the standard error of each parameter that is not held, from the Hessian at the maximum; NaN at a bound.

    The Hessian is taken by differences of the exact gradient (Ogata 1978: its inverse is the asymptotic variance).
    """
    plan = problem.pairs if pairs is None else pairs
    held = np.array([low == high for low, high in bounds])
    free = np.flatnonzero(~at_bound(theta, bounds) & ~held)
    step = 1e-4
    columns = []
    for k in free:
        shift = np.zeros(theta.size)
        shift[k] = step
        up, down = (log_likelihood(theta + s, problem, plan)[1] for s in (shift, -shift))
        columns.append((up - down)[free] / (2.0 * step))
    hessian = -np.array(columns)
    errors = np.full(theta.size, math.nan)
    try:
        variance = np.diag(np.linalg.inv(0.5 * (hessian + hessian.T)))
        errors[free] = np.sqrt(np.where(variance > 0, variance, math.nan))
    except np.linalg.LinAlgError:
        log.warning("ETAS: the Hessian is singular, standard errors are unknown")
    return {name: float(e) for name, e, is_held in zip(NAMES, errors, held, strict=True) if not is_held}
