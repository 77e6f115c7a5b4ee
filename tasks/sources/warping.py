"""Grids in degrees laid over a region, and projected rasters brought onto them without reading whole scenes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import Affine, from_origin
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject, transform_bounds

from tasks.regions import Bounds, SourceConfig
from tasks.sources.contract import SourceDataInvalid
from tasks.sources.options import number_option
from tasks.sources.rasters import WGS84

# rows of the target that are warped at a time: bounds the memory whatever the region
_STRIP: Final = 256
_WARP_MEMORY_MIB: Final = 16
_MARGIN: Final = 2
Floats = NDArray[np.float32]


class Grid(NamedTuple):
    """Pixel centres, degree, ascending: `lat` (lat,) and `lon` (lon,), and their step."""

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    step: float

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return self.lat.size, self.lon.size

    @property
    def transform(self) -> Affine:
        """North-up affine transform of the grid turned over."""
        half = self.step / 2
        return from_origin(self.lon[0] - half, self.lat[-1] + half, self.step, self.step)

    def strips(self) -> Iterator[tuple[slice, "Grid"]]:
        """Yield the grid a few hundred rows at a time, with the rows that each part is."""
        for first in range(0, self.lat.size, _STRIP):
            rows = slice(first, min(first + _STRIP, self.lat.size))
            yield rows, Grid(self.lat[rows], self.lon, self.step)


def region_grid(config: SourceConfig, bounds: Bounds, default_step: float) -> Grid:
    """Return the grid over `bounds` with a step of option `step_deg`, anchored to the south-western corner.

    Products whose own grids differ from date to date fall on the same pixels that way.

    Raises
    ------
    ValueError
        If the step is not positive or larger than the box.
    """
    step = number_option(config, "step_deg", default_step)
    extents = (bounds.north - bounds.south, bounds.east - bounds.west)
    if not 0 < step <= min(extents):
        raise ValueError(
            f"source {config.group}: option 'step_deg' must be in (0, {min(extents):g}], found {step!r}"
        )
    rows, columns = (max(1, round(extent / step)) for extent in extents)
    return Grid(
        np.round(bounds.south + (np.arange(rows) + 0.5) * step, 9),
        np.round(bounds.west + (np.arange(columns) + 0.5) * step, 9),
        step,
    )


def read_onto(
    path: Path, grid: Grid, *, band: int = 1, nodata: float | None = None, average: bool = True
) -> Floats | None:
    """Return a raster in whatever CRS on the grid (lat, lon), no data NaN; None where it does not reach the grid.

    Parameters
    ----------
    nodata : float, optional
        What marks no data where the file does not say.
    average : bool
        Mean of the pixels in a cell (they weigh as they cover it); else the nearest: angles and labels have no mean.

    Raises
    ------
    SourceDataInvalid
        If the file cannot be read or has no CRS, or no such band.
    """
    resampling = Resampling.average if average else Resampling.nearest
    try:
        with rasterio.open(path) as dataset:
            if dataset.crs is None:
                raise SourceDataInvalid(path, "a GeoTIFF with a CRS", "no CRS")
            if band > dataset.count:
                raise SourceDataInvalid(path, f"at least {band} bands", f"{dataset.count}")
            box = transform_bounds(dataset.crs, WGS84, *dataset.bounds)
            if not _overlap(box, grid):
                return None
            missing = dataset.nodata if dataset.nodata is not None else nodata
            with WarpedVRT(
                dataset,
                crs=WGS84,
                transform=grid.transform,
                width=grid.lon.size,
                height=grid.lat.size,
                resampling=resampling,
                src_nodata=missing,
                nodata=np.nan,
                dtype="float32",
                warp_mem_limit=_WARP_MEMORY_MIB,
            ) as warped:
                values: Floats = warped.read(band)
    except (RasterioError, CRSError) as error:
        raise SourceDataInvalid(path, "a readable GeoTIFF", str(error)) from error
    return values[::-1].copy()


def warp_array(
    path: Path,
    read: Callable[[slice, slice], Floats],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    crs: str,
    grid: Grid,
) -> Floats | None:
    """Return an array in projected coordinates as means on the grid (lat, lon); None where it does not reach it.

    Parameters
    ----------
    read : callable of (rows, columns)
        Gives that part of the array, NaN no data; only what the grid needs is asked for, strip by strip.
    x, y : (column,), (row,)
        Pixel centres, regular, y descending, in units of `crs`.

    Raises
    ------
    SourceDataInvalid
        If the coordinates or the CRS are not what they should be.
    """
    step_x, step_y = _step(path, "x", x), _step(path, "y", y)
    if step_x <= 0 or step_y >= 0:
        raise SourceDataInvalid(path, "x ascending and y descending", f"steps of {step_x:g} and {step_y:g}")
    result = np.full(grid.shape, np.nan, dtype=np.float32)
    touched = False
    try:
        source = CRS.from_user_input(crs)
        for rows, part in grid.strips():
            half = grid.step / 2
            west, south, east, north = transform_bounds(
                WGS84,
                source,
                part.lon[0] - half,
                part.lat[0] - half,
                part.lon[-1] + half,
                part.lat[-1] + half,
            )
            across = _cut((west - x[0]) / step_x, (east - x[0]) / step_x, x.size)
            down = _cut((north - y[0]) / step_y, (south - y[0]) / step_y, y.size)
            if across is None or down is None:
                continue
            touched = True
            corner = from_origin(x[across.start] - step_x / 2, y[down.start] - step_y / 2, step_x, -step_y)
            warped = np.full(part.shape, np.nan, dtype=np.float32)
            reproject(
                read(down, across), warped, src_transform=corner, src_crs=source, src_nodata=np.nan,
                dst_transform=part.transform, dst_crs=WGS84, dst_nodata=np.nan, resampling=Resampling.average,
                warp_mem_limit=_WARP_MEMORY_MIB,
            )  # fmt: skip
            result[rows] = warped[::-1]
    except (RasterioError, CRSError) as error:
        raise SourceDataInvalid(path, "a projection that can be undone", str(error)) from error
    return result if touched else None


def _step(path: Path, name: str, centres: NDArray[np.float64]) -> float:
    steps = np.diff(centres)
    if not steps.size or not np.isfinite(steps).all() or np.ptp(steps) > 1e-3 * abs(float(steps[0])):
        raise SourceDataInvalid(path, f"at least two evenly spaced {name}", f"{centres[:3]} ...")
    return float(centres[-1] - centres[0]) / steps.size


def _cut(first: float, last: float, size: int) -> slice | None:
    if not np.isfinite([first, last]).all():
        return None
    start, stop = max(0, int(first) - _MARGIN), min(size, int(last) + 1 + _MARGIN)
    return slice(start, stop) if stop - start > 1 else None


def _overlap(box: tuple[float, float, float, float], grid: Grid) -> bool:
    west, south, east, north = box
    return bool(west < grid.lon[-1] and east > grid.lon[0] and south < grid.lat[-1] and north > grid.lat[0])
