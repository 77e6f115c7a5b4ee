"""What came of an ingest, judged by what the store holds: is a value in another unit, known too early, or harmed?"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import xarray as xr

from tasks.cubes.store import content_sha256

# of canonical variables those whose unit can be taken for another
PHYSICAL: Final = (
    "depth_km", "magnitude", "east", "north", "up", "los_displacement", "coherence", "air_temperature",
    "surface_air_pressure", "precipitation_amount", "eastward_wind", "northward_wind", "volumetric_soil_moisture",
    "zenith_delay", "velocity", "elevation", "vs30", "slope",
)  # fmt: skip
FACTORS: Final = (*(10.0**k for k in (-9, -6, -3, -2, 2, 3, 6, 9)), 0.3048, 1 / 0.3048, 25.4, 3.6, 1 / 3.6)
ENOUGH: Final = 10
KELVIN: Final = 273.15


def is_equal(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Tell whether two Datasets hold the same values, whatever their attributes."""
    return content_sha256(one.drop_attrs()) == content_sha256(other.drop_attrs())


def in_other_unit(before: xr.Dataset, after: xr.Dataset) -> str:
    """Return which variable came out in another unit than it should have, and by what; empty if none did.

    Compared by the median size of its values, station by station where there are stations.
    """
    for name in PHYSICAL:
        if name not in before or name not in after:
            continue
        for part, one, other in _parts(before[name], after[name]):
            old, new = _known(one), _known(other)
            if min(old.size, new.size) < ENOUGH:
                continue
            if name == "air_temperature" and abs(abs(np.median(new) - np.median(old)) - KELVIN) < KELVIN / 20:
                return f"{name}{part}: {np.median(new) - np.median(old):+.1f}"
            size, was = float(np.median(np.abs(new))), float(np.median(np.abs(old)))
            if was > 0 and any(abs(size / was / factor - 1) < 0.05 for factor in FACTORS):
                return f"{name}{part}: {size / was:g} times"
    return ""


def looks_ahead(data: xr.Dataset) -> str:
    """Return what is known before it happened, or at no time; empty if nothing is."""
    about = data["origin_time"] if "origin_time" in data else data.get("time")
    if about is None or "available_time" not in data:
        return ""
    known = data["available_time"]
    if bool(known.isnull().any()):
        return "an available_time is missing"
    return "" if bool((known >= about).all()) else "a value is known before its time"


def _parts(before: xr.DataArray, after: xr.DataArray) -> Iterator[tuple[str, xr.DataArray, xr.DataArray]]:
    if "station" in before.dims:
        for station in sorted(set(before["station"].values) & set(after["station"].values)):
            yield f" at {station}", before.sel(station=station), after.sel(station=station)
    else:
        yield "", before, after


def _known(array: xr.DataArray) -> np.ndarray:
    values = np.asarray(array.values, dtype=np.float64)
    return values[np.isfinite(values)]
