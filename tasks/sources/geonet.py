"""Daily GNSS displacements of GeoNet (New Zealand): one Tilde CSV per station, component and period."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import latency, number_option, text_option
from tasks.sources.payloads import empty, list_payloads, locate, read_csv, read_each, read_text
from tasks.sources.plausible import refuse_scatter
from tasks.sources.stations import StationSeries, distance_km, position_dataset, wrap_longitude
from tasks.sources.units import days_of

COMPONENTS: Final = ("east", "north", "up")
STATIONS_FILE: Final = "stations.json"
_NAME: Final = re.compile(r"([A-Z0-9]{4})\.(east|north|up)\.(\w+)\.csv(\.gz|\.xz)?")
_METRES: Final = {"m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "cm": 0.01, "mm": 0.001,
                  "millimetre": 0.001, "millimetres": 0.001}  # fmt: skip
_LARGEST_M: Final = 1e4
_HALF_DAY: Final = np.timedelta64(12, "h")


class Place(NamedTuple):
    """Where a station stands: degree, degree, m (NaN unknown)."""

    latitude: float
    longitude: float
    elevation_m: float


class _Part(NamedTuple):
    """One CSV: `value` and `sigma` (n,) m on `day` (n,) datetime64[D]."""

    station: str
    component: str
    day: NDArray[np.datetime64]
    value: NDArray[np.float64]
    sigma: NDArray[np.float64]


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the displacements of `SITE.{east,north,up}.PERIOD.csv` within `radius_km` (default 150) of the centre.

    The three components of a station are aligned on the day: a component that a day lacks is NaN, and the day a gap
    (flag 1). Files of several periods are joined; of a day in two of them the later name counts, so that `latest`
    overrides history. The unit stands in the files (column `unit`, or brackets after `value`), or else in option
    `unit`; metres come out, relative to the provider's own origin. Column `error`, where there is one, becomes sigma.
    Places come from `stations.json` (Tilde's data summary) beside the files.

    `available_time` is the end of the day plus `latency_days`: vintage "reconstructed".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says; a file without a known unit, or whose columns name another station or component than
        the file's name, is invalid.
    """
    radius = number_option(config, "radius_km", 150.0)
    unit = text_option(config, "unit", "")
    folder = locate(config, root)
    places = read_places(folder / STATIONS_FILE)

    def read(path: Path) -> _Part | None:
        named = _NAME.fullmatch(path.name)
        if named is None:
            raise SourceDataInvalid(path, "a name SITE.{east,north,up}.PERIOD.csv", path.name)
        station, component = named.group(1), named.group(2)
        if station not in places:
            raise SourceDataInvalid(path, f"the place of {station} in {STATIONS_FILE}", "none")
        if distance_km(region, places[station].latitude, places[station].longitude) > radius:
            return None
        part = _read_part(path, station, component, unit)
        refuse_scatter(part.value[np.argsort(part.day, kind="stable"), np.newaxis], path)
        return part

    patterns = [f"*.csv{packing}" for packing in ("", ".gz", ".xz")]
    parts, invalid = read_each(list_payloads(config, root, *patterns), read)
    by_station: dict[str, list[_Part]] = {}
    for part in parts:
        by_station.setdefault(part.station, []).append(part)
    series = [_join(station, own, places[station]) for station, own in by_station.items()]
    if not series:
        raise empty(config, root, region, window)
    delay = _HALF_DAY + latency(config)
    dataset = position_dataset(series, config, root, region, window, delay, "GeoNet, CC BY 4.0")
    return Fetched(dataset, tuple(invalid))


def payload_keys(path: Path) -> set[str]:
    """Return the days of a file's values."""
    days = pd.to_datetime(
        read_csv(path, ["timestamp"])["timestamp"], format="ISO8601", utc=True, errors="coerce"
    )
    return set(days_of(days.dropna().dt.tz_localize(None).to_numpy("datetime64[D]")))


def places_beside(folder: Path) -> dict[str, Place]:
    """Return where the stations stand, by their names."""
    return read_places(folder / STATIONS_FILE)


def read_places(path: Path) -> dict[str, Place]:
    """Return the places in a Tilde data summary: every object with a latitude and a longitude, by the name it has.

    Raises
    ------
    SourceDataInvalid
        If it is no JSON, a place is off the Earth, or there is none.
    """
    try:
        summary = json.loads(read_text(path))
        places = dict(_walk(path, "", summary))
    except FileNotFoundError as error:
        raise SourceDataInvalid(path, "the places of the stations", "no such file") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise SourceDataInvalid(path, "a data summary in JSON", str(error)) from error
    if not places:
        raise SourceDataInvalid(path, "stations with latitude and longitude", "none")
    return places


