"""What a network misses after large events: the magnitude of completeness as a function of time."""

import math
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# An event that hides nothing ten seconds later hides nothing.
SHORTEST_DAYS: Final = 10.0 / 86400.0
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(8)


class Incompleteness(NamedTuple):
    """Mc(t) = f M - g - h log10(t) at t days after an event of magnitude M.

    The defaults are those of southern California (Helmstetter, Kagan and Jackson 2006), which the USGS uses for all
    California, Alaska and Hawaii; `WORLD` stands where networks are sparse (Page et al. 2016).
    """

    f: float = 1.0
    g: float = 4.5
    h: float = 0.75

    def duration_days(self, magnitude: float, floor: float) -> float:
        """Return how long an event of `magnitude` lifts Mc above `floor`, days; 0 if it does not."""
        days = 10.0 ** min((self.f * magnitude - self.g - floor) / self.h, 300.0)
        return days if days > SHORTEST_DAYS else 0.0

    def after(self, days: Floats, magnitude: float, floor: float) -> Floats:
        """Return Mc (...) at `days` > 0 after one event, at least `floor`."""
        raised = self.f * magnitude - self.g - self.h * np.log10(np.maximum(days, 1e-300))
        return np.asarray(np.maximum(raised, floor))


SOUTHERN_CALIFORNIA: Final = Incompleteness()
WORLD: Final = Incompleteness(0.5, 0.25, 1.0)


def completeness_at(
    at: Floats, days: Floats, magnitude: Floats, floor: float, law: Incompleteness = SOUTHERN_CALIFORNIA
) -> Floats:
    """Return the magnitude from which a catalog is complete at given times: the highest Mc(t) of all earlier events.

    Parameters
    ----------
    at : array (time,), days
        In any order.
    days, magnitude : array (event,), days and 1
        Events of one place, in any order; those at or after a time do not count for it.
    floor : float
        Completeness in quiet times.
    law : Incompleteness
        Of one event.

    Returns
    -------
    array (time,)
        At most the magnitude of the event that raises it, at least `floor`.
    """
    complete = np.full(at.shape, floor)
    for event_day, m in zip(days, magnitude, strict=True):
        lasts = law.duration_days(float(m), floor)
        since = at - event_day
        hidden = (since > 0) & (since < lasts)
        if hidden.any():
            raised = np.minimum(law.after(since[hidden], float(m), floor), m)
            complete[hidden] = np.maximum(complete[hidden], raised)
    return complete


def hidden_time(
    days: Floats, magnitude: Floats, end: float, floor: float, law: Incompleteness = SOUTHERN_CALIFORNIA
) -> tuple[Floats, Floats, Floats]:
    """Return quadrature nodes and weights (node,), days, over the time in which Mc(t) > floor, and Mc (node,) there.

    Panels with eight Gauss points each grow with the time since the last event that raised Mc, and end where one
    raises it or its effect ends: between these the integrands are powers of that time.

    Parameters
    ----------
    days, magnitude : array (event,), days and 1
    end : float, days
        Time after it does not count.
    floor, law : float, Incompleteness
        As for `completeness_at`.
    """
    lasts = np.array([law.duration_days(float(m), floor) for m in magnitude])
    raises = (lasts > 0) & (days < end)
    origins, ends = days[raises], np.minimum(days + lasts, end)[raises]
    edges = np.unique(np.concatenate([origins, ends]))
    panels, widths = [], []
    for left, right in pairwise(edges):
        if not ((origins <= left) & (ends >= right)).any():
            continue
        origin = origins[origins <= left].max()
        low = max(left - origin, 1e-9 * max(1.0, left))
        steps = math.ceil(2.5 * math.log10(max((right - origin) / low, 1.0))) + 2
        grid = np.concatenate([[left], origin + np.geomspace(low, right - origin, steps)[1:]])
        panels.append(grid[:-1])
        widths.append(np.diff(grid))
    if not panels:
        return np.empty(0), np.empty(0), np.empty(0)
    start, half = np.concatenate(panels), 0.5 * np.concatenate(widths)
    nodes = (start[:, None] + half[:, None] * (1.0 + _POINTS)).ravel()
    complete = completeness_at(nodes, origins, magnitude[raises], floor, law)
    return nodes, (half[:, None] * _WEIGHTS).ravel(), complete
