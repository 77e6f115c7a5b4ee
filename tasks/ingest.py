"""Stage: ask one source for its window and append what it has to the observation store."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from filelock import FileLock
from prefect import task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff
from pydantic import BaseModel, Field

from tasks.cubes.store import ObservationStore, StoreBusy
from tasks.progress import progress
from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.simulation import load_simulation, simulate_world, write_archive
from tasks.sources import open_source
from tasks.sources.changes import ReadLog, inventory, link_view, to_read
from tasks.sources.contract import (
    SourceDataInvalid,
    SourceDenied,
    SourceEmpty,
    SourceMissing,
    SourceUnavailable,
)
from tasks.stage import content_key, stage
from tasks.workspace import Workspace, code_digest, digest

_PATIENCE_S = 600.0
# What a network disk or a server says when it may answer the next time.
_TRANSIENT = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.ECONNRESET, errno.ENETUNREACH}


class IngestReport(BaseModel):
    """What one source gave."""

    group: str = Field(description="group of the observation store")
    status: Literal["stored", "unchanged", "empty", "invalid", "unavailable", "failed"]
    snapshot: str = Field(default="", description="snapshot of the store after the write")
    sizes: dict[str, int] = Field(default_factory=dict, description="length of each dimension fetched")
    messages: list[str] = Field(default_factory=list, description="one line per payload that was left out")


@stage("simulate-archive", run_name="simulate-{region.name}-{seed}")
def simulate_archive(workspace: Workspace, region: Region, seed: int) -> str:
    """Write the simulated world of `seed` in provider formats; return the archive's folder."""
    root = workspace.simulated(region.store_name)
    if not root.is_dir():
        config = load_simulation(str(region.simulation), workspace.conf)
        with progress("simulate the archive"):
            write_archive(simulate_world(region, config, seed), root)
    return str(root)


@contextmanager
def writing_turn(workspace: Workspace) -> Iterator[None]:
    """Wait until no other run reads and stores a source, and keep others waiting meanwhile.

    The lock of a repository (`Repository.writing`) keeps two commits apart; this one keeps two runs apart, which
    would read the same sources side by side and make each other wait at every group. It is a file and no limit of
    Prefect's: runs of different Prefect servers share it, and it is free again as soon as its process is dead. Runs on
    other machines that share a bucket do not see it: their commits are kept apart by the bucket.

    Raises
    ------
    StoreBusy
        If another run holds it for too long.
    """
    workspace.ingest.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workspace.ingest / ".ingest.lock", timeout=_PATIENCE_S)
    try:
        turn = lock.acquire()
    except TimeoutError as waited:
        raise StoreBusy(
            f"{lock.lock_file}: another run has been ingesting for {_PATIENCE_S:g} s; "
            "wait until it ends and start again (the lock goes with its process)"
        ) from waited
    with turn:
        yield


def window_of(region: Region, config: SourceConfig) -> TimeWindow:
    """Return the period that a source is asked for: catalogs start earlier than the cube."""
    return region.catalog_window if config.modality == "catalog" else region.window


def only_unavailable(_task: Task[..., Any], _run: TaskRun, state: State) -> bool:
    """Retry a service that did not answer, never a missing folder or a payload that is wrong."""
    try:
        state.result()
    except (SourceMissing, SourceDenied):
        return False
    except SourceUnavailable:
        return True
    except Exception:  # noqa: BLE001 - whatever else happened is not worth a second try
        return False
    return False


@task(
    name="ingest-source",
    task_run_name="ingest-{group}",
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.5,
    retry_condition_fn=only_unavailable,
    persist_result=True,
    cache_key_fn=content_key,
)
def ingest_source(
    workspace: Workspace, region: Region, group: str, archive: str, fingerprint: str
) -> IngestReport:
    """Fetch `group` of `region` from `archive` and append it; the same request twice changes nothing.

    `fingerprint` stands for what the archive holds, so that an unchanged source is not read again.

    Raises
    ------
    SourceUnavailable
        If a live service did not answer, after the retries.
    StoreBusy, StoreFull
        If nothing can be written; the store is as it was before.
    """
    config = next(s for s in region.sources if s.group == group)
    store = ObservationStore(workspace.observations, region.store_name)
    path = Path(archive) / config.path
    log = _read_log(workspace, region, config)
    there = inventory(path) if path.exists() else {}
    names = to_read(config.provider, there, log.seen()) if store.has(group) else None
    unchanged = IngestReport(group=group, status="unchanged", snapshot=str(store.snapshot()))
    if names is not None and not names:
        return unchanged
    root = Path(archive)
    try:
        with _shown(Path(archive), config.path, names) as root:
            fetched = open_source(config.provider)(config, root, region, window_of(region, config))
    except SourceEmpty as empty:
        if names is not None:  # what is new lies outside of the region or its period
            log.keep(there)
            return unchanged
        return IngestReport(group=group, status="empty", messages=[str(empty)])
    except SourceMissing as missing:
        return IngestReport(group=group, status="unavailable", messages=[str(missing)])
    except SourceDataInvalid as invalid:
        if names is not None:  # what was stored before stays as it is
            return unchanged.model_copy(update={"messages": [_told(invalid, root, archive)]})
        return IngestReport(group=group, status="invalid", messages=[str(invalid)])
    except OSError as error:
        if error.errno not in _TRANSIENT:
            raise
        raise SourceUnavailable(
            f"{error.filename or Path(archive) / config.path}: {error.strerror}"
        ) from error
    try:
        before = store.snapshot()
        snapshot = store.write(group, fetched.dataset, is_damaged=bool(fetched.invalid))
    except ValueError as refused:
        # what was left out is often why the rest does not fit
        why = [_told(problem, root, archive) for problem in fetched.invalid]
        return IngestReport(group=group, status="invalid", messages=[*why, str(refused)])
    # Payloads that were left out are read again each time, until they are mended.
    bad = {Path(problem.path) for problem in fetched.invalid}
    log.keep({name: stamp for name, stamp in there.items() if root / config.path / name not in bad})
    return IngestReport(
        group=group,
        status="unchanged" if snapshot == before else "stored",
        snapshot=snapshot,
        sizes={str(k): int(v) for k, v in fetched.dataset.sizes.items()},
        messages=[_told(problem, root, archive) for problem in fetched.invalid],
    )


def _told(problem: SourceDataInvalid, root: Path, archive: str) -> str:
    """Return the complaint with the archive's path: a view of its new payloads was read."""
    return str(problem).replace(str(root), archive)


def _read_log(workspace: Workspace, region: Region, config: SourceConfig) -> ReadLog:
    """Return the log of what was read of a source with this configuration, window, code, and into this store."""
    reader = {
        "store": workspace.token("observations"),
        "source": config.model_dump(mode="json"),
        "bounds": region.bounds.model_dump(),
        "code": code_digest("tasks"),
    }
    window = [str(moment) for moment in window_of(region, config)]
    name = f"{config.modality}-{config.name}.json"
    folder = workspace.ingest / ".read" / region.store_name
    return ReadLog(folder / name, digest(reader | {"window": window}))


@contextmanager
def _shown(archive: Path, path: str, names: set[str] | None) -> Iterator[Path]:
    """Give a folder like `archive` that shows of `path` only the files `names`; `archive` itself for all of them."""
    if names is None:
        yield archive
        return
    with TemporaryDirectory(prefix="quakecube-") as view:
        link_view(archive / path, names, Path(view) / path)
        yield Path(view)
