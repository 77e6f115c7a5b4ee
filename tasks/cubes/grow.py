"""How a provider's answer joins what is stored: by key, at the price of the answer, not of the archive.

Rows are kept in the order of their arrival, and only zones (see `zones.py`) that can hold a key of the answer are read
to find it. Of a value that comes in versions the one known first is in the group, the others in its revisions.
"""

from typing import Any, Final

import icechunk
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from tasks.cubes.answers import cells_of, check_answer, laid, moments_of, plain, wider_types
from tasks.cubes.append import KEY_TIME, ROW_KEYS, row_keys
from tasks.cubes.events import mark_events
from tasks.cubes.layout import HIDDEN, REVISIONS, dimensions, encoded, equal, filled, put_group
from tasks.cubes.repository import in_chunks, open_group
from tasks.cubes.revisions import REVISION, has_versions, places_of, sort_versions, versioned
from tasks.cubes.zones import (
    mark_zones,
    rows_between,
    runs_of_zones,
    widen_zones,
    zone_arrays,
)

Values = NDArray[np.generic]
Places = NDArray[np.int64]
_LISTED: Final = "coordinates"


class GrowingGroup:
    """A group that is stored along `dim` in `session`; see `open`."""

    def __init__(self, session: icechunk.Session, group: str, dim: str, parent: zarr.Group) -> None:
        self._session, self._name, self._dim, self._parent = session, group, dim, parent
        self._arrays = {
            str(name): array for name, array in parent.arrays() if str(name) not in HIDDEN
        }  # fmt: skip

    @classmethod
    def open(cls, session: icechunk.Session, group: str, dim: str) -> "GrowingGroup | None":
        """Return the stored group; None if there is none.

        A group without zones, as earlier versions wrote it, is laid out anew, once.
        """
        try:
            parent = zarr.open_group(session.store, path=group, mode="r+")
        except (zarr.errors.GroupNotFoundError, FileNotFoundError):
            return None
        if not any(True for _ in parent.arrays()):
            return None
        if any(name not in parent for zones in zone_arrays(dim).values() for name in zones):
            stored = open_group(session.store, group)
            assert stored is not None
            return cls.create(session, group, dim, in_chunks(stored))
        return cls(session, group, dim, parent)

    @classmethod
    def create(cls, session: icechunk.Session, group: str, dim: str, rows: xr.Dataset) -> "GrowingGroup":
        """Write `rows` as the whole of `group` and return it."""
        put_group(session, group, rows)
        made = cls(session, group, dim, zarr.open_group(session.store, path=group, mode="r+"))
        made._mark(rows, 0)
        return made

    def join(self, answer: xr.Dataset, *, is_damaged: bool) -> None:
        """Add the rows of `answer` (unique); where a key is known, they are sorted by version.

        Keys are the day or moment (gridded), station and time (waveform records), event id and available_time
        (catalogs). Of a value with `available_time` the version known first stays or comes here, a later one that says
        something else goes to the revisions (see `sort_versions`); what has no versions is replaced. Where rows have
        stations, the answer speaks of exactly its own times and stations; other stations keep what they have, and
        what nobody said is missing (NaN, flag 1). Only chunks that change are written.

        Parameters
        ----------
        is_damaged : bool
            Leave out records of which a channel that is observed (flag 0) in the store is a gap (flag 1) here.

        Raises
        ------
        ValueError
            If the two differ in their variables or in an axis other than rows and stations.
        """
        check_answer(self._arrays, answer, self._dim)
        promoted = self._promoted(answer)
        if promoted is not None:
            promoted.join(answer, is_damaged=is_damaged)
            return
        stations = self._stations(answer)
        places = self._find(answer)
        if is_damaged and self._dim == "record":
            lost = self._lost(answer, places)
            answer, places = answer.isel(record=np.flatnonzero(~lost)), places[~lost]
        old = np.flatnonzero(places >= 0)
        covered = old.size == self._rows
        self._put(*self._sorted(answer.isel({self._dim: old}), places[old], stations), stations)
        self._append(answer.isel({self._dim: np.flatnonzero(places < 0)}), stations)
        self._keep_fixed(answer, stations, covered=covered)
        attributes = {str(k): plain(v) for k, v in answer.attrs.items()}
        stored = dict(self._parent.attrs)
        if _LISTED in stored:
            attributes[_LISTED] = stored[_LISTED]
        if attributes != stored:
            self._parent.attrs.put(attributes)  # type: ignore[arg-type]  # zarr checks that it is JSON

    @property
    def _rows(self) -> int:
        return int(self._key_array().shape[0])

    def _key_array(self) -> "zarr.Array[Any]":
        return self._arrays[KEY_TIME[self._dim]]

    def _promoted(self, answer: xr.Dataset) -> "GrowingGroup | None":
        """Return the group laid out anew with wider numbers, if the stored ones cannot hold the answer's values."""
        wider = wider_types(self._arrays, answer)
        if not wider:
            return None
        stored = open_group(self._session.store, self._name)
        assert stored is not None
        whole = in_chunks(stored).compute()
        for name, kind in wider.items():
            whole[name] = whole[name].astype(kind)
        return self.create(self._session, self._name, self._dim, whole)

    def _stations(self, answer: xr.Dataset) -> Places | None:
        """Return where the answer's stations stand on the stored axis, new ones at its end; None without stations."""
        if "station" not in answer.dims:
            return None
        axis = self._arrays["station"]
        known = {str(name): place for place, name in enumerate(np.asarray(axis[:]))}
        names = [str(name) for name in answer["station"].values]
        new = [name for name in names if name not in known]
        known |= {name: len(known) + k for k, name in enumerate(new)}
        if new:
            for array in self._arrays.values():
                dims = dimensions(array)
                if "station" in dims:
                    place = dims.index("station")
                    array.resize(tuple(len(known) if k == place else n for k, n in enumerate(array.shape)))
            axis[-len(new) :] = np.array(new, dtype=np.dtypes.StringDType())
        return np.array([known[name] for name in names], dtype=np.int64)

    def _find(self, answer: xr.Dataset) -> Places:
        """Return the stored place of each row of the answer, -1 where its key is new."""
        name = KEY_TIME[self._dim]
        moments = np.sort(moments_of(answer, name))
        places = np.full(moments.size, -1, dtype=np.int64)
        if not moments.size or not self._rows:
            return places
        names = [key for key in ROW_KEYS[self._dim] if key in self._arrays]
        keys = row_keys([encoded(answer[key].values, self._arrays[key]) for key in names])
        for rows in runs_of_zones(self._parent, zone_arrays(self._dim)[name], moments, self._rows):
            stored = row_keys([np.asarray(self._arrays[key][rows]) for key in names])
            found = stored.get_indexer(keys)
            places = np.where(found >= 0, found + rows.start, places)
        return places

    def _lost(self, answer: xr.Dataset, places: Places) -> NDArray[np.bool_]:
        """Return (record,) whether a channel that a stored version has is a gap in the answer's."""
        flags = self._arrays["quality_flag"]
        now = answer["quality_flag"].transpose(*dimensions(flags)).values
        lost = np.zeros(places.size, dtype=bool)
        old = np.flatnonzero(places >= 0)
        if not old.size:
            return lost
        before = np.asarray(flags.oindex[(places[old],)])
        lost[old] = ((before == 0) & (now[old] == 1)).any(axis=1)
        kept = self._kept(answer.isel(record=old))
        if kept is not None:
            (rows,) = places_of(kept, answer, self._dim)
            mine = np.flatnonzero(rows >= 0)
            before = kept["quality_flag"].isel({REVISION: mine}).values
            np.logical_or.at(lost, rows[mine], ((before == 0) & (now[rows[mine]] == 1)).any(axis=1))
        return lost

    def _kept(self, answer: xr.Dataset) -> xr.Dataset | None:
        """Return the revisions of about the times of `answer`, lazily; None if the group has none at all."""
        times, group = answer["time"].values, f"{REVISIONS}{self._name}"
        run = rows_between(self._session.store, group, REVISION, times.min(), times.max())
        return None if run is None else open_group(self._session.store, group, run)

    def _sorted(
        self, answer: xr.Dataset, places: Places, stations: Places | None
    ) -> tuple[xr.Dataset, Places]:
        """Return the rows of `answer` that change those stored at `places`, and keep the revisions among them."""
        if not places.size or not has_versions(answer, self._dim):
            return answer, places
        names = versioned(answer, self._dim)
        stored = answer.assign({name: self._stored(answer[name], places, stations) for name in names})
        versions = sort_versions(stored, answer, self._dim, self._kept(answer))
        if versions.revisions is not None:
            group = f"{REVISIONS}{self._name}"
            revisions = GrowingGroup.open(self._session, group, REVISION)
            if revisions is None:
                GrowingGroup.create(self._session, group, REVISION, versions.revisions)
            else:
                revisions.join(versions.revisions, is_damaged=False)
        rows = {name for name, array in self._arrays.items() if self._dim in dimensions(array)}
        if rows <= {*names, *ROW_KEYS[self._dim]}:
            changed = np.flatnonzero(versions.changed)
            return versions.first.isel({self._dim: changed}), places[changed]
        return versions.first, places

    def _stored(self, answer: xr.DataArray, places: Places, stations: Places | None) -> xr.DataArray:
        """Return what is stored at `places` and `stations` of the variable that `answer` is about."""
        array = self._arrays[str(answer.name)]
        dims = dimensions(array)
        cells = (places,) if "station" not in dims or stations is None else (places, stations)
        found = np.asarray(array.oindex[cells])
        if answer.dtype.kind == "M":
            found = found.view("datetime64[ns]")
        elif found.dtype.kind in "OT":
            found = found.astype(object)
        return answer.transpose(*dims).copy(data=found)

    def _put(self, answer: xr.Dataset, places: Places, stations: Places | None) -> None:
        """Put the rows of `answer` at `places`, chunk by chunk, and write those chunks that this changes."""
        if not places.size:
            return
        for name, zones in zone_arrays(self._dim).items():
            if name != KEY_TIME[self._dim]:
                widen_zones(self._parent, zones, places, moments_of(answer, name))
        for name, array in self._arrays.items():
            if self._dim not in dimensions(array):
                continue
            values = laid(answer, name, array)
            chunk = array.chunks[0] * max(1, 64 // array.chunks[0])
            for block in np.unique(places // chunk):
                mine = np.flatnonzero(places // chunk == block)
                start = int(block) * chunk
                stop = min(start + chunk, array.shape[0])
                before = np.asarray(array[start:stop])
                after = before.copy()
                after[cells_of(array, places[mine] - start, stations)] = values[mine]
                for low in range(0, stop - start, array.chunks[0]):
                    part = slice(low, min(low + array.chunks[0], stop - start))
                    if not equal(before[part], after[part]):
                        array[start + part.start : start + part.stop] = after[part]

    def _append(self, answer: xr.Dataset, stations: Places | None) -> None:
        count, start = answer.sizes[self._dim], self._rows
        if not count:
            return
        for name, array in self._arrays.items():
            if self._dim not in dimensions(array):
                continue
            values = laid(answer, name, array)
            array.resize((start + count, *array.shape[1:]))
            block = filled(array, (count, *array.shape[1:]))
            block[cells_of(array, np.arange(count), stations)] = values
            array[start:] = block
        self._mark(answer, start)

    def _mark(self, answer: xr.Dataset, start: int) -> None:
        """Take the new rows from `start` on into the zones, and events into the marks by which they are found."""
        for name, zones in zone_arrays(self._dim).items():
            mark_zones(self._parent, zones, start, moments_of(answer, name))
        if self._dim == "event":
            mark_events(self._parent)

    def _keep_fixed(self, answer: xr.Dataset, stations: Places | None, *, covered: bool) -> None:
        """Write what has no rows: of its own stations the answer's, else all of it if it covers every stored row.

        An answer that does not fills what is missing: the look vector of a pixel that no scene had reached.
        """
        for name, array in self._arrays.items():
            dims = dimensions(array)
            if self._dim in dims or name == "station":
                continue
            values = laid(answer, name, array)
            before = np.asarray(array[...])
            after = before.copy()
            if dims == ("station",) and stations is not None:
                after[stations] = values
            elif covered:
                after = values
            elif values.dtype.kind == "f":
                after = np.where(np.isnan(before), values, before)
            if not equal(before, after):
                array[...] = after
