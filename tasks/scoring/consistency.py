"""Test whether the number of events that a model forecasts is consistent with the number observed."""

import math
from typing import NamedTuple

from scipy import stats


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
