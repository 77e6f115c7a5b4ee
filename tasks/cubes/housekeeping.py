"""Old snapshots let go: those that nobody refers to, with the chunks that only they hold."""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from tasks.cubes.repository import Repository

_PIN = "kept-"


class Expired(BaseModel):
    """What became of one repository's history, or would become of it."""

    model_config = ConfigDict(frozen=True)

    repository: str = Field(description="folder or address")
    snapshots: list[str] = Field(description="ids of the snapshots that can no longer be read")
    kept: list[str] = Field(description="ids of those that can, newest first")
    chunks: int = Field(description="chunks removed; of a dry run, those that no snapshot holds already")
    size_bytes: int = Field(description="bytes removed, likewise")


def expire(
    repositories: Iterable[Repository], keep: Iterable[str], older_than: datetime, *, dry_run: bool
) -> list[Expired]:
    """Remove the snapshots written before `older_than` that are neither the newest of their repository nor in `keep`.

    What is kept reads as before. A snapshot in `keep` is held by a tag, which goes when it is no longer named. Chunks
    and manifests that no remaining snapshot holds are deleted, but for those written in the last hour: a writer may be
    about to commit them.

    Parameters
    ----------
    repositories : iterable of Repository
        Those that were never written to are left out of the report.
    keep : iterable of str
        Snapshots to which a registered model or an issued forecast refers; those of other repositories do no harm.
    older_than : datetime, with time zone
    dry_run : bool
        Report only.

    Raises
    ------
    ValueError
        If `older_than` has no time zone.
    StoreBusy
        If a writer holds a repository.
    """
    if older_than.tzinfo is None:
        raise ValueError(f"older_than: expected a time with its zone, found {older_than.isoformat()}")
    wanted = set(keep)
    return [_expire(r, wanted, older_than, dry_run=dry_run) for r in repositories if r.exists()]


def _expire(repository: Repository, keep: set[str], older_than: datetime, *, dry_run: bool) -> Expired:
    # The writer's lock: a collection beside a local commit could take what it is about to name.
    with repository.writing("housekeeping", 60.0):
        opened = repository.open()
        # By the tags of earlier runs, snapshots that left the branch's history are still found.
        tagged = {tag.split("-")[1]: tag for tag in opened.list_tags() if tag.startswith(_PIN)}
        history = {s.id: s for s in opened.ancestry(branch="main")}
        tip = next(iter(history))
        history |= {s: opened.lookup_snapshot(s) for s in tagged if s not in history}
        data = [s for s in history.values() if s.parent_id is not None]
        gone = [s.id for s in data if s.id != tip and s.id not in keep and s.written_at < older_than]
        kept = [s.id for s in data if s.id not in gone]
        if dry_run:
            found = opened.garbage_collect(older_than, dry_run=True)
        else:
            for snapshot, tag in tagged.items():
                if snapshot not in keep:
                    opened.delete_tag(tag)
            for snapshot in sorted((keep & set(kept)) - set(tagged)):
                # A tag's name can be used once, and a snapshot may be referred to again.
                opened.create_tag(f"{_PIN}{snapshot}-{uuid.uuid4().hex}", snapshot_id=snapshot)
            opened.expire_snapshots(older_than)
            safe = datetime.now(older_than.tzinfo) - timedelta(hours=1)
            found = opened.garbage_collect(min(older_than, safe))
    return Expired(
        repository=str(repository.path),
        snapshots=gone,
        kept=kept,
        chunks=found.chunks_deleted,
        size_bytes=found.bytes_deleted,
    )
