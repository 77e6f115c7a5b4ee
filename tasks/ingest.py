"""Stage: ask one source for its window and append what it has to the observation store."""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import xarray as xr
from filelock import FileLock
from prefect import task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff
from pydantic import BaseModel, Field

from tasks.cubes.answers import completed
from tasks.cubes.store import ObservationStore, StoreBusy, StoreFull
from tasks.progress import progress
from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.simulation import load_simulation, simulate_world, write_archive
from tasks.sources import open_source
from tasks.sources.changes import Portion, link_view, portions
from tasks.sources.contract import (
    Fetched,
    SourceDataInvalid,
    SourceDenied,
    SourceEmpty,
    SourceMissing,
    SourceUnavailable,
)
from tasks.sources.read_log import ReadLog
from tasks.sources.transient import raise_if_transient
from tasks.stage import content_key, stage
from tasks.workspace import Workspace, code_digest, digest

_PATIENCE_S = 600.0
# The state of a source of which portions differ is the first of these.
_TELLING = ("stored", "unavailable", "invalid", "unchanged", "empty")
_ROWS = ("event", "record")
# New payloads that are read at once, in bytes as they lie on disk; decoded they take up to some twenty times as much.
_PORTION_BYTES = 32 << 20


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
    log = _read_log(workspace, region, config)
    path = Path(archive) / config.path
    try:
        what = portions(config.provider, path, log, is_first=not store.has(group), most_bytes=_PORTION_BYTES)
        reports = [_ingest_portion(store, log, region, config, Path(archive), portion) for portion in what]
    except sqlite3.OperationalError as error:
        if not error.sqlite_errorname.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            raise
        raise StoreFull(
            f"{log.path}: the disk or quota is full ({error}), nothing more of {group!r} can be noted; what is stored "
            "stays: free some space and start again"
        ) from error
    except OSError as error:
        raise_if_transient(error, path)
        raise
    return _in_all(reports) or IngestReport(group=group, status="unchanged", snapshot=str(store.snapshot()))


def _ingest_portion(
    store: ObservationStore,
    log: ReadLog,
    region: Region,
    config: SourceConfig,
    archive: Path,
    portion: Portion,
) -> IngestReport:
    """Read a portion and commit it; then note that, so that a kill in between only makes it be read again."""
    group, is_known = config.group, store.has(config.group)
    before = store.snapshot()
    unchanged = IngestReport(group=group, status="unchanged", snapshot=str(before))
    with _shown(archive, config.path, portion.names) as root:
        try:
            fetched = open_source(config.provider)(config, root, region, window_of(region, config))
            answer = _continuing(portion, fetched, store, group)
        except SourceEmpty as empty:
            log.keep(portion.stamps, portion.keys)
            if is_known:  # what is new lies outside of the region or its period
                return unchanged
            return IngestReport(group=group, status="empty", messages=[str(empty)])
        except SourceMissing as missing:
            return IngestReport(group=group, status="unavailable", messages=[str(missing)])
        except SourceDataInvalid as invalid:
            told = [_told(invalid, root, archive)]
            if is_known and portion.names is not None:  # what was stored before stays as it is
                return unchanged.model_copy(update={"messages": told})
            return IngestReport(group=group, status="invalid", messages=told)
    # what was left out is often why the rest does not fit
    messages = [_told(problem, root, archive) for problem in fetched.invalid]
    try:
        snapshot = store.write(group, answer, is_damaged=bool(fetched.invalid))
    except ValueError as refused:
        return IngestReport(group=group, status="invalid", messages=[*messages, str(refused)])
    # Payloads that were left out are read again each time, until they are mended; so that it is said each time.
    bad = {Path(problem.path) for problem in fetched.invalid if problem.is_left_out}
    good = {n: stamp for n, stamp in portion.stamps.items() if root / config.path / n not in bad}
    log.keep(good, portion.keys)
    return IngestReport(
        group=group,
        status="unchanged" if snapshot == before else "stored",
        snapshot=snapshot,
        sizes={str(k): int(v) for k, v in answer.sizes.items()},
        messages=messages,
    )


def _continuing(portion: Portion, fetched: Fetched, store: ObservationStore, group: str) -> xr.Dataset:
    """Return of the answer to a portion what it is complete about, as a part of the group.

    Raises
    ------
    SourceEmpty
        If nothing is left.
    """
    answer = portion.part(fetched.dataset)
    if not all(answer.sizes.values()):
        raise SourceEmpty(f"{group}: expected observations in what is new, found none")
    if portion.names is None or not store.has(group):
        return answer
    return completed(answer, *store.describe(group))


def _in_all(reports: Sequence[IngestReport]) -> IngestReport | None:
    """Return what the portions of one source gave together; None if there were none."""
    if len(reports) < 2:
        return reports[0] if reports else None
    worst = sorted({report.status for report in reports}, key=_TELLING.index)[0]
    sizes: dict[str, int] = {}
    for name, size in ((n, s) for report in reports for n, s in report.sizes.items()):
        sizes[name] = sizes.get(name, 0) + size if name in _ROWS else max(sizes.get(name, 0), size)
    return IngestReport(
        group=reports[0].group,
        status=worst,
        snapshot=reports[-1].snapshot,
        sizes=sizes,
        messages=list(dict.fromkeys(message for report in reports for message in report.messages)),
    )


def _told(problem: SourceDataInvalid, root: Path, archive: Path) -> str:
    """Return the complaint with the archive's path: a view of its new payloads was read."""
    return str(problem).replace(str(root), str(archive))


def _read_log(workspace: Workspace, region: Region, config: SourceConfig) -> ReadLog:
    """Return the log of what was read of a source with this configuration, window, code, and into this store."""
    reader = {
        "store": workspace.token("observations"),
        "source": config.model_dump(mode="json"),
        "bounds": region.bounds.model_dump(),
        "code": code_digest("tasks"),
    }
    window = [str(moment) for moment in window_of(region, config)]
    name = f"{config.modality}-{config.name}.sqlite"
    folder = workspace.ingest / ".read" / region.store_name
    return ReadLog(folder / name, digest(reader | {"window": window}))


@contextmanager
def _shown(archive: Path, path: str, names: Collection[str] | None) -> Iterator[Path]:
    """Give a folder like `archive` that shows of the folder `path` only the files `names`; None: `archive` itself."""
    if names is None:
        yield archive
        return
    with TemporaryDirectory(prefix="quakecube-") as view:
        link_view(archive, path, names, Path(view))
        yield Path(view)
