"""Layers that do not change with time, averaged over the cells."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from tasks.cubes.raster import average_to_cells
from tasks.regions import Region


def grid_static(sources: Sequence[xr.Dataset], region: Region) -> xr.Dataset:
    """Return each variable of `sources` as (lat, lon) float32 cell means in its own unit, NaN where unknown.

    A variable that two sources have is taken from the first, and filled from the second where it is NaN.
    """
    layers: dict[str, xr.Variable] = {}
    for source in sources:
        for key, array in source.data_vars.items():
            if array.dims != ("lat", "lon") or array.dtype.kind != "f":
                continue
            cells = average_to_cells(
                np.asarray(array.values)[None], source["lat"].values, source["lon"].values, region
            )[0]
            name = str(key)
            if name in layers:
                cells = np.where(np.isnan(layers[name].values), cells, layers[name].values)
            layers[name] = xr.Variable(("lat", "lon"), cells, array.attrs)
    return xr.Dataset(layers, coords={"lat": region.latitudes, "lon": region.longitudes})
