"""ARIA-GUNW interferograms (JPL): NetCDF4 in degrees, with imaging geometry as coarse cubes over height."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from tasks.regions import Bounds, Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid, SourceMissing
from tasks.sources.hdf5 import Product, open_product
from tasks.sources.interferograms import (
    Frame,
    acquisition,
    in_order,
    known_at,
    modified_at,
    phase_to_los,
    stack,
)
from tasks.sources.looks import Looks
from tasks.sources.options import choice_option, number_option, text_option
from tasks.sources.payloads import empty, list_payloads, read_each
from tasks.sources.warping import Grid, read_onto

_NAME = re.compile(r"S1-GUNW-([AD])-[RL]-(\d{3})-tops-(\d{8})_(\d{8})-(\d{6})-.+\.nc")
_DATA, _GEOMETRY = "/science/grids/data/", "/science/grids/imagingGeometry/"
_RADIANS = ("rad", "radian", "radians")
_DEGREES = ("degree", "degrees", "deg", "degrees_north", "degrees_east")
# Sentinel-1's is 0.05547 m
_WAVELENGTHS_M = (0.055, 0.056)
# a tenth of a pixel is a metre or so of the 90 m; more is another lattice
_OFF_LATTICE = 0.1


class _Name(NamedTuple):
    track: str
    start: np.datetime64
    time: np.datetime64


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the interferograms of one track whose later acquisition is inside the window.

    The path holds `S1-GUNW-*.nc` (EPSG:4326; the name has later and earlier day and the time of day). ARIA's
    reference is the later pass, so that `unwrappedPhase`, rad, times λ / 4π is metres towards the satellite without a
    change of sign. Connected component 0 (unreliable) and fill are NaN. The look vector comes from incidence and
    azimuth (degree, anticlockwise from east, ground to satellite), interpolated at the height of the ground: that of
    the raster which option `dem` names (m, a path below the archive), else option `height_m` (default 0). Products of
    one pass are joined.

    `available_time` is the file's time of modification (the catalogue's revision date, as a service sets it; vintage
    "as issued"), or with option `availability: rule` the end of the later day plus `latency_days`
    ("reconstructed"); never before that end. Option `reference` "lat,lon,radius_km".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A product on another lattice or of another track than the first one is invalid.
    """
    availability = choice_option(config, "availability", ("modified_time", "rule"))
    paths = list_payloads(config, root, "**/S1-GUNW-*.nc")
    named, invalid = read_each(paths, lambda path: (path, _parse(path)))
    track = named[0][1].track
    names = dict(named)
    grid: Grid | None = None
    looks: Looks | None = None
    heights = np.zeros((0, 0))

    def read(path: Path) -> Frame | None:
        nonlocal grid, looks, heights
        name = names[path]
        if name.track != track:
            raise SourceDataInvalid(path, f"a product of track {track}", name.track)
        with open_product(path) as product:
            if grid is None or looks is None:
                # the lattice of the oldest product, whatever the window: every fetch falls on the same pixels
                grid = _lattice(product, region.bounds)
                looks, heights = Looks(grid), _ground(config, root, grid)
            if not window.start <= name.time < window.end:
                return None
            values = _place(product, grid)
            if values is None:
                return None
            los, coherence = values
            wanted = looks.missing & np.isfinite(los)
            if wanted.any():
                looks.add(path, *_look(product, grid, heights, wanted))
        said = modified_at(path) if availability == "modified_time" else None
        return Frame(name.start, name.time, known_at(config, name.time, said), los, coherence)

    frames, damaged = read_each(sorted(names), read)
    if not frames or grid is None or looks is None:
        raise empty(config, root, region, window)
    return stack(
        config, region, paths[0].parent, (grid.lat, grid.lon), frames, looks.vectors, track=track,
        invalid=[*invalid, *damaged], vintage="as issued" if availability == "modified_time" else "reconstructed",
    )  # fmt: skip


def _parse(path: Path) -> _Name:
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise SourceDataInvalid(
            path, "a name like S1-GUNW-A-R-064-tops-<later>_<earlier>-<hhmmss>-...nc", path.name
        )
    orbit, track, later, earlier, clock = found.groups()
    start, time = acquisition(path, f"{earlier}T{clock}"), acquisition(path, f"{later}T{clock}")
    in_order(path, start, time)
    return _Name(f"{orbit.lower()}{track}", start, time)


def _lattice(product: Product, bounds: Bounds) -> Grid:
    """Return all pixels of the product's lattice with their centre inside the region, whatever it covers itself."""
    axes = []
    for name, low, high in (
        ("latitude", bounds.south, bounds.north),
        ("longitude", bounds.west, bounds.east),
    ):
        centres = product.coordinate(f"{_DATA}{name}")
        step = abs(float(centres[-1] - centres[0])) / max(1, centres.size - 1)
        if (
            centres.size < 2
            or not 1e-5 < step < 0.1
            or not np.allclose(np.abs(np.diff(centres)), step, rtol=0.01)
        ):
            raise SourceDataInvalid(
                product.path, f"an evenly spaced {name} in degrees", f"a step of {step:g}"
            )
        first = int(np.ceil((low - centres[0]) / step - 1e-6))
        last = int(np.ceil((high - centres[0]) / step - 1e-6))
        axes.append((np.round(centres[0] + np.arange(first, last) * step, 9), step))
    (lat, step), (lon, _) = axes
    if not lat.size or not lon.size:
        raise SourceDataInvalid(product.path, "pixels smaller than the region", f"a step of {step:g} degree")
    return Grid(lat, lon, step)


