"""Logarithm and exponential that compilers turn into vector instructions, for loops over millions of pairs.

The library calls behind `math.log` and `math.exp` are scalar: a loop that holds one runs on one lane out of four or
eight. These are polynomials after a reduction of the argument through the bits of the number, without branches.
Callers are decorated with `vectorised` (a division that may raise, Python's way, would stop the vectoriser, too).
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def vectorised(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function so that its loops become vector instructions, callable from several threads.

    Sums may be reordered; NaN and infinity keep their meaning, and a division by zero gives them.
    """
    options = {"reassoc", "contract", "nsz", "arcp"}
    compiled: Callable[P, R] = njit(fastmath=options, error_model="numpy", nogil=True, cache=True)(function)
    return compiled


def _exact(function: Callable[P, R]) -> Callable[P, R]:
    """Compile likewise, but keep the order of operations, on which tricks of rounding rely."""
    compiled: Callable[P, R] = njit(
        fastmath={"contract", "nsz"}, error_model="numpy", nogil=True, cache=True
    )(function)
    return compiled


_LN2 = 0.6931471805599453
_LN2_HIGH = 0.693147180369123816490
_LN2_LOW = 1.90821492927058770002e-10
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
# 1.5 * 2^52: adding it rounds a double to an integer that sits in its lowest bits.
_ROUND = 6755399441055744.0
_ROUND_BITS = 0x4338000000000000


@_exact
def log(x: float) -> float:
    """Return ln x of a positive normal number, relative error below 1e-14 (series of fdlibm's `e_log.c`)."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _SQRT_HALF_BITS) >> 52
    f = np.int64(bits - (exponent << 52)).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    tail = z * (
        0.6666666666666735130
        + z
        * (
            0.3999999999940941908
            + z
            * (
                0.2857142874366239149
                + z
                * (
                    0.2222219843214978396
                    + z * (0.1818357216161805012 + z * (0.1531383769920937332 + z * 0.1479819860511658591))
                )
            )
        )
    )
    return np.float64(exponent) * _LN2 + (2.0 * s + s * tail)


@_exact
def exp(x: float) -> float:
    """Return e^x for x below 700, relative error below 1e-14; below -700 it stays at e^-700."""
    x = x if x > -700.0 else -700.0
    shifted = x * (1.0 / _LN2) + _ROUND
    k = shifted - _ROUND
    r = x - k * _LN2_HIGH - k * _LN2_LOW
    series = 1.0 / 479001600.0
    series = series * r + 1.0 / 39916800.0
    series = series * r + 1.0 / 3628800.0
    series = series * r + 1.0 / 362880.0
    series = series * r + 1.0 / 40320.0
    series = series * r + 1.0 / 5040.0
    series = series * r + 1.0 / 720.0
    series = series * r + 1.0 / 120.0
    series = series * r + 1.0 / 24.0
    series = series * r + 1.0 / 6.0
    series = series * r + 0.5
    series = series * r + 1.0
    series = series * r + 1.0
    power = (np.float64(shifted).view(np.int64) - _ROUND_BITS + 1023) << 52
    return series * np.int64(power).view(np.float64)
