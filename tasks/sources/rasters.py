"""Windowed reading of GeoTIFFs in degrees, and what the InSAR readers share."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from tasks.regions import Bounds, SourceConfig
from tasks.sources.contract import SourceDataInvalid
from tasks.sources.payloads import is_packed

WGS84 = "EPSG:4326"
# fill values that files use without declaring them (-3.4e38, 1e16, -9999 in float grids are declared)
_HUGE = 1e30


class Raster(NamedTuple):
    """A north-up grid turned over: `lat`, `lon` pixel centres ascending (degree), `values` (lat, lon), NaN no data."""

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    values: NDArray[np.float32]
    dtype: str


def read_raster(path: Path, bounds: Bounds, assumed_crs: str | None = None) -> Raster | None:
    """Return the first band's pixels with their centre inside `bounds`; None where there are none.

    Reads only the window that is needed. A packed file whose name ends in .gz goes through GDAL's gzip layer.

    Parameters
    ----------
    assumed_crs : str, optional
        What to take where the file has no CRS; without it such a file is invalid, for a guess moves the ground.

    Raises
    ------
    SourceDataInvalid
        If the file cannot be read, has no CRS, is not in EPSG:4326, or is rotated.
    """
    name = f"/vsigzip/{path}" if path.suffix == ".gz" and is_packed(path) else str(path)
    try:
        with rasterio.open(name) as dataset:
            crs = dataset.crs or assumed_crs
            if crs is None:
                raise SourceDataInvalid(path, f"a GeoTIFF with CRS {WGS84}", "no CRS")
            if rasterio.crs.CRS.from_user_input(crs) != rasterio.crs.CRS.from_user_input(WGS84):
                raise SourceDataInvalid(path, f"CRS {WGS84}", str(crs))
            grid = dataset.transform
            if grid.b or grid.d or grid.e >= 0 or grid.a <= 0:
                raise SourceDataInvalid(
                    path, "a north-up grid without rotation", f"transform {tuple(grid)[:6]}"
                )
            lon = grid.c + (np.arange(dataset.width) + 0.5) * grid.a
            lat = grid.f + (np.arange(dataset.height) + 0.5) * grid.e
            columns = np.flatnonzero((lon >= bounds.west) & (lon < bounds.east))
            rows = np.flatnonzero((lat >= bounds.south) & (lat < bounds.north))
            if not columns.size or not rows.size:
                return None
            window = Window(columns[0], rows[0], columns.size, rows.size)
            raw = dataset.read(1, window=window)
            nodata, dtype = dataset.nodata, dataset.dtypes[0]
    except RasterioError as error:
        raise SourceDataInvalid(path, "a readable GeoTIFF", str(error)) from error
    values = raw.astype(np.float32)
    if nodata is not None and not np.isnan(nodata):
        values[raw == nodata] = np.nan
    values[np.abs(values) > _HUGE] = np.nan
    return Raster(lat[rows][::-1].copy(), lon[columns].copy(), values[::-1].copy(), dtype)


def unit_look(
    path: Path, east: np.ndarray, north: np.ndarray, up: np.ndarray
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the unit vector from the ground to the satellite, turned round where it points down.

    Raises
    ------
    SourceDataInvalid
        If the vectors' length differs from 1 by more than 1 % in the median: they are something else; or all are NaN.
    """
    length = np.sqrt(east**2 + north**2 + up**2)
    known = length[np.isfinite(length)]
    typical = float(np.median(known)) if known.size else np.nan
    if not abs(typical - 1.0) <= 0.01:
        raise SourceDataInvalid(path, "unit look vectors", f"vectors of length {typical:.3f}")
    scale = np.where(up < 0, -1.0, 1.0) / length
    return (
        (east * scale).astype(np.float32),
        (north * scale).astype(np.float32),
        (up * scale).astype(np.float32),
    )


def insar_dataset(
    config: SourceConfig,
    lat: np.ndarray,
    lon: np.ndarray,
    frames: Sequence[tuple[np.datetime64, np.datetime64, np.datetime64, np.ndarray, np.ndarray | None]],
    look: tuple[np.ndarray, np.ndarray, np.ndarray],
    track: str,
    licence: str,
    vintage: str,
) -> xr.Dataset:
    """Return one track's line-of-sight displacement (time, lat, lon), m, positive towards the satellite.

    Parameters
    ----------
    frames : sequence of (time_start, time, available_time, los (lat, lon), coherence (lat, lon) or None)
        Sorted here by `time`. Pixels without displacement are NaN with flag 1.
    look : look_east, look_north, look_up (lat, lon)
        From the ground to the satellite; the sign of the east part tells the orbit, for all radars used look right.
    """
    frames = sorted(frames, key=lambda frame: (frame[1], frame[0]))
    start, time, available = (
        np.array([frame[k] for frame in frames], dtype="datetime64[ns]") for k in range(3)
    )
    los = np.stack([frame[3] for frame in frames]).astype(np.float32)
    unknown = np.full(los.shape[1:], np.nan, dtype=np.float32)
    coherence = np.stack([unknown if f[4] is None else f[4] for f in frames]).astype(np.float32)
    cube, plane = ("time", "lat", "lon"), ("lat", "lon")
    orbit = "ascending" if float(np.nanmean(look[0])) < 0 else "descending"
    return xr.Dataset(
        {
            "los_displacement": (cube, los, {"units": "m"}),
            "coherence": (cube, coherence, {"units": "1"}),
            "time_start": ("time", start),
            "available_time": ("time", available),
            "look_east": (plane, look[0], {"units": "1"}),
            "look_north": (plane, look[1], {"units": "1"}),
            "look_up": (plane, look[2], {"units": "1"}),
            "quality_flag": (cube, np.isnan(los).astype(np.uint8)),
        },
        coords={
            "time": time,
            "lat": ("lat", lat, {"units": "degree_north"}),
            "lon": ("lon", lon, {"units": "degree_east"}),
        },
        attrs={
            "provider": config.provider, "modality": "insar", "licence": licence, "vintage": vintage,
            "track": track, "orbit": orbit, "crs": WGS84,
        },
    )  # fmt: skip
