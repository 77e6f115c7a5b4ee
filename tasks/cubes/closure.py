"""From which time on a catalog has to be merged again, so that nothing before it could come out otherwise."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from tasks.cubes.matching import SAME_TIME, TWIN_TIME

REACH: Final = max(SAME_TIME, TWIN_TIME)
_BLOCK: Final = 1024


def event_key(event_id: str) -> str:
    """Return what two ids of one event share: a network's numbers come with and without its name.

    To take two events for one does no harm here.
    """
    return event_id.removeprefix("ci")


def merge_start(catalogs: Mapping[str, xr.Dataset], since: np.datetime64) -> np.datetime64:
    """Return the latest time not after `since` at which the catalogs fall in two parts that know nothing of each other.

    No event has versions on both sides, whatever source lists it, and no two rows on both sides are so near in time
    that they could be one event: merging the later part alone gives the later part of the merged catalog.

    Parameters
    ----------
    catalogs : mapping of source name to canonical catalog Dataset (event)
        Only ids and origin times are read.
    """
    frames = [
        pd.DataFrame(
            {
                "id": [event_key(str(i)) for i in c["event_id"].values],
                "origin": c["origin_time"].values.astype("datetime64[ns]"),
            }
        )
        for c in catalogs.values()
    ]
    rows = pd.concat(frames, ignore_index=True).sort_values("origin", kind="stable", ignore_index=True)
    origin = rows["origin"].to_numpy()
    first = rows["origin"].groupby(rows["id"]).transform("min").to_numpy()
    # The earliest origin of any event that has a row here or later.
    reaching = np.minimum.accumulate(first[::-1])[::-1]
    start: np.datetime64 = since.astype("datetime64[ns]")
    while True:
        place = int(np.searchsorted(origin, start, "left"))
        earlier = start
        if place < origin.size:
            earlier = min(earlier, reaching[place])
        if place and start - origin[place - 1] <= REACH:
            earlier = min(earlier, origin[place - 1])
        if earlier == start:
            return start
        start = earlier


def first_row(times: xr.DataArray, start: np.datetime64) -> int:
    """Return how many of the sorted `times` lie before `start`, reading them from their end, block by block."""
    stop = times.size
    while stop:
        low = max(0, stop - _BLOCK)
        block = times[low:stop].values
        if block[0] < start:
            return low + int(np.searchsorted(block, start, "left"))
        stop = low
    return 0
