"""Interferograms of all tracks on the grid: line-of-sight rates, masked where decorrelated, without orbital ramps."""

from collections.abc import Mapping
from typing import Final

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.cubes.clock import DAY, NAT
from tasks.cubes.harmonics import YEAR_DAYS, robust_fit
from tasks.cubes.raster import average_to_cells
from tasks.regions import Region

COHERENCE_MINIMUM: Final = 0.3
RAMP_CELLS: Final = 12
LOOKS: Final = ("look_east", "look_north", "look_up")
CHUNK_PAIRS: Final = 32
# Pixels averaged at once: some ten arrays of them exist in between.
CHUNK_PIXELS: Final = 1 << 23
Floats = NDArray[np.float64]


def grid_interferograms(tracks: Mapping[str, xr.Dataset], region: Region) -> xr.Dataset | None:
    """Return all pairs of all tracks (pair, lat, lon), sorted by available_time, lazily; None if there is none.

    `los_rate` m/yr towards the satellite +, `coherence`, unit look vectors ground to satellite; `orbit` (pair)
    +1 ascending, -1 descending. Pixels with a quality flag, or a known coherence below 0.3, count as
    missing; cells are means of pixels. A plane is taken off each pair (see `remove_ramp`), so that rates are
    relative within a pair. `available_time` is never before the end of the later acquisition's day. A
    pair without `available_time` is left out.
    """
    parts = [_track(track, region) for track in tracks.values()]
    parts = [part for part in parts if part.sizes["pair"]]
    if not parts:
        return None
    pairs = xr.concat(
        parts, dim="pair", data_vars="all", coords="minimal", compat="override", join="override"
    )
    order = np.lexsort((pairs["time"].values, pairs["available_time"].values))
    return pairs.isel(pair=order)


def remove_ramp(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return (pair, lat, lon) less the plane that a robust fit finds in each pair; NaN stays NaN.

    Orbit errors are planes across a scene. The Huber weights keep a deformation that fills less than half of the
    scene out of the plane. A pair with fewer than 12 cells keeps its slope and loses its median only.
    """
    out = maps.astype(np.float64)
    rows, columns = np.meshgrid(
        np.linspace(-1, 1, maps.shape[1]), np.linspace(-1, 1, maps.shape[2]), indexing="ij"
    )
    design = np.stack([np.ones(rows.size), rows.ravel(), columns.ravel()], axis=1)
    for k in range(out.shape[0]):
        seen = int(np.isfinite(out[k]).sum())
        if seen >= RAMP_CELLS:
            out[k] -= (design @ robust_fit(design, out[k].ravel())).reshape(rows.shape)
        elif seen:
            out[k] -= np.nanmedian(out[k])
    return out.astype(np.float32)


def _track(track: xr.Dataset, region: Region) -> xr.Dataset:
    track = track.isel(time=np.flatnonzero(~np.isnat(track["available_time"].values)))
    n, lat, lon = track.sizes["time"], track["lat"].values, track["lon"].values
    start, end = track["time_start"].values, track["time"].values
    years = (end - start) / np.timedelta64(1, "D") / YEAR_DAYS
    if n and not (years > 0).all():
        raise ValueError(f"track {track.attrs.get('track')!r}: a pair's time_start is not before its time")
    shape = (region.latitudes.size, region.longitudes.size)

    at_once = min(CHUNK_PAIRS, max(1, CHUNK_PIXELS // (lat.size * lon.size)))

    def blocks(*arrays: da.Array) -> da.Array:
        cells: da.Array = da.map_blocks(
            _cells, *arrays, lat=lat, lon=lon, region=region, dtype=np.float32,
            chunks=(2, arrays[0].chunks[0], (shape[0],), (shape[1],)), new_axis=0,
        )  # fmt: skip
        pairs: da.Array = cells.rechunk({1: CHUNK_PAIRS})
        return pairs

    chunks = {"time": at_once, "lat": -1, "lon": -1}
    arrays = [track[name].transpose("time", "lat", "lon").chunk(chunks).data
              for name in ("los_displacement", "quality_flag", "coherence")]  # fmt: skip
    span = da.from_array(np.broadcast_to(years[:, None, None], (n, 1, 1)), chunks=(at_once, 1, 1))
    both = blocks(*arrays, span)
    look = average_to_cells(np.stack([np.asarray(track[name].values) for name in LOOKS]), lat, lon, region)
    length = np.sqrt((look**2).sum(axis=0))
    look = np.where(length > 0, look / np.where(length > 0, length, 1), np.nan).astype(np.float32)
    dims = ("pair", "lat", "lon")
    known = np.maximum(track["available_time"].values.astype(np.int64), _day_end(end))
    orbit = {"ascending": 1, "descending": -1}[str(track.attrs["orbit"])]
    return xr.Dataset(
        {"los_rate": (dims, both[0], {"units": "m/yr"}), "coherence": (dims, both[1], {"units": "1"})}
        | {
            name: (dims, da.broadcast_to(look[i], (n, *shape), chunks=(CHUNK_PAIRS, *shape)), {"units": "1"})
            for i, name in enumerate(LOOKS)
        }
        | {
            "time_start": ("pair", start.astype("datetime64[ns]")),
            "time": ("pair", end.astype("datetime64[ns]")),
            "available_time": ("pair", known.astype("datetime64[ns]")),
            "orbit": ("pair", np.full(n, orbit, np.int8)),
        },
        coords={"lat": region.latitudes, "lon": region.longitudes},
    )


def _cells(
    values: Floats,
    flag: NDArray[np.uint8],
    coherence: Floats,
    years: Floats,
    *,
    lat: Floats,
    lon: Floats,
    region: Region,
) -> NDArray[np.float32]:
    """Return (2, pair, lat, lon): rate without ramp, m/yr, and coherence, on the cells of the region."""
    # Unknown coherence (NaN) is no reason to distrust a value; low coherence is.
    good = (flag == 0) & ~(coherence < COHERENCE_MINIMUM)
    cells = average_to_cells(np.where(good, values, np.nan), lat, lon, region)
    rates = remove_ramp(cells) / years.astype(np.float32)
    return np.stack([rates, average_to_cells(np.where(flag == 0, coherence, np.nan), lat, lon, region)])


def _day_end(times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    stamps = times.astype("datetime64[ns]").astype(np.int64)
    day = int(DAY.astype(np.int64))
    return np.where(stamps == NAT, NAT, (stamps // day + 1) * day)
