"""A cube brought up to date at the price of what changed: each group rebuilt from the first day that can differ.

Every feature of a day follows from that day, a bounded time before it, and statistics of the training period that
the cube carries in its attributes. So the days before the first change stay as stored, and the rest is built after a
short warm-up. Where a group cannot be continued (other stations, a change in the training period, another
configuration) the cube is built whole.
"""

import logging
from collections.abc import Mapping
from typing import Final

import dask.config
import numpy as np
import xarray as xr
from dask.base import compute
from icechunk import IcechunkError

from tasks.cubes.build import MEMORY_BYTES, Groups, build_groups
from tasks.cubes.clock import DAY
from tasks.cubes.proof import Proof
from tasks.cubes.recipe import recipe
from tasks.cubes.repository import Repository
from tasks.cubes.static import grid_static
from tasks.cubes.store import (
    CubeRef,
    CubeStore,
    ObservationStore,
    TailDoesNotFit,
    UnknownSnapshot,
    open_cube,
)
from tasks.cubes.stream import stream_cube
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
First = dict[str, np.datetime64 | None]
Tails = dict[str, Tail | None]
# How the commit of a cube begins that says which snapshot of the observations it was built from.
_BUILT_FROM: Final = "observations "


def follow(
    region: Region, observations: ObservationStore, snapshot: str, cubes: CubeStore, proof: Proof
) -> CubeRef:
    """Commit the cube of what `observations` held at `snapshot`, by an update of the latest one where that can be.

    See `update_cube`. What the latest cube was built from is read from the message of its commit.

    Raises
    ------
    ValueError
        If there is no catalog.
    LeakError
        If the cube looks ahead; it is not committed.
    StoreBusy, StoreFull
        See `Repository.writing`; no part of the cube is then visible.
    """
    since = changes_of(observations, snapshot, cubes)
    return update_cube(
        region, reader(observations, snapshot), cubes, since, f"{_BUILT_FROM}{snapshot}", proof
    )


def changes_of(observations: ObservationStore, snapshot: str, cubes: CubeStore) -> Since | None:
    """Return the first time of a change of each group between what the latest cube was built from and `snapshot`.

    None if that cannot be told: no cube, one whose commit names no observations, or some that expired or are later.
    """
    before = built_from(cubes)
    if before is None:
        return None
    try:
        return observations.changes(before, snapshot)
    except (UnknownSnapshot, IcechunkError) as gone:
        # It expired, or is later than the one asked for.
        logger.info("observations %s and %s cannot be compared: %s", before, snapshot, gone)
        return None


def built_from(cubes: CubeStore) -> str | None:
    """Return the snapshot of the observations that the commit of the latest cube names; None if it names none.

    As long as it is kept, the next cube can be an update.
    """
    latest = cubes.latest()
    if latest is None:
        return None
    # Not from the whole history, which gets longer every day.
    message = str(Repository(cubes.root, cubes.region).open().lookup_snapshot(latest.snapshot).message)
    return message.removeprefix(_BUILT_FROM) if message.startswith(_BUILT_FROM) else None


def update_cube(
    region: Region,
    read: ReadSince,
    store: CubeStore,
    since: Since | None,
    message: str = "update",
    proof: Proof | None = None,
) -> CubeRef:
    """Commit the cube of `region`, built anew only where observations changed; equal to a full build, bit for bit.

    Audited before it is committed, as far as it was built. What cannot be continued, or would not fit into memory, is
    built whole and streamed.

    Parameters
    ----------
    read : function
        Gives the observations that the cube is to follow; see `ReadSince`.
    since : mapping of observation group to datetime64, or None
        The first time of which each group says something else than when the latest cube in `store` was built (see
        `ObservationStore.changes`). Groups that are not named are as they were. None if that is not known.
    proof : Proof, optional
        What audits; it tells at which issue times it did.

    Raises
    ------
    ValueError
        If there is no catalog.
    LeakError
        If the cube looks ahead; it is not committed.
    StoreBusy, StoreFull
        See `Repository.writing`; no part of the update is then visible.
    """
    proof = Proof(region, read) if proof is None else proof
    latest = store.latest()
    try:
        if latest is None or since is None:
            raise TailDoesNotFit("expected a cube whose observations are stored, found none")
        stored = open_cube(latest, in_tasks=False)
        first = _first_changes(region, stored, since)
        start = min((t for t in first.values() if t is not None), default=region.window.end)
        # An end is small: shipping its parts to a cluster would cost more than computing them here.
        with dask.config.set(scheduler="threads"):
            return store.write_tails(
                _computed(_tails(region, read, stored, first)),
                message,
                onto=latest,
                check=lambda groups: proof.of_tail(groups, start),
            )
    except TailDoesNotFit as why:
        logger.info("cube of %s: %s; it is built whole", region.name, why)
    groups = build_groups(region, lambda group: read(group))
    return stream_cube(store.root, store.region, groups, message, check=proof.of_whole)


def reader(store: ObservationStore, snapshot: str | None = None) -> ReadSince:
    """Return what `update_cube` reads observations with: those of `snapshot`, in the versions known first."""

    def read(group: str, since: np.datetime64 | None = None) -> xr.Dataset | None:
        if since is None:
            return store.read(group, snapshot, first=True)
        return store.read_since(group, since, snapshot, first=True)

    return read


def _first_changes(region: Region, stored: Groups, since: Since) -> First:
    """Return for each modality of `region` the first time of a change, None where there is none.

    Raises
    ------
    TailDoesNotFit
        If the cube has to be built whole.
    """
    if "labels" not in stored or stored["labels"].attrs.get("recipe") != recipe(region):
        raise TailDoesNotFit("expected a cube of the same configuration and code, found another or none")
    end = stored["labels"]["time"].values[-1] + DAY
    if end > region.window.end:
        raise TailDoesNotFit(f"expected a cube that ends by {region.end}, found one to {end}")
    modalities: set[str] = {s.modality for s in region.sources}
    first = {modality: _first(region, modality, since) for modality in modalities}
    if end < region.window.end:
        # Observations of days that the cube did not have yet may be stored for long.
        first = {m: end if t is None else min(t, end) for m, t in first.items()}
    trained = np.datetime64(region.split.train_end, "ns")
    early = [m for m, t in first.items() if t is not None and m != "static" and t < trained]
    if early:
        raise TailDoesNotFit(f"observations of the training period changed: {', '.join(sorted(early))}")
    first.pop("static", None)
    return first


def _tails(region: Region, read: ReadSince, stored: Groups, first: First) -> Tails:
    """Return the new end of each group, lazily, None where it stays as it is.

    Raises
    ------
    TailDoesNotFit
        If the cube has to be built whole.
    """
    tails: Tails = dict.fromkeys(stored)
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


def _computed(tails: Tails) -> Tails:
    """Return `tails` in memory.

    Raises
    ------
    TailDoesNotFit
        If they are too large for it: something very old changed.
    """
    new = {name: tail for name, tail in tails.items() if tail is not None}
    size = sum(dataset.nbytes for _, dataset in new.values())
    if size > MEMORY_BYTES:
        raise TailDoesNotFit(f"expected an end of at most {MEMORY_BYTES >> 20} MiB, found {size >> 20}")
    computed = compute(*(dataset for _, dataset in new.values()))
    return tails | {
        name: (row, dataset) for (name, (row, _)), dataset in zip(new.items(), computed, strict=True)
    }


def _first(region: Region, modality: str, since: Since) -> np.datetime64 | None:
    times = [since[s.group] for s in region.sources if s.modality == modality and s.group in since]
    return min(times) if times else None
