"""The observations of a region: what providers answered, in all its versions, nothing ever overwritten."""

from pathlib import Path
from typing import Any, Final

import icechunk
import numpy as np
import xarray as xr
import zarr

from tasks.cubes.append import in_order, row_dimension, sorted_unique
from tasks.cubes.changes import first_changes
from tasks.cubes.events import rows_from, stored_start
from tasks.cubes.grow import GrowingGroup
from tasks.cubes.layout import REVISIONS, StoredVariable, canonical, described, put_group
from tasks.cubes.repository import Repository, groups_of, in_chunks, open_group
from tasks.cubes.revisions import REVISION, as_known, events_in_force
from tasks.cubes.zones import rows_between

_CATALOGS: Final = "catalog/"
# Attribute of the root group: until when each source was asked, by name of its group.
_ASKED: Final = "asked_until"


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
        *,
        asked: np.datetime64 | None = None,
        is_damaged: bool = False,
        timeout_s: float = 60.0,
    ) -> str:
        """Add a provider's answer to `group` and return the id of the snapshot that holds it.

        Rows join by key (see `GrowingGroup.join`), at the price of the answer: new rows are appended, late ones
        change their own chunks. Of a value that comes in versions (one with `available_time`; events have them as rows)
        all are kept, told apart by that time, in whatever order they arrive. The same answer twice commits nothing
        and returns the same id; the old snapshots stay readable. Rows that the provider no longer sends stay. `asked`
        is kept with them, see `note_asked`. `is_damaged` says that some payloads could not be read: a
        record that lacks a channel for it does not replace a stored whole one.

        Raises
        ------
        ValueError
            If the group's variables or grid differ from the stored ones.
        StoreBusy, StoreFull
            See `Repository.writing`; in both cases the store is as it was before.
        """
        dim = row_dimension(dataset)
        answer = canonical(dataset)
        if dim is not None:
            answer = sorted_unique(answer, dim).load()

        def apply(session: icechunk.Session) -> None:
            self._put(session, group, dim, answer, is_damaged=is_damaged)
            if asked is not None:
                _note(session, group, asked)

        return self._repository.change(group, apply, timeout_s)

    def note_asked(self, group: str, until: np.datetime64, *, timeout_s: float = 60.0) -> str:
        """Keep that the provider of `group` has told all that it knew up to `until`; return the snapshot id.

        Events alone do not tell a quiet week from one of which nobody asked. An earlier moment than the one that is
        kept changes nothing.

        Raises
        ------
        StoreBusy, StoreFull
            See `Repository.writing`.
        """
        return self._repository.change(
            f"asked {group}", lambda session: _note(session, group, until), timeout_s
        )

    def asked_until(self, snapshot: str | None = None) -> np.datetime64 | None:
        """Return until when the catalogs tell what happened, at `snapshot` (default: newest); None if it is not kept.

        That of the catalog that was asked last: slower ones correct what it told.

        Raises
        ------
        UnknownSnapshot
            If the store holds no such snapshot.
        """
        store = self._repository.reader_if_any(snapshot)
        asked = {} if store is None else _asked(zarr.open_group(store, mode="r"))
        return max((moment for name, moment in asked.items() if name.startswith(_CATALOGS)), default=None)

    def _put(
        self, session: icechunk.Session, group: str, dim: str | None, answer: xr.Dataset, *, is_damaged: bool
    ) -> None:
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

    def has(self, group: str) -> bool:
        """Tell whether anything is stored in `group`, without reading any of it."""
        return group in self.groups()

    def describe(self, group: str) -> tuple[dict[str, StoredVariable], dict[str, object]]:
        """Return the variables and the attributes of a stored group, without reading any of it."""
        return described(self._repository.reader(None), group)

    def read(self, group: str, snapshot: str | None = None, *, first: bool = False) -> xr.Dataset | None:
        """Return `group` lazily, with Dask chunks, at `snapshot` (default: newest); None if it is not there.

        Rows come in the order of their times (events: of origin), stations by name, whatever arrived when.

        Parameters
        ----------
        first : bool
            Give of every value the version that was known first, with its time: what a forecast of its day was made
            from, and what a cube follows. Without it, the latest. A catalog has all versions of its events either way.

        Raises
        ------
        UnknownSnapshot
            If the store holds no such snapshot.
        """
        store = self._repository.reader_if_any(snapshot)
        stored = None if store is None else open_group(store, group)
        if store is None or stored is None:
            return None
        whole = in_chunks(in_order(stored))
        return whole if first else as_known(whole, _revisions(store, group))

    def read_since(
        self, group: str, since: np.datetime64, snapshot: str | None = None, *, first: bool = False
    ) -> xr.Dataset | None:
        """Return of a group of times or records the rows from `since` on, as `read` does, at the price of those rows.

        Of a catalog all rows from the time on from which it has to be merged again, in the order of their arrival:
        that of `merge_start` for all catalogs of the store. A selection of them costs what it selects.

        Raises
        ------
        UnknownSnapshot
            If the store holds no such snapshot.
        """
        store = self._repository.reader_if_any(snapshot)
        if store is None:
            return None
        if group.startswith(_CATALOGS):
            return _catalog_since(store, group, since)
        dim = "record" if group.startswith("waveform/") else "time"
        rows = rows_between(store, group, dim, since)
        stored = None if rows is None else open_group(store, group, rows)
        if stored is None:
            return None
        late = np.flatnonzero(stored["time"].values >= since)
        whole = in_chunks(in_order(stored.isel({dim: late})))
        return whole if first else as_known(whole, _revisions(store, group, since))

    def as_of(self, group: str, moment: np.datetime64, snapshot: str | None = None) -> xr.Dataset | None:
        """Return what was known of `group` at `moment`, lazily, as far as `snapshot` (default: newest) tells.

        Of positions, scenes, weather and records, of each value the version with the latest `available_time` up to
        then; values of other days and stations that were not known yet are NaN with quality flag 3, and rows and
        stations of which nothing was known are left out. Of a catalog one row an event, the latest version known by
        then; an event that was withdrawn by then (type `other`) is gone. Static layers as stored. What has no versions
        (the place of a station, a look vector) is as stored.

        Raises
        ------
        UnknownSnapshot
            If the store holds no such snapshot.
        """
        store = self._repository.reader_if_any(snapshot)
        stored = None if store is None else open_group(store, group)
        if store is None or stored is None:
            return None
        whole = in_chunks(in_order(stored))
        if group.startswith(_CATALOGS):
            return events_in_force(whole, moment)
        return as_known(whole, _revisions(store, group), moment.astype("datetime64[ns]"))

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


