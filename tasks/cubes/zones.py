"""Which stored rows can be about a time: the first and last moment of each 1024 rows, in small hidden arrays.

Rows lie in the order of their arrival, so a reader that looks for a time would have to read every key. With the zones
it reads those of the rows that can matter.
"""

from typing import Final

import icechunk
import numpy as np
import zarr
from numpy.typing import NDArray

from tasks.cubes.append import ABOUT, KEY_TIME
from tasks.cubes.layout import COLUMN_ROWS, ORIGINS, ZONES, put_hidden

_CHUNK: Final = 256
_LARGEST, _SMALLEST = np.iinfo(np.int64).max, np.iinfo(np.int64).min


def zone_arrays(dim: str) -> dict[str, tuple[str, str]]:
    """Return column -> the two hidden arrays of its zones, for groups that grow along `dim`."""
    arrays = {KEY_TIME[dim]: ZONES}
    return arrays if ABOUT[dim] in arrays else arrays | {ABOUT[dim]: ORIGINS}


def column(parent: zarr.Group, name: str, rows: slice | int = slice(None)) -> NDArray[np.int64]:
    """Return rows of an int64 array of `parent`."""
    array = parent[name]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[rows], dtype=np.int64)


def mark_zones(parent: zarr.Group, zones: tuple[str, str], start: int, moments: NDArray[np.int64]) -> None:
    """Take the new rows from `start` on, with these times, into the zones."""
    zone = (start + np.arange(moments.size)) // COLUMN_ROWS
    first = start // COLUMN_ROWS
    count = int(zone[-1]) - first + 1 if zone.size else 0
    low, high = np.full(count, _LARGEST), np.full(count, _SMALLEST)
    np.minimum.at(low, zone - first, moments)
    np.maximum.at(high, zone - first, moments)
    for name, limits, wider in zip(zones, (low, high), (np.minimum, np.maximum), strict=True):
        if start % COLUMN_ROWS:
            limits[0] = wider(limits[0], column(parent, name, first))
        put_hidden(parent, name, limits, first, chunk=_CHUNK)


def widen_zones(
    parent: zarr.Group, zones: tuple[str, str], places: NDArray[np.int64], moments: NDArray[np.int64]
) -> None:
    """Let the zones of stored rows hold the times that these rows have now; none grows narrower."""
    for name, wider in zip(zones, (np.minimum, np.maximum), strict=True):
        array = parent[name]
        assert isinstance(array, zarr.Array)
        before = np.asarray(array[:], dtype=np.int64)
        after = before.copy()
        wider.at(after, places // COLUMN_ROWS, moments)
        if not np.array_equal(before, after):
            array[:] = after


def runs_of_zones(
    parent: zarr.Group, zones: tuple[str, str], moments: NDArray[np.int64], rows: int
) -> list[slice]:
    """Return the rows (of `rows` in all) of the zones that can hold one of the sorted `moments`, as runs."""
    first, last = (column(parent, name) for name in zones)
    possible = np.searchsorted(moments, first, "left") < np.searchsorted(moments, last, "right")
    return _runs(np.flatnonzero(possible), rows)


def runs_from(parent: zarr.Group, zones: tuple[str, str], since: np.int64, rows: int) -> list[slice]:
    """Return the rows (of `rows` in all) of the zones that reach `since`, as runs."""
    return _runs(np.flatnonzero(column(parent, zones[1]) >= since), rows)


def rows_between(
    store: icechunk.IcechunkStore,
    group: str,
    dim: str,
    since: np.datetime64,
    until: np.datetime64 | None = None,
) -> dict[str, slice] | None:
    """Return one run of stored rows outside of which no row has a key time from `since` to `until` (both included).

    None if there is no such group; all rows of a group without zones, as earlier versions wrote it.
    """
    try:
        parent = zarr.open_group(store, path=group, mode="r")
    except zarr.errors.GroupNotFoundError:
        return None
    if ZONES[0] not in parent:
        return {}
    first, last = (column(parent, name) for name in ZONES)
    inside = last >= since.astype("datetime64[ns]").view(np.int64)
    if until is not None:
        inside &= first <= until.astype("datetime64[ns]").view(np.int64)
    zones = np.flatnonzero(inside)
    if not zones.size:
        return {dim: slice(0, 0)}
    return {dim: slice(int(zones[0]) * COLUMN_ROWS, int(zones[-1] + 1) * COLUMN_ROWS)}


def _runs(numbers: NDArray[np.int64], rows: int) -> list[slice]:
    """Return the rows of runs of consecutive zones."""
    if not numbers.size:
        return []
    breaks = np.flatnonzero(np.diff(numbers) > 1)
    starts = np.append(numbers[0], numbers[breaks + 1])
    stops = np.append(numbers[breaks], numbers[-1]) + 1
    return [
        slice(int(a) * COLUMN_ROWS, min(int(b) * COLUMN_ROWS, rows))
        for a, b in zip(starts, stops, strict=True)
    ]
