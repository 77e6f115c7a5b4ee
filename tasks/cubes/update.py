"""A cube brought up to date at the price of what changed: each group rebuilt from the first day that can differ.

Every feature of a day follows from that day, a bounded time before it, and statistics of the training period that
the cube carries in its attributes. So the days before the first change stay as stored, and the rest is built after a
short warm-up. Where a group cannot be continued (other stations, a change in the training period, another
configuration) the cube is built whole.
"""

import logging
from collections.abc import Mapping

import numpy as np
import xarray as xr

from tasks.cubes.build import Groups, build_groups
from tasks.cubes.clock import DAY
from tasks.cubes.recipe import recipe
from tasks.cubes.static import grid_static
from tasks.cubes.store import CubeRef, CubeStore, ObservationStore, TailDoesNotFit, open_cube
from tasks.cubes.tails import (
    ReadSince,
    Tail,
    catalog_tail,
    gnss_tail,
    insar_tail,
    waveform_tail,
    weather_tail,
)
from tasks.regions import Region

logger = logging.getLogger(__name__)
Since = Mapping[str, np.datetime64]


def update_cube(
    region: Region, read: ReadSince, store: CubeStore, since: Since, message: str = "update"
) -> CubeRef:
    """Commit the cube of `region`, built anew only where observations changed; equal to a full build, bit for bit.

    Parameters
    ----------
    read : function
        Gives the observations that the cube is to follow; see `ReadSince`.
    since : mapping of observation group to datetime64
        The first time of which each group says something else than when the latest cube in `store` was built (see
        `ObservationStore.changes`). Groups that are not named are as they were.

    Raises
    ------
    ValueError
        If there is no catalog.
    StoreBusy, StoreFull
        See `Repository.writing`; no part of the update is then visible.
    """
    latest = store.latest()
    stored = {} if latest is None else open_cube(latest, in_tasks=False)
    try:
        tails = _tails(region, read, stored, since)
        return store.write_tails(tails, message)
    except TailDoesNotFit as why:
        logger.info("cube of %s: %s; it is built whole", region.name, why)
    return store.write(build_groups(region, lambda group: read(group)), message)


def reader(store: ObservationStore, snapshot: str | None = None) -> ReadSince:
    """Return what `update_cube` reads observations with: those of `snapshot`, in the versions known first."""

    def read(group: str, since: np.datetime64 | None = None) -> xr.Dataset | None:
        if since is None:
            return store.read(group, snapshot, first=True)
        return store.read_since(group, since, snapshot, first=True)

    return read


def _tails(region: Region, read: ReadSince, stored: Groups, since: Since) -> dict[str, Tail | None]:
    """Return the new end of each group, None where it stays as it is.

    Raises
    ------
    TailDoesNotFit
        If the cube has to be built whole.
    """
    if "labels" not in stored or stored["labels"].attrs.get("recipe") != recipe(region):
        raise TailDoesNotFit("expected a cube of the same configuration, found another or none")
    end = stored["labels"]["time"].values[-1] + DAY
    if end > region.window.end:
        raise TailDoesNotFit(f"expected a cube that ends by {region.end}, found one to {end}")
    first = {modality: _first(region, modality, since) for modality in {s.modality for s in region.sources}}
    if end < region.window.end:
        # Observations of days that the cube did not have yet may be stored for long.
        first = {m: end if t is None else min(t, end) for m, t in first.items()}
    trained = np.datetime64(region.split.train_end, "ns")
    early = [m for m, t in first.items() if t is not None and m != "static" and t < trained]
    if early:
        raise TailDoesNotFit(f"observations of the training period changed: {', '.join(sorted(early))}")
    tails: dict[str, Tail | None] = dict.fromkeys(stored)
    if (start := first.get("catalog")) is not None:
        tails |= catalog_tail(region, read, stored, start)
    if (start := first.get("gnss")) is not None and "gnss" in stored:
        tails |= gnss_tail(region, read, stored, start)
    if (start := first.get("weather")) is not None:
        tails |= weather_tail(region, read, stored, start)
    if (start := first.get("waveform")) is not None:
        tails |= waveform_tail(region, read, stored, start)
    if first.get("insar") is not None or ("insar" in stored and tails.get("gnss") is not None):
        tails |= insar_tail(region, read, stored, first.get("insar"), tails.get("gnss"))
    layers = [d for s in region.sources if s.modality == "static" if (d := read(s.group)) is not None]
    if layers:
        tails["static"] = (0, grid_static(layers, region))
    return tails


def _first(region: Region, modality: str, since: Since) -> np.datetime64 | None:
    times = [since[s.group] for s in region.sources if s.modality == modality and s.group in since]
    return min(times) if times else None
