"""Two times for every value: a later version replaces an earlier one, and the earlier one is still known for its time.

A group of the observation store holds of each value (a day's position, a scene, a record) the version that became
known last. A version that it replaced, or that came late although it is older, is kept as a row of the group's
*revisions*, so that `as_known` can tell what was known at any moment: of every value the version with the latest
`available_time` up to then. Catalogs hold all versions of their events as rows of their own and need no revisions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from tasks.cubes.clock import known_at

REVISION = "revision"
Mask = NDArray[np.bool_]


class Versions(NamedTuple):
    """The answer with, of each value, the version to store; and rows (revision) to keep beside it, None if none."""

    answer: xr.Dataset
    revisions: xr.Dataset | None


def sort_versions(stored: xr.Dataset, answer: xr.Dataset, dim: str = "time") -> Versions:
    """Return which of two versions of each value is the current one, and what is kept as a revision.

    The one that became known later is current, whichever arrived first; of two that became known at the same time the
    answer's, which mends the other. A value that only one of them has makes no revision. Said again later, a value
    keeps its earlier time: files that are written anew every day do not make their past unknown.

    Parameters
    ----------
    stored : Dataset
        Rows of the group; those that the answer shares are enough.
    answer : Dataset
        With `available_time` along `dim`, or along `dim` and station.
    """
    shared = np.intersect1d(stored[dim].values, answer[dim].values)
    if "available_time" not in answer.variables or shared.size == 0:
        return Versions(answer, None)
    before, after = _at(stored, answer, dim, shared), answer.sel({dim: shared})
    both, differ = _differ(before, after)
    known_before, known_after = (d["available_time"].values for d in (before, after))
    late = differ & (known_after < known_before)
    kept = [_rows(before, differ & (known_after > known_before), dim), _rows(after, late, dim)]
    found = [part for part in kept if part is not None]
    again = both & ~differ & (known_after > known_before)
    if (late | again).any():
        current = _choose(after, before, late | again)
        rest = answer.drop_sel({dim: shared})
        answer = xr.concat(
            [rest, current],
            dim=dim,
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="override",
        ).sortby(dim)
    return Versions(answer, join_revisions(found) if found else None)


def join_revisions(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return revisions of one group one after the other; stations that one of them lacks are missing there."""
    return xr.concat(
        parts, dim=REVISION, data_vars="minimal", coords="minimal", compat="override", join="outer",
        fill_value={str(n): _FILL[v.dtype.kind] for part in parts for n, v in part.data_vars.items()},
    )  # fmt: skip


def as_known(
    current: xr.Dataset, revisions: xr.Dataset | None, moment: np.datetime64, dim: str = "time"
) -> xr.Dataset:
    """Return a group as known at `moment`: of each value the version with the latest `available_time` up to then.

    Values not yet known are NaN with quality flag 3, rows of which nothing was known are left out, as in `known_at`.
    """
    if revisions is None or revisions.sizes[REVISION] == 0:
        return known_at(current, moment)
    current, revisions = current.load(), _on_stations(revisions.load(), current)
    whole = current.copy(deep=True)
    place = whole.indexes[dim].get_indexer(pd.Index(revisions[dim].values))
    usable = (revisions["available_time"].values <= moment).reshape(place.size, -1).any(axis=1)
    for k in np.flatnonzero(usable & (place >= 0)):
        revision, at = revisions.isel({REVISION: k}), place[k]
        stamp = whole["available_time"].values[at]
        own = revision["available_time"].values
        # A later version that is known already stays.
        take = (own <= moment) & ~((stamp <= moment) & (stamp >= own))
        for name in _versioned(current, dim):
            target = whole[name].values
            mask = _broadcast(take, whole[name], dim)
            target[at] = np.where(mask, revision[name].values, target[at])
    return known_at(whole, moment)


def _versioned(dataset: xr.Dataset, dim: str) -> list[str]:
    return [str(n) for n, v in dataset.data_vars.items() if v.dims and v.dims[0] == dim]


def _broadcast(mask: NDArray[np.bool_], array: xr.DataArray, dim: str) -> Mask:
    """Return a mask of the versioned cells of one row in the shape of a row of `array`."""
    shape = tuple(size for name, size in array.sizes.items() if name != dim)
    return np.broadcast_to(mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim)), shape)


def _at(stored: xr.Dataset, answer: xr.Dataset, dim: str, rows: NDArray[np.generic]) -> xr.Dataset:
    """Return `rows` of `stored` on the answer's stations; what it lacks has NaT as its time."""
    return _on_stations(stored.sel({dim: rows}).load(), answer)


def _on_stations(dataset: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    """Return `dataset` on the stations of `other`, if these have any; what it lacks is missing, its time NaT."""
    if "station" not in other.sizes:
        return dataset
    fills = {str(n): _FILL[v.dtype.kind] for n, v in dataset.variables.items() if str(n) not in dataset.sizes}
    return dataset.reindex(station=other["station"].values, fill_value=fills)


_FILL = {"f": np.nan, "M": np.datetime64("NaT", "ns"), "u": np.uint8(1), "i": 0, "O": "", "b": False}


def _differ(a: xr.Dataset, b: xr.Dataset) -> tuple[Mask, Mask]:
    """Return where both have a value, and where these differ, in the shape of `available_time`; NaN equals NaN."""
    stamps = a["available_time"]
    out = np.zeros(stamps.shape, dtype=bool)
    for name in a.data_vars:
        array = a[name]
        if not set(stamps.dims) <= set(array.dims) or name == "available_time":
            continue
        order = (*stamps.dims, *(d for d in array.dims if d not in stamps.dims))
        left, right = (d[name].transpose(*order).values for d in (a, b))
        same = (left == right) | ((left != left) & (right != right))
        out |= ~same.reshape(*stamps.shape, -1).all(axis=-1)
    both = ~np.isnat(a["available_time"].values) & ~np.isnat(b["available_time"].values)
    return both, out & both


def _rows(dataset: xr.Dataset, cells: Mask, dim: str) -> xr.Dataset | None:
    """Return the rows with any of `cells` as revisions; only those cells keep a time."""
    hit = cells.reshape(cells.shape[0], -1).any(axis=1)
    if not hit.any():
        return None
    part = dataset.isel({dim: np.flatnonzero(hit)})
    stamps = part["available_time"].where(xr.DataArray(cells[hit], dims=part["available_time"].dims))
    moments = part[dim].values
    return (
        part.assign(available_time=stamps)
        .drop_vars(dim)
        .rename({dim: REVISION})
        .assign({dim: (REVISION, moments)})
    )


def _choose(one: xr.Dataset, other: xr.Dataset, cells: Mask) -> xr.Dataset:
    """Return `one` with `cells` (in the shape of `available_time`) from `other`."""
    mask = xr.DataArray(cells, dims=one["available_time"].dims)
    changed = {
        str(n): other[n].where(mask, v) for n, v in one.data_vars.items() if set(mask.dims) <= set(v.dims)
    }
    return one.assign(changed)
