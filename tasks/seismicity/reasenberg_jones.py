"""Reasenberg-Jones: what a sequence's aftershocks say of its productivity and decay, and what is to be expected."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import poisson

from tasks.seismicity.generic_aftershocks import FIXED, Generic, Spread, omori_integral
from tasks.seismicity.incompleteness import SOUTHERN_CALIFORNIA, Incompleteness, completeness_at, hidden_time

Floats = NDArray[np.float64]

# Nodes of a, as the USGS has them.
A_NODES: Final = np.round(np.arange(-4.5, -0.495, 0.01), 2)
COVERAGE: Final = 0.95
_LN10: Final = float(np.log(10.0))
_TEN_TO_A: Final = 10.0**A_NODES


class Observed(NamedTuple):
    """What came of a sequence until `days_end`, as far as the likelihood of (a, p, c) needs it.

    Attributes
    ----------
    days_end : float
        End of the observation, days after the mainshock.
    days : array (event,)
        Times of the aftershocks at or above Mc(t), days after the mainshock.
    hidden : array (p, c)
        Integral of (10^(-b floor) - 10^(-b Mc(t))) (t + c)^-p over the observation: what Mc(t) > floor conceals.
    floor : float
        Completeness in quiet times.
    """

    days_end: float
    days: Floats
    hidden: Floats
    floor: float


def observe(
    days: Floats,
    magnitude: Floats,
    mainshock: float,
    days_end: float,
    floor: float,
    generic: Generic,
    spread: Spread = FIXED,
    law: Incompleteness = SOUTHERN_CALIFORNIA,
) -> Observed:
    """Return what aftershocks say of a sequence, those that Mc(t) conceals left out.

    Parameters
    ----------
    days, magnitude : array (event,)
        Aftershocks, days after the mainshock; each may conceal the ones after it.
    mainshock : float
        Its magnitude.
    days_end : float
        End of the observation.
    floor : float
        Completeness in quiet times.
    generic, spread : Generic, Spread
        Where the nodes of p and c are, and b.
    law : Incompleteness
        What a large event conceals.
    """
    all_days = np.concatenate([[0.0], days])
    all_magnitudes = np.concatenate([[mainshock], magnitude])
    lasts = law.duration_days(all_magnitudes, floor)
    hides = (lasts > 0) & (all_days < days_end)
    hiding_days, hiding = all_days[hides], all_magnitudes[hides]
    complete = completeness_at(days, hiding_days, hiding, floor, law)
    seen = (days > 0) & (days < days_end) & (magnitude >= complete - 1e-9)
    # Once all is over that large events hid, the integral stays what it is: successive issue times ask for the same.
    until = min(days_end, float((hiding_days + lasts[hides]).max(initial=0.0)))
    hidden = _hidden(tuple(hiding_days), tuple(hiding), until, floor, generic, spread, law)
    return Observed(days_end, days[seen], hidden, floor)


@lru_cache(maxsize=1024)
def _hidden(
    days: tuple[float, ...],
    magnitude: tuple[float, ...],
    until: float,
    floor: float,
    generic: Generic,
    spread: Spread,
    law: Incompleteness,
) -> Floats:
    """Return `Observed.hidden` (p, c), read-only."""
    p, c, _ = spread.nodes(generic)
    nodes, weight, complete = hidden_time(np.array(days), np.array(magnitude), until, floor, law)
    lost = weight * (10.0 ** (-generic.b * floor) - 10.0 ** (-generic.b * complete))
    decay = np.exp(-p[:, None, None] * np.log(nodes + c[:, None]))
    hidden = np.asarray(decay @ lost)
    hidden.flags.writeable = False
    return hidden


class Belief(NamedTuple):
    """What is believed of one sequence: a probability on the nodes of a, p and c.

    Attributes
    ----------
    generic : Generic
    mainshock : float
        Its magnitude.
    p, c : array (p,) and (c,)
    weight : array (a, p, c)
        Probability of each node (`A_NODES`, p, c); the sum is 1.
    """

    generic: Generic
    mainshock: float
    p: Floats
    c: Floats
    weight: Floats

    def mean_a(self) -> tuple[float, float]:
        """Return mean and standard deviation of a."""
        share = self.weight.sum(axis=(1, 2))
        mean = float(share @ A_NODES)
        return mean, float(np.sqrt(share @ (A_NODES - mean) ** 2))

    def expected(self, start: float, ends: ArrayLike, magnitude: float) -> Floats:
        """Return the expected numbers of events M >= magnitude in [start, ends), days after the mainshock."""
        last = np.asarray(ends, np.float64)[..., None, None]
        integral = omori_integral(self.p[:, None], self.c, start, last)
        scale = 10.0 ** (self.generic.b * (self.mainshock - magnitude))
        productivity = np.tensordot(_TEN_TO_A, self.weight, 1)
        return np.asarray(scale * (productivity * integral).sum(axis=(-2, -1)))

    def _rates(self, start: float, end: float, magnitude: float) -> tuple[Floats, Floats]:
        """Return the expected number under each node (a, p, c), and the nodes' probabilities."""
        integral = omori_integral(self.p[:, None], self.c, start, end)
        scale = 10.0 ** (self.generic.b * (self.mainshock - magnitude))
        return scale * _TEN_TO_A[:, None, None] * integral, self.weight

    def numbers(
        self, start: float, windows: Sequence[float], magnitudes: Sequence[float], coverage: float = COVERAGE
    ) -> xr.Dataset:
        """Return what is to be expected from `start` on, days after the mainshock.

        Parameters
        ----------
        start : float, days after the mainshock
        windows : sequence of float, days
            Lengths of the windows, which begin at `start`.
        magnitudes : sequence of float
            Smallest magnitudes.
        coverage : float
            Of the ranges.

        Returns
        -------
        Dataset (window, magnitude)
            `expected` mean number; `probability` of one event or more; `low`, `median` and `high`, quantiles of
            the number. Numbers are Poisson under each node, so the ranges hold what is unknown of a, p and c.
        """
        names = ("expected", "probability", "low", "median", "high")
        table = np.empty((len(names), len(windows), len(magnitudes)))
        tail = 0.5 * (1.0 - coverage)
        for i, window in enumerate(windows):
            for j, magnitude in enumerate(magnitudes):
                rate, weight = (v.ravel() for v in self._rates(start, start + window, magnitude))
                table[:2, i, j] = (rate * weight).sum(), -(np.expm1(-rate) * weight).sum()
                table[2:, i, j] = [_quantile(rate, weight, q) for q in (tail, 0.5, 1.0 - tail)]
        return xr.Dataset(
            {name: (("window", "magnitude"), values) for name, values in zip(names, table, strict=True)},
            coords={
                "window": ("window", np.asarray(windows, np.float64), {"units": "days"}),
                "magnitude": ("magnitude", np.asarray(magnitudes, np.float64)),
            },
        )


