"""The gridded daily variables of a stored cube as one array of tiles, the way training windows read them."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.core.sync import sync

from fusion_models.data.cube import DAY_NS, NAT, LeakError, nanoseconds
from fusion_models.data.tiles import TileGrid
from tasks.cubes.repository import Repository
from tasks.cubes.store import CubeRef, open_cube

NEVER: Final = np.iinfo(np.int64).max
_DIMS: Final = ("time", "lat", "lon")
# Below this, more time goes into asking for a tile than into copying it.
_TILE_LEAST: Final = (96, 32, 32)
# Values that are turned from variable first to variable last at once: what the processor's cache holds.
_TURN: Final = 4096


class GridReader:
    """The variables (time, lat, lon) of all groups of the cube `ref` that say when their days became known.

    Labels and static layers say nothing of the kind and have no door here. Groups may cover different days; the first
    row is the earliest day of any. It pickles as a reference and opens the store again in a new process.

    Parameters
    ----------
    groups : sequence of str, optional
        Default all such groups, sorted.

    Raises
    ------
    UnknownSnapshot
        If there is no such cube.
    ValueError
        If no group is gridded, two groups have different grids, or days are not consecutive midnights.
    LeakError
        If a day claims to be known before its end.
    """

    def __init__(self, ref: CubeRef, groups: Sequence[str] | None = None) -> None:
        self._arguments = (ref, groups)
        self.snapshot = ref.snapshot
        stored = {name: group for name, group in open_cube(ref).items() if is_gridded(group)}
        chosen = sorted(stored) if groups is None else list(groups)
        if not chosen or not set(chosen) <= set(stored):
            raise ValueError(
                f"cube {ref.region!r}: expected gridded groups {chosen or 'of days'}, found {sorted(stored)}"
            )
        spans = {name: _days(name, stored[name]) for name in chosen}
        self.first_day = min(first for first, _ in spans.values())
        n_days = max(first + n for first, n in spans.values()) - self.first_day
        cells = {tuple(stored[name].sizes[d] for d in _DIMS[1:]) for name in chosen}
        if len(cells) != 1:
            raise ValueError(f"cube {ref.region!r}: expected one grid, found (lat, lon) {sorted(cells)}")
        names: list[tuple[str, str]] = []
        self._offset: list[int] = []
        known: list[NDArray[np.int64]] = []
        for name in chosen:
            offset = spans[name][0] - self.first_day
            stamps = np.full(n_days, NEVER)
            stamps[offset : offset + spans[name][1]] = _known(name, stored[name])
            for variable, array in stored[name].data_vars.items():
                if array.dims == _DIMS:
                    names.append((name, str(variable)))
                    self._offset.append(offset)
                    known.append(stamps)
        self.available = np.stack(known, axis=1)
        session = Repository(ref.uri, ref.region).open().readonly_session(snapshot_id=ref.snapshot)
        root = zarr.open_group(session.store, mode="r")
        self._arrays = [_array(root, f"{group}/{variable}") for group, variable in names]
        shape = (n_days, *next(iter(cells)))
        # Whole chunks of the first array; where the store cuts shorter, several make a tile.
        t, y, x = (
            min(n, chunk * -(-least // chunk))
            for n, chunk, least in zip(shape, self._arrays[0].chunks, _TILE_LEAST, strict=True)
        )
        self.grid = TileGrid(
            (shape[0], shape[1], shape[2]), (t, y, x), tuple("/".join(name) for name in names)
        )

    def read(self, index: int) -> NDArray[np.float32]:
        """Return the tile number `index` (time, lat, lon, variable), float32; NaN is missing."""
        days, rows, columns = self.grid.bounds(index)
        sizes = (days.stop - days.start, rows.stop - rows.start, columns.stop - columns.start)
        flat = np.empty((len(self._arrays), int(np.prod(sizes))), np.float32)
        layers = flat.reshape(len(self._arrays), *sizes)
        for layer, (start, values) in zip(layers, sync(self._layers(days, rows, columns)), strict=True):
            stop = start + values.shape[0]
            layer[:start], layer[start:stop], layer[stop:] = np.nan, values, np.nan
        out = np.empty((flat.shape[1], flat.shape[0]), np.float32)
        for part in range(0, len(out), _TURN):
            out[part : part + _TURN] = flat[:, part : part + _TURN].T
        return out.reshape(*sizes, len(self._arrays))

    async def _layers(
        self, days: slice, rows: slice, columns: slice
    ) -> list[tuple[int, NDArray[np.float32]]]:
        """Return of each variable where its stored days begin among `days`, and their values, all asked for at once."""
        spans = [
            (
                min(max(days.start - offset, 0), array.shape[0]),
                min(max(days.stop - offset, 0), array.shape[0]),
            )
            for array, offset in zip(self._arrays, self._offset, strict=True)
        ]
        found = await asyncio.gather(
            *(
                array.async_array.getitem((slice(*span), rows, columns))
                for array, span in zip(self._arrays, spans, strict=True)
            )
        )
        return [
            (start + offset - days.start if stop > start else 0, np.asarray(values))
            for (start, stop), offset, values in zip(spans, self._offset, found, strict=True)
        ]

    def __getstate__(self) -> dict[str, object]:
        """Pickle the reference, not the open store."""
        return {"arguments": self._arguments}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Open the store again."""
        self.__init__(*state["arguments"])  # type: ignore[misc]


def is_gridded(group: xr.Dataset) -> bool:
    """Tell whether a group of a cube has daily maps and says of each day when it became known."""
    says_when = "available_time" in group.variables and group["available_time"].dims == ("time",)
    return says_when and any(array.dims == _DIMS for array in group.data_vars.values())


def _array(root: zarr.Group, path: str) -> "zarr.Array[Any]":
    array = root[path]
    if not isinstance(array, zarr.Array):
        raise TypeError(f"{path}: expected an array, found {type(array).__name__}")
    return array


def _days(name: str, group: xr.Dataset) -> tuple[int, int]:
    """Return the number of the first day and how many there are."""
    times = nanoseconds(group["time"].values)
    if times.size == 0 or (times % DAY_NS).any() or (np.diff(times) != DAY_NS).any():
        raise ValueError(
            f"group {name!r}: expected consecutive midnights, found {group['time'].values[:3]}..."
        )
    return int(times[0] // DAY_NS), int(times.size)


def _known(name: str, group: xr.Dataset) -> NDArray[np.int64]:
    """Return when each day became known (time,), ns; a day that does not say is never known."""
    known, end = nanoseconds(group["available_time"].values), nanoseconds(group["time"].values) + DAY_NS
    early = (known != NAT) & (known < end)
    if early.any():
        day = group["time"].values[int(np.flatnonzero(early)[0])]
        raise LeakError(
            f"group {name!r}: {int(early.sum())} days claim to be known before their end, first {day}"
        )
    return np.where(known == NAT, NEVER, known)
