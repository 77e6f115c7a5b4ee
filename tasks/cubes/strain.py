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
    cells = cell_centres(region)
    east, north = offsets_km(latitude[:, None], longitude[:, None], cells[0][None, :], cells[1][None, :])
    r = np.hypot(east, north)
    weight = np.where(r <= REACH * distance_km, np.exp(-((r / distance_km) ** 2)), 0.0)
    shape = (region.latitudes.size, region.longitudes.size)
    maps: tuple[xr.DataArray, ...] = xr.apply_ufunc(
        _gradients,
        *rates,
        kwargs={"east": east / distance_km, "north": north / distance_km, "weight": weight,
                "scale_m": distance_km * 1e3, "shape": shape},
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
    east: Floats,
    north: Floats,
    weight: Floats,
    scale_m: float,
    shape: tuple[int, int],
) -> tuple[NDArray[np.float32], ...]:
    """Solve v = v0 + G dx by weighted least squares for each day and cell.

    `east north weight` are (station, cell), offsets in units of `scale_m`. The sums of the 3 x 3 normal equations
    over stations are matrix products (time, station) x (station, cell), and the equations are solved in closed form.
    """
    seen = (np.isfinite(east_rate) & np.isfinite(north_rate) & np.isfinite(up_rate)).astype(np.float64)
    horizontal = (np.isfinite(east_rate) & np.isfinite(north_rate)).astype(np.float64)
    # A network without vertical positions still has a horizontal gradient.
    vertical_known = bool(seen.any())
    out = tuple(np.empty((*east_rate.shape[:-1], east.shape[1]), np.float32) for _ in OUTPUTS)
    for start in range(0, east.shape[1], CHUNK_CELLS):
        part = slice(start, start + CHUNK_CELLS)
        e, n, w = east[:, part], north[:, part], weight[:, part]
        inside = (w > 0).astype(np.float64)
        normal = _normal(horizontal, inside, e, n, w)
        v_e = _solve(normal, east_rate, horizontal, e, n, w)
        v_n = _solve(normal, north_rate, horizontal, e, n, w)
        if vertical_known:
            up = _solve(_normal(seen, inside, e, n, w), up_rate, seen, e, n, w)[0]
        else:
            up = np.full_like(v_e[0], np.nan)
        dilatation = (v_e[1] + v_n[2]) / scale_m
        shear = np.hypot((v_e[1] - v_n[2]) / 2, (v_e[2] + v_n[1]) / 2) / scale_m
        for target, values in zip(out, (v_e[0], v_n[0], up, dilatation, shear), strict=True):
            target[..., part] = values
    return tuple(array.reshape(-1, *shape) for array in out)


def _normal(seen: Floats, inside: Floats, east: Floats, north: Floats, weight: Floats) -> tuple[Floats, ...]:
    """Return the six entries of the normal matrix (time, cell) and its determinant; NaN where it is not usable."""
    one, e, n = (seen @ (weight * f) for f in (np.ones_like(east), east, north))
    ee, en, nn = (seen @ (weight * f) for f in (east * east, east * north, north * north))
    determinant = one * (ee * nn - en * en) - e * (e * nn - en * n) + n * (e * en - ee * n)
    # Far from all stations the fit extrapolates: there the formal variance of the rate at the cell,
    # in units of a station's, grows without bound.
    known_here = (ee * nn - en * en) <= MAXIMUM_VARIANCE * determinant
    usable = (seen @ inside >= MINIMUM_STATIONS - 0.5) & (determinant > 1e-6 * one**3) & known_here
    return one, e, n, ee, en, nn, np.where(usable, determinant, np.nan)


def _solve(
    normal: tuple[Floats, ...], rate: Floats, seen: Floats, east: Floats, north: Floats, weight: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return value at the cell, and its slope east and north per unit of scale, (time, cell), by Cramer's rule."""
    one, e, n, ee, en, nn, determinant = normal
    v = np.where(seen > 0, rate, 0.0)
    b0, b1, b2 = (v @ (weight * f) for f in (np.ones_like(east), east, north))
    c00, c01, c02 = ee * nn - en * en, n * en - e * nn, e * en - n * ee
    c11, c12, c22 = one * nn - n * n, e * n - one * en, one * ee - e * e
    return (
        (c00 * b0 + c01 * b1 + c02 * b2) / determinant,
        (c01 * b0 + c11 * b1 + c12 * b2) / determinant,
        (c02 * b0 + c12 * b1 + c22 * b2) / determinant,
    )
