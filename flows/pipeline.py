"""Flow `pipeline`: the whole way once, from ingest to a published forecast and a report."""

import time
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows.forecast import forecast
from flows.forms import ForecastForm, PipelineForm, RetrainForm
from flows.retrain import retrain
from flows.settings import settings
from tasks.publish import publish_report, run_page
from tasks.simulation import region_of_world


@flow(name="pipeline", flow_run_name="pipeline-{config.region}-seed{config.seed}")
def pipeline(config: PipelineForm) -> str:
    """Run everything for one region; return the path of the summary.

    Killed at any point and started again, it repeats only the stage it was in.
    """
    started = time.monotonic()
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    recorded = retrain(RetrainForm(**config.model_dump()))
    issued = forecast(ForecastForm(region=config.region, seed=config.seed))
    summary = publish_report(workspace, region, recorded, issued, time.monotonic() - started)
    create_markdown_artifact(
        key=f"summary-{region.name.replace('_', '-')}", markdown=run_page(Path(summary).parent)
    )
    get_run_logger().info("summary %s", summary)
    return str(summary)
