"""Weather as daily standardised anomalies on the grid, from gridded analyses and from stations alike."""

import json
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.cubes.anomaly import LOAD_DAYS, depart, fit_usual, trailing_total
from tasks.cubes.carry import Bilinear, Carrier, InverseDistance, carry
from tasks.cubes.clock import NAT, day_axis, day_number, not_before_day_end, trailing_latest
from tasks.regions import Region

PRECIPITATION: Final = "precipitation_amount"
DAY_COVERAGE: Final = 0.75
# Water load and its reference reach so far back.
REACH_DAYS: Final = 4 * LOAD_DAYS
# Days are carried to the cells in blocks: a matrix product rounds a day by the place that it has in its block.
BLOCK_DAYS: Final = 256
Floats = NDArray[np.float64]


class SourceStatistics(BaseModel):
    """What the training period says of one source."""

    model_config = ConfigDict(frozen=True)

    values_a_day: float = Field(description="values of a full day at one place")
    climatology: dict[str, list[tuple[float, ...] | None]] = Field(
        description="variable -> per place five seasonal terms, mean and deviation of the rest; null: too short"
    )


class _Points(NamedTuple):
    """Daily values at the places of one source, and how the cells follow from them."""

    values: dict[str, Floats]
    known: NDArray[np.int64]
    carrier: Carrier
    values_a_day: float


def grid_weather(
    sources: Sequence[xr.Dataset], region: Region, statistics: Sequence[SourceStatistics] | None = None
) -> xr.Dataset:
    """Return standardised anomalies (time, lat, lon) of each variable and of `water_load`, lazily; NaN where unknown.

    Hourly values become daily means (precipitation: sums, scaled to the whole day) where three quarters
    of the day are observed. Anomalies are taken where the provider has values, then carried to the cells: bilinear
    from a grid, inverse squared distance from stations. Of several sources the first that has a value counts.
    `water_load` is the 30-day precipitation (20 days observed), standardised the same way. See `standardise` for
    the reference. `available_time` (time) is the latest of all values of the trailing 120 days,
    the reach of `water_load` and its reference.

    Parameters
    ----------
    statistics : sequence of SourceStatistics, optional
        One a source, as an earlier call left them in `attrs["statistics"]` (JSON); then nothing is fitted, and `region`
        may start later than the training period: days from the 121st on are what a call with all days gives, bit for
        bit if the starts lie a multiple of 256 days apart.
    """
    days = day_axis(region)
    training = days < np.datetime64(region.split.train_end)
    anomalies: dict[str, list[tuple[Floats, Carrier]]] = {}
    observed = np.zeros(days.size, dtype=bool)
    known = np.full(days.size, NAT)
    found: list[SourceStatistics] = []
    for k, source in enumerate(sources):
        points = _daily_points(source.load(), region, days, statistics[k] if statistics else None)
        fits: dict[str, list[tuple[float, ...] | None]] = {}
        values = dict(points.values)
        if PRECIPITATION in values:
            values["water_load"] = _trailing_sum(values[PRECIPITATION])
        for name, series in values.items():
            reference = 3 * LOAD_DAYS if name == "water_load" else LOAD_DAYS
            fits[name] = statistics[k].climatology[name] if statistics else fit_usual(series, days, training)
            anomaly = depart(series, days, fits[name], reference)
            anomalies.setdefault(name, []).append((anomaly, points.carrier))
            observed |= np.isfinite(anomaly[:, points.carrier.used]).any(axis=1)
        found.append(SourceStatistics(values_a_day=points.values_a_day, climatology=fits))
        known = np.maximum(known, points.known)
    known = trailing_latest(known, REACH_DAYS)
    dims, grid = ("time", "lat", "lon"), (region.latitudes.size, region.longitudes.size)
    return xr.Dataset(
        {name: (dims, _maps(parts, grid), {"units": "1"}) for name, parts in anomalies.items()}
        | {"available_time": ("time", not_before_day_end(np.where(observed, known, NAT), days))},
        coords={"time": days, "lat": region.latitudes, "lon": region.longitudes},
        attrs={"statistics": json.dumps([each.model_dump() for each in found])},
    )


def read_statistics(weather: xr.Dataset) -> list[SourceStatistics]:
    """Return what `grid_weather` measured the anomalies of `weather` against, one a source."""
    return [SourceStatistics.model_validate(each) for each in json.loads(weather.attrs["statistics"])]


def _daily_points(
    source: xr.Dataset,
    region: Region,
    days: NDArray[np.datetime64],
    statistics: SourceStatistics | None,
) -> _Points:
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
    if statistics is None:
        # Of the training period alone, so that what comes later cannot change an old day.
        early = moment[moment < np.datetime64(region.split.train_end)]
        early = early if early.size > 1 else moment
        step = np.median(np.diff(early)) if early.size > 1 else np.timedelta64(1, "D")
        expected = max(1.0, float(np.timedelta64(1, "D") / step))
    else:
        expected = statistics.values_a_day
    stamps = source["available_time"].values.astype("datetime64[ns]").astype(np.int64)
    point_stamps = stamps[:, None] if stamps.ndim == 1 else stamps
    good = point_stamps[rows] != NAT
    if "quality_flag" in source and not gridded:
        good = good & (source["quality_flag"].transpose("time", "station").values[rows] == 0)
    values: dict[str, Floats] = {}
    entered = np.full(days.size, NAT)
    for name in names:
        array = source[name].transpose("time", ...).values[rows].astype(np.float64)
        # not -1: a source that has ended has no rows in an update
        array = np.where(good, array.reshape(array.shape[0], math.prod(array.shape[1:])), np.nan)
        daily = _daily(array, day[rows], days.size, expected, total=name == PRECIPITATION)
        values[name] = daily
        used = np.isfinite(array)
        latest = np.where(used, np.broadcast_to(point_stamps[rows], used.shape), NAT).max(axis=1, initial=NAT)
        np.maximum.at(entered, day[rows], latest)
    carrier = Bilinear.between(source, region) if gridded else InverseDistance.between(source, region)
    return _Points(values, entered, carrier, expected)


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
    total, count = trailing_total(values, LOAD_DAYS)
    return np.where(count >= 2 * LOAD_DAYS // 3, total / np.maximum(count, 1) * LOAD_DAYS, np.nan)


def _maps(parts: Sequence[tuple[Floats, Carrier]], grid: tuple[int, int]) -> da.Array:
    """Return (time, lat, lon) float32 of the first part (time, point) that has a value in a cell, lazily, by days."""
    n_days = parts[0][0].shape[0]
    carriers = [carrier for _, carrier in parts]
    blocks = [
        da.from_delayed(
            delayed(carry)([anomaly[low:high] for anomaly, _ in parts], carriers, grid),
            (high - low, *grid),
            np.float32,
        )
        for low in range(0, n_days, BLOCK_DAYS)
        for high in [min(n_days, low + BLOCK_DAYS)]
    ]
    maps: da.Array = da.concatenate(blocks)
    return maps
