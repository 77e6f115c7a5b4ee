"""Consistency of gridded rates with a catalog by simulation: L, CL, S and M tests under independent Poisson bins."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import gammaln

from tasks.scoring.consistency import ConsistencyTest, among_simulated

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BATCH_EVENTS: Final = 1_000_000


class Draws(NamedTuple):
    """Random numbers of simulated catalogs.

    Attributes
    ----------
    events : int array (catalog,)
        Number of events of each.
    uniforms : array (event,), in [0, 1)
        One for each event of all catalogs, catalog by catalog: its place in the cumulative rate.
    """

    events: Counts
    uniforms: Floats


def fixed_draws(events: int, simulations: int, seed: int) -> Iterator[Draws]:
    """Yield draws of `simulations` catalogs of `events` events each, in batches of about a million events."""
    rng = np.random.default_rng(seed)
    batch = max(1, BATCH_EVENTS // max(1, events))
    for start in range(0, simulations, batch):
        size = min(batch, simulations - start)
        yield Draws(np.full(size, events, np.int64), rng.random(size * events))


def poisson_draws(expected: float, simulations: int, seed: int) -> Iterator[Draws]:
    """Yield draws of `simulations` catalogs with a Poisson number of events each."""
    rng = np.random.default_rng(seed)
    batch = max(1, int(BATCH_EVENTS // max(1.0, expected)))
    for start in range(0, simulations, batch):
        events = rng.poisson(expected, min(batch, simulations - start)).astype(np.int64)
        yield Draws(events, rng.random(int(events.sum())))


def likelihood_test(rates: Floats, counts: Counts, draws: Iterable[Draws]) -> ConsistencyTest:
    """Return the L-test (Schorlemmer et al. 2007; Zechar et al. 2010, eq. 7-10).

    Parameters
    ----------
    rates : array of any shape
        Expected counts per bin, 0 or more.
    counts : int array of that shape
        Observed.
    draws : iterable of Draws
        `poisson_draws(rates.sum(), ...)`.

    Raises
    ------
    ValueError
        If the shapes differ, a rate is negative or not finite, or all are zero.
    """
    expected, observed = _flat(rates, counts)
    total = float(expected.sum())
    simulated = simulate(expected, expected, total, draws)
    return among_simulated("L", joint_log_likelihood(expected, observed, total), simulated)


def conditional_likelihood_test(rates: Floats, counts: Counts, draws: Iterable[Draws]) -> ConsistencyTest:
    """Return the CL-test: as the L-test, with as many simulated events as were observed (Werner et al. 2011).

    Draws: `fixed_draws(counts.sum(), ...)`. Parameters and errors as in `likelihood_test`.
    """
    expected, observed = _flat(rates, counts)
    total = float(expected.sum())
    simulated = simulate(expected, expected, total, draws)
    return among_simulated("CL", joint_log_likelihood(expected, observed, total), simulated)


def spatial_test(rates: Floats, counts: Counts, draws: Iterable[Draws]) -> ConsistencyTest:
    """Return the S-test: where events fall, whatever when, how large and how many (Zechar et al. 2010, eq. 15-18).

    Parameters
    ----------
    rates, counts : arrays (cell, ...)
        Summed over time and magnitude by the caller. Draws: `fixed_draws(counts.sum(), ...)`.
    """
    return _normalised("S", rates, counts, draws)


def magnitude_test(rates: Floats, counts: Counts, draws: Iterable[Draws]) -> ConsistencyTest:
    """Return the M-test: how large events are, whatever when, where and how many (Zechar et al. 2010, eq. 11-14).

    Parameters
    ----------
    rates, counts : arrays (magnitude,)
        Summed over time and space by the caller. Draws: `fixed_draws(counts.sum(), ...)`.
    """
    return _normalised("M", rates, counts, draws)


def joint_log_likelihood(rates: Floats, counts: Counts, total: float) -> float:
    """Return ln P(counts | rates) of independent Poisson bins (bin,) whose rates sum to `total`; -inf if impossible."""
    hit = counts > 0
    with np.errstate(divide="ignore"):
        terms = counts[hit] * np.log(rates[hit]) - gammaln(counts[hit] + 1.0)
    return float(terms.sum()) - total


def simulate(source: Floats, rates: Floats, total: float, draws: Iterable[Draws]) -> Floats:
    """Return ln P(catalog | rates) (catalog,) of catalogs whose events fall into bins in proportion to `source`.

    Parameters
    ----------
    source, rates : arrays (bin,)
        The law that makes the catalogs, and the one under which they are judged; the same in a consistency test.
    total : float
        Expected number of events under `rates`.
    draws : iterable of Draws
        Their numbers and random numbers.
    """
    used = source > 0
    cumulative = np.cumsum(source[used]) / source.sum()
    cumulative[-1] = 1.0  # the rounded sum must not leave a place for events without a bin
    with np.errstate(divide="ignore"):
        log_rates = np.log(rates[used])
    # Where the search of a uniform number begins: one look-up instead of a bisection in a table out of cache.
    guide = np.searchsorted(cumulative, np.arange(cumulative.size) / cumulative.size, side="right")
    parts = [_log_likelihoods(d.events, d.uniforms, cumulative, guide, log_rates) for d in draws]
    return np.asarray(np.concatenate(parts) - total)


@njit(cache=True, nogil=True)
def _log_likelihoods(
    events: Counts, uniforms: Floats, cumulative: Floats, guide: Counts, log_rates: Floats
) -> Floats:
    """Return the sum of n ln(rate) - ln(n!) over the bins of each catalog; the cost is that of its events alone."""
    found = np.empty(events.size)
    number = np.zeros(cumulative.size, np.int64)
    most = 0
    for n in events:
        most = max(most, n)
    touched = np.empty(most, np.int64)
    position = 0
    for i in range(events.size):
        total = 0.0
        for j in range(events[i]):
            u = uniforms[position]
            position += 1
            k = guide[min(int(u * cumulative.size), cumulative.size - 1)]
            while k > 0 and cumulative[k - 1] > u:
                k -= 1
            while cumulative[k] <= u:
                k += 1
            number[k] += 1
            touched[j] = k
            total += log_rates[k]
            if number[k] > 1:
                total -= np.log(number[k])
        for j in range(events[i]):
            number[touched[j]] = 0
        found[i] = total
    return found


def _normalised(name: str, rates: Floats, counts: Counts, draws: Iterable[Draws]) -> ConsistencyTest:
    """Test with the rates scaled to the observed number, so that only their shape counts."""
    expected, observed = _flat(rates, counts)
    n = int(observed.sum())
    scaled = expected * (n / expected.sum())
    simulated = simulate(expected, scaled, float(n), draws)
    return among_simulated(name, joint_log_likelihood(scaled, observed, float(n)), simulated)


def _flat(rates: Floats, counts: Counts) -> tuple[Floats, Counts]:
    if rates.shape != counts.shape:
        raise ValueError(f"expected rates and counts of one shape, found {rates.shape} and {counts.shape}")
    if not np.isfinite(rates).all() or (rates < 0).any() or not rates.any():
        raise ValueError("expected finite rates of 0 or more, not all zero")
    return rates.ravel().astype(np.float64), counts.ravel().astype(np.int64)
