"""The laws of aftershock sequences with their published parameters: what is believed before any aftershock came."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.regions import AftershockRegime

Floats = NDArray[np.float64]


class Generic(NamedTuple):
    """The law of sequences of one tectonic regime.

    The rate of events M >= m at t days after a mainshock of magnitude M is 10^(a + b (M - m)) (t + c)^-p, 1/day
    (Reasenberg and Jones 1989). `a` differs from sequence to sequence by a normal law.

    Attributes
    ----------
    a, b, p, c : float
        Mean `a`, and the other parameters; c in days.
    sigma0, sigma1 : float
        Spread of `a`: sigma(M)^2 = sigma0^2 + sigma1^2 10^-max(M, 6) (Page et al. 2016, eq. 8).
    """

    a: float
    b: float
    p: float
    c: float
    sigma0: float
    sigma1: float

    def sigma(self, magnitude: float) -> float:
        """Return the standard deviation of `a` among sequences with this mainshock magnitude."""
        return math.sqrt(self.sigma0**2 + self.sigma1**2 * 10.0 ** -max(magnitude, 6.0))


class Spread(NamedTuple):
    """How p and log10(c) differ among sequences: standard deviations of normal laws about the generic values.

    With 0 a parameter stays at its generic value, as in the forecasts of the USGS. The rate at one day does not
    depend on p and hardly on c, so the three are independent beforehand.
    """

    p: float = 0.0
    log_c: float = 0.0

    def nodes(self, generic: Generic) -> tuple[Floats, Floats, Floats]:
        """Return the nodes p (p,) and c (c,), days, and ln(prior), up to a constant, (p, c) on them."""
        steps_p, steps_c = _steps(self.p, 15), _steps(self.log_c, 5)
        p, c = generic.p + self.p * steps_p, generic.c * 10.0 ** (self.log_c * steps_c)
        return p, c, -0.5 * (steps_p[:, None] ** 2 + steps_c**2)


FIXED: Final = Spread()


def _steps(deviation: float, n: int) -> Floats:
    return np.linspace(-2.5, 2.5, n) if deviation > 0 else np.zeros(1)


def omori_integral(p: Floats, c: Floats, start: float, end: float | Floats) -> Floats:
    """Return the integral of (t + c)^-p over [start, end), for arrays that broadcast; days^(1-p)."""
    low, high = np.log(start + c), np.log(end + c)
    step = (1.0 - p) * (high - low)
    # (high^(1-p) - low^(1-p)) / (1-p) without cancellation at p = 1.
    ratio = np.where(np.abs(step) < 1e-12, 1.0, np.expm1(step) / np.where(step == 0, 1.0, step))
    return np.asarray(np.exp((1.0 - p) * low) * (high - low) * ratio)


def _page(a: float, p: float, sigma1: float) -> Generic:
    return Generic(a, 1.0, p, 0.018, 0.49, sigma1)


# Page et al. (2016), BSSA 106, 2290, regimes of Garcia et al. (2012); Hardebeck et al. (2019), SRL 90, 262, for
# California: the values in use at the USGS. Reasenberg and Jones (1989) tell no spread of a: the global one stands in.
GENERIC: Final[dict[AftershockRegime, Generic]] = {
    "ANSR-ABSLDEC": _page(-2.29, 1.01, 560.0),
    "ANSR-ABSLOCB": _page(-2.82, 0.64, 890.0),
    "ANSR-ABSLSHC": _page(-2.85, 1.06, 800.0),
    "ANSR-DEEPCON": _page(-2.13, 0.98, 250.0),
    "ANSR-HOTSPOT": _page(-3.00, 1.12, 680.0),
    "ANSR-OCEANBD": _page(-3.19, 1.08, 500.0),
    "ANSR-SHALCON": _page(-2.42, 0.98, 570.0),
    "SCR-GENERIC": _page(-2.85, 0.73, 870.0),
    "SCR-ABVSLAB": _page(-2.85, 0.73, 870.0),
    "SOR-GENERIC": _page(-3.04, 0.97, 650.0),
    "SOR-ABVSLAB": _page(-3.04, 0.97, 650.0),
    "SZ-GENERIC": _page(-2.47, 0.88, 570.0),
    "SZ-INLBACK": _page(-2.43, 0.86, 640.0),
    "SZ-ONSHORE": _page(-2.34, 0.81, 500.0),
    "SZ-OUTERTR": _page(-2.42, 0.92, 540.0),
    "CAL-SCSN": Generic(-2.30, 1.0, 0.83, 0.0033, 0.50, 0.0),
    "CAL-NCSS": Generic(-2.64, 1.0, 0.96, 0.012, 0.48, 0.0),
    "CAL-MENDOCINO": Generic(-3.18, 1.0, 1.15, 0.050, 0.47, 0.0),
    "CAL-HYDROTHERMAL": Generic(-1.79, 1.0, 0.94, 0.026, 0.29, 0.0),
    "CAL-RJ1989": Generic(-1.67, 0.91, 1.08, 0.05, 0.49, 0.0),
}
