"""What the catalog said of each day and cell: a feature as known at the time, and labels as known today."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.cubes.clock import DAY, day_axis, day_number
from tasks.cubes.grid import cell_index
from tasks.cubes.merge import end_of_day, last_versions
from tasks.regions import Region


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
    shape = (days.size, region.latitudes.size * region.longitudes.size)
    count, energy = np.zeros(shape, np.float32), np.zeros(shape)
    np.add.at(count, (day[inside], cell[inside]), 1)
    np.add.at(energy, (day[inside], cell[inside]), 10 ** (1.5 * known["magnitude"].values[inside] + 4.8))
    log_energy = np.log10(energy, out=np.full(shape, np.nan), where=energy > 0)
    return xr.Dataset(
        {
            "event_count": (("time", "lat", "lon"), _maps(count, region), {"units": "1"}),
            "log_energy": (("time", "lat", "lon"), _maps(log_energy, region), {"units": "log10(J)"}),
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
    shape = (days.size, region.latitudes.size, region.longitudes.size)
    count = np.zeros((days.size, shape[1] * shape[2]), np.int32)
    np.add.at(count, (day[inside], cell[inside]), 1)
    return xr.Dataset(
        {"event_count": (("time", "lat", "lon"), count.reshape(shape), {"units": "1"})},
        coords={"time": days, "lat": region.latitudes, "lon": region.longitudes},
    )


def _bins(catalog: xr.Dataset, region: Region) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    day = day_number(catalog["origin_time"].values, day_axis(region))
    return day, cell_index(region, catalog["latitude"].values, catalog["longitude"].values)


def _maps(flat: NDArray[np.floating], region: Region) -> NDArray[np.float32]:
    return flat.reshape(flat.shape[0], region.latitudes.size, region.longitudes.size).astype(np.float32)
