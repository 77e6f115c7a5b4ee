"""When each daily position became known, where a provider says more than one delay for all."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Times = NDArray[np.datetime64]
DAY = np.timedelta64(1, "D")


def release_time(day_end: Times, is_rapid: NDArray[np.bool_], rapid: np.timedelta64, final: np.timedelta64,
                 published: np.datetime64) -> Times:  # fmt: skip
    """Return when each row (n,) of a published file became known, datetime64[ns].

    Rapid rows after `rapid`, the others after `final`, counted from the end of their day; the moment at which the file
    itself was `published` is a bound, for what it holds was known by then. Never before the end of the day.

    Parameters
    ----------
    day_end : (n,) datetime64[ns]
        End of the GPS day; its 18 s to UTC do not matter here.
    """
    ruled = day_end + np.where(is_rapid, rapid, final).astype("timedelta64[ns]")
    return np.asarray(np.maximum(day_end, np.minimum(ruled, published.astype("datetime64[ns]"))))


def with_clocks(dataset: xr.Dataset, clocks: Mapping[str, tuple[Times, Times]]) -> xr.Dataset:
    """Return `dataset` with `available_time` (time, station) taken from `clocks` where they speak.

    Parameters
    ----------
    clocks : mapping from station to (time (n,), available time (n,)), datetime64[ns]
        Times that the dataset lacks are passed over; values without a clock keep what they have.
    """
    available = dataset["available_time"].values.copy()
    time = dataset["time"].values
    for column, station in enumerate(dataset["station"].values):
        if station not in clocks:
            continue
        when, known = clocks[station]
        inside = np.isin(when, time)
        available[np.searchsorted(time, when[inside]), column] = known[inside]
    return dataset.assign(available_time=(dataset["available_time"].dims, available))
