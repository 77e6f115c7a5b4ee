"""Stage: score the issued forecasts whose windows are over, and publish how they stand."""

import json
from pathlib import Path

import xarray as xr
from prefect import task
from pydantic import BaseModel, Field

from tasks.align import CubeReport
from tasks.cubes.store import open_cube
from tasks.regions import Region
from tasks.reports.backtest_figures import shown_horizon
from tasks.reports.figures import gain_through_time
from tasks.reports.prospective_page import lead, prospective_page, standing_rows, window_rows
from tasks.scoring import LOG_NAME, LogScore, ScoringConfig, load_scoring, read_log, score_log, score_store
from tasks.workspace import Workspace, code_digest, write_json


class ProspectiveReport(BaseModel):
    """How the issued forecasts stand, and where it is written."""

    log: Path = Field(description="one line a scored window, append-only")
    page: Path = Field(description="index.html, beside prospective.json")
    figure: Path | None = Field(description="gain through time; none while nothing is scored")
    new: int = Field(description="windows scored by this run")
    refused: list[str] = Field(description="forecasts that cannot be scored, and why")
    said: str = Field(description="what was scored, in words")
    standing: list[dict[str, str]] = Field(description="scorecard of the log, rows of text")
    windows: list[dict[str, str]] = Field(description="latest windows, rows of text")


@task(name="score-issued", task_run_name="score-issued-{region.name}")
def score_issued_forecasts(workspace: Workspace, region: Region) -> ProspectiveReport:
    """Score what can be scored, once, and write reports/prospective/<region>/; a second call changes nothing."""
    config = load_scoring(workspace.conf)
    ref = CubeReport.load(workspace, region).ref
    catalog = open_cube(ref)["catalog"].load()
    found = score_store(workspace.forecasts, region, catalog, ref.snapshot, config, code_digest())
    log = workspace.forecasts / region.store_name / LOG_NAME
    rows = read_log(log)
    card = score_log(workspace.forecasts, region, rows, config)
    folder = workspace.reports / "prospective" / region.store_name
    record: dict[str, object] = {
        "title": region.title,
        "cube": ref.snapshot,
        "score_delay_days": config.score_delay_days,
        "windows": [row.model_dump(mode="json") for row in rows],
        "waiting": found.waiting,
        "refused": found.refused,
        "scores": {} if card is None else card.card.to_dict()["scores"],
        "left_out": {} if card is None else card.left_out,
    }
    read_back = json.loads(write_json(folder / "prospective.json", record).read_text())
    figure = None if card is None else _figure(card, region, config, folder / "gain_through_time.png")
    return ProspectiveReport(
        log=log,
        page=prospective_page(read_back, figure, folder),
        figure=figure,
        new=len(found.new),
        refused=found.refused,
        said=lead(read_back),
        standing=standing_rows(read_back),
        windows=window_rows(read_back["windows"]),
    )


def _figure(card: LogScore, region: Region, config: ScoringConfig, path: Path) -> Path:
    """Draw each window's gain over the reference, as the log has it."""
    horizon = shown_horizon(card.windows)
    windows = card.windows[horizon]
    times = [row.issue_time for row in windows]
    axis = {"issue_time": xr.DataArray(times, dims="issue_time").astype("datetime64[ns]")}

    def series(values: list[float]) -> xr.DataArray:
        return xr.DataArray(values, axis, ("issue_time",))

    models = [name for name in card.card.scores if name != config.reference]
    # Models of the card have a gain in every window, or the series would not fit its axis.
    gains = {
        name: series([g for row in windows if (g := row.models[name].gain) is not None]) for name in models
    }
    counts = series([float(row.n_events) for row in windows])
    return gain_through_time(
        gains, counts, horizon, f"{region.title}: issued forecasts, {horizon} days", path
    )
