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
    space : float, nats
        The part of the sum that comes from where in a window the events fall; the rest is when.
    """

    per_window: Floats
    events: Counts
    per_event: Floats
    excess: float
    space: float

    @property
    def per_earthquake(self) -> float:
        """IGPE, nats per event; NaN if there is no event."""
        n = int(self.events.sum())
        return float(self.per_window.sum()) / n if n else math.nan


def information_gain(rates: Floats, reference: Floats, counts: Counts) -> Gain:
    """Return the information gain of `rates` over `reference` (Rhoades et al. 2011, eq. 17, kept by window).

    Parameters
    ----------
    rates, reference : array (issue_time, lat, lon)
        Expected counts, finite and positive wherever an event is.
    counts : int array (issue_time, lat, lon)
        Observed.
    """
    hit = counts > 0
    log_ratio = np.zeros(counts.shape)
    log_ratio[hit] = np.log(rates[hit]) - np.log(reference[hit])
    total, total_reference = rates.sum(axis=(1, 2)), reference.sum(axis=(1, 2))
    events = counts.sum(axis=(1, 2))
    at_events = (counts * log_ratio).sum(axis=(1, 2))
    # A window of zero rates has no event here (the scorecard refuses it), so its logarithm does not count.
    tiny = np.finfo(np.float64).tiny
    when = events * (np.log(np.maximum(total, tiny)) - np.log(np.maximum(total_reference, tiny)))
    return Gain(
        per_window=at_events - (total - total_reference),
        events=events,
        per_event=np.repeat(log_ratio[hit], counts[hit]),
        excess=float((total - total_reference).sum()),
        space=float((at_events - when).sum()),
    )


def block_bootstrap(
    gain: Gain, windows_per_block: int, draws: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Return the interval of the IGPE from resampled blocks of consecutive windows.

    Blocks do not overlap; the last may be shorter. Each draw takes as many blocks as there are, with replacement, and
    forms the ratio of its gain to its events anew. Draws without an event are left out.

    Returns
    -------
    float, float
        Percentile bounds, nats per event; NaN with fewer than two blocks or fewer than two with events.
    """
    starts = np.arange(0, gain.events.size, windows_per_block)
    total = np.add.reduceat(gain.per_window, starts)
    events = np.add.reduceat(gain.events, starts)
    if starts.size < 2 or int((events > 0).sum()) < 2:
        return math.nan, math.nan
    chosen = np.random.default_rng(seed).integers(0, starts.size, size=(draws, starts.size))
    drawn = events[chosen].sum(axis=1)
    ratio = total[chosen].sum(axis=1)[drawn > 0] / drawn[drawn > 0]
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(ratio, [tail, 100.0 - tail])
    return float(low), float(high)


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
