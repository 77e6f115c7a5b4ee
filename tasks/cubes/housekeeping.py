"""Old snapshots let go: those that nobody refers to, with the chunks that only they hold."""

import re
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import icechunk
from pydantic import BaseModel, ConfigDict, Field

from tasks.cubes.repository import Repository
from tasks.cubes.storage import names_below

NEWEST: Final = "the newest"
YOUNG: Final = "young"
_PIN: Final = "kept-"
# Icechunk's ids: 20 digits of Crockford's base 32.
_ID: Final = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{20}\b")


class Snapshot(BaseModel):
    """A snapshot, and whether it stays."""

    model_config = ConfigDict(frozen=True)

    id: str
    written: datetime = Field(description="moment of its commit, UTC")
    message: str = Field(description="of its commit")
    stays_for: str = Field(description="who refers to it, `NEWEST` or `YOUNG`; empty: it goes")


class Expired(BaseModel):
    """What became of one repository's history, or would become of it."""

    model_config = ConfigDict(frozen=True)

    repository: str = Field(description="folder or address")
    snapshots: list[Snapshot] = Field(description="newest first; afterwards only those that stay can be read")
    chunks: int = Field(description="chunks removed; of a dry run, those that no snapshot holds already")
    size_bytes: int = Field(description="bytes removed, likewise")

    @property
    def gone(self) -> list[str]:
        """Ids of the snapshots that go, newest first."""
        return [s.id for s in self.snapshots if not s.stays_for]

    @property
    def kept(self) -> list[str]:
        """Ids of those that stay, newest first."""
        return [s.id for s in self.snapshots if s.stays_for]


def snapshot_ids(text: str) -> list[str]:
    """Return the ids of snapshots that `text` (a commit's message, a file) names, in order."""
    return _ID.findall(text)


def stores_of(roots: tuple[Path | str, ...], region: str = "") -> list[str]:
    """Return the names of the repositories below `roots`, of `region` in all its worlds only if one is named."""
    names = {name for root in roots for name in names_below(root) if not name.startswith(".")}
    return sorted(name for name in names if not region or name.partition("-")[0] == region)


def expire_store(
    observations: Path | str,
    cubes: Path | str,
    name: str,
    keep: Mapping[str, str],
    older_than: datetime,
    *,
    dry_run: bool,
) -> list[Expired]:
    """Expire the cubes `name`, then its observations: those from which a cube that stays was built stay too.

    Parameters, returned reports and errors are those of `expire`; a repository that was never written to has none.
    """
    reports = []
    keep = dict(keep)
    for root, what in ((cubes, "cube"), (observations, "observations")):
        repository = Repository(root, name)
        if not repository.exists():
            continue
        report = expire(repository, keep, older_than, dry_run=dry_run)
        for snapshot in report.snapshots if what == "cube" else []:
            if snapshot.stays_for:
                keep |= {i: f"cube {snapshot.id}" for i in snapshot_ids(snapshot.message) if i not in keep}
        reports.append(report)
    return reports


def expire(
    repository: Repository, keep: Mapping[str, str], older_than: datetime, *, dry_run: bool
) -> Expired:
    """Remove the snapshots written before `older_than` that are neither the newest nor in `keep`.

    What is kept reads as before. A snapshot in `keep` is held by a tag, which goes when it is no longer named. Chunks
    and manifests that no remaining snapshot holds are deleted, but for those written in the last hour: a writer may be
    about to commit them.

    Parameters
    ----------
    keep : mapping of snapshot id to who refers to it
        A registered model, an issued forecast; snapshots of other repositories do no harm.
    older_than : datetime, with time zone
    dry_run : bool
        Report only.

    Raises
    ------
    ValueError
        If `older_than` has no time zone.
    StoreBusy
        If a writer holds the repository.
    """
    if older_than.tzinfo is None:
        raise ValueError(f"older_than: expected a time with its zone, found {older_than.isoformat()}")
    # The writer's lock: a collection beside a local commit could take what it is about to name.
    with repository.writing("housekeeping", 60.0):
        opened = repository.open()
        # By the tags of earlier runs, snapshots that left the branch's history are still found.
        tagged = {tag.split("-")[1]: tag for tag in opened.list_tags() if tag.startswith(_PIN)}
        history = {s.id: s for s in opened.ancestry(branch="main")}
        tip = next(iter(history))
        history |= {s: opened.lookup_snapshot(s) for s in tagged if s not in history}
        snapshots = [
            Snapshot(
                id=s.id,
                written=s.written_at,
                message=s.message,
                stays_for=keep.get(s.id)
                or (NEWEST if s.id == tip else YOUNG if s.written_at >= older_than else ""),
            )
            for s in history.values()
            if s.parent_id is not None
        ]
        if dry_run:
            found = opened.garbage_collect(older_than, dry_run=True)
        else:
            _pin(opened, tagged, {s.id for s in snapshots if s.id in keep})
            opened.expire_snapshots(older_than)
            safe = datetime.now(older_than.tzinfo) - timedelta(hours=1)
            found = opened.garbage_collect(min(older_than, safe))
    return Expired(
        repository=str(repository.path),
        snapshots=snapshots,
        chunks=found.chunks_deleted,
        size_bytes=found.bytes_deleted,
    )


def _pin(opened: icechunk.Repository, tagged: Mapping[str, str], keep: set[str]) -> None:
    """Hold the snapshots `keep` by tags, and let those of `tagged` (snapshot to tag) go that are not among them."""
    for snapshot, tag in tagged.items():
        if snapshot not in keep:
            opened.delete_tag(tag)
    for snapshot in sorted(keep - set(tagged)):
        # A tag's name can be used once, and a snapshot may be referred to again.
        opened.create_tag(f"{_PIN}{snapshot}-{uuid.uuid4().hex}", snapshot_id=snapshot)
