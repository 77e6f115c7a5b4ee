"""Flow `backtest`: baselines, networks and ablations through one scorer, on the test period."""

import json
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.forms import BacktestForm
from flows.settings import settings
from tasks.fit import Trained
from tasks.publish import image_link
from tasks.reports.summary import score_rows
from tasks.score import backtest_models
from tasks.simulation import region_of_world


@flow(name="backtest", flow_run_name="backtest-{config.region}")
def backtest(config: BacktestForm) -> str:
    """Score pseudo-prospectively: every forecast uses only what was available at its issue time."""
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    trained = Trained.load(workspace, region)
    folder = Path(backtest_models(workspace, region, trained, config.seed))
    scores = json.loads((folder / "scorecard.json").read_text())["scores"]
    slug = region.name.replace("_", "-")
    create_table_artifact(
        key=f"scorecard-{slug}",
        table=score_rows(scores),
        description=f"{region.title}: gain per event over ETAS, nats, 95 % block-bootstrap interval.",
    )
    create_markdown_artifact(
        key=f"backtest-{slug}",
        markdown="\n\n".join(
            [
                f"# Backtest of {region.title}",
                *(image_link(p) for p in sorted((folder / "figures").glob("*.png"))),
            ]
        ),
    )
    return str(folder)
