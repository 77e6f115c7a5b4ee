"""Where observations and cubes are kept: Icechunk repositories, one per region, nothing ever overwritten."""

from collections.abc import Callable, Mapping
from pathlib import Path

import icechunk
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from tasks.cubes.blocks import TailDoesNotFit, content_sha256, groups_in, store_group
from tasks.cubes.layout import drop_group
from tasks.cubes.observations import ObservationStore
from tasks.cubes.repository import (
    Repository,
    StoreBusy,
    StoreFull,
    UnknownSnapshot,
    groups_of,
    in_chunks,
)

__all__ = [
    "CubeRef",
    "CubeStore",
    "ObservationStore",
    "StoreBusy",
    "StoreFull",
    "TailDoesNotFit",
    "UnknownSnapshot",
    "content_sha256",
    "open_cube",
    "read_store",
]


class CubeRef(BaseModel):
    """A cube by reference: what travels between tasks instead of arrays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(description="folder that holds the region's cube repository")
    region: str = Field(description="name of the region")
    snapshot: str = Field(description="id of the snapshot")


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

        snapshot = self._repository.change(message, apply, timeout_s)
        return CubeRef(uri=str(self.root), region=self.region, snapshot=snapshot)

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