def _walk(path: Path, name: str, node: object) -> Iterator[tuple[str, Place]]:
    if isinstance(node, list):
        for item in node:
            yield from _walk(path, "", item)
    if not isinstance(node, dict):
        return
    if "latitude" in node and "longitude" in node:
        try:
            latitude, longitude = float(node["latitude"]), float(node["longitude"])
            elevation = float(node["elevation"]) if node.get("elevation") is not None else float("nan")
        except (TypeError, ValueError) as error:
            raise SourceDataInvalid(path, f"numbers as the place of {name!r}", str(error)) from error
        if not (abs(latitude) <= 90 and abs(longitude) <= 360):
            raise SourceDataInvalid(path, f"degrees as the place of {name!r}", f"{latitude:g} {longitude:g}")
        station = node.get("station", node.get("id", name))
        yield str(name or station), Place(latitude, wrap_longitude(longitude), elevation)
        return
    for key, value in node.items():
        yield from _walk(path, str(key), value)


def _read_part(path: Path, station: str, component: str, unit: str) -> _Part:
    table = read_csv(path, ["timestamp"])
    value = next((c for c in table.columns if re.fullmatch(r"value(\s*\(.*\))?", c)), None)
    if value is None:
        raise SourceDataInvalid(path, "columns timestamp and value", f"{list(table.columns)}")
    for name, expected in (("station", station), ("aspect", component)):
        if name in table and not (table[name] == expected).all():
            raise SourceDataInvalid(path, f"{name} {expected} as in its name", f"{table[name].iloc[0]}")
    scale = _scale(path, table, value, unit)
    try:
        time = pd.to_datetime(table["timestamp"], format="ISO8601", utc=True).dt.tz_localize(None)
        values = table[value].to_numpy(np.float64) * scale
        errors = table["error"].to_numpy(np.float64) * scale if "error" in table else None
    except (ValueError, OverflowError) as error:
        raise SourceDataInvalid(path, "ISO times and numbers", str(error).splitlines()[0]) from error
    if time.isna().any():
        raise SourceDataInvalid(path, "a time in every row", f"{int(time.isna().sum())} rows without")
    if (np.abs(values) > _LARGEST_M).any() or (errors is not None and not _are_sigmas(errors)):
        raise SourceDataInvalid(
            path, f"finite values below {_LARGEST_M:g} m and errors that are not negative", "others"
        )
    sigma = np.full(values.size, np.nan) if errors is None else errors
    return _Part(station, component, time.to_numpy("datetime64[D]"), values, sigma)


def _are_sigmas(errors: NDArray[np.float64]) -> bool:
    return bool((np.isnan(errors) | ((errors >= 0) & (errors <= _LARGEST_M))).all())


def _scale(path: Path, table: pd.DataFrame, value: str, unit: str) -> float:
    """Return how many metres one unit of the file is."""
    column = next((name for name in ("unit", "units") if name in table), None)
    bracket = re.search(r"\((.*)\)", value)
    if column is not None and len(table):
        found = sorted({str(text).strip() for text in table[column]})
    elif bracket is not None:
        found = [bracket.group(1).strip()]
    elif unit:
        found = [unit]
    else:
        raise SourceDataInvalid(
            path, "a column unit, or option unit in the region file", f"{list(table.columns)}"
        )
    if len(found) != 1 or found[0] not in _METRES:
        raise SourceDataInvalid(path, f"one unit of {' '.join(_METRES)}", " ".join(found)[:60])
    return _METRES[found[0]]


def _join(station: str, parts: list[_Part], place: Place) -> StationSeries:
    """Return one series; parts come in the order of their names, and the later one counts."""
    days = np.unique(np.concatenate([part.day for part in parts]))
    values = np.full((days.size, 6), np.nan)
    for part in parts:
        rows, column = np.searchsorted(days, part.day), COMPONENTS.index(part.component)
        values[rows, column], values[rows, column + 3] = part.value, part.sigma
    flag = np.where(np.isfinite(values[:, :3]).all(axis=1), 0, 1).astype(np.uint8)
    time = (days + _HALF_DAY).astype("datetime64[ns]")
    return StationSeries(station, place.latitude, place.longitude, place.elevation_m, time, values, flag)
