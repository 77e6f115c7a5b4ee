"""Two times for every value: a later version replaces an earlier one, and the earlier one is still known for its time.

A group of the observation store holds of each value (a day's position at a station, a scene) the version that became
known last. A version that it replaced, or that came late although it is older, is kept as a row of the group's
*revisions*, so that `as_known` can tell what was known at any moment: of every value the version with the latest
`available_time` up to then. Catalogs hold all versions of their events as rows of their own and need no revisions.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from tasks.cubes.clock import known_at

REVISION: Final = "revision"
_FILL: Final[Mapping[str, object]] = {
    "f": np.nan,
    "M": np.datetime64("NaT", "ns"),
    "u": np.uint8(1),
    "i": 0,
    "O": "",
    "b": False,
}
Mask = NDArray[np.bool_]


class Versions(NamedTuple):
    """The answer with, of each value, the version to store; and rows (revision) to keep beside it, None if none."""

    answer: xr.Dataset
    revisions: xr.Dataset | None


def sort_versions(stored: xr.Dataset, answer: xr.Dataset) -> Versions:
    """Return which of two versions of each value is the current one, and what is kept as a revision.

    The one that became known later is current, whichever arrived first; of two that became known at the same time the
    answer's, which mends the other. A value that only one of them has makes no revision. Said again later, a value
    keeps its earlier time: files that are written anew every day do not make their past unknown.

    Parameters
    ----------
    stored : Dataset
        Rows of the group; those that the answer shares are enough.
    answer : Dataset
        With `available_time` (time) or (time, station).

    Returns
    -------
    Versions
        A revision is one value: `time`, `station` where there are stations, and all variables of the cell.
    """
    shared = np.intersect1d(stored["time"].values, answer["time"].values)
    if "available_time" not in answer.variables or shared.size == 0:
        return Versions(answer, None)
    before, after = _on_stations(stored.sel(time=shared).load(), answer), answer.sel(time=shared)
    both, differ = _differ(before, after)
    known_before, known_after = (d["available_time"].values for d in (before, after))
    late = differ & (known_after < known_before)
    again = both & ~differ & (known_after > known_before)
    superseded = differ & (known_after > known_before)
    kept = [_cells(d, mask) for d, mask in ((before, superseded), (after, late)) if mask.any()]
    if (late | again).any():
        current = _choose(after, before, late | again)
        answer = _joined([answer.drop_sel(time=shared), current], "time").sortby("time")
    return Versions(answer, _joined(kept, REVISION) if kept else None)


def as_known(current: xr.Dataset, revisions: xr.Dataset | None, moment: np.datetime64) -> xr.Dataset:
    """Return a group as known at `moment`: of each value the version with the latest `available_time` up to then.

    Values not yet known are NaN with quality flag 3, rows of which nothing was known are left out, as in `known_at`.
    """
    if revisions is None:
        return known_at(current, moment)
    known = revisions.load().isel({REVISION: np.flatnonzero(revisions["available_time"].values <= moment)})
    # Of several versions of one value the last assignment stays.
    known = known.isel({REVISION: np.argsort(known["available_time"].values, kind="stable")})
    whole = current.copy(deep=True).load()
    dims = [str(d) for d in whole["available_time"].dims]
    places = [pd.Index(whole[d].values).get_indexer(pd.Index(known[d].values)) for d in dims]
    stamps = whole["available_time"].values
    own = known["available_time"].values
    stamp = stamps[tuple(places)] if own.size else own
    # A later version that is known already stays; a place of -1 is a row that the group lost.
    take = np.flatnonzero(~((stamp <= moment) & (stamp >= own)) & np.all([p >= 0 for p in places], axis=0))
    cells = tuple(place[take] for place in places)
    for name in _versioned(whole):
        array = whole[name].transpose(*dims, ...)
        array.values[cells] = known[name].transpose(REVISION, ...).values[take]
        whole[name] = array.transpose(*whole[name].dims)
    return known_at(whole, moment)


def _versioned(dataset: xr.Dataset) -> list[str]:
    dims = set(dataset["available_time"].dims)
    return [str(name) for name, v in dataset.data_vars.items() if dims <= set(v.dims)]


def _on_stations(dataset: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    """Return `dataset` on the stations of `other`, if these have any; what it lacks is missing, its time NaT."""
    if "station" not in other.sizes:
        return dataset
    fills = {str(n): _FILL[v.dtype.kind] for n, v in dataset.variables.items() if str(n) not in dataset.sizes}
    return dataset.reindex(station=other["station"].values, fill_value=fills)


def _differ(a: xr.Dataset, b: xr.Dataset) -> tuple[Mask, Mask]:
    """Return where both have a value, and where these differ, in the shape of `available_time`; NaN equals NaN."""
    stamps = a["available_time"]
    out = np.zeros(stamps.shape, dtype=bool)
    for name in _versioned(a):
        if name == "available_time":
            continue
        order = (*stamps.dims, *(d for d in a[name].dims if d not in stamps.dims))
        left, right = (d[name].transpose(*order).values for d in (a, b))
        same = (left == right) | ((left != left) & (right != right))
        out |= ~same.reshape(*stamps.shape, -1).all(axis=-1)
    both = ~np.isnat(a["available_time"].values) & ~np.isnat(b["available_time"].values)
    return both, out & both


def _cells(dataset: xr.Dataset, mask: Mask) -> xr.Dataset:
    """Return the cells of `mask` (in the shape of `available_time`) as revisions."""
    dims = [str(d) for d in dataset["available_time"].dims]
    places = np.nonzero(mask)
    index = {d: xr.DataArray(place, dims=REVISION) for d, place in zip(dims, places, strict=True)}
    part = dataset[_versioned(dataset)].isel(index)
    names = {d: (REVISION, dataset[d].values[place]) for d, place in zip(dims, places, strict=True)}
    return part.drop_vars([*dims, *(c for c in part.coords if c not in part.sizes)], errors="ignore").assign(
        names
    )


def _choose(one: xr.Dataset, other: xr.Dataset, cells: Mask) -> xr.Dataset:
    """Return `one` with `cells` (in the shape of `available_time`) from `other`."""
    mask = xr.DataArray(cells, dims=one["available_time"].dims)
    return one.assign({name: other[name].where(mask, one[name]) for name in _versioned(one)})


def _joined(parts: list[xr.Dataset], dim: str) -> xr.Dataset:
    return xr.concat(
        parts, dim=dim, data_vars="minimal", coords="minimal", compat="override", join="override"
    )
