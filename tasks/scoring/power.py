"""Power of the consistency tests: a test that could not have rejected anything has confirmed nothing."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.scoring.gridded import fixed_draws, poisson_draws, simulate

Floats = NDArray[np.float64]


def simulated_power(
    test: Literal["L", "CL", "S", "M"],
    truth: Floats,
    forecast: Floats,
    events: int,
    simulations: int,
    seed: int,
    significance: float = 0.05,
) -> float:
    """Return how often `test` rejects `forecast` if the earthquakes follow `truth`.

    Parameters
    ----------
    test : str
        For S and M the rates are those of cells or of magnitudes.
    truth, forecast : arrays of one shape
        Expected counts; `forecast` positive.
    events : int
        Number of events in a catalog; for the L-test it is Poisson, with the mean of the law that makes the catalog.
    simulations : int
        Catalogs drawn under each of the two.
    significance : float
        A forecast is rejected if a catalog as unlikely as the observed one is rarer than this.

    Raises
    ------
    ValueError
        If the shapes differ, or a forecast bin is not positive.
    """
    if truth.shape != forecast.shape or not (forecast > 0).all():
        raise ValueError(f"expected a positive forecast of shape {truth.shape}, found shape {forecast.shape}")
    source, judged = truth.ravel(), forecast.ravel()
    rates = judged * (events / judged.sum()) if test in ("S", "M") else judged
    total = float(rates.sum())
    if test == "L":
        null = simulate(judged, rates, total, poisson_draws(total, simulations, seed))
        found = simulate(source, rates, total, poisson_draws(float(source.sum()), simulations, seed + 1))
    else:
        null = simulate(judged, rates, total, fixed_draws(events, simulations, seed))
        found = simulate(source, rates, total, fixed_draws(events, simulations, seed + 1))
    at_most = np.searchsorted(np.sort(null), found, side="right") / null.size
    return float(np.mean(at_most < significance))


def number_power(truth: float, forecast: float, significance: float = 0.05) -> float:
    """Return how often the Poisson N-test rejects a total of `forecast` if the number is Poisson with mean `truth`.

    Exact: the sum of the probabilities of all numbers that are rejected.
    """
    tail = significance / 2.0
    fewest = int(stats.poisson.ppf(tail, forecast))
    most = int(stats.poisson.isf(tail, forecast))
    # Rejected are the numbers below `fewest` and those above `most`.
    return float(stats.poisson.cdf(fewest - 1, truth) + stats.poisson.sf(most, truth))
