"""Adaptive power-law smoothing of epicentres: the stationary forecasts and the background of ETAS."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tasks.regions import Region
from tasks.seismicity.catalog import Events, known_at, select_events, training_window
from tasks.seismicity.forecaster import HORIZONS, StationaryForecaster
from tasks.seismicity.geometry import Plane, cell_areas, on_cells
from tasks.seismicity.kernels import cell_masses, density_at

Floats = NDArray[np.float64]

# K(r) ~ (r^2 + bandwidth^2)^-1.5 (Helmstetter, Kagan and Jackson 2007, eq. 3).
Q1 = 0.5
# The share that is spread evenly, so that no cell is impossible (ibid., the minimum rate of their eq. 8).
UNIFORM_SHARE = 0.01
SMALLEST_BANDWIDTH_KM = 0.5


def bandwidths(x: Floats, y: Floats, neighbours: int) -> Floats:
    """Return the distance of each event to its n-th neighbour, at least 0.5 km."""
    count = min(neighbours, x.size - 1)
    if count < 1:
        return np.full(x.size, 10.0)
    points = np.column_stack([x, y])
    distance = np.asarray(cKDTree(points).query(points, k=[count + 1])[0], np.float64)
    return np.maximum(distance[:, 0], SMALLEST_BANDWIDTH_KM)


def smoothed_cells(events: Events, weight: Floats, plane: Plane, neighbours: int) -> Floats:
    """Return the share of each cell (lat, lon) in the smoothed distribution; the sum is 1.

    Parameters
    ----------
    events : Events
        All of them are smoothed.
    weight : array (event,)
        Probability that the event counts.
    plane : Plane
        Its cells.
    neighbours : int
        Order of the neighbour that sets the bandwidth.
    """
    scale = bandwidths(events.x, events.y, neighbours) ** 2
    edges_x, edges_y = plane.edges()
    mass = (weight[:, None] * cell_masses(events.x, events.y, scale, Q1, edges_x, edges_y)).sum(axis=0)
    share = (1.0 - UNIFORM_SHARE) * mass / mass.sum() + UNIFORM_SHARE / mass.size
    return np.asarray(share.reshape(plane.rows, plane.columns))


def smoothed_density(events: Events, weight: Floats, plane: Plane, neighbours: int) -> Floats:
    """Return the density at each event (event,), km-2, its own kernel left out; integral over the box 1."""
    scale = bandwidths(events.x, events.y, neighbours) ** 2
    mass = weight * cell_masses(events.x, events.y, scale, Q1, *_box_as_cell(plane))[:, 0]
    others = mass.sum() - mass
    density = density_at(events.x, events.y, events.x, events.y, scale, weight, Q1, True)
    return np.asarray(
        (1.0 - UNIFORM_SHARE) * density / np.maximum(others, 1e-12) + UNIFORM_SHARE / plane.area
    )


def _box_as_cell(plane: Plane) -> tuple[Floats, Floats]:
    return np.array([plane.west, plane.east]), np.array([plane.south, plane.north])


def _training_events(catalog: xr.Dataset, region: Region) -> tuple[Events, float]:
    start, end = training_window(region)
    known = known_at(catalog, np.datetime64(region.split.train_end, "ns"))
    events = select_events(known, region)
    events = events.take(events.inside & (events.days >= start) & (events.days < end))
    if events.days.size < 2:
        raise ValueError(
            f"region {region.name!r}: expected two training events or more with M >= "
            f"{region.magnitude_completeness:g} in [{region.etas_start}, {region.split.train_end}), "
            f"found {events.days.size}"
        )
    return events, end - start


def fit_poisson(
    catalog: xr.Dataset, region: Region, horizons: Sequence[int] = HORIZONS
) -> StationaryForecaster:
    """Return the uniform Poisson forecaster: the training rate of the box, spread by area on the sphere.

    Parameters
    ----------
    catalog : Dataset (event) of versions
        Read as known at train_end.
    region : Region
        The rate is that of [etas_start, train_end).
    horizons : sequence of int
        Days.

    Raises
    ------
    ValueError
        If fewer than two events are there.
    """
    events, days = _training_events(catalog, region)
    area = cell_areas(region.latitudes, region.longitudes, region.resolution_deg)
    rate = on_cells(events.days.size / days * area / area.sum(), region)
    return StationaryForecaster("poisson", rate, horizons)


def choose_neighbours(events: Events, plane: Plane, candidates: Sequence[int] = (2, 3, 5, 8, 12, 20)) -> int:
    """Return the candidate under which the first three quarters of the events best forecast the last quarter.

    Score: sum of the logarithm of the cell shares at the later events. Needs 20 events; with fewer the middle
    candidate is returned.
    """
    cut = 3 * events.days.size // 4
    if events.days.size < 20:
        return candidates[len(candidates) // 2]
    later = np.arange(events.days.size) >= cut
    old, new = events.take(~later), events.take(later)
    column = np.clip(((new.x - plane.west) // plane.dx).astype(int), 0, plane.columns - 1)
    row = np.clip(((new.y - plane.south) // plane.dy).astype(int), 0, plane.rows - 1)
    scores = [
        float(np.log(smoothed_cells(old, np.ones(old.days.size), plane, k)[row, column]).sum())
        for k in candidates
    ]
    return candidates[int(np.argmax(scores))]


def fit_smoothed(
    catalog: xr.Dataset, region: Region, horizons: Sequence[int] = HORIZONS
) -> StationaryForecaster:
    """Return smoothed seismicity (Helmstetter et al. 2007): the training rate of the box, spread by kernels.

    The catalog is not declustered. The bandwidth's neighbour is chosen within the training period. Arguments
    and errors are those of `fit_poisson`.
    """
    events, days = _training_events(catalog, region)
    plane = Plane.of(region)
    neighbours = choose_neighbours(events, plane)
    share = smoothed_cells(events, np.ones(events.days.size), plane, neighbours)
    rate = on_cells(events.days.size / days * share, region).assign_attrs(neighbours=neighbours)
    return StationaryForecaster("smoothed", rate, horizons)
