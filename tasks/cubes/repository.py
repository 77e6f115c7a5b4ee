"""One writer, atomic commits, readable history: what the observation store and the cube store share.

Only `store.py` uses this file. Icechunk on a local disk is not safe for two writers at once, so a file lock
beside the repository lets one in at a time; a writer that dies releases it, and its chunks are never seen.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import icechunk
import numpy as np
import xarray as xr
import zarr
from filelock import FileLock, Timeout
from icechunk import IcechunkError

_CHUNK_ELEMENTS: Final = 1 << 20
_TIME_ENCODING: Final = {
    "units": "nanoseconds since 1970-01-01",
    "dtype": "int64",
    "calendar": "proleptic_gregorian",
}
_ROWS: Final = ("time", "event", "record", "pair")
_FULL: Final = ("No space left", "os error 28", "File too large", "os error 27", "quota", "os error 122")


class StoreBusy(RuntimeError):
    """Another writer holds the store; the message names the lock file."""


class StoreFull(OSError):
    """The disk took no more; nothing was committed, and what was stored stays readable."""


class UnknownSnapshot(KeyError):
    """The repository holds no such snapshot."""

    def __str__(self) -> str:
        """Return the message without the quotes that KeyError adds."""
        return str(self.args[0])


class Repository:
    """An Icechunk repository in the folder `root`/`name` with a lock file `root`/`name`.lock."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / name
        self.lock_path = root / f"{name}.lock"
        # Icechunk warns on stdout's terminal about concurrent local commits, which the lock excludes.
        icechunk.set_logs_filter("error")

    def exists(self) -> bool:
        """Tell whether anything was ever written."""
        return (self.path / "repo").exists() or (self.path / "refs").exists()

    def open(self) -> icechunk.Repository:
        """Return the repository, made if it is not there (make it under `writing` only).

        Manifests are split every 1,000 chunks of the growing axis, so that a late append stays cheap.
        """
        splitting = icechunk.ManifestSplittingConfig.from_dict(
            {icechunk.ManifestSplitCondition.AnyArray(): {icechunk.ManifestSplitDimCondition.Axis(0): 1000}}
        )
        config = icechunk.RepositoryConfig(
            manifest=icechunk.ManifestConfig(splitting=splitting), inline_chunk_threshold_bytes=512
        )
        storage = icechunk.local_filesystem_storage(str(self.path))
        return icechunk.Repository.open_or_create(storage, config=config)

    def snapshot(self) -> str | None:
        """Return the id of the newest snapshot; None before the first write."""
        history = self.history()
        return history[0][0] if history else None

    def history(self) -> list[tuple[str, str]]:
        """Return (snapshot id, message) of each commit, newest first, without the empty first one."""
        if not self.exists():
            return []
        return [(s.id, s.message) for s in self.open().ancestry(branch="main") if s.parent_id is not None]

    def groups(self, snapshot: str | None = None) -> list[str]:
        """Return the paths of the groups that hold arrays, sorted."""
        if not self.exists():
            return []
        try:
            members = zarr.open_group(self._reader(snapshot), mode="r").members(max_depth=None)
        except zarr.errors.GroupNotFoundError:
            return []
        return sorted({path.rpartition("/")[0] for path, node in members if isinstance(node, zarr.Array)})

    def read(self, group: str, snapshot: str | None = None) -> xr.Dataset | None:
        """Return `group` lazily, in stored chunks, at `snapshot` (default: newest); None if absent.

        Raises
        ------
        UnknownSnapshot
            If the repository holds no such snapshot.
        """
        if not self.exists():
            if snapshot is not None:
                raise UnknownSnapshot(f"{self.path}: expected snapshot {snapshot!r}, found no repository")
            return None
        try:
            dataset = xr.open_zarr(self._reader(snapshot), group=group, consolidated=False)
        except zarr.errors.GroupNotFoundError:
            return None
        # Variable-length strings come back as StringDType, which object comparisons do not expect.
        # Zarr lists arrays in no order; who stacks variables needs one.
        return canonical(dataset[sorted(map(str, dataset.data_vars))])

    @contextmanager
    def writing(self, message: str, timeout_s: float) -> Iterator[icechunk.Session]:
        """Give a session that is committed with `message` at the end, if it changed anything.

        Raises
        ------
        StoreBusy
            If another writer held the lock for `timeout_s` seconds.
        StoreFull
            If the disk is full; the branch stays where it was.
        """
        try:
            self.lock_path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.lock_path, timeout=timeout_s):
                session = self.open().writable_session("main")
                yield session
                if session.has_uncommitted_changes:
                    session.commit(message)
        except Timeout as busy:
            raise StoreBusy(
                f"{self.lock_path}: another writer has held this lock for {timeout_s:g} s; "
                "wait until it ends and start again (the lock goes with its process)"
            ) from busy
        except (OSError, IcechunkError) as error:
            if isinstance(error, StoreFull) or not any(sign in str(error) for sign in _FULL):
                raise
            raise StoreFull(
                f"{self.path}: the disk or quota is full, nothing of {message!r} was committed; "
                "free some space and start again"
            ) from error

    def _reader(self, snapshot: str | None) -> icechunk.IcechunkStore:
        repository = self.open()
        if snapshot is None:
            return repository.readonly_session("main").store
        try:
            return repository.readonly_session(snapshot_id=snapshot).store
        except IcechunkError as error:
            raise UnknownSnapshot(
                f"{self.path}: expected one of its snapshots, found {snapshot!r}; see history()"
            ) from error


