"""What the weather readers share: canonical names, units and limits, cropping, and the gridded Dataset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import SourceDataInvalid
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
# What no place on Earth has had in an hour or a day: a value beyond is in another unit, or damaged.
LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "air_temperature": (175.0, 340.0),
    "surface_air_pressure": (30_000.0, 110_000.0),
    "precipitation_amount": (0.0, 2_000.0),
    "eastward_wind": (-120.0, 120.0),
    "northward_wind": (-120.0, 120.0),
    "volumetric_soil_moisture": (0.0, 1.0),
}
# Packed fields round to a little below zero.
_ROUNDING: Final = {"precipitation_amount": 0.01, "volumetric_soil_moisture": 0.01}
_MARGIN_DEG = 0.5


def is_possible(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """Tell where values of the canonical variable `name` are inside its limits; NaN is."""
    array = np.asarray(values, dtype=np.float64)
    low, high = LIMITS[name]
    slack = _ROUNDING.get(name, 0.0)
    return ~((array < low - slack) | (array > high + slack))


def check_possible(path: Path, name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return `values`, rounding errors below zero as zero.

    Raises
    ------
    SourceDataInvalid
        If one is beyond the limits of `name`: a model never says that, so the whole field is suspect.
    """
    array = np.asarray(values, dtype=np.float64)
    wrong = ~is_possible(name, array)
    if wrong.any():
        low, high = LIMITS[name]
        found = f"{array[wrong].flat[0]:g} and {int(wrong.sum()) - 1} more"
        raise SourceDataInvalid(path, f"{name} between {low:g} and {high:g} {UNITS[name]}", found)
    return np.clip(array, *LIMITS[name]) if name in _ROUNDING else array


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

    Variables that a piece lacks are NaN there. `available_time` (time) is that of the pieces where they have one,
    else `time` plus `delay`. Integer variables (time) go along as they are.

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
    joined = joined.isel(time=inside)
    time = time[inside]
    cube = ("time", "lat", "lon")
    variables = {
        str(name): (cube, values.transpose(*cube).to_numpy().astype(np.float32), {"units": UNITS[str(name)]})
        for name, values in joined.data_vars.items()
        if str(name) in UNITS
    }
    gap = np.zeros(tuple(joined.sizes[d] for d in cube), dtype=bool)
    for _, values, _ in variables.values():
        gap |= np.isnan(values)
    available = time + delay
    if "available_time" in joined:
        stated = joined["available_time"].to_numpy().astype("datetime64[ns]")
        available = np.where(np.isnat(stated), available, stated)
    whole = {str(n): v for n, v in joined.data_vars.items() if v.dims == ("time",) and v.dtype.kind in "iu"}
    return xr.Dataset(
        {
            **variables,
            **whole,
            "available_time": ("time", available),
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
