"""What two snapshots of the observation store say differently, and from which time on: the cube before it stays."""

from typing import Final

import numpy as np
import zarr
from numpy.typing import NDArray

from tasks.cubes.append import ABOUT, ROW_KEYS
from tasks.cubes.layout import HIDDEN, REVISIONS, dimensions, equal
from tasks.cubes.repository import Repository

_NAT: Final = np.iinfo(np.int64).min
BEGINNING: Final = np.datetime64("1678-01-01", "ns")


def first_changes(repository: Repository, before: str, after: str | None = None) -> dict[str, np.datetime64]:
    """Return group -> the earliest time of a row that is new or differs, `BEGINNING` where no row tells.

    Only chunks that one of the snapshots wrote anew are read and compared. A group that is new, gone, laid out anew,
    or of which something without rows changed (a place, a look vector), counts as changed from the beginning.

    Raises
    ------
    UnknownSnapshot
        If the repository holds no such snapshot.
    """
    if before == (after or repository.snapshot()):
        return {}
    new = zarr.open_group(repository.reader(after), mode="r")
    old = zarr.open_group(repository.reader(before), mode="r")
    opened = repository.open()
    diff = opened.diff(from_snapshot_id=before, **_end(after))
    first: dict[str, np.datetime64] = {}
    for path in (*diff.new_groups, *diff.deleted_groups, *diff.new_arrays, *diff.deleted_arrays):
        group = _group_of(path, is_array=path in diff.new_arrays or path in diff.deleted_arrays)
        if path.rpartition("/")[2] not in HIDDEN and group and not _is_kept_beside(group):
            first[group] = BEGINNING
    for path, chunks in diff.updated_chunks.items():
        group, name = _group_of(path, is_array=True), path.rpartition("/")[2]
        if name in HIDDEN or first.get(group) == BEGINNING or _is_kept_beside(group):
            continue
        since = _first_of(old, new, group, name, chunks)
        if since is not None:
            first[group] = min(since, first.get(group, since))
    return first


def _first_of(
    old: zarr.Group, new: zarr.Group, group: str, name: str, chunks: list[list[int]]
) -> np.datetime64 | None:
    """Return the earliest time of a row that differs in these chunks of an array; None if none does."""
    if f"{group}/{name}" not in old:
        return BEGINNING
    then, now = old[f"{group}/{name}"], new[f"{group}/{name}"]
    assert isinstance(then, zarr.Array)
    assert isinstance(now, zarr.Array)
    dim = dimensions(now)[0] if dimensions(now) else ""
    if dim not in ROW_KEYS:
        return None if equal(np.asarray(then[...]), np.asarray(now[...])) else BEGINNING
    since: np.datetime64 | None = None
    for block in sorted({chunk[0] for chunk in chunks}):
        rows = slice(block * now.chunks[0], min((block + 1) * now.chunks[0], now.shape[0]))
        changed = _differing(np.asarray(then[rows]), np.asarray(now[rows]))
        for source in (old, new):
            about = source[f"{group}/{ABOUT[dim]}"]
            assert isinstance(about, zarr.Array)
            times = np.asarray(about[rows], dtype=np.int64)
            times = times[changed[: times.size]]
            times = times[times != _NAT]
            if times.size:
                moment = np.int64(times.min()).astype("datetime64[ns]")
                since = moment if since is None else min(since, moment)
    return since


def _differing(then: NDArray[np.generic], now: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return (row,) of `now` whether it is not as in `then`; a new station that says nothing is no difference."""
    out = np.ones(now.shape[0], dtype=bool)
    shared = tuple(slice(0, min(a, b)) for a, b in zip(then.shape, now.shape, strict=True))
    a, b = then[shared], now[shared]
    differ = a != b
    if a.dtype.kind == "f":
        differ &= ~(np.isnan(a) & np.isnan(b))
    out[: differ.shape[0]] = differ.any(axis=tuple(range(1, differ.ndim)))
    if then.shape[1:] != now.shape[1:]:
        out[:] = True
    return out


def _is_kept_beside(group: str) -> bool:
    return f"{group}/".startswith(REVISIONS)


def _group_of(path: str, *, is_array: bool) -> str:
    return path.strip("/").rpartition("/")[0] if is_array else path.strip("/")


def _end(after: str | None) -> dict[str, str]:
    return {"to_branch": "main"} if after is None else {"to_snapshot_id": after}
