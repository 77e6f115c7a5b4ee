"""Yearly listings of the Southern California Earthquake Data Center (doi:10.7909/C3WD3XH1)."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.catalogs import (
    catalog_dataset,
    check_rows,
    depths_in_km,
    drop_repeated,
    in_box,
    publication_delay,
)
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.payloads import empty, list_payloads, read_each, read_text

_NAMES = [
    "date", "clock", "type", "distance_class", "magnitude", "magnitude_type",
    "latitude", "longitude", "depth_km", "quality", "id", "phases", "grams",
]  # fmt: skip
_ROW_COUNT = re.compile(r"Number of rows returned:\s*(\d+)")
_TYPES = {"eq": "earthquake", "qb": "quarry_blast"}


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the events of the yearly listings (`*.catalog`, plain or .xz) as a canonical catalog.

    Ids get the prefix `ci`, as ComCat writes them. Type `n` means that no magnitude was determined: NaN.
    Negative depths are above sea level and stay. The listing holds the latest solution only, so
    `available_time` is origin time plus `publication_delay_minutes` (default 5): vintage "reconstructed".
    Not checked: completeness, and magnitude types, which are mixed.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A listing whose row count disagrees with its own last line is invalid (cut short).
    """
    first, last = window.start.astype("datetime64[Y]"), window.end.astype("datetime64[Y]")
    complaints: list[SourceDataInvalid] = []

    def read(path: Path) -> pd.DataFrame | None:
        year = re.match(r"(\d{4})\.", path.name)
        if year and not first <= np.datetime64(year.group(1), "Y") <= last:
            return None
        events, wrong = _parse(path, region)
        complaints.extend(wrong)
        return events

    tables, invalid = read_each(list_payloads(config, root, "*.catalog", "*.catalog.xz"), read)
    if not tables:
        raise empty(config, root, region, window)
    events = pd.concat(tables, ignore_index=True)
    events, repeated = drop_repeated(events, root / config.path)
    events["available_time"] = events["origin_time"] + pd.Timedelta(publication_delay(config))
    dataset = catalog_dataset(
        events, config, root, region, window, licence="SCEDC, doi:10.7909/C3WD3XH1", vintage="reconstructed"
    )
    return Fetched(dataset, tuple(invalid + complaints + repeated))


def payload_keys(path: Path) -> set[str]:
    """Return the ids of the events in a listing."""
    rows = [line.split() for line in read_text(path).splitlines() if not line.startswith("#")]
    place = _NAMES.index("id")
    return {f"ci{row[place]}" for row in rows if len(row) > place}


def _parse(path: Path, region: Region) -> tuple[pd.DataFrame, list[SourceDataInvalid]]:
    text = read_text(path)
    try:
        rows = pd.read_csv(
            io.StringIO(text), sep=r"\s+", comment="#", header=None, names=_NAMES, dtype=str, index_col=False,
            na_filter=False,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SourceDataInvalid(
            path, f"{len(_NAMES)} columns of the SCEDC listing", str(error).strip()
        ) from error
    declared = _ROW_COUNT.search(text)
    if declared and int(declared.group(1)) != len(rows):
        raise SourceDataInvalid(path, f"{declared.group(1)} rows, as its last line says", f"{len(rows)} rows")
    latitude = pd.to_numeric(rows["latitude"], errors="coerce").to_numpy(np.float64)
    longitude = pd.to_numeric(rows["longitude"], errors="coerce").to_numpy(np.float64)
    # unreadable rows pass the crop so that they are reported, not silently cut away
    keep = in_box(latitude, longitude, region) | np.isnan(latitude) | np.isnan(longitude)
    rows = rows.loc[keep]
    magnitude = pd.to_numeric(rows["magnitude"], errors="coerce")
    depths, odd = depths_in_km(rows["depth_km"], path)
    events = pd.DataFrame(
        {
            "event_id": "ci" + rows["id"],
            "origin_time": parse_times(rows["date"].tolist(), rows["clock"].tolist()),
            "latitude": latitude[keep],
            "longitude": longitude[keep],
            "depth_km": depths,
            "magnitude": magnitude.where(rows["magnitude_type"] != "n"),
            "magnitude_error": np.nan,
            "magnitude_type": rows["magnitude_type"],
            "event_type": rows["type"].map(_TYPES).fillna("other"),
        }
    )
    events, wrong = check_rows(events, path)
    return events, odd + wrong


def parse_times(dates: list[str], clocks: list[str]) -> np.ndarray:
    """Return origin times datetime64[ns] of `YYYY/MM/DD` and `HH:mm:SS.ss`; NaT where unreadable.

    The clock is an offset, not a time of day: listings round up to seconds of `60.00`.
    """
    day = pd.to_datetime(pd.Series(dates, dtype=object), format="%Y/%m/%d", errors="coerce")
    width = 11
    symbols = np.array([c.encode() for c in clocks], dtype=f"S{width}").view(np.uint8).reshape(-1, width)
    digits = symbols[:, [0, 1, 3, 4, 6, 7, 9, 10]].astype(np.int64) - ord("0")
    readable = ((digits >= 0) & (digits <= 9)).all(axis=1) & (symbols[:, 2] == ord(":"))
    milliseconds = digits @ np.array([36_000_000, 3_600_000, 600_000, 60_000, 10_000, 1_000, 100, 10])
    times: np.ndarray = day.to_numpy("datetime64[ns]") + milliseconds.astype("timedelta64[ms]")
    times[~readable] = np.datetime64("NaT")
    return times
