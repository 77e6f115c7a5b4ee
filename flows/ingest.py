"""Flow `ingest`: every source of a region, one after the other, into the observation store."""

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from pydantic import BaseModel, Field

from flows.forms import IngestForm
from flows.settings import settings
from tasks.cubes.store import ObservationStore
from tasks.ingest import IngestReport, ingest_source, simulate_archive
from tasks.regions import Region, load_region
from tasks.sources.contract import SourceUnavailable
from tasks.workspace import Workspace, folder_fingerprint


class IngestResult(BaseModel):
    """State of the observation store after an ingest."""

    region: str
    snapshot: str = Field(description="snapshot id of the observation store")
    reports: list[IngestReport]


def archive_of(workspace: Workspace, region: Region, seed: int) -> Path:
    """Return the folder that the region's sources read: the simulator's, or the recorded archive."""
    if region.simulation is not None:
        return Path(simulate_archive(workspace, region, seed))
    if workspace.archive is None:
        raise SourceUnavailable(
            f"region {region.name!r} reads a recorded archive and none is given: "
            f"set QUAKECUBE_ARCHIVE, or run `make run REGION={region.name} ARCHIVE=<folder>`"
        )
    if not workspace.archive.is_dir():
        raise SourceUnavailable(f"QUAKECUBE_ARCHIVE={str(workspace.archive)!r} is not a folder")
    return workspace.archive


def _ask(workspace: Workspace, region: Region, group: str, archive: Path) -> IngestReport:
    config = next(s for s in region.sources if s.group == group)
    path = archive / config.path
    fingerprint = folder_fingerprint(path) if path.exists() else "absent"
    state = ingest_source(workspace, region, group, str(archive), fingerprint, return_state=True)
    if state.is_completed():
        report: IngestReport = state.result()
        return report
    reason = state.result(raise_on_failure=False)
    return IngestReport(group=group, status="unavailable", messages=[f"{type(reason).__name__}: {reason}"])


@flow(name="ingest", flow_run_name="ingest-{config.region}")
def ingest(config: IngestForm) -> IngestResult:
    """Pull seismometer, GNSS, InSAR and weather data of a region into its observation store.

    A source that is down, empty or broken is reported and left out; the others go on.
    """
    logger = get_run_logger()
    workspace = settings().workspace()
    region = load_region(config.region, workspace.conf)
    archive = archive_of(workspace, region, config.seed)
    reports = []
    for source in region.sources:
        report = _ask(workspace, region, source.group, archive)
        size = " x ".join(f"{v} {k}" for k, v in report.sizes.items())
        logger.info("%-28s %-11s %s", report.group, report.status, size)
        for message in report.messages[:20]:
            logger.warning("%s: %s", report.group, message)
        reports.append(report)
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
    if not any(r.group.startswith("catalog/") and r.status in ("stored", "unchanged") for r in reports):
        reasons = "; ".join(m for r in reports if r.group.startswith("catalog/") for m in r.messages)
        raise SourceUnavailable(
            f"region {region.name!r}: no catalog could be read, so there is nothing to forecast: {reasons}"
        )
    snapshot = ObservationStore(workspace.observations, region.name).snapshot()
    return IngestResult(region=region.name, snapshot=str(snapshot), reports=reports)
