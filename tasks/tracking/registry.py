"""The model registry: a bundle becomes a version of `quakecube-<region>`, and aliases say what it is for."""

from pathlib import Path
from typing import NamedTuple

import mlflow
import numpy as np
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


def registered_bundle(tracking_uri: str, region: str, alias: str, target: Path) -> tuple[Path, str] | None:
    """Copy the bundle of `alias` into `target`; return its path and version, or None if the alias is not set."""
    mlflow.set_tracking_uri(tracking_uri)
    client = mlflow.MlflowClient()
    try:
        version = client.get_model_version_by_alias(model_name(region), alias)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    target.mkdir(parents=True, exist_ok=True)
    folder = mlflow.artifacts.download_artifacts(
        artifact_uri=f"models:/{model_name(region)}/{version.version}", dst_path=str(target)
    )
    found = [p.parent for p in Path(folder).rglob("model.safetensors")]
    if not found:
        raise FileNotFoundError(f"model {model_name(region)!r} version {version.version} holds no bundle")
    return found[0], str(version.version)


def predict_registered(
    tracking_uri: str, region: str, alias: str, inputs: dict[str, np.ndarray]
) -> np.ndarray:
    """Return what the registered model predicts, through MLflow's own loader and signature check."""
    mlflow.set_tracking_uri(tracking_uri)
    model = mlflow.pyfunc.load_model(f"models:/{model_name(region)}@{alias}")
    return np.asarray(model.predict(inputs))
