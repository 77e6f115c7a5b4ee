"""From canonical catalogs to the arrays that point processes are fitted to."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region
from tasks.seismicity.geometry import Plane

Floats = NDArray[np.float64]
_EPOCH = np.datetime64("1970-01-01", "ns")


class Events(NamedTuple):
    """Earthquakes M >= completeness in the box and its margin, sorted by origin time.

    Attributes
    ----------
    days : array (event,), days since 1970-01-01 UTC
    x, y : array (event,), km in the region's plane
    magnitude : array (event,)
    inside : bool array (event,)
        Whether the event lies in the target box.
    row : int array (event,)
        Row of the catalog it came from.
    """

    days: Floats
    x: Floats
    y: Floats
    magnitude: Floats
    inside: NDArray[np.bool_]
    row: NDArray[np.int64]

    def take(self, chosen: NDArray[np.bool_]) -> "Events":
        """Return the chosen events."""
        return Events(
            self.days[chosen],
            self.x[chosen],
            self.y[chosen],
            self.magnitude[chosen],
            self.inside[chosen],
            self.row[chosen],
        )


def to_days(times: NDArray[np.datetime64] | np.datetime64) -> Floats:
    """Return days since 1970-01-01 UTC; NaT becomes NaN."""
    return np.asarray(
        (np.asarray(times, dtype="datetime64[ns]") - _EPOCH) / np.timedelta64(1, "D"), np.float64
    )


def known_at(catalog: xr.Dataset, issue_time: np.datetime64) -> xr.Dataset:
    """Return the latest version of each event that was available at `issue_time`, sorted by origin time.

    Parameters
    ----------
    catalog : Dataset (event) of versions
        With `event_id`, `origin_time` and `available_time`; a version without available_time (NaT) is unknown.
    issue_time : datetime64
        UTC.
    """
    available = catalog["available_time"].to_numpy().astype("datetime64[ns]")
    rows = np.flatnonzero(available <= issue_time)
    rows = rows[np.argsort(available[rows], kind="stable")]
    _, last = np.unique(catalog["event_id"].to_numpy()[rows].astype(str)[::-1], return_index=True)
    chosen = rows[len(rows) - 1 - last]
    chosen = chosen[np.argsort(catalog["origin_time"].to_numpy()[chosen], kind="stable")]
    return catalog.isel(event=chosen)


def times_in_force(
    catalog: xr.Dataset, times: NDArray[np.datetime64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return of each version (event) the first of the moments at which it is the latest known, and the one after.

    Parameters
    ----------
    catalog : Dataset (event) of versions
        With `event_id` and `available_time`; a version without available_time (NaT) is never known.
    times : array (time,), datetime64
        Ascending.

    Returns
    -------
    enter, leave : int array (event,)
        The version is in force at times[enter:leave], as `known_at` has it for each of them.
    """
    available = catalog["available_time"].to_numpy().astype("datetime64[ns]")
    known = np.where(np.isnat(available), np.iinfo(np.int64).max, available.astype(np.int64))
    moments = np.asarray(times, dtype="datetime64[ns]").astype(np.int64)
    enter = np.searchsorted(moments, known, side="left")
    ids = np.unique(catalog["event_id"].to_numpy().astype(str), return_inverse=True)[1]
    order = np.lexsort((np.arange(ids.size), known, ids))
    leave = np.full(ids.size, moments.size, dtype=np.int64)
    same = ids[order[1:]] == ids[order[:-1]]
    leave[order[:-1][same]] = enter[order[1:][same]]
    return enter, leave


def select_events(catalog: xr.Dataset, region: Region) -> Events:
    """Return the events M >= completeness in the region's box and margin, sorted by origin time.

    Events without origin time, place or magnitude are left out; depth does not matter here.

    Parameters
    ----------
    catalog : Dataset (event), one row per event
        With `origin_time`, `latitude`, `longitude` (degree) and `magnitude`.
    region : Region
        Gives box, margin and completeness.

    Raises
    ------
    ValueError
        If a variable is absent.
    """
    needed = ("origin_time", "latitude", "longitude", "magnitude")
    absent = [name for name in needed if name not in catalog]
    if absent:
        raise ValueError(f"catalog: expected variables {list(needed)}, found no {absent}")
    days = to_days(catalog["origin_time"].to_numpy())
    latitude, longitude, magnitude = (catalog[name].to_numpy().astype(np.float64) for name in needed[1:])
    wide, box = region.bounds.grown(region.margin_deg), region.bounds
    keep = np.isfinite(days) & (magnitude >= region.magnitude_completeness - 1e-9)
    keep &= (latitude >= wide.south) & (latitude < wide.north)
    keep &= (longitude >= wide.west) & (longitude < wide.east)
    inside = (latitude >= box.south) & (latitude < box.north)
    inside &= (longitude >= box.west) & (longitude < box.east)
    x, y = Plane.of(region).project(latitude, longitude)
    order = np.flatnonzero(keep)
    order = order[np.argsort(days[order], kind="stable")]
    return Events(days[order], x[order], y[order], magnitude[order], inside[order], order)


def training_window(region: Region) -> tuple[float, float]:
    """Return [etas_start, train_end) of a region as days since 1970-01-01."""
    start = to_days(np.datetime64(region.etas_start, "ns"))
    end = to_days(np.datetime64(region.split.train_end, "ns"))
    return float(start), float(end)
