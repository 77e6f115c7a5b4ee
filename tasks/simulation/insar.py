"""Two tracks of interferograms, written as line-of-sight GeoTIFFs."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.simulation.deformation import Deformation
from tasks.simulation.geometry import Floats
from tasks.simulation.rain import YEAR
from tasks.simulation.terrain import elevation_at, spectral_field, write_geotiff
from tasks.simulation.weather import Weather
from tasks.simulation.world import World, stream

HEADING_DEG = {True: -12.0, False: 192.0}
INCIDENCE_DEG = (33.0, 44.0)
WET_SCALE_HEIGHT_M = 2000.0
COARSEN = 2


@dataclass(frozen=True)
class Track:
    """One orbit: `look` (3, lat, lon) unit vectors from ground to satellite east, north, up; lat and lon ascending."""

    name: str
    lat: Floats
    lon: Floats
    height: Floats
    look: Floats
    acquisitions: Floats


def look_vectors(lon: Floats, rows: int, is_ascending: bool) -> Floats:
    """Return unit vectors (3, lat, lon) of a right-looking satellite whose incidence grows away from its track.

    An ascending satellite passes to the west of the scene, a descending one to the east; `look_up` > 0.
    """
    across = (lon - lon[0]) / (lon[-1] - lon[0])
    if not is_ascending:
        across = 1 - across
    incidence = np.radians(INCIDENCE_DEG[0] + (INCIDENCE_DEG[1] - INCIDENCE_DEG[0]) * across)
    heading = np.radians(HEADING_DEG[is_ascending])
    # ground range points to the right of the heading; the satellite lies against it
    east = -np.sin(incidence) * np.cos(heading)
    north = np.sin(incidence) * np.sin(heading)
    row = np.stack([east, north, np.cos(incidence)])
    return np.repeat(row[:, None, :], rows, axis=1)


def tracks_of(world: World) -> list[Track]:
    """Return the ascending and the descending track, whose acquisitions are half a repeat apart."""
    c, box = world.config.insar, world.region.bounds
    lat = box.south + c.step_deg * (np.arange(round((box.north - box.south) / c.step_deg)) + 0.5)
    lon = box.west + c.step_deg * (np.arange(round((box.east - box.west) / c.step_deg)) + 0.5)
    grid_lat, grid_lon = np.meshgrid(lat, lon, indexing="ij")
    height = elevation_at(world, grid_lat.ravel(), grid_lon.ravel()).reshape(grid_lat.shape)
    tracks = []
    for name, is_ascending, first in (
        (c.ascending, True, 1.0),
        (c.descending, False, 1.0 + c.repeat_days // 2),
    ):
        # passes at about 18 and 6 h local solar time; here UTC for both
        passes = np.arange(first, world.days, c.repeat_days) + (0.66 if is_ascending else 0.17)
        look = look_vectors(lon, len(lat), is_ascending)
        tracks.append(Track(name, lat, lon, height, look, passes[passes < world.days]))
    return tracks


def line_of_sight(world: World, track: Track) -> Floats:
    """Return the deformation in the line of sight (acquisition, lat, lon), m, towards the satellite +.

    Sources are computed on every second pixel and interpolated: their fields are smooth on that scale.
    """
    nodes_lat, nodes_lon = (
        np.append(v[::COARSEN], v[-1] + (v[1] - v[0]) * 0.5) for v in (track.lat, track.lon)
    )
    grid_lat, grid_lon = np.meshgrid(nodes_lat, nodes_lon, indexing="ij")
    x, y = world.domain.plane.to_km(grid_lat.ravel(), grid_lon.ravel())
    deformation = Deformation.at(world, x, y)
    coarse = deformation.static.reshape(len(deformation.sources), len(nodes_lat), len(nodes_lon), 3)
    rows, columns = _interpolation(nodes_lat, track.lat), _interpolation(nodes_lon, track.lon)
    fields = np.einsum("il,slmc,jm->scij", rows, coarse, columns, optimize=True)
    projected = np.einsum("scij,cij->sij", fields, track.look, optimize=True)
    out = np.tensordot(deformation.histories(track.acquisitions).T, projected, axes=1)
    secular = world.config.gnss.secular_m_yr * (0.5 + np.arctan(_north_km(world, track) / 15.0) / np.pi)
    out += track.acquisitions[:, None, None] / YEAR * secular[:, None] * track.look[0]
    # the load's vertical motion is that of the mean GNSS station
    load = world.load[np.floor(track.acquisitions).astype(int)]
    out -= world.config.gnss.load_up_m * load[:, None, None] * track.look[2]
    return np.asarray(out)


def _north_km(world: World, track: Track) -> Floats:
    _, y = world.domain.plane.to_km(track.lat, np.full(len(track.lat), track.lon[0]))
    return y


def _interpolation(nodes: Floats, points: Floats) -> Floats:
    identity = np.eye(len(nodes))
    return np.stack([np.interp(points, nodes, row) for row in identity], axis=1)


def write_insar(world: World, weather: Weather, root: Path) -> None:
    """Write both tracks below `insar/`.

    Each file's modification time is its publication: the later acquisition and 2 to 10 days. Delay lengthens
    the path, so it counts against the displacement.
    """
    rng = stream(world.seed, "insar")
    for track in tracks_of(world):
        folder = root / "insar" / track.name
        _write_metadata(track, folder / "metadata")
        _write_pairs(world, weather, track, folder / "interferograms", rng)


def _write_metadata(track: Track, folder: Path) -> None:
    folder.mkdir(parents=True)
    step = float(track.lat[1] - track.lat[0])
    north, west = float(track.lat[-1] + step / 2), float(track.lon[0] - step / 2)
    for key, values in zip(("E", "N", "U", "hgt"), (*track.look, track.height), strict=True):
        units = "m" if key == "hgt" else "1"
        write_geotiff(folder / f"{track.name}.geo.{key}.tif", values[::-1], north, west, step, units)


def _atmosphere(world: World, weather: Weather, track: Track, rng: np.random.Generator) -> Floats:
    """Return slant delay and orbit error (acquisition, lat, lon), m; turbulence and topography scale with wet delay."""
    c = world.config.insar
    shape = track.height.shape
    wet = weather.wet_delay(track.acquisitions)
    stratified = np.exp(-track.height / WET_SCALE_HEIGHT_M)
    row, column = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    out = np.empty((len(wet), *shape))
    for i, delay in enumerate(wet):
        # -8/3 along a profile is -11/3 in the plane (Hanssen 2001); a doubled field is cut: it must not wrap around
        turbulent = spectral_field((2 * shape[0], 2 * shape[1]), -11 / 3, rng)[: shape[0], : shape[1]]
        zenith = delay * (stratified + c.turbulence * turbulent)
        tilt = rng.normal(0, c.ramp_m, 2)
        out[i] = zenith / track.look[2] + tilt[0] * row + tilt[1] * column
    return out


def _write_pairs(
    world: World, weather: Weather, track: Track, folder: Path, rng: np.random.Generator
) -> None:
    c = world.config.insar
    apparent = line_of_sight(world, track) - _atmosphere(world, weather, track, rng)
    dates = pd.DatetimeIndex(world.to_time(track.acquisitions))
    step = float(track.lat[1] - track.lat[0])
    north, west = float(track.lat[-1] + step / 2), float(track.lon[0] - step / 2)
    texture = 0.5 * np.tanh(spectral_field(track.height.shape, -2.5, rng)) * 0.3
    phase = 2 * np.pi * (track.acquisitions + world.region.catalog_start.timetuple().tm_yday - 1) / YEAR
    for i in range(len(dates) - 1):
        # vegetation: coherence is lowest in summer
        mean = 0.55 + 0.15 * np.cos(phase[i + 1])
        coherence = np.clip(mean + texture + rng.normal(0, 0.04, texture.shape), 0.02, 0.98)
        deviation = c.noise_m * np.sqrt((1 - coherence**2) / coherence**2 / 3)
        los = apparent[i + 1] - apparent[i] + deviation * rng.standard_normal(texture.shape)
        # unwrapping sets one constant per pair: only relative motion is known
        los = np.where(coherence < 0.2, np.nan, los - np.median(los))
        pair = f"{dates[i]:%Y%m%d}_{dates[i + 1]:%Y%m%d}"
        (folder / pair).mkdir(parents=True)
        published = (dates[i + 1] + pd.Timedelta(rng.uniform(2, 10), unit="D")).timestamp()
        products = {"los": (los, "m"), "cc": (np.round(coherence * 255).astype(np.uint8), "1")}
        for key, (values, units) in products.items():
            path = folder / pair / f"{pair}.geo.{key}.tif"
            write_geotiff(path, values[::-1], north, west, step, units)
            os.utime(path, (published, published))
