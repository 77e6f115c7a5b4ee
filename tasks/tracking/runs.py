"""One parent run per pipeline, one child per model and per ablation, written in batches from artefacts."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import mlflow
from mlflow.entities import Metric, Param, RunTag

from tasks.tracking.lineage import cube_dataset
from tasks.tracking.registry import Registered, log_and_register


class ModelRecord(NamedTuple):
    """What one child run says."""

    name: str
    kind: str
    """`baseline`, `network`, `ablation` or `bound`."""
    params: Mapping[str, object]
    scores: Mapping[str, Mapping[str, float]]
    """Horizon in days -> figure -> value."""
    epochs: Sequence[Mapping[str, float]] = ()
    bundle: Path | None = None


class PipelineRecord(NamedTuple):
    """What the parent run says."""

    region: str
    cube_uri: str
    snapshot: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    figures: Sequence[Path]
    models: Sequence[ModelRecord]
    best_network: str | None
    promote: bool
    key: str
    """What the record was made from; what a killed process left of the same key is removed before."""


class Tracked(NamedTuple):
    """Where the record went."""

    run_id: str
    experiment_id: str
    registered: Registered | None


def _flat(params: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)[:500]
    return flat


def _experiment(region: str, artifacts: Path) -> str:
    name = f"quakecube/{region}"
    found = mlflow.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(mlflow.create_experiment(name, artifact_location=(artifacts / region).as_uri()))


def _log_child(
    client: mlflow.MlflowClient, experiment: str, record: ModelRecord, pipeline: PipelineRecord
) -> Registered | None:
    registered = None
    with mlflow.start_run(
        experiment_id=experiment, run_name=record.name, nested=True, tags={"key": pipeline.key}
    ) as run:
        mlflow.log_input(
            cube_dataset(pipeline.cube_uri, pipeline.snapshot, pipeline.region), context="training"
        )
        now = int(time.time() * 1000)
        metrics = [
            Metric(f"{figure}.{horizon}d", float(value), now, 0)
            for horizon, figures in record.scores.items()
            for figure, value in figures.items()
        ]
        metrics += [
            Metric(key, float(value), now, int(epoch["epoch"]))
            for epoch in record.epochs
            for key, value in epoch.items()
            if key != "epoch"
        ]
        client.log_batch(
            run.info.run_id,
            metrics=metrics[:1000],
            params=[Param(k, v) for k, v in list(_flat(record.params).items())[:100]],
            tags=[RunTag("kind", record.kind), RunTag("region", pipeline.region)],
        )
        if record.bundle is not None and record.name == pipeline.best_network:
            registered = log_and_register(record.bundle, pipeline.region, promote=pipeline.promote)
    return registered


def _remove_former(client: mlflow.MlflowClient, experiment: str, key: str) -> None:
    """Delete what a killed process left of the same record: runs, finished or not, and model versions."""
    for run in client.search_runs([experiment], f"tags.key = '{key}'"):
        for version in client.search_model_versions(f"run_id = '{run.info.run_id}'"):
            client.delete_model_version(version.name, version.version)
        client.delete_run(run.info.run_id)


def track(tracking_uri: str, artifacts: Path, pipeline: PipelineRecord, run_name: str) -> Tracked:
    """Write the parent run, its children, figures, lineage and the best network's registration."""
    mlflow.set_tracking_uri(tracking_uri)
    experiment = _experiment(pipeline.region, artifacts)
    client = mlflow.MlflowClient()
    _remove_former(client, experiment, pipeline.key)
    registered = None
    with mlflow.start_run(experiment_id=experiment, run_name=run_name, tags={"key": pipeline.key}) as parent:
        mlflow.set_tags({"region": pipeline.region, "kind": "pipeline", "cube.snapshot": pipeline.snapshot})
        mlflow.log_params(_flat(pipeline.params))
        mlflow.log_metrics(dict(pipeline.metrics))
        mlflow.log_input(
            cube_dataset(pipeline.cube_uri, pipeline.snapshot, pipeline.region), context="backtest"
        )
        for figure in pipeline.figures:
            mlflow.log_artifact(str(figure), artifact_path="figures")
        for record in pipeline.models:
            registered = _log_child(client, experiment, record, pipeline) or registered
        return Tracked(str(parent.info.run_id), experiment, registered)
