"""The log-likelihood of the space-time ETAS model with its gradient, over all pairs within a truncation.

    lambda(t, x) = mu u(x) + sum_j kappa(m_j) h(t - t_j) f(x - x_j; m_j)
    kappa(m) = K exp(alpha (m - m0)),   h(t) = (p-1) c^(p-1) (t+c)^-p,
    f(r; m)  = (q-1)/pi D^(q-1) (r^2 + D)^-q,   D = d exp(gamma (m - m0))

(Ogata 1998; Zhuang, Ogata and Vere-Jones 2002.) h and f have integral 1, so kappa counts direct offspring. K is
replaced by the branching ratio n = K E[exp(alpha (m - m0))] over a truncated Gutenberg-Richter law, which keeps the
fitted process stable by a bound.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.seismicity.kernels import rectangle_mass

Floats = NDArray[np.float64]

NAMES = ("log_mu", "log_n", "alpha", "log_c", "log_p1", "log_d", "gamma", "log_q1")


class Problem(NamedTuple):
    """One likelihood: the parents up to the end of the window, and which of them are targets.

    Attributes
    ----------
    t : array (event,), days, ascending
    x, y : array (event,), km
    m : array (event,)
        Magnitude above m0.
    target : bool array (event,)
        Events of the box inside the window.
    background : array (event,), km-2
        u at the event, its own kernel left out; used at targets only.
    reach2 : array (event,), km2
        Squared distance beyond which a parent's pairs are dropped.
    start, end : float, days
        The window.
    box : array (4,), km
        West, east, south, north.
    beta : float
        b ln 10.
    m_range : float
        Upper cut-off of magnitude above m0.
    """

    t: Floats
    x: Floats
    y: Floats
    m: Floats
    target: NDArray[np.bool_]
    background: Floats
    reach2: Floats
    start: float
    end: float
    box: Floats
    beta: float
    m_range: float


def mean_productivity(alpha: float, beta: float, m_range: float) -> tuple[float, float]:
    """Return ln E[exp(alpha M)] for M of density beta e^(-beta M) truncated at m_range, and its slope by alpha."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    m = 0.5 * m_range * (nodes + 1.0)
    density = weights * np.exp(-beta * m)
    density /= density.sum()
    boosted = density * np.exp(alpha * m)
    return math.log(boosted.sum()), float((boosted * m).sum() / boosted.sum())