def _indices(
    product: Product, name: str, grid_axis: NDArray[np.float64]
) -> tuple[slice, NDArray[np.intp], int] | None:
    """Return the part of a product's axis inside the grid, where it goes there, and the axis' length."""
    centres = product.coordinate(f"{_DATA}{name}")
    if grid_axis.size < 2:
        raise SourceDataInvalid(product.path, "a region of more than one pixel", f"{grid_axis.size}")
    step = float(grid_axis[-1] - grid_axis[0]) / (grid_axis.size - 1)
    position = (centres - grid_axis[0]) / step
    target = np.round(position).astype(np.intp)
    inside = np.flatnonzero((target >= 0) & (target < grid_axis.size))
    if not inside.size:
        return None
    part = slice(int(inside[0]), int(inside[-1]) + 1)
    offset = float(np.abs(position[part] - target[part]).max())
    if offset > _OFF_LATTICE or (np.abs(np.diff(target[part])) != 1).any():
        raise SourceDataInvalid(
            product.path, "the lattice of the track's first product", f"{name} {offset:.2f} pixels off"
        )
    return part, target[part], centres.size


def _place(product: Product, grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return displacement, m, and coherence on the grid; None where the product does not reach it."""
    down, across = _indices(product, "latitude", grid.lat), _indices(product, "longitude", grid.lon)
    if down is None or across is None:
        return None
    shape = down[2], across[2]
    product.check_unit(f"{_DATA}unwrappedPhase", _RADIANS)
    wavelength = product.scalar("/science/radarMetaData/wavelength", *_WAVELENGTHS_M)
    parts = {
        name: product.layer(f"{_DATA}{name}", down[0], across[0], shape)
        for name in ("unwrappedPhase", "coherence", "connectedComponents")
    }
    good = parts["connectedComponents"] > 0
    phase = np.where(good, parts["unwrappedPhase"], np.nan)
    los = np.full(grid.shape, np.nan, dtype=np.float32)
    coherence = np.full(grid.shape, np.nan, dtype=np.float32)
    at = np.ix_(down[1], across[1])
    los[at] = phase_to_los(product.path, phase, wavelength / (4 * np.pi))
    coherence[at] = np.where(good, parts["coherence"], np.nan)
    if bool(((coherence < 0) | (coherence > 1.001)).any()):
        raise SourceDataInvalid(product.path, "coherence 0..1", f"up to {np.nanmax(coherence):g}")
    return los, coherence


def _ground(config: SourceConfig, root: Path, grid: Grid) -> NDArray[np.float64]:
    """Return the height of the ground (lat, lon), m."""
    mean = number_option(config, "height_m", 0.0)
    name = text_option(config, "dem", "")
    if not name:
        return np.full(grid.shape, mean)
    if not (root / name).is_file():
        raise SourceMissing(
            f"{root / name}: expected the elevation raster of source {config.group}, found nothing"
        )
    heights = read_onto(root / name, grid)
    return np.full(grid.shape, mean) if heights is None else np.where(np.isfinite(heights), heights, mean)


def _look(
    product: Product, grid: Grid, heights: NDArray[np.float64], wanted: NDArray[np.bool_]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return east, north, up (lat, lon) at the height of the ground, NaN where not wanted or not covered."""
    axes = [product.coordinate(f"{_GEOMETRY}{n}Meta") for n in ("heights", "latitude", "longitude")]
    shape = (axes[0].size, axes[1].size, axes[2].size)
    angles = []
    for name in ("incidenceAngle", "azimuthAngle"):
        product.check_unit(f"{_GEOMETRY}{name}", _DEGREES)
        angles.append(np.radians(product.cube(f"{_GEOMETRY}{name}", shape)))
    incidence, azimuth = angles
    if not bool(((incidence > 0) & (incidence < np.pi / 2))[np.isfinite(incidence)].all()):
        raise SourceDataInvalid(product.path, "incidence angles between 0 and 90 degree", "some outside")
    # the azimuth jumps at ±180 degree, the vector does not
    nodes = np.stack(
        [np.sin(incidence) * np.cos(azimuth), np.sin(incidence) * np.sin(azimuth), np.cos(incidence)], axis=-1
    )
    for k in range(3):
        if axes[k].size < 2 or not (np.diff(axes[k]) > 0).all():
            order = np.argsort(axes[k])
            axes[k], nodes = axes[k][order], np.take(nodes, order, axis=k)
        if axes[k].size < 2 or not (np.diff(axes[k]) > 0).all():
            raise SourceDataInvalid(product.path, "axes of the imaging geometry in order", f"{axes[k][:4]}")
    interpolate = RegularGridInterpolator(axes, nodes, bounds_error=False, fill_value=np.nan)
    result = np.full((3, *grid.shape), np.nan)
    for rows, part in grid.strips():
        i, j = np.nonzero(wanted[rows])
        if i.size:
            height = np.clip(heights[rows][i, j], axes[0][0], axes[0][-1])
            vectors = interpolate(np.stack([height, part.lat[i], part.lon[j]], axis=1))
            # a chord between unit vectors is a little short
            result[:, rows][:, i, j] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
    return result[0], result[1], result[2]
