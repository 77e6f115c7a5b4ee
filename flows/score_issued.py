"""Flow `score_issued`: every issued forecast whose window is over, scored once, in an append-only log."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.forms import ScoreIssuedForm
from flows.settings import settings
from tasks.publish import image_link
from tasks.score_issued import ProspectiveReport, score_issued_forecasts
from tasks.simulation import region_of_world


@flow(name="score-issued", flow_run_name="score-issued-{config.region}")
def score_issued(config: ScoreIssuedForm) -> ProspectiveReport:
    """Score each forecast with the catalog as known a stated delay after its window; a second run adds nothing."""
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    report: ProspectiveReport = score_issued_forecasts(workspace, region)
    key = region.name.replace("_", "-")
    create_table_artifact(
        key=f"issued-windows-{key}",
        table=report.windows,
        description=f"{region.title}: what issued forecasts said and what came, newest first.",
    )
    create_table_artifact(
        key=f"issued-standing-{key}",
        table=report.standing,
        description=f"{region.title}: issued forecasts, windows that do not overlap, all models on the same events.",
    )
    parts = [
        f"# Issued forecasts of {region.title}",
        report.said,
        f"Log `{report.log}`; page `{report.page}`.",
    ]
    parts += [image_link(report.figure)] if report.figure else []
    parts += [f"- refused: {line}" for line in report.refused]
    create_markdown_artifact(key=f"issued-{key}", markdown="\n\n".join(parts))
    logger = get_run_logger()
    for line in report.refused:
        logger.warning("not scored: %s", line)
    logger.info("%d windows scored now: %s", report.new, report.said)
    return report
