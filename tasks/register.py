"""Stage: write a run into MLflow from its artefacts, register the best network, apply the promotion rule."""

import json
from pathlib import Path

from pydantic import BaseModel, Field

from tasks.align import CubeReport
from tasks.fit import Trained, read_epochs
from tasks.regions import Region
from tasks.stage import stage
from tasks.tracking.runs import ModelRecord, PipelineRecord, track
from tasks.workspace import Workspace
from tasks.workspace.kept import Kept


class Recorded(BaseModel):
    """Where a run was recorded, and what became of its best network."""

    cube: CubeReport
    backtest: str = Field(description="folder of the backtest")
    run_id: str
    experiment_id: str
    model_version: str = Field(description="version in the registry")
    promoted: bool
    reason: str = Field(description="the promotion rule and the figures it was given")
    seed: int


class Serving(Kept):
    """What live inference reads: folders, never the tracker."""

    file_name = "serving.json"
    made_by = "retrain"

    trained: Trained
    challenger: str = Field(description="name of the best network on the validation period")
    champion: str = Field(
        default="", description="folder of the promoted bundle; empty: ETAS issues the forecast"
    )
    champion_name: str = Field(default="", description="name of the champion network")
    champion_version: str = Field(default="", description="its version in the registry")


def _kind(name: str, bundles: dict[str, str]) -> str:
    if name in bundles:
        return "network"
    return "ablation" if "_without_" in name else "baseline"


def _numbers(figures: dict[str, object]) -> dict[str, float]:
    return {k: float(v) for k, v in figures.items() if isinstance(v, int | float)}


@stage("record-run", run_name="record-{region.name}")
def record_run(workspace: Workspace, region: Region, cube: CubeReport, backtest: str, seed: int) -> Recorded:
    """Log one parent run with children from the files in `backtest`, and register the best network."""
    folder = Path(backtest)
    card = json.loads((folder / "scorecard.json").read_text())
    trained = Trained.model_validate(card["trained"])
    promotion = card["promotion"]
    models = [
        ModelRecord(
            name=name,
            kind=_kind(name, trained.bundles),
            params=card["params"].get(name, {}),
            scores={h: _numbers(figures) for h, figures in per_horizon.items()},
            epochs=read_epochs(trained.bundles[name]) if name in trained.bundles else (),
            bundle=Path(trained.bundles[name]) if name in trained.bundles else None,
        )
        for name, per_horizon in card["scores"].items()
    ]
    metrics = {f"share_observed.{k}": v for k, v in cube.modalities.items()}
    for bound in ("oracle", "clairvoyant"):
        gains = {h: row["igpe_vs_etas"] for h, row in card.get(bound, {}).items()}
        metrics |= {f"{bound}.{h}d": float(gain) for h, gain in gains.items() if gain is not None}
    tracked = track(
        workspace.tracking_uri,
        workspace.home / "mlartifacts",
        PipelineRecord(
            region=region.name,
            cube_uri=cube.ref.uri,
            snapshot=cube.ref.snapshot,
            params={
                "seed": seed,
                "magnitude_completeness": region.magnitude_completeness,
                "split": region.split.model_dump(mode="json"),
                "best_network": card["best_network"],
            },
            metrics=metrics,
            figures=sorted((folder / "figures").glob("*.png")),
            models=models,
            best_network=card["best_network"],
            promote=bool(promotion["promoted"]),
            key=folder.name,
        ),
        run_name=f"pipeline-{region.name}-seed{seed}",
    )
    version = tracked.registered.version if tracked.registered else ""
    kept = Serving.path(workspace, region).is_file()
    previous = Serving.load(workspace, region) if kept else None
    champion: dict[str, str] = {}
    if promotion["promoted"]:
        name = str(card["best_network"])
        champion = {"champion": trained.bundles[name], "champion_name": name, "champion_version": version}
    elif previous is not None:
        champion = previous.model_dump(include={"champion", "champion_name", "champion_version"})
    serving = Serving(trained=trained, challenger=card["best_network"], **champion)
    serving.save(workspace, region)
    return Recorded(
        cube=cube,
        backtest=backtest,
        run_id=tracked.run_id,
        experiment_id=tracked.experiment_id,
        model_version=version,
        promoted=bool(promotion["promoted"]),
        reason=str(promotion["reason"]),
        seed=seed,
    )
