"""The model registry: a bundle becomes a version of `quakecube-<region>`, and aliases say what it is for."""

from pathlib import Path
from typing import NamedTuple

import mlflow
from mlflow.models import infer_signature

from fusion_models.bundle import example_inputs, load_bundle, predict_batch

CHAMPION, CHALLENGER = "champion", "challenger"


class Registered(NamedTuple):
    """A version in the registry."""

    name: str
    version: str
    aliases: tuple[str, ...]


def model_name(region: str) -> str:
    """Return the registered model's name of a region."""
    return f"quakecube-{region}"


def log_and_register(bundle_path: Path, region: str, *, promote: bool) -> Registered:
    """Log a bundle to the active run as a pyfunc model with signature and input example, and register it.

    The new version is the challenger; `promote` (the outcome of the promotion rule) makes it the champion too.
    """
    bundle = load_bundle(bundle_path)
    example = example_inputs(bundle)
    info = mlflow.pyfunc.log_model(
        name="network",
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={"bundle": str(bundle_path)},
        signature=infer_signature(example, predict_batch(bundle, example)),
        input_example=example,
        registered_model_name=model_name(region),
        pip_requirements=["torch==2.13.0", "safetensors", "numpy", "xarray", "pydantic"],
    )
    version = str(info.registered_model_version)
    client = mlflow.MlflowClient()
    aliases = (CHALLENGER, CHAMPION) if promote else (CHALLENGER,)
    for alias in aliases:
        client.set_registered_model_alias(model_name(region), alias, version)
    return Registered(model_name(region), version, aliases)
