"""Which windows are scored, and what was observed in them."""

from datetime import date

import numpy as np
import xarray as xr
from numpy.typing import NDArray

DAY = np.timedelta64(1, "D")


def issue_times(start: date, end: date, horizon_days: int) -> NDArray[np.datetime64]:
    """Return issue times whose windows of `horizon_days` tile [start, end) without overlap.

    Returns
    -------
    array (issue_time,), datetime64[ns]
        The first is `start`; no window reaches past `end`.

    Raises
    ------
    ValueError
        If not one window fits.
    """
    first, last = np.datetime64(start, "ns"), np.datetime64(end, "ns")
    step = np.timedelta64(horizon_days * 24, "h")
    count = int((last - first) // step)
    if horizon_days < 1 or count < 1:
        raise ValueError(f"no window of {horizon_days} days fits into [{start}, {end})")
    return np.asarray(first + step * np.arange(count), dtype="datetime64[ns]")


def observed_counts(labels: xr.DataArray, times: NDArray[np.datetime64], horizon_days: int) -> xr.DataArray:
    """Return target counts in [t, t + horizon) from daily labels.

    Parameters
    ----------
    labels : DataArray (time, lat, lon)
        Counts of each day, named by its midnight; no gap.
    times : array (issue_time,), datetime64
        Midnights.
    horizon_days : int
        Length of the windows.

    Returns
    -------
    DataArray (issue_time, lat, lon), int64

    Raises
    ------
    ValueError
        If the labels do not cover a window day by day, or hold NaN or negative counts.
    """
    known = labels["time"].to_numpy().astype("datetime64[ns]")
    wanted = np.asarray(times, dtype="datetime64[ns]")
    first = np.searchsorted(known, wanted)
    rows = first[:, None] + np.arange(horizon_days)
    days = wanted[:, None] + DAY * np.arange(horizon_days)
    inside = rows < known.size
    present = inside & (known[np.where(inside, rows, 0)] == days)
    if not present.all():
        missing = days[~present][0]
        raise ValueError(f"labels: expected every day of each {horizon_days}-day window, found no {missing}")
    values = labels.transpose("time", "lat", "lon").to_numpy()
    used = values[int(rows.min()) : int(rows.max()) + 1]
    if not np.isfinite(used).all() or (used < 0).any():
        raise ValueError("labels: expected counts of 0 or more, found NaN or a negative number")
    total = np.concatenate([np.zeros((1, *values.shape[1:]), np.int64), used.astype(np.int64).cumsum(axis=0)])
    low = first - int(rows.min())
    return xr.DataArray(
        total[low + horizon_days] - total[low],
        dims=("issue_time", "lat", "lon"),
        coords={"issue_time": wanted, "lat": labels["lat"].to_numpy(), "lon": labels["lon"].to_numpy()},
        attrs={"units": "1", "horizon_days": horizon_days},
    )
