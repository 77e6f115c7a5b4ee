"""Averaging of latitude-longitude rasters onto the cells of a cube."""

import numpy as np
from numpy.typing import NDArray

from tasks.cubes.grid import cell_edges
from tasks.regions import Region

Floats = NDArray[np.float64]


def average_to_cells(
    values: NDArray[np.floating], latitudes: Floats, longitudes: Floats, region: Region
) -> NDArray[np.float32]:
    """Return the mean of (band, lat, lon) over each cell of the region, (band, lat, lon) float32.

    Each pixel counts by the area that it shares with the cell, NaN pixels not at all; a cell without an observed
    pixel is NaN, and one that is partly covered has the mean of that part. `latitudes` and `longitudes` are
    ascending centres of pixels of equal size, WGS 84, as canonical rasters are; so the mean is the product of
    two small matrices. GDAL's `average` gives the same numbers band by band; with several bands at once it takes a
    pixel as missing only where all bands miss it.

    Raises
    ------
    ValueError
        If there are fewer than 2 pixels along an axis, or their steps differ by more than 1 %.
    """
    lat_edges, lon_edges = cell_edges(region)
    rows = _overlap("lat", np.asarray(latitudes, dtype=np.float64), lat_edges)
    columns = _overlap("lon", np.asarray(longitudes, dtype=np.float64), lon_edges).T
    seen = np.isfinite(values)
    share = rows @ seen.astype(np.float64) @ columns
    total = rows @ np.where(seen, values, 0.0).astype(np.float64) @ columns
    # Rounding leaves overlaps of about 1e-16 pixels where a pixel only touches a cell.
    covered = share > 1e-6
    return np.where(covered, total / np.where(covered, share, 1.0), np.nan).astype(np.float32)


def _overlap(name: str, centres: Floats, edges: Floats) -> Floats:
    """Return (cell, pixel) the part of each pixel that lies in each cell, 0 to 1."""
    steps = np.diff(centres)
    if steps.size == 0 or (steps <= 0).any() or np.ptp(steps) > 0.01 * float(steps.mean()):
        raise ValueError(
            f"axis {name!r}: expected at least 2 ascending, evenly spaced pixels, found {centres[:4].tolist()}..."
        )
    step = float(steps.mean())
    upper = np.minimum(edges[1:, None], centres[None, :] + step / 2)
    lower = np.maximum(edges[:-1, None], centres[None, :] - step / 2)
    return np.asarray(np.clip((upper - lower) / step, 0.0, 1.0))
