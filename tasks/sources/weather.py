"""What the weather readers share: canonical names and units, cropping, and the gridded Dataset."""

from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.payloads import empty

UNITS = {
    "air_temperature": "K",
    "surface_air_pressure": "Pa",
    "precipitation_amount": "kg m-2",
    "eastward_wind": "m s-1",
    "northward_wind": "m s-1",
    "volumetric_soil_moisture": "1",
    "zenith_delay": "m",
}
_MARGIN_DEG = 0.5


def crop_and_sort(dataset: xr.Dataset, region: Region) -> xr.Dataset:
    """Return the nodes within half a degree of the box; longitudes in [-180, 180), lat and lon ascending."""
    dataset = dataset.assign_coords(
        lat=dataset["lat"].astype(np.float64), lon=(dataset["lon"].astype(np.float64) + 180.0) % 360.0 - 180.0
    )
    dataset = dataset.sortby("lat").sortby("lon")
    box = region.bounds.grown(_MARGIN_DEG)
    rows = (dataset["lat"] >= box.south) & (dataset["lat"] <= box.north)
    columns = (dataset["lon"] >= box.west) & (dataset["lon"] <= box.east)
    return dataset.isel(lat=np.flatnonzero(rows), lon=np.flatnonzero(columns))


def gridded_weather(
    pieces: list[xr.Dataset],
    config: SourceConfig,
    root: Path,
    region: Region,
    window: TimeWindow,
    delay: np.timedelta64,
    licence: str,
) -> xr.Dataset:
    """Join canonical pieces (time, lat, lon) along time; of a repeated time the last piece's values win.

    Variables that a piece lacks are NaN there. `available_time` is `time` plus `delay`.

    Raises
    ------
    SourceEmpty
        If no node or no time of them is inside the region and `window`.
    """
    pieces = [p for p in pieces if p.sizes["time"] and p.sizes["lat"] and p.sizes["lon"]]
    if not pieces:
        raise empty(config, root, region, window)
    joined = xr.concat(pieces, dim="time", join="outer", data_vars="all", coords="minimal", compat="override")
    joined = joined.drop_duplicates("time", keep="last").sortby("time")
    time: NDArray[np.datetime64] = joined["time"].to_numpy().astype("datetime64[ns]")
    inside = np.flatnonzero((time >= window.start) & (time < window.end))
    if not inside.size:
        raise empty(config, root, region, window)
    joined = joined.isel(time=inside).transpose("time", "lat", "lon")
    time = time[inside]
    cube = ("time", "lat", "lon")
    variables = {
        str(name): (cube, joined[name].to_numpy().astype(np.float32), {"units": UNITS[str(name)]})
        for name in joined.data_vars
    }
    gap = np.zeros(tuple(joined.sizes[d] for d in cube), dtype=bool)
    for _, values, _ in variables.values():
        gap |= np.isnan(values)
    return xr.Dataset(
        {
            **variables,
            "available_time": ("time", time + delay),
            "quality_flag": (cube, gap.astype(np.uint8)),
        },
        coords={
            "time": time,
            "lat": ("lat", joined["lat"].to_numpy(), {"units": "degree_north"}),
            "lon": ("lon", joined["lon"].to_numpy(), {"units": "degree_east"}),
        },
        attrs={
            "provider": config.provider,
            "modality": "weather",
            "licence": licence,
            # publication times are not in the files: a rule stands in
            "vintage": "reconstructed",
        },
    )
