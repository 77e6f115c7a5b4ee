"""The M >= 3 extract of the SCEDC catalog that fills the years missing in the yearly listings."""

from pathlib import Path

import numpy as np
import pandas as pd

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.catalogs import catalog_dataset, check_rows, drop_repeated, publication_delay
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.payloads import list_payloads, read_csv, read_each

_COLUMNS = ["index", "time", "longitude", "latitude", "magnitude"]


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the events of the extract (CSV, plain or .xz) as a canonical catalog.

    The file has no depth (NaN), no magnitude type and no event type; every row is called `earthquake`, though a
    few are quarry blasts, and locations may be jittered by 0.005 degree: prefer the yearly listings where both
    exist. Ids are `m3_<index>`, for the index is not the network's id. `available_time` is origin time plus
    `publication_delay_minutes` (default 5): vintage "reconstructed".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    complaints: list[SourceDataInvalid] = []

    def read(path: Path) -> pd.DataFrame:
        events, wrong = _parse(path)
        complaints.extend(wrong)
        return events

    tables, invalid = read_each(list_payloads(config, root, "*.csv", "*.csv.xz"), read)
    events, repeated = drop_repeated(pd.concat(tables, ignore_index=True), root / config.path)
    events["available_time"] = events["origin_time"] + pd.Timedelta(publication_delay(config))
    dataset = catalog_dataset(
        events, config, root, region, window, licence="SCEDC, doi:10.7909/C3WD3XH1", vintage="reconstructed"
    )
    return Fetched(dataset, tuple(invalid + complaints + repeated))


def payload_keys(path: Path) -> set[str]:
    """Return the ids of the events in a file."""
    return set("m3_" + read_csv(path, _COLUMNS)["index"].astype(str))


def _parse(path: Path) -> tuple[pd.DataFrame, list[SourceDataInvalid]]:
    rows = read_csv(path, _COLUMNS)
    events = pd.DataFrame(
        {
            "event_id": "m3_" + rows["index"].astype(str),
            "origin_time": pd.to_datetime(rows["time"], format="ISO8601", errors="coerce").astype(
                "datetime64[ns]"
            ),
            "latitude": pd.to_numeric(rows["latitude"], errors="coerce"),
            "longitude": pd.to_numeric(rows["longitude"], errors="coerce"),
            "depth_km": np.nan,
            "magnitude": pd.to_numeric(rows["magnitude"], errors="coerce"),
            "magnitude_error": np.nan,
            "magnitude_type": "",
            "event_type": "earthquake",
        }
    )
    return check_rows(events, path)
