"""How values at a provider's places are carried to the cells: bilinear from a grid, by distance from stations.

The weights are worked out where they are used, some cells at a time: as one matrix they would be larger than the
values that they carry, and would travel to every worker.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.cubes.grid import cell_centres, distances_km
from tasks.regions import Region

# Cells carried at once: some arrays (time, cell) in double precision exist in between.
BLOCK_CELLS: Final = 2048
LEAST_SHARE: Final = 1e-9
LEVEL_KM: Final = 10.0
Floats = NDArray[np.float64]


class Carrier(Protocol):
    """Weights of the places of one source in the cells of a region."""

    @property
    def used(self) -> NDArray[np.bool_]:
        """(point,) whether a place has weight in any cell."""
        ...

    def spread(self, values: Floats) -> Iterator[tuple[slice, Floats]]:
        """Give, some cells at a time, those cells and the weighted sums (time, cell) of `values` (time, point)."""
        ...


class Bilinear(NamedTuple):
    """Linear in latitude times linear in longitude; cells outside the provider's grid take its edge."""

    rows: Floats
    """(node, lat) weights of the provider's latitudes."""
    columns: Floats
    """(node, lon) weights of the provider's longitudes."""

    @classmethod
    def between(cls, source: xr.Dataset, region: Region) -> Self:
        """Return the weights of the nodes of `source` (lat, lon)."""
        rows, columns = (
            _linear(source[name].values.astype(np.float64), cells)
            for name, cells in (("lat", region.latitudes), ("lon", region.longitudes))
        )
        return cls(rows, columns)

    @property
    def used(self) -> NDArray[np.bool_]:
        """(point,) whether a node has weight in any cell."""
        return np.asarray(np.outer(self.rows.max(axis=1), self.columns.max(axis=1)).ravel() > LEAST_SHARE)

    def spread(self, values: Floats) -> Iterator[tuple[slice, Floats]]:
        """See `Carrier.spread`."""
        nodes, width = (self.rows.shape[0], self.columns.shape[0]), self.columns.shape[1]
        along = values.reshape(-1, *nodes) @ self.columns
        step = max(1, BLOCK_CELLS // width)
        for low in range(0, self.rows.shape[1], step):
            band = self.rows[:, low : low + step].T @ along
            yield slice(low * width, (low + band.shape[1]) * width), band.reshape(len(values), -1)


class InverseDistance(NamedTuple):
    """The inverse squared distance, level within 10 km."""

    latitude: Floats
    longitude: Floats
    region: Region

    @classmethod
    def between(cls, source: xr.Dataset, region: Region) -> Self:
        """Return the weights of the stations of `source`."""
        return cls(source["latitude"].values, source["longitude"].values, region)

    @property
    def used(self) -> NDArray[np.bool_]:
        """(point,) every station: none is out of reach."""
        return np.ones(self.latitude.size, dtype=bool)

    def spread(self, values: Floats) -> Iterator[tuple[slice, Floats]]:
        """See `Carrier.spread`."""
        centres = cell_centres(self.region)
        for low in range(0, centres[0].size, BLOCK_CELLS):
            part = slice(low, low + BLOCK_CELLS)
            lat, lon = (axis[part] for axis in centres)
            r = distances_km(self.latitude[:, None], self.longitude[:, None], lat, lon)
            yield part, values @ (1.0 / np.maximum(r, LEVEL_KM) ** 2)


def carry(
    blocks: Sequence[Floats], carriers: Sequence[Carrier], grid: tuple[int, int]
) -> NDArray[np.float32]:
    """Return (time, lat, lon) of the first of `blocks` (time, point) that has a value in a cell; NaN where none has."""
    out = to_cells(blocks[0], carriers[0], grid)
    for block, carrier in zip(blocks[1:], carriers[1:], strict=True):
        out = np.where(np.isnan(out), to_cells(block, carrier, grid), out)
    return out


def to_cells(points: Floats, carrier: Carrier, grid: tuple[int, int]) -> NDArray[np.float32]:
    """Return (time, lat, lon) the weighted mean of the observed `points` (time, point); NaN where none has weight."""
    out = np.empty((points.shape[0], grid[0] * grid[1]), np.float32)
    seen = np.isfinite(points)
    # Mostly all places are observed, or the same ones for long: the sum of their weights is that of many days.
    patterns, which = np.unique(seen, axis=0, return_inverse=True)
    totals, shares = carrier.spread(np.where(seen, points, 0.0)), carrier.spread(patterns.astype(np.float64))
    for (part, total), (_, share) in zip(totals, shares, strict=True):
        usable = np.where(share > LEAST_SHARE, share, np.nan)
        out[:, part] = total / (usable if len(usable) == 1 else usable[which])
    return out.reshape(-1, *grid)


def _linear(nodes: Floats, at: Floats) -> Floats:
    eye = np.eye(nodes.size)
    return np.stack([np.interp(at, nodes, row) for row in eye])
