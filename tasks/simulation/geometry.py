"""The plane in which the world is made: local kilometres, cells and the finer sub-cells of the background."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.regions import Region

Floats = NDArray[np.floating]
KM_PER_DEGREE = np.pi * 6371.0 / 180.0
SUBDIVISIONS = 5


@dataclass(frozen=True)
class LocalPlane:
    """Equirectangular plane about (latitude, longitude), degree; x east and y north in km."""

    latitude: float
    longitude: float

    @property
    def km_per_degree_east(self) -> float:
        """Length of a degree of longitude, km."""
        return float(KM_PER_DEGREE * np.cos(np.radians(self.latitude)))

    def to_km(self, latitude: ArrayLike, longitude: ArrayLike) -> tuple[Floats, Floats]:
        """Return (x, y) in km of points in degrees."""
        x = (np.asarray(longitude, float) - self.longitude) * self.km_per_degree_east
        return x, (np.asarray(latitude, float) - self.latitude) * KM_PER_DEGREE

    def to_degrees(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Return (latitude, longitude) in degrees of points in km."""
        latitude = self.latitude + np.asarray(y, float) / KM_PER_DEGREE
        return latitude, self.longitude + np.asarray(x, float) / self.km_per_degree_east


@dataclass(frozen=True)
class Domain:
    """The region's cells, with the margin around them in whole cells, and `SUBDIVISIONS`^2 sub-cells in each.

    The background is constant within a sub-cell, so that the simulated truth and its integral agree exactly.
    """

    plane: LocalPlane
    x_edges: Floats
    y_edges: Floats
    margin_cells: int

    @classmethod
    def of(cls, region: Region) -> "Domain":
        """Return the domain of `region`; a margin that is no whole number of cells is rounded up."""
        box, step = region.bounds, region.resolution_deg
        plane = LocalPlane((box.south + box.north) / 2, (box.west + box.east) / 2)
        margin = int(np.ceil(region.margin_deg / step - 1e-9))
        lat = box.south + step * np.arange(-margin, len(region.latitudes) + margin + 1)
        lon = box.west + step * np.arange(-margin, len(region.longitudes) + margin + 1)
        x, _ = plane.to_km(np.full_like(lon, plane.latitude), lon)
        _, y = plane.to_km(lat, np.full_like(lat, plane.longitude))
        return cls(plane, x, y, margin)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of cells (lat, lon), margin included."""
        return len(self.y_edges) - 1, len(self.x_edges) - 1

    @property
    def inner(self) -> tuple[slice, slice]:
        """The region's own cells within the domain."""
        m, (rows, columns) = self.margin_cells, self.shape
        return slice(m, rows - m), slice(m, columns - m)

    @cached_property
    def sub_x(self) -> Floats:
        """Sub-cell centres, km east."""
        return _subdivide(self.x_edges)

    @cached_property
    def sub_y(self) -> Floats:
        """Sub-cell centres, km north."""
        return _subdivide(self.y_edges)

    @property
    def sub_step(self) -> tuple[float, float]:
        """Sub-cell size (x, y), km."""
        return float(self.sub_x[1] - self.sub_x[0]), float(self.sub_y[1] - self.sub_y[0])

    def to_cells(self, field: Floats) -> Floats:
        """Return sums over the sub-cells (..., sub_lat, sub_lon) of each cell (..., lat, lon)."""
        rows, columns = self.shape
        split = field.reshape(*field.shape[:-2], rows, SUBDIVISIONS, columns, SUBDIVISIONS)
        return np.asarray(split.sum(axis=(-3, -1)))

    def at(self, field: Floats, x: Floats, y: Floats) -> Floats:
        """Return `field` (sub_lat, sub_lon) at points in km, 0 outside the domain."""
        dx, dy = self.sub_step
        column = np.floor((x - self.x_edges[0]) / dx).astype(int)
        row = np.floor((y - self.y_edges[0]) / dy).astype(int)
        inside = (row >= 0) & (row < field.shape[0]) & (column >= 0) & (column < field.shape[1])
        values = field[np.clip(row, 0, field.shape[0] - 1), np.clip(column, 0, field.shape[1] - 1)]
        return np.where(inside, values, 0.0)


def _subdivide(edges: Floats) -> Floats:
    n = (len(edges) - 1) * SUBDIVISIONS
    step = (edges[-1] - edges[0]) / n
    return np.asarray(edges[0] + step * (np.arange(n) + 0.5))
