"""Flow `quality`: judge what the observation store holds, without changing it, and publish the page."""

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.forms import QualityForm
from flows.settings import settings
from tasks.cubes.store import ObservationStore
from tasks.judge import QualityReport, judge_quality
from tasks.publish import image_link, markdown_table
from tasks.simulation import region_of_world

_ROWS = 100


@flow(name="quality", flow_run_name="quality-{config.region}")
def quality(config: QualityForm) -> QualityReport:
    """Write the quality page of a region, offenders first, and show it as artifacts."""
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    snapshot = ObservationStore(workspace.observations, region.store_name).snapshot()
    if snapshot is None:
        raise ValueError(
            f"region {region.name!r} has no observations in {workspace.observations}; run the flow ingest first"
        )
    report: QualityReport = judge_quality(workspace, region, str(snapshot), config.seed, config.trials)
    key = region.name.replace("_", "-")
    create_table_artifact(
        key=f"quality-sensors-{key}",
        table=report.sensors[:_ROWS],
        description=f"Sensors of {region.title}, offenders first; a star marks a remark, the value is kept.",
    )
    create_markdown_artifact(key=f"quality-{key}", markdown=_markdown(region.title, report))
    get_run_logger().info("%d sensors judged: %s", len(report.sensors), report.page)
    return report


def _markdown(title: str, report: QualityReport) -> str:
    parts = [f"# Data quality: {title}", f"Observations `{report.snapshot}`; page `{report.page}`."]
    parts += [f"- not judged: {line}" for line in report.left_out]
    parts += [markdown_table(report.sensors[:20])]
    parts += [image_link(Path(path)) for path in report.figures.values()]
    parts += (
        ["## Planted signals", markdown_table(report.recovery), markdown_table(report.caught)]
        if report.recovery
        else []
    )
    return "\n\n".join(parts) + "\n"
