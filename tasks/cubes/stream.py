"""Cubes too large for memory: written to the store piece by piece, each by the worker that computed it."""

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import icechunk
import numpy as np
import xarray as xr
import zarr
from dask.base import compute, optimize
from dask.delayed import delayed

from tasks.cubes.blocks import (
    BLOCK_ROWS,
    CONTENT,
    Digest,
    block_digests,
    content_sha256,
    groups_in,
    store_group,
)
from tasks.cubes.layout import DIGESTS, canonical, encoded, put_group, put_hidden, row_dimension_of
from tasks.cubes.repository import Repository, drop_group, groups_of
from tasks.cubes.store import CubeRef

# Rows that one task writes, whole blocks: of days what `velocity_maps` and weather compute at once, of pairs fewer,
# since each is computed from a scene.
TASK_DAYS: Final = 2 * BLOCK_ROWS
TASK_PAIRS: Final = BLOCK_ROWS


def stream_cube(
    root: Path | str,
    region: str,
    groups: Mapping[str, xr.Dataset],
    message: str,
    *,
    check: Callable[[dict[str, xr.Dataset]], None] | None = None,
    timeout_s: float = 60.0,
) -> CubeRef:
    """Compute `groups` and commit them as one snapshot, the same that `CubeStore.write` makes, to the last bit.

    The Dask scheduler that is set computes; see `stream_groups`. A group that an earlier cube had and this one lacks is
    removed. Equal content commits nothing new. What `check` raises about the groups as they are about to be committed
    is raised here, and nothing is committed.

    Raises
    ------
    StoreBusy, StoreFull
        See `Repository.writing`; no part of the cube is then visible.
    """
    repository = Repository(root, region)

    def apply(session: icechunk.Session) -> None:
        before = {name: _content(session, name) for name in groups_of(session.store)}
        stream_groups(session, groups)
        for name in set(before) - set(groups):
            drop_group(session, name)
        if check is not None:
            check(groups_in(session))
        if before == {name: _content(session, name) for name in groups}:
            session.discard_changes()

    return CubeRef(uri=str(root), region=region, snapshot=repository.change(message, apply, timeout_s))


def stream_groups(session: icechunk.Session, groups: Mapping[str, xr.Dataset]) -> None:
    """Replace `groups` in `session`, no value of a lazy variable coming to this process.

    Rows are cut into tasks of 256 days or 128 pairs. A task gets what its rows of all variables of a group are computed
    from, computes them by itself, writes their chunks into a fork of the session, and gives back the fork, which is a
    list of chunks, and the digests of its blocks. So a worker holds what one task needs, however long the cube is:
    nothing waits in its memory for another task. The forks are merged into `session`; nothing is visible before
    it is committed.

    Raises
    ------
    ValueError
        If `session` holds changes already: such a session does not fork.
    """
    fork = session.fork()
    rows_of: dict[str, str] = {}
    plain: dict[str, xr.Dataset] = {}
    for name, group in groups.items():
        dim, ordered = row_dimension_of(group), canonical(group)[sorted(map(str, group.data_vars))]
        if dim is None or not any(v.chunks is not None and dim in v.dims for v in ordered.data_vars.values()):
            store_group(fork, name, ordered.compute())
            continue
        rows_of[name], plain[name] = dim, ordered.drop_encoding()
        _prepare(fork, name, plain[name], dim)
    # Each task gets a copy of its own, so that what it gives back are its own chunks and no one else's.
    blob = delayed(pickle.dumps(fork), pure=True)
    write = delayed(_write_rows, pure=False)
    tasks = {
        name: [
            write(blob, name, rows.start, dim, _Rows.of(plain[name], dim, rows))
            for rows in _cuts(plain[name].sizes[dim], dim)
        ]
        for name, dim in rows_of.items()
    }
    with warnings.catch_warnings():
        # It is: the values at the places of the providers, some tens of MiB for decades.
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        done: dict[str, list[tuple[Any, Digest]]] = compute(tasks)[0]
    session.merge(fork, *(part for parts in done.values() for part, _ in parts))
    for name, parts in done.items():
        digests = np.concatenate([digest for _, digest in parts]) if parts else np.zeros((0, 32), np.uint8)
        parent = zarr.open_group(session.store, path=name, mode="r+")
        put_hidden(parent, DIGESTS, digests)
        parent.attrs[CONTENT] = content_sha256(plain[name], digests)


class _Rows:
    """Some rows of a group, lazy: to Dask an argument like any other, not a graph to be joined with the rest."""

    def __init__(self, rows: xr.Dataset) -> None:
        self._rows = rows

    @classmethod
    def of(cls, group: xr.Dataset, dim: str, rows: slice) -> Self:
        """Return the rows of one task, with no more of the graph than they need."""
        wide = [n for n, v in group.variables.items() if dim not in v.dims and n not in group.dims]
        return cls(optimize(group.drop_vars(wide).isel({dim: rows}))[0])

    def compute(self) -> xr.Dataset:
        """Compute them in this thread: other tasks keep the other threads busy."""
        return self._rows.compute(scheduler="synchronous")


def graph_tasks(groups: Mapping[str, xr.Dataset]) -> int:
    """Return how many steps the graphs of `groups` have, before any are fused, and without the writes."""
    return len({key for group in groups.values() for key in dict(group.__dask_graph__() or {})})


def _cuts(size: int, dim: str) -> list[slice]:
    step = TASK_PAIRS if dim == "pair" else TASK_DAYS
    return [slice(low, min(low + step, size)) for low in range(0, size, step)]


def _content(session: icechunk.Session, group: str) -> object:
    return zarr.open_group(session.store, path=group, mode="r").attrs.get(CONTENT)


def _prepare(fork: Any, name: str, group: xr.Dataset, dim: str) -> None:
    """Write metadata, attributes, columns and all that has no rows; other arrays get their place but no values."""
    # Selecting no rows of a lazy array would still compute its first block.
    lazy = {k: v for k, v in group.variables.items() if v.chunks is not None and dim in v.dims}
    none = {
        k: (v.dims, np.empty([0 if d == dim else n for d, n in v.sizes.items()], v.dtype), v.attrs)
        for k, v in lazy.items()
    }
    empty = group.drop_vars(list(lazy)).isel({dim: slice(0, 0)}).assign(none)
    put_group(fork, name, empty[sorted(map(str, empty.data_vars))], is_cube=True)
    parent = zarr.open_group(fork.store, path=name, mode="r+")
    for key, array in group.variables.items():
        if dim in array.dims:
            stored = parent[str(key)]
            assert isinstance(stored, zarr.Array)
            stored.resize(array.shape)
            if array.ndim == 1:
                # A chunk of a column is longer than the rows of one task.
                stored[:] = encoded(array.values, stored)


def _write_rows(blob: bytes, name: str, start: int, dim: str, lazy: _Rows) -> tuple[Any, Digest]:
    """Write rows from row `start` on into a fork; return the fork and the digests of the blocks."""
    fork = pickle.loads(blob)  # made by this program a moment ago, never read from outside
    parent = zarr.open_group(fork.store, path=name, mode="r+")
    rows = lazy.compute()
    for key, array in rows.variables.items():
        if dim in array.dims and array.ndim > 1:
            stored = parent[str(key)]
            assert isinstance(stored, zarr.Array)
            stored[start : start + array.sizes[dim]] = encoded(array.values, stored)
    return fork, block_digests(canonical(rows), dim)
