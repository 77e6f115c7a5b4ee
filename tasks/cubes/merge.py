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
from tasks.cubes.grid import distances_km
from tasks.regions import Region

logger = logging.getLogger(__name__)

PREFERENCE: Final = ("comcat", "quakeml", "scedc", "relocated", "scedc_m3")
SHARED_NUMBERS: Final = ("comcat", "scedc", "relocated")
AGGREGATED: Final = ("quakeml",)
SAME_TIME: Final = np.timedelta64(2_000_000_000, "ns")
SAME_DISTANCE_KM: Final = 20.0
SAME_MAGNITUDE: Final = 0.5
REPEAT_DISTANCE_KM: Final = 10.0
REPEAT_MAGNITUDE: Final = 0.6
COLUMNS: Final = (
    "event_id", "origin_time", "available_time", "latitude", "longitude", "depth_km", "magnitude",
    "magnitude_error", "magnitude_type", "event_type", "quality_flag",
)  # fmt: skip
UNITS: Final = {"latitude": "degree_north", "longitude": "degree_east", "depth_km": "km", "magnitude": "1"}


class SourceCount(BaseModel):
    """What became of one source's rows."""

    model_config = ConfigDict(frozen=True)

    rows: int = Field(description="versions inside the box and the catalog's period")
    duplicates: int = Field(description="rows of events that a preferred source has too")
    superseded: int = Field(description="duplicates left out: the preferred source was known no later")
    not_earthquakes: int = Field(description="quarry blasts and others left out")
    small: int = Field(description="earthquakes below the magnitude of completeness left out")
    kept: int = Field(description="rows in the merged catalog")


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
        One row per version; the versions of one earthquake share `event_id`. A row is left out if the same or a
        preferred source had the event no later, if a version known no later says that it is not an earthquake,
        or if its magnitude is unknown or below completeness. Where an earlier version of such an event is kept,
        the row stays as a withdrawal, with magnitude NaN: from then on the event is gone, before it was believed.

    Notes
    -----
    Two rows are one event if their network numbers are equal (ComCat `ci` + number, SCEDC, relocated), else if
    they are the closest pair within 2 s, 20 km and 0.5 magnitude units across sources, one to one; inside a
    source that gathers from several networks (`AGGREGATED`) if they are within 2 s, 10 km and 0.6: an event listed
    twice, which takes the id that was known first.
    """
    provider = {s.name: s.provider for s in region.sources if s.modality == "catalog"}
    rank = {name: _rank(provider.get(name, name)) for name in catalogs}
    frames: list[pd.DataFrame] = []
    for name in sorted(catalogs, key=lambda n: (rank[n], n)):
        frame = _cropped(catalogs[name], region)
        frame["source"], frame["rank"] = name, len(frames)
        if provider.get(name, name) in SHARED_NUMBERS:
            frame["event_id"] = frame["event_id"].str.replace(r"^(?:ci)?(\d+)$", r"ci\1", regex=True)
        if provider.get(name, name) in AGGREGATED:
            frame["event_id"] = _without_repeats(frame)
        known = pd.concat(frames) if frames else frame.iloc[:0]
        frame["event_id"] = _adopted_ids(known, frame)
        frames.append(frame)
    rows = pd.concat(frames, ignore_index=True)
    rows = rows.sort_values(["event_id", "available_time", "rank"], kind="stable", ignore_index=True)
    best = rows.groupby("event_id", sort=False)["rank"]
    shared = best.transform("nunique") > 1
    duplicate = shared & (rows["rank"] > best.transform("min"))
    superseded = _superseded(rows)
    blast_time = rows["available_time"].where(rows["event_type"] != "earthquake")
    blast = rows["available_time"] >= blast_time.groupby(rows["event_id"], sort=False).transform("min")
    small = ~(rows["magnitude"] >= region.magnitude_completeness)
    keep = ~superseded & ~blast & ~small
    believed = rows["available_time"].where(keep).groupby(rows["event_id"], sort=False).transform("min")
    withdrawn = ~superseded & (blast | small) & (rows["available_time"] > believed)
    report = {
        str(name): SourceCount(
            rows=int(of.sum()),
            duplicates=int((of & duplicate).sum()),
            superseded=int((of & superseded).sum()),
            not_earthquakes=int((of & ~superseded & blast).sum()),
            small=int((of & ~superseded & ~blast & small).sum()),
            kept=int((of & keep).sum()),
        )
        for name in catalogs
        for of in [rows["source"] == name]
    }
    logger.info("merged catalogs of %s: %s", region.name, {k: v.model_dump() for k, v in report.items()})
    rows.loc[withdrawn, "magnitude"] = np.nan
    kept = rows.loc[keep | withdrawn].sort_values(
        ["origin_time", "event_id", "available_time"], kind="stable"
    )
    return _dataset(kept), report


def _superseded(rows: pd.DataFrame) -> pd.Series:
    """Return (row,) whether a preferred source had the event no later.

    Sources differ by up to `SAME_TIME` in the origin, and so in publication: so much counts as no later.
    """
    superseded = pd.Series(False, index=rows.index)
    for rank in sorted(rows["rank"].unique())[:-1]:
        first = rows.loc[rows["rank"] == rank].groupby("event_id", sort=False)["available_time"].min()
        known = rows["event_id"].map(first)
        superseded |= (rows["rank"] > rank) & (known <= rows["available_time"] + SAME_TIME)
    return superseded


def _rank(provider: str) -> int:
    return PREFERENCE.index(provider) if provider in PREFERENCE else len(PREFERENCE)


def _cropped(catalog: xr.Dataset, region: Region) -> pd.DataFrame:
    frame = pd.DataFrame({name: np.asarray(catalog[name].values) for name in COLUMNS})
    frame["event_id"] = frame["event_id"].astype(str)
    box, (start, end) = region.bounds.grown(region.margin_deg), region.catalog_window
    # A revision far below completeness has to stay: it withdraws the larger event that was believed before.
    largest = frame.groupby("event_id", sort=False)["magnitude"].transform("max")
    inside = (
        frame["latitude"].between(box.south, box.north, inclusive="left")
        & frame["longitude"].between(box.west, box.east, inclusive="left")
        & (frame["origin_time"] >= start)
        & (frame["origin_time"] < end)
        & frame["available_time"].notna()
        # Smaller events are counted nowhere; a wider band keeps partners of events near completeness.
        & (largest >= region.magnitude_completeness - 2 * SAME_MAGNITUDE)
    )
    frame = frame.loc[inside].reset_index(drop=True)
    frame["available_time"] = np.maximum(frame["available_time"], frame["origin_time"])
    return frame


def _without_repeats(frame: pd.DataFrame) -> NDArray[np.object_]:
    """Return (row,) the event ids of one source, where an event listed twice has the id that was known first.

    Judged on the first version of each event, which is all that is known when the second id appears.
    """
    first = frame.sort_values("available_time", kind="stable").drop_duplicates("event_id")
    first = first.sort_values("origin_time", kind="stable")
    origin = first["origin_time"].to_numpy(dtype="datetime64[ns]")
    known = first["available_time"].to_numpy(dtype="datetime64[ns]")
    ids = first["event_id"].to_numpy(dtype=object)
    place = {n: first[n].to_numpy(float) for n in ("latitude", "longitude", "magnitude")}
    partner: dict[str, str] = {}
    for step in range(1, min(4, ids.size)):
        a, b = slice(None, -step), slice(step, None)
        near = origin[b] - origin[a] <= SAME_TIME
        near &= np.abs(place["magnitude"][b] - place["magnitude"][a]) <= REPEAT_MAGNITUDE
        distance = distances_km(
            place["latitude"][a], place["longitude"][a], place["latitude"][b], place["longitude"][b]
        )
        for i in np.flatnonzero(near & (distance <= REPEAT_DISTANCE_KM)):
            early, late = (i, i + step) if known[i] <= known[i + step] else (i + step, i)
            partner.setdefault(ids[late], partner.get(ids[early], ids[early]))
    return np.array([partner.get(e, e) for e in frame["event_id"]], dtype=object)


def _adopted_ids(known: pd.DataFrame, new: pd.DataFrame) -> NDArray[np.object_]:
    """Return (row,) the event ids of `new`, replaced by those of `known` where both are one earthquake."""
    ids = np.asarray(new["event_id"].to_numpy(dtype=object)).copy()
    left = known.drop_duplicates("event_id").sort_values("origin_time", kind="stable")
    right = new.loc[~new["event_id"].isin(left["event_id"])].drop_duplicates("event_id")
    # An event of `known` whose number is also in `new` has found its partner already.
    left = left.loc[~left["event_id"].isin(new["event_id"])]
    if left.empty or right.empty:
        return ids
    times = left["origin_time"].to_numpy(dtype="datetime64[ns]")
    moments = right["origin_time"].to_numpy(dtype="datetime64[ns]")
    first = np.searchsorted(times, moments - SAME_TIME, side="left")
    count = np.searchsorted(times, moments + SAME_TIME, side="right") - first
    j = np.repeat(np.arange(moments.size), count)
    i = np.arange(j.size) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    place = {
        n: (left[n].to_numpy(float)[i], right[n].to_numpy(float)[j])
        for n in ("latitude", "longitude", "magnitude")
    }
    distance = distances_km(
        place["latitude"][0], place["longitude"][0], place["latitude"][1], place["longitude"][1]
    )
    difference = np.abs(place["magnitude"][0] - place["magnitude"][1])
    score = (
        np.abs((times[i] - moments[j]) / SAME_TIME)
        + distance / SAME_DISTANCE_KM
        + difference / SAME_MAGNITUDE
    )
    # What only became known later must not change who matched whom before, or the past would change.
    later = left["available_time"].to_numpy()[i] > right["available_time"].to_numpy()[j] + SAME_TIME
    pairs = pd.DataFrame({"i": i, "j": j, "later": later, "score": score})
    near = (distance <= SAME_DISTANCE_KM) & (difference <= SAME_MAGNITUDE + 1e-9)
    pairs = pairs.loc[near].sort_values(["later", "score"], kind="stable")
    # Two passes make the pairs one to one: the best partner of each j, then of each i.
    pairs = pairs.drop_duplicates("j").drop_duplicates("i")
    partner = dict(
        zip(
            right["event_id"].to_numpy()[pairs["j"].to_numpy()],
            left["event_id"].to_numpy()[pairs["i"].to_numpy()],
            strict=True,
        )
    )
    return np.array([partner.get(e, e) for e in ids], dtype=object)


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
    """Return the latest version of each event (event), of those known at `moment` (event,) if that is given.

    An event whose latest version is a withdrawal (magnitude NaN) is left out.

    `moment` is compared row by row, so that each event can be seen as of its own day's end.
    """
    known = np.ones(catalog.sizes["event"], dtype=bool)
    if moment is not None:
        known = catalog["available_time"].values <= moment
    rows = np.flatnonzero(known)
    order = rows[np.argsort(catalog["available_time"].values[rows], kind="stable")]
    ids = pd.Series(catalog["event_id"].values[order].astype(str))
    latest = np.sort(order[~ids.duplicated(keep="last").to_numpy()])
    return catalog.isel(event=latest[np.isfinite(catalog["magnitude"].values[latest])])


def end_of_day(times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Return the midnight that ends each time's UTC day, datetime64[ns]."""
    return np.asarray(times.astype("datetime64[D]").astype("datetime64[ns]") + DAY, dtype="datetime64[ns]")
