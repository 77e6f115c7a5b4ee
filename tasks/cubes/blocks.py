"""How a cube's group is brought up to date: block by block along its rows, only those that differ written.

A block is `BLOCK_ROWS` rows of every variable. Its digest is kept in a hidden array of the group, so what an
update need not touch is not even read. `attrs["content_sha256"]` is the digest of the blocks' digests, of what has no
rows, and of the attributes: equal content has equal digests, whichever way it came about.
"""

import hashlib
from typing import Final

import icechunk
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from tasks.cubes.layout import (
    CUBE_ROWS,
    DIGESTS,
    HIDDEN,
    canonical,
    dimensions,
    encoded,
    equal,
    put_group,
    put_hidden,
    row_dimension_of,
)
from tasks.cubes.repository import groups_of, open_group

BLOCK_ROWS: Final = CUBE_ROWS
CONTENT: Final = "content_sha256"
# What an attribute says of how the group was made, not of what it holds.
NOTES: Final = (CONTENT, "merge_report", "recipe")
Digest = NDArray[np.uint8]


class TailDoesNotFit(ValueError):
    """The stored group has other variables, stations or cells than its new end: it has to be built whole."""


def store_group(session: icechunk.Session, group: str, dataset: xr.Dataset, first_row: int = 0) -> None:
    """Make `group` equal to its stored rows before `first_row` followed by `dataset`, and write what differs.

    Parameters
    ----------
    dataset : Dataset
        In memory; its attributes become the group's.
    first_row : int
        Rows of the group that stay in front of `dataset`; 0 for the whole group.

    Raises
    ------
    TailDoesNotFit
        If `first_row` is not 0 and the stored group has fewer rows, other variables, or other axes than rows.
    """
    new = canonical(dataset)
    rows = row_dimension_of(new)
    stored = open_group(session.store, group)
    parent = None if stored is None else zarr.open_group(session.store, path=group, mode="r+")
    fits = stored is not None and parent is not None and _fits(stored, parent, new, rows, first_row)
    if first_row and not fits:
        raise TailDoesNotFit(f"group {group!r}: expected the stored variables, types and axes, found others")
    if not fits or rows is None or parent is None or stored is None:
        digests = block_digests(new, rows)
        sha = content_sha256(new, digests)
        if (
            stored is None
            or stored.attrs.get(CONTENT) != sha
            or dict(stored.attrs) != new.attrs | {CONTENT: sha}
        ):
            put_group(session, group, new.assign_attrs({CONTENT: sha}), is_cube=True)
            put_hidden(zarr.open_group(session.store, path=group, mode="r+"), DIGESTS, digests)
        return
    start = first_row - first_row % BLOCK_ROWS
    if start < first_row:
        # Without Dask: a session that is written to does not travel to a cluster's workers.
        head = canonical(stored.isel({rows: slice(start, first_row)}).load())
        fixed = [n for n, v in new.variables.items() if rows not in v.dims]
        new = xr.concat(
            [head.drop_vars([n for n in fixed if n in head.variables]), new.drop_vars(fixed)],
            dim=rows, data_vars="minimal", coords="minimal", compat="override", join="override",
        ).assign({n: new[n] for n in fixed if n not in new.coords}).assign_coords(
            {n: new[n] for n in fixed if n in new.coords}
        ).assign_attrs(new.attrs)  # fmt: skip
    first_block = start // BLOCK_ROWS
    kept_digests = parent[DIGESTS]
    assert isinstance(kept_digests, zarr.Array)
    before = np.asarray(kept_digests[:])
    digests = np.concatenate([before[:first_block], block_digests(new, rows)])
    _write_rows(parent, new, rows, start, before, digests)
    attributes = dict(new.attrs) | {CONTENT: content_sha256(new, digests)}
    kept = dict(parent.attrs)
    if "coordinates" in kept:
        attributes["coordinates"] = kept["coordinates"]
    if kept != attributes:
        parent.attrs.put(attributes)


def groups_in(session: icechunk.Session) -> dict[str, xr.Dataset]:
    """Return the groups as `session` has them, committed or not, lazily and without Dask."""
    opened = {name: open_group(session.store, name) for name in groups_of(session.store)}
    return {name: group for name, group in opened.items() if group is not None}


