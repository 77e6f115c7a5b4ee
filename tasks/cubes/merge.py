"""One catalog from providers that overlap: one id for one earthquake, all its versions, no quarry blasts."""

import logging
from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.cubes.clock import DAY
from tasks.cubes.magnitude_types import homogenised
from tasks.cubes.matching import SAME_MAGNITUDE, SAME_TIME, adopted_ids, mark_twins
from tasks.regions import Region

logger = logging.getLogger(__name__)

PREFERENCE: Final = ("comcat", "quakeml", "scedc", "relocated", "scedc_m3")
SHARED_NUMBERS: Final = ("comcat", "scedc", "relocated")
AGGREGATED: Final = ("quakeml",)
COLUMNS: Final = (
    "event_id", "origin_time", "available_time", "latitude", "longitude", "depth_km", "magnitude",
    "magnitude_error", "magnitude_type", "event_type", "quality_flag",
)  # fmt: skip
UNITS: Final = {"latitude": "degree_north", "longitude": "degree_east", "depth_km": "km", "magnitude": "1"}


class SourceCount(BaseModel):
    """What became of one source's rows."""

    model_config = ConfigDict(frozen=True)

    rows: int = Field(description="versions of events inside the box and the catalog's period")
    duplicates: int = Field(description="rows of events that a preferred source has too")
    superseded: int = Field(description="duplicates left out: the preferred source was known no later")
    twins: int = Field(description="rows left out: the same source lists the event under an earlier id")
    not_earthquakes: int = Field(description="quarry blasts, withdrawn events and others left out")
    small: int = Field(description="versions below the magnitude of completeness, or outside, left out")
    converted: int = Field(description="rows whose magnitude the region's policy brought to another type")
    kept: int = Field(description="rows in the merged catalog, without withdrawals")
    magnitude_types: dict[str, int] = Field(description="rows kept, by magnitude type; converted: to(from)")
    withdrawals: int = Field(description="of the rows left out, those that end an event that was listed")


def merge_catalogs(
    catalogs: Mapping[str, xr.Dataset], region: Region
) -> tuple[xr.Dataset, dict[str, SourceCount]]:
    """Return the merged catalog (event) and, by source name, what became of its rows.

    Parameters
    ----------
    catalogs : mapping of source name to canonical catalog Dataset (event)
        A source is known by its provider (`PREFERENCE`) as found in `region.sources`.
    region : Region
        Gives box and margin, the catalog's period, and the magnitude of completeness.

    Returns
    -------
    Dataset (event), sorted by origin time, event id and available time
        One row per version; the versions of one earthquake share `event_id`. A row is left out if a preferred source
        had the event no later, if the same source lists it under an earlier id, if it or another source's version known
        no later says that it is not an earthquake, or if it lies outside or below completeness. Where the version
        before it is listed, such a row stays as a withdrawal: the version before with magnitude NaN, in force from
        the moment at which the row became known. So a correction ends what was believed and does not rewrite it. A
        version without magnitude says nothing new: it is left out, and the one before stays in force. Magnitudes are
        converted by the region's policy before all that.

    Notes
    -----
    Two rows are one event if their network numbers are equal (ComCat `ci` + number, SCEDC, relocated), else if
    they are the closest pair within 2 s, 20 km and 0.5 magnitude units across sources, one to one; inside a
    source that gathers from several networks (`AGGREGATED`) see `mark_twins`.
    """
    provider = {s.name: s.provider for s in region.sources if s.modality == "catalog"}
    rank = {name: _rank(provider.get(name, name)) for name in catalogs}
    frames: list[pd.DataFrame] = []
    for name in sorted(catalogs, key=lambda n: (rank[n], n)):
        frame = _cropped(homogenised(_frame(catalogs[name]), name, region.magnitude_conversions), region)
        frame["source"], frame["rank"] = name, len(frames)
        if provider.get(name, name) in SHARED_NUMBERS:
            frame["event_id"] = frame["event_id"].str.replace(r"^(?:ci)?(\d+)$", r"ci\1", regex=True)
        if provider.get(name, name) in AGGREGATED:
            frame = mark_twins(frame, region.magnitude_completeness)
        frame["event_id"] = adopted_ids(pd.concat(frames) if frames else frame.iloc[:0], frame)
        frames.append(frame)
    rows = pd.concat(frames, ignore_index=True)
    rows = rows.sort_values(["event_id", "available_time", "rank"], kind="stable", ignore_index=True)
    best = rows.groupby("event_id", sort=False)["rank"]
    duplicate = (best.transform("nunique") > 1) & (rows["rank"] > best.transform("min"))
    blast, twin = _not_earthquakes(rows), rows["is_twin"]
    superseded = _superseded(rows) & ~blast & ~twin
    small = ~rows["is_near"] | ~(rows["magnitude"] >= region.magnitude_completeness)
    listed = ~(superseded | blast | twin | small)
    shown = _with_withdrawals(rows.loc[~superseded], listed)
    report = {
        str(name): SourceCount(
            rows=int(of.sum()),
            duplicates=int((of & duplicate).sum()),
            superseded=int((of & superseded).sum()),
            twins=int((of & ~blast & twin).sum()),
            not_earthquakes=int((of & blast).sum()),
            small=int((of & ~superseded & ~blast & ~twin & small).sum()),
            converted=int((of & rows["is_converted"]).sum()),
            kept=int((of & listed).sum()),
            magnitude_types=_tally(rows.loc[of & listed, "magnitude_type"]),
            withdrawals=int((shown["magnitude"].isna() & (shown["source"] == name)).sum()),
        )
        for name in catalogs
        for of in [rows["source"] == name]
    }
    logger.info("merged catalogs of %s: %s", region.name, {k: v.model_dump() for k, v in report.items()})
    return _dataset(shown.sort_values(["origin_time", "event_id", "available_time"], kind="stable")), report


