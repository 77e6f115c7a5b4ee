"""What the catalog said of each day and cell: a feature as known at the time, and labels as known today."""

from typing import Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray

from tasks.cubes.clock import DAY, day_axis, day_number
from tasks.cubes.grid import cell_index
from tasks.cubes.merge import end_of_day, last_versions
from tasks.cubes.recipe import recipe
from tasks.regions import Region, TimeWindow

CHUNK_DAYS: Final = 256
Floats = NDArray[np.float64]


def grid_catalog(catalog: xr.Dataset, region: Region) -> xr.Dataset:
    """Return `event_count` and `log_energy` (log10 J) (time, lat, lon) of each day as known at its end.

    Where a catalog is published with a delay of whole days (`latency_days` of its sources), the day is taken as
    known that much later, and `available_time` says so. `log_energy` is NaN where no event was known;
    energy from magnitude by log10 E = 1.5 M + 4.8 (Gutenberg and Richter 1956).
    """
    days = day_axis(region)
    delays = [s.latency_days for s in region.sources if s.modality == "catalog"]
    # The fastest source makes the picture of a day; slower ones correct it in the event list.
    delay = np.timedelta64(int(np.ceil(min(delays, default=0.0))), "D").astype("timedelta64[ns]")
    moment = end_of_day(catalog["origin_time"].values) + delay
    known = last_versions(catalog, moment)
    day, cell = _bins(known, region)
    inside = (day >= 0) & (cell >= 0)
    joules = 10 ** (1.5 * known["magnitude"].values[inside] + 4.8)
    count = _sums(day[inside], cell[inside], np.ones(joules.size), region, np.float32)
    energy = _sums(day[inside], cell[inside], joules, region, np.float64)
    log_energy = da.map_blocks(_log10, energy, dtype=np.float32)
    return xr.Dataset(
        {
            "event_count": (("time", "lat", "lon"), count, {"units": "1"}),
            "log_energy": (("time", "lat", "lon"), log_energy, {"units": "log10(J)"}),
            "available_time": ("time", days + DAY + delay),
        },
        coords={"time": days, "lat": region.latitudes, "lon": region.longitudes},
    )


def label_days(catalog: xr.Dataset, region: Region) -> xr.Dataset:
    """Return `event_count` int32 (time, lat, lon): target earthquakes of each day from the latest versions.

    This is the truth that forecasts are scored against, never an input.
    """
    days = day_axis(region)
    latest = last_versions(catalog)
    day, cell = _bins(latest, region)
    inside = (day >= 0) & (cell >= 0) & (latest["magnitude"].values >= region.magnitude_completeness)
    ones = np.ones(int(inside.sum()))
    count = _sums(day[inside], cell[inside], ones, region, np.int32)
    return xr.Dataset(
        {"event_count": (("time", "lat", "lon"), count, {"units": "1"})},
        coords={"time": days, "lat": region.latitudes, "lon": region.longitudes},
        attrs={"recipe": recipe(region)},
    )


def target_counts(
    catalog: xr.Dataset, region: Region, window: TimeWindow, magnitude: float, known: np.datetime64
) -> xr.DataArray:
    """Return earthquakes (lat, lon), int64, of at least `magnitude` in one window, as the catalog said at `known`.

    Raises
    ------
    ValueError
        If the catalog does not hold events as small as `magnitude`.
    """
    if magnitude < region.magnitude_completeness:
        raise ValueError(
            f"region {region.name!r}: the catalog holds M >= {region.magnitude_completeness:g}, "
            f"expected events of M >= {magnitude:g}"
        )
    moment = np.full(catalog.sizes["event"], known.astype("datetime64[ns]"))
    then = last_versions(catalog, moment)
    origin = then["origin_time"].values
    cell = cell_index(region, then["latitude"].values, then["longitude"].values)
    target = (origin >= window.start) & (origin < window.end) & (cell >= 0)
    target &= then["magnitude"].values >= magnitude
    shape = (region.latitudes.size, region.longitudes.size)
    count = np.bincount(cell[target], minlength=shape[0] * shape[1]).reshape(shape)
    coords = {"lat": region.latitudes, "lon": region.longitudes}
    return xr.DataArray(count.astype(np.int64), coords, ("lat", "lon"), attrs={"units": "1"})


def _bins(catalog: xr.Dataset, region: Region) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    day = day_number(catalog["origin_time"].values, day_axis(region))
    return day, cell_index(region, catalog["latitude"].values, catalog["longitude"].values)


def _sums(
    day: NDArray[np.int64], cell: NDArray[np.int64], values: Floats, region: Region, dtype: type[np.generic]
) -> da.Array:
    """Return the sum of `values` per day and cell (time, lat, lon), 0 where there is none; lazily, by days."""
    n_days = day_axis(region).size
    shape = (region.latitudes.size, region.longitudes.size)
    order = np.argsort(day, kind="stable")
    bounds = np.append(np.arange(0, n_days, CHUNK_DAYS), n_days)
    edges = np.searchsorted(day[order], bounds)
    blocks = [
        da.from_delayed(
            delayed(_block)(
                day[order[first:last]] - low,
                cell[order[first:last]],
                values[order[first:last]],
                int(high - low),
                shape,
                dtype,
            ),
            (int(high - low), *shape),
            dtype,
        )
        for low, high, first, last in zip(bounds[:-1], bounds[1:], edges[:-1], edges[1:], strict=True)
    ]
    sums: da.Array = da.concatenate(blocks)
    return sums


def _block(
    day: NDArray[np.int64], cell: NDArray[np.int64], values: Floats, n_days: int, shape: tuple[int, int],
    dtype: type[np.generic],
) -> NDArray[np.generic]:  # fmt: skip
    sums = np.zeros((n_days, shape[0] * shape[1]), dtype)
    np.add.at(sums, (day, cell), values.astype(dtype))
    return sums.reshape(n_days, *shape)


def _log10(energy: Floats) -> NDArray[np.float32]:
    return np.log10(energy, out=np.full(energy.shape, np.nan), where=energy > 0).astype(np.float32)
