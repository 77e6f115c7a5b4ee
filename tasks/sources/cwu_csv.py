"""Daily GNSS positions of Central Washington University (GAGE facility), one CSV a station."""

import csv
import re
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid, SourceEmpty
from tasks.sources.options import latency, number_option, text_option
from tasks.sources.payloads import empty, list_payloads, locate, read_each, read_text
from tasks.sources.plausible import refuse_scatter
from tasks.sources.stations import (
    StationSeries,
    distance_km,
    last_of_repeated,
    position_dataset,
    wrap_longitude,
)

_HALF_DAY = np.timedelta64(12, "h")
_TRAILING_DAYS = 21
_MIN_HISTORY = 5
_LARGEST_MM: Final = 1e7
_COLUMNS: Final = tuple(
    f"{component}{kind} (mm)"
    for kind in ("", " Std. Deviation")
    for component in ("East", "North", "Vertical")
)
_REFERENCE: Final = re.compile(
    r"^Reference position\s*,\s*([-\d.]+) North Latitude\s*,\s*([-\d.]+) East Longitude\s*,\s*([-\d.]+) meters",
    re.MULTILINE,
)

Place = tuple[float, float, float]


class _File(NamedTuple):
    """Times (n,) at 12:00, values (n, 6) in metres, and the place in the preamble if there is one."""

    time: NDArray[np.datetime64]
    values: NDArray[np.float64]
    place: Place | None


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the positions of `position.SITE.cwu.*.csv[.xz]` within `radius_km` (default 150) of the centre.

    Millimetres relative to the first row become metres; north stands before east in the files. Columns are found by
    name; what a file lacks (vertical, standard deviations) is NaN. Coordinates come from the velocity table (option
    `stations`, a path below the root; default the folder's `cwu.*.vel*`), of which nothing else is read because
    its velocities look ahead, or else from the file's preamble; a station that has neither is left out with a
    message. Single-day outliers larger
    than option `outlier_m` (default 0.1) become NaN with flag 4. `available_time` is the end of the GPS day
    plus `latency_days`: vintage "reconstructed", for rapid and final solutions are merged without a mark.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    radius = number_option(config, "radius_km", 150.0)
    threshold = number_option(config, "outlier_m", 0.1)
    table = _find_places(config, root)
    places = {} if table is None else _read_places(table)
    complaints: list[SourceDataInvalid] = []

    def read(path: Path) -> StationSeries | None:
        station = path.name.split(".")[1]
        file = None if station in places else _parse(path)
        place = places.get(station, file.place if file is not None else None)
        if place is None:
            raise SourceDataInvalid(
                path, f"coordinates of {station} in the velocity table or the file", "none"
            )
        latitude, longitude, elevation = place
        if distance_km(region, latitude, longitude) > radius:
            return None
        time, values, _ = file or _parse(path)
        refuse_scatter(values[np.argsort(time, kind="stable"), :3], path)
        outlier = flag_outliers(time, values[:, :3], threshold)
        gone = ~np.isfinite(values[:, :2]).all(axis=1)
        flag = np.where(outlier, 4, np.where(gone, 1, 0)).astype(np.uint8)
        values[outlier] = np.nan
        series = StationSeries(station, latitude, longitude, elevation, time, values, flag)
        series, wrong = last_of_repeated(series, path)
        complaints.extend(wrong)
        return series

    paths = list_payloads(config, root, "position.*.csv", "position.*.csv.xz")
    series, invalid = read_each(paths, read)
    if not series:
        raise empty(config, root, region, window)
    delay = _HALF_DAY + latency(config)
    dataset = position_dataset(
        series, config, root, region, window, delay, "CWU/GAGE facility; attribution asked"
    )
    return Fetched(dataset, tuple(invalid + complaints))


def _find_places(config: SourceConfig, root: Path) -> Path | None:
    named = text_option(config, "stations", "")
    if named:
        return locate(config.model_copy(update={"path": named}), root)
    try:
        return list_payloads(config, root, "cwu.*.vel", "cwu.*.vel.xz")[0]
    except SourceEmpty:
        return None


def places_beside(folder: Path) -> dict[str, Place]:
    """Return what the velocity table in the folder says of places, by station; nothing without a table."""
    table = next(iter(sorted([*folder.glob("cwu.*.vel"), *folder.glob("cwu.*.vel.xz")])), None)
    return {} if table is None else _read_places(table)


def _read_places(path: Path) -> dict[str, Place]:
    """Return latitude, longitude (degree) and height (m) of each station's first row; longitudes are 0..360 there."""
    places: dict[str, Place] = {}
    _, header, body = read_text(path).partition("*Dot#")
    if not header:
        raise SourceDataInvalid(path, "a velocity table with a line that starts with '*Dot#'", "none")
    for line in body.splitlines()[1:]:
        # the 16-character name may hold blanks, so the rest is split after it
        station, fields = line[1:5].strip(), line[22:].split()
        try:
            latitude, longitude, height = (float(x) for x in fields[5:8])
        except ValueError as error:
            raise SourceDataInvalid(path, "at least 8 numbers after the name", repr(line[:60])) from error
        if not (abs(latitude) <= 90 and abs(longitude) <= 360):
            raise SourceDataInvalid(path, "latitude and longitude in degrees", repr(line[:60]))
        places.setdefault(station, (latitude, wrap_longitude(longitude), height))
    return places


def _parse(path: Path) -> _File:
    """Return one file; its header is the line that starts with `Date`, after a preamble or at once."""
    lines = read_text(path).splitlines()
    start = next((k for k, line in enumerate(lines) if line.startswith("Date")), None)
    if start is None:
        raise SourceDataInvalid(path, "a header that starts with 'Date'", repr("".join(lines[:1])[:60]))
    try:
        fields = list(csv.reader(lines[start:], quoting=csv.QUOTE_NONE))
    except csv.Error as error:
        raise SourceDataInvalid(path, "lines of fields between commas", str(error)) from error
    rows = [[field.strip() for field in row] for row in fields if row]
    # some releases end each line with a comma
    names = rows[0][:-1] if rows[0][-1] == "" else rows[0]
    if any(names.count(name) != 1 for name in ("Date", "North (mm)", "East (mm)")):
        raise SourceDataInvalid(path, "columns Date, North (mm), East (mm), each once", f"{names}"[:120])
    table = [row[:-1] if len(row) == len(names) + 1 and row[-1] == "" else row for row in rows[1:]]
    wrong = next((row for row in table if len(row) != len(names)), None)
    if wrong is not None:
        raise SourceDataInvalid(path, f"{len(names)} fields as in the header", repr(",".join(wrong))[:60])
    column = {name: [row[k] for row in table] for k, name in enumerate(names)}
    try:
        days = pd.to_datetime(pd.Series(column["Date"], dtype=object), format="%Y-%m-%d")
        values = np.array(
            [
                [float(text) if text else np.nan for text in column.get(name, [""] * len(table))]
                for name in _COLUMNS
            ]
        )
    except ValueError as error:
        raise SourceDataInvalid(path, "dates and millimetres", str(error).splitlines()[0]) from error
    if (np.abs(values) > _LARGEST_MM).any() or (values[3:] < 0).any():
        raise SourceDataInvalid(path, "finite millimetres below 10 km, deviations not negative", "others")
    found = _REFERENCE.search("\n".join(lines[:start]))
    return _File(days.to_numpy("datetime64[ns]") + _HALF_DAY, values.T / 1000.0, _place(path, found))


def _place(path: Path, found: re.Match[str] | None) -> Place | None:
    if found is None:
        return None
    try:
        latitude, longitude, height = (float(text) for text in found.groups())
    except ValueError as error:
        raise SourceDataInvalid(path, "numbers in the reference position", found.group(0)) from error
    if not (abs(latitude) <= 90 and abs(longitude) <= 360):
        raise SourceDataInvalid(path, "degrees in the reference position", found.group(0))
    return latitude, wrap_longitude(longitude), height


def flag_outliers(
    time: NDArray[np.datetime64], positions: NDArray[np.float64], threshold_m: float
) -> NDArray[np.bool_]:
    """Return which rows (n,) are single outliers, decided from earlier rows alone.

    A row is an outlier if a horizontal component lies more than `threshold_m` from the median of the rows of the
    21 days before it, unless the row before lies there too: a step of an earthquake costs its first day and not
    more. With fewer than 5 earlier rows nothing is flagged.

    Parameters
    ----------
    positions : (n, 3) m
        East, north, up; NaN never flags. The vertical is not judged.
    """
    outlier = np.zeros(time.size, dtype=bool)
    first = np.searchsorted(time, time - np.timedelta64(_TRAILING_DAYS, "D"))
    horizontal = positions[:, :2]
    # cheap screen: only a row far from its predecessor, or after such a row, can be an outlier
    for row in range(_MIN_HISTORY, time.size):
        if row - first[row] < _MIN_HISTORY:
            continue
        reference = np.median(horizontal[first[row] : row], axis=0)
        if (np.abs(horizontal[row] - reference) > threshold_m).any():
            confirmed = (np.abs(horizontal[row] - horizontal[row - 1]) <= threshold_m / 2).all()
            outlier[row] = not confirmed
    return outlier
