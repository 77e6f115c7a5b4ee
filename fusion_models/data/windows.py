"""Training windows of gridded cube variables, cut from tiles: (batch, time, lat, lon, variable) as known at issue."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fusion_models.data.cube import DAY_NS, nanoseconds
from fusion_models.data.datamodule import EpochOrder
from fusion_models.data.tiles import Tiles, Values


class WindowShape(NamedTuple):
    """Days that end at the issue time, and cells north and east of the origin, itself included."""

    days: int
    rows: int
    columns: int


class Origins(NamedTuple):
    """Where windows lie: issue time (n,) UTC, and row and column (n,) of the window's south-west cell."""

    issue_time: NDArray[np.datetime64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]


class WindowSet(Dataset[Tensor]):
    """Windows indexed by a list of origins at once, float32 (batch, time, lat, lon, variable).

    Time holds the `shape.days` days that end at the issue time, rounded down to a UTC midnight. A value is NaN
    where the cube has none, has no such day, or learnt it after the issue time: the rule of `as_of`.

    Parameters
    ----------
    tiles : Tiles
        `TileMemory` reads what is asked for; `map_tiles` gives all of it, memory-mapped.

    Raises
    ------
    ValueError
        If a window reaches past the grid, an issue time is NaT, or `tiles` cannot hold one window's tiles.
    """

    def __init__(self, tiles: Tiles, shape: WindowShape, origins: Origins) -> None:
        self.tiles, self.shape, self.origins = tiles, shape, origins
        grid = tiles.source.grid
        if min(shape) < 1 or np.isnat(origins.issue_time).any():
            raise ValueError(f"expected lengths from 1 on and issue times, found {shape!r} and NaT or less")
        for name, start, length, n in (
            ("row", origins.row, shape.rows, grid.shape[1]),
            ("column", origins.column, shape.columns, grid.shape[2]),
        ):
            outside = np.flatnonzero((start < 0) | (start + length > n))
            if outside.size:
                raise ValueError(
                    f"origin {int(outside[0])}: expected its {name} from 0 to {n - length} so that {length} cells fit "
                    f"into {n}, found {int(start[outside[0]])}"
                )
        most = int(np.prod([-(-(w - 1) // step) + 1 for w, step in zip(shape, grid.tile, strict=True)]))
        if tiles.capacity < min(most, int(np.prod(grid.counts))):
            raise ValueError(
                f"expected room for the {most} tiles that a window can cross, found {tiles.capacity}; "
                f"give {most * grid.tile_bytes} bytes"
            )
        self._now = nanoseconds(origins.issue_time)
        # First row of each window; may be before the cube's first day or end after its last.
        self._first = self._now // DAY_NS - tiles.source.first_day - shape.days
        self._complete = tiles.source.available.max(axis=1, initial=0)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._now)

    def __getitem__(self, rows: Sequence[int]) -> Tensor:
        """Return the windows number `rows`, in that order."""
        out = np.empty((len(rows), *self.shape, len(self.tiles.source.grid.variables)), np.float32)
        for part in self._parts(rows):
            tiles = self.tiles.take([index for position in part for index in self._crossed(rows[position])])
            for position in part:
                self._fill(out[position], rows[position], tiles)
        return torch.from_numpy(out)

    def _parts(self, rows: Sequence[int]) -> Iterator[list[int]]:
        """Yield positions in `rows` such that the tiles of each part fit into `tiles` at once."""
        part: list[int] = []
        held: set[int] = set()
        for position, row in enumerate(rows):
            more = held.union(self._crossed(row))
            if part and len(more) > self.tiles.capacity:
                yield part
                part, more = [], set(self._crossed(row))
            part.append(position)
            held = more
        if part:
            yield part

    def _span(self, row: int) -> tuple[slice, slice, slice]:
        """Return rows of the cube, clipped to it, and cells of window number `row`."""
        n = self.tiles.source.grid.shape[0]
        first, y, x = int(self._first[row]), int(self.origins.row[row]), int(self.origins.column[row])
        start, stop = min(max(first, 0), n), min(max(first + self.shape.days, 0), n)
        return slice(start, stop), slice(y, y + self.shape.rows), slice(x, x + self.shape.columns)

    def _crossed(self, row: int) -> list[int]:
        grid = self.tiles.source.grid
        t, y, x = (
            np.arange(s.start // step, -(-s.stop // step)) if s.stop > s.start else np.arange(0)
            for s, step in zip(self._span(row), grid.tile, strict=True)
        )
        _, n_y, n_x = grid.counts
        crossed: list[int] = ((t[:, None, None] * n_y + y[:, None]) * n_x + x).ravel().tolist()
        return crossed

    def _fill(self, out: Values, row: int, tiles: Mapping[int, Values]) -> None:
        span = self._span(row)
        t0 = int(self._first[row])
        if span[0].start != t0 or span[0].stop != t0 + self.shape.days:
            out[:] = np.nan
        for index in self._crossed(row):
            bounds = self.tiles.source.grid.bounds(index)
            common = [
                slice(max(s.start, b.start), min(s.stop, b.stop)) for s, b in zip(span, bounds, strict=True)
            ]
            starts = (t0, span[1].start, span[2].start)
            to = tuple(slice(c.start - o, c.stop - o) for c, o in zip(common, starts, strict=True))
            at = tuple(
                slice(c.start - b.start, c.stop - b.start) for c, b in zip(common, bounds, strict=True)
            )
            out[to] = tiles[index][at]
        if self._complete[span[0]].max(initial=0) > self._now[row]:
            day, variable = np.nonzero(self.tiles.source.available[span[0]] > self._now[row])
            out[day + span[0].start - t0, :, :, variable] = np.nan


def window_loader(
    windows: WindowSet, batch_size: int, *, seed: int | None, workers: int = 0
) -> DataLoader[Tensor]:
    """Return a loader of batches whose order and content depend on `seed` alone, not on `workers`.

    Parameters
    ----------
    seed : int, optional
        Order of an epoch; None keeps the order of the origins.
    workers : int
        Processes besides this one. They come from a fork server: a fork of a process that has read from the
        store hangs.
    """
    order = EpochOrder(len(windows), batch_size, seed)
    if workers == 0:
        return DataLoader(windows, sampler=order, batch_size=None)
    return DataLoader(
        windows,
        sampler=order,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="forkserver",
        persistent_workers=True,
    )
