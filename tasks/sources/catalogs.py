"""What the catalog readers share: the canonical event table, its cropping, and duplicates."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import SourceDataInvalid
from tasks.sources.options import latency, number_option
from tasks.sources.payloads import empty

logger = logging.getLogger(__name__)

_UNITS = {"latitude": "degree_north", "longitude": "degree_east", "depth_km": "km", "magnitude": "1"}
_TEXT = ("event_id", "magnitude_type", "event_type")
_COLUMNS = (
    "event_id", "origin_time", "available_time", "latitude", "longitude", "depth_km",
    "magnitude", "magnitude_error", "magnitude_type", "event_type",
)  # fmt: skip


def publication_delay(config: SourceConfig) -> np.timedelta64:
    """Return how long after its origin an event is taken as published, timedelta64[ns].

    The larger of the option `publication_delay_minutes` (default 5) and `latency_days`.
    """
    minutes = number_option(config, "publication_delay_minutes", 5.0)
    if minutes < 0:
        raise ValueError(f"source {config.group}: publication_delay_minutes must be >= 0, found {minutes:g}")
    return max(np.timedelta64(round(minutes * 60_000), "ms").astype("timedelta64[ns]"), latency(config))


def in_box(latitude: np.ndarray, longitude: np.ndarray, region: Region) -> np.ndarray:
    """Return (event,) bool: inside the region's box grown by its margin; NaN is outside."""
    box = region.bounds.grown(region.margin_deg)
    inside: np.ndarray = (
        (latitude >= box.south) & (latitude < box.north) & (longitude >= box.west) & (longitude < box.east)
    )
    return inside


def drop_repeated(
    events: pd.DataFrame, path: Path, key: tuple[str, ...] = ("event_id",)
) -> tuple[pd.DataFrame, list[SourceDataInvalid]]:
    """Drop exact duplicates silently, and of different rows with one `key` all but the last, with a message."""
    events = events.drop_duplicates()
    repeated = events.duplicated(list(key), keep="last")
    if not repeated.any():
        return events, []
    examples = sorted(set(events.loc[repeated, "event_id"]))[:3]
    complaint = SourceDataInvalid(
        path,
        "one row for each event id",
        f"{int(repeated.sum())} earlier rows with an id that comes again (such as {', '.join(examples)}); "
        "the last row of each is used",
    )
    logger.info("%s", complaint)
    return events.loc[~repeated], [complaint]


def depths_in_km(
    texts: "pd.Series[str]", path: Path, unit_km: float = 1.0
) -> tuple["pd.Series[float]", list[SourceDataInvalid]]:
    """Return depths (event,), km positive down, NaN where there is no text or, with a message, no finite number."""
    depths = pd.to_numeric(texts, errors="coerce").astype(np.float64)
    depths = depths.where(np.isfinite(depths)) * unit_km
    wrong = depths.isna() & texts.notna() & (texts != "")
    if not wrong.any():
        return depths, []
    complaint = SourceDataInvalid(
        path,
        "a finite depth or none",
        f"{int(wrong.sum())} others (such as {texts[wrong].iloc[0]!r}), taken as unknown",
    )
    logger.info("%s", complaint)
    return depths, [complaint]


def utc_times(texts: "pd.Series[str]") -> "pd.Series[pd.Timestamp]":
    """Return ISO times (event,) as datetime64[ns] in UTC, NaT where there is none between 1700 and 2200.

    Beyond lies what nanoseconds cannot hold; a damaged year must not become another one.
    """
    parsed = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
    possible = parsed.between(pd.Timestamp(1700, 1, 1), pd.Timestamp(2200, 1, 1))
    return parsed.where(possible).astype("datetime64[ns]")


def drop_unlocated(events: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[SourceDataInvalid]]:
    """Drop rows without origin time, latitude or longitude, with a message; NaN depth and magnitude stay."""
    located = events["origin_time"].notna() & events["latitude"].notna() & events["longitude"].notna()
    if located.all():
        return events, []
    rows = np.flatnonzero(~located.to_numpy())
    complaint = SourceDataInvalid(
        path,
        "origin time, latitude and longitude in each row",
        f"{rows.size} rows without them (the first is event number {rows[0] + 1})",
    )
    logger.info("%s", complaint)
    return events.loc[located], [complaint]


def check_rows(events: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[SourceDataInvalid]]:
    """Return the rows of one file that can be used, one for each id, with a message about the others."""
    events, unlocated = drop_unlocated(events, path)
    events, repeated = drop_repeated(events, path)
    return events, unlocated + repeated


def catalog_dataset(
    events: pd.DataFrame,
    config: SourceConfig,
    root: Path,
    region: Region,
    window: TimeWindow,
    licence: str,
    vintage: str,
) -> xr.Dataset:
    """Return the canonical catalog (event,): the versions of events that were ever in the box, sorted by origin.

    Longitudes are wrapped to [-180, 180). Rows keep their order where both times are equal, so that a preferred
    version listed last stays last.

    Raises
    ------
    SourceEmpty
        If no event is left.
    """
    events = events.copy()
    for name in ("origin_time", "available_time"):
        events[name] = events[name].astype("datetime64[ns]")
    events["longitude"] = (events["longitude"] + 180.0) % 360.0 - 180.0
    origin = events["origin_time"].to_numpy()
    inside = in_box(events["latitude"].to_numpy(), events["longitude"].to_numpy(), region)
    # a version outside says that an event left the box
    keep = events["event_id"].isin(events.loc[inside, "event_id"]).to_numpy()
    keep = keep & (origin >= window.start) & (origin < window.end)
    events = events.loc[keep]
    if events.empty:
        raise empty(config, root, region, window)
    events = events.sort_values(["origin_time", "event_id", "available_time"], kind="stable")
    early = events["available_time"] < events["origin_time"]
    events.loc[early, "available_time"] = events.loc[early, "origin_time"]
    variables: dict[str, tuple[str, np.ndarray, dict[str, str]]] = {}
    for name in _COLUMNS:
        column = events[name]
        if name in _TEXT:
            values = np.asarray(column.tolist(), dtype=object)
        elif name.endswith("_time"):
            values = column.to_numpy(dtype="datetime64[ns]")
        else:
            values = column.to_numpy(dtype=np.float64)
        variables[name] = ("event", values, {"units": _UNITS[name]} if name in _UNITS else {})
    variables["quality_flag"] = ("event", np.zeros(len(events), dtype=np.uint8), {})
    return xr.Dataset(
        variables,
        attrs={"provider": config.provider, "modality": "catalog", "licence": licence, "vintage": vintage},
    )
