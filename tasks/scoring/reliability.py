"""Check whether stated probabilities of at least one event come true: reliability and Brier score."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


class Bin(NamedTuple):
    """One bin of forecast probability [lower, upper) and what was observed in it.

    `mean_forecast`, `observed`, `low` and `high` (Wilson interval) are probabilities, NaN in an empty bin; the
    interval takes cells and windows as independent.
    """

    lower: float
    upper: float
    n: int
    mean_forecast: float
    observed: float
    low: float
    high: float


def probability_of_event(rates: Floats, dispersion: float | None = None) -> Floats:
    """Return P(N >= 1) for counts with these expectations, Poisson, or negative binomial with a `dispersion`."""
    if dispersion is None:
        return np.asarray(-np.expm1(-rates))
    return np.asarray(-np.expm1(-np.log1p(dispersion * rates) / dispersion))


def wilson_interval(hits: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the score interval of a proportion (Wilson 1927); NaN if n is 0."""
    if n == 0:
        return math.nan, math.nan
    z = float(stats.norm.ppf(0.5 + 0.5 * confidence))
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def reliability(
    probability: Floats, occurred: NDArray[np.bool_], edges: Sequence[float], confidence: float = 0.95
) -> list[Bin]:
    """Return the reliability table.

    Parameters
    ----------
    probability : array of any shape
        Forecast probabilities, no NaN.
    occurred : bool array of the same shape
        Whether there was an event.
    edges : sequence of float
        Increasing bin edges from 0 to 1; the last bin holds 1.
    confidence : float
        Coverage of the Wilson interval.
    """
    flat, hit = probability.ravel(), occurred.ravel()
    index = np.clip(np.searchsorted(edges, flat, side="right") - 1, 0, len(edges) - 2)
    bins = len(edges) - 1
    n = np.bincount(index, minlength=bins)
    hits = np.bincount(index, weights=hit, minlength=bins)
    total = np.bincount(index, weights=flat, minlength=bins)
    table = []
    for k in range(bins):
        count = int(n[k])
        low, high = wilson_interval(int(hits[k]), count, confidence)
        mean = float(total[k]) / count if count else math.nan
        observed = float(hits[k]) / count if count else math.nan
        table.append(Bin(float(edges[k]), float(edges[k + 1]), count, mean, observed, low, high))
    return table


def brier_score(probability: Floats, occurred: NDArray[np.bool_]) -> float:
    """Return the mean squared difference of probability and occurrence (Brier 1950); 0 is perfect."""
    return float(np.mean((probability - occurred) ** 2))
