"""Which events belong together: earthquakes of one sequence are one piece of evidence, however many they are."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from tasks.scoring.config import ScoringConfig

Counts = NDArray[np.int64]
KM_PER_DEGREE = 111.2


def sequence_labels(counts: Counts, reach: tuple[int, int, int]) -> NDArray[np.int64]:
    """Return in which earthquake sequence's neighbourhood each bin lies, 0 for bins far from any event.

    Two bins with events are of one sequence if they are at most `reach` steps apart on every axis, and so on from
    bin to bin (single link). Its neighbourhood are the bins within half of that of one of its events.

    Parameters
    ----------
    counts : int array (issue_time, lat, lon)
        Observed in windows without gaps between them.
    reach : three ints, 1 or more
        Windows, rows and columns.
    """
    # Boxes of `reach` bins touch exactly if the bins that they were drawn around are within reach.
    grown = ndimage.maximum_filter((counts > 0).astype(np.uint8), size=reach, mode="constant")
    labels, _ = ndimage.label(grown, structure=np.ones((3, 3, 3)))
    return np.asarray(labels, dtype=np.int64)


def sequences(counts: xr.DataArray, horizon: int, config: ScoringConfig) -> NDArray[np.int64]:
    """Return `sequence_labels` of counts (issue_time, lat, lon) with the configured reach, at least one bin each."""
    lat, lon = counts["lat"].to_numpy(), counts["lon"].to_numpy()
    km = KM_PER_DEGREE * np.array([np.ptp(lat), np.ptp(lon) * np.cos(np.deg2rad(lat.mean()))])
    steps = km / np.maximum(1, [lat.size - 1, lon.size - 1])
    rows, columns = (max(1, int(config.sequence_km / s)) if s > 0 else 1 for s in steps)
    values = counts.transpose("issue_time", "lat", "lon").to_numpy()
    return sequence_labels(values, (max(1, config.sequence_days // horizon), rows, columns))
