"""Aftershock forecasts of Ridgecrest 2019 as a replay: from the trigger to the page, and scored against what came.

The catalogs of the recorded archive are ingested; then the flow is started in a process of its own, as a worker would,
twice: the first one fits the region's model (target: at most 60 s on 2 cores, everything included). Then the forecasts
of the M 6.4 and the M 7.1 are issued from what was known 1 h, 6 h, 1 d, 3 d and 7 d after each, and scored: share of
numbers inside the 95 % range, CRPS of ln(1 + number), surprise of "at least one", over windows of 1, 7, 30, 365 days
and magnitudes from 3 to 7.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from flows.aftershock_forecast import REPLAY_HOURS
from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.aftershock_replay import replay_aftershock_forecasts
from tasks.cubes.store import ObservationStore
from tasks.regions import load_region
from tasks.sources import open_source
from tasks.workspace import Workspace

EVENTS: Final = {"M 6.4": "ci38443183", "M 7.1": "ci38457511"}
ISSUE: Final = "2019-07-06T04:20"
SEED: Final = 1
_ROOT: Final = Path(__file__).resolve().parents[2]
_START: Final = (
    "from flows.settings import prepare_environment, settings; prepare_environment(settings());"
    "from flows.aftershock_forecast import aftershock_forecast; from flows.forms import AftershockForm;"
    f"aftershock_forecast(AftershockForm(region='ridgecrest', event_id='{EVENTS['M 7.1']}', issue_time='{ISSUE}'))"
)


def _triggered(home: Path, archive: Path) -> float:
    """Return seconds from the start of a process to its forecast's page."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    environment |= {"QUAKECUBE_HOME": str(home), "QUAKECUBE_ARCHIVE": str(archive)}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _START],
        env=environment,
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the flow failed: {done.stdout[-1500:]}{done.stderr[-1500:]}")
    return time.monotonic() - started


def measure(settings: Settings) -> Measured:
    """Ingest the catalogs, trigger the flow twice, replay both sequences."""
    if settings.archive is None:
        raise RuntimeError("the recorded archive is needed: set QUAKECUBE_ARCHIVE")
    archive = Path(settings.archive)
    region = load_region("ridgecrest", settings.conf_dir)
    figures: dict[str, float] = {}
    rows = []
    with tempfile.TemporaryDirectory(prefix="quakecube-bench-") as home:
        workspace = Workspace(
            home=Path(home), conf=settings.conf_dir, archive=archive, tracking_uri="sqlite://", threads=2
        )
        store = ObservationStore(workspace.observations, region.store_name)
        for source in region.sources:
            if source.modality == "catalog":
                fetched = open_source(source.provider)(source, archive, region, region.catalog_window)
                store.write(source.group, fetched.dataset)
        figures["first_trigger_to_page_seconds"] = _triggered(Path(home), archive)
        figures["trigger_to_page_seconds"] = _triggered(Path(home), archive)
        n = 0
        for name, event_id in EVENTS.items():
            report = replay_aftershock_forecasts.fn(workspace, region, event_id, REPLAY_HOURS, SEED)
            scores: dict[str, list[dict[str, Any]]] = json.loads(
                (report.page.parent / "replay.json").read_text()
            )["scores"]
            pictures = {"replay": report.figure.read_bytes()}
            for model, found in scores.items():
                n += len(found)
                inside = sum(s["inside"] for s in found)
                crps, surprise = (float(np.mean([s[key] for s in found])) for key in ("log_crps", "surprise"))
                key = f"{model}.{event_id}"
                figures |= {
                    f"inside.{key}": inside / len(found),
                    f"log_crps.{key}": crps,
                    f"surprise.{key}": surprise,
                }
                rows.append(f"| {name} | {model} | {inside} of {len(found)} | {crps:.3f} | {surprise:.3f} |")
    table = "\n".join(
        [
            "| after | model | inside the 95 % range | CRPS of ln(1 + number) | surprise, nats |",
            "|---|---|---:|---:|---:|",
            *rows,
        ]
    )
    cost = (
        f"{figures['trigger_to_page_seconds']:.0f} s from a worker's start to the page "
        f"({figures['first_trigger_to_page_seconds']:.0f} s the first time, when the region's model is fitted); "
        f"10,000 catalogs a model; seed {SEED}."
    )
    return Measured(figures, n, SEED, {"scores": table, "cost": cost}, pictures)
