"""Flow `ingest`: every source of a region, one after the other, into the observation store."""

import logging
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from pydantic import BaseModel, Field

from flows.forms import IngestForm
from flows.settings import settings
from tasks.cubes.store import ObservationStore, StoreBusy, StoreFull
from tasks.ingest import IngestReport, ingest_source, simulate_archive, writing_turn
from tasks.progress import progress
from tasks.regions import Region
from tasks.simulation import region_of_world
from tasks.sources.contract import SourceMissing, SourceUnavailable
from tasks.workspace import Workspace, folder_fingerprint

RunLogger = logging.Logger | logging.LoggerAdapter[logging.Logger]
_MESSAGES = 20


class IngestResult(BaseModel):
    """State of the observation store after an ingest."""

    region: str
    snapshot: str = Field(description="snapshot id of the observation store")
    reports: list[IngestReport]


def archive_of(workspace: Workspace, region: Region, seed: int) -> Path:
    """Return the folder that the region's sources read: the simulator's, or the recorded archive."""
    if region.simulation is not None:
        kept = workspace.simulated(region.store_name).is_dir()  # a folder may be removed to save room
        simulate = simulate_archive if kept else simulate_archive.with_options(refresh_cache=True)
        return Path(simulate(workspace, region, seed))
    if workspace.archive is None:
        raise SourceMissing(
            f"region {region.name!r} reads a recorded archive and none is given: "
            f"set QUAKECUBE_ARCHIVE, or run `make run REGION={region.name} ARCHIVE=<folder>`"
        )
    if not workspace.archive.is_dir():
        raise SourceMissing(f"QUAKECUBE_ARCHIVE={str(workspace.archive)!r}: expected a folder, found none")
    return workspace.archive


def _ask(workspace: Workspace, region: Region, group: str, archive: Path) -> IngestReport:
    config = next(s for s in region.sources if s.group == group)
    path = archive / config.path
    fingerprint = folder_fingerprint(path) if path.exists() else "absent"
    # what a former run stored is not read again, unless the store was removed since
    known = ObservationStore(workspace.observations, region.store_name).read(group) is not None
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
    workspace: Workspace, region: Region, group: str, archive: Path, logger: RunLogger
) -> IngestReport:
    report = _ask(workspace, region, group, archive)
    size = " x ".join(f"{v} {k}" for k, v in report.sizes.items())
    logger.info("%-28s %-11s %s", report.group, report.status, size)
    for message in report.messages[:_MESSAGES]:
        logger.warning("%s: %s", report.group, message)
    if len(report.messages) > _MESSAGES:
        logger.warning("%s: and %d more", report.group, len(report.messages) - _MESSAGES)
    return report


@flow(name="ingest", flow_run_name="ingest-{config.region}")
def ingest(config: IngestForm) -> IngestResult:
    """Pull seismometer, GNSS, InSAR and weather data of a region into its observation store.

    A source that is down, empty or broken is reported and left out; the others go on. A full disk and a second
    writer end the run, and what was stored before stays.
    """
    logger = get_run_logger()
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    archive = archive_of(workspace, region, config.seed)
    groups = [source.group for source in region.sources]
    with writing_turn(workspace), progress(f"ingest {region.name}", len(groups), "source") as told:
        reports = [_ask_and_log(workspace, region, group, archive, logger) for group in told.over(groups)]
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
        raise SourceUnavailable(
            f"region {region.name!r}: no catalog could be read, so there is nothing to forecast: {reasons}"
        )
    return IngestResult(region=region.name, snapshot=str(store.snapshot()), reports=reports)
