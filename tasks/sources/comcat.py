"""ComCat CSV listings of the U.S. Geological Survey."""

from pathlib import Path

import pandas as pd

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.catalogs import (
    catalog_dataset,
    check_rows,
    depths_in_km,
    drop_repeated,
    publication_delay,
)
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import choice_option
from tasks.sources.payloads import list_payloads, read_csv, read_each

_COLUMNS = ["time", "latitude", "longitude", "depth", "mag", "magType", "id", "updated", "type", "magError"]
_TYPES = {"earthquake": "earthquake", "quarry blast": "quarry_blast"}


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the events of ComCat CSV files as a canonical catalog.

    The files hold the latest version of each event. Option `availability`: `delay` (default) takes an event as
    known `publication_delay_minutes` (default 5) after its origin, although its values were revised later
    (vintage "reconstructed"); `updated` takes it as known when that version was written (vintage "as issued"),
    which never looks ahead but knows nothing in the days after a mainshock.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    availability = choice_option(config, "availability", ("delay", "updated"))
    complaints: list[SourceDataInvalid] = []

    def read(path: Path) -> pd.DataFrame:
        events, wrong = _parse(path)
        complaints.extend(wrong)
        return events

    tables, invalid = read_each(list_payloads(config, root, "*.csv", "*.csv.xz"), read)
    events = pd.concat(tables, ignore_index=True)
    events, repeated = drop_repeated(events, root / config.path)
    if availability == "delay":
        events["available_time"] = events["origin_time"] + pd.Timedelta(publication_delay(config))
    dataset = catalog_dataset(
        events,
        config,
        root,
        region,
        window,
        licence="USGS ComCat, public domain",
        vintage="as issued" if availability == "updated" else "reconstructed",
    )
    return Fetched(dataset, tuple(invalid + complaints + repeated))


def _parse(path: Path) -> tuple[pd.DataFrame, list[SourceDataInvalid]]:
    rows = read_csv(path, _COLUMNS)

    def times(column: str) -> "pd.Series[pd.Timestamp]":
        parsed = pd.to_datetime(rows[column], format="ISO8601", utc=True, errors="coerce")
        return parsed.dt.tz_localize(None).astype("datetime64[ns]")

    depths, odd = depths_in_km(rows["depth"], path)
    events = pd.DataFrame(
        {
            "event_id": rows["id"],
            "origin_time": times("time"),
            "available_time": times("updated"),
            "latitude": pd.to_numeric(rows["latitude"], errors="coerce"),
            "longitude": pd.to_numeric(rows["longitude"], errors="coerce"),
            "depth_km": depths,
            "magnitude": pd.to_numeric(rows["mag"], errors="coerce"),
            "magnitude_error": pd.to_numeric(rows["magError"], errors="coerce"),
            "magnitude_type": rows["magType"].fillna(""),
            "event_type": rows["type"].map(_TYPES).fillna("other"),
        }
    )
    events, wrong = check_rows(events, path)
    return events, odd + wrong
