"""NOAA's ISD-Lite: hourly station weather in yearly fixed-width files, one station each (history until 2025-08-29)."""

import csv
import io
import re
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import latency, number_option
from tasks.sources.payloads import empty, list_payloads, locate, read_each, read_text
from tasks.sources.stations import distance_km
from tasks.sources.weather_stations import (
    WeatherSeries,
    refuse_impossible,
    station_weather,
    wind_components,
)

HISTORY: Final = "isd-history.csv"
NAMES: Final = ("air_temperature", "precipitation_amount", "eastward_wind", "northward_wind")
FILE: Final = re.compile(r"([0-9A-Z]{6}-[0-9]{5})-([0-9]{4})(?:\.gz)?")
_MISSING: Final = -9999
_TRACE: Final = -1
_WIDTH: Final = 61
_FIELDS: Final = ((0, 4), (5, 7), (8, 10), (11, 13), *((13 + 6 * k, 19 + 6 * k) for k in range(8)))
_COLUMNS: Final = ("USAF", "WBAN", "LAT", "LON", "ELEV(M)")


class Station(NamedTuple):
    """A row of the station list: id `USAF-WBAN`, degrees, metres (NaN unknown)."""

    station: str
    latitude: float
    longitude: float
    elevation_m: float


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return hourly temperature, precipitation and wind (time, station) of all `USAF-WBAN-YEAR.gz` files.

    Places come from `isd-history.csv` in the same folder; stations further than option `radius_km` (default 400) from
    the box's centre are left out. `time` is the hour of the observation, in UTC, at which precipitation's hour ends.
    -9999 is missing: NaN. A trace of rain (-1) is 0 with `precipitation_trace` 1. A calm is 0 in both components.
    The pressure in the file is that at sea level, which is another quantity than ours and is not used. `available_time`
    is `time` plus `latency_days`: vintage "reconstructed". A line that breaks off is left out, with a message.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    folder = locate(config, root)
    history = folder / HISTORY
    if not history.exists():
        raise SourceDataInvalid(history, "the list of stations beside the data", "no such file")
    places = read_history(history)
    radius = number_option(config, "radius_km", 400.0)
    partial: list[SourceDataInvalid] = []

    def read(path: Path) -> WeatherSeries | None:
        match = FILE.fullmatch(path.name)
        if match is None:
            raise SourceDataInvalid(path, "a name like 723830-23187-2020.gz", path.name)
        place = places.get(match.group(1))
        if place is None:
            raise SourceDataInvalid(path, f"its station in {HISTORY}", "none of that number")
        if distance_km(region, place.latitude, place.longitude) > radius:
            return None
        return refuse_impossible(_series(path, place, int(match.group(2)), partial), path)

    series, invalid = read_each(list_payloads(config, root, "**/*-*-*.gz"), read)
    if not series:
        raise empty(config, root, region, window)
    dataset = station_weather(
        series, NAMES, config, root, region, window, latency(config), "NOAA, public domain", "hour"
    )
    return Fetched(dataset, (*invalid, *partial))


def places_beside(folder: Path) -> dict[str, Station]:
    """Return where the stations stand, by their ids."""
    return read_history(folder / HISTORY) if (folder / HISTORY).is_file() else {}


def read_history(path: Path) -> dict[str, Station]:
    """Return the stations in NOAA's `isd-history.csv` that have a place, by id `USAF-WBAN`.

    Raises
    ------
    SourceDataInvalid
        If the file is no such list.
    """
    stations = {}
    try:
        for row in csv.DictReader(io.StringIO(read_text(path))):
            if not set(_COLUMNS) <= row.keys():
                raise SourceDataInvalid(path, f"columns {', '.join(_COLUMNS)}", f"{list(row)}"[:120])
            try:
                latitude, longitude = float(row["LAT"]), float(row["LON"])
            except (TypeError, ValueError):
                continue  # a station without a place
            # 0, 0 and values beyond the globe stand for unknown places
            if (latitude or longitude) and abs(latitude) <= 90 and abs(longitude) <= 180:
                name = f"{row['USAF']}-{row['WBAN']}"
                stations[name] = Station(name, latitude, longitude, _elevation(row["ELEV(M)"]))
    except csv.Error as error:
        raise SourceDataInvalid(path, "a CSV table", str(error)) from error
    if not stations:
        raise SourceDataInvalid(path, "stations with places", "none")
    return stations


def _elevation(text: str | None) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        return np.nan
    return value if -500 < value < 9000 else np.nan


def _series(path: Path, place: Station, year: int, partial: list[SourceDataInvalid]) -> WeatherSeries:
    lines = read_text(path).splitlines()
    parsed = [(number, _fields(line)) for number, line in enumerate(lines, 1) if line.strip()]
    rows = [row for _, row in parsed if row is not None and row[0] == year]
    broken = [number for number, row in parsed if row is None or row[0] != year]
    if broken:
        complaint = SourceDataInvalid(
            path,
            f"lines of {_WIDTH} columns of whole numbers in {year}",
            f"{len(broken)} others, the first in line {broken[0]}",
        )
        if len(broken) > len(rows):
            raise complaint
        partial.append(complaint)
    table = np.array(rows, dtype=np.int64).reshape(-1, len(_FIELDS))
    time = (
        (table[:, 0] - 1970).astype("datetime64[Y]").astype("datetime64[M]")
        + (table[:, 1] - 1).astype("timedelta64[M]")
    ).astype("datetime64[D]") + (table[:, 2] - 1).astype("timedelta64[D]")
    raw = np.where(table[:, 4:] == _MISSING, np.nan, table[:, 4:].astype(np.float64))
    trace = raw[:, 6] == _TRACE
    east, north = wind_components(raw[:, 4] / 10, raw[:, 3])
    values = {
        "air_temperature": raw[:, 0] / 10 + 273.15,
        "precipitation_amount": np.where(trace, 0.0, raw[:, 6] / 10),
        "eastward_wind": east,
        "northward_wind": north,
    }
    return WeatherSeries(
        *place,
        time=(time + table[:, 3].astype("timedelta64[h]")).astype("datetime64[ns]"),
        values=values,
        marks={"precipitation_trace": trace.astype(np.uint8)},
    )


def _fields(line: str) -> list[int] | None:
    """Return the twelve numbers of a line; None if it is none, or its time or direction cannot be."""
    # int() would take 1_0 and the digits of other scripts
    if len(line.rstrip()) != _WIDTH or "_" in line or not line.isascii():
        return None
    try:
        fields = [int(line[start:end]) for start, end in _FIELDS]
    except ValueError:
        return None
    year, month, day, hour = fields[:4]
    in_month = 1 <= month <= 12 and 1 <= day <= _days_in(year, month) and 0 <= hour <= 23
    return (
        fields
        if in_month and 1900 <= year <= 2200 and (fields[7] == _MISSING or 0 <= fields[7] <= 360)
        else None
    )


def _days_in(year: int, month: int) -> int:
    first = np.datetime64(f"{year:04d}-{month:02d}", "M")
    return int(((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64))
