"""Stage: aftershock forecasts of a past sequence, each from what was known then, against what came."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from prefect import task
from pydantic import BaseModel, Field

from tasks.aftershock import event_asked, event_of, issue_one, new_folder, read_catalog
from tasks.progress import progress
from tasks.regions import Region
from tasks.reports.aftershock_figures import replay_figure
from tasks.reports.aftershock_page import replay_page
from tasks.reports.summary import point_latest
from tasks.scoring.counts import CountScore, score_count
from tasks.seismicity.aftershocks.forecast import observed_counts
from tasks.seismicity.aftershocks.sequence import sequence_at
from tasks.seismicity.catalog import known_at
from tasks.workspace import Workspace, write_json

Key = tuple[str, float, float]


class ReplayReport(BaseModel):
    """Aftershock forecasts of the past against what came."""

    region: str
    event_id: str
    page: Path = Field(description="index.html, beside replay.json")
    figure: Path
    summary: list[dict[str, str]] = Field(description="a row a model")


def _named(hours: float) -> str:
    return f"{hours:g} h" if hours < 24 else f"{hours / 24:g} d"


def _summary(name: str, scores: Sequence[CountScore]) -> dict[str, str]:
    n = len(scores)
    return {
        "model": name,
        "numbers": str(n),
        "inside the 95 % range": f"{sum(s.inside for s in scores) / n:.0%}",
        "CRPS of ln(1 + number)": f"{np.mean([s.log_crps for s in scores]):.3f}",
        "surprise, nats": f"{np.mean([s.surprise for s in scores]):.3f}",
    }


@task(name="replay-aftershock-forecasts", task_run_name="replay-aftershocks-{region.name}-{event_id}")
def replay_aftershock_forecasts(
    workspace: Workspace, region: Region, event_id: str, hours: Sequence[float], seed: int
) -> ReplayReport:
    """Issue the forecasts of an event at so many hours after it, as known then, and score them against what came.

    Windows that reach beyond what the catalog tells are not scored.

    Raises
    ------
    UnknownEvent
        If there is no such event.
    """
    catalog = read_catalog(workspace, region)
    end = catalog.told_until
    asked = event_asked(catalog.versions, region, event_id, end)
    truth = known_at(catalog.versions, end)
    trigger = sequence_at(truth, region, asked, end)
    origin = event_of(truth, asked)["origin_time"].values
    folder = new_folder(workspace, f"{region.name}-{asked}-replay")
    forecasts: dict[str, xr.Dataset] = {}
    observed: dict[str, xr.DataArray] = {}
    pages: dict[str, str] = {}
    with progress(f"replay {asked}", len(hours), "forecast") as told:
        for h in told.over(list(hours)):
            issue = origin + np.timedelta64(round(h * 3600), "s").astype("timedelta64[ns]")
            below = folder / _named(h).replace(" ", "")
            below.mkdir()
            _, forecast, sequence = issue_one(workspace, region, catalog, asked, issue, seed, below)
            last = float((end - issue) / np.timedelta64(1, "D"))
            forecasts[_named(h)] = forecast.sel(window=forecast["window"].values <= last)
            observed[_named(h)] = observed_counts(truth, region, sequence, forecasts[_named(h)])
            pages[_named(h)] = f"{below.name}/index.html"
    scores = _scores(forecasts, observed)
    title = f"M {trigger.magnitude:.1f}, {region.title}: aftershock forecasts against what came"
    figure = replay_figure(forecasts, observed, "95 % ranges, medians, and what came", folder / "replay.png")
    summary = [_summary(name, [s for _, s in found]) for name, found in scores.items()]
    lead = (
        f"Event {asked}; forecasts from what was known {', '.join(forecasts)} after it "
        f"(availability as reconstructed); seed {seed}; truth as known on {str(end)[:10]}; "
        f"observations {catalog.snapshot}."
    )
    rows = {name: [_row(key, s) for key, s in found] for name, found in scores.items()}
    (folder / "index.html").write_text(replay_page(title, lead, summary, rows, figure, pages))
    write_json(
        folder / "replay.json",
        {
            "event_id": asked,
            "summary": summary,
            "scores": {
                name: [
                    dict(zip(("issued", "window", "magnitude"), key, strict=True)) | s._asdict()
                    for key, s in found
                ]
                for name, found in scores.items()
            },
        },
    )
    point_latest(folder)
    return ReplayReport(
        region=region.name, event_id=asked, page=folder / "index.html", figure=figure, summary=summary
    )


def _scores(
    forecasts: Mapping[str, xr.Dataset], observed: Mapping[str, xr.DataArray]
) -> dict[str, list[tuple[Key, CountScore]]]:
    """Return by model the scores of every issue time, window and magnitude."""
    scores: dict[str, list[tuple[Key, CountScore]]] = {}
    for issued, forecast in forecasts.items():
        for name in map(str, forecast["model"].values):
            for window in forecast["window"].values:
                for magnitude in forecast["magnitude"].values:
                    at = {"window": window, "magnitude": magnitude}
                    draws = forecast["counts"].sel(model=name, **at).values
                    score = score_count(draws, int(observed[issued].sel(at)))
                    scores.setdefault(name, []).append(((issued, float(window), float(magnitude)), score))
    return scores


def _row(key: Key, score: CountScore) -> dict[str, str]:
    issued, window, magnitude = key
    return {
        "issued after": issued,
        "window, days": f"{window:g}",
        "magnitude": f"{magnitude:g}",
        "came": str(score.observed),
        "inside": "yes" if score.inside else "no",
        "share with as many or more": f"{score.at_least:.3f}",
        "share with as many or fewer": f"{score.at_most:.3f}",
        "CRPS": f"{score.crps:.2f}",
    }
