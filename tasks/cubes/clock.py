"""The two clocks of a cube: days, and the moments at which values became known."""

from datetime import date
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region

Times = NDArray[np.datetime64]
DAY: Final = np.timedelta64(86_400_000_000_000, "ns")
NAT: Final = np.iinfo(np.int64).min


def day_axis(region: Region) -> Times:
    """Return the midnights of the cube's period, (time,) datetime64[ns]."""
    start, end = region.window
    return np.arange(start.astype("datetime64[D]"), end.astype("datetime64[D]")).astype("datetime64[ns]")


def known_part(region: Region, asked_until: np.datetime64 | None) -> Region:
    """Return `region` with its end at the last midnight up to which its catalogs tell what happened.

    Days after it are no quiet days; a cube does not have them. `asked_until` is that of the observation store
    (`ObservationStore.asked_until`), None where it is not kept: the end is then the region file's.

    Raises
    ------
    ValueError
        If the catalogs tell of no whole day of the region's period.
    """
    if asked_until is None:
        return region
    end = min(asked_until.astype("datetime64[D]").astype(date), region.end)
    if end <= region.start:
        raise ValueError(
            f"region {region.name!r} starts {region.start}: its catalogs tell what happened until {asked_until}, "
            "which is no whole day of it"
        )
    return region.model_copy(update={"end": end})


def day_number(times: NDArray[np.generic], days: Times) -> NDArray[np.int64]:
    """Return the position of each time's UTC day in `days` (consecutive midnights); -1 outside or NaT."""
    stamps = np.asarray(times).astype("datetime64[ns]").astype(np.int64)
    position = stamps // int(DAY.astype(np.int64)) - int(days[0].astype(np.int64)) // int(
        DAY.astype(np.int64)
    )
    inside = (stamps != NAT) & (position >= 0) & (position < days.size)
    return np.where(inside, position, -1)


def latest(available: NDArray[np.generic], used: NDArray[np.bool_], axis: int) -> NDArray[np.int64]:
    """Return the latest available time that was used, int64 ns; NaT (smallest int64) where none was."""
    stamps = np.asarray(available).astype("datetime64[ns]").astype(np.int64)
    return np.asarray(np.where(used, stamps, NAT).max(axis=axis, initial=NAT))


def trailing_latest(known: NDArray[np.int64], window_days: int) -> NDArray[np.int64]:
    """Return for each day (axis 0) the latest of `known` over the `window_days` days that end with it."""
    out = known.copy()
    for lag in range(1, min(window_days, known.shape[0])):
        out[lag:] = np.maximum(out[lag:], known[:-lag])
    return out


def not_before_day_end(known: NDArray[np.int64], days: Times) -> Times:
    """Return available times (time, ...) datetime64[ns], none before its day's end; NaT stays NaT."""
    end = (days + DAY).astype(np.int64).reshape((-1,) + (1,) * (known.ndim - 1))
    return np.where(known == NAT, NAT, np.maximum(known, end)).astype("datetime64[ns]")


def known_at(dataset: xr.Dataset, moment: np.datetime64) -> xr.Dataset:
    """Return an observation Dataset as it was known at `moment`.

    Rows whose `available_time` (one dimension) is later than `moment`, or NaT, are left out; where
    `available_time` is (time, station), such values become NaN, their `quality_flag` 3 (not yet available),
    and their `available_time` NaT. Data of a group without `available_time` (static) stay.
    """
    if "available_time" not in dataset.variables:
        return dataset
    available = dataset["available_time"]
    known = (available <= moment).compute()
    if available.ndim == 1:
        return dataset.isel({available.dims[0]: np.flatnonzero(known.values)})
    rows = known.any([d for d in available.dims if d != "time"]).values
    dataset, known = dataset.isel(time=np.flatnonzero(rows)), known.isel(time=np.flatnonzero(rows))
    changed: dict[str, xr.DataArray] = {}
    for name, array in dataset.data_vars.items():
        if set(known.dims) <= set(array.dims):
            missing = np.uint8(3) if array.dtype.kind == "u" else None
            changed[str(name)] = array.where(known) if missing is None else array.where(known, missing)
    return dataset.assign(changed)


def arrivals(dataset: xr.Dataset, before: np.datetime64 | None, now: np.datetime64) -> xr.Dataset | None:
    """Return the rows of an observation Dataset that changed after `before`, up to `now`, as known at `now`.

    A row of a (time, station) group comes whole, with the stations that were known earlier, so that storing it loses
    none. All that is known at `now` where `before` is None, and None where nothing arrived. Data without
    `available_time` (static) arrive with the first call.
    """
    if "available_time" not in dataset.variables:
        return dataset if before is None else None
    available = dataset["available_time"]
    new = available <= now if before is None else (available <= now) & (available > before)
    dim = str(available.dims[0])
    rows = np.flatnonzero(new.any([d for d in available.dims if d != dim]).values)
    return known_at(dataset.isel({dim: rows}), now) if rows.size else None