def _note(session: icechunk.Session, group: str, until: np.datetime64) -> None:
    root = zarr.open_group(session.store, mode="a")
    asked = _asked(root)
    if group not in asked or asked[group] < until:
        told = asked | {group: until}
        root.attrs[_ASKED] = {name: str(moment.astype("datetime64[s]")) for name, moment in told.items()}


def _asked(root: zarr.Group) -> dict[str, np.datetime64]:
    kept: Any = root.attrs.get(_ASKED, {})
    return {name: np.datetime64(moment, "ns") for name, moment in kept.items()}


def _revisions(
    store: icechunk.IcechunkStore, group: str, since: np.datetime64 | None = None
) -> xr.Dataset | None:
    """Return the later versions of the values of `group`, lazily, from `since` on; None if there are none."""
    beside = f"{REVISIONS}{group}"
    rows = {} if since is None else rows_between(store, beside, REVISION, since)
    kept = None if rows is None else open_group(store, beside, rows)
    return None if kept is None else in_chunks(kept)


def _catalog_since(store: icechunk.IcechunkStore, group: str, since: np.datetime64) -> xr.Dataset | None:
    catalogs = [name for name in groups_of(store) if name.startswith(_CATALOGS)]
    if group not in catalogs:
        return None
    late = rows_from(store, group, stored_start(store, catalogs, since))
    first, stop = (int(late[0]), int(late[-1]) + 1) if late.size else (0, 0)
    stored = open_group(store, group, {"event": slice(first, stop)})
    return None if stored is None else stored.isel(event=late - first)
