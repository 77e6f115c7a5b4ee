"""Flow `ingest`: every source of a region, each as soon as its provider has answered, into the observation store."""

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from pydantic import BaseModel, Field

from flows.forms import IngestForm
from flows.settings import settings
from tasks.announce import Due, announce_large_events
from tasks.cubes.store import ObservationStore, StoreBusy, StoreFull
from tasks.ingest import IngestReport, ingest_source, simulate_archive, writing_turn
from tasks.mirror import Mirrored, landing_of, mirror_source
from tasks.progress import progress
from tasks.regions import Region
from tasks.replay import Replayed, replay_archive
from tasks.simulation import region_of_world
from tasks.sources.contract import SourceError, SourceMissing, SourceUnavailable
from tasks.workspace import Workspace, folder_fingerprint

RunLogger = logging.Logger | logging.LoggerAdapter[logging.Logger]
Mirroring = PrefectFuture[Mirrored]
_MESSAGES = 20


class IngestResult(BaseModel):
    """State of the observation store after an ingest."""

    region: str
    snapshot: str = Field(description="snapshot id of the observation store")
    reports: list[IngestReport]


def archive_of(workspace: Workspace, region: Region, seed: int) -> Path | None:
    """Return the folder that the region's sources read: the simulator's, or the recorded archive; None: ask services.

    Raises
    ------
    SourceMissing
        If there is neither an archive nor a service to ask.
    """
    if region.simulation is not None:
        kept = workspace.simulated(region.store_name).is_dir()  # a folder may be removed to save room
        simulate = simulate_archive if kept else simulate_archive.with_options(refresh_cache=True)
        return Path(simulate(workspace, region, seed))
    if workspace.archive is None:
        if any(source.service is not None for source in region.sources):
            return None
        raise SourceMissing(
            f"region {region.name!r} names no live service and no recorded archive is given: "
            f"set QUAKECUBE_ARCHIVE, or run `make run REGION={region.name} ARCHIVE=<folder>`"
        )
    if not workspace.archive.is_dir():
        raise SourceMissing(f"QUAKECUBE_ARCHIVE={str(workspace.archive)!r}: expected a folder, found none")
    return workspace.archive


def _ask(
    workspace: Workspace, region: Region, group: str, archive: Path | None, mirrored: Mirroring | None
) -> IngestReport:
    """Read one source from the archive, or from where its service's payloads land; report what happened."""
    if archive is not None:
        return _told(workspace, region, _read(workspace, region, group, archive), datetime.now(UTC))
    if mirrored is None:
        why = "no archive is given and the region file names no service for this source"
        return IngestReport(group=group, status="unavailable", messages=[why])
    mirrored.wait()  # it has ended; this brings its state
    failure = "" if mirrored.state.is_completed() else _reason(mirrored.state)
    config = next(s for s in region.sources if s.group == group)
    root = landing_of(workspace, region, group)
    if failure and not (root / config.path).exists():
        return IngestReport(group=group, status="unavailable", messages=[failure])
    # What landed before the service failed can be read all the same.
    report = _read(workspace, region, group, root)
    if failure and report.status == "empty":  # nothing landed yet, or nothing of the window
        return IngestReport(group=group, status="unavailable", messages=[failure])
    if failure:
        return report.model_copy(update={"messages": [failure, *report.messages]})
    return _told(workspace, region, report, mirrored.result().asked_at)


def _told(workspace: Workspace, region: Region, report: IngestReport, asked_at: datetime) -> IngestReport:
    """Keep until when a catalog that answered has told what happened: to `asked_at`, or to the region's end."""
    if report.group.startswith("catalog/") and report.status in ("stored", "unchanged"):
        until = min(np.datetime64(asked_at.astimezone(UTC).replace(tzinfo=None), "ns"), region.window.end)
        snapshot = ObservationStore(workspace.observations, region.store_name).note_asked(report.group, until)
        return report.model_copy(update={"snapshot": snapshot})
    return report


def _reason(state: State) -> str:
    error = state.result(raise_on_failure=False)
    return str(error) if isinstance(error, SourceError) else f"{type(error).__name__}: {error}"


