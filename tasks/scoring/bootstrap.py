"""How sure a gain is: resampled blocks of windows, resampled earthquake sequences, and what follows for a decision."""

import math
from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.likelihood import Gain

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Key = TypeVar("Key", bound=Hashable)


def block_draws(gain: Gain, windows_per_block: int, draws: int, seed: int) -> Floats:
    """Return the IGPE (draw,) of resampled blocks of consecutive windows, nats per event.

    Blocks do not overlap; the last may be shorter. Each draw takes as many blocks as there are, with replacement, and
    forms the ratio of its gain to its events anew. Draws without an event are left out. Empty with fewer than two
    blocks, or fewer than two with events.
    """
    starts = np.arange(0, gain.events.size, windows_per_block)
    total = np.add.reduceat(gain.per_window, starts)
    events = np.add.reduceat(gain.events, starts)
    if starts.size < 2 or int((events > 0).sum()) < 2:
        return np.empty(0)
    chosen = np.random.default_rng(seed).integers(0, starts.size, size=(draws, starts.size))
    drawn = events[chosen].sum(axis=1)
    return np.asarray(total[chosen].sum(axis=1)[drawn > 0] / drawn[drawn > 0])


def block_bootstrap(
    gain: Gain, windows_per_block: int, draws: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Return the percentile interval of `block_draws`, nats per event; NaN if it is empty."""
    return interval(block_draws(gain, windows_per_block, draws, seed), confidence)


def interval(draws: Floats, confidence: float) -> tuple[float, float]:
    """Return the central percentile interval of `draws` (draw,) with this coverage; NaN if there are none."""
    if draws.size == 0:
        return math.nan, math.nan
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(draws, [tail, 100.0 - tail])
    return float(low), float(high)


class Sequences(NamedTuple):
    """Resampled earthquake sequences.

    Attributes
    ----------
    draws : array (draw,)
        IGPE, nats per event. Empty with fewer than two sequences.
    number : int
        Sequences that have events.
    effective : float
        How many sequences of equal size would tell as much, (sum n)^2 / sum n^2 (Kish 1965): a handful is too few
        for an interval, whatever their number.
    largest : float
        Share of the events that the largest holds.
    """

    draws: Floats
    number: int
    effective: float
    largest: float


def sequence_draws(
    rates: Floats, reference: Floats, counts: Counts, labels: NDArray[np.int64], draws: int, seed: int
) -> Sequences:
    """Return the IGPE of resampled earthquake sequences.

    A sequence keeps all its events, however many windows it spans, since windows of one sequence are not independent,
    and what the models expected of its neighbourhood: the rate that a clustering model raises there came with it. The
    difference of expected numbers everywhere else is the same in every draw. Each sequence comes a Poisson number of
    times, with mean 1: how many a period has is chance too. Draws without an event are left out.

    Parameters
    ----------
    rates, reference, counts : arrays (issue_time, lat, lon)
        As in `information_gain`.
    labels : int array (issue_time, lat, lon)
        As `sequence_labels` gives them.
    """
    hit = counts > 0
    size = int(labels.max(initial=0)) + 1
    log_ratio = counts[hit] * (np.log(rates[hit]) - np.log(reference[hit]))
    events = np.bincount(labels[hit], weights=counts[hit], minlength=size)
    excess = np.bincount(labels.ravel(), weights=(rates - reference).ravel(), minlength=size)
    total = np.bincount(labels[hit], weights=log_ratio, minlength=size) - excess
    own = events > 0
    number = int(own.sum())
    if number < 2:
        return Sequences(np.empty(0), number, float(number), float(number))
    elsewhere = float(excess[~own].sum())
    times = np.random.default_rng(seed).poisson(1.0, size=(draws, number)).astype(np.float64)
    drawn = times @ events[own]
    found = ((times @ total[own]) - elsewhere)[drawn > 0] / drawn[drawn > 0]
    n = float(events.sum())
    return Sequences(found, number, n**2 / float(events @ events), float(events.max()) / n)


class Equivalence(NamedTuple):
    """Two one-sided tests that a gain lies within +- `margin` nats per event (Schuirmann 1987); NaN without draws."""

    margin: float
    p_value: float


def equivalence(draws: Floats, margin: float) -> Equivalence:
    """Return the test that a gain with these bootstrap `draws` (draw,) is practically zero.

    Only this supports "as good as": an interval that holds zero may be wide for want of events.
    """
    if draws.size == 0:
        return Equivalence(margin, math.nan)
    above, below = int((draws >= margin).sum()), int((draws <= -margin).sum())
    return Equivalence(margin, (max(above, below) + 1) / (draws.size + 1))


def bootstrap_p_value(draws: Floats) -> float:
    """Return the two-sided p-value that the gain with these `draws` (draw,) is zero; NaN without draws."""
    if draws.size == 0:
        return math.nan
    tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2.0 * (tail + 1) / (draws.size + 1))


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return p-values adjusted for being looked at together (Holm 1979); NaN stays NaN and is not counted."""
    known = sorted((p, i, key) for i, (key, p) in enumerate(p_values.items()) if not math.isnan(p))
    adjusted: dict[Key, float] = dict.fromkeys(p_values, math.nan)
    worst = 0.0
    for rank, (p, _, key) in enumerate(known):
        worst = max(worst, min(1.0, p * (len(known) - rank)))
        adjusted[key] = worst
    return adjusted
