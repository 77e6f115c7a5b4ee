"""What the Gutenberg-Richter law of a model expects in bins of magnitude, and what was observed there."""

from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.cubes.grid import cell_index
from tasks.cubes.merge import last_versions
from tasks.regions import Region
from tasks.seismicity import magnitude_step

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BIN: Final = 0.1


class MagnitudeBins(NamedTuple):
    """Bins of `width` from `smallest` (the lower edge) on.

    Attributes
    ----------
    expected : array (magnitude,)
        Of the law, for the number of events observed; shares where there are none.
    observed : int array (magnitude,)
    b_value, smallest, width : float
    """

    expected: Floats
    observed: Counts
    b_value: float
    smallest: float
    width: float


def magnitude_bins(
    magnitudes: Floats, b_value: float, smallest: float, largest: float, step: float
) -> MagnitudeBins:
    """Return expected and observed numbers of events in bins of 0.1 from `smallest` on.

    Parameters
    ----------
    magnitudes : array (event,)
        Observed; those below `smallest` are left out, those above `largest` fall into the last bin.
    b_value, smallest, largest : float
        The truncated Gutenberg-Richter law; both ends are centres of bins of `step`.
    step : float
        To which magnitudes were rounded, 0 if they were not: a rounded `smallest` stands for half a step less.

    Raises
    ------
    ValueError
        If the law spans no bin.
    """
    lower = smallest - 0.5 * step
    if not largest > lower + BIN:
        raise ValueError(f"magnitudes: expected more than {BIN:g} between {smallest:g} and {largest:g}")
    edges = lower + BIN * np.arange(int(np.ceil((largest - lower) / BIN - 1e-9)) + 1)
    edges[-1] = largest
    survivors = 10.0 ** (-b_value * (edges - lower)) - 10.0 ** (-b_value * (largest - lower))
    shares = -np.diff(survivors) / survivors[0]
    used = magnitudes[magnitudes >= lower - 1e-9]
    index = np.clip(np.floor((used - lower) / BIN + 1e-9).astype(np.int64), 0, shares.size - 1)
    observed = np.bincount(index, minlength=shares.size)
    return MagnitudeBins(shares * max(1, used.size), observed, b_value, lower, BIN)


def tested_magnitudes(catalog: xr.Dataset, region: Region, b_value: float, largest: float) -> MagnitudeBins:
    """Return `magnitude_bins` of the test period's target events, from the latest version of the catalog (event)."""
    latest = last_versions(catalog)
    start, end = (np.datetime64(day, "ns") for day in (region.split.test_start, region.split.test_end))
    inside = (latest["origin_time"].values >= start) & (latest["origin_time"].values < end)
    inside &= cell_index(region, latest["latitude"].values, latest["longitude"].values) >= 0
    every = latest["magnitude"].values
    return magnitude_bins(
        every[inside], b_value, region.magnitude_completeness, largest, magnitude_step(every)
    )
