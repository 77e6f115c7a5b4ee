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
    blast = np.zeros(hour.size, dtype=bool)
    if hour.size < 10:
        return blast
    tree = cKDTree(np.column_stack([x, y]))
    count = min(events, hour.size)
    found = tree.query(tree.data, k=np.arange(1, count + 1))
    near, within = np.asarray(found[1], np.int64), np.asarray(found[0]) <= radius_km
    # A night belongs to the date on which it begins.
    date = np.floor(days + longitude / 360.0 - day[0] / 24.0).astype(np.int64)
    counted = within & _first_of_each(2 * date + in_day, near)
    chance = (day[1] - day[0]) / 24.0
    # Of chance alone one place in all the catalog may pass; neighbourhoods of 50 events overlap.
    level = LEVEL / max(hour.size / events, 1.0)
    open_places = np.ones(hour.size, dtype=bool)
    while True:
        left = counted & ~blast[near]
        n, by_day = left.sum(axis=1), (left & in_day[near]).sum(axis=1)
        probability = binom.sf(by_day - 1, n, chance)
        suspect = open_places & (n >= 10) & (probability < level) & (daytime_ratio(by_day, n, day) > RATIO)
        if not suspect.any():
            return blast
        # Places far apart do not touch each other's counts: the worst of each neighbourhood goes at once.
        order = np.flatnonzero(suspect)
        order = order[np.argsort(probability[order], kind="stable")]
        touched = np.zeros(hour.size, dtype=bool)
        for place in order:
            members = near[place][within[place] & ~blast[near[place]]]
            if touched[members].any():
                continue
            touched[members] = True
            blast[members[in_day[members]]] = True
            open_places[place] = False


def _first_of_each(key: NDArray[np.int64], near: NDArray[np.int64]) -> Flags:
    """Return whether each entry of `near` (event, neighbour) is the first in its row with its key."""
    keys = key[near]
    order = np.argsort(keys, axis=1, kind="stable")
    ranked = np.take_along_axis(keys, order, axis=1)
    new = np.concatenate([np.ones((keys.shape[0], 1), bool), ranked[:, 1:] != ranked[:, :-1]], axis=1)
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, axis=1)
    return first
