"""Quality control of interferograms: decorrelation, and unwrapping errors that are told from surface ruptures."""

from collections import defaultdict
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tasks.quality.earthquakes import Earthquakes, day_bounds
from tasks.quality.flags import NAT, Reason, provider_reason, stamps, verdicts

COHERENCE_MINIMUM: Final = 0.3
SENTINEL1_WAVELENGTH_M: Final = 0.0554658
SMALLEST_PATCH: Final = 4
WHOLE_CYCLE: Final = 0.15
RIM_SPREAD: Final = 0.35
Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]
Loop = tuple[int, int, int]


def judge_interferograms(observations: xr.Dataset, earthquakes: Earthquakes) -> xr.Dataset:
    """Judge a track's interferograms (time, lat, lon), each with the pairs that were there when it came.

    Low coherence: known and below 0.3. Unwrapping: the pair fails the loops a-b, b-c, a-c whose other pairs were there,
    by more than a quarter of the wavelength (half a cycle) from the loop's median, in more than half of its loops. A
    deformation closes its loops, however large it is. Unwrapping, too: a patch of at least 4 pixels that is
    torn from the rest of the map by the same whole number of cycles (within 0.15) along its rim; only suspected, and
    kept, if an earthquake known when the pair came lies near enough to have torn the ground between the two passes.

    Parameters
    ----------
    observations : Dataset
        attrs `wavelength_m` (default: Sentinel-1's C band).
    """
    half_cycle = float(observations.attrs.get("wavelength_m", SENTINEL1_WAVELENGTH_M)) / 4
    start, end = stamps(observations["time_start"]), stamps(observations["time"])
    available = stamps(observations["available_time"])
    loops = _loops(start, end, available)
    lat, lon = observations["lat"].values, observations["lon"].values
    near = earthquakes.reach(float(lat.min()), float(lat.max()), float(lon.min()), float(lon.max()))
    torn = near.explain(day_bounds(start)[0], day_bounds(end)[1], available)
    maps = _Maps(observations)
    reasons = np.zeros((end.size, lat.size, lon.size), np.uint8)
    for pair in range(end.size):
        coherent, left_out = maps.coherent(pair)
        los, reason = coherent.copy(), left_out.copy()
        failed = maps.fails_loops(loops[pair], half_cycle)
        failed &= np.isfinite(los)
        reason[failed], los[failed] = Reason.UNWRAPPING, np.nan
        jumped = torn_patches(los, half_cycle)
        reason[jumped] = Reason.UNWRAPPING_SUSPECTED if torn[pair] else Reason.UNWRAPPING
        reasons[pair] = Reason.NOT_PUBLISHED if available[pair] == NAT else reason
    coords = {name: observations[name] for name in ("time", "lat", "lon")}
    return verdicts(("time", "lat", "lon"), coords, reasons, available, available, "insar")


def torn_patches(los: Floats, half_cycle_m: float) -> NDArray[np.bool_]:
    """Return (lat, lon) the patches that lie whole cycles (2 `half_cycle_m`) off the rest of the map; NaN is no pixel.

    Neighbours belong together if they differ by less than half a cycle. Along the rim of a patch towards the largest
    one the steps must have a median within 0.15 cycles of a whole number other than 0, and half of them must lie
    within 0.35 cycles of each other: a rupture's offset dies out along it, a wrong cycle does not.
    """
    torn = np.zeros(los.size, dtype=bool)
    index = np.arange(los.size).reshape(los.shape)
    first = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    second = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    values = los.ravel()
    step = values[second] - values[first]
    seen = np.isfinite(step)
    first, second, step = first[seen], second[seen], step[seen]
    joined = np.abs(step) < half_cycle_m
    if joined.all() or not joined.any():
        return torn.reshape(los.shape)
    graph = coo_matrix(
        (np.ones(joined.sum(), np.int8), (first[joined], second[joined])), (los.size, los.size)
    )
    patch = connected_components(graph, directed=False)[1]
    size = np.bincount(patch)
    largest = int(np.argmax(size))
    rim = ~joined & ((patch[first] == largest) != (patch[second] == largest))
    outwards = patch[second[rim]] != largest
    other = np.where(outwards, patch[second[rim]], patch[first[rim]])
    cycles = np.where(outwards, step[rim], -step[rim]) / (2 * half_cycle_m)
    rims = pd.Series(cycles).groupby(other)
    low, middle, high = (rims.quantile(q) for q in (0.25, 0.5, 0.75))
    whole = middle.round()
    wrong = (whole != 0) & ((middle - whole).abs() < WHOLE_CYCLE) & (high - low < RIM_SPREAD)
    wrong &= (rims.size() >= SMALLEST_PATCH) & (size[middle.index] >= SMALLEST_PATCH)
    torn = np.isin(patch, middle.index[wrong])
    return torn.reshape(los.shape)


class _Maps:
    """The coherent pixels of a track's pairs, read once while they are needed: (lat, lon) m, NaN elsewhere."""

    def __init__(self, observations: xr.Dataset, kept: int = 32) -> None:
        self._observations, self._kept = observations, kept
        self._read: dict[int, tuple[Floats, NDArray[np.uint8]]] = {}

    def coherent(self, pair: int) -> tuple[Floats, NDArray[np.uint8]]:
        """Return the pair's map and the reasons of the pixels left out."""
        if pair not in self._read:
            if len(self._read) >= self._kept:
                del self._read[next(iter(self._read))]
            one = self._observations.isel(time=pair)
            los = one["los_displacement"].values.astype(np.float64)
            reason = provider_reason(one["quality_flag"].values.astype(np.uint8), los)
            incoherent = (reason == Reason.NONE) & (one["coherence"].values < COHERENCE_MINIMUM)
            reason = np.where(incoherent, np.uint8(Reason.LOW_COHERENCE), reason)
            self._read[pair] = np.where(reason == Reason.NONE, los, np.nan), reason
        return self._read[pair]

    def fails_loops(self, loops: list[Loop], half_cycle_m: float) -> NDArray[np.bool_]:
        """Return (lat, lon) where more than half of the known ones of `loops` (at least one) do not close."""
        shape = tuple(self._observations.sizes[d] for d in ("lat", "lon"))
        fails, known = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        for first, second, both in loops:
            closure = self.coherent(first)[0] + self.coherent(second)[0] - self.coherent(both)[0]
            seen = np.isfinite(closure)
            if seen.any():
                # pairs have references of their own: what all pixels share is no error
                fails += np.nan_to_num(np.abs(closure - np.median(closure[seen]))) > half_cycle_m
                known += seen
        return np.asarray(fails > known / 2)


def _loops(start: Stamps, end: Stamps, available: Stamps) -> list[list[Loop]]:
    """Return for each pair the loops that it is in and whose other two pairs had come no later."""
    place = {(int(a), int(b)): k for k, (a, b) in enumerate(zip(start, end, strict=True))}
    found: list[list[Loop]] = [[] for _ in range(end.size)]
    following: dict[int, list[int]] = defaultdict(list)
    for a, b in place:
        following[a].append(b)
    for a, b in place:
        for c in following.get(b, []):
            if (a, c) in place:
                trio = place[a, b], place[b, c], place[a, c]
                moment = max(int(available[pair]) for pair in trio)
                for pair in trio:
                    if int(available[pair]) == moment:
                        found[pair].append(trio)
    return found
