"""Flow `train`: baselines by maximum likelihood, then one fusion network after the other on top of ETAS."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact

from flows.forms import TrainForm
from flows.settings import settings
from tasks.align import CubeReport
from tasks.fit import Trained, fit_baseline_models, rate_training_days, read_epochs, train_network
from tasks.simulation import region_of_world


@flow(name="train", flow_run_name="train-{config.region}")
def train(config: TrainForm) -> Trained:
    """Fit the traditional forecasters, and train networks that correct the ETAS rate.

    Epochs and losses go to MLflow with the backtest; the bundles are what the forecast flow reads.
    """
    logger = get_run_logger()
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    cube = CubeReport.load(workspace, region).ref
    baselines = fit_baseline_models(workspace, region, cube)
    rates = rate_training_days(workspace, region, cube, baselines, config.training)
    bundles = {}
    for network in config.networks:
        bundles[network] = train_network(
            workspace, region, cube, rates, network, config.training, config.epochs, config.seed
        )
        logger.info("trained %s", network)
    trained = Trained(cube=cube, baselines=baselines, bundles=bundles)
    trained.save(workspace, region)
    create_table_artifact(
        key=f"training-{region.name.replace('_', '-')}",
        table=[{"network": name, **epoch} for name, path in bundles.items() for epoch in read_epochs(path)],
        description="Loss and gain over ETAS (nats per event) of every epoch, after shrinkage towards ETAS.",
    )
    return trained
