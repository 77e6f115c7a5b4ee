"""Stage: issue a forecast from cube and bundle; live inference never asks the tracker."""

from pathlib import Path

import numpy as np
import xarray as xr
from prefect import task
from pydantic import BaseModel, Field

from fusion_models.bundle import load_bundle
from fusion_models.data.asof import as_of
from fusion_models.data.cube import CubeData
from fusion_models.forecaster import Forecaster, NetworkForecaster
from tasks.align import CubeReport
from tasks.cubes.forecasts import ForecastExists, ForecastManifest, write_forecast
from tasks.cubes.load import load_cube
from tasks.fit import BASELINES
from tasks.progress import progress
from tasks.regions import Region
from tasks.register import Serving
from tasks.reports.figures import forecast_map
from tasks.seismicity.baselines import Baselines, load_etas
from tasks.workspace import Workspace, code_digest


class Issued(BaseModel):
    """A forecast in the store."""

    path: Path = Field(description="forecast.nc: expected counts (model, horizon, lat, lon)")
    map: Path = Field(description="map of the 7-day expectation, models beside each other")
    issue_time: str
    model: str = Field(description="who issued it: the champion network, or etas")
    sentence: str = Field(description="what it says, in words")


def _issue_time(cube: CubeData, region: Region, issue_date: str) -> np.datetime64:
    days = cube.groups["labels"]["time"].values
    latest = days[-1] + np.timedelta64(1, "D")
    issue = latest if issue_date == "latest" else np.datetime64(issue_date, "ns")
    if not days[0] < issue <= latest:
        raise ValueError(
            f"cube {region.name!r} covers {str(days[0])[:10]} to {str(latest)[:10]}, "
            f"a forecast for {issue_date} lies outside; "
            "choose a day in between"
        )
    return issue


def _sentence(rates: xr.DataArray, model: str, magnitude: float) -> str:
    parts = []
    for horizon in rates.horizon.values:
        expected = float(rates.sel(model=model, horizon=horizon).sum())
        parts.append(f"{1 - np.exp(-expected):.0%} within {int(horizon)} d ({expected:.2f} expected)")
    return f"chance of at least one M >= {magnitude:g} in the region: {', '.join(parts)}."


@task(name="issue-forecast", task_run_name="issue-forecast-{region.name}-{issue_date}")
def issue_forecast(workspace: Workspace, region: Region, issue_date: str) -> Issued:
    """Forecast with the champion, ETAS where there is none, and store it with the baselines beside it."""
    serving = Serving.load(workspace, region)
    ref = CubeReport.load(workspace, region).ref
    cube = load_cube(ref, region, memory_bytes=workspace.memory_bytes)
    issue = _issue_time(cube, region, issue_date)
    view = as_of(cube, issue)
    challenger = Path(serving.trained.bundles[serving.challenger])
    baselines = Baselines.load(challenger / BASELINES, region)
    forecasters: dict[str, Forecaster] = {f.name: f for f in baselines}
    forecasters[serving.challenger] = NetworkForecaster(load_bundle(challenger), baselines.etas)
    issuer = "etas"
    if serving.champion:
        champion = Path(serving.champion)
        etas = load_etas(champion / BASELINES, region)
        issuer = serving.champion_name
        if champion != challenger:
            issuer = f"{issuer}_champion"  # an earlier network of perhaps the same kind: both are shown
        forecasters[issuer] = NetworkForecaster(load_bundle(champion), etas)
    with progress(f"forecast {region.name}", len(forecasters), "forecaster") as told:
        forecasts = {name: forecasters[name].forecast(view) for name in told.over(forecasters)}
    rates = xr.concat(
        [r.drop_attrs() for r in forecasts.values()],
        dim=xr.IndexVariable("model", np.array(list(forecasts), dtype=object)),
    )
    stated = [f.dispersion if isinstance(f, NetworkForecaster) else {} for f in forecasters.values()]
    spread = [[by_horizon.get(int(h), 0.0) for h in rates.horizon.values] for by_horizon in stated]
    sentence = _sentence(rates, issuer, region.magnitude_completeness)
    forecast = (
        rates.to_dataset(name="rate")
        .assign(dispersion=(("model", "horizon"), spread))
        .assign_attrs(issued_by=issuer, magnitude=region.magnitude_completeness, statement=sentence)
    )
    manifest = ForecastManifest(
        region=region.store_name,
        issue_time=str(issue)[:19],
        data_snapshot=ref.snapshot,
        model_version=f"{issuer} {serving.champion_version}".strip(),
        code_version=code_digest(),
        seed=load_bundle(challenger).card.training.seed,
    )
    try:
        folder = Path(write_forecast(workspace.forecasts, forecast, manifest).path)
    except ForecastExists as issued_before:
        folder = issued_before.folder
    catalog = view.catalog()
    recent = catalog.isel(
        event=np.flatnonzero((issue - catalog.origin_time.values) < np.timedelta64(365, "D"))
    )
    figure = folder / "map.png"
    if not figure.is_file():
        shown = [n for n in ("smoothed", "etas", serving.challenger) if n in forecasts]
        forecast_map(
            {n: rates.sel(model=n, horizon=7) for n in dict.fromkeys([*shown, issuer])},
            recent,
            f"{region.title}: expected M >= {region.magnitude_completeness:g} in 7 days from {str(issue)[:10]} "
            f"(issued by {issuer}; rings: events of the last year)",
            figure,
        )
    return Issued(
        path=folder / "forecast.nc", map=figure, issue_time=str(issue)[:19], model=issuer, sentence=sentence
    )