@njit(fastmath=True)
def _pairs(
    t: Floats,
    x: Floats,
    y: Floats,
    m: Floats,
    target: NDArray[np.bool_],
    reach2: Floats,
    log_kappa: Floats,
    scale: Floats,
    c: float,
    p: float,
    q: float,
    out: Floats,
) -> None:
    """Write the triggered rate at each target and the sums its gradient needs into out (event, 7)."""
    for i in range(t.size):
        if not target[i]:
            continue
        parents = np.searchsorted(t, t[i])
        rate = by_m = by_c = by_p = by_d = by_g = by_q = 0.0
        for j in range(parents):
            r2 = (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2
            if r2 > reach2[j]:
                continue
            age = t[i] - t[j] + c
            reach = r2 + scale[j]
            log_age = math.log(age)
            log_reach = math.log(reach)
            w = math.exp(log_kappa[j] - p * log_age - q * log_reach)
            inner = w * scale[j] / reach
            rate += w
            by_m += w * m[j]
            by_c += w / age
            by_p += w * log_age
            by_d += inner
            by_g += m[j] * inner
            by_q += w * log_reach
        out[i, 0] = rate
        out[i, 1] = by_m
        out[i, 2] = by_c
        out[i, 3] = by_p
        out[i, 4] = by_d
        out[i, 5] = by_g
        out[i, 6] = by_q


@njit(cache=True, fastmath=True)
def _compensator(
    t: Floats,
    x: Floats,
    y: Floats,
    m: Floats,
    start: float,
    end: float,
    box: Floats,
    kappa: Floats,
    scale: Floats,
    c: float,
    p: float,
    q: float,
    out: Floats,
) -> None:
    """Add to out (7,) the expected triggered targets and their derivatives: ln K, m, c, p, ln D, m ln D, q."""
    for j in range(t.size):
        until = end - t[j]
        since = max(start - t[j], 0.0)
        log_high = math.log1p(until / c)
        log_low = math.log1p(since / c)
        high = math.exp(-(p - 1.0) * log_high)
        low = math.exp(-(p - 1.0) * log_low)
        share = low - high
        mass, by_scale, by_q = rectangle_mass(
            box[0] - x[j], box[1] - x[j], box[2] - y[j], box[3] - y[j], scale[j], q - 1.0
        )
        count = kappa[j] * share * mass
        out[0] += count
        out[1] += m[j] * count
        slope_c = (p - 1.0) / c * (low * since / (since + c) - high * until / (until + c))
        out[2] += kappa[j] * mass * slope_c
        out[3] += kappa[j] * mass * (high * log_high - low * log_low)
        out[4] += kappa[j] * share * by_scale
        out[5] += m[j] * kappa[j] * share * by_scale
        out[6] += kappa[j] * share * by_q


def log_likelihood(theta: Floats, problem: Problem) -> tuple[float, Floats, Floats]:
    """Return the log-likelihood, its gradient, and the rate at each target.

    Parameters
    ----------
    theta : array (8,)
        In the order of `NAMES`: natural logarithms of mu (1/day in the box), branching ratio n, c (days),
        p - 1, d (km2), q - 1, and alpha, gamma as they are.
    problem : Problem
        Events, window and background.

    Returns
    -------
    float, array (8,), array (target,)
        Rate in 1/(day km2). Pairs beyond `reach2` are left out of the rate, not of the integral; simultaneous
        events do not trigger each other.
    """
    mu, n = math.exp(theta[0]), math.exp(theta[1])
    alpha, c, p1 = float(theta[2]), math.exp(theta[3]), math.exp(theta[4])
    d, gamma, q1 = math.exp(theta[5]), float(theta[6]), math.exp(theta[7])
    p, q = 1.0 + p1, 1.0 + q1
    log_mean, mean_m = mean_productivity(alpha, problem.beta, problem.m_range)
    log_k = math.log(n) - log_mean
    scale = d * np.exp(gamma * problem.m)
    log_production = log_k + alpha * problem.m
    log_kappa = log_production + math.log(p1) + p1 * math.log(c) + math.log(q1 / math.pi) + q1 * np.log(scale)
    sums = np.zeros((problem.t.size, 7))
    _pairs(
        problem.t,
        problem.x,
        problem.y,
        problem.m,
        problem.target,
        problem.reach2,
        log_kappa,
        scale,
        c,
        p,
        q,
        sums,
    )
    sums = sums[problem.target]
    base = mu * problem.background[problem.target]
    rate = base + sums[:, 0]
    # d ln(w)/d(...) of every pair has a part that depends on the pair and a part that does not.
    w, by_m, by_c, by_p, by_d, by_g, by_q = (sums / rate[:, None]).sum(axis=0)
    log_scale_sum = math.log(d) * w + gamma * by_m
    slopes = np.array(
        [
            (base / rate).sum(),
            w,
            by_m - mean_m * w,
            p1 * w - c * p * by_c,
            p1 * ((1.0 / p1 + math.log(c)) * w - by_p),
            q1 * w - q * by_d,
            q1 * by_m - q * by_g,
            q1 * (w / q1 + log_scale_sum - by_q),
        ]
    )
    expected = np.zeros(7)
    _compensator(
        problem.t,
        problem.x,
        problem.y,
        problem.m,
        problem.start,
        problem.end,
        problem.box,
        np.exp(log_production),
        scale,
        c,
        p,
        q,
        expected,
    )
    background_count = mu * (problem.end - problem.start)
    slopes -= np.array(
        [
            background_count,
            expected[0],
            expected[1] - mean_m * expected[0],
            c * expected[2],
            p1 * expected[3],
            expected[4],
            expected[5],
            q1 * expected[6],
        ]
    )
    value = float(np.log(rate).sum() - background_count - expected[0])
    return value, slopes, rate