def _read(workspace: Workspace, region: Region, group: str, archive: Path) -> IngestReport:
    config = next(s for s in region.sources if s.group == group)
    path = archive / config.path
    fingerprint = folder_fingerprint(path) if path.exists() else "absent"
    # what a former run stored is not read again, unless the store was removed since
    known = ObservationStore(workspace.observations, region.store_name).has(group)
    ask = ingest_source if known else ingest_source.with_options(refresh_cache=True)
    state = ask(workspace, region, group, str(archive), fingerprint, return_state=True)
    if state.is_completed():
        report: IngestReport = state.result()
        if state.name == "Cached" and report.status == "stored":
            return report.model_copy(update={"status": "unchanged"})
        return report
    reason = state.result(raise_on_failure=False)
    if isinstance(reason, StoreBusy | StoreFull):
        raise reason  # what holds for one source holds for all of them
    if isinstance(reason, SourceUnavailable):
        return IngestReport(group=group, status="unavailable", messages=[str(reason)])
    return IngestReport(group=group, status="failed", messages=[f"{type(reason).__name__}: {reason}"])


def _ask_and_log(
    workspace: Workspace,
    region: Region,
    group: str,
    archive: Path | None,
    mirrored: Mirroring | None,
    logger: RunLogger,
) -> IngestReport:
    with writing_turn(workspace):  # only now: nobody waits for somebody else's provider
        report = _ask(workspace, region, group, archive, mirrored)
    size = " x ".join(f"{v} {k}" for k, v in report.sizes.items())
    logger.info("%-28s %-11s %s", report.group, report.status, size)
    for message in report.messages[:_MESSAGES]:
        logger.warning("%s: %s", report.group, message)
    if len(report.messages) > _MESSAGES:
        logger.warning("%s: and %d more", report.group, len(report.messages) - _MESSAGES)
    return report


def _ask_all(workspace: Workspace, region: Region, archive: Path | None) -> list[IngestReport]:
    logger = get_run_logger()
    groups = [source.group for source in region.sources]
    with progress(f"ingest {region.name}", len(groups), "source") as told:
        live = [s.group for s in region.sources if archive is None and s.service is not None]
        # All services at once: they wait for the network, not for each other.
        mirrors = {group: mirror_source.submit(workspace, region, group) for group in live}
        reports = {
            group: _ask_and_log(workspace, region, group, archive, mirrors.get(group), logger)
            for group in told.over(_as_ready(groups, mirrors))
        }
    return [reports[group] for group in groups]


def _as_ready(groups: list[str], mirrors: Mapping[str, Mirroring]) -> Iterator[str]:
    """Yield groups as soon as they can be read: those without a service, then the others as their mirrors end."""
    yield from (group for group in groups if group not in mirrors)
    of_run = {mirroring.task_run_id: group for group, mirroring in mirrors.items()}
    for ended in as_completed(list(mirrors.values())):
        yield of_run[ended.task_run_id]


def _replay(
    workspace: Workspace, region: Region, config: IngestForm, archive: Path | None
) -> list[IngestReport]:
    if archive is None:
        raise SourceMissing(f"region {region.name!r}: a replay walks a recorded archive, and none is given")
    end = config.replay_to or region.end.isoformat()
    replayed: Replayed = replay_archive(workspace, region, str(archive), config.replay_from, end)
    get_run_logger().info("%d days, %d snapshots", replayed.days, replayed.commits)
    return replayed.reports


@flow(name="ingest", flow_run_name="ingest-{config.region}")
def ingest(config: IngestForm) -> IngestResult:
    """Pull seismometer, GNSS, InSAR and weather data of a region into its observation store.

    A source that is down, empty or broken is reported and left out; the others go on. A full disk and a second
    writer end the run, and what was stored before stays.
    """
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    archive = archive_of(workspace, region, config.seed)
    if config.replay_from:
        with writing_turn(workspace):
            reports = _replay(workspace, region, config, archive)
    else:
        reports = _ask_all(workspace, region, archive)
    create_table_artifact(
        key=f"ingest-{region.name.replace('_', '-')}",
        table=[
            {
                "group": r.group,
                "status": r.status,
                "size": " x ".join(f"{v} {k}" for k, v in r.sizes.items()),
                "left out": "; ".join(r.messages[:3]),
            }
            for r in reports
        ],
        description=f"What each source of {region.title} gave.",
    )
    store = ObservationStore(workspace.observations, region.store_name)
    if not any(group.startswith("catalog/") for group in store.groups()):
        reasons = "; ".join(m for r in reports if r.group.startswith("catalog/") for m in r.messages)
        way_out = "" if archive is not None else "; a recorded archive is read instead with QUAKECUBE_ARCHIVE"
        raise SourceUnavailable(
            f"region {region.name!r}: no catalog could be read, so there is nothing to forecast: {reasons}{way_out}"
        )
    due: list[Due] = announce_large_events(workspace, region, config.seed, datetime.now(UTC))
    for one in due:
        get_run_logger().info(
            "aftershock forecast of %s (M %.1f) is due: %s", one.event_id, one.magnitude, one.why
        )
    return IngestResult(region=region.name, snapshot=str(store.snapshot()), reports=reports)
