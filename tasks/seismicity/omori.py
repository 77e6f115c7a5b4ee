"""The Omori law, tapered or not, integrated over time with its derivatives."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_NODES = 0.5 * (_NODES + 1.0)
_WEIGHTS = 0.5 * _WEIGHTS
_PANEL = 0.5
# e^-60 of a tapered law is left when the integral to infinity stops.
_TAPERS = 60.0


@njit(cache=True, nogil=True, error_model="numpy")
def _add_panel(low: float, high: float, c: float, omega: float, taper: float, out: Floats) -> None:
    """Add to out (4,) the integral between two values of ln(1 + t/c), and its derivatives."""
    width = high - low
    for k in range(_NODES.size):
        v = low + width * _NODES[k]
        t = c * math.expm1(v)
        log_age = math.log(c) + v
        mass = width * _WEIGHTS[k] * math.exp(-taper * t - omega * log_age)
        out[0] += mass
        out[1] -= (1.0 + omega) * mass * math.exp(-v)
        out[2] -= log_age * mass
        out[3] += taper * t * mass


@njit(cache=True, nogil=True, error_model="numpy")
def omori_integrals(times: Floats, c: float, omega: float, taper: float) -> Floats:
    """Return the integrals of e^(-taper t) (t + c)^-(1 + omega) from 0 to each time, and their derivatives.

    Gauss-Legendre in ln(1 + t/c), in which the integrand is smooth; relative error below 1e-11.

    Parameters
    ----------
    times : array (time,), days
        Not negative.
    c : float, days
    omega : float
        May be negative.
    taper : float, 1/day
        1/tau; 0 for the law without taper.

    Returns
    -------
    array (time, 4)
        The integral, and its derivatives by ln c, by omega and by ln tau.
    """
    longest = 0.0
    for time in times:
        longest = max(longest, time)
    panels = int(math.log1p(longest / c) / _PANEL) + 1
    table = np.zeros((panels + 1, 4))
    for k in range(panels):
        table[k + 1] = table[k]
        _add_panel(k * _PANEL, (k + 1) * _PANEL, c, omega, taper, table[k + 1])
    out = np.empty((times.size, 4))
    for i in range(times.size):
        v = math.log1p(times[i] / c)
        k = int(v / _PANEL)
        out[i] = table[k]
        _add_panel(k * _PANEL, v, c, omega, taper, out[i])
    return out


def omori_total(c: float, omega: float, taper: float) -> Floats:
    """Return what `omori_integrals` tends to with time (4,).

    Raises
    ------
    ValueError
        If the integral is infinite: omega at most 0 without taper.
    """
    if taper > 0.0:
        return np.asarray(omori_integrals(np.array([_TAPERS / taper]), c, omega, taper)[0])
    if omega <= 0.0:
        raise ValueError(f"an Omori law without taper needs omega above 0, found {omega:g}")
    total = c**-omega / omega
    return np.array([total, -omega * total, -(math.log(c) + 1.0 / omega) * total, 0.0])
