"""Where and since when a catalog is complete: the magnitude of completeness in running samples of events."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tasks.regions import Region
from tasks.seismicity.completeness_methods import Method, magnitude_of_completeness
from tasks.seismicity.geometry import Plane

Floats = NDArray[np.float64]


def completeness_in_time(
    times: NDArray[np.datetime64],
    magnitudes: Floats,
    method: Method,
    events: int = 500,
    step: float = 0.1,
    draws: int = 100,
) -> xr.Dataset:
    """Return completeness in samples of equally many successive events, which overlap by half.

    Parameters
    ----------
    times : array (event,), datetime64
        Ascending.
    magnitudes : array (event,)
        No NaN.
    method, step, draws
        As for `magnitude_of_completeness`.
    events : int
        Of a sample; the last sample may reach back over more than half of the one before.

    Returns
    -------
    Dataset (sample)
        `completeness` and `standard_error`; `start` and `end`, times of the sample's first and last event.

    Raises
    ------
    ValueError
        If there are fewer events than a sample needs, or one magnitude is not finite.
    """
    if times.size < events:
        raise ValueError(f"completeness in time: expected {events} events or more, found {times.size}")
    first = np.unique(
        np.append(np.arange(0, times.size - events + 1, max(events // 2, 1)), times.size - events)
    )
    found = [magnitude_of_completeness(magnitudes[i : i + events], method, step, draws) for i in first]
    return xr.Dataset(
        {
            "completeness": ("sample", [f.value for f in found]),
            "standard_error": ("sample", [f.standard_error for f in found]),
            "start": ("sample", times[first]),
            "end": ("sample", times[first + events - 1]),
        }
    )


def completeness_on_cells(
    latitude: Floats,
    longitude: Floats,
    magnitudes: Floats,
    region: Region,
    method: Method,
    events: int = 250,
    radius_km: float = 50.0,
    step: float = 0.1,
    draws: int = 100,
) -> xr.Dataset:
    """Return completeness of the events nearest to each cell of a region.

    Parameters
    ----------
    latitude, longitude : array (event,), degree
    magnitudes : array (event,)
        No NaN.
    region : Region
        Gives the cells.
    method, step, draws
        As for `magnitude_of_completeness`.
    events : int
        Nearest events of a cell's sample.
    radius_km : float
        Cells for which these are not within this distance stay NaN.

    Returns
    -------
    Dataset (lat, lon)
        `completeness`, `standard_error` and `reach_km`, the distance of the farthest event of the sample.

    Raises
    ------
    ValueError
        If a magnitude is not finite.
    """
    plane = Plane.of(region)
    x, y = plane.project(latitude, longitude)
    grid = np.meshgrid(region.latitudes, region.longitudes, indexing="ij")
    cell_x, cell_y = plane.project(grid[0].ravel(), grid[1].ravel())
    shape = grid[0].shape
    table = np.full((3, cell_x.size), np.nan)
    if magnitudes.size >= events:
        tree = cKDTree(np.column_stack([x, y]))
        found_near = tree.query(np.column_stack([cell_x, cell_y]), k=np.arange(1, events + 1))
        distance, nearest = np.asarray(found_near[0], np.float64), np.asarray(found_near[1], np.int64)
        near = np.flatnonzero(distance[:, -1] <= radius_km)
        table[2] = distance[:, -1]
        # Neighbouring cells often share their sample.
        samples, which = np.unique(np.sort(nearest[near], axis=1), axis=0, return_inverse=True)
        found = [magnitude_of_completeness(magnitudes[rows], method, step, draws) for rows in samples]
        if found:
            table[:2, near] = np.array([f[:2] for f in found])[which.ravel()].T
    names = ("completeness", "standard_error", "reach_km")
    return xr.Dataset(
        {name: (("lat", "lon"), values.reshape(shape)) for name, values in zip(names, table, strict=True)},
        coords={"lat": region.latitudes, "lon": region.longitudes},
    )
