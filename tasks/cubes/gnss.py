"""Daily GNSS positions of all providers on one day axis, less what the training period explains."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.cubes.clock import NAT, day_axis, day_number, not_before_day_end, trailing_latest
from tasks.cubes.harmonics import YEAR_DAYS, midas_trend, robust_fit, seasonal_design, seasonal_values
from tasks.regions import Region

COMPONENTS: Final = ("east", "north", "up")
COMMON_MODE_DAYS: Final = 60
COMMON_MODE_STATIONS: Final = 5
Floats = NDArray[np.float64]


class GnssStatistics(BaseModel):
    """What the training period says of each station: what is taken off its positions, whatever comes later."""

    model_config = ConfigDict(frozen=True)

    origin: date = Field(description="day from which the trend counts")
    stations: dict[str, tuple[tuple[float, ...] | None, ...]] = Field(
        description="station -> per component trend (m/yr), five seasonal terms (m), median (m); null: no fit"
    )


def clean_gnss(
    sources: Sequence[xr.Dataset], region: Region, statistics: GnssStatistics | None = None
) -> xr.Dataset:
    """Return `east north up` (time, station), m, less trend, seasonal terms and common mode; NaN where missing.

    Trend (median of one-year pairs) and annual and semi-annual terms come from the days before
    `region.split.train_end` alone. A station without 100 such pairs there is left out, because a trend fitted
    later would look ahead. The common mode of a day is the median over stations (at least 5) of the
    position less its own trailing 60-day median: causal, and blind to what lasts longer than that. Values with a
    quality flag count as missing. A station that two providers have is taken from the first.

    `available_time` (time, station) is the latest of all values that entered the day, those of the common mode
    and of the 60 days before included.

    Parameters
    ----------
    statistics : GnssStatistics, optional
        As an earlier call left them in `attrs["statistics"]` (JSON); then nothing is fitted, and `region` may start
        later than the training period: days from the 61st on are what a call with all days gives, bit for bit.
    """
    days = day_axis(region)
    station, latitude, longitude, positions, known = _gather(sources, days)
    if statistics is None:
        statistics = _fit_stations(station, positions, days, region)
    fitted = np.array([str(name) in statistics.stations for name in station], dtype=bool)
    for s in np.flatnonzero(fitted):
        for c, fit in enumerate(statistics.stations[str(station[s])]):
            column = positions[c, :, s]
            positions[c, :, s] = np.nan if fit is None else _departure(column, days, fit, statistics.origin)
    positions, known = positions[:, :, fitted], known[:, fitted]
    for c in range(3):
        positions[c] -= _common_mode(positions[c])[:, None]
    observed = np.isfinite(positions).any(axis=0)
    # Every station of the trailing window enters each value through the common mode.
    entered = trailing_latest(np.where(observed, known, NAT).max(axis=1, initial=NAT), COMMON_MODE_DAYS + 1)
    available = np.where(observed, entered[:, None], NAT)
    return xr.Dataset(
        {
            name: (("time", "station"), positions[c].astype(np.float32), {"units": "m"})
            for c, name in enumerate(COMPONENTS)
        }
        | {"available_time": (("time", "station"), not_before_day_end(available, days))},
        coords={
            "time": days,
            "station": station[fitted],
            "latitude": ("station", latitude[fitted], {"units": "degree_north"}),
            "longitude": ("station", longitude[fitted], {"units": "degree_east"}),
        },
        attrs={"statistics": statistics.model_dump_json()},
    )


def read_statistics(gnss: xr.Dataset) -> GnssStatistics:
    """Return what `clean_gnss` took off the positions of `gnss`."""
    return GnssStatistics.model_validate(json.loads(gnss.attrs["statistics"]))


def _gather(
    sources: Sequence[xr.Dataset], days: NDArray[np.datetime64]
) -> tuple[NDArray[np.object_], Floats, Floats, Floats, NDArray[np.int64]]:
    """Return stations, their places, positions (component, time, station) and available times as int64 ns."""
    names: list[object] = []
    places: list[tuple[float, float]] = []
    columns: list[Floats] = []
    clocks: list[NDArray[np.int64]] = []
    for source in sources:
        source = source.load()
        day = day_number(source["time"].values, days)
        rows = day >= 0
        good = source["quality_flag"].values == 0
        stamps = source["available_time"].values.astype("datetime64[ns]").astype(np.int64)
        for s, name in enumerate(source["station"].values):
            if name in names:
                continue
            column = np.full((3, days.size), np.nan)
            clock = np.full(days.size, NAT)
            usable = rows & good[:, s] & (stamps[:, s] != NAT)
            for c, component in enumerate(COMPONENTS):
                column[c, day[usable]] = source[component].values[usable, s]
            clock[day[usable]] = stamps[usable, s]
            names.append(name)
            places.append((float(source["latitude"].values[s]), float(source["longitude"].values[s])))
            columns.append(column)
            clocks.append(clock)
    place = np.array(places, dtype=np.float64).reshape(-1, 2)
    positions = np.stack(columns, axis=2) if columns else np.zeros((3, days.size, 0))
    known = np.stack(clocks, axis=1) if clocks else np.zeros((days.size, 0), np.int64)
    return np.array(names, dtype=object), place[:, 0], place[:, 1], positions, known


def _fit_stations(
    station: NDArray[np.object_], positions: Floats, days: NDArray[np.datetime64], region: Region
) -> GnssStatistics:
    """Return the fits of the stations that have a horizontal one."""
    training = days < np.datetime64(region.split.train_end)
    fits = {
        str(name): tuple(_fit(positions[c, :, s], days, training) for c in range(len(COMPONENTS)))
        for s, name in enumerate(station)
    }
    horizontal = {name: fit for name, fit in fits.items() if fit[0] is not None or fit[1] is not None}
    return GnssStatistics(origin=region.start, stations=horizontal)


def _fit(
    values: Floats, days: NDArray[np.datetime64], training: NDArray[np.bool_]
) -> tuple[float, ...] | None:
    """Return trend, seasonal terms and median of `values` (time,) on the training days; None if they do not suffice."""
    trend = midas_trend(days[training], values[training])
    if not np.isfinite(trend):
        return None
    days, values = days[training], values[training]
    values = values - trend * _years(days, days[0])
    # Steps within the training period must not leak into the seasonal terms: take off the running year first.
    local = pd.Series(values).rolling(366, center=True, min_periods=100).median().to_numpy()
    terms = robust_fit(seasonal_design(days), values - local)
    centre = float(np.nanmedian(values - seasonal_values(days, terms)))
    return (trend, *(float(term) for term in terms), centre)


def _departure(values: Floats, days: NDArray[np.datetime64], fit: tuple[float, ...], origin: date) -> Floats:
    """Return `values` (time,) less trend, seasonal terms and median."""
    detrended = values - fit[0] * _years(days, np.datetime64(origin, "ns"))
    return np.asarray(detrended - seasonal_values(days, np.array(fit[1:-1])) - fit[-1])


def _years(days: NDArray[np.datetime64], origin: np.datetime64) -> Floats:
    return np.asarray((days - origin) / np.timedelta64(1, "D") / YEAR_DAYS, dtype=np.float64)


def _common_mode(positions: Floats) -> Floats:
    """Return (time,) the median over stations of (time, station) less the median of the 60 days before."""
    before = pd.DataFrame(positions).rolling(COMMON_MODE_DAYS, min_periods=10).median().shift(1).to_numpy()
    departure = positions - before
    enough = np.isfinite(departure).sum(axis=1) >= COMMON_MODE_STATIONS
    mode = np.zeros(positions.shape[0])
    if enough.any():
        mode[enough] = np.nanmedian(departure[enough], axis=1)
    return mode
