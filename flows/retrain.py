"""Flow `retrain`: new data, new cube, new networks, and the promotion rule that was written down before."""

from prefect import flow, get_run_logger

from flows.backtest import backtest
from flows.build_cube import build_cube
from flows.forms import BacktestForm, CubeForm, IngestForm, RetrainForm, TrainForm
from flows.ingest import ingest
from flows.settings import settings
from flows.train import train
from tasks.publish import report_progress
from tasks.register import Recorded, record_run
from tasks.simulation import region_of_world


@flow(name="retrain", flow_run_name="retrain-{config.region}")
def retrain(config: RetrainForm) -> Recorded:
    """Ingest, align, train, backtest and record; promote the best network only if the rule says so."""
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    base = {"region": config.region, "seed": config.seed}
    training = {"networks": config.networks, "training": config.training, "epochs": config.epochs}
    progress = report_progress(f"retrain-{config.region}", 0.0, "ingest")
    ingest(IngestForm(**base))
    report_progress(f"retrain-{config.region}", 20.0, "build cube", progress)
    cube = build_cube(CubeForm(**base))
    report_progress(f"retrain-{config.region}", 40.0, "train", progress)
    train(TrainForm(**base, **training))
    report_progress(f"retrain-{config.region}", 65.0, "backtest", progress)
    scored = backtest(BacktestForm(**base))
    report_progress(f"retrain-{config.region}", 90.0, "record", progress)
    recorded: Recorded = record_run(workspace, region, cube, scored, config.seed)
    report_progress(f"retrain-{config.region}", 100.0, "done", progress)
    get_run_logger().info(
        "MLflow run %s, model version %s, %s",
        recorded.run_id,
        recorded.model_version or "none",
        "promoted to champion" if recorded.promoted else f"not promoted: {recorded.reason}",
    )
    return recorded
