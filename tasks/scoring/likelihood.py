"""Log-likelihoods of gridded counts and the information gain per earthquake with its uncertainty."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def poisson_log_likelihood(rates: Floats, counts: Counts) -> Floats:
    """Return ln P(counts | rates) per window (issue_time,), independent Poisson cells (issue_time, lat, lon)."""
    cell = counts * np.log(rates) - rates - gammaln(counts + 1.0)
    return np.asarray(cell.sum(axis=(1, 2)))


def negative_binomial_log_likelihood(rates: Floats, counts: Counts, dispersion: float) -> Floats:
    """Return ln P(counts | rates) per window (issue_time,) for cells of variance rate + dispersion rate^2.

    Raises
    ------
    ValueError
        If dispersion is not positive (0 is the Poisson law).
    """
    if dispersion <= 0:
        raise ValueError(f"dispersion must be positive, found {dispersion:g}")
    size = 1.0 / dispersion
    cell = (
        gammaln(counts + size)
        - gammaln(size)
        - gammaln(counts + 1.0)
        - size * np.log1p(rates * dispersion)
        + counts * (np.log(rates) - np.log(rates + size))
    )
    return np.asarray(cell.sum(axis=(1, 2)))


class Gain(NamedTuple):
    """Information gain of one model over another, window by window.

    Attributes
    ----------
    per_window : array (issue_time,), nats
        Sum over the window's events of ln(rate_A / rate_B), less N_A - N_B.
    events : array (issue_time,)
        Number of target events.
    per_event : array (event,), nats
        ln(rate_A / rate_B) at each event.
    excess : float
        N_A - N_B over all windows.
    space, magnitude : float, nats
        The parts of the sum that come from where in a window the events fall, and from how large they are; the rest
        is when.
    """

    per_window: Floats
    events: Counts
    per_event: Floats
    excess: float
    space: float
    magnitude: float = 0.0

    @property
    def per_earthquake(self) -> float:
        """IGPE, nats per event; NaN if there is no event."""
        n = int(self.events.sum())
        return float(self.per_window.sum()) / n if n else math.nan

    @property
    def time(self) -> float:
        """The part of the sum that comes from when events fall and from the number of all, nats."""
        return float(self.per_window.sum()) - self.space - self.magnitude


def information_gain(rates: Floats, reference: Floats, counts: Counts) -> Gain:
    """Return the information gain of `rates` over `reference` (Rhoades et al. 2011, eq. 17, kept by window).

    A rate is (number in the window) x (share of the cell) x (share of the magnitude in the cell); the gain is
    the sum of the logarithms' differences, which is how it is split in time, space and magnitude.

    Parameters
    ----------
    rates, reference : array (issue_time, lat, lon) or (issue_time, lat, lon, magnitude)
        Expected counts, finite and positive wherever an event is.
    counts : int array of that shape
        Observed.
    """
    hit = counts > 0
    log_ratio = np.zeros(counts.shape)
    log_ratio[hit] = np.log(rates[hit]) - np.log(reference[hit])
    bins = tuple(range(1, counts.ndim))
    total, total_reference = rates.sum(axis=bins), reference.sum(axis=bins)
    events = counts.sum(axis=bins)
    at_events = (counts * log_ratio).sum(axis=bins)
    size = 0.0
    if counts.ndim == 4:
        size = float(at_events.sum() - _log_ratio(counts, rates, reference, (3,)).sum())
    # A window of zero rates has no event here (the scorecard refuses it), so its logarithm does not count.
    when = _log_ratio(counts, rates, reference, bins)
    return Gain(
        per_window=at_events - (total - total_reference),
        events=events,
        per_event=np.repeat(log_ratio[hit], counts[hit]),
        excess=float((total - total_reference).sum()),
        space=float((at_events - when).sum()) - size,
        magnitude=size,
    )


def _log_ratio(counts: Counts, rates: Floats, reference: Floats, axes: tuple[int, ...]) -> Floats:
    """Return n ln(rate / reference) of bins summed over `axes`, 0 where there is no event."""
    tiny = np.finfo(np.float64).tiny
    n = counts.sum(axis=axes)
    ratio = np.log(np.maximum(rates.sum(axis=axes), tiny)) - np.log(
        np.maximum(reference.sum(axis=axes), tiny)
    )
    return np.asarray(n * ratio)


class PairedTest(NamedTuple):
    """Statistic and two-sided p-value of a paired test; NaN where it cannot be made."""

    statistic: float
    p_value: float


def t_test(gain: Gain) -> PairedTest:
    """Return the paired T-test that the gain is zero (Rhoades et al. 2011, eqs. 17-18).

    Events are taken as independent, which clustered events are not: the block bootstrap is the interval to quote.
    """
    n = gain.per_event.size
    if n < 2:
        return PairedTest(math.nan, math.nan)
    error = float(gain.per_event.std(ddof=1)) / math.sqrt(n)
    if error == 0.0:
        same = gain.per_earthquake == 0.0
        return PairedTest(0.0 if same else math.copysign(math.inf, gain.per_earthquake), 1.0 if same else 0.0)
    statistic = gain.per_earthquake / error
    return PairedTest(statistic, float(2.0 * stats.t.sf(abs(statistic), n - 1)))


def w_test(gain: Gain) -> PairedTest:
    """Return the Wilcoxon test that the median gain of an event is (N_A - N_B) / N (Rhoades et al. 2011)."""
    n = gain.per_event.size
    if n < 10:
        return PairedTest(math.nan, math.nan)
    shifted = gain.per_event - gain.excess / n
    if not shifted.any():
        return PairedTest(0.0, 1.0)
    result = stats.wilcoxon(shifted, method="approx")
    return PairedTest(float(result.statistic), float(result.pvalue))
