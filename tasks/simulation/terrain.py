"""Elevation of the simulated region: it raises stations, lowers pressure and bends the radar's delay."""

from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from tasks.simulation.geometry import Floats
from tasks.simulation.world import World, stream

STEP_DEG = 0.02
PAD_DEG = 0.5


def spectral_field(shape: tuple[int, int], slope: float, rng: np.random.Generator) -> Floats:
    """Return a random field (row, column) of zero mean and unit variance with power ~ wavenumber^slope, isotropic."""
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    k = np.hypot(ky, kx)
    k[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * k ** (slope / 2)
    field = np.fft.irfft2(spectrum, s=shape)
    return np.asarray((field - field.mean()) / field.std())


def elevation(world: World) -> tuple[Floats, Floats, Floats]:
    """Return (lat, lon, elevation m): lat and lon ascending pixel centres, degree, half a degree beyond the region."""
    box = world.region.bounds.grown(PAD_DEG)
    n_lat = round((box.north - box.south) / STEP_DEG)
    n_lon = round((box.east - box.west) / STEP_DEG)
    lat = box.south + STEP_DEG * (np.arange(n_lat) + 0.5)
    lon = box.west + STEP_DEG * (np.arange(n_lon) + 0.5)
    field = spectral_field((n_lat, n_lon), -3.4, stream(world.seed, "elevation"))
    return lat, lon, np.maximum(600.0 + 350.0 * field, 0.0)


def elevation_at(world: World, latitude: Floats, longitude: Floats) -> Floats:
    """Return the elevation (m) of the pixel that holds each point; points beyond the raster take its edge."""
    lat, lon, height = elevation(world)
    row = np.clip(np.round((latitude - lat[0]) / STEP_DEG).astype(int), 0, len(lat) - 1)
    column = np.clip(np.round((longitude - lon[0]) / STEP_DEG).astype(int), 0, len(lon) - 1)
    return np.asarray(height[row, column])


def write_geotiff(
    path: Path,
    values: NDArray[np.floating] | NDArray[np.uint8],
    north: float,
    west: float,
    step: float,
    units: str,
) -> None:
    """Write `values` (row, column), first row northernmost, as GeoTIFF in EPSG:4326; floats have NaN as no data."""
    floating = values.dtype.kind == "f"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype="float32" if floating else "uint8",
        crs="EPSG:4326",
        transform=from_origin(west, north, step, step),
        nodata=np.nan if floating else None,
    ) as raster:
        raster.write(values.astype(np.float32) if floating else values, 1)
        raster.update_tags(UNITS=units)


def write_elevation(world: World, root: Path) -> None:
    """Write `static/elevation.tif`, m."""
    lat, lon, height = elevation(world)
    folder = root / "static"
    folder.mkdir(parents=True)
    north, west = float(lat[-1] + STEP_DEG / 2), float(lon[0] - STEP_DEG / 2)
    write_geotiff(folder / "elevation.tif", height[::-1], north, west, STEP_DEG, "m")
