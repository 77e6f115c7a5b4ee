"""Context rasters (elevation, Vs30, slope): GeoTIFFs, plain or gzip'ed, under whatever name."""

from pathlib import Path

import numpy as np
import xarray as xr

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import text_option
from tasks.sources.payloads import empty, locate
from tasks.sources.rasters import WGS84, read_raster

_UNITS = {"elevation": "m", "vs30": "m s-1", "slope": "degree"}


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return one raster (lat, lon) at its native step, cropped to the region's box; no data is NaN.

    Options: `variable`, the name in the Dataset (required); `units`, needed for variables other than elevation, vs30
    and slope; `crs`, which has to say EPSG:4326 where the file has no CRS. The window is not used: a static layer
    has no time.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. Of the values only that one is a number is checked.
    """
    variable = text_option(config, "variable")
    units = text_option(config, "units", _UNITS.get(variable))
    path = locate(config, root)
    raster = read_raster(path, region.bounds, text_option(config, "crs", "") or None)
    if raster is None:
        raise empty(config, root, region, window)
    if np.isnan(raster.values).all():
        raise SourceDataInvalid(path, f"values of {variable} in the region", "no data everywhere")
    dataset = xr.Dataset(
        {variable: (("lat", "lon"), raster.values, {"units": units})},
        coords={
            "lat": ("lat", raster.lat, {"units": "degree_north"}),
            "lon": ("lon", raster.lon, {"units": "degree_east"}),
        },
        attrs={
            "provider": config.provider,
            "modality": "static",
            "licence": text_option(config, "licence", "as stated by the provider"),
            "vintage": "as issued",
            "crs": WGS84,
        },
    )
    return Fetched(dataset)