def content_sha256(dataset: xr.Dataset, digests: Digest | None = None) -> str:
    """Return the SHA-256 of names, dimensions, types, values and attributes of `dataset`, but for `NOTES`.

    Parameters
    ----------
    digests : uint8 (block, 32), optional
        Digests of the blocks of its rows; computed where they are not given. Without them `dataset` must be whole.
    """
    rows = row_dimension_of(dataset)
    blocks = block_digests(dataset, rows) if digests is None else digests
    sha = hashlib.sha256()
    sha.update(repr(sorted((k, v) for k, v in dataset.attrs.items() if k not in NOTES)).encode())
    for name in sorted(map(str, dataset.variables)):
        array = dataset.variables[name]
        others = {d: n for d, n in array.sizes.items() if d != rows}
        sha.update(f"{name}{array.dims}{others}{array.dtype}{sorted(array.attrs.items())}".encode())
        if rows is None or rows not in array.dims:
            sha.update(_bytes(array.values))
    sha.update(blocks.tobytes())
    return sha.hexdigest()


def _fits(stored: xr.Dataset, parent: zarr.Group, new: xr.Dataset, rows: str | None, first_row: int) -> bool:
    if rows is None or DIGESTS not in parent or set(stored.variables) != set(new.variables):
        return False
    if stored.sizes[rows] < first_row:
        return False
    for name, array in new.variables.items():
        old = stored.variables[name]
        kind = np.dtype(object) if old.dtype.kind in "OT" else old.dtype
        if old.dims != array.dims or kind != array.dtype or old.attrs != array.attrs:
            return False
        if any(old.sizes[d] != n for d, n in array.sizes.items() if d != rows):
            return False
    # Another set of stations is another group, even where there are as many.
    return all(
        np.array_equal(np.asarray(stored[d].values).astype(new[d].dtype), new[d].values)
        for d in new.sizes
        if d != rows and d in new.variables
    )


def _write_rows(
    parent: zarr.Group, new: xr.Dataset, rows: str, start: int, before: Digest, after: Digest
) -> None:
    """Write from row `start` on the chunks in which `new` differs, if their block's digest does."""
    total = start + new.sizes[rows]
    blocks = [
        b for b in range(start // BLOCK_ROWS, len(after))
        if b >= len(before) or not np.array_equal(before[b], after[b])
    ]  # fmt: skip
    for name, array in parent.arrays():
        if name in HIDDEN:
            continue
        values = encoded(np.asarray(new[name].values), array)
        if rows not in dimensions(array):
            if not equal(np.asarray(array[...]), values):
                array[...] = values
            continue
        known = array.shape[0]
        if known != total:
            array.resize((total, *array.shape[1:]))
        for block in blocks:
            low, high = block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, total)
            piece = values[low - start : high - start]
            if known < high or not equal(np.asarray(array[low:high]), piece):
                array[low:high] = piece
    if blocks or len(before) != len(after):
        first = blocks[0] if blocks else len(after)
        put_hidden(parent, DIGESTS, after[first:], first)


def block_digests(dataset: xr.Dataset, rows: str | None) -> Digest:
    """Return the SHA-256 of each block of rows, uint8 (block, 32)."""
    if rows is None:
        return np.zeros((0, 32), np.uint8)
    names = sorted(str(n) for n, v in dataset.variables.items() if rows in v.dims)
    arrays = [dataset.variables[n].transpose(rows, ...).values for n in names]
    out = []
    for low in range(0, dataset.sizes[rows], BLOCK_ROWS):
        sha = hashlib.sha256()
        for array in arrays:
            sha.update(_bytes(array[low : low + BLOCK_ROWS]))
        out.append(np.frombuffer(sha.digest(), np.uint8))
    return np.stack(out) if out else np.zeros((0, 32), np.uint8)


def _bytes(values: NDArray[np.generic]) -> bytes | memoryview:
    if values.dtype == object:
        return "\x00".join(map(str, values.ravel())).encode()
    if values.dtype.kind == "f":
        # All NaN are one: their sign and payload depend on the code that made them.
        values = np.where(np.isnan(values), values.dtype.type(np.nan), values)
    return np.ascontiguousarray(values).view(np.uint8).data if values.ndim else values.tobytes()
