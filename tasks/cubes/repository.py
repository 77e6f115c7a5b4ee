"""Atomic commits and readable history: what the observation store and the cube store share.

Only `tasks/cubes` uses this file. Icechunk on a local disk is not safe for two writers at once, so a file lock
beside the repository lets one in at a time; a writer that dies releases it, and its chunks are never seen. On an object
store two writers race, and the one that comes second applies its change again to what the first made.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import icechunk
import numpy as np
import xarray as xr
import zarr
from filelock import FileLock, Timeout
from icechunk import ConflictError, IcechunkError

from tasks.cubes.layout import HIDDEN, REVISIONS, canonical, drop_group, put_group, row_dimension_of
from tasks.cubes.storage import Bucket, is_bucket, probe

__all__ = ["Repository", "StoreBusy", "StoreFull", "UnknownSnapshot", "drop_group", "put_group"]

_DASK_ELEMENTS: Final = 1 << 20
# Chunk references in one manifest: the last manifest is written anew by each append.
_MANIFEST_CHUNKS: Final = 32
_ATTEMPTS: Final = 50
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
    """An Icechunk repository in the folder `root`/`name` with a lock file `root`/`name`.lock, or in a bucket.

    Parameters
    ----------
    root : Path or str
        A folder, or `s3://bucket/prefix?endpoint=...` (see `Bucket.parse`).
    """

    def __init__(self, root: Path | str, name: str) -> None:
        self._name = name
        self._bucket = Bucket.parse(str(root)) if is_bucket(root) else None
        self.path: Path | str = f"{root}#{name}" if self._bucket else Path(root) / name
        self.lock_path = Path(root) / f"{name}.lock"
        # Icechunk warns on stdout's terminal about concurrent local commits, which the lock excludes.
        icechunk.set_logs_filter("error")

    def exists(self) -> bool:
        """Tell whether anything was ever written."""
        if isinstance(self.path, Path):
            return (self.path / "repo").exists() or (self.path / "refs").exists()
        return icechunk.Repository.exists(self._storage())

    def open(self) -> icechunk.Repository:
        """Return the repository, made if it is not there (make it under `writing` only).

        Manifests are split along the growing axis, so that a late append stays cheap.

        Raises
        ------
        StoreUnsafe
            If it lies in an object store that would lose commits.
        """
        if self._bucket is not None:
            probe(self._bucket)
        splitting = icechunk.ManifestSplittingConfig.from_dict(
            {
                icechunk.ManifestSplitCondition.AnyArray(): {
                    icechunk.ManifestSplitDimCondition.Axis(0): _MANIFEST_CHUNKS
                }
            }
        )
        # Manifests are read when one of their chunks is: read ahead, they make an append pay for the whole history.
        preload = icechunk.ManifestPreloadConfig(max_total_refs=0)
        config = icechunk.RepositoryConfig(
            manifest=icechunk.ManifestConfig(preload=preload, splitting=splitting),
            inline_chunk_threshold_bytes=512,
        )
        return icechunk.Repository.open_or_create(self._storage(), config=config)

    def snapshot(self) -> str | None:
        """Return the id of the newest snapshot; None before the first write."""
        if not self.exists():
            return None
        repository = self.open()
        tip = repository.lookup_branch("main")
        return None if repository.lookup_snapshot(tip).parent_id is None else str(tip)

    def history(self) -> list[tuple[str, str]]:
        """Return (snapshot id, message) of each commit, newest first, without the empty first one."""
        if not self.exists():
            return []
        return [(s.id, s.message) for s in self.open().ancestry(branch="main") if s.parent_id is not None]

    def groups(self, snapshot: str | None = None) -> list[str]:
        """Return the paths of the groups that hold arrays, sorted."""
        return groups_of(self.reader(snapshot)) if self.exists() else []

    def read(self, group: str, snapshot: str | None = None) -> xr.Dataset | None:
        """Return `group` lazily at `snapshot` (default: newest); None if absent.

        Raises
        ------
        UnknownSnapshot
            If the repository holds no such snapshot.
        """
        store = self.reader_if_any(snapshot)
        return None if store is None else open_group(store, group)

    def change(self, message: str, apply: Callable[[icechunk.Session], None], timeout_s: float) -> str:
        """Commit what `apply` does to a session; do it again to the newer state if another writer was first.

        Return the id of the snapshot that this call made, or found if it changed nothing: not that of the next writer.

        Raises
        ------
        StoreBusy
            If another writer held the lock for `timeout_s` seconds, or was first fifty times in a row.
        StoreFull
            If the disk is full; the branch stays where it was.
        """
        for _ in range(_ATTEMPTS):
            try:
                with self.writing(message, timeout_s) as session:
                    apply(session)
            except ConflictError:
                continue
            return str(session.snapshot_id)
        raise StoreBusy(f"{self.path}: other writers were first {_ATTEMPTS} times; start again later")

    @contextmanager
    def writing(self, message: str, timeout_s: float) -> Iterator[icechunk.Session]:
        """Give a session that is committed with `message` at the end, if it changed anything.

        Raises
        ------
        StoreBusy
            If another writer held the lock for `timeout_s` seconds.
        StoreFull
            If the disk is full; the branch stays where it was.
        ConflictError
            If, on an object store, another writer committed meanwhile.
        """
        if self._bucket is not None:
            with self._session(message) as session:
                yield session
            return
        try:
            self.lock_path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.lock_path, timeout=timeout_s), self._session(message) as session:
                yield session
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

    @contextmanager
    def _session(self, message: str) -> Iterator[icechunk.Session]:
        session = self.open().writable_session("main")
        yield session
        if session.has_uncommitted_changes:
            session.commit(message)

    def _storage(self) -> icechunk.Storage:
        if self._bucket is not None:
            return self._bucket.storage(self._name)
        return icechunk.local_filesystem_storage(str(self.path))

    def reader_if_any(self, snapshot: str | None = None) -> icechunk.IcechunkStore | None:
        """Return `reader`; None if nothing was ever written.

        Raises
        ------
        UnknownSnapshot
            If the repository holds no such snapshot.
        """
        if self.exists():
            return self.reader(snapshot)
        if snapshot is not None:
            raise UnknownSnapshot(f"{self.path}: expected snapshot {snapshot!r}, found no repository")
        return None

    def reader(self, snapshot: str | None = None) -> icechunk.IcechunkStore:
        """Return the Zarr store of `snapshot` (default: newest), read only.

        Raises
        ------
        UnknownSnapshot
            If the repository holds no such snapshot.
        """
        repository = self.open()
        if snapshot is None:
            return repository.readonly_session("main").store
        try:
            return repository.readonly_session(snapshot_id=snapshot).store
        except IcechunkError as error:
            raise UnknownSnapshot(
                f"{self.path}: expected one of its snapshots, found {snapshot!r}; see history()"
            ) from error


def groups_of(store: icechunk.IcechunkStore) -> list[str]:
    """Return the paths of the groups in `store` that hold arrays, sorted; without their revisions."""
    try:
        members = zarr.open_group(store, mode="r").members(max_depth=None)
    except zarr.errors.GroupNotFoundError:
        return []
    paths = {path.rpartition("/")[0] for path, node in members if isinstance(node, zarr.Array)}
    return sorted(path for path in paths if not path.startswith(REVISIONS))


def open_group(
    store: icechunk.IcechunkStore, group: str, rows: dict[str, slice] | None = None
) -> xr.Dataset | None:
    """Return `group` of `store` lazily, in the order in which its rows are stored; None if absent.

    Arrays are not Dask's yet, so that a selection reads the chunks it touches; see `in_chunks`. With `rows` only
    those are there, and only their part of the axes is read.
    """
    try:
        dataset: xr.Dataset = xr.open_zarr(
            store,
            group=group,
            consolidated=False,
            chunks=None,
            drop_variables=HIDDEN,
            create_default_indexes=False,
        )
    except zarr.errors.GroupNotFoundError:
        return None
    dataset = dataset.isel(rows or {})
    axes = {str(name): (str(name), dataset[name].values, dataset[name].attrs) for name in dataset.dims
            if name in dataset.coords}  # fmt: skip
    # Zarr lists arrays in no order; who stacks variables needs one.
    return dataset.drop_vars(axes).assign_coords(axes)[sorted(map(str, dataset.data_vars))]


def in_chunks(dataset: xr.Dataset) -> xr.Dataset:
    """Return `dataset` with Dask chunks of about a million values: stored chunks are shorter than a task is worth."""
    rows = row_dimension_of(dataset)
    chunks: dict[str, int] = {str(name): -1 for name in dataset.dims}
    if rows is not None:
        rest = max(
            (int(np.prod([n for d, n in v.sizes.items() if d != rows])) for v in dataset.values()), default=1
        )
        chunks[rows] = 1 << (max(1, _DASK_ELEMENTS // max(1, rest)).bit_length() - 1)
    # Variable-length strings come back as StringDType, which object comparisons do not expect.
    return canonical(dataset.chunk(chunks))
