"""Stages: fit the baselines, ask ETAS for its rates once, train one network on top of them."""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from fusion_models.config import load_model_config, load_training_config
from fusion_models.train import fit
from tasks.cubes.store import CubeRef, load_cube
from tasks.regions import Region
from tasks.seismicity.baselines import Baselines
from tasks.stage import stage
from tasks.workspace import Workspace, code_digest, digest, whole_folder

BASELINES = "baselines"


class Trained(BaseModel):
    """What training left, by reference."""

    cube: CubeRef
    baselines: str = Field(description="folder of the fitted baselines")
    bundles: dict[str, str] = Field(description="network -> bundle folder")

    def save(self, workspace: Workspace, region: Region) -> None:
        """Remember this as the latest training of the region."""
        path = workspace.runs(region.name) / "trained.json"
        path.write_text(self.model_dump_json(indent=1))

    @classmethod
    def load(cls, workspace: Workspace, region: Region) -> "Trained":
        """Return the latest training of the region, or raise ValueError saying which flow makes it."""
        path = workspace.runs(region.name) / "trained.json"
        if not path.is_file():
            raise ValueError(
                f"region {region.name!r} has no trained models in {path.parent}; run the flow train first"
            )
        return cls.model_validate_json(path.read_text())


def read_epochs(bundle: str) -> list[dict[str, float]]:
    """Return the metrics of every epoch of a trained bundle; epoch 0 is ETAS itself."""
    epochs: list[dict[str, float]] = json.loads((Path(bundle) / "epochs.json").read_text())
    return epochs


def _folder(workspace: Workspace, region: Region, what: str, **keys: object) -> Path:
    """Return the folder of an output, named by what it was made from."""
    key = digest({"region": region.model_dump(mode="json"), "code": code_digest(), **keys})
    return workspace.runs(region.name) / f"{what}-{key}"


@stage("fit-baselines", run_name="fit-baselines-{region.name}")
def fit_baseline_models(workspace: Workspace, region: Region, cube: CubeRef) -> str:
    """Fit Poisson, smoothed seismicity and ETAS on the catalog up to the end of training; return their folder."""
    folder = _folder(workspace, region, BASELINES, cube=cube.snapshot)
    catalog = load_cube(cube, region).groups["catalog"]
    with whole_folder(folder) as partial:
        Baselines.fit(catalog, region).save(partial)
    return str(folder)


def issue_days(
    start: np.datetime64, end: np.datetime64, step_days: int, horizon_days: int
) -> NDArray[np.datetime64]:
    """Return issue times every `step_days` from `start`, whose longest window ends by `end`, datetime64[ns]."""
    last = np.datetime64(end, "D") - np.timedelta64(horizon_days, "D")
    return np.arange(np.datetime64(start, "D"), last + 1, step_days).astype("datetime64[ns]")


@stage("rate-training-days", run_name="rate-training-days-{region.name}")
def rate_training_days(
    workspace: Workspace, region: Region, cube: CubeRef, baselines: str, training: str
) -> str:
    """Ask ETAS for its expected counts on every training and validation day; return the file."""
    config = load_training_config(training, workspace.conf)
    split = region.split
    longest = max(config.horizons)
    days = np.concatenate(
        [
            issue_days(np.datetime64(start), np.datetime64(end), config.issue_step_days, longest)
            for start, end in (
                (split.train_start, split.train_end),
                (split.validation_start, split.validation_end),
            )
        ]
    )
    catalog = load_cube(cube, region).groups["catalog"]
    rates = Baselines.load(Path(baselines)).etas.forecast_many(catalog, days)
    path = Path(baselines) / f"etas_rates_{training}.nc"
    temporary = path.with_suffix(".partial")
    rates.astype(np.float32).to_dataset(name="rate").to_netcdf(temporary, engine="h5netcdf")
    temporary.replace(path)
    return str(path)


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
    model = load_model_config(network, workspace.conf)
    recipe = load_training_config(training, workspace.conf)
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
    data = load_cube(cube, region)
    with xr.open_dataset(rates, engine="h5netcdf") as file:
        etas = file["rate"].load()
    recorded: list[dict[str, float]] = []

    def on_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
        recorded.append({"epoch": float(epoch), **metrics})

    bundle = fit(
        data,
        etas,
        data.groups["labels"]["event_count"],
        region.split,
        model,
        recipe,
        folder,
        on_epoch=on_epoch,
        progress=sys.stderr.isatty(),
    )
    shutil.copytree(Path(rates).parent, bundle / BASELINES, dirs_exist_ok=True)
    return str(bundle)
