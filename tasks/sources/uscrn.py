"""Daily station weather of the U.S. Climate Reference Network: the text product daily01, or Parquet of its columns."""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow
import xarray as xr

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import latency, number_option
from tasks.sources.payloads import empty, list_payloads, read_each, read_text
from tasks.sources.plausible import refuse_values
from tasks.sources.stations import distance_km
from tasks.sources.units import days_of
from tasks.sources.weather import UNITS

_COLUMNS = [
    "wban", "lst_date", "longitude", "latitude", "t_daily_avg", "p_daily_calc", "soil_moisture_5_daily",
]  # fmt: skip
_MISSING = -90.0
# where these stand among the 28 columns of the text, which has no header (NOAA's file readme.txt of daily01)
_PLACES: Final = (0, 1, 3, 4, 8, 9, 18)
_WIDTH: Final = 28
# canonical name, and what is added to a value
_MEANS: Final = {
    "t_daily_avg": ("air_temperature", 273.15),
    "p_daily_calc": ("precipitation_amount", 0.0),
    "soil_moisture_5_daily": ("volumetric_soil_moisture", 0.0),
}


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return daily means of temperature and 5 cm soil moisture, and precipitation sums, of stations (time, station).

    Reads `CRND*.txt`, a file a station and year as NOAA publishes them, and `*.parquet` with the same columns by name.
    Takes the stations within option `radius_km` (default 400) of the box's centre. A day is one of local standard
    time; `time` is its end in UTC, with the offset of the nearest 15 degree meridian or of option
    `utc_offset_hours`. deg C becomes K; `p_daily_calc` is precipitation (mm = kg m-2): the network
    measures neither pressure nor wind. Elevations are not in the file: NaN. -9999 and -99 are missing: NaN. The flag
    is 1 where temperature and precipitation are both missing. `available_time` is `time` plus `latency_days`:
    vintage "reconstructed".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    radius = number_option(config, "radius_km", 400.0)
    paths = list_payloads(config, root, "*.parquet", "**/CRND*.txt", "**/CRND*.txt.gz")
    partial: list[SourceDataInvalid] = []

    def read(path: Path) -> pd.DataFrame:
        table = _read(path) if path.suffix == ".parquet" else _read_text(path, partial)
        for column, (name, offset) in _MEANS.items():
            values = table[column].to_numpy(np.float64)
            refuse_values(name, values[values > _MISSING] + offset, path)
        return table

    tables, invalid = read_each(paths, read)
    table = pd.concat(tables, ignore_index=True)
    places = table.groupby("wban", sort=True)[["latitude", "longitude"]].first()
    near = [
        str(station)
        for station, place in places.iterrows()
        if distance_km(region, place["latitude"], place["longitude"]) <= radius
    ]
    table = table.loc[table["wban"].isin(near)]
    offset = number_option(config, "utc_offset_hours", np.nan)
    hours = (
        np.full(len(table), offset) if np.isfinite(offset) else np.round(table["longitude"].to_numpy() / 15.0)
    )
    end_of_day = table["lst_date"].to_numpy("datetime64[ns]") + np.timedelta64(1, "D")
    table = table.assign(time=end_of_day - (hours * 3600).astype("timedelta64[s]"))
    inside = (table["time"] >= window.start) & (table["time"] < window.end)
    table = table.loc[inside].drop_duplicates(["wban", "time"], keep="last")
    if table.empty:
        raise empty(config, root, region, window)
    time, row = np.unique(table["time"].to_numpy("datetime64[ns]"), return_inverse=True)
    near = sorted(set(table["wban"]))
    column = np.searchsorted(near, table["wban"].tolist())
    dims = ("time", "station")

    def grid(name: str) -> np.ndarray:
        values = table[name].to_numpy(np.float64)
        filled = np.full((time.size, len(near)), np.nan)
        filled[row, column] = np.where(values > _MISSING, values, np.nan)
        return filled

    variables = {
        "air_temperature": grid("t_daily_avg") + 273.15,
        "precipitation_amount": grid("p_daily_calc"),
        "volumetric_soil_moisture": grid("soil_moisture_5_daily"),
    }
    gap = np.isnan(variables["air_temperature"]) & np.isnan(variables["precipitation_amount"])
    available = np.broadcast_to((time + latency(config))[:, None], gap.shape).copy()
    dataset = xr.Dataset(
        {
            **{name: (dims, values, {"units": UNITS[name]}) for name, values in variables.items()},
            "available_time": (dims, available),
            "quality_flag": (dims, gap.astype(np.uint8)),
        },
        coords={
            "time": time,
            "station": np.asarray(near, dtype=object),
            "latitude": (
                "station",
                places.loc[near, "latitude"].to_numpy(np.float64),
                {"units": "degree_north"},
            ),
            "longitude": (
                "station",
                places.loc[near, "longitude"].to_numpy(np.float64),
                {"units": "degree_east"},
            ),
            "elevation_m": ("station", np.full(len(near), np.nan), {"units": "m"}),
        },
        attrs={
            "provider": config.provider,
            "modality": "weather",
            "licence": "NOAA, public domain",
            "vintage": "reconstructed",
            "sampling": "day",
        },
    )
    return Fetched(dataset, (*invalid, *partial))


def payload_keys(path: Path) -> set[str]:
    """Return the days of local time in a file."""
    table = _read(path) if path.suffix == ".parquet" else _read_text(path, [])
    return set(days_of(table["lst_date"].to_numpy("datetime64[ns]")))


def _read_text(path: Path, partial: list[SourceDataInvalid]) -> pd.DataFrame:
    """Return the whole lines of a text file; a complaint about the others goes to `partial`."""
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    rows = [row for line in lines if (row := _row(line)) is not None]
    if not rows or len(rows) * 2 < len(lines):
        raise SourceDataInvalid(
            path, f"lines of {_WIDTH} columns of daily01", f"{len(rows)} of {len(lines)} lines"
        )
    rows, others = [row for row in rows if row[0] == rows[0][0]], len(lines)
    if others := others - len(rows):
        partial.append(
            SourceDataInvalid(
                path, f"lines of station {rows[0][0]} with {_WIDTH} columns", f"{others} others"
            )
        )
    return pd.DataFrame(rows, columns=_COLUMNS)


def _row(line: str) -> tuple[str, np.datetime64, float, float, float, float, float] | None:
    """Return a line's values in the order of `_COLUMNS`; None if it is no whole one."""
    fields = line.split()
    # float() would take 1_0 and the digits of other scripts
    if len(fields) != _WIDTH or "_" in line or not line.isascii():
        return None
    wban, date, *texts = (fields[k] for k in _PLACES)
    if not (wban.isdecimal() and date.isdecimal() and len(date) == 8):
        return None
    try:
        day = np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:]}", "ns")
        longitude, latitude, mean, rain, soil = (float(text) for text in texts)
    except ValueError:
        return None
    if not (np.isfinite([longitude, latitude, mean, rain, soil]).all()):
        return None
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):
        return None
    return wban, day, longitude, latitude, mean, rain, soil


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise SourceDataInvalid(path, "a Parquet file", str(error)) from error
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise SourceDataInvalid(path, f"columns {', '.join(_COLUMNS)}", f"no {', '.join(missing)}")
    table = table[_COLUMNS]
    return table.assign(wban=table["wban"].astype(str))
