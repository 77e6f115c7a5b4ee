"""Open-Meteo's archive: hourly JSON for one point or a list of points of a reanalysis."""

import json
import re
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import latency
from tasks.sources.payloads import list_payloads, read_each, read_text
from tasks.sources.stations import wrap_longitude
from tasks.sources.units import days_of
from tasks.sources.weather_stations import (
    Floats,
    WeatherSeries,
    refuse_impossible,
    station_weather,
    wind_components,
)

NAMES: Final = (
    "air_temperature", "surface_air_pressure", "precipitation_amount", "eastward_wind", "northward_wind",
    "volumetric_soil_moisture",
)  # fmt: skip


_CLOCK: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")


class _Scale(NamedTuple):
    """Ours = theirs x factor + offset."""

    factor: float
    offset: float = 0.0


_SPEED: Final = {
    "m/s": _Scale(1.0), "km/h": _Scale(1 / 3.6), "mp/h": _Scale(0.44704), "mph": _Scale(0.44704),
    "kn": _Scale(1852 / 3600),
}  # fmt: skip
_UNITS: Final[dict[str, dict[str, _Scale]]] = {
    "temperature_2m": {
        "°C": _Scale(1.0, 273.15), "K": _Scale(1.0), "°F": _Scale(5 / 9, 273.15 - 32 * 5 / 9),
    },
    "surface_pressure": {"hPa": _Scale(100.0), "Pa": _Scale(1.0)},
    "precipitation": {"mm": _Scale(1.0), "inch": _Scale(25.4)},
    "wind_speed_10m": _SPEED,
    "wind_direction_10m": {"°": _Scale(1.0)},
    "soil_moisture_0_to_7cm": {"m³/m³": _Scale(1.0)},
}  # fmt: skip
HOURLY: Final = tuple(_UNITS)


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return hourly weather (time, station) of the points in all `*.json` files, as the model's nodes near them.

    A station is a node that the service answered for, named `latitude_longitude`; several questions that it moved to
    one node become one. `time` is the end of the hour over which precipitation fell, and the instant of everything
    else. Wind comes as speed and the direction it blows from, and becomes components. null is missing: NaN.
    `available_time` is `time` plus `latency_days` (5 for `models=era5`): vintage "reconstructed".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A unit that is not known makes its file invalid, as do a reply that is an error and lists
        of different lengths.
    """
    files, invalid = read_each(list_payloads(config, root, "*.json"), _read)
    series: dict[str, list[WeatherSeries]] = {}
    for one in (one for file in files for one in file):
        series.setdefault(one.station, []).append(one)
    dataset = station_weather(
        [one for parts in series.values() for one in parts],
        NAMES, config, root, region, window, latency(config),
        "Open-Meteo, CC BY 4.0; contains modified Copernicus data", "hour",
    )  # fmt: skip
    return Fetched(dataset, tuple(invalid))


def payload_keys(path: Path) -> set[str]:
    """Return the days of a file's hours."""
    return {day for series in _read(path) for day in days_of(series.time)}


def _read(path: Path) -> list[WeatherSeries]:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise SourceDataInvalid(path, "JSON", str(error)[:120]) from error
    places = content if isinstance(content, list) else [content]
    if not places:
        raise SourceDataInvalid(path, "one place or more", "an empty list")
    return [refuse_impossible(_series(path, place), path) for place in places]


