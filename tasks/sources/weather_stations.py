"""What the readers of station weather share: one series a station, winds from speed and direction, the Dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import SourceDataInvalid
from tasks.sources.payloads import empty
from tasks.sources.weather import UNITS, is_possible

OBSERVED: Final = 0
GAP: Final = 1
MASKED: Final = 4
Floats = NDArray[np.float64]


class WeatherSeries(NamedTuple):
    """One station's values.

    Attributes
    ----------
    elevation_m : float
        NaN where unknown.
    time : (n,) datetime64[ns]
        End of each value's interval; of a repeated one the last row counts.
    values : mapping of canonical name to (n,), SI
        NaN missing.
    marks : mapping of name to (n,) uint8
        What the provider says of single values besides.
    """

    station: str
    latitude: float
    longitude: float
    elevation_m: float
    time: NDArray[np.datetime64]
    values: Mapping[str, Floats]
    marks: Mapping[str, NDArray[np.uint8]] = {}


def wind_components(speed: ArrayLike, from_direction: ArrayLike) -> tuple[Floats, Floats]:
    """Return (eastward, northward), m s-1, of wind that blows from `from_direction` degrees clockwise from north.

    A calm (speed 0) has no direction and is 0 in both; a missing speed, or a direction missing in wind, gives NaN.
    """
    speeds = np.asarray(speed, dtype=np.float64)
    angle = np.where(speeds == 0, 0.0, np.radians(np.asarray(from_direction, dtype=np.float64)))
    # adding 0 turns -0 into 0
    return -speeds * np.sin(angle) + 0.0, -speeds * np.cos(angle) + 0.0


def refuse_impossible(series: WeatherSeries, path: Path) -> WeatherSeries:
    """Return `series`; single values beyond what is possible are masked later, most of them are another unit.

    Raises
    ------
    SourceDataInvalid
        If more than half of what a variable has is beyond its limits.
    """
    for name, values in series.values.items():
        known = values[np.isfinite(values)]
        wrong = known[~is_possible(name, known)]
        if 2 * wrong.size > known.size:
            raise SourceDataInvalid(
                path,
                f"{name} in {UNITS[name]}",
                f"{wrong.size} of {known.size} impossible, such as {wrong[0]:g}",
            )
    return series


def station_weather(
    series: Sequence[WeatherSeries],
    names: Sequence[str],
    config: SourceConfig,
    root: Path,
    region: Region,
    window: TimeWindow,
    delay: np.timedelta64,
    licence: str,
    sampling: str,
) -> xr.Dataset:
    """Return hourly or daily values (time, station) on the union of the stations' times inside `window`.

    Every Dataset of a provider has all of `names`, NaN where a station lacks one, so that answers join in the store.
    The flag is 1 where nothing was observed and 4 where nothing is left but values beyond what is possible, which are
    NaN. `available_time` is `time` plus `delay`: vintage "reconstructed".

    Raises
    ------
    SourceEmpty
        If no station has a value inside `window`.
    """
    inside = [_within(one, window) for one in series]
    inside = sorted((one for one in inside if one.time.size), key=lambda one: one.station)
    if not inside:
        raise empty(config, root, region, window)
    time = np.unique(np.concatenate([one.time for one in inside])).astype("datetime64[ns]")
    stations: list[str] = sorted({one.station for one in inside})
    shape = (time.size, len(stations))
    fields = {name: np.full(shape, np.nan) for name in names}
    marks = {name: np.zeros(shape, np.uint8) for one in inside for name in one.marks}
    masked = np.zeros(shape, dtype=bool)
    for one in inside:
        rows, column = np.searchsorted(time, one.time), stations.index(one.station)
        for name, values in one.values.items():
            possible = is_possible(name, values)
            fields[name][rows, column] = np.where(possible, values, np.nan)
            masked[rows, column] |= ~possible
        for name, mark in one.marks.items():
            marks[name][rows, column] = mark
    nothing = np.all([np.isnan(values) for values in fields.values()], axis=0)
    flag = np.where(nothing, np.where(masked, MASKED, GAP), OBSERVED).astype(np.uint8)
    places = {one.station: one for one in inside}
    dims = ("time", "station")

    def place(name: str, unit: str) -> tuple[str, Floats, dict[str, str]]:
        return "station", np.array([float(getattr(places[s], name)) for s in stations]), {"units": unit}

    return xr.Dataset(
        {
            **{name: (dims, values, {"units": UNITS[name]}) for name, values in fields.items()},
            **{name: (dims, mark) for name, mark in marks.items()},
            "available_time": (dims, np.broadcast_to((time + delay)[:, None], shape).copy()),
            "quality_flag": (dims, flag),
        },
        coords={
            "time": time,
            "station": np.asarray(stations, dtype=object),
            "latitude": place("latitude", "degree_north"),
            "longitude": place("longitude", "degree_east"),
            "elevation_m": place("elevation_m", "m"),
        },
        attrs={
            "provider": config.provider,
            "modality": "weather",
            "licence": licence,
            "vintage": "reconstructed",
            "sampling": sampling,
        },
    )


def _within(one: WeatherSeries, window: TimeWindow) -> WeatherSeries:
    keep = np.flatnonzero((one.time >= window.start) & (one.time < window.end))
    return one._replace(
        time=one.time[keep],
        values={name: values[keep] for name, values in one.values.items()},
        marks={name: mark[keep] for name, mark in one.marks.items()},
    )
