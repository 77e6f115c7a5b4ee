"""Which events are mainshocks and which belong to their aftershock zones: the windows of Reasenberg and Jones."""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
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


def find_sequences(
    events: Events, magnitude_completeness: float, now: float, since: float = -np.inf
) -> list[Sequence]:
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
    since : float
        Sequences that ended before are left out.
    """
    large = np.flatnonzero(events.magnitude >= magnitude_completeness + MAINSHOCK_ABOVE - 1e-9)
    days, radius = events.days[large], zone_radius_km(events.magnitude[large])
    ends = _ends(days, events.x[large], events.y[large], events.magnitude[large], radius)
    # One that ended a year before `since` shares no event with one that did not.
    near = np.isfinite(ends) & (ends >= since - LONGEST_DAYS)
    large, ends, radius = large[near], ends[near], radius[near]
    owner = _owners(events.days, events.x, events.y, large, ends, radius)
    order = np.argsort(owner, kind="stable")
    members = np.split(order, np.searchsorted(owner[order], np.arange(large.size + 1)))[1:]
    return [
        Sequence(int(j), members[k], float(ends[k]) if ends[k] <= now else np.inf)
        for k, j in enumerate(large)
        if ends[k] >= since
    ]


@njit(cache=True)
def _ends(days: Floats, x: Floats, y: Floats, magnitude: Floats, radius: Floats) -> Floats:
    """Return when the sequence of each large event ends; -inf for those that are no mainshocks."""
    ends = np.full(days.size, -np.inf)
    for i in range(days.size):
        is_aftershock = False
        for j in range(i):
            if ends[j] > days[i] and magnitude[j] > magnitude[i]:
                is_aftershock |= np.hypot(x[j] - x[i], y[j] - y[i]) <= radius[j]
        if is_aftershock:
            continue
        for j in range(i):
            near = np.hypot(x[j] - x[i], y[j] - y[i]) <= radius[i]
            if near and ends[j] > days[i] and magnitude[j] <= magnitude[i]:
                ends[j] = days[i]
        ends[i] = days[i] + LONGEST_DAYS
    return ends


@njit(cache=True)
def _owners(
    days: Floats, x: Floats, y: Floats, mainshock: NDArray[np.int64], ends: Floats, radius: Floats
) -> NDArray[np.int64]:
    """Return of each event the number of the sequence it is an aftershock of, -1 for none and for mainshocks."""
    owner = np.full(days.size, -1, dtype=np.int64)
    nearest = np.ones(days.size)
    for k in range(mainshock.size):
        j = mainshock[k]
        for i in range(np.searchsorted(days, days[j]), np.searchsorted(days, ends[k])):
            share = np.hypot(x[i] - x[j], y[i] - y[j]) / radius[k]
            if share <= nearest[i]:
                owner[i], nearest[i] = k, share
    owner[mainshock] = -1
    return owner
