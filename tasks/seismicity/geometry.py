"""The plane and the cells in which seismicity models work: one projection, one grid, one box per region."""

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from tasks.regions import Region

EARTH_RADIUS_KM = 6371.0088
Floats = NDArray[np.float64]


def cell_areas(latitudes: Floats, longitudes: Floats, resolution_deg: float) -> Floats:
    """Return the areas of grid cells on the sphere.

    Parameters
    ----------
    latitudes, longitudes : array (lat,) and (lon,), degree
        Cell centres.
    resolution_deg : float
        Cell size, degree.

    Returns
    -------
    array (lat, lon), km2
    """
    half = 0.5 * resolution_deg
    band = np.sin(np.radians(latitudes + half)) - np.sin(np.radians(latitudes - half))
    column = EARTH_RADIUS_KM**2 * np.radians(resolution_deg) * band
    return np.repeat(column[:, None], len(longitudes), axis=1)


@dataclass(frozen=True)
class Plane:
    """Equirectangular plane about the middle of a box, km east and north.

    East-west distances are wrong by the factor cos(lat) / cos(middle), that is by at most
    tan(lat) times half the height of the box in radians: 1 % for a box 1.6 degrees high at 36 degrees,
    3.5 % for 5 degrees. In exchange all cells are equal rectangles.

    Attributes
    ----------
    latitude, longitude : float, degree
        The origin.
    south, north, west, east : float, km
        The target box.
    dx, dy : float, km
        Size of one cell.
    rows, columns : int
        Number of cells of the box, south to north and west to east.
    """

    latitude: float
    longitude: float
    south: float
    north: float
    west: float
    east: float
    dx: float
    dy: float
    rows: int
    columns: int

    @classmethod
    def of(cls, region: Region) -> "Plane":
        """Return the plane of a region's box."""
        bounds = region.bounds
        latitude = 0.5 * (bounds.south + bounds.north)
        longitude = 0.5 * (bounds.west + bounds.east)
        north_km = math.radians(1.0) * EARTH_RADIUS_KM
        east_km = north_km * math.cos(math.radians(latitude))
        return cls(
            latitude=latitude,
            longitude=longitude,
            south=(bounds.south - latitude) * north_km,
            north=(bounds.north - latitude) * north_km,
            west=(bounds.west - longitude) * east_km,
            east=(bounds.east - longitude) * east_km,
            dx=region.resolution_deg * east_km,
            dy=region.resolution_deg * north_km,
            rows=len(region.latitudes),
            columns=len(region.longitudes),
        )

    @property
    def area(self) -> float:
        """Area of the target box in the plane, km2."""
        return (self.north - self.south) * (self.east - self.west)

    @property
    def east_km_per_degree(self) -> float:
        """Length of a degree of longitude in the plane, km."""
        return math.radians(1.0) * EARTH_RADIUS_KM * math.cos(math.radians(self.latitude))

    @property
    def box(self) -> Floats:
        """The box as (west, east, south, north), km."""
        return np.array([self.west, self.east, self.south, self.north])

    def project(self, latitude: ArrayLike, longitude: ArrayLike) -> tuple[Floats, Floats]:
        """Return km east and km north of the origin for positions in degrees."""
        north_km = math.radians(1.0) * EARTH_RADIUS_KM
        x = (np.asarray(longitude, dtype=np.float64) - self.longitude) * self.east_km_per_degree
        y = (np.asarray(latitude, dtype=np.float64) - self.latitude) * north_km
        return np.asarray(x, np.float64), np.asarray(y, np.float64)

    def unproject(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Return latitude and longitude, degree, of places in km: the inverse of `project`."""
        north_km = math.radians(1.0) * EARTH_RADIUS_KM
        east_km = north_km * math.cos(math.radians(self.latitude))
        latitude = self.latitude + np.asarray(y, np.float64) / north_km
        return np.asarray(latitude), np.asarray(self.longitude + np.asarray(x, np.float64) / east_km)

    def edges(self, margin_cells: int = 0) -> tuple[Floats, Floats]:
        """Return the cell edges of the box grown by whole cells: (columns + 1,) and (rows + 1,), km."""
        x = self.west + self.dx * np.arange(-margin_cells, self.columns + margin_cells + 1)
        y = self.south + self.dy * np.arange(-margin_cells, self.rows + margin_cells + 1)
        return np.asarray(x, np.float64), np.asarray(y, np.float64)


def on_cells(values: Floats, region: Region) -> xr.DataArray:
    """Return values (lat, lon) with the region's cell centres as coordinates."""
    return xr.DataArray(
        values, dims=("lat", "lon"), coords={"lat": region.latitudes, "lon": region.longitudes}
    )
