"""Hourly station weather of the U.S. Climate Reference Network: the text product hourly02, 38 columns, no header."""

import re
from pathlib import Path
from typing import Final

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import latency, number_option
from tasks.sources.payloads import empty, list_payloads, read_each, read_text
from tasks.sources.stations import distance_km
from tasks.sources.weather_stations import WeatherSeries, refuse_impossible, station_weather

NAMES: Final = ("air_temperature", "precipitation_amount", "volumetric_soil_moisture")
FILE: Final = re.compile(r"CRNH0203-(\d{4})-.+\.txt(\.gz)?")
_COLUMNS: Final = 38
# of the 38: number, UTC date and time, longitude, latitude, mean temperature, precipitation, soil moisture at 5 cm
_WBAN, _DATE, _TIME, _LONGITUDE, _LATITUDE, _MEAN, _RAIN, _SOIL = 0, 1, 2, 6, 7, 9, 12, 28
_NUMBERS: Final = (_LONGITUDE, _LATITUDE, _MEAN, _RAIN, _SOIL)
_RELEASE: Final = np.timedelta64(1, "h")


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return hourly means of temperature, precipitation sums and 5 cm soil moisture (time, station) of `CRNH*.txt`.

    `time` is the end of the hour, in UTC: 0000 closes the day before. -9999 and -99 are missing: NaN. deg C becomes K,
    mm is kg m-2. Stations further than option `radius_km` (default 400) from the box's centre are left out; elevations
    are not in the files: NaN. `available_time` is `time` plus `latency_days`, at least an hour: vintage
    "reconstructed". A line that breaks off is left out, with a message.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    radius = number_option(config, "radius_km", 400.0)
    partial: list[SourceDataInvalid] = []

    def read(path: Path) -> WeatherSeries | None:
        series = refuse_impossible(_series(path, partial), path)
        return series if distance_km(region, series.latitude, series.longitude) <= radius else None

    series, invalid = read_each(list_payloads(config, root, "**/CRNH*.txt", "**/CRNH*.txt.gz"), read)
    if not series:
        raise empty(config, root, region, window)
    delay = max(latency(config), _RELEASE)
    dataset = station_weather(
        series, NAMES, config, root, region, window, delay, "NOAA, public domain", "hour"
    )
    return Fetched(dataset, (*invalid, *partial))


def _series(path: Path, partial: list[SourceDataInvalid]) -> WeatherSeries:
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    parsed = [_row(line) for line in lines]
    rows = [row for row in parsed if row is not None]
    if not rows or len(rows) * 2 < len(lines):
        raise SourceDataInvalid(
            path, f"lines of {_COLUMNS} columns of hourly02", f"{len(rows)} of {len(lines)} lines"
        )
    station, place = rows[0][0], rows[0][2:4]
    rows = [row for row in rows if row[0] == station]
    if len(rows) < len(lines):
        first = next(k for k, row in enumerate(parsed, 1) if row is None or row[0] != station)
        found = f"{len(lines) - len(rows)} other lines, the first line {first}"
        partial.append(SourceDataInvalid(path, f"lines of station {station} with {_COLUMNS} columns", found))
    values = np.array([row[4:] for row in rows], dtype=np.float64)
    return WeatherSeries(
        station,
        place[1],
        place[0],
        np.nan,
        np.array([row[1] for row in rows], dtype="datetime64[ns]"),
        {
            "air_temperature": _known(values[:, 0], -9000.0) + 273.15,
            "precipitation_amount": _known(values[:, 1], -9000.0),
            "volumetric_soil_moisture": _known(values[:, 2], -90.0),
        },
    )


def _known(values: np.ndarray, missing_below: float) -> np.ndarray:
    return np.where(values > missing_below, values, np.nan)


def _row(line: str) -> tuple[str, np.datetime64, float, float, float, float, float] | None:
    """Return (station, time, longitude, latitude, mean, rain, soil) of a line; None if it is no whole one."""
    fields = line.split()
    # float() would take 1_0 and the digits of other scripts
    if len(fields) != _COLUMNS or "_" in "".join(fields[k] for k in _NUMBERS) or not line.isascii():
        return None
    if not (fields[_DATE].isdecimal() and fields[_TIME].isdecimal()):
        return None
    day, clock = fields[_DATE], fields[_TIME]
    if len(day) != 8 or len(clock) != 4 or clock > "2359" or clock[2:] > "59":
        return None
    try:
        time = np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:]}", "ns")
        numbers = [float(fields[k]) for k in _NUMBERS]
    except ValueError:
        return None
    longitude, latitude = numbers[:2]
    if not (np.isfinite(numbers).all() and abs(longitude) <= 180 and abs(latitude) <= 90):
        return None
    return fields[_WBAN], time, longitude, latitude, numbers[2], numbers[3], numbers[4]
