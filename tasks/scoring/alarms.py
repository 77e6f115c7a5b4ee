"""Alarms drawn from a forecast: Molchan's curve and the area skill against a clustered reference."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Molchan(NamedTuple):
    """Molchan's curve and its area skill (Molchan 1991; Zechar and Jordan 2008).

    Attributes
    ----------
    occupied, missed : arrays (point,)
        Share of the reference's expected events under alarm, and share of the events outside, from (0, 1) to (1, 0).
    area_skill : float
        Area above the curve: 1/2 for alarms no better than the reference, 1 for perfect ones. NaN without events.
    deviation : float
        Standard deviation of the area skill if the reference is right and sequences are independent.
    p_value : float
        One-sided: how often the reference, if right, gives an area skill as high (Student's t, as many degrees of
        freedom as there are sequences less one). NaN with fewer than two.
    """

    occupied: Floats
    missed: Floats
    area_skill: float
    deviation: float
    p_value: float


def molchan(alarm: Floats, reference: Floats, counts: Counts, labels: Counts | None = None) -> Molchan:
    """Return Molchan's curve of `alarm` against `reference`.

    The measure of what an alarm costs is the number of events that the reference expects under it, so a reference
    that knows clustering (ETAS) leaves no credit for warning after a mainshock. Bins of one alarm value are switched on
    together, and the curve is straight between.

    Parameters
    ----------
    alarm : array of any shape
        The higher, the earlier a bin is under alarm. With `rate / reference` the order is the most powerful one
        (Neyman and Pearson 1933), and a model that equals the reference has an area skill of exactly 1/2.
    reference : array of that shape
        Expected counts, positive.
    counts : int array of that shape
        Observed.
    labels : int array of that shape, optional
        The sequence of each bin with events, as `sequence_labels` gives them. Events of one sequence are not
        independent even given a clustered reference, which cannot see the mainshock; without labels they count as
        independent.

    Raises
    ------
    ValueError
        If a reference rate is not positive, or an alarm value is NaN.
    """
    if not (reference > 0).all() or np.isnan(alarm).any():
        raise ValueError("expected positive reference rates and alarm values without NaN")
    levels, index = np.unique(alarm.ravel(), return_inverse=True)
    size = levels.size
    cost = np.bincount(index, weights=reference.ravel(), minlength=size)[::-1]
    cost = cost / cost.sum()
    hits = np.bincount(index, weights=counts.ravel(), minlength=size)[::-1]
    n = float(hits.sum())
    occupied = np.concatenate([[0.0], np.cumsum(cost)])
    if n == 0:
        return Molchan(occupied, np.full(occupied.size, math.nan), math.nan, math.nan, math.nan)
    missed = np.concatenate([[1.0], 1.0 - np.cumsum(hits) / n])
    # An event adds the area to the right of the middle of its level; that middle is what the reference randomises.
    middle = 0.5 * (occupied[:-1] + occupied[1:])
    skill = 1.0 - float(hits @ middle) / n
    deviation = math.sqrt(max(0.0, float(cost @ (middle - 0.5) ** 2)) / n)
    freedom = math.inf
    if labels is not None:
        hit = counts > 0
        _, sequence = np.unique(labels[hit], return_inverse=True)
        place = 0.5 - middle[levels.size - 1 - index.reshape(counts.shape)[hit]]
        by_sequence = np.bincount(sequence, weights=counts[hit] * place)
        deviation = max(deviation, float(np.sqrt(np.sum(by_sequence**2))) / n)
        freedom = by_sequence.size - 1
    p_value = math.nan if freedom < 1 else 1.0
    if freedom >= 1 and deviation > 0:
        p_value = float(stats.t.sf((skill - 0.5) / deviation, freedom))
    return Molchan(occupied, missed, skill, deviation, p_value)


def thinned(curve: Molchan, points: int) -> tuple[Floats, Floats]:
    """Return `occupied` and `missed` at about `points` of the curve's points, evenly along it, the ends kept."""
    along = curve.occupied + (1.0 - curve.missed)
    wanted = np.searchsorted(along, np.linspace(0.0, along[-1], points))
    kept = np.unique(np.clip(np.append(wanted, along.size - 1), 0, along.size - 1))
    return curve.occupied[kept], curve.missed[kept]
