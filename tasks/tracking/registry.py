"""The model registry: a bundle becomes a version of `quakecube-<region>`, and aliases say what it is for."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.store.entities import PagedList

from fusion_models.bundle import example_inputs, load_bundle, predict_batch

CHAMPION, CHALLENGER = "champion", "challenger"
_PREFIX = "quakecube-"
_CUBE_TAG = "cube.snapshot"
_SQLITE = "sqlite:///"

Item = TypeVar("Item")


class Registered(NamedTuple):
    """A version in the registry."""

    name: str
    version: str
    aliases: tuple[str, ...]


def model_name(region: str) -> str:
    """Return the registered model's name of a region."""
    return f"{_PREFIX}{region}"


def log_and_register(bundle_path: Path, region: str, *, promote: bool) -> Registered:
    """Log a bundle to the active run as a pyfunc model with signature and input example, and register it.

    The new version is the challenger; `promote` (the outcome of the promotion rule) makes it the champion too. A tag
    names the cube that the bundle was trained on.
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
    client.set_model_version_tag(model_name(region), version, _CUBE_TAG, bundle.card.snapshot)
    aliases = (CHALLENGER, CHAMPION) if promote else (CHALLENGER,)
    for alias in aliases:
        client.set_registered_model_alias(model_name(region), alias, version)
    return Registered(model_name(region), version, aliases)


def registered_cubes(tracking_uri: str) -> dict[str, str]:
    """Return the cube snapshots to which registered models refer, each with the name of one of the models.

    A version refers to the cube in its tag and to those that its run saw.

    Raises
    ------
    ValueError
        If a version names none: it cannot be told what it was trained on.
    """
    if tracking_uri.startswith(_SQLITE) and not Path(tracking_uri.removeprefix(_SQLITE)).is_file():
        return {}  # MLflow would make the file
    client = mlflow.MlflowClient(tracking_uri, tracking_uri)
    found: dict[str, str] = {}
    for model in _all(client.search_registered_models):
        if not model.name.startswith(_PREFIX):
            continue
        for version in _all(client.search_model_versions, f"name = '{model.name}'"):
            cubes = _cubes_of(client, version)
            if not cubes:
                raise ValueError(
                    f"model {model.name} version {version.version}: expected the snapshot of a cube in its tag "
                    f"{_CUBE_TAG!r} or its run, found none; name it there or delete the version"
                )
            for cube in cubes:
                found.setdefault(cube, f"model {model.name} version {version.version}")
    return found


def _cubes_of(client: mlflow.MlflowClient, version: ModelVersion) -> set[str]:
    cubes = {version.tags[_CUBE_TAG]} if _CUBE_TAG in version.tags else set()
    try:
        inputs = client.get_run(version.run_id).inputs if version.run_id else None
    except MlflowException:  # its run was removed for good
        inputs = None
    datasets = [i.dataset for i in inputs.dataset_inputs] if inputs else []
    sources = [json.loads(d.source) for d in datasets if d.source_type == "icechunk"]
    return cubes | {str(source["snapshot"]) for source in sources}


def _all(search: Callable[..., PagedList[Item]], query: str | None = None) -> Iterator[Item]:
    """Yield what `search` finds, page by page."""
    token = None
    while token is None or token:
        page = search(query, page_token=token)
        yield from page
        token = page.token or ""
