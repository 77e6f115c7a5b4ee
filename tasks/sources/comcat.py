"""ComCat CSV listings of the U.S. Geological Survey."""

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
    publication_delay,
    utc_times,
)
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import choice_option
from tasks.sources.payloads import list_payloads, read_csv, read_each

_COLUMNS = ["time", "latitude", "longitude", "depth", "mag", "magType", "id", "updated", "type", "magError"]
_TYPES = {"earthquake": "earthquake", "quarry blast": "quarry_blast"}
_PROMPT = pd.Timedelta(days=1)
_STAMP = re.compile(r"_(\d{8})T(\d{6})\.csv")


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the events of ComCat CSV files as a canonical catalog.

    A file holds the latest version of each event when it was asked for; files of several moments hold several versions,
    told apart by `updated`. A row whose optional column `status` says `deleted` withdraws its event (type `other`).
    Option `availability`:

    - `delay` (default without a live service): the latest version of each event, taken as known
      `publication_delay_minutes` (default 5) after its origin, although its values were revised later (vintage
      "reconstructed");
    - `updated`: every version, known when it was written (vintage "as issued"). This never looks ahead but, where files
      were asked for years later, knows nothing in the days after a mainshock;
    - `versions` (default with one: its landing keeps what was told before, so history stays): every version, known
      when it was written, but the first known after the delay where the real first one was not seen (vintage
      "reconstructed" if so anywhere). It was seen if its file was asked for within a day of the origin, as the file's
      name tells, or if it was written within a day and later versions are there as well.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    choices = ("delay", "updated", "versions") if config.service is None else ("versions", "delay", "updated")
    availability = choice_option(config, "availability", choices)
    complaints: list[SourceDataInvalid] = []

    def read(path: Path) -> pd.DataFrame:
        events, wrong = _parse(path)
        complaints.extend(wrong)
        return events.assign(asked=_asked(path))

    tables, invalid = read_each(list_payloads(config, root, "*.csv", "*.csv.xz"), read)
    events = pd.concat(tables, ignore_index=True)
    asked = events.pop("asked").groupby(events["event_id"]).min()
    events, repeated = drop_repeated(events, root / config.path, key=("event_id", "available_time"))
    unstamped = events["available_time"].isna()
    if availability != "delay" and unstamped.any():
        examples = ", ".join(sorted(set(events.loc[unstamped, "event_id"]))[:3])
        complaints.append(
            SourceDataInvalid(
                root / config.path,
                "a time in `updated`",
                f"{unstamped.sum()} rows without (such as {examples})",
            )
        )
        events = events.loc[~unstamped]
    events = events.sort_values("available_time", kind="stable", na_position="first")
    known = events["origin_time"] + pd.Timedelta(publication_delay(config))
    is_modelled = pd.Series(availability == "delay", index=events.index)
    if availability == "delay":
        latest = ~events.duplicated("event_id", keep="last")
        events, known, is_modelled = events.loc[latest], known.loc[latest], is_modelled.loc[latest]
    elif availability == "versions":
        first_asked = pd.Series(asked.reindex(events["event_id"]).to_numpy(), events.index)
        was_asked = first_asked - events["origin_time"] <= _PROMPT
        was_written = events["available_time"] - events["origin_time"] <= _PROMPT
        was_seen = was_asked | (was_written & events.duplicated("event_id", keep=False))
        is_modelled = ~was_seen & ~events.duplicated("event_id", keep="first")
    events["available_time"] = events["available_time"].mask(is_modelled, known)
    dataset = catalog_dataset(
        events,
        config,
        root,
        region,
        window,
        licence="USGS ComCat, public domain",
        vintage="reconstructed" if is_modelled.any() else "as issued",
    )
    return Fetched(dataset, tuple(invalid + complaints + repeated))


def _asked(path: Path) -> np.datetime64:
    """Return when a live service was asked for this file, NaT if its name does not say."""
    stamp = _STAMP.search(path.name)
    if stamp is None:
        return np.datetime64("NaT", "ns")
    day, time = stamp.groups()
    return np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}", "ns")


def payload_keys(path: Path) -> set[str]:
    """Return the ids of the events in a file."""
    return set(read_csv(path, ["id"])["id"].dropna())


def _parse(path: Path) -> tuple[pd.DataFrame, list[SourceDataInvalid]]:
    rows = read_csv(path, _COLUMNS)
    anonymous = rows["id"].isna()
    nameless = [SourceDataInvalid(path, "an id in each row", f"{anonymous.sum()} rows without")]
    rows = rows.loc[~anonymous].reset_index(drop=True)

    depths, odd = depths_in_km(rows["depth"], path)
    events = pd.DataFrame(
        {
            "event_id": rows["id"],
            "origin_time": utc_times(rows["time"]),
            "available_time": utc_times(rows["updated"]),
            "latitude": pd.to_numeric(rows["latitude"], errors="coerce"),
            "longitude": pd.to_numeric(rows["longitude"], errors="coerce"),
            "depth_km": depths,
            "magnitude": pd.to_numeric(rows["mag"], errors="coerce"),
            "magnitude_error": pd.to_numeric(rows["magError"], errors="coerce"),
            "magnitude_type": rows["magType"].fillna(""),
            "event_type": rows["type"].map(_TYPES).fillna("other"),
        }
    )
    if "status" in rows:
        events.loc[rows["status"] == "deleted", "event_type"] = "other"
    events, wrong = check_rows(events, path)
    return events, (nameless if anonymous.any() else []) + odd + wrong
