"""Strain and displacement rates on the grid: the velocity gradient that fits the stations around each cell."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.cubes.clock import NAT, not_before_day_end, trailing_latest
from tasks.cubes.grid import cell_centres, distances_km, offsets_km
from tasks.cubes.harmonics import YEAR_DAYS
from tasks.regions import Region

WINDOW_DAYS: Final = 24
MINIMUM_STATIONS: Final = 4
MAXIMUM_VARIANCE: Final = 25.0
# Stations further than this many smoothing distances weigh less than 1 % (Shen et al. 2015).
REACH: Final = 2.15
CHUNK_DAYS: Final = 256
# Cells solved at once: some thirty arrays (time, cell) exist in between.
CHUNK_CELLS: Final = 1024
OUTPUTS: Final = ("east_rate", "north_rate", "up_rate", "dilatation_rate", "shear_rate")
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


def strain_rates(
    gnss: xr.Dataset,
    region: Region,
    window_days: int = WINDOW_DAYS,
    smoothing_km: float | None = None,
    warm_up_days: int = 0,
) -> xr.Dataset:
    """Return rates (time, lat, lon) over the `window_days` days that end with each day, lazily.

    Parameters
    ----------
    gnss : Dataset as `clean_gnss` gives it
    window_days : int, even
        A station's rate is the median of the second half less that of the first, over half the window; each
        half needs half its days.
    smoothing_km : float, optional
        Distance D of the Gaussian weight exp(-r2/D2) (Shen, Jackson and Ge 1996; Shen et al. 2015);
        default `smoothing_distance_km`.
    warm_up_days : int
        First days of `gnss` that only serve the windows of the others and have no rates themselves.

    Returns
    -------
    Dataset
        `east_rate north_rate up_rate` m/yr at the cell's centre, `dilatation_rate` = e_ee + e_nn (extension
        positive) and `shear_rate` = sqrt((e_ee - e_nn)^2 / 4 + e_en^2) (maximum tensor shear), 1/yr. NaN where
        fewer than 4 stations with a rate lie within 2.15 D, where they lie on one line, or where
        the fit extrapolates (formal error of the rate above 5 station errors).
        `available_time` (time) is the latest of all values in the window.
    """
    latitude, longitude = gnss["latitude"].values, gnss["longitude"].values
    distance = smoothing_km if smoothing_km is not None else smoothing_distance_km(latitude, longitude)
    rates = [
        station_rates(gnss[name].values.astype(np.float64), window_days)[warm_up_days:]
        for name in ("east", "north", "up")
    ]
    arrays = [
        xr.DataArray(rate, dims=("time", "station")).chunk(time=CHUNK_DAYS, station=-1) for rate in rates
    ]
    results = velocity_maps(arrays, latitude, longitude, region, distance)
    known = np.where(np.isfinite(gnss["east"].values), gnss["available_time"].values.astype(np.int64), NAT)
    days = gnss["time"].values[warm_up_days:]
    available = trailing_latest(known.max(axis=1, initial=NAT), window_days)[warm_up_days:]
    data = {name: result.assign_attrs(units="1/yr" if name.endswith(("dilatation_rate", "shear_rate")) else "m/yr")
            for name, result in zip(OUTPUTS, results, strict=True)}  # fmt: skip
    return xr.Dataset(
        data | {"available_time": ("time", not_before_day_end(available, days))},
        coords={"time": days, "lat": region.latitudes, "lon": region.longitudes},
    )


def velocity_maps(
    rates: Sequence[xr.DataArray], latitude: Floats, longitude: Floats, region: Region, distance_km: float
) -> tuple[xr.DataArray, ...]:
    """Return the five maps of `strain_rates`, (..., lat, lon), from stations' rates (..., station), lazily.

    `rates` are east, north and up, m/yr, as Dask arrays with all stations in one chunk; stations weigh
    exp(-r2/`distance_km`2).
    """
    shape = (region.latitudes.size, region.longitudes.size)
    maps: tuple[xr.DataArray, ...] = xr.apply_ufunc(
        _gradients,
        *rates,
        kwargs={"latitude": latitude, "longitude": longitude, "region": region, "distance_km": distance_km},
        input_core_dims=[["station"]] * 3,
        output_core_dims=[["lat", "lon"]] * len(OUTPUTS),
        dask="parallelized",
        output_dtypes=[np.float32] * len(OUTPUTS),
        dask_gufunc_kwargs={"output_sizes": {"lat": shape[0], "lon": shape[1]}},
    )  # fmt: skip
    return maps


def smoothing_distance_km(latitude: Floats, longitude: Floats) -> float:
    """Return twice the median distance of a station to its nearest neighbour, at least 30 km."""
    if latitude.size < 2:
        return 30.0
    r = distances_km(latitude[:, None], longitude[:, None], latitude[None, :], longitude[None, :])
    np.fill_diagonal(r, np.inf)
    return max(30.0, 2.0 * float(np.median(r.min(axis=1))))


def station_rates(positions: Floats, window_days: int) -> Floats:
    """Return (time, station), m/yr: median of the window's second half less that of its first, over half its length.

    Raises
    ------
    ValueError
        If `window_days` is not an even number from 4 on.
    """
    if window_days < 4 or window_days % 2:
        raise ValueError(f"window_days must be an even number from 4 on, found {window_days}")
    half = window_days // 2
    medians = _trailing_median(positions, half)
    rates = np.full(positions.shape, np.nan)
    rates[half:] = (medians[half:] - medians[:-half]) / (half / YEAR_DAYS)
    return rates


def _trailing_median(values: Floats, n: int) -> Floats:
    """Return the median of the n rows that end with each row; NaN where fewer than half are observed."""
    out = np.full(values.shape, np.nan)
    if values.shape[0] < n or values.shape[1] == 0:
        return out
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(values, n, axis=0), axis=-1)
    count = np.isfinite(windows).sum(axis=-1)
    # NaN sorts last, so the middle of what is observed is found by its count.
    lower = np.take_along_axis(windows, np.maximum((count - 1) // 2, 0)[..., None], axis=-1)[..., 0]
    upper = np.take_along_axis(windows, np.minimum(count // 2, n - 1)[..., None], axis=-1)[..., 0]
    out[n - 1 :] = np.where(count >= (n + 1) // 2, (lower + upper) / 2, np.nan)
    return out


def _gradients(
    east_rate: Floats,
    north_rate: Floats,
    up_rate: Floats,
    *,
    latitude: Floats,
    longitude: Floats,
    region: Region,
    distance_km: float,
) -> tuple[NDArray[np.float32], ...]:
    """Solve v = v0 + G dx by weighted least squares for each day and cell.

    The fit is linear in the stations' rates and its coefficients depend only on which stations have one, which stays
    the same for many days: they are worked out once for each such set, and days are matrix products with them.
    """
    horizontal = np.isfinite(east_rate) & np.isfinite(north_rate)
    # A network without vertical positions still has a horizontal gradient.
    both = np.concatenate([horizontal, horizontal & np.isfinite(up_rate)], axis=1)
    sets, which = np.unique(both, axis=0, return_inverse=True)
    days = [np.flatnonzero(which == k) for k in range(len(sets))]
    # Coefficients in double precision, for the equations may be ill-conditioned; products in that of the result.
    rates = [np.where(np.isfinite(r), r, 0.0).astype(np.float32) for r in (east_rate, north_rate, up_rate)]
    lat, lon = cell_centres(region)
    out = tuple(np.empty((east_rate.shape[0], lat.size), np.float32) for _ in OUTPUTS)
    scale_m = np.float32(distance_km * 1e3)
    for start in range(0, lat.size, CHUNK_CELLS):
        part = slice(start, start + CHUNK_CELLS)
        e, n = offsets_km(latitude[:, None], longitude[:, None], lat[None, part], lon[None, part])
        e, n = e / distance_km, n / distance_km
        r = np.hypot(e, n)
        weight = np.where(r <= REACH, np.exp(-(r**2)), 0.0)
        for (seen, seen_up), rows in zip(sets.reshape(len(sets), 2, -1), days, strict=True):
            fit = _coefficients(weight * seen[:, None], e, n)
            vertical = _coefficients(weight * seen_up[:, None], e, n)[0] if seen_up.any() else np.nan * fit[0]
            v_e, v_n = ([rate[rows] @ term for term in fit] for rate in rates[:2])
            up = rates[2][rows] @ vertical
            dilatation = (v_e[1] + v_n[2]) / scale_m
            shear = np.sqrt((v_e[1] - v_n[2]) ** 2 + (v_e[2] + v_n[1]) ** 2) / (2 * scale_m)
            for target, values in zip(out, (v_e[0], v_n[0], up, dilatation, shear), strict=True):
                target[rows, part] = values
    shape = (region.latitudes.size, region.longitudes.size)
    return tuple(array.reshape(-1, *shape) for array in out)


def _coefficients(weight: Floats, east: Floats, north: Floats) -> tuple[Singles, Singles, Singles]:
    """Return (station, cell) by what a station's rate counts in value at the cell, slope east and slope north.

    Arguments are (station, cell), offsets in units of the smoothing distance, 0 the weight of a station without a
    rate. By Cramer's rule from the 3 x 3 normal equations; NaN in cells where these cannot be solved well.
    """
    one, e, n = weight.sum(axis=0), (weight * east).sum(axis=0), (weight * north).sum(axis=0)
    ee, en, nn = ((weight * f).sum(axis=0) for f in (east * east, east * north, north * north))
    c00, c01, c02 = ee * nn - en * en, n * en - e * nn, e * en - n * ee
    c11, c12, c22 = one * nn - n * n, e * n - one * en, one * ee - e * e
    determinant = one * c00 + e * c01 + n * c02
    # Far from all stations the fit extrapolates: there the formal variance of the rate at the cell,
    # in units of a station's, grows without bound.
    known_here = c00 <= MAXIMUM_VARIANCE * determinant
    usable = ((weight > 0).sum(axis=0) >= MINIMUM_STATIONS) & (determinant > 1e-6 * one**3) & known_here
    share = weight / np.where(usable, determinant, np.nan)
    rows = ((c00, c01, c02), (c01, c11, c12), (c02, c12, c22))
    at_cell, eastward, northward = (
        (share * (one + e * east + n * north)).astype(np.float32) for one, e, n in rows
    )
    return at_cell, eastward, northward
