"""Weather as daily standardised anomalies on the grid, from gridded analyses and from stations alike."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from tasks.cubes.clock import NAT, day_axis, day_number, not_before_day_end, trailing_latest
from tasks.cubes.grid import cell_centres, distances_km
from tasks.cubes.harmonics import robust_fit, seasonal_design
from tasks.regions import Region

PRECIPITATION: Final = "precipitation_amount"
LOAD_DAYS: Final = 30
CLIMATOLOGY_DAYS: Final = 365
DAY_COVERAGE: Final = 0.75
Floats = NDArray[np.float64]


class _Points(NamedTuple):
    """Daily values at the places of one source, and how the cells follow from them."""

    values: dict[str, Floats]
    known: NDArray[np.int64]
    weights: Floats


def grid_weather(sources: Sequence[xr.Dataset], region: Region) -> xr.Dataset:
    """Return standardised anomalies (time, lat, lon) of each variable and of `water_load`; NaN where unknown.

    Hourly values become daily means (precipitation: sums, scaled to the whole day) where three quarters
    of the day are observed. Anomalies are taken where the provider has values, then carried to the cells: bilinear
    from a grid, inverse squared distance from stations. Of several sources the first that has a value counts.
    `water_load` is the 30-day precipitation (20 days observed), standardised the same way. See `standardise` for
    the reference. `available_time` (time) is the latest of all values of the trailing 120 days,
    the reach of `water_load` and its reference.
    """
    days = day_axis(region)
    training = days < np.datetime64(region.split.train_end)
    shape = (days.size, region.latitudes.size * region.longitudes.size)
    maps: dict[str, NDArray[np.float32]] = {}
    units: dict[str, str] = {}
    known = np.full(days.size, NAT)
    for source in sources:
        points = _daily_points(source.load(), region, days)
        values = dict(points.values)
        if PRECIPITATION in values:
            values["water_load"] = _trailing_sum(values[PRECIPITATION])
        for name, series in values.items():
            reference = 3 * LOAD_DAYS if name == "water_load" else LOAD_DAYS
            anomaly = standardise(series, days, training, reference)
            cells = _to_cells(anomaly, points.weights)
            target = maps.setdefault(name, np.full(shape, np.nan, np.float32))
            target[:] = np.where(np.isnan(target), cells, target)
            units[name] = "1"
        known = np.maximum(known, points.known)
    known = trailing_latest(known, 4 * LOAD_DAYS)
    observed = np.zeros(days.size, dtype=bool)
    for cells in maps.values():
        observed |= np.isfinite(cells).any(axis=1)
    dims = ("time", "lat", "lon")
    grid = (days.size, region.latitudes.size, region.longitudes.size)
    return xr.Dataset(
        {name: (dims, cells.reshape(grid), {"units": "1"}) for name, cells in maps.items()}
        | {"available_time": ("time", not_before_day_end(np.where(observed, known, NAT), days))},
        coords={"time": days, "lat": region.latitudes, "lon": region.longitudes},
    )


def standardise(
    values: Floats, days: NDArray[np.datetime64], training: NDArray[np.bool_], trailing_days: int = LOAD_DAYS
) -> Floats:
    """Return (time, point) departures from what is usual, in standard deviations; NaN where missing.

    With a year or more observed in training: usual is the mean, annual and semi-annual term fitted there, and the
    deviation is that of the training residuals. With less: mean and standard deviation of the
    `trailing_days` days that end with the day, of which a third must be observed. A constant series has
    anomaly 0.
    """
    out = np.full(values.shape, np.nan)
    design = seasonal_design(days)
    for p in range(values.shape[1]):
        series = values[:, p]
        seen = training & np.isfinite(series)
        if seen.sum() >= CLIMATOLOGY_DAYS:
            departure = series - design @ robust_fit(design[seen], series[seen])
            # The robust fit is of the middle; rain lies mostly above it, and its mean must not.
            departure = departure - departure[seen].mean()
            spread: Floats = np.full(series.shape, departure[seen].std())
        else:
            window = pd.Series(series).rolling(trailing_days, min_periods=-(-trailing_days // 3))
            departure = series - window.mean().to_numpy()
            spread = window.std(ddof=0).to_numpy()
        flat = spread <= 1e-9 * np.maximum(1.0, np.abs(series))
        out[:, p] = np.where(flat, 0.0 * departure, departure / np.where(flat, 1.0, spread))
    return out


def _daily_points(source: xr.Dataset, region: Region, days: NDArray[np.datetime64]) -> _Points:
    gridded = "lat" in source.sizes
    names = [
        str(n)
        for n, v in source.data_vars.items()
        if n != "quality_flag" and v.dtype.kind == "f" and "time" in v.dims
    ]
    moment = source["time"].values.astype("datetime64[ns]")
    # A value stands for the interval that ends at its time, so midnight belongs to the day before.
    day = day_number(moment - np.timedelta64(1, "ns"), days)
    rows = day >= 0
    step = np.median(np.diff(moment)) if moment.size > 1 else np.timedelta64(1, "D")
    expected = max(1.0, np.timedelta64(1, "D") / step)
    stamps = source["available_time"].values.astype("datetime64[ns]").astype(np.int64)
    point_stamps = stamps[:, None] if stamps.ndim == 1 else stamps
    good = point_stamps[rows] != NAT
    if "quality_flag" in source and not gridded:
        good = good & (source["quality_flag"].transpose("time", "station").values[rows] == 0)
    values: dict[str, Floats] = {}
    entered = np.full(days.size, NAT)
    for name in names:
        array = source[name].transpose("time", ...).values[rows].astype(np.float64)
        array = np.where(good, array.reshape(array.shape[0], -1), np.nan)
        daily = _daily(array, day[rows], days.size, expected, total=name == PRECIPITATION)
        values[name] = daily
        used = np.isfinite(array)
        latest = np.where(used, np.broadcast_to(point_stamps[rows], used.shape), NAT).max(axis=1, initial=NAT)
        np.maximum.at(entered, day[rows], latest)
    weights = _bilinear(source, region) if gridded else _inverse_distance(source, region)
    return _Points(values, entered, weights)


def _daily(values: Floats, day: NDArray[np.int64], n_days: int, expected: float, *, total: bool) -> Floats:
    """Return (day, point) means, or sums scaled to the day; NaN where under three quarters are observed."""
    seen = np.isfinite(values)
    sums, count = np.zeros((n_days, values.shape[1])), np.zeros((n_days, values.shape[1]))
    np.add.at(sums, day, np.where(seen, values, 0.0))
    np.add.at(count, day, seen)
    enough = count >= DAY_COVERAGE * expected
    mean = np.where(enough, sums / np.maximum(count, 1), np.nan)
    return np.asarray(mean * expected if total else mean)


def _trailing_sum(values: Floats) -> Floats:
    """Return the 30-day sum that ends with each day, scaled for up to 10 missing days."""
    window = pd.DataFrame(values).rolling(LOAD_DAYS, min_periods=2 * LOAD_DAYS // 3)
    return np.asarray(window.mean().to_numpy() * LOAD_DAYS)


def _to_cells(points: Floats, weights: Floats) -> NDArray[np.float32]:
    """Return (time, cell) the weighted mean of the observed points (time, point); NaN where none has weight."""
    seen = np.isfinite(points)
    share = seen.astype(np.float64) @ weights
    total = np.where(seen, points, 0.0) @ weights
    return np.where(share > 1e-9, total / np.where(share > 1e-9, share, 1.0), np.nan).astype(np.float32)


def _bilinear(source: xr.Dataset, region: Region) -> Floats:
    """Return (point, cell) weights; cells outside the provider's grid take its edge."""
    lat = _linear(source["lat"].values.astype(np.float64), region.latitudes)
    lon = _linear(source["lon"].values.astype(np.float64), region.longitudes)
    weights: Floats = np.einsum("ai,bj->abij", lat, lon).reshape(lat.shape[0] * lon.shape[0], -1)
    return weights


def _linear(nodes: Floats, at: Floats) -> Floats:
    eye = np.eye(nodes.size)
    return np.stack([np.interp(at, nodes, row) for row in eye])


def _inverse_distance(source: xr.Dataset, region: Region) -> Floats:
    """Return (station, cell) weights by inverse squared distance, level within 10 km."""
    lat, lon = cell_centres(region)
    r = distances_km(source["latitude"].values[:, None], source["longitude"].values[:, None], lat, lon)
    return np.asarray(1.0 / np.maximum(r, 10.0) ** 2)
