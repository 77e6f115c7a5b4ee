"""The new end of each group of a cube, lazily, from observations since the first change and the days stored before."""

from collections.abc import Mapping
from datetime import date
from typing import Final, Protocol

import numpy as np
import xarray as xr

from tasks.cubes import gnss as positions
from tasks.cubes import weather as anomalies
from tasks.cubes.append import in_order
from tasks.cubes.blocks import TailDoesNotFit
from tasks.cubes.catalog_grid import grid_catalog, label_days
from tasks.cubes.clock import DAY
from tasks.cubes.closure import first_row, merge_start
from tasks.cubes.insar import CHUNK_PAIRS, grid_interferograms
from tasks.cubes.layout import canonical
from tasks.cubes.los import SIDE_DAYS, with_gnss_rates
from tasks.cubes.merge import merge_catalogs
from tasks.cubes.strain import CHUNK_DAYS, WINDOW_DAYS, strain_rates
from tasks.cubes.waveform import daily_waveform_features
from tasks.regions import Region

Stored = Mapping[str, xr.Dataset]
Tail = tuple[int, xr.Dataset]
# A common mode needs the 60 days before; what is known of a day, the 60 before that day too.
GNSS_REACH: Final = positions.COMMON_MODE_DAYS + 1


class ReadSince(Protocol):
    """Gives observations of a group: all, or what `ObservationStore.read_since` gives."""

    def __call__(self, group: str, since: np.datetime64 | None = None) -> xr.Dataset | None:
        """Return the Dataset lazily; None if there is none."""
        ...


def catalog_tail(
    region: Region, read: ReadSince, stored: Stored, first: np.datetime64
) -> dict[str, Tail | None]:
    """Return the ends of `catalog`, `catalog_grid` and `labels`."""
    catalogs, start = _catalogs_from(region, read, first)
    late = {name: _late_events(c, start) for name, c in catalogs.items()}
    merged, _ = merge_catalogs(late, region)
    merged.attrs = dict(stored["catalog"].attrs)
    row = first_row(stored["catalog"]["origin_time"], start)
    tails: dict[str, Tail | None] = {"catalog": (row, merged)}
    day = max(0, _day(region, start))
    if day < _days(region):
        tail = _from_day(region, day)
        labels = label_days(merged, tail)
        labels.attrs = dict(stored["labels"].attrs)
        tails |= {
            "catalog_grid": (day, grid_catalog(merged, tail)),
            "labels": (day, labels),
        }
    return tails


def _catalogs_from(
    region: Region, read: ReadSince, first: np.datetime64
) -> tuple[dict[str, xr.Dataset], np.datetime64]:
    """Return the catalogs and the latest midnight not after `first` from which they can be merged by themselves.

    A day is counted whole: with a merge from noon on, the events of its morning would be missing.
    """
    start = first.astype("datetime64[D]").astype("datetime64[ns]")
    while True:
        catalogs = _sources(region, read, "catalog", start)
        apart = merge_start(catalogs, start)
        if apart == start:
            return catalogs, start
        start = apart.astype("datetime64[D]").astype("datetime64[ns]")


def gnss_tail(
    region: Region, read: ReadSince, stored: Stored, first: np.datetime64
) -> dict[str, Tail | None]:
    """Return the ends of `gnss` and `strain`.

    Raises
    ------
    TailDoesNotFit
        If the stations or their places are not those stored.
    """
    before = stored["gnss"]
    day = max(0, _day(region, first))
    warm = max(0, day - GNSS_REACH)
    tail = _from_day(region, warm)
    sources = _sources(region, read, "gnss", tail.window.start)
    cleaned = positions.clean_gnss(list(sources.values()), tail, positions.read_statistics(before))
    new = cleaned.isel(time=slice(day - warm, None))
    for name in ("station", "latitude", "longitude"):
        if not np.array_equal(new[name].values, before[name].values.astype(new[name].dtype)):
            raise TailDoesNotFit(f"expected the GNSS stations where they were, found another {name}")
    # Whole blocks of the full build, so that the matrix products have the same shapes.
    block = day - day % CHUNK_DAYS
    window = max(0, block - WINDOW_DAYS)
    joined = xr.concat(
        [_rows(before, slice(window, day)), new],
        dim="time",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
    )
    rates = strain_rates(joined, region, warm_up_days=block - window)
    return {"gnss": (day, new), "strain": (block, rates)}


