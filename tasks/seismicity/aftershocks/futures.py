"""Aftershock forecasts: expected numbers, ranges and probabilities of a sequence's zone, from many drawn catalogs."""

import os
from collections.abc import Sequence as Listed
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region
from tasks.seismicity.aftershocks.belief import Posterior
from tasks.seismicity.aftershocks.sequence import Sequence
from tasks.seismicity.etas import EtasModel
from tasks.seismicity.etas_simulation import as_parents, draw_batch
from tasks.seismicity.geometry import Plane

Floats = NDArray[np.float64]

WINDOWS: Final = (1.0, 7.0, 30.0, 365.0)
MAGNITUDES: Final = (3.0, 4.0, 5.0, 6.0, 7.0)
CATALOGS: Final = 10_000
# Catalogs of a batch share one draw of the posterior, of which there are 100; memory stays small.
BATCH: Final = 100
RANGE: Final = (0.025, 0.975)


class Draws(NamedTuple):
    """What many drawn futures hold.

    Attributes
    ----------
    counts : int array (catalog, window, magnitude)
        Events of the zone.
    density : array (window, lat, lon)
        Mean number of events M >= completeness per cell of the region, the zone's and all others.
    """

    counts: NDArray[np.int32]
    density: Floats


def draw_counts(
    model: EtasModel,
    region: Region,
    sequence: Sequence,
    belief: Posterior,
    catalogs: int = CATALOGS,
    seed: int = 0,
    windows: Listed[float] = WINDOWS,
    magnitudes: Listed[float] = MAGNITUDES,
) -> Draws:
    """Draw the futures of a sequence from ETAS, cascades and background included.

    What belongs to the sequence so far has its offspring as productive, and decaying as fast, as a draw from the
    posterior says, one draw a batch of 100 catalogs; what is drawn triggers as the fitted model says.

    Parameters
    ----------
    model, region : EtasModel, Region
    sequence : Sequence
        Known at its issue time, from which the windows run.
    belief : Posterior
        Of the sequence; `generic()` for the fitted model.
    catalogs, seed : int
        Equal seeds give equal draws, whatever the number of threads.
    windows : sequence of float, days
        Increasing.
    magnitudes : sequence of float
        Not below the model's completeness.

    Raises
    ------
    ValueError
        If a magnitude lies below completeness.
    """
    if min(magnitudes) < model.parameters.m0 - 1e-9:
        raise ValueError(
            f"aftershocks: expected magnitudes from {model.parameters.m0:g} on, where the catalog is complete, "
            f"found {min(magnitudes):g}"
        )
    plane = Plane.of(region)
    ends, limits = np.asarray(windows), np.asarray(magnitudes) - 1e-9
    past = as_parents(sequence.events)
    sizes = [min(BATCH, catalogs - first) for first in range(0, catalogs, BATCH)]
    seeds = np.random.SeedSequence(seed).spawn(len(sizes) + 1)
    factors, steeper = belief.draw(len(sizes), np.random.default_rng(seeds[-1]))
    shape = (plane.rows, plane.columns)

    def work(batch: int) -> tuple[NDArray[np.int32], Floats]:
        span = (sequence.issue, sequence.issue + float(ends[-1]))
        factor = np.where(sequence.members, factors[batch], 1.0)
        steep = np.where(sequence.members, steeper[batch], 0.0)
        events = draw_batch(model, plane, past, span, sizes[batch], seeds[batch], factor, steep)
        window = np.searchsorted(ends, events.days - sequence.issue, side="right")
        window = np.minimum(window, ends.size - 1)
        level = np.searchsorted(limits, events.magnitude, side="right") - 1
        inside = sequence.zone.holds(events.x, events.y)
        counts = np.zeros((sizes[batch], ends.size, limits.size), np.int32)
        np.add.at(counts, (events.catalog[inside], window[inside], level[inside]), 1)
        # From "in this interval" to "within this window", from "of this bin" to "at least".
        counts = counts.cumsum(axis=1)[..., ::-1].cumsum(axis=2)[..., ::-1]
        row = np.floor((events.y - plane.south) / plane.dy).astype(np.int64)
        column = np.floor((events.x - plane.west) / plane.dx).astype(np.int64)
        kept = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
        cell = np.ravel_multi_index((window[kept], row[kept], column[kept]), (ends.size, *shape))
        density = np.bincount(cell, minlength=ends.size * shape[0] * shape[1]).reshape(ends.size, *shape)
        return counts.astype(np.int32), density.cumsum(axis=0).astype(np.float64)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        done = list(pool.map(work, range(len(sizes))))
    return Draws(
        np.concatenate([counts for counts, _ in done]),
        np.sum([density for _, density in done], axis=0) / catalogs,
    )


def summarise(
    counts: NDArray[np.int32], windows: Listed[float] = WINDOWS, magnitudes: Listed[float] = MAGNITUDES
) -> xr.Dataset:
    """Return what drawn numbers (catalog, window, magnitude) say, per window and magnitude.

    Returns
    -------
    Dataset (window, magnitude)
        `expected` mean number; `median` number; `low` and `high`, the 95 % range; `probability` of one event or more.
    """
    low, middle, high = np.quantile(counts, [RANGE[0], 0.5, RANGE[1]], axis=0, method="inverted_cdf")
    dims = ("window", "magnitude")
    return xr.Dataset(
        {
            "expected": (dims, counts.mean(axis=0)),
            "median": (dims, middle.astype(np.int64)),
            "low": (dims, low.astype(np.int64)),
            "high": (dims, high.astype(np.int64)),
            "probability": (dims, (counts > 0).mean(axis=0)),
        },
        coords={
            "window": ("window", np.asarray(windows, np.float64), {"units": "days"}),
            "magnitude": ("magnitude", np.asarray(magnitudes, np.float64)),
        },
    )
