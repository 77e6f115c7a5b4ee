"""The reference implementation's form of ETAS, and its estimator, so that published fits can be checked digit by digit.

Mizrahi, Nandan and Wiemer (2021, doi:10.1785/0220200231), as their package `etas` 3.0.0 computes it.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.seismicity.etas_law import Triggering, mean_productivity
from tasks.seismicity.etas_likelihood import Problem, log_likelihood, passed_shares
from tasks.seismicity.etas_optimise import Bounds, Maximum, climb
from tasks.seismicity.omori import omori_total
from tasks.seismicity.pair_branching import expected_children
from tasks.seismicity.pair_plan import PairPlan

Floats = NDArray[np.float64]


def theta_from_rates(parameters: Mapping[str, float], area_km2: float, beta: float, m_range: float) -> Floats:
    """Return theta (9,) of parameters in the form of Mizrahi, Nandan and Wiemer (2021).

    There, lambda = mu + sum k0 e^(a m) e^(-dt/tau) (dt + c)^-(1 + omega) (r^2 + d e^(gamma m))^-(1 + rho), m above
    the reference magnitude.

    Parameters
    ----------
    parameters : mapping
        log10_mu (1/(day km2)), log10_k0, a, log10_c (days), omega, log10_tau (days), log10_d (km2), gamma, rho.
    area_km2 : float
        Of the box.
    beta, m_range : float
        As in `Problem`.
    """
    c, tau, d = (10.0 ** parameters[f"log10_{name}"] for name in ("c", "tau", "d"))
    omega, rho, gamma = (parameters[name] for name in ("omega", "rho", "gamma"))
    alpha = parameters["a"] - rho * gamma
    total = float(omori_total(c, omega, 1.0 / tau)[0])
    k = 10.0 ** parameters["log10_k0"] * math.pi / (rho * d**rho) * total
    return np.array(
        [
            math.log(10.0 ** parameters["log10_mu"] * area_km2),
            math.log(k) + mean_productivity(alpha, beta, m_range)[0],
            alpha,
            math.log(c),
            omega,
            math.log(d),
            gamma,
            math.log(rho),
            math.log(tau),
        ]
    )


def fit_as_published(
    theta: Floats, problem: Problem, bounds: Bounds, rounds: int = 60, tolerance: float = 1e-6
) -> Maximum:
    """Return the fixed point of the reference's estimator, by the gradient.

    It counts offspring within the window but takes their delays as if all offspring of all time had been seen, so
    that the log-likelihood of the branching gains the term sum_j l_j ln(share of j's offspring inside the window),
    l_j being the expected number of offspring found. Long memories cost less in the likelihood than here: the
    maximum of the likelihood has a much larger tau. Here the likelihood plus this term is climbed with l_j held, and
    again with the l_j that follow, until theta stands still.

    Parameters
    ----------
    theta : array (9,)
        Where to start.
    problem : Problem
        Without a box.
    bounds : pairs of floats (9)
        Of each parameter.
    rounds : int
        Largest number of times that the l_j are renewed.
    tolerance : float
        Largest change of a parameter at which to stop.

    Returns
    -------
    Maximum
        `value` is the log-likelihood there, which is not its maximum.
    """
    plan = problem.pairs
    converged, evaluations = False, 0
    for _ in range(rounds):
        found, moved = _renew(theta, problem, plan, bounds)
        evaluations += found.evaluations
        theta = found.theta
        converged = moved < tolerance
        if converged:
            break
    value, _, _ = log_likelihood(theta, problem, plan)
    return Maximum(theta, value, converged, evaluations)


def _renew(theta: Floats, problem: Problem, plan: PairPlan, bounds: Bounds) -> tuple[Maximum, float]:
    """Climb once from theta with the l_j of theta; return the maximum and the largest change of a parameter."""
    law = Triggering.of(theta, problem.beta, problem.m_range)
    _, _, rate = log_likelihood(theta, problem, plan)
    children = np.empty(problem.t.size)
    children[plan.source_row] = expected_children(
        plan, law.pair_law(plan.sources.m, problem.curvature), rate[plan.target_row]
    )

    def objective(trial: Floats) -> tuple[float, Floats]:
        value, slopes, _ = log_likelihood(trial, problem, plan)
        share, by_time = passed_shares(Triggering.of(trial, problem.beta, problem.m_range), problem)
        seen = share > 0.0
        weight = children[seen] / share[seen]
        gradient = slopes.copy()
        gradient[[3, 4, 8]] += weight @ by_time[seen]
        return value + float(children[seen] @ np.log(share[seen])), gradient

    found = climb(objective, theta, bounds, float(problem.target.sum()), 1e-11)
    return found, float(np.abs(found.theta - theta).max())
