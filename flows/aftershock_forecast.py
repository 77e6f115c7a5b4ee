"""Flow `aftershock_forecast`: what follows an earthquake, for the duty seismologist, in words, numbers and a map."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows.forms import AftershockForm
from flows.settings import settings
from tasks.aftershock import AftershockReport, issue_aftershock_forecast
from tasks.aftershock_replay import ReplayReport, replay_aftershock_forecasts
from tasks.publish import image_link, markdown_table
from tasks.simulation import region_of_world

REPLAY_HOURS = (1.0, 6.0, 24.0, 72.0, 168.0)


@flow(name="aftershock-forecast", flow_run_name="aftershocks-{config.region}-{config.event_id}")
def aftershock_forecast(config: AftershockForm) -> str:
    """Issue the aftershock forecast of an event, or replay those of a past one; return the page.

    It reads the observation store alone, so that it is ready within a minute of an ingest.
    """
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    key = f"aftershocks-{region.name.replace('_', '-')}"
    if config.replay:
        replayed: ReplayReport = replay_aftershock_forecasts(
            workspace, region, config.event_id, REPLAY_HOURS, config.seed
        )
        table = markdown_table(replayed.summary)
        create_markdown_artifact(
            key=f"{key}-replay",
            markdown=f"# Event {replayed.event_id}: aftershock forecasts against what came\n\n{table}\n\n"
            f"{image_link(replayed.figure)}\n\nPage `{replayed.page}`\n",
        )
        return str(replayed.page)
    issued: AftershockReport = issue_aftershock_forecast(
        workspace, region, config.event_id, config.issue_time, config.seed
    )
    pictures = "\n\n".join(image_link(figure) for figure in issued.figures.values())
    text = "\n\n".join(issued.said).replace("\n\n- ", "\n- ")
    create_markdown_artifact(
        key=key,
        markdown=f"# Aftershock forecast, event {issued.event_id}\n\n{text}\n\n{pictures}\n\nPage `{issued.page}`\n",
    )
    get_run_logger().info("aftershock forecast of %s: %s", issued.event_id, issued.page)
    return str(issued.page)