def _quantile(rate: Floats, weight: Floats, probability: float) -> int:
    """Return the smallest n for which the mixture of Poisson laws holds `probability` up to n."""
    kept = weight > 1e-9 * weight.max()
    rate, weight = rate[kept], weight[kept] / weight[kept].sum()

    def below(n: float) -> float:
        return float(poisson.cdf(np.floor(n), rate) @ weight) - probability

    if below(0.0) >= 0:
        return 0
    high = float(rate.max() + 10.0 * np.sqrt(rate.max()) + 10.0)
    n = int(np.floor(brentq(below, 0.0, high, xtol=0.5)))
    while n > 0 and below(n - 1) >= 0:
        n -= 1
    while below(n) < 0:
        n += 1
    return n


def believe(
    generic: Generic, mainshock: float, observed: Observed | None = None, spread: Spread = FIXED
) -> Belief:
    """Return what is believed of a sequence: the generic law, updated by what was observed.

    Bayes' rule on a grid (Page et al. 2016): ln L = N a ln10 - p sum ln(t_i + c) - 10^(a + b M) I(p, c), where I is the
    integral of 10^(-b Mc(t)) (t + c)^-p, so that early aftershocks that nobody could list are not missed.

    Parameters
    ----------
    generic : Generic
        Prior of the regime.
    mainshock : float
        Magnitude.
    observed : Observed, optional
        Made with the same generic law and spread; without it the prior is returned.
    spread : Spread
        Prior of p and c.
    """
    p, c, log_prior = spread.nodes(generic)
    off = (A_NODES - generic.a) / generic.sigma(mainshock)
    log_weight = -0.5 * (off**2)[:, None, None] + log_prior
    if observed is not None:
        whole = 10.0 ** (-generic.b * observed.floor) * omori_integral(p[:, None], c, 0.0, observed.days_end)
        seen = 10.0 ** (generic.b * mainshock) * (whole - observed.hidden)
        logs = np.log(observed.days[:, None] + c).sum(axis=0)
        log_weight += (observed.days.size * _LN10 * A_NODES)[:, None, None] - p[:, None] * logs
        log_weight -= _TEN_TO_A[:, None, None] * seen
    weight = np.exp(log_weight - log_weight.max())
    return Belief(generic, mainshock, p, c, np.asarray(weight / weight.sum()))
