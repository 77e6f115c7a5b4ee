"""Stage: judge the stored observations of a region and write its quality page."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from pydantic import BaseModel, Field

from tasks.cubes.store import ObservationStore
from tasks.quality.inspection import inspect_region, step_rows, write_inspection
from tasks.quality.page import caught_row, recovery_row
from tasks.quality.report import table_rows
from tasks.regions import Region
from tasks.reports.summary import point_latest
from tasks.workspace import Workspace, write_json


class QualityReport(BaseModel):
    """Where the quality page lies, and its tables as text."""

    region: str
    snapshot: str = Field(description="snapshot of the observation store that was judged")
    seed: int = Field(description="seed of the planted signals")
    page: str = Field(description="the page, index.html, beside quality.json")
    figures: dict[str, str] = Field(description="name -> PNG")
    sensors: list[dict[str, str]] = Field(description="one row a sensor, offenders first")
    steps: list[dict[str, str]] = Field(description="one row a step, those that nothing explains first")
    recovery: list[dict[str, str]] = Field(
        description="planted steps and slow slip, and what was left of them"
    )
    caught: list[dict[str, str]] = Field(description="planted spikes that were masked, and false alarms")
    left_out: list[str] = Field(description="groups that could not be judged, and why")


@task(name="judge-quality", task_run_name="judge-{region.name}")
def judge_quality(
    workspace: Workspace, region: Region, snapshot: str, seed: int, trials: int
) -> QualityReport:
    """Judge the observations at `snapshot` and write reports/quality/<time>-<region>/; return its tables."""
    store = ObservationStore(workspace.observations, region.store_name)
    found = inspect_region(region, lambda group: store.read(group, snapshot), seed, trials)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder: Path = workspace.reports / "quality" / f"{stamp}-{region.name}"
    lead = (
        f"Observations {snapshot}, {region.start} to {region.end}; judged {stamp}Z; "
        f"{trials} planted signals per size, seed {seed}."
    )
    figures = write_inspection(found, f"Data quality: {region.title}", lead, folder)
    report = QualityReport(
        region=region.name,
        snapshot=snapshot,
        seed=seed,
        page=str(folder / "index.html"),
        figures={name: str(path) for name, path in figures.items()},
        sensors=table_rows(found.sensors),
        steps=step_rows(found.steps),
        recovery=[recovery_row(r) for r in found.recoveries],
        caught=[caught_row(c) for c in found.caught],
        left_out=found.left_out,
    )
    write_json(folder / "quality.json", report.model_dump(mode="json"))
    point_latest(folder)
    return report
