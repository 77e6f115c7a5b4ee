"""Which events are mainshocks and which belong to their aftershock zones: the windows of Reasenberg and Jones."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.seismicity.catalog import Events

Floats = NDArray[np.float64]

# Smaller events than that have too few aftershocks above completeness to tell them from background.
MAINSHOCK_ABOVE: Final = 1.5
LONGEST_DAYS: Final = 365.0
LEAST_KM: Final = 10.0


def rupture_length_km(magnitude: ArrayLike) -> Floats:
    """Return the subsurface rupture length of all slip types (Wells and Coppersmith 1994, table 2A), km."""
    return np.asarray(10.0 ** (0.59 * np.asarray(magnitude, np.float64) - 2.44))


def zone_radius_km(magnitude: ArrayLike) -> Floats:
    """Return the radius of a mainshock's aftershock zone: a rupture length, at least 10 km (as at the USGS)."""
    return np.maximum(rupture_length_km(magnitude), LEAST_KM)


class Sequence(NamedTuple):
    """A mainshock and its zone's events; all are positions in the `Events` it was found in.

    Attributes
    ----------
    mainshock : int
    members : int array (aftershock,)
        After the mainshock and before its end, in order of time.
    end : float
        When a larger event took over or the sequence's time was over, days since 1970-01-01; infinite while it goes on.
    """

    mainshock: int
    members: NDArray[np.int64]
    end: float


def find_sequences(events: Events, magnitude_completeness: float, now: float) -> list[Sequence]:
    """Return the aftershock sequences of a catalog, as its events tell them at `now`.

    An event 1.5 units above completeness is a mainshock, unless it lies in the zone of a larger one of the year
    before. If it is as large or larger, the earlier one was its foreshock: that sequence ends there. An event in
    several zones belongs to the one whose mainshock is nearest in terms of its radius.

    Parameters
    ----------
    events : Events
        Sorted by time, none after `now`.
    magnitude_completeness : float
    now : float
        Days since 1970-01-01.
    """
    large = np.flatnonzero(events.magnitude >= magnitude_completeness + MAINSHOCK_ABOVE - 1e-9)
    x, y, magnitude = events.x[large], events.y[large], events.magnitude[large]
    days, radius = events.days[large], zone_radius_km(magnitude)
    # A sequence that has not begun lies in the past of no event.
    ends = np.full(large.size, -np.inf)
    for i in range(large.size):
        going = np.flatnonzero(ends[:i] > days[i])
        apart = np.hypot(x[going] - x[i], y[going] - y[i])
        larger = magnitude[going] > magnitude[i]
        if not (larger & (apart <= radius[going])).any():
            ends[going[~larger & (apart <= radius[i])]] = days[i]
            ends[i] = days[i] + LONGEST_DAYS
    chosen = np.isfinite(ends)
    mainshocks, ends, radius = large[chosen], ends[chosen], radius[chosen]
    owner = np.full(events.days.size, -1)
    nearest = np.ones(events.days.size)
    for k, j in enumerate(mainshocks):
        first, last = np.searchsorted(events.days, [events.days[j], ends[k]])
        apart = np.hypot(events.x[first:last] - events.x[j], events.y[first:last] - events.y[j])
        share = apart / radius[k]
        closer = share <= nearest[first:last]
        owner[first:last][closer] = k
        nearest[first:last][closer] = share[closer]
    owner[mainshocks] = -1
    order = np.argsort(owner, kind="stable")
    members = np.split(order, np.searchsorted(owner[order], np.arange(mainshocks.size + 1)))[1:]
    return [
        Sequence(int(j), members[k], float(ends[k]) if ends[k] <= now else np.inf)
        for k, j in enumerate(mainshocks)
    ]