def _series(path: Path, place: object) -> WeatherSeries:
    if not isinstance(place, dict):
        raise SourceDataInvalid(path, "an object for each place", repr(place)[:80])
    if place.get("error"):
        raise SourceDataInvalid(path, "weather", f"the service's error {str(place.get('reason'))[:120]!r}")
    hourly, units = place.get("hourly"), place.get("hourly_units")
    if not isinstance(hourly, dict) or not isinstance(units, dict):
        raise SourceDataInvalid(path, "hourly and hourly_units", f"{sorted(map(str, place))}")
    time = _time(path, hourly.get("time"), units.get("time"), place.get("utc_offset_seconds", 0))
    found = {
        name: _values(path, name, hourly[name], units.get(name), time.size)
        for name in HOURLY
        if name in hourly
    }
    if not found:
        raise SourceDataInvalid(path, f"one of {', '.join(HOURLY)}", f"{sorted(map(str, hourly))}")
    missing = np.full(time.size, np.nan)
    east, north = wind_components(
        found.get("wind_speed_10m", missing), found.get("wind_direction_10m", missing)
    )
    columns = (
        found.get("temperature_2m", missing), found.get("surface_pressure", missing),
        found.get("precipitation", missing), east, north, found.get("soil_moisture_0_to_7cm", missing),
    )  # fmt: skip
    latitude, longitude = (
        _number(path, key, place.get(key), limit) for key, limit in (("latitude", 90.0), ("longitude", 360.0))
    )
    longitude = wrap_longitude(longitude)
    elevation = place.get("elevation")
    return WeatherSeries(
        f"{latitude:.3f}_{longitude:.3f}",
        latitude,
        longitude,
        np.nan if elevation is None else _number(path, "elevation", elevation, 9000.0),
        time,
        dict(zip(NAMES, columns, strict=True)),
    )


def _number(path: Path, key: str, value: object, limit: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= limit:
        raise SourceDataInvalid(path, f"{key} as a number within {limit:g}", repr(value)[:40])
    return float(value)


def _time(path: Path, times: object, unit: object, offset: object) -> np.ndarray:
    """Return the hours in UTC; local clock readings are taken back by the offset that the reply states."""
    if not isinstance(times, list) or unit not in ("iso8601", "unixtime"):
        raise SourceDataInvalid(path, "times in iso8601 or unixtime", f"{unit!r}")
    if isinstance(offset, bool) or not isinstance(offset, int) or abs(offset) > 86_400:
        raise SourceDataInvalid(path, "utc_offset_seconds as a whole number of seconds", repr(offset)[:40])
    expected = str if unit == "iso8601" else int
    if not all(type(moment) is expected for moment in times):
        raise SourceDataInvalid(path, f"every time in {unit}", "another kind of value")
    try:
        if unit == "unixtime":
            # already UTC, whatever the offset
            moments = np.array(times, dtype=np.int64).astype("datetime64[s]")
        else:
            wrong = next((t for t in times if not _CLOCK.fullmatch(t)), None)
            if wrong is not None:  # numpy takes a stray digit for a time zone
                raise SourceDataInvalid(path, "times in iso8601, YYYY-MM-DDThh:mm", repr(wrong)[:40])
            moments = np.array(times, dtype="datetime64[s]") - np.timedelta64(offset, "s")
    except (ValueError, OverflowError) as error:
        raise SourceDataInvalid(path, f"times in {unit}", str(error)[:120]) from error
    years = moments.astype("datetime64[Y]").astype(np.int64) + 1970
    if (
        np.isnat(moments).any()
        or ((years < 1900) | (years > 2200)).any()
        or (np.diff(moments) <= np.timedelta64(0)).any()
    ):
        raise SourceDataInvalid(path, "rising times from 1900 to 2200", "others")
    return moments.astype("datetime64[ns]")


def _values(path: Path, name: str, values: object, unit: object, n_times: int) -> Floats:
    scales = _UNITS[name]
    if unit not in scales:
        raise SourceDataInvalid(path, f"{name} in {' or '.join(scales)}", f"units {unit!r}")
    if not isinstance(values, list) or len(values) != n_times:
        found = f"{len(values)}" if isinstance(values, list) else type(values).__name__
        raise SourceDataInvalid(path, f"{n_times} values of {name}, one a time", found)
    if not all(value is None or type(value) in (int, float) for value in values):
        raise SourceDataInvalid(path, f"numbers or null in {name}", "another kind of value")
    scale = scales[unit]
    try:
        numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    except OverflowError as error:
        raise SourceDataInvalid(path, f"numbers in {name}", str(error)) from error
    return numbers * scale.factor + scale.offset
