"""Quarry blasts that nobody marked as such: places where far too much happens by day."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import binom

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Working hours, local solar time.
DAY: Final = (8.0, 18.0)
# A place is a quarry if chance gives so many events by day once in a thousand catalogs, and if by day there are
# 1.5 times as many an hour as by night (Wiemer and Baer 2000 map at that ratio).
LEVEL: Final = 1e-3
RATIO: Final = 1.5
FEWEST: Final = 10


def solar_hour(days: Floats, longitude: Floats) -> Floats:
    """Return the local mean solar time (event,), hours in [0, 24), of times in days since 1970-01-01 UTC."""
    return np.asarray((24.0 * (days % 1.0) + longitude / 15.0) % 24.0)


def daytime_ratio(by_day: NDArray[np.int64], n: NDArray[np.int64], day: tuple[float, float] = DAY) -> Floats:
    """Return events an hour by day over events an hour by night (Wiemer and Baer 2000, eq. 1).

    Parameters
    ----------
    by_day, n : int array (...)
        Events by day, and all.
    day : (float, float)
        Hours at which day begins and ends.

    Returns
    -------
    array (...)
        1 where nothing differs; half an event is added to both, so that a quiet night is no infinity.
    """
    hours = day[1] - day[0]
    return np.asarray((by_day + 0.5) / hours / ((n - by_day + 0.5) / (24.0 - hours)))


def suspected_blasts(
    x: Floats,
    y: Floats,
    days: Floats,
    longitude: Floats,
    events: int = 50,
    radius_km: float = 10.0,
    day: tuple[float, float] = DAY,
) -> Flags:
    """Return which events are likely blasts: those by day at places where the day has too many of them.

    A place is an event's neighbourhood: its nearest events, of which each day and each night counts once, or a swarm
    of one afternoon would be a quarry. After Wiemer and Baer (2000), the most unlikely place loses its events by day
    first, then all others are judged again without these, so that the neighbours of a quarry are not taken for
    quarries.

    Parameters
    ----------
    x, y : array (event,), km
    days : array (event,), days since 1970-01-01 UTC
    longitude : array (event,), degree
    events : int
        Of a neighbourhood, at most.
    radius_km : float
        Its reach; with fewer than 10 days and nights within it nothing is suspected.
    day : (float, float)
        Hours at which day begins and ends.

    Returns
    -------
    bool array (event,)
        Some of them are earthquakes: by day, a quarry's share of them cannot be told apart.
    """
    hour = solar_hour(days, longitude)
    in_day = (hour >= day[0]) & (hour < day[1])
    # A night belongs to the date on which it begins.
    date = np.floor(days + longitude / 360.0 - day[0] / 24.0).astype(np.int64)
    blast = np.zeros(hour.size, dtype=bool)
    while (left := np.flatnonzero(~blast)).size >= FEWEST:
        near, within = _neighbourhoods(x[left], y[left], min(events, left.size), radius_km)
        by_day = in_day[left][near]
        counted = within & _first_of_each(2 * date[left][near] + by_day)
        n, n_day = counted.sum(axis=1), (counted & by_day).sum(axis=1)
        probability = binom.sf(n_day - 1, n, (day[1] - day[0]) / 24.0)
        # Of chance alone one place in a thousand catalogs may pass; neighbourhoods of 50 events overlap.
        suspect = (probability < LEVEL * events / left.size) & (probability < LEVEL) & (n >= FEWEST)
        suspect &= daytime_ratio(n_day, n, day) > RATIO
        places = np.flatnonzero(suspect)
        if not places.size:
            break
        # Places that share no event do not touch each other's counts: the worst of each surroundings goes at once.
        touched = np.zeros(left.size, dtype=bool)
        for place in places[np.argsort(probability[places], kind="stable")]:
            members = near[place][within[place]]
            if not touched[members].any():
                touched[members] = True
                blast[left[members[in_day[left[members]]]]] = True
    return blast


def _neighbourhoods(x: Floats, y: Floats, count: int, radius_km: float) -> tuple[NDArray[np.int64], Flags]:
    """Return each event's nearest events (event, neighbour), itself among them, and which are within the radius."""
    tree = cKDTree(np.column_stack([x, y]))
    distance, near = tree.query(tree.data, k=np.arange(1, count + 1))
    return np.asarray(near, np.int64), np.asarray(distance) <= radius_km


def _first_of_each(keys: NDArray[np.int64]) -> Flags:
    """Return whether each entry of `keys` (event, neighbour) is the first in its row with its value."""
    order = np.argsort(keys, axis=1, kind="stable")
    ranked = np.take_along_axis(keys, order, axis=1)
    new = np.concatenate([np.ones((keys.shape[0], 1), bool), ranked[:, 1:] != ranked[:, :-1]], axis=1)
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, axis=1)
    return first
