"""Where observations and cubes are kept: Icechunk repositories, one per region, nothing ever overwritten."""

from collections.abc import Callable, Mapping
from pathlib import Path

import icechunk
import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from fusion_models.data.asof import CubeData
from tasks.cubes.append import in_order, row_dimension, sorted_unique
from tasks.cubes.blocks import TailDoesNotFit, content_sha256, groups_in, store_group
from tasks.cubes.changes import first_changes
from tasks.cubes.grow import GrowingGroup, rows_since
from tasks.cubes.layout import canonical, drop_group, put_group
from tasks.cubes.repository import (
    Repository,
    StoreBusy,
    StoreFull,
    UnknownSnapshot,
    groups_of,
    in_chunks,
    open_group,
)
from tasks.regions import Region, TimeWindow

__all__ = [
    "CubeRef",
    "CubeStore",
    "ObservationStore",
    "StoreBusy",
    "StoreFull",
    "TailDoesNotFit",
    "UnknownSnapshot",
    "content_sha256",
    "load_cube",
    "open_cube",
    "read_store",
]


class CubeRef(BaseModel):
    """A cube by reference: what travels between tasks instead of arrays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(description="folder that holds the region's cube repository")
    region: str = Field(description="name of the region")
    snapshot: str = Field(description="id of the snapshot")


class ObservationStore:
    """The observations of `region` below `root`, one group per source (`<modality>/<name>`).

    Parameters
    ----------
    root : Path or str
        A folder, or the address of a bucket (see `tasks.cubes.storage.Bucket`).
    region : str
        Name of the repository.
    """

    def __init__(self, root: Path | str, region: str) -> None:
        self._repository = Repository(root, region)

    def write(
        self,
        group: str,
        dataset: xr.Dataset,
        window: TimeWindow | None = None,
        *,
        is_damaged: bool = False,
        timeout_s: float = 60.0,
    ) -> str:
        """Add a provider's answer to `group` and return the id of the snapshot that holds it.

        Rows join by key (see `GrowingGroup.join`), at the price of the answer: later rows are appended, late and
        revised ones change their own chunks. The same answer twice commits nothing and returns the same id; the old
        snapshots stay readable. `window` only goes into the commit's message: rows of a window that the provider no
        longer sends stay. `is_damaged` says that some payloads could not be read: a record that lacks a channel for
        it does not replace a stored whole one.

        Raises
        ------
        ValueError
            If the group's variables or grid differ from the stored ones.
        StoreBusy, StoreFull
            See `Repository.writing`; in both cases the store is as it was before.
        """
        period = f" {window.start}..{window.end}" if window is not None else ""
        dim = row_dimension(dataset)
        answer = canonical(dataset)
        if dim is not None:
            answer = sorted_unique(answer, dim).load()

        def apply(session: icechunk.Session) -> None:
            if dim is None:
                stored = open_group(session.store, group)
                if stored is None or not in_chunks(stored).compute().identical(answer.load()):
                    put_group(session, group, answer)
                return
            growing = GrowingGroup.open(session, group, dim)
            if growing is None:
                GrowingGroup.create(session, group, dim, answer)
                return
            try:
                growing.join(answer, is_damaged=is_damaged)
            except ValueError as error:
                raise ValueError(f"{self._repository.path}, group {group!r}: {error}") from error

        self._repository.change(f"{group}{period}", apply, timeout_s)
        return str(self.snapshot())

    def has(self, group: str) -> bool:
        """Tell whether anything is stored in `group`, without reading any of it."""
        return group in self.groups()

    def read(self, group: str, snapshot: str | None = None) -> xr.Dataset | None:
        """Return `group` lazily, with Dask chunks, at `snapshot` (default: newest); None if it is not there.

        Rows come in the order of their times (events: of origin), stations by name, whatever arrived when.

        Raises
        ------
        UnknownSnapshot
            If the store holds no such snapshot.
        """
        stored = self._repository.read(group, snapshot)
        return None if stored is None else in_chunks(in_order(stored))

    def read_since(self, group: str, since: np.datetime64, snapshot: str | None = None) -> xr.Dataset | None:
        """Return of a group of times or records the rows from `since` on, as `read` does, at the price of those rows.

        Of a catalog all rows in the order of their arrival, of which a selection costs what it selects: which of
        them matter from a time on is for the merge to say.

        Raises
        ------
        UnknownSnapshot
            If the store holds no such snapshot.
        """
        if not self._repository.exists():
            return None
        store = self._repository.reader(snapshot)
        if group.startswith("catalog/"):
            return open_group(store, group)
        dim = "record" if group.startswith("waveform/") else "time"
        rows = rows_since(store, group, dim, since)
        stored = None if rows is None else open_group(store, group, rows)
        if stored is None:
            return None
        late = np.flatnonzero(stored["time"].values >= since)
        return in_chunks(in_order(stored.isel({dim: late})))

    def changes(self, before: str, after: str | None = None) -> dict[str, np.datetime64]:
        """Return for each group that differs between two snapshots the first time about which it says something else.

        See `tasks.cubes.changes.first_changes`.
        """
        return first_changes(self._repository, before, after)

    def groups(self, snapshot: str | None = None) -> list[str]:
        """Return the names of the groups stored, sorted."""
        return self._repository.groups(snapshot)

    def snapshot(self) -> str | None:
        """Return the id of the newest snapshot; None while nothing is stored."""
        return self._repository.snapshot()

    def history(self) -> list[tuple[str, str]]:
        """Return (snapshot id, message), newest first."""
        return self._repository.history()


class CubeStore:
    """The cubes of `region` below `root` (a folder or the address of a bucket)."""

    def __init__(self, root: Path | str, region: str) -> None:
        self.root, self.region = root, region
        self._repository = Repository(root, region)

    def write(self, groups: Mapping[str, xr.Dataset], message: str, *, timeout_s: float = 60.0) -> CubeRef:
        """Compute and commit all of `groups` as one snapshot; equal content commits nothing new.

        A group that an earlier cube had and this one lacks is removed; of the others the blocks that differ are written
        (see `store_group`).

        Raises
        ------
        StoreBusy, StoreFull
            See `Repository.writing`; no part of the cube is then visible.
        """
        computed = {name: group.compute() for name, group in groups.items()}
        return self.write_tails(
            {name: (0, group) for name, group in computed.items()}, message, timeout_s=timeout_s
        )

    def write_tails(
        self,
        tails: Mapping[str, tuple[int, xr.Dataset] | None],
        message: str,
        *,
        onto: CubeRef | None = None,
        check: Callable[[dict[str, xr.Dataset]], None] | None = None,
        timeout_s: float = 60.0,
    ) -> CubeRef:
        """Commit a cube of which each group is its first rows as stored, followed by new ones.

        Parameters
        ----------
        tails : mapping of group name to (number of rows that stay, Dataset in memory of those after them)
            None leaves a group as it is stored; groups that are not named are removed.
        onto : CubeRef, optional
            The cube whose rows the tails continue.
        check : function of the groups, lazy, as they are about to be committed
            What it raises is raised here, and nothing is committed.

        Raises
        ------
        TailDoesNotFit
            If a stored group cannot take its new end, or `onto` is no longer the latest cube; nothing is committed.
        StoreBusy, StoreFull
            See `Repository.writing`; no part of the cube is then visible.
        """

        def apply(session: icechunk.Session) -> None:
            if onto is not None and session.snapshot_id != onto.snapshot:
                raise TailDoesNotFit(
                    f"expected cube {onto.snapshot} to be the latest, found {session.snapshot_id}"
                )
            for name in set(groups_of(session.store)) - set(tails):
                drop_group(session, name)
            for name, tail in tails.items():
                if tail is not None:
                    store_group(session, name, tail[1], tail[0])
            if check is not None:
                check(groups_in(session))

        self._repository.change(message, apply, timeout_s)
        return CubeRef(uri=str(self.root), region=self.region, snapshot=str(self._repository.snapshot()))

    def latest(self) -> CubeRef | None:
        """Return the newest cube; None if none was written."""
        snapshot = self._repository.snapshot()
        if snapshot is None:
            return None
        return CubeRef(uri=str(self.root), region=self.region, snapshot=snapshot)

    def history(self) -> list[tuple[str, str]]:
        """Return (snapshot id, message), newest first."""
        return self._repository.history()


def open_cube(ref: CubeRef, *, in_tasks: bool = True) -> dict[str, xr.Dataset]:
    """Return the groups of the cube `ref`, lazily.

    Parameters
    ----------
    in_tasks : bool
        With Dask arrays; without, a selection reads the chunks that it touches and no more.

    Raises
    ------
    UnknownSnapshot
        If there is no such cube.
    """
    repository = Repository(ref.uri, ref.region)
    if not repository.exists():
        raise UnknownSnapshot(f"{repository.path}: expected the cube {ref.snapshot!r}, found no repository")
    groups: dict[str, xr.Dataset] = {}
    for name in repository.groups(ref.snapshot):
        dataset = repository.read(name, ref.snapshot)
        if dataset is not None:
            groups[name] = in_chunks(dataset) if in_tasks else dataset
    return groups


def read_store(ref: CubeRef) -> icechunk.IcechunkStore:
    """Return the Zarr store of the cube `ref`, read only, for readers of single chunks.

    Raises
    ------
    UnknownSnapshot
        If there is no such cube.
    """
    return Repository(ref.uri, ref.region).reader(ref.snapshot)


def load_cube(ref: CubeRef, region: Region) -> CubeData:
    """Return the cube `ref` in memory, behind the as-of door.

    Everything is loaded here, because a forked process hangs on the first read of an Icechunk store.

    Raises
    ------
    UnknownSnapshot
        If there is no such cube.
    LeakError
        If a group's time stamps show that it looks ahead.
    ValueError
        If `ref` is the cube of another region.
    """
    if ref.region != region.store_name:
        raise ValueError(f"expected a cube of region {region.store_name!r}, found one of {ref.region!r}")
    groups = {name: group.load() for name, group in open_cube(ref).items()}
    return CubeData(
        groups=groups,
        latitudes=np.asarray(region.latitudes),
        longitudes=np.asarray(region.longitudes),
        resolution_deg=region.resolution_deg,
        region=region.name,
        snapshot=ref.snapshot,
    )
