"""Where in a stored catalog the versions of an event lie, found without reading the archive.

Versions of one event share its id and may be far apart, in the order of their arrival and in origin time. Whole blocks
of rows have a mark of 4 bytes an id in a hidden array, which is written once and read in few pieces; of the rows
after the last whole block the ids themselves are read.
"""

import zlib
from collections.abc import Sequence
from typing import Final

import icechunk
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from tasks.cubes.closure import REACH, event_key, merge_start
from tasks.cubes.layout import COLUMN_ROWS, EVENT_MARKS, ORIGINS, put_hidden
from tasks.cubes.zones import column, runs_from

MARK_ROWS: Final = 8 * COLUMN_ROWS
Places = NDArray[np.int64]


def mark_events(parent: zarr.Group) -> None:
    """Bring the marks of a stored catalog up to its last whole block of rows."""
    ids = parent["event_id"]
    assert isinstance(ids, zarr.Array)
    marked = _marked(parent)
    whole = ids.shape[0] - ids.shape[0] % MARK_ROWS
    if whole > marked:
        marks = _marks([event_key(str(i)) for i in np.asarray(ids[marked:whole])])
        put_hidden(parent, EVENT_MARKS, marks, marked, chunk=8 * MARK_ROWS)


def stored_start(store: icechunk.IcechunkStore, groups: Sequence[str], since: np.datetime64) -> np.datetime64:
    """Return `merge_start` of the stored catalogs `groups`, at the price of the events from there on."""
    catalogs = {group: _StoredCatalog(zarr.open_group(store, path=group, mode="r")) for group in groups}
    start: np.datetime64 = since.astype("datetime64[ns]")
    while True:
        for catalog in catalogs.values():
            catalog.load_from(start - REACH)
        keys = {key for catalog in catalogs.values() for key in catalog.keys_from(start)}
        for catalog in catalogs.values():
            catalog.load_events(keys)
        earlier = merge_start({group: catalog.loaded() for group, catalog in catalogs.items()}, start)
        if earlier == start:
            return start
        start = earlier


def rows_from(store: icechunk.IcechunkStore, group: str, start: np.datetime64) -> Places:
    """Return the places of the rows of a stored catalog with origin times from `start` on."""
    catalog = _StoredCatalog(zarr.open_group(store, path=group, mode="r"))
    return catalog.places_from(start)


class _StoredCatalog:
    """The ids and origin times of a stored catalog, loaded zone by zone as they are asked for."""

    def __init__(self, parent: zarr.Group) -> None:
        self._parent = parent
        ids = parent["event_id"]
        assert isinstance(ids, zarr.Array)
        self._ids, self._rows = ids, int(ids.shape[0])
        self._loaded: dict[int, tuple[NDArray[np.object_], Places]] = {}
        self._known: NDArray[np.uint32] | None = None

    def load_from(self, start: np.datetime64) -> None:
        """Load the zones that hold an origin time from `start` on."""
        self._load(self._runs_from(start))

    def load_events(self, keys: set[str]) -> None:
        """Load the zones that may hold a row of the events of `keys`."""
        if self._known is None:
            count = _marked(self._parent)
            self._known = (
                column(self._parent, EVENT_MARKS).astype(np.uint32) if count else np.zeros(0, np.uint32)
            )
            self._load([slice(count, self._rows)])
        hits = np.flatnonzero(np.isin(self._known, _marks(sorted(keys))))
        zones = np.unique(hits // COLUMN_ROWS)
        self._load([slice(int(z) * COLUMN_ROWS, (int(z) + 1) * COLUMN_ROWS) for z in zones])

    def keys_from(self, start: np.datetime64) -> set[str]:
        """Return the keys of the loaded events with an origin time from `start` on."""
        since = start.view(np.int64)
        return {event_key(str(i)) for ids, origins in self._loaded.values() for i in ids[origins >= since]}

    def loaded(self) -> xr.Dataset:
        """Return what is loaded, (event) `event_id` and `origin_time`."""
        parts = [self._loaded[zone] for zone in sorted(self._loaded)]
        ids = np.concatenate([p[0] for p in parts]) if parts else np.zeros(0, object)
        origins = np.concatenate([p[1] for p in parts]) if parts else np.zeros(0, np.int64)
        return xr.Dataset(
            {"event_id": ("event", ids), "origin_time": ("event", origins.astype("datetime64[ns]"))}
        )

    def places_from(self, start: np.datetime64) -> Places:
        """Return the places of all rows with origin times from `start` on."""
        found = []
        for run in self._runs_from(start):
            late = column(self._parent, "origin_time", run) >= start.astype("datetime64[ns]").view(np.int64)
            found.append(run.start + np.flatnonzero(late))
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _runs_from(self, start: np.datetime64) -> list[slice]:
        if ORIGINS[1] not in self._parent:
            return [slice(0, self._rows)]
        return runs_from(self._parent, ORIGINS, start.astype("datetime64[ns]").view(np.int64), self._rows)

    def _load(self, runs: Sequence[slice]) -> None:
        for run in runs:
            zones = range(run.start // COLUMN_ROWS, -(-run.stop // COLUMN_ROWS))
            missing = [z for z in zones if z not in self._loaded]
            if not missing:
                continue
            first, stop = missing[0] * COLUMN_ROWS, min((missing[-1] + 1) * COLUMN_ROWS, self._rows)
            ids = np.asarray(self._ids[first:stop]).astype(object)
            origins = column(self._parent, "origin_time", slice(first, stop))
            for zone in missing:
                part = slice(zone * COLUMN_ROWS - first, (zone + 1) * COLUMN_ROWS - first)
                self._loaded[zone] = ids[part], origins[part]


def _marked(parent: zarr.Group) -> int:
    if EVENT_MARKS not in parent:
        return 0
    marks = parent[EVENT_MARKS]
    assert isinstance(marks, zarr.Array)
    return int(marks.shape[0])


def _marks(keys: Sequence[str]) -> NDArray[np.uint32]:
    """Return 4 bytes for each key; two keys may have the same."""
    return np.fromiter((zlib.crc32(key.encode()) for key in keys), np.uint32, len(keys))
