"""Daily GNSS positions in the tenv3 format of the Nevada Geodetic Laboratory (Blewitt et al. 2018)."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.clocks import Times, release_time, with_clocks
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import choice_option, duration, latency, number_option
from tasks.sources.payloads import empty, list_payloads, read_each, read_text
from tasks.sources.plausible import refuse_scatter
from tasks.sources.stations import (
    StationSeries,
    distance_km,
    last_of_repeated,
    position_dataset,
    wrap_longitude,
)

_REQUIRED = (
    "site", "YYMMMDD", "reflon", "e0", "east", "n0", "north", "u0", "up", "sig_e", "sig_n", "sig_u",
)  # fmt: skip
_IN_METRES = ("e0", "east", "n0", "north", "u0", "up", "sig_e", "sig_n", "sig_u", "height")
_HALF_DAY = np.timedelta64(12, "h")
# wide enough for every place on Earth and a century of motion; wrong units and columns lie outside
_RANGES = {
    "reflon": (-720.0, 720.0), "e0": (-4.1e7, 4.1e7), "n0": (-1.1e7, 1.1e7), "u0": (-1.2e4, 1.2e4),
    "east": (-1e4, 1e4), "north": (-1e4, 1e4), "up": (-1e4, 1e4), "sig_e": (0.0, 1e3), "sig_n": (0.0, 1e3),
    "sig_u": (0.0, 1e3), "latitude": (-90.0, 90.0), "longitude": (-720.0, 720.0), "height": (-1.2e4, 1.2e4),
}  # fmt: skip
_DAY = re.compile(r"(\d\d)([A-Z]{3})(\d\d)", re.ASCII)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MJD_EPOCH = np.datetime64("1858-11-17", "D")
_WGS84 = Geod(ellps="WGS84")


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the positions of all `*.tenv3` files within option `radius_km` (default 150) of the box's centre.

    Columns are found by header name, so that files of 20, 23 and more columns read alike. Positions are metres
    relative to the file's first row; the integer part (`e0`, `n0`, `u0`) is always added, for it may step while
    the fraction jumps back. Where `reflon` changes, east is tied over the step by the longitude column.
    Equipment steps are not corrected.

    The files do not tell rapid rows from final ones: vintage "reconstructed". With option `availability: latency`
    (default) `available_time` is the end of the GPS day plus `latency_days`. With `modified_time` the file's time of
    modification (Last-Modified, as a service sets it) tells them apart: rows that it made less than option
    `final_days` (default 15) after their day were rapid, known after `latency_days`; older rows are final, known
    after `final_days`; and no row later than the file itself.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    radius = number_option(config, "radius_km", 150.0)
    availability = choice_option(config, "availability", ("latency", "modified_time"))
    final = duration(number_option(config, "final_days", 15.0))
    complaints: list[SourceDataInvalid] = []
    clocks: dict[str, tuple[Times, Times]] = {}

    def read(path: Path) -> StationSeries | None:
        series, wrong = parse(path)
        refuse_scatter(series.values[:, :3], path)
        complaints.extend(wrong)
        if distance_km(region, series.latitude, series.longitude) > radius:
            return None
        if availability == "modified_time":
            published = np.datetime64(path.stat().st_mtime_ns, "ns")
            end = series.time + _HALF_DAY
            known = release_time(end, end + final > published, latency(config), final, published)
            clocks[series.station] = (series.time, known)
        return series

    series, invalid = read_each(list_payloads(config, root, "*.tenv3"), read)
    if not series:
        raise empty(config, root, region, window)
    delay = _HALF_DAY + latency(config)
    dataset = position_dataset(series, config, root, region, window, delay, "NGL; cite Blewitt et al. (2018)")
    return Fetched(with_clocks(dataset, clocks), tuple(invalid + complaints))


def parse(path: Path) -> tuple[StationSeries, list[SourceDataInvalid]]:
    """Return the series of one tenv3 file, and complaints about rows that were dropped.

    Raises
    ------
    SourceDataInvalid
        If a column is missing, a row is short or long, a value is no number, or date and MJD disagree.
    """
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    if len(lines) < 2:
        raise SourceDataInvalid(path, "a tenv3 header and rows", f"{len(lines)} lines")
    names = _column_names(path, lines[0])
    for number, fields in enumerate(lines[1:], start=2):
        if len(fields) != len(names):
            raise SourceDataInvalid(
                path, f"{len(names)} fields as in the header", f"{len(fields)} in line {number}"
            )
    table = np.array(lines[1:], dtype=object)
    column = {name: table[:, k] for k, name in enumerate(names)}

    def values_of(name: str) -> NDArray[np.float64]:
        try:
            values = column[name].astype(np.float64)
        except ValueError as error:
            raise SourceDataInvalid(path, f"numbers in column {name}", str(error)) from error
        low, high = _RANGES.get(name, (-np.inf, np.inf))
        wrong = ~(np.isfinite(values) & (low <= values) & (values <= high))
        if wrong.any():
            found = f"{column[name][int(np.argmax(wrong))]} in line {int(np.argmax(wrong)) + 2}"
            raise SourceDataInvalid(path, f"numbers in column {name} between {low:g} and {high:g}", found)
        return np.asarray(values)

    days = np.array([parse_day(path, text) for text in column["YYMMMDD"]])
    if "MJD" in names:
        differs = values_of("MJD") != (days - _MJD_EPOCH).astype(np.float64)
        if differs.any():
            wrong = int(np.argmax(differs))
            found = f"{column['YYMMMDD'][wrong]} and MJD {column['MJD'][wrong]} in line {wrong + 2}"
            raise SourceDataInvalid(path, "one day in YYMMMDD and MJD", found)
    absolute = np.stack(
        [values_of(f"{c}0") + values_of(name) for c, name in zip("enu", ("east", "north", "up"), strict=True)]
    )
    reflon = values_of("reflon")
    latitude, longitude = _coordinates(values_of, names, reflon[0], absolute)
    absolute[0], keep = _tie_east(absolute[0], reflon, latitude, longitude)
    values = np.stack(
        [*(absolute - absolute[:, :1]), values_of("sig_e"), values_of("sig_n"), values_of("sig_u")], axis=1
    )
    series = StationSeries(
        station=str(column["site"][0]),
        latitude=float(latitude[0]),
        longitude=wrap_longitude(float(longitude[0])),
        elevation_m=float(values_of("height")[0]) if "height" in names else float(absolute[2, 0]),
        time=(days[keep] + _HALF_DAY).astype("datetime64[ns]"),
        values=values[keep],
        flag=np.where(np.isfinite(values[keep, :3]).all(axis=1), 0, 1).astype(np.uint8),
    )
    series, complaints = last_of_repeated(series, path)
    if not keep.all():
        found = f"another one from line {int(np.argmin(keep)) + 2} on and no longitude column; the rest is left out"
        complaints.append(SourceDataInvalid(path, "one reference longitude (reflon)", found))
    return series, complaints


def parse_day(path: Path, text: str) -> np.datetime64:
    """Return the day that YYMMMDD names, datetime64[D]; years from 80 on are of the last century.

    Raises
    ------
    SourceDataInvalid
        If it names none.
    """
    found = _DAY.fullmatch(text.upper())
    try:
        if found is None or found.group(2) not in _MONTHS:
            raise ValueError("no such form")
        year, day = int(found.group(1)), int(found.group(3))
        # strptime's %y turns at 69, NGL's years at 80
        moment = date(year + (1900 if year >= 80 else 2000), 1 + _MONTHS.index(found.group(2)), day)
    except ValueError as error:
        raise SourceDataInvalid(path, "dates like 19JUL06 in column YYMMMDD", repr(text)) from error
    return np.datetime64(moment, "D")


def _column_names(path: Path, header: list[str]) -> list[str]:
    """Return the names in the header without unit and underscores.

    The unit is dropped only where it is the metre: other variants of the files exist, and a millimetre is no metre.
    """
    split = [re.fullmatch(r"_*(.*?)_*(?:\((.*)\))?", field) for field in header]
    named = [(m.group(1), m.group(2)) for m in split if m is not None]
    names = [name for name, _ in named]
    missing = [name for name in _REQUIRED if names.count(name) != 1]
    if missing:
        raise SourceDataInvalid(
            path, f"tenv3 columns {' '.join(_REQUIRED)}, each once", f"no column {' '.join(missing)}"
        )
    other = [f"{name}({unit})" for name, unit in named if name in _IN_METRES and unit not in (None, "m")]
    if other:
        raise SourceDataInvalid(path, "columns in metres (m)", " ".join(other))
    return names


def _coordinates(
    number: Callable[[str], NDArray[np.float64]],
    names: list[str],
    reflon: float,
    absolute: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitude and longitude (row,), degree.

    Files of 20 columns have them only as metres from the equator and from `reflon`: then of the first row alone.
    """
    if "latitude" in names and "longitude" in names:
        return number("latitude"), number("longitude")
    _, latitude, _ = _WGS84.fwd(reflon, 0.0, 0.0, absolute[1, 0])
    longitude, _, _ = _WGS84.fwd(reflon, latitude, 90.0, absolute[0, 0])
    return np.array([latitude]), np.array([longitude])


def _tie_east(
    east: NDArray[np.float64],
    reflon: NDArray[np.float64],
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return east without the steps where `reflon` changes, and which rows may be used."""
    tied, keep = east.copy(), np.ones(east.size, dtype=bool)
    for row in np.flatnonzero(np.diff(reflon)) + 1:
        if longitude.size != east.size:
            keep[row:] = False
            break
        _, _, moved = _WGS84.inv(longitude[row - 1], latitude[row - 1], longitude[row], latitude[row - 1])
        moved = np.copysign(moved, longitude[row] - longitude[row - 1])
        tied[row:] += tied[row - 1] + moved - tied[row]
    return tied, keep
