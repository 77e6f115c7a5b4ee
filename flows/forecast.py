"""Flow `forecast`: expected counts from the champion, with the baselines beside it, stored append-only."""

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.forms import ForecastForm
from flows.settings import settings
from tasks.predict import issue_forecast
from tasks.publish import image_link
from tasks.simulation import region_of_world


@flow(name="forecast", flow_run_name="forecast-{config.region}-{config.issue_date}")
def forecast(config: ForecastForm) -> str:
    """Issue the forecast of a day from bundle and cube; no tracker is asked."""
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    issued = issue_forecast(workspace, region, config.issue_date)
    create_markdown_artifact(
        key=f"forecast-{region.name.replace('_', '-')}",
        markdown=(
            f"# Forecast for {region.title}\n\nIssued {issued.issue_time} by **{issued.model}**. Probabilities, not "
            f"predictions: {issued.sentence}\n\n{image_link(issued.map)}\n\nFile: `{issued.path}`\n"
        ),
    )
    return str(issued.path)
