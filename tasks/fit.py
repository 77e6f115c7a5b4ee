"""Stages: fit the baselines, ask ETAS for its rates once, train one network on top of them."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from prefect import get_run_logger
from pydantic import Field

from fusion_models.bundle import load_bundle
from fusion_models.config import load_model, load_training
from fusion_models.data.cube import CubeData
from fusion_models.train import fit
from tasks.cubes.load import load_cube, load_group
from tasks.cubes.store import CubeRef
from tasks.progress import Progress, progress
from tasks.regions import Region
from tasks.scoring import observed_counts
from tasks.seismicity.baselines import Baselines
from tasks.stage import stage
from tasks.workspace import Workspace, code_digest, digest, whole_folder
from tasks.workspace.kept import Kept

BASELINES = "baselines"


class Trained(Kept):
    """What training left, by reference."""

    file_name = "trained.json"
    made_by = "train"

    cube: CubeRef
    baselines: str = Field(description="folder of the fitted baselines")
    bundles: dict[str, str] = Field(description="network -> bundle folder")


def read_epochs(bundle: str) -> list[dict[str, float]]:
    """Return the metrics of every epoch of a trained bundle; epochs count from 1."""
    return list(load_bundle(Path(bundle)).card.history)


def _folder(workspace: Workspace, region: Region, what: str, **keys: object) -> Path:
    """Return the folder of an output, named by what it was made from."""
    key = digest({"region": region.model_dump(mode="json"), "code": code_digest(), **keys})
    return workspace.runs(region.store_name) / f"{what}-{key}"


@stage("fit-baselines", run_name="fit-baselines-{region.name}")
def fit_baseline_models(workspace: Workspace, region: Region, cube: CubeRef) -> str:
    """Fit the traditional forecasters on the catalog up to the end of training; return their folder."""
    folder = _folder(workspace, region, BASELINES, cube=cube.snapshot)
    catalog = load_group(cube, "catalog")
    with whole_folder(folder) as partial, progress(f"fit baselines {region.name}"):
        Baselines.fit(catalog, region).save(partial)
    return str(folder)


def issue_days(start: date, end: date, step_days: int, horizon_days: int) -> NDArray[np.datetime64]:
    """Return issue times every `step_days` from `start`, whose longest window ends by `end`, datetime64[ns]."""
    first, last = np.datetime64(start, "D"), np.datetime64(end, "D") - np.timedelta64(horizon_days, "D")
    days = np.arange(0, (last - first).astype(int) + 1, step_days)
    return np.asarray(first + days.astype("timedelta64[D]"), dtype="datetime64[ns]")


@stage("rate-training-days", run_name="rate-training-days-{region.name}")
def rate_training_days(
    workspace: Workspace, region: Region, cube: CubeRef, baselines: str, training: str
) -> str:
    """Ask ETAS for its expected counts on every training and validation day; return the file."""
    config = load_training(training, workspace.conf)
    split = region.split
    longest = max(config.horizons)
    days = np.concatenate(
        [
            issue_days(start, end, config.issue_step_days, longest)
            for start, end in (
                (split.train_start, split.train_end),
                (split.validation_start, split.validation_end),
            )
        ]
    )
    catalog = load_group(cube, "catalog")
    with progress(f"rate {len(days)} days by ETAS"):
        rates = Baselines.load(Path(baselines), region).etas.forecast_many(catalog, days)
    path = Path(baselines) / f"etas_rates_{digest(config.model_dump(mode='json'))}.nc"
    temporary = path.with_suffix(".partial")
    rates.astype(np.float32).to_dataset(name="rate").to_netcdf(temporary, engine="h5netcdf")
    temporary.replace(path)
    return str(path)


def window_counts(
    cube: CubeData, issue_times: NDArray[np.datetime64], horizons: Sequence[int]
) -> xr.DataArray:
    """Return observed target counts (issue_time, horizon, lat, lon) in [issue_time, issue_time + horizon)."""
    labels = cube.groups["labels"]["event_count"]
    parts = [observed_counts(labels, issue_times, horizon) for horizon in horizons]
    return xr.concat(parts, dim=xr.IndexVariable("horizon", list(horizons)), combine_attrs="drop").transpose(
        "issue_time", "horizon", "lat", "lon"
    )


def _on_epoch(network: str, told: Progress) -> Callable[[int, dict[str, float]], None]:
    logger = get_run_logger()

    def log(epoch: int, metrics: dict[str, float]) -> None:
        told.done, told.doing = epoch, f"gain {metrics['val_igpe']:+.4f}"
        logger.info(
            "%s epoch %d: validation gain over ETAS %+.4f nats per event", network, epoch, metrics["val_igpe"]
        )

    return log


@stage("train-network", run_name="train-{network}-{region.name}")
def train_network(
    workspace: Workspace,
    region: Region,
    cube: CubeRef,
    rates: str,
    network: str,
    training: str,
    epochs: int,
    seed: int,
) -> str:
    """Train one fusion network; a run that was killed goes on from its last epoch. Return the bundle's folder."""
    model = load_model(network, workspace.conf)
    recipe = load_training(training, workspace.conf)
    recipe = recipe.model_copy(
        update={"seed": seed, "num_threads": workspace.threads} | ({"epochs": epochs} if epochs else {})
    )
    folder = _folder(
        workspace,
        region,
        network,
        cube=cube.snapshot,
        model=model.model_dump(mode="json"),
        training=recipe.model_dump(mode="json"),
    )
    memory = workspace.memory_bytes
    data = load_cube(cube, region, memory_bytes=memory, tiles_folder=workspace.tiles)
    with xr.open_dataset(rates, engine="h5netcdf") as file:
        etas = file["rate"].load()
    # Not Lightning's bar: the lines of the log would run through it.
    with progress(f"train {network}", recipe.epochs, "epoch") as told:
        bundle = fit(
            data,
            etas,
            window_counts(data, etas.issue_time.values, recipe.horizons),
            region.split,
            model,
            recipe,
            folder,
            on_epoch=_on_epoch(network, told),
            provenance={"code": code_digest(), "baselines": Path(rates).parent.name},
            memory_bytes=memory,
        )
        told.total = told.done  # it may have stopped early
    # The bundle forecasts without any other file: it carries the baselines that it corrects.
    Baselines.load(Path(rates).parent, region).save(bundle / BASELINES)
    return str(bundle)
