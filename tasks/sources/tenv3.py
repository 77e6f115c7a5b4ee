"""Daily GNSS positions in the tenv3 format of the Nevada Geodetic Laboratory (Blewitt et al. 2018)."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import Geod

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import latency, number_option
from tasks.sources.payloads import empty, list_payloads, read_each, read_text
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
_HALF_DAY = np.timedelta64(12, "h")
_MJD_EPOCH = np.datetime64("1858-11-17", "D")
_WGS84 = Geod(ellps="WGS84")


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the positions of all `*.tenv3` files within option `radius_km` (default 150) of the box's centre.

    Columns are found by header name, so that files of 20, 23 and more columns read alike. Positions are metres
    relative to the file's first row; the integer part (`e0`, `n0`, `u0`) is always added, for it may step while
    the fraction jumps back. Where `reflon` changes, east is tied over the step by the longitude column.
    `available_time` is the end of the GPS day plus `latency_days`, for rapid and final rows are not told apart:
    vintage "reconstructed". Equipment steps are not corrected.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    radius = number_option(config, "radius_km", 150.0)
    complaints: list[SourceDataInvalid] = []

    def read(path: Path) -> StationSeries | None:
        series, wrong = parse(path)
        complaints.extend(wrong)
        return series if distance_km(region, series.latitude, series.longitude) <= radius else None

    series, invalid = read_each(list_payloads(config, root, "*.tenv3"), read)
    if not series:
        raise empty(config, root, region, window)
    delay = _HALF_DAY + latency(config)
    dataset = position_dataset(series, config, root, region, window, delay, "NGL; cite Blewitt et al. (2018)")
    return Fetched(dataset, tuple(invalid + complaints))


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
    names = [re.sub(r"\(.*\)", "", field).strip("_") for field in lines[0]]
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise SourceDataInvalid(
            path, f"tenv3 columns {' '.join(_REQUIRED)}", f"no column {' '.join(missing)}"
        )
    for number, fields in enumerate(lines[1:], start=2):
        if len(fields) != len(names):
            raise SourceDataInvalid(
                path, f"{len(names)} fields as in the header", f"{len(fields)} in line {number}"
            )
    table = np.array(lines[1:], dtype=object)
    column = {name: table[:, k] for k, name in enumerate(names)}

    def values_of(name: str) -> NDArray[np.float64]:
        try:
            return column[name].astype(np.float64)
        except ValueError as error:
            raise SourceDataInvalid(path, f"numbers in column {name}", str(error)) from error

    days = _parse_days(path, column["YYMMMDD"])
    if "MJD" in names and not np.array_equal(_MJD_EPOCH + values_of("MJD").astype(np.int64), days):
        wrong = int(np.argmax(_MJD_EPOCH + values_of("MJD").astype(np.int64) != days))
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


def _parse_days(path: Path, texts: NDArray[np.object_]) -> NDArray[np.datetime64]:
    # strptime's %y turns at 69, NGL's years at 80
    expanded = [("19" if text[:2] >= "80" else "20") + text for text in texts]
    try:
        parsed = pd.to_datetime(pd.Series(expanded, dtype=object), format="%Y%b%d")
    except ValueError as error:
        raise SourceDataInvalid(
            path, "dates like 19JUL06 in column YYMMMDD", str(error).splitlines()[0]
        ) from error
    return parsed.to_numpy("datetime64[D]")


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
