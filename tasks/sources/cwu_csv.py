"""Daily GNSS positions of Central Washington University (GAGE facility), one CSV a station."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import latency, number_option, text_option
from tasks.sources.payloads import empty, list_payloads, locate, read_csv, read_each, read_text
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


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the positions of `position.SITE.cwu.*.csv[.xz]` within `radius_km` (default 150) of the centre.

    Millimetres relative to the first row become metres; north stands before east in the files. Sigmas are NaN,
    and `up` too where the file has no vertical column. Coordinates come from the velocity table (option
    `stations`, a path below the root; default the folder's `cwu.*.vel*`), of which nothing else is read because
    its velocities look ahead; a station that it lacks is left out with a message. Single-day outliers larger
    than option `outlier_m` (default 0.1) become NaN with flag 4. `available_time` is the end of the GPS day
    plus `latency_days`: vintage "reconstructed", for rapid and final solutions are merged without a mark.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    radius = number_option(config, "radius_km", 150.0)
    threshold = number_option(config, "outlier_m", 0.1)
    places = _read_places(_find_places(config, root))
    complaints: list[SourceDataInvalid] = []

    def read(path: Path) -> StationSeries | None:
        station = path.name.split(".")[1]
        if station not in places:
            raise SourceDataInvalid(path, f"coordinates of {station} in the velocity table", "none")
        latitude, longitude, elevation = places[station]
        if distance_km(region, latitude, longitude) > radius:
            return None
        time, positions = _parse(path)
        outlier = flag_outliers(time, positions, threshold)
        gone = ~np.isfinite(positions[:, :2]).all(axis=1)
        flag = np.where(outlier, 4, np.where(gone, 1, 0)).astype(np.uint8)
        positions[outlier] = np.nan
        values = np.concatenate([positions, np.full_like(positions, np.nan)], axis=1)
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


def _find_places(config: SourceConfig, root: Path) -> Path:
    named = text_option(config, "stations", "")
    if named:
        return locate(config.model_copy(update={"path": named}), root)
    return list_payloads(config, root, "cwu.*.vel", "cwu.*.vel.xz")[0]


def _read_places(path: Path) -> dict[str, tuple[float, float, float]]:
    """Return latitude, longitude (degree) and height (m) of each station's first row; longitudes are 0..360 there."""
    places: dict[str, tuple[float, float, float]] = {}
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
        places.setdefault(station, (latitude, wrap_longitude(longitude), height))
    return places


def _parse(path: Path) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Return times (n,) at 12:00 and east, north, up (n, 3) in metres."""
    table = read_csv(path, ["Date", "North (mm)", "East (mm)"])
    try:
        days = pd.to_datetime(table["Date"], format="%Y-%m-%d").to_numpy("datetime64[ns]")
        columns = [
            table[name].astype(np.float64).to_numpy() / 1000.0
            if name in table
            else np.full(len(table), np.nan)
            for name in ("East (mm)", "North (mm)", "Vertical (mm)")
        ]
    except ValueError as error:
        raise SourceDataInvalid(path, "dates and millimetres", str(error).splitlines()[0]) from error
    return days + _HALF_DAY, np.stack(columns, axis=1)


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
