"""Magnitude statistics: b-values, magnitude step and magnitude of completeness."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A number with its standard error and the number of values behind it."""

    value: float
    standard_error: float
    n: int


def magnitude_step(magnitudes: Floats) -> float:
    """Return the step to which magnitudes were rounded: 0.1, 0.01, or 0 if neither fits 99 % of them."""
    for step in (0.1, 0.01):
        off = np.abs(magnitudes / step - np.round(magnitudes / step))
        if magnitudes.size and float(np.mean(off < 1e-6)) >= 0.99:
            return step
    return 0.0


def b_value(magnitudes: Floats, magnitude_completeness: float, step: float = 0.0) -> Estimate:
    """Return the maximum-likelihood b-value (Aki 1965; binning: Utsu 1966; error: Shi and Bolt 1982, eq. 5).

    Parameters
    ----------
    magnitudes : array (event,)
        Values below completeness are left out; no NaN.
    magnitude_completeness : float
        Smallest magnitude that is complete; with a step, the centre of its bin.
    step : float
        Magnitude bin width; 0 for continuous magnitudes.

    Raises
    ------
    ValueError
        If fewer than two different magnitudes remain.
    """
    used = magnitudes[magnitudes >= magnitude_completeness - 0.5 * step - 1e-9]
    if used.size < 2 or np.ptp(used) == 0:
        raise ValueError(
            f"b-value: expected two different magnitudes or more at M >= {magnitude_completeness:g}, "
            f"found {used.size} events"
        )
    mean = float(used.mean())
    b = math.log10(math.e) / (mean - (magnitude_completeness - 0.5 * step))
    error = math.log(10.0) * b**2 * math.sqrt(float(used.var(ddof=1)) / used.size)
    return Estimate(b, error, int(used.size))


def b_positive(magnitudes: Floats, step: float = 0.0) -> Estimate:
    """Return the b-value from positive differences of successive magnitudes (van der Elst 2021, eq. 7).

    Magnitude differences are nearly blind to the incompleteness that follows large events.

    Parameters
    ----------
    magnitudes : array (event,)
        In order of origin time, M >= some magnitude; no NaN.
    step : float
        Magnitude bin width. Differences below it (below 0.1 for continuous magnitudes) are left out.

    Raises
    ------
    ValueError
        If fewer than two positive differences remain.
    """
    smallest = step if step > 0 else 0.1
    difference = np.diff(magnitudes)
    used = difference[difference >= smallest - 1e-9]
    if used.size < 2:
        raise ValueError(f"b-positive: expected two positive differences or more, found {used.size}")
    excess = float(used.mean()) - smallest
    if excess <= 0:
        raise ValueError("b-positive: expected differences of more than one step, found one step only")
    beta = math.log1p(step / excess) / step if step > 0 else 1.0 / excess
    b = beta / math.log(10.0)
    return Estimate(b, b / math.sqrt(used.size), int(used.size))


def _mode(magnitudes: Floats, step: float) -> float:
    bins = np.round(magnitudes / step).astype(np.int64)
    low = int(bins.min())
    return float((np.argmax(np.bincount(bins - low)) + low) * step)


def maximum_curvature(
    magnitudes: Floats, step: float = 0.1, correction: float = 0.2, draws: int = 500, seed: int = 0
) -> Estimate:
    """Return the magnitude of completeness by maximum curvature (Wiemer and Wyss 2000; +0.2: Woessner 2005).

    Parameters
    ----------
    magnitudes : array (event,)
        Of the training period; no NaN.
    step : float
        Bin width of the frequency-magnitude distribution.
    correction : float
        Added to the fullest bin, because maximum curvature underestimates.
    draws : int
        Bootstrap draws behind the standard error.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        If there are no magnitudes or one is not finite.
    """
    if magnitudes.size == 0 or not np.isfinite(magnitudes).all():
        raise ValueError(
            f"completeness: expected finite magnitudes, found {magnitudes.size} with NaN or none"
        )
    rng = np.random.default_rng(seed)
    modes = [_mode(rng.choice(magnitudes, magnitudes.size), step) for _ in range(draws)]
    value = round(_mode(magnitudes, step) + correction, 6)
    return Estimate(value, float(np.std(modes, ddof=1)), int(magnitudes.size))