def put_group(session: icechunk.Session, group: str, dataset: xr.Dataset) -> None:
    """Write `dataset` as the whole of `group`: times as int64 ns, flags without fill value, about 1 M a chunk."""
    plain = canonical(dataset.compute().drop_encoding())
    encoding: dict[str, dict[str, object]] = {}
    for name, array in plain.variables.items():
        own: dict[str, object] = dict(_TIME_ENCODING) if array.dtype.kind == "M" else {}
        if array.ndim:
            own["chunks"] = _chunks(array)
        encoding[str(name)] = own
    plain.to_zarr(session.store, group=group, mode="w", encoding=encoding, consolidated=False)


def drop_group(session: icechunk.Session, group: str) -> None:
    """Remove `group` from the next snapshot; earlier ones keep it."""
    del zarr.open_group(session.store, mode="a")[group]


def extend_group(session: icechunk.Session, group: str, rows: xr.Dataset, dim: str) -> None:
    """Append `rows` to `group` along `dim`; their other axes must be the stored ones."""
    fixed = [n for n, v in rows.variables.items() if dim not in v.dims]
    plain = canonical(rows.drop_vars(fixed).drop_encoding())
    plain.to_zarr(session.store, group=group, append_dim=dim, consolidated=False)


def _chunks(array: xr.Variable) -> tuple[int, ...]:
    shape = [max(1, size) for size in array.shape]
    if array.dims[0] in _ROWS:
        rest = int(np.prod(shape[1:], dtype=np.int64))
        # Not the length of the first write: that would make every later append of a few rows a tiny chunk.
        shape[0] = max(1, min(4096 if array.ndim > 1 else 65536, _CHUNK_ELEMENTS // rest))
    return tuple(shape)


def canonical(dataset: xr.Dataset) -> xr.Dataset:
    """Return `dataset` with ns times and object strings, as it reads back; Dask arrays stay lazy."""
    changed: dict[str, xr.Variable] = {}
    for name, array in dataset.variables.items():
        if array.dtype.kind == "M" and array.dtype != np.dtype("datetime64[ns]"):
            changed[str(name)] = array.astype("datetime64[ns]")
        elif array.dtype.kind in "UT" or not isinstance(array.dtype, np.dtype):
            changed[str(name)] = array.astype(object)
    coords = {n: v for n, v in changed.items() if n in dataset.coords}
    return dataset.assign_coords(coords).assign({n: v for n, v in changed.items() if n not in dataset.coords})