def _tally(types: "pd.Series[str]") -> dict[str, int]:
    return {str(name): int(n) for name, n in types.astype(str).value_counts().sort_index().items()}


def _not_earthquakes(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Return (row,) whether it, or a version of another source known no later, says that it is no earthquake.

    Sources without types call everything an earthquake; only the source that withdrew an event may list it again.
    """
    says = rows["event_type"] != "earthquake"
    blast = says.copy()
    for source in rows.loc[says, "source"].unique():
        first = rows.loc[says & (rows["source"] == source)].groupby("event_id")["available_time"].min()
        blast |= (rows["source"] != source) & (rows["available_time"] >= rows["event_id"].map(first))
    return blast


def _with_withdrawals(rows: pd.DataFrame, listed: "pd.Series[bool]") -> pd.DataFrame:
    """Return the listed rows, and of the others those that follow a listed one, as its withdrawal.

    `rows` are sorted by event and available time; of rows of one event and moment the last is in force.
    """
    rows = rows.drop_duplicates(["event_id", "available_time"], keep="last")
    is_listed = listed.loc[rows.index]
    before = is_listed.groupby(rows["event_id"], sort=False).shift(fill_value=False)
    shown = rows.loc[is_listed | before]
    ends = ~is_listed.loc[shown.index]
    place = ["origin_time", "latitude", "longitude", "depth_km"]
    last = shown.groupby("event_id", sort=False)[place].shift()
    withdrawals = shown.loc[ends].assign(magnitude=np.nan, **{name: last.loc[ends, name] for name in place})
    return pd.concat([shown.loc[~ends], withdrawals])


def _superseded(rows: pd.DataFrame) -> pd.Series:
    """Return (row,) whether a preferred source had the event no later.

    Sources differ by up to `SAME_TIME` in the origin, and so in publication: so much counts as no later.
    """
    superseded = pd.Series(False, index=rows.index)
    for rank in sorted(rows["rank"].unique())[:-1]:
        seen = rows["is_near"] & ~rows["is_twin"] & (rows["rank"] == rank)
        first = rows.loc[seen].groupby("event_id", sort=False)["available_time"].min()
        known = rows["event_id"].map(first)
        superseded |= (rows["rank"] > rank) & (known <= rows["available_time"] + SAME_TIME)
    return superseded


def _rank(provider: str) -> int:
    return PREFERENCE.index(provider) if provider in PREFERENCE else len(PREFERENCE)


def _frame(catalog: xr.Dataset) -> pd.DataFrame:
    return pd.DataFrame({name: np.asarray(catalog[name].values) for name in COLUMNS})


def _cropped(frame: pd.DataFrame, region: Region) -> pd.DataFrame:
    """Return all versions of the events of which one `is_near`, sorted by available time.

    Near is inside box and period and not far below completeness; the other versions may withdraw those.
    """
    frame["event_id"] = frame["event_id"].astype(str)
    box, (start, end) = region.bounds.grown(region.margin_deg), region.catalog_window
    frame["is_near"] = (
        frame["latitude"].between(box.south, box.north, inclusive="left")
        & frame["longitude"].between(box.west, box.east, inclusive="left")
        & (frame["origin_time"] >= start)
        & (frame["origin_time"] < end)
        # Smaller events are counted nowhere; a wider band keeps partners of events near completeness.
        & (frame["magnitude"] >= region.magnitude_completeness - 2 * SAME_MAGNITUDE)
    )
    frame["is_twin"] = False
    says_something = frame["magnitude"].notna() | (frame["event_type"] != "earthquake")
    frame = frame.loc[frame["available_time"].notna() & says_something]
    frame = frame.loc[frame["event_id"].isin(frame.loc[frame["is_near"], "event_id"])]
    frame["available_time"] = np.maximum(frame["available_time"], frame["origin_time"])
    return frame.sort_values("available_time", kind="stable", ignore_index=True)


def _dataset(rows: pd.DataFrame) -> xr.Dataset:
    data: dict[str, xr.Variable] = {}
    for name in COLUMNS:
        values = rows[name].to_numpy()
        if name in ("event_id", "magnitude_type", "event_type"):
            values = values.astype(object)
        elif name.endswith("_time"):
            values = values.astype("datetime64[ns]")
        elif name == "quality_flag":
            values = values.astype(np.uint8)
        else:
            values = values.astype(np.float64)
        data[name] = xr.Variable("event", values, {"units": UNITS[name]} if name in UNITS else {})
    return xr.Dataset(data, attrs={"modality": "catalog"})


def last_versions(catalog: xr.Dataset, moment: NDArray[np.datetime64] | None = None) -> xr.Dataset:
    """Return the version of each event (event) that is in force in the end, or at `moment` (event,).

    `moment` is compared row by row, so that each event can be seen as of its own day's end. An event of which a
    withdrawal (magnitude NaN) is in force is left out.
    """
    available = catalog["available_time"].values.astype("datetime64[ns]")
    code = pd.factorize(catalog["event_id"].values.astype(str))[0]
    order = np.lexsort((np.arange(code.size), available, code))
    followed = order[:-1][code[order[1:]] == code[order[:-1]]]
    until = np.full(code.size, np.iinfo(np.int64).max)
    until[followed] = available[order[1:][code[order[1:]] == code[order[:-1]]]].astype(np.int64)
    shown = np.isfinite(catalog["magnitude"].values)
    if moment is None:
        shown &= until == np.iinfo(np.int64).max
    else:
        now = moment.astype("datetime64[ns]").astype(np.int64)
        shown &= (available.astype(np.int64) <= now) & (until > now)
    return catalog.isel(event=np.flatnonzero(shown))


def end_of_day(times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Return the midnight that ends each time's UTC day, datetime64[ns]."""
    return np.asarray(times.astype("datetime64[D]").astype("datetime64[ns]") + DAY, dtype="datetime64[ns]")