def weather_tail(
    region: Region, read: ReadSince, stored: Stored, first: np.datetime64
) -> dict[str, Tail | None]:
    """Return the end of `weather`.

    Raises
    ------
    TailDoesNotFit
        If the cube has no weather yet, or of another number of sources.
    """
    if "weather" not in stored:
        return _none_yet(region, read, "weather")
    # A value at midnight is of the day before.
    day = max(0, _day(region, first - np.timedelta64(1, "ns")))
    block = day - day % anomalies.BLOCK_DAYS
    warm = max(0, block - anomalies.BLOCK_DAYS * -(-anomalies.REACH_DAYS // anomalies.BLOCK_DAYS))
    tail = _from_day(region, warm)
    sources = _sources(region, read, "weather", tail.window.start)
    statistics = anomalies.read_statistics(stored["weather"])
    if len(statistics) != len(sources):
        raise TailDoesNotFit(f"expected {len(statistics)} sources of weather, found {len(sources)}")
    grid = anomalies.grid_weather(list(sources.values()), tail, statistics)
    return {"weather": (block, grid.isel(time=slice(block - warm, None)))}


def waveform_tail(
    region: Region, read: ReadSince, stored: Stored, first: np.datetime64
) -> dict[str, Tail | None]:
    """Return the end of `waveform`.

    Raises
    ------
    TailDoesNotFit
        If a station is new or elsewhere.
    """
    if "waveform" not in stored:
        return _none_yet(region, read, "waveform")
    before = stored["waveform"]
    day = max(0, _day(region, first))
    tail = _from_day(region, day)
    sources = _sources(region, read, "waveform", tail.window.start)
    found = daily_waveform_features(list(sources.values()), tail)
    before = canonical(before[["station", "latitude", "longitude"]].load())
    stations = before["station"].values
    if found is None:
        days = np.arange(tail.window.start, tail.window.end, DAY)
        new = _rows(stored["waveform"], slice(0, 0)).reindex(time=days)
    else:
        known = before.sel(station=np.intersect1d(found["station"].values, stations))
        if known.sizes["station"] < found.sizes["station"] or not all(
            np.array_equal(known[n].values, found[n].values) for n in ("latitude", "longitude")
        ):
            raise TailDoesNotFit("expected the seismic stations where they were, found a new or moved one")
        new = found.reindex(station=stations)
        new = new.assign_coords(
            {n: ("station", before[n].values, before[n].attrs) for n in ("latitude", "longitude")}
        )
    return {"waveform": (day, new)}


def insar_tail(
    region: Region,
    read: ReadSince,
    stored: Stored,
    first: np.datetime64 | None,
    gnss: Tail | None,
) -> dict[str, Tail | None]:
    """Return the end of `insar`: pairs that end after `first`, and those whose passes the new end of `gnss` covers.

    Raises
    ------
    TailDoesNotFit
        If the cube has no pairs yet.
    """
    if "insar" not in stored:
        return _none_yet(region, read, "insar")
    before = stored["insar"]
    end = before["time"].values
    changed = np.zeros(end.size, dtype=bool) if first is None else end >= first
    kept = np.flatnonzero(~changed)
    late = None if first is None else _late_pairs(region, read, first)
    times, available = end[kept], before["available_time"].values[kept]
    if late is not None:
        times = np.concatenate([times, late["time"].values])
        available = np.concatenate([available, late["available_time"].values])
    order = np.lexsort((times, available))
    # Up to the first pair that is not where it was, all stays; so it does before the first that sees new positions.
    same = (order < kept.size) & (
        np.append(kept, np.full(times.size - kept.size, -1))[order] == np.arange(order.size)
    )
    start = int(np.flatnonzero(~same)[0]) if not same.all() else int(order.size)
    if gnss is not None:
        since = gnss[1]["time"].values[0] - (SIDE_DAYS + 1) * DAY
        seeing = np.flatnonzero(times[order] >= since)
        start = min(start, int(seeing[0])) if seeing.size else start
    start -= start % CHUNK_PAIRS
    parts = [
        _rows(
            before.drop_vars("los_rate_gnss", errors="ignore"), kept[order[start:][order[start:] < kept.size]]
        )
    ]
    if late is not None:
        parts.append(late)
    pairs = xr.concat(
        [p for p in parts if p.sizes["pair"]] or parts[:1],
        dim="pair",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
    )
    pairs = pairs.isel(pair=np.lexsort((pairs["time"].values, pairs["available_time"].values)))
    if "los_rate_gnss" in before:
        pairs = with_gnss_rates(pairs, _positions_for(pairs, stored["gnss"], gnss), region)
    return {"insar": (start, pairs)}


def _none_yet(region: Region, read: ReadSince, modality: str) -> dict[str, Tail | None]:
    """Return no ends: a modality that the cube lacks because its sources have given nothing so far.

    Raises
    ------
    TailDoesNotFit
        If there are observations by now.
    """
    if _sources(region, read, modality):
        raise TailDoesNotFit(f"expected a cube with {modality}, found none")
    return {}


def _late_events(catalog: xr.Dataset, start: np.datetime64) -> xr.Dataset:
    late = catalog.isel(event=np.flatnonzero(catalog["origin_time"].values >= start)).load()
    return in_order(canonical(late))


def _late_pairs(region: Region, read: ReadSince, first: np.datetime64) -> xr.Dataset | None:
    tracks = {n: t for n, t in _sources(region, read, "insar", first).items() if t.sizes["time"]}
    return grid_interferograms(tracks, region) if tracks else None


def _positions_for(pairs: xr.Dataset, before: xr.Dataset, gnss: Tail | None) -> xr.Dataset:
    """Return the positions from shortly before the first pass of `pairs` on."""
    days = before["time"].values
    if pairs.sizes["pair"]:
        earliest = pairs["time_start"].values.min() - (SIDE_DAYS + 1) * DAY
        start = max(0, int(np.searchsorted(days, earliest, "right")) - 1)
    else:
        start = days.size
    if gnss is None:
        return _rows(before, slice(start, None))
    row, new = gnss
    if start >= row:
        return new.isel(time=slice(start - row, None))
    return xr.concat(
        [_rows(before, slice(start, row)), new],
        dim="time",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
    )


def _rows(stored: xr.Dataset, rows: slice | np.ndarray) -> xr.Dataset:
    dim = "pair" if "pair" in stored.dims else "time"
    return canonical(stored.isel({dim: rows}).load())


def _sources(
    region: Region, read: ReadSince, modality: str, since: np.datetime64 | None = None
) -> dict[str, xr.Dataset]:
    found = {s.name: read(s.group, since) for s in region.sources if s.modality == modality}
    return {name: dataset for name, dataset in found.items() if dataset is not None}


def _day(region: Region, moment: np.datetime64) -> int:
    return int((moment.astype("datetime64[ns]") - region.window.start) // DAY)


def _days(region: Region) -> int:
    return _day(region, region.window.end)


def _from_day(region: Region, day: int) -> Region:
    """Return the region with its cube beginning `day` days later; the catalog's period stays."""
    start: date = (region.window.start + day * DAY).astype("datetime64[D]").item()
    return region.model_copy(update={"start": start})
