"""Whole maps of a gridded variable, gathered from tiles: what a cube larger than memory shows as of an issue time."""

import numpy as np
from numpy.typing import NDArray

from fusion_models.data.tiles import Tiles


class TiledMaps:
    """One variable (time, lat, lon) that reads the rows asked for, and can be indexed by them alone.

    Parameters
    ----------
    tiles : Tiles
        See `map_tiles` and `TileMemory`.
    column : int
        Place of the variable in `tiles.source.grid.variables`.
    first, n : int
        Row of the tiles that is row 0 here; number of rows.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, tiles: Tiles, column: int, first: int, n: int) -> None:
        self._tiles, self._column, self._first = tiles, column, first
        self.shape = (n, *tiles.source.grid.shape[1:])

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the maps (row, lat, lon) of `rows`, NaN where a value is missing or the row negative."""
        out = np.full((rows.size, *self.shape[1:]), np.nan, self.dtype)
        grid = self._tiles.source.grid
        _, n_y, n_x = grid.counts
        at = np.where(rows < 0, -1, rows + self._first)
        for t in np.unique(at[at >= 0] // grid.tile[0]):
            mine = np.flatnonzero((at >= 0) & (at // grid.tile[0] == t))
            for index in range(int(t) * n_y * n_x, (int(t) + 1) * n_y * n_x):
                days, y, x = grid.bounds(index)
                values = self._tiles.take([index])[index][..., self._column]
                out[mine, y, x] = values[at[mine] - days.start, : y.stop - y.start, : x.stop - x.start]
        return out
