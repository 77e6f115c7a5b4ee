"""What GNSS says a satellite should have seen: stations' displacements between two passes, along its line of sight."""

from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.cubes.clock import day_number
from tasks.cubes.gnss import COMPONENTS
from tasks.cubes.harmonics import YEAR_DAYS
from tasks.cubes.insar import CHUNK_PAIRS, LOOKS, remove_ramp
from tasks.cubes.strain import smoothing_distance_km, velocity_maps
from tasks.regions import Region

# A pass is compared with the median of the days around it: one day alone has the noise of one day.
SIDE_DAYS: Final = 3
Floats = NDArray[np.float64]


def with_gnss_rates(pairs: xr.Dataset, gnss: xr.Dataset, region: Region) -> xr.Dataset:
    """Return `pairs` with `los_rate_gnss` (pair, lat, lon), m/yr towards the satellite +, lazily.

    A station's displacement is the median of its positions within 3 days of the later pass less that of the
    earlier one; positions that became available after the pair itself are left out, so the pair's
    `available_time` holds for both. It is interpolated to the cells like strain (`velocity_maps`), projected on the
    look vector, and loses the plane that fits it best over the cells where `los_rate` is observed, just as that
    did: the two may be subtracted. GNSS positions have no trend, so neither has this. Where stations give only
    horizontal positions, the vertical is taken as 0. NaN where `los_rate` is, and where there are too few stations.

    Parameters
    ----------
    pairs : Dataset as `grid_interferograms` gives it
    gnss : Dataset as `clean_gnss` gives it
    """
    rates = station_displacements(pairs, gnss) / _years(pairs)[:, None]
    latitude, longitude = gnss["latitude"].values, gnss["longitude"].values
    distance = smoothing_distance_km(latitude, longitude)
    maps = velocity_maps(
        [xr.DataArray(rate, dims=("pair", "station")).chunk(pair=CHUNK_PAIRS, station=-1) for rate in rates],
        latitude, longitude, region, distance,
    )  # fmt: skip
    seen = pairs.chunk(pair=CHUNK_PAIRS)
    east, north, up = maps[:3]
    up = up.where(np.isfinite(up) | ~np.isfinite(east), 0.0)
    expected = project_to_los(east, north, up, *(seen[name] for name in LOOKS))
    expected = expected.where(np.isfinite(seen["los_rate"]))
    flat = xr.apply_ufunc(
        remove_ramp,
        expected,
        input_core_dims=[["lat", "lon"]],
        output_core_dims=[["lat", "lon"]],
        dask="parallelized",
        output_dtypes=[np.float32],
    )
    return pairs.assign(los_rate_gnss=flat.assign_attrs(units="m/yr"))


def project_to_los(
    east: xr.DataArray,
    north: xr.DataArray,
    up: xr.DataArray,
    look_east: xr.DataArray,
    look_north: xr.DataArray,
    look_up: xr.DataArray,
) -> xr.DataArray:
    """Return ground displacement along the line of sight, positive towards the satellite, in its own unit.

    The look vector is the unit vector from ground to satellite; NaN in any term stays NaN.
    """
    return east * look_east + north * look_north + up * look_up


def station_displacements(pairs: xr.Dataset, gnss: xr.Dataset) -> Floats:
    """Return (component, pair, station), m, from the earlier to the later pass, as known when the pair was.

    NaN where a station has no position within 3 days of either pass.
    """
    days = gnss["time"].values
    positions = np.stack([gnss[name].values.astype(np.float64) for name in COMPONENTS])
    known = gnss["available_time"].values
    moments = pairs["available_time"].values
    passes = [day_number(pairs[name].values, days) for name in ("time_start", "time")]
    out = np.full((len(COMPONENTS), pairs.sizes["pair"], gnss.sizes["station"]), np.nan)
    for k, moment in enumerate(moments):
        if passes[0][k] < 0 or passes[1][k] < 0:
            continue
        before, after = (_median_around(positions, known, int(side[k]), moment) for side in passes)
        out[:, k] = after - before
    return out


def _median_around(
    positions: Floats, known: NDArray[np.datetime64], day: int, moment: np.datetime64
) -> Floats:
    """Return (component, station): median of the positions within 3 days of `day` that are known at `moment`."""
    near = slice(max(0, day - SIDE_DAYS), day + SIDE_DAYS + 1)
    values = np.where(known[near] <= moment, positions[:, near], np.nan)
    out = np.full(values[:, 0].shape, np.nan)
    seen = np.isfinite(values).any(axis=1)
    out[seen] = np.nanmedian(np.moveaxis(values, 1, -1)[seen], axis=-1)
    return out


def _years(pairs: xr.Dataset) -> Floats:
    span = pairs["time"].values - pairs["time_start"].values
    return np.asarray(span / np.timedelta64(1, "D") / YEAR_DAYS, dtype=np.float64)
