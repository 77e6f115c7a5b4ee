"""Two times for every value: what was known first is stored, and what replaced it later is kept beside it.

A group of the observation store holds of each value (a day's position at a station, a scene, a record) the version
that became known first: what a forecast could see when it was issued, and so what a cube is made of. Each later version
that says something else is a *revision*, a row of a group of its own, so that a final product that comes two weeks
after the rapid one touches nothing that is stored. `as_known` puts the two together. Catalogs hold all versions of
their events as rows of their own and need no revisions.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from tasks.cubes.append import ROW_KEYS, row_keys
from tasks.cubes.clock import known_at

REVISION: Final = "revision"
_NAT: Final = np.iinfo(np.int64).min
_FOREVER: Final = np.datetime64(np.iinfo(np.int64).max, "ns")
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


class Versions(NamedTuple):
    """The rows of an answer as the group is to hold them, which of them differ from what it holds, and revisions."""

    first: xr.Dataset
    changed: Mask
    revisions: xr.Dataset | None


def has_versions(dataset: xr.Dataset, dim: str) -> bool:
    """Tell whether the values of a group that grows along `dim` come in versions, told apart by `available_time`."""
    if "available_time" not in dataset.variables or dim == "event":
        return False
    return set(dataset["available_time"].dims) == {dim} | ({"station"} & set(dataset.dims))


def versioned(dataset: xr.Dataset, dim: str) -> list[str]:
    """Return the names of the variables that a version consists of: `available_time` and all over its dimensions."""
    dims = set(dataset["available_time"].dims)
    keys = {*ROW_KEYS[dim], "station"}
    return [str(name) for name, v in dataset.variables.items() if dims <= set(v.dims) and name not in keys]


def places_of(revisions: xr.Dataset, dataset: xr.Dataset, dim: str) -> tuple[Places, ...]:
    """Return for each dimension of `available_time` where in `dataset` each revision belongs, -1 where nowhere."""
    keys = [row_keys([d[name].values for name in ROW_KEYS[dim]]) for d in (dataset, revisions)]
    rows = keys[0].get_indexer(keys[1])
    if "station" not in dataset.dims:
        return (rows,)
    stations = [pd.Index(d["station"].values.astype(object)) for d in (dataset, revisions)]
    return rows, stations[0].get_indexer(stations[1])


def sort_versions(
    stored: xr.Dataset, answer: xr.Dataset, dim: str, revisions: xr.Dataset | None = None
) -> Versions:
    """Return which version of each value of the answer was known first, and what is kept as a revision.

    The one that became known first is first, whichever arrived first; of two that became known at the same time the
    answer's, which mends the other. A value without `available_time` says nothing, and replaces nothing that does. A
    value that only says again what was in force at its time is no version: files that are written anew every day
    do not make their past unknown. One of which all numbers are missing is none before there is one of which they are
    not: a gap that is filled was not known before.

    Parameters
    ----------
    stored : Dataset
        The rows of the group that the answer shares: same rows and stations, in the same order, in memory.
    answer : Dataset
        With `available_time` (dim) or (dim, station), in memory.
    dim : str
        `time` or `record`.
    revisions : Dataset (revision), optional
        Those that are kept already; those of other values do no harm. Only what is compared is loaded.

    Returns
    -------
    Versions
        A revision is one value: `time`, `station` where there are stations, and all variables of the version.
    """
    dims = [str(d) for d in answer["available_time"].dims]
    names = versioned(answer, dim)
    held, said = (_stamps(d, dims) for d in (stored, answer))
    blank, says_blank = (_is_blank(d, names, dims) for d in (stored, answer))
    unlike = _differ(stored, answer, names, dims)
    differ = unlike & ~(blank & says_blank)
    both = (held != _NAT) & (said != _NAT)
    later = both & (said > held)
    fresh = later & differ
    begins = fresh & blank
    if revisions is not None and later.any():
        in_force, where = _in_force(revisions, answer, dim, said, later)
        if in_force.size:
            one, other = _cells(answer, dim, where), revisions.isel({REVISION: in_force}).load()
            fresh[where] = _differ(one, other, names, [REVISION])
            begins[where] = False
    fresh &= ~begins
    older = both & (said < held)
    stays = (later & ~begins) | ((held != _NAT) & (said == _NAT)) | (older & says_blank & ~blank)
    superseded = older & ~stays & differ
    kept = [_cells(d, dim, np.nonzero(m)) for d, m in ((stored, superseded), (answer, fresh)) if m.any()]
    changed = ~stays & (unlike | (held != said))
    return Versions(
        first=_choose(answer, stored, stays, dim),
        changed=changed.reshape(changed.shape[0], -1).any(axis=1),
        revisions=_joined(kept) if kept else None,
    )


def as_known(
    first: xr.Dataset, revisions: xr.Dataset | None, moment: np.datetime64 | None = None
) -> xr.Dataset:
    """Return a group as known at `moment`: of each value the version with the latest `available_time` up to then.

    Without `moment`, of each value the latest version. Lazy, but for the columns of the revisions.

    Parameters
    ----------
    first : Dataset
        The group as stored: of each value the version known first.
    revisions : Dataset (revision) or None
        Later versions; those of values that `first` does not have are left out.

    Returns
    -------
    Dataset
        Values not yet known are NaN with quality flag 3; rows and stations of which nothing was known are left out.
    """
    whole = first if revisions is None else _with_latest(first, revisions, moment)
    if moment is None:
        return whole
    known = known_at(whole, moment)
    if "station" not in known.dims or "station" not in known["available_time"].dims:
        return known
    seen = (~np.isnat(known["available_time"].values)).any(axis=known["available_time"].dims.index("time"))
    return known.isel(station=np.flatnonzero(seen))


def events_in_force(catalog: xr.Dataset, moment: np.datetime64) -> xr.Dataset:
    """Return of each event of a catalog (event) the latest version known at `moment`, in the order of the rows.

    An event of which the version in force is of type `other` was withdrawn, or never was one that a catalog is about:
    it is left out.
    """
    known = catalog["available_time"].values
    rows = np.flatnonzero(known <= moment)
    rows = rows[np.argsort(known[rows], kind="stable")]
    ids = pd.Index(catalog["event_id"].values.astype(object)[rows])
    rows = np.sort(rows[~ids.duplicated(keep="last")])
    if "event_type" in catalog:
        rows = rows[catalog["event_type"].values[rows] != "other"]
    return catalog.isel(event=rows)


def _with_latest(first: xr.Dataset, revisions: xr.Dataset, moment: np.datetime64 | None) -> xr.Dataset:
    """Return `first` with the latest revision up to `moment` of each value that has one."""
    dim = "record" if "record" in first.dims else "time"
    known = revisions["available_time"].values
    places = places_of(revisions, first, dim)
    usable = np.all([p >= 0 for p in places], axis=0) & (known <= (_FOREVER if moment is None else moment))
    rows = np.flatnonzero(usable)
    # Of several versions of one value the last one in time stays.
    rows = rows[np.argsort(known[rows], kind="stable")]
    cell = pd.MultiIndex.from_arrays([p[rows] for p in places])
    rows = rows[~cell.duplicated(keep="last")]
    if not rows.size:
        return first
    latest, cells = revisions.isel({REVISION: rows}), tuple(p[rows] for p in places)
    names = versioned(first, dim)
    if len(cells) == 1:
        order = np.arange(first.sizes[dim])
        order[cells[0]] = order.size + np.arange(rows.size)
        parts = [first[names], latest[names].rename({REVISION: dim})]
        both = xr.concat([p.drop_vars(dim, errors="ignore") for p in parts], dim=dim, join="override")
        return first.assign({name: both[name].isel({dim: order}) for name in names})
    latest = latest.load()
    return first.assign(
        {name: _replaced(first[name], cells, latest[name].transpose(REVISION, ...).values) for name in names}
    )


def _replaced(array: xr.DataArray, cells: tuple[Places, ...], values: NDArray[np.generic]) -> xr.DataArray:
    """Return `array` (time, station, ...), in Dask chunks of rows, with `values` (cell, ...) at `cells`."""
    ordered = array.transpose("time", "station", ...)
    data = da.asarray(ordered.data)
    data = data.rechunk(dict.fromkeys(range(1, data.ndim), -1))

    def put(
        block: NDArray[np.generic], block_info: Mapping[int, Mapping[str, list[tuple[int, int]]]]
    ) -> NDArray[np.generic]:
        start, stop = block_info[0]["array-location"][0]
        mine = np.flatnonzero((cells[0] >= start) & (cells[0] < stop))
        out = block.copy()
        out[cells[0][mine] - start, cells[1][mine]] = values[mine]
        return out

    replaced = da.map_blocks(put, data, dtype=data.dtype, meta=np.empty((0,) * data.ndim, data.dtype))
    return ordered.copy(data=replaced).transpose(*array.dims)


def _stamps(dataset: xr.Dataset, dims: list[str]) -> NDArray[np.int64]:
    values = dataset["available_time"].transpose(*dims).values
    return np.asarray(values.astype("datetime64[ns]").view(np.int64))


def _is_blank(dataset: xr.Dataset, names: list[str], dims: list[str]) -> Mask:
    """Return in the shape of `dims` where all of the floating-point numbers that a version has are missing."""
    numbers = [name for name in names if dataset[name].dtype.kind == "f"]
    out = np.full([dataset.sizes[d] for d in dims], bool(numbers))
    for name in numbers:
        values = dataset[name].transpose(*dims, ...).values
        out &= np.isnan(values).reshape(*out.shape, -1).all(axis=-1)
    return out


def _differ(a: xr.Dataset, b: xr.Dataset, names: list[str], dims: list[str]) -> Mask:
    """Return in the shape of `dims` where two Datasets say something else, but for when; NaN equals NaN."""
    out = np.zeros([a.sizes[d] for d in dims], dtype=bool)
    for name in names:
        if name == "available_time":
            continue
        left, right = (
            d[name].transpose(*dims, *(e for e in a[name].dims if e not in dims)).values for d in (a, b)
        )
        same = (left == right) | ((left != left) & (right != right))
        out |= ~same.reshape(*out.shape, -1).all(axis=-1)
    return out


def _in_force(
    revisions: xr.Dataset, answer: xr.Dataset, dim: str, said: NDArray[np.int64], later: Mask
) -> tuple[Places, tuple[Places, ...]]:
    """Return the revisions that were in force when the answer's values became known, and the cells of these."""
    places = places_of(revisions, answer, dim)
    own = _stamps(revisions, [REVISION])
    rows = np.flatnonzero(np.all([p >= 0 for p in places], axis=0))
    cells = tuple(p[rows] for p in places)
    wanted = later[cells] & (own[rows] <= said[cells])
    rows = rows[wanted]
    rows = rows[np.argsort(own[rows], kind="stable")]
    flat = np.ravel_multi_index(tuple(p[rows] for p in places), later.shape)
    rows = rows[~pd.Index(flat).duplicated(keep="last")]
    return rows, tuple(p[rows] for p in places)


