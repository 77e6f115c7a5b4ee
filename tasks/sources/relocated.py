"""The relocated Ridgecrest catalog of Trugman (2020), BSSA, doi:10.1785/0120200009, electronic supplement."""

from pathlib import Path

import numpy as np
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
from tasks.sources.options import time_option
from tasks.sources.payloads import list_payloads, read_csv, read_each

_NAMES = ["id", "date", "clock", "magnitude", "longitude", "latitude", "depth_km", "relocated"]


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the relocated events (CSV without header, plain or .xz) as a canonical catalog.

    Relocation uses later data, so the locations were not known before the study: option `published` (ISO date,
    required) is the earliest `available_time`; vintage "reconstructed". Ids get ComCat's prefix `ci`. Events
    that could not be relocated keep the network location.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    published = pd.Timestamp(time_option(config, "published"))
    complaints: list[SourceDataInvalid] = []

    def read(path: Path) -> pd.DataFrame:
        events, wrong = _parse(path)
        complaints.extend(wrong)
        return events

    tables, invalid = read_each(list_payloads(config, root, "*.csv", "*.csv.xz"), read)
    events, repeated = drop_repeated(pd.concat(tables, ignore_index=True), root / config.path)
    known = events["origin_time"] + pd.Timedelta(publication_delay(config))
    events["available_time"] = known.where(known > published, published)
    dataset = catalog_dataset(
        events,
        config,
        root,
        region,
        window,
        licence="Trugman (2020), doi:10.1785/0120200009, electronic supplement",
        vintage="reconstructed",
    )
    return Fetched(dataset, tuple(invalid + complaints + repeated))


def payload_keys(path: Path) -> set[str]:
    """Return the ids of the events in a file."""
    return set("ci" + read_csv(path, _NAMES, has_header=False)["id"].dropna())


def _parse(path: Path) -> tuple[pd.DataFrame, list[SourceDataInvalid]]:
    rows = read_csv(path, _NAMES, has_header=False)
    moment = pd.to_datetime(rows["date"] + "T" + rows["clock"], format="ISO8601", errors="coerce").astype(
        "datetime64[ns]"
    )
    depths, odd = depths_in_km(rows["depth_km"], path)
    events = pd.DataFrame(
        {
            "event_id": "ci" + rows["id"],
            "origin_time": moment,
            "latitude": pd.to_numeric(rows["latitude"], errors="coerce"),
            "longitude": pd.to_numeric(rows["longitude"], errors="coerce"),
            "depth_km": depths,
            "magnitude": pd.to_numeric(rows["magnitude"], errors="coerce"),
            "magnitude_error": np.nan,
            "magnitude_type": "",
            "event_type": "earthquake",
        }
    )
    events, wrong = check_rows(events, path)
    return events, odd + wrong
