"""Where observations and cubes are kept: Icechunk repositories, one per region, nothing ever overwritten."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from fusion_models.data.asof import CubeData
from tasks.cubes.append import is_prefix, merge_rows, row_dimension, without_losses
from tasks.cubes.repository import (
    Repository,
    StoreBusy,
    StoreFull,
    UnknownSnapshot,
    canonical,
    drop_group,
    extend_group,
    put_group,
)
from tasks.regions import Region, TimeWindow

__all__ = [
    "CubeRef",
    "CubeStore",
    "ObservationStore",
    "StoreBusy",
    "StoreFull",
    "UnknownSnapshot",
    "load_cube",
    "open_cube",
]


class CubeRef(BaseModel):
    """A cube by reference: what travels between tasks instead of arrays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(description="folder that holds the region's cube repository")
    region: str = Field(description="name of the region")
    snapshot: str = Field(description="id of the snapshot")


class ObservationStore:
    """The observations of `region` below the folder `root`, one group per source (`<modality>/<name>`)."""

    def __init__(self, root: Path, region: str) -> None:
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

        Rows join by key (see `merge_rows`). The same answer twice commits nothing and returns the same id;
        later rows are appended; a revised value makes a new snapshot, and the old one stays readable. `window` only
        goes into the commit's message: rows of a window that the provider no longer sends stay. `is_damaged` says
        that some payloads could not be read: a record that lacks a channel for it does not replace a stored whole one.

        Raises
        ------
        ValueError
            If the group's variables or grid differ from the stored ones.
        StoreBusy, StoreFull
            See `Repository.writing`; in both cases the store is as it was before.
        """
        period = f" {window.start}..{window.end}" if window is not None else ""
        dim = row_dimension(dataset)
        with self._repository.writing(f"{group}{period}", timeout_s) as session:
            stored = self._repository.read(group)
            old = stored.load() if stored is not None else None
            try:
                answer = canonical(dataset)
                if is_damaged and old is not None:
                    answer = without_losses(old, answer)
                merged = merge_rows(old, answer)
            except ValueError as error:
                raise ValueError(f"{self._repository.path}, group {group!r}: {error}") from error
            if old is None or dim is None or not is_prefix(old, merged, dim):
                if old is None or not old.identical(merged):
                    put_group(session, group, merged)
            elif merged.sizes[dim] > old.sizes[dim]:
                extend_group(session, group, merged.isel({dim: slice(old.sizes[dim], None)}), dim)
        return str(self.snapshot())

    def read(self, group: str, snapshot: str | None = None) -> xr.Dataset | None:
        """Return `group` lazily, with Dask chunks, at `snapshot` (default: newest); None if it is not there.

        Raises
        ------
        UnknownSnapshot
            If the store holds no such snapshot.
        """
        return self._repository.read(group, snapshot)

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
    """The cubes of `region` below the folder `root`."""

    def __init__(self, root: Path, region: str) -> None:
        self._root, self._region = root, region
        self._repository = Repository(root, region)

    def write(self, groups: Mapping[str, xr.Dataset], message: str, *, timeout_s: float = 60.0) -> CubeRef:
        """Compute and commit all of `groups` as one snapshot; equal content commits nothing new.

        A group that an earlier cube had and this one lacks is removed. Content is compared by a SHA-256 that
        each group carries in `attrs["content_sha256"]`.

        Raises
        ------
        StoreBusy, StoreFull
            See `Repository.writing`; no part of the cube is then visible.
        """
        with self._repository.writing(message, timeout_s) as session:
            for name in set(self._repository.groups()) - set(groups):
                drop_group(session, name)
            for name, group in groups.items():
                computed = canonical(group.compute())
                digest = content_sha256(computed)
                stored = self._repository.read(name)
                if stored is None or stored.attrs.get("content_sha256") != digest:
                    put_group(session, name, computed.assign_attrs(content_sha256=digest))
        return CubeRef(uri=str(self._root), region=self._region, snapshot=str(self._repository.snapshot()))

    def latest(self) -> CubeRef | None:
        """Return the newest cube; None if none was written."""
        snapshot = self._repository.snapshot()
        if snapshot is None:
            return None
        return CubeRef(uri=str(self._root), region=self._region, snapshot=snapshot)


def open_cube(ref: CubeRef) -> dict[str, xr.Dataset]:
    """Return the groups of the cube `ref`, lazily.

    Raises
    ------
    UnknownSnapshot
        If there is no such cube.
    """
    repository = Repository(Path(ref.uri), ref.region)
    if not repository.exists():
        raise UnknownSnapshot(f"{repository.path}: expected the cube {ref.snapshot!r}, found no repository")
    groups: dict[str, xr.Dataset] = {}
    for name in repository.groups(ref.snapshot):
        dataset = repository.read(name, ref.snapshot)
        if dataset is not None:
            groups[name] = dataset
    return groups


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


def content_sha256(dataset: xr.Dataset) -> str:
    """Return the SHA-256 of names, dimensions, types, values and attributes (all but itself) of `dataset`."""
    digest = hashlib.sha256()
    attributes = {k: v for k, v in dataset.attrs.items() if k != "content_sha256"}
    digest.update(repr(sorted(attributes.items())).encode())
    for name in sorted(map(str, dataset.variables)):
        array = dataset.variables[name]
        digest.update(f"{name}{array.dims}{array.shape}{array.dtype}{sorted(array.attrs.items())}".encode())
        values = np.ascontiguousarray(array.values)
        digest.update(
            "\x00".join(map(str, values.ravel())).encode() if values.dtype == object else values.tobytes()
        )
    return digest.hexdigest()
