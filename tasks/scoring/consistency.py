"""Say whether what was observed could have come from the model: results of consistency tests, and the number test."""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


class ConsistencyTest(NamedTuple):
    """A test by simulation: a statistic of the observed catalog among those of catalogs that the model makes.

    Attributes
    ----------
    name : str
        `L`, `CL`, `S`, `M`, `N` or `PL`.
    observed : float
        Statistic of the observed catalog; NaN where it has none.
    at_most, at_least : float
        Share of simulated catalogs with a statistic <= and >= the observed one.
    low, median, high : float
        2.5, 50 and 97.5 % quantiles of the simulated statistics.
    simulations : int
        Number of simulated catalogs that have the statistic.
    p_value : float
        How often the model makes a catalog as odd as the observed one.
    events_left_out : int
        Observed events in cells where no simulated catalog has any: not scored, and to be named with the result.
    """

    name: str
    observed: float
    at_most: float
    at_least: float
    low: float
    median: float
    high: float
    simulations: int
    p_value: float
    events_left_out: int = 0


def among_simulated(
    name: str,
    observed: float,
    simulated: Floats,
    odd: Literal["low", "high", "both"] = "low",
    events_left_out: int = 0,
) -> ConsistencyTest:
    """Return the place of `observed` among `simulated` (catalog,); `odd` says which end speaks against the model.

    Sums of the same terms in another order differ in the last digits, so values within a relative 1e-10 are ties, and
    ties count on both sides.
    """
    if math.isnan(observed) or simulated.size == 0:
        nan = math.nan
        return ConsistencyTest(name, observed, nan, nan, nan, nan, nan, simulated.size, nan, events_left_out)
    low, median, high = np.percentile(simulated, [2.5, 50.0, 97.5])
    tie = 1e-10 * max(1.0, abs(observed)) if math.isfinite(observed) else 0.0
    at_most, at_least = (
        float(np.mean(simulated <= observed + tie)),
        float(np.mean(simulated >= observed - tie)),
    )
    p_value = {"low": at_most, "high": at_least, "both": min(1.0, 2.0 * min(at_most, at_least))}[odd]
    return ConsistencyTest(
        name,
        observed,
        at_most,
        at_least,
        float(low),
        float(median),
        float(high),
        simulated.size,
        p_value,
        events_left_out,
    )


class NTest(NamedTuple):
    """Number test (Zechar et al. 2010; negative binomial: Werner et al. 2011).

    Attributes
    ----------
    law : str
        `poisson` or `negative_binomial`.
    delta1 : float
        P(N >= observed): small if the model forecasts too few.
    delta2 : float
        P(N <= observed): small if the model forecasts too many.
    """

    law: str
    delta1: float
    delta2: float

    @property
    def p_value(self) -> float:
        """Two-sided p-value, twice the smaller tail."""
        return min(1.0, 2.0 * min(self.delta1, self.delta2))


def n_test(forecast: float, observed: int, variance: float | None = None) -> NTest:
    """Return the number test of a total.

    Parameters
    ----------
    forecast : float
        Expected number of events.
    observed : int
        Number of events.
    variance : float, optional
        Variance of the number under the model; larger than `forecast` gives the negative binomial law, absent or
        equal the Poisson law.

    Raises
    ------
    ValueError
        If forecast is not positive and finite, or the variance is below it.
    """
    if not (math.isfinite(forecast) and forecast > 0):
        raise ValueError(f"N-test: expected a positive, finite forecast, found {forecast!r}")
    if variance is None or variance == forecast:
        return NTest(
            "poisson",
            float(stats.poisson.sf(observed - 1, forecast)),
            float(stats.poisson.cdf(observed, forecast)),
        )
    if not variance > forecast:
        raise ValueError(f"N-test: expected a variance of {forecast:g} or more, found {variance!r}")
    share = forecast / variance
    number = stats.nbinom(forecast * share / (1.0 - share), share)
    return NTest("negative_binomial", float(number.sf(observed - 1)), float(number.cdf(observed)))