def _cells(dataset: xr.Dataset, dim: str, places: tuple[Places, ...]) -> xr.Dataset:
    """Return the values at `places` (in the order of the dimensions of `available_time`) as revisions."""
    dims = [str(d) for d in dataset["available_time"].dims]
    index = {d: xr.DataArray(place, dims=REVISION) for d, place in zip(dims, places, strict=True)}
    keys = {name: dataset[name].isel({d: index[str(d)] for d in dataset[name].dims}).values
            for name in {*ROW_KEYS[dim], *({"station"} & set(dims))}}  # fmt: skip
    part = dataset[versioned(dataset, dim)].reset_coords(drop=True).isel(index)
    part = part.drop_vars([d for d in dims if d in part.variables])
    return part.assign({name: (REVISION, values) for name, values in keys.items()}).drop_attrs(deep=False)


def _choose(one: xr.Dataset, other: xr.Dataset, cells: Mask, dim: str) -> xr.Dataset:
    """Return `one` with `cells` (in the shape of `available_time`) from `other`."""
    if not cells.any():
        return one
    mask = xr.DataArray(cells, dims=one["available_time"].dims)
    return one.assign({name: one[name].where(~mask, other[name]) for name in versioned(one, dim)})


def _joined(parts: list[xr.Dataset]) -> xr.Dataset:
    return xr.concat(
        parts, dim=REVISION, data_vars="minimal", coords="minimal", compat="override", join="override"
    )
