"""Adaptive power-law smoothing of epicentres: the stationary forecasts and the background of ETAS."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import xarray as xr
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tasks.regions import Region
from tasks.seismicity.blasts import suspected_blasts
from tasks.seismicity.catalog import Events, known_at, select_events, training_window
from tasks.seismicity.completeness import b_value, magnitude_step
from tasks.seismicity.declustering import nearest_neighbours
from tasks.seismicity.forecaster import HORIZONS, StationaryForecaster
from tasks.seismicity.geometry import Plane, cell_areas, on_cells
from tasks.seismicity.kernels import cell_masses, density_at

Floats = NDArray[np.float64]

# K(r) ~ (r^2 + bandwidth^2)^-1.5 (Helmstetter, Kagan and Jackson 2007, eq. 3).
Q1 = 0.5
# The share that is spread evenly, so that no cell is impossible (ibid., the minimum rate of their eq. 8).
UNIFORM_SHARE = 0.01
SMALLEST_BANDWIDTH_KM = 0.5
CANDIDATES: Final = (2, 3, 5, 8, 12, 20)
# With fewer the two modes of nearest neighbours cannot be told apart.
FEWEST_TO_DECLUSTER: Final = 100


def bandwidths(x: Floats, y: Floats, neighbours: int) -> Floats:
    """Return the distance of each event to its n-th neighbour, at least 0.5 km."""
    count = min(neighbours, x.size - 1)
    if count < 1:
        return np.full(x.size, 10.0)
    points = np.column_stack([x, y])
    distance = np.asarray(cKDTree(points).query(points, k=[count + 1])[0], np.float64)
    return np.maximum(distance[:, 0], SMALLEST_BANDWIDTH_KM)


@njit(cache=True)
def kernel_sums(x: Floats, y: Floats, d: Floats, weight: Floats, edges_x: Floats, edges_y: Floats) -> Floats:
    """Return the weighted sum of the kernels' masses in each cell of a grid (row, column), exactly.

    The integral of d / (2 pi) (r^2 + d^2)^-1.5 from the event to a corner at (u, v) is
    atan(u v / (d sqrt(u^2 + v^2 + d^2))) / (2 pi); a cell is the difference of those to its corners.

    Parameters
    ----------
    x, y, d : array (event,), km
        Places and bandwidths.
    weight : array (event,)
    edges_x, edges_y : array, km
        Cell edges; rows run along y.
    """
    rows, columns = edges_y.size - 1, edges_x.size - 1
    corners = np.zeros((rows + 1, columns + 1))
    for i in range(x.size):
        for row in range(rows + 1):
            v = edges_y[row] - y[i]
            for column in range(columns + 1):
                u = edges_x[column] - x[i]
                corners[row, column] += weight[i] * math.atan(
                    u * v / (d[i] * math.sqrt(u * u + v * v + d[i] ** 2))
                )
    sums = corners[1:, 1:] - corners[:-1, 1:] - corners[1:, :-1] + corners[:-1, :-1]
    return sums / (2.0 * math.pi)


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
    d = bandwidths(events.x, events.y, neighbours)
    mass = kernel_sums(events.x, events.y, d, weight, *plane.edges())
    return np.asarray((1.0 - UNIFORM_SHARE) * mass / mass.sum() + UNIFORM_SHARE / mass.size)


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


def choose_smoothing(
    events: Events, weightings: Mapping[str, Floats], plane: Plane, candidates: Sequence[int] = CANDIDATES
) -> tuple[str, int]:
    """Return the weighting and the neighbour under which the first three quarters of the events best forecast the last.

    Score: sum of the logarithm of the cell shares at the later events, all of them. Needs 20 events; with fewer the
    first weighting and the middle candidate are returned.

    Parameters
    ----------
    events : Events
        Of the box, in order of time.
    weightings : mapping of name to array (event,)
        Probability that each event counts.
    plane : Plane
    candidates : sequence of int
        Orders of the neighbour that sets the bandwidth.
    """
    cut = 3 * events.days.size // 4
    if events.days.size < 20:
        return next(iter(weightings)), candidates[len(candidates) // 2]
    later = np.arange(events.days.size) >= cut
    old, new = events.take(~later), events.take(later)
    column = np.clip(((new.x - plane.west) // plane.dx).astype(int), 0, plane.columns - 1)
    row = np.clip(((new.y - plane.south) // plane.dy).astype(int), 0, plane.rows - 1)
    scores = {
        (name, k): float(np.log(smoothed_cells(old, weight[~later], plane, k)[row, column]).sum())
        for name, weight in weightings.items()
        for k in candidates
    }
    return max(scores, key=scores.__getitem__)


def background_weights(events: Events, plane: Plane, region: Region) -> dict[str, Floats]:
    """Return probabilities (event,) that an event counts for a map: `all` and `declustered`, no suspected blasts.

    Parameters
    ----------
    events : Events
        In order of time.
    plane : Plane
        Of their coordinates.
    region : Region
        Gives the completeness.
    """
    longitude = plane.longitude + events.x / plane.east_km_per_degree
    kept = ~suspected_blasts(events.x, events.y, events.days, longitude)
    weights = {"all": kept.astype(np.float64)}
    if events.days.size >= FEWEST_TO_DECLUSTER:
        b = b_value(events.magnitude, region.magnitude_completeness, magnitude_step(events.magnitude)).value
        near = nearest_neighbours(events.days, events.x, events.y, events.magnitude, b)
        weights["declustered"] = near.background * kept
    return weights


def fit_smoothed(
    catalog: xr.Dataset, region: Region, horizons: Sequence[int] = HORIZONS
) -> StationaryForecaster:
    """Return smoothed seismicity (Helmstetter et al. 2007): the training rate of the box, spread by kernels.

    Whether the map is made of all events or of declustered ones (Zaliapin and Ben-Zion 2013), and the bandwidth's
    neighbour, are chosen within the training period; the rate is that of all events. Suspected quarry blasts are left
    out of the map. The choice is in `rate_per_day.attrs`. Arguments and errors are those of `fit_poisson`.
    """
    events, days = _training_events(catalog, region)
    plane = Plane.of(region)
    weightings = background_weights(events, plane, region)
    weighting, neighbours = choose_smoothing(events, weightings, plane)
    share = smoothed_cells(events, weightings[weighting], plane, neighbours)
    rate = on_cells(events.days.size / days * share, region)
    rate.attrs = {
        "neighbours": neighbours,
        "weighting": weighting,
        "suspected_blasts": int((weightings["all"] == 0).sum()),
    }
    return StationaryForecaster("smoothed", rate, horizons)
