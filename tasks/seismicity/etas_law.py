"""The ETAS rate and its parameters.

    lambda(t, x) = mu u(x) + sum_j kappa(m_j) h(t - t_j) f(x - x_j; m_j)
    kappa(m) = K exp(alpha (m - m0)),   h(t) = e^(-t/tau) (t+c)^-(1+omega) / H,
    f(r; m)  = rho/pi D^rho (r^2 + D)^-(1+rho),   D = d exp(gamma (m - m0))

(Ogata 1998; Zhuang, Ogata and Vere-Jones 2002; the taper: Mizrahi, Nandan and Wiemer 2021.) h and f have integral 1, so
kappa counts direct offspring; without taper tau is infinite, omega = p - 1 and H = c^-omega / omega. K is replaced by
the branching ratio n = K E[exp(alpha (m - m0))] over a truncated Gutenberg-Richter law, which keeps the fitted process
stable by a bound.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.seismicity.omori import omori_total
from tasks.seismicity.pair_sums import PairLaw

Floats = NDArray[np.float64]

NAMES = ("log_mu", "log_n", "alpha", "log_c", "omega", "log_d", "gamma", "log_rho", "log_tau")


class Triggering(NamedTuple):
    """The parameters of theta by name, and what follows from them.

    Attributes
    ----------
    mu : float, 1/day
        Background in the box.
    log_k, alpha : float
        Direct offspring: exp(log_k + alpha m).
    c : float, days
    omega, taper : float
        Omori exponent less one; 1/tau, 1/day.
    d, gamma, rho : float
        Spatial kernel, d in km2.
    total : array (4,)
        H, and its derivatives by ln c, omega, ln tau.
    mean_m : float
        Mean magnitude above m0 of the parents of events, the slope of ln K by -alpha.
    """

    mu: float
    log_k: float
    alpha: float
    c: float
    omega: float
    taper: float
    d: float
    gamma: float
    rho: float
    total: Floats
    mean_m: float

    @classmethod
    def of(cls, theta: Floats, beta: float, m_range: float) -> "Triggering":
        """Return what theta (9,), in the order of `NAMES`, says; beta and m_range as in `Problem`."""
        mu, n, c = math.exp(theta[0]), math.exp(theta[1]), math.exp(theta[3])
        alpha, omega, taper = float(theta[2]), float(theta[4]), math.exp(-theta[8])
        log_mean, mean_m = mean_productivity(alpha, beta, m_range)
        return cls(
            mu, math.log(n) - log_mean, alpha, c, omega, taper,
            math.exp(theta[5]), float(theta[6]), math.exp(theta[7]), omori_total(c, omega, taper), mean_m,
        )  # fmt: skip

    def productivity(self, m: Floats) -> Floats:
        """Return the direct offspring of magnitudes above m0."""
        return np.asarray(np.exp(self.log_k + self.alpha * m))

    def scale(self, m: Floats) -> Floats:
        """Return D (event,), km2."""
        return np.asarray(self.d * np.exp(self.gamma * m))

    def pair_law(self, m: Floats, curvature: float) -> PairLaw:
        """Return the law of pairs whose parents have magnitudes m above m0."""
        log_scale = math.log(self.d) + self.gamma * m
        norm = self.log_k - math.log(self.total[0]) + math.log(self.rho / math.pi)
        return PairLaw(
            norm + self.alpha * m + self.rho * log_scale,
            np.exp(log_scale),
            np.array([self.c, 1.0 + self.omega, self.taper, 1.0 + self.rho, curvature]),
        )


def mean_productivity(alpha: float, beta: float, m_range: float) -> tuple[float, float]:
    """Return ln E[exp(alpha M)] for M of density beta e^(-beta M) truncated at m_range, and its slope by alpha."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    m = 0.5 * m_range * (nodes + 1.0)
    density = weights * np.exp(-beta * m)
    density /= density.sum()
    boosted = density * np.exp(alpha * m)
    return math.log(boosted.sum()), float((boosted * m).sum() / boosted.sum())
