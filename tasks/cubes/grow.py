"""How a provider's answer joins what is stored: by key, new over old, at the price of the answer, not of the archive.

Rows are kept in the order of their arrival. Each `COLUMN_ROWS` rows form a zone whose first and last key time stand in
two small hidden arrays; so only zones that can hold a key of the answer are read to find it.
"""

from typing import Any, Final

import icechunk
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from tasks.cubes.append import KEY_TIME, ROW_KEYS, row_keys
from tasks.cubes.layout import (
    COLUMN_ROWS,
    HIDDEN,
    ZONES,
    dimensions,
    encoded,
    equal,
    filled,
    put_group,
    put_hidden,
)
from tasks.cubes.repository import in_chunks, open_group

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
        if ZONES[0] not in parent:
            stored = open_group(session.store, group)
            assert stored is not None
            return cls.create(session, group, dim, in_chunks(stored))
        return cls(session, group, dim, parent)

    @classmethod
    def create(cls, session: icechunk.Session, group: str, dim: str, rows: xr.Dataset) -> "GrowingGroup":
        """Write `rows` as the whole of `group` and return it."""
        put_group(session, group, rows)
        made = cls(session, group, dim, zarr.open_group(session.store, path=group, mode="r+"))
        made._mark_zones(0, np.asarray(rows[KEY_TIME[dim]].values).astype("datetime64[ns]").view(np.int64))
        return made

    def join(self, answer: xr.Dataset, *, is_damaged: bool) -> None:
        """Add the rows of `answer` (sorted, unique); where a key is known, they replace the row.

        Keys are the day or moment (gridded), station and time (waveform records), event id and available_time
        (catalogs). Where rows have stations, the answer replaces exactly its own times and stations; other stations
        keep what they have, and what nobody said is missing (NaN, flag 1). Only chunks that change are written.

        Parameters
        ----------
        is_damaged : bool
            Leave out records of which a channel that is observed (flag 0) in the store is a gap (flag 1) here.

        Raises
        ------
        ValueError
            If the two differ in their variables or in an axis other than rows and stations.
        """
        self._check(answer)
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
        self._revise(answer.isel({self._dim: old}), places[old], stations)
        self._append(answer.isel({self._dim: np.flatnonzero(places < 0)}), stations)
        self._keep_fixed(answer, stations, covered=covered)
        attributes = {str(k): _plain(v) for k, v in answer.attrs.items()}
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

    def _check(self, answer: xr.Dataset) -> None:
        found = set(map(str, answer.variables))
        if set(self._arrays) != found:
            raise ValueError(
                f"expected the variables {sorted(self._arrays)} that are stored, found {sorted(found)}"
            )
        sizes = {d: n for a in self._arrays.values() for d, n in zip(dimensions(a), a.shape, strict=True)}
        for name, array in self._arrays.items():
            if set(dimensions(array)) != set(answer.variables[name].dims):
                raise ValueError(
                    f"expected {name!r} over {dimensions(array)} as stored, found {answer.variables[name].dims}"
                )
        for dim, size in answer.sizes.items():
            name = str(dim)
            if name in (self._dim, "station"):
                continue
            same = size == sizes[name]
            if same and name in self._arrays:
                axis = self._arrays[name]
                same = bool(np.array_equal(np.asarray(axis[:]), encoded(answer[name].values, axis)))
            if not same:
                raise ValueError(
                    f"axis {name!r} differs from the stored one; a new grid needs a new source name"
                )

    def _promoted(self, answer: xr.Dataset) -> "GrowingGroup | None":
        """Return the group laid out anew with wider numbers, if the stored ones cannot hold the answer's values."""
        wider = {}
        for name, array in self._arrays.items():
            kind = answer.variables[name].dtype
            if kind.kind in "fiub" and not np.can_cast(kind, array.dtype, "safe"):
                wider[name] = np.promote_types(kind, array.dtype)
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
        moments = np.sort(encoded(answer[KEY_TIME[self._dim]].values, self._key_array()))
        places = np.full(moments.size, -1, dtype=np.int64)
        if not moments.size or not self._rows:
            return places
        first, last = (_column(self._parent, name, slice(None)) for name in ZONES)
        # A zone can hold a key if one of the answer's moments lies between its first and its last.
        possible = np.searchsorted(moments, first, "left") < np.searchsorted(moments, last, "right")
        keys = row_keys([encoded(answer[name].values, self._arrays[name]) for name in ROW_KEYS[self._dim]])
        for start, stop in _runs(np.flatnonzero(possible)):
            rows = slice(start * COLUMN_ROWS, min(stop * COLUMN_ROWS, self._rows))
            stored = row_keys([np.asarray(self._arrays[name][rows]) for name in ROW_KEYS[self._dim]])
            found = stored.get_indexer(keys)
            places = np.where(found >= 0, found + rows.start, places)
        return places

    def _lost(self, answer: xr.Dataset, places: Places) -> NDArray[np.bool_]:
        flags = self._arrays["quality_flag"]
        lost = np.zeros(places.size, dtype=bool)
        now = answer["quality_flag"].transpose(*dimensions(flags)).values
        for row in np.flatnonzero(places >= 0):
            before = np.asarray(flags[int(places[row])])
            lost[row] = bool(((before == 0) & (now[row] == 1)).any())
        return lost

    def _revise(self, answer: xr.Dataset, places: Places, stations: Places | None) -> None:
        """Put the rows of `answer` at `places`, chunk by chunk, and write those chunks that this changes."""
        if not places.size:
            return
        for name, array in self._arrays.items():
            if self._dim not in dimensions(array):
                continue
            values = _laid(answer, name, array)
            chunk = array.chunks[0] * max(1, 64 // array.chunks[0])
            for block in np.unique(places // chunk):
                mine = np.flatnonzero(places // chunk == block)
                start = int(block) * chunk
                stop = min(start + chunk, array.shape[0])
                before = np.asarray(array[start:stop])
                after = before.copy()
                after[_index(array, places[mine] - start, stations)] = values[mine]
                for low in range(0, stop - start, array.chunks[0]):
                    part = slice(low, min(low + array.chunks[0], stop - start))
                    if not equal(before[part], after[part]):
                        array[start + part.start : start + part.stop] = after[part]

    def _append(self, answer: xr.Dataset, stations: Places | None) -> None:
        count, start = answer.sizes[self._dim], self._rows
        if not count:
            return
        moments = encoded(answer[KEY_TIME[self._dim]].values, self._key_array())
        for name, array in self._arrays.items():
            if self._dim not in dimensions(array):
                continue
            values = _laid(answer, name, array)
            array.resize((start + count, *array.shape[1:]))
            block = filled(array, (count, *array.shape[1:]))
            block[_index(array, np.arange(count), stations)] = values
            array[start:] = block
        self._mark_zones(start, moments.view(np.int64))

    def _mark_zones(self, start: int, moments: NDArray[np.int64]) -> None:
        """Take the rows from `start` on, with these key times, into the zones."""
        zone = (start + np.arange(moments.size)) // COLUMN_ROWS
        first = start // COLUMN_ROWS
        count = int(zone[-1]) - first + 1 if zone.size else 0
        low = np.full(count, np.iinfo(np.int64).max)
        high = np.full(count, np.iinfo(np.int64).min)
        np.minimum.at(low, zone - first, moments)
        np.maximum.at(high, zone - first, moments)
        for name, limits, wider in zip(ZONES, (low, high), (np.minimum, np.maximum), strict=True):
            if start % COLUMN_ROWS:
                limits[0] = wider(limits[0], _column(self._parent, name, first))
            put_hidden(self._parent, name, limits, first, chunk=256)

    def _keep_fixed(self, answer: xr.Dataset, stations: Places | None, *, covered: bool) -> None:
        """Write what has no rows: of its own stations the answer's, else only if the answer covers every stored row."""
        for name, array in self._arrays.items():
            dims = dimensions(array)
            if self._dim in dims or name == "station":
                continue
            values = _laid(answer, name, array)
            before = np.asarray(array[...])
            after = before.copy()
            if dims == ("station",) and stations is not None:
                after[stations] = values
            elif covered:
                after = values
            if not equal(before, after):
                array[...] = after


def rows_since(
    store: icechunk.IcechunkStore, group: str, dim: str, since: np.datetime64
) -> dict[str, slice] | None:
    """Return the stored rows from the first zone on that reaches `since`; None if there is no such group.

    Before them no row has a key time of `since` or later.
    """
    try:
        parent = zarr.open_group(store, path=group, mode="r")
    except zarr.errors.GroupNotFoundError:
        return None
    if ZONES[1] not in parent:
        return {}
    last = _column(parent, ZONES[1], slice(None))
    reaching = np.flatnonzero(last >= since.astype("datetime64[ns]").view(np.int64))
    first = int(reaching[0]) if reaching.size else last.size
    return {dim: slice(first * COLUMN_ROWS, None)}


def _column(parent: zarr.Group, name: str, rows: slice | int) -> NDArray[np.int64]:
    array = parent[name]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[rows], dtype=np.int64)


def _laid(answer: xr.Dataset, name: str, array: "zarr.Array[Any]") -> Values:
    return encoded(np.asarray(answer[name].transpose(*dimensions(array)).values), array)


def _index(array: "zarr.Array[Any]", rows: Places, stations: Places | None) -> tuple[Places, ...]:
    """Return the index of `rows` and, where the array has them second, of `stations`."""
    dims = dimensions(array)
    if stations is None or "station" not in dims:
        return (rows,)
    if dims[1] != "station":
        raise ValueError(f"expected stations as the second dimension, found {dims}")
    return (rows[:, None], stations[None, :])


def _runs(numbers: Places) -> list[tuple[int, int]]:
    """Return half-open runs of consecutive numbers."""
    if not numbers.size:
        return []
    breaks = np.flatnonzero(np.diff(numbers) > 1)
    starts = np.append(numbers[0], numbers[breaks + 1])
    stops = np.append(numbers[breaks], numbers[-1]) + 1
    return [(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


def _plain(value: object) -> object:
    """Return an attribute as it comes back from JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value
