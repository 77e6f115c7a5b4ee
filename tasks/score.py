"""Stage: baselines, networks and ablations through one scorer, on windows that none of them has seen."""

import json
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fusion_models.bundle import Bundle, load_bundle
from fusion_models.config import PROVIDER_KINDS
from fusion_models.data.asof import as_of
from fusion_models.data.cube import CubeData
from fusion_models.forecaster import NetworkForecaster
from tasks.cubes.load import load_cube
from tasks.fit import Trained
from tasks.progress import Progress, progress
from tasks.regions import Region
from tasks.reports.backtest_figures import BOUNDS, backtest_figures, shown_horizon
from tasks.reports.scorecard_page import write_scorecard_page
from tasks.scoring import (
    Forecast,
    ScoringConfig,
    best_network,
    busiest_times,
    court,
    issue_times,
    load_scoring,
    observed_counts,
    plain,
    promotion,
    refuse_leaks,
    scorecard,
    tested_magnitudes,
)
from tasks.seismicity.baselines import Baselines
from tasks.seismicity.residuals import residuals
from tasks.simulation import load_simulation, simulate_world
from tasks.stage import stage
from tasks.workspace import Workspace, code_digest, digest, whole_folder, write_json

Rates = dict[str, xr.DataArray]
Windows = dict[int, NDArray[np.datetime64]]
Dispersion = dict[str, dict[int, float]]


def _windows(start: object, end: object, config: ScoringConfig) -> Windows:
    """Return non-overlapping issue times by horizon; a horizon that does not fit into the period is left out."""
    first, last = np.datetime64(start, "D"), np.datetime64(end, "D")  # type: ignore[call-overload]
    fitting = [h for h in config.horizons_days if (last - first) >= np.timedelta64(h, "D")]
    return {h: issue_times(first, last, h) for h in fitting}


def _all_times(windows: Windows) -> NDArray[np.datetime64]:
    return np.unique(np.concatenate(list(windows.values())))


def _baseline_rates(
    cube: CubeData, baselines: Baselines, times: NDArray[np.datetime64], told: Progress
) -> Rates:
    catalog = cube.groups["catalog"]
    members = told.over(baselines.ensemble.members, attrgetter("name"))
    rates = {member.name: member.forecast_many(catalog, times) for member in members}
    return rates | {baselines.ensemble.name: baselines.ensemble.mix(rates)}


def _network_rates(
    cube: CubeData,
    baselines: Baselines,
    etas: xr.DataArray,
    forecasters: Iterable[tuple[Bundle, Sequence[str]]],
    told: Progress,
) -> Rates:
    """Return the networks' rates; networks with one layout of samples share the samples."""
    times = etas.issue_time.values
    views = [as_of(cube, time) for time in times]
    samples: dict[str, dict[str, NDArray[np.floating]]] = {}
    rates: Rates = {}
    networks = [NetworkForecaster(bundle, baselines.etas, without) for bundle, without in forecasters]
    for forecaster in told.over(networks, lambda n: n.name):
        layout = forecaster.bundle.card.spec.model_dump_json()
        if layout not in samples:
            samples[layout] = forecaster.arrays(views, etas)
        rates[forecaster.name] = forecaster.forecast_arrays(times, samples[layout])
    return rates


def _dispersion(forecasters: Iterable[tuple[Bundle, Sequence[str]]], baselines: Baselines) -> Dispersion:
    """Return what the networks state of the spread of counts, by model and horizon; baselines state Poisson's."""
    networks = [NetworkForecaster(bundle, baselines.etas, without) for bundle, without in forecasters]
    return {network.name: network.dispersion for network in networks if network.dispersion}


def _by_horizon(rates: Rates, windows: Windows) -> dict[int, xr.DataArray]:
    """Return DataArrays (model, issue_time, lat, lon), each horizon at its own windows."""
    names = xr.IndexVariable("model", np.array(list(rates), dtype=object))
    return {
        horizon: xr.concat(
            [r.sel(horizon=horizon, issue_time=times).drop_attrs() for r in rates.values()], dim=names
        ).drop_vars("horizon")
        for horizon, times in windows.items()
    }


def _counts(cube: CubeData, windows: Windows) -> dict[int, xr.DataArray]:
    labels = cube.groups["labels"]["event_count"]
    return {horizon: observed_counts(labels, times, horizon) for horizon, times in windows.items()}


def _score(
    rates: Mapping[int, xr.DataArray],
    counts: Mapping[int, xr.DataArray],
    config: ScoringConfig,
    dispersion: Dispersion,
) -> dict[str, dict[str, dict[str, Any]]]:
    card: Any = scorecard(rates, counts, config, dispersion).to_dict()
    scores: dict[str, dict[str, dict[str, Any]]] = card["scores"]
    return scores


def _events_between(cube: CubeData, start: np.datetime64, days: int) -> xr.Dataset:
    """Return the latest catalog's events (event) in the window, for the eye only."""
    catalog = as_of(cube, start + np.timedelta64(days, "D")).catalog()
    return catalog.isel(event=np.flatnonzero(catalog.origin_time.values >= start))


class CatalogForecaster(Protocol):
    """What every baseline does."""

    def forecast_many(self, catalog: xr.Dataset, issue_times: NDArray[np.datetime64]) -> xr.DataArray:
        """Return expected counts (issue_time, horizon, lat, lon)."""
        ...


def _forecasts(
    baselines: Baselines, forecasters: Iterable[tuple[Bundle, Sequence[str]]]
) -> dict[str, Forecast]:
    """Return every model as the function of cube and issue times that the backtest calls, for the leak control.

    As in the backtest, networks share the rates of ETAS; they are kept for each cube and issue times that were asked.
    """
    kept: list[tuple[CubeData, bytes, xr.DataArray]] = []

    def etas(cube: CubeData, times: NDArray[np.datetime64]) -> xr.DataArray:
        for known, when, rates in kept:
            if known is cube and when == times.tobytes():
                return rates
        kept.append((cube, times.tobytes(), baselines.etas.forecast_many(cube.groups["catalog"], times)))
        return kept[-1][2]

    def of_catalog(forecaster: CatalogForecaster) -> Forecast:
        return lambda cube, times: forecaster.forecast_many(cube.groups["catalog"], times)

    def of_views(network: NetworkForecaster) -> Forecast:
        return lambda cube, times: network.forecast_many([as_of(cube, t) for t in times], etas(cube, times))

    networks = [NetworkForecaster(bundle, baselines.etas, without) for bundle, without in forecasters]
    return (
        {name: of_catalog(f) for name, f in baselines._asdict().items()}
        | {"etas": etas}
        | {network.name: of_views(network) for network in networks}
    )


def _residuals(cube: CubeData, baselines: Baselines, region: Region) -> dict[str, dict[str, object]]:
    """Return how training and test period went in the time of ETAS; at most 2,000 events each are drawn."""
    catalog, split = cube.groups["catalog"], region.split
    rows: dict[str, dict[str, object]] = {}
    for name, first, last in (
        ("training", region.etas_start, split.train_end),
        ("test", split.test_start, split.test_end),
    ):
        start, end = np.datetime64(first, "ns"), np.datetime64(last, "ns")
        found = residuals(baselines.etas.model, catalog, region, start, end)
        n = found.times.size
        shown = found.times[np.unique(np.linspace(0, max(n - 1, 0), min(n, 2000)).astype(int))]
        p = None if n == 0 else round(found.p_value, 4)
        rows[name] = {
            "n": n,
            "expected": round(found.expected, 2),
            "p_value": p,
            "times": [round(float(t), 2) for t in shown],
        }
    return rows


@stage("backtest-models", run_name="backtest-{region.name}")
def backtest_models(workspace: Workspace, region: Region, trained: Trained, seed: int) -> str:
    """Score every model on the test period, choose the best network on validation; return the folder.

    Writes `scorecard.json`, `rates.nc` (model, issue_time, horizon, lat, lon), `figures/` and the page `index.html`.
    """
    config = load_scoring(workspace.conf)
    cube = load_cube(trained.cube, region, memory_bytes=workspace.memory_bytes)
    baselines = Baselines.load(Path(trained.baselines), region)
    bundles = {name: load_bundle(Path(path)) for name, path in trained.bundles.items()}
    split = region.split

    wanted: list[tuple[Bundle, Sequence[str]]] = [(b, ()) for b in bundles.values()]
    windows = _windows(split.validation_start, split.validation_end, config)
    with progress(
        f"backtest {region.name} (validation)", len(baselines.ensemble.members) + len(wanted), "forecaster"
    ) as told:
        rates = _baseline_rates(cube, baselines, _all_times(windows), told)
        rates |= _network_rates(cube, baselines, rates["etas"], wanted, told)
        told.doing = "scores"
        counts = _counts(cube, windows)
        validation = _score(_by_horizon(rates, windows), counts, config, _dispersion(wanted, baselines))
    best = best_network(validation, bundles, config.promotion_horizon_days)

    wanted += [(bundles[best], (kind,)) for kind in PROVIDER_KINDS]
    windows = _windows(split.test_start, split.test_end, config)
    bounds = () if region.simulation is None else BOUNDS
    steps = len(baselines.ensemble.members) + len(wanted) + len(bounds) * len(windows)
    with progress(f"backtest {region.name} (test)", steps, "forecaster") as told:
        rates = _baseline_rates(cube, baselines, _all_times(windows), told)
        rates |= _network_rates(cube, baselines, rates["etas"], wanted, told)
        if region.simulation is not None:
            world = simulate_world(region, load_simulation(region.simulation, workspace.conf), seed)
            for name, archive in (
                ("oracle", world.oracle_archive),
                ("clairvoyant", world.clairvoyant_archive),
            ):
                # Each horizon at its own windows: beyond the world's end there is no truth to ask for.
                rates[name] = xr.concat(
                    [archive(windows[h], [h]) for h in told.over(windows, f"{name} {{}} d".format)],
                    dim="horizon",
                    join="outer",
                )
        told.doing = "scores"
        counts, by_horizon = _counts(cube, windows), _by_horizon(rates, windows)
        scores = _score(by_horizon, counts, config, _dispersion(wanted, baselines))
        told.doing = "court"
        tried = [name for name in scores if "_without_" not in name and name not in BOUNDS]
        law = baselines.etas.model.parameters
        magnitudes = tested_magnitudes(cube.groups["catalog"], region, law.b, law.magnitude_max)
        judged = court(by_horizon, counts, config, tried, magnitudes, workspace.threads)
        told.doing = "leak control"
        forecasts = _forecasts(baselines, [(b, ()) for b in bundles.values()])
        times = busiest_times(counts[shown_horizon(counts)], config.leak_checks)
        leaks = refuse_leaks(forecasts, cube, times, forecasts[config.reference])

    key = digest(
        {
            "trained": trained.model_dump(mode="json"),
            "rules": config.model_dump(mode="json"),
            "code": code_digest(),
            "seed": seed,
        }
    )
    folder = workspace.runs(region.store_name) / f"backtest-{key}"
    with whole_folder(folder) as partial:
        horizon = shown_horizon(counts)
        backtest_figures(
            partial / "figures",
            region.title,
            scores,
            {h: {str(n): r.sel(model=n) for n in r.model.values} for h, r in by_horizon.items()},
            counts,
            best,
            _events_between(cube, windows[horizon][-1], horizon),
        )
        _by_model = {n: r.astype(np.float32).drop_attrs() for n, r in rates.items() if n not in BOUNDS}
        xr.Dataset(_by_model).to_netcdf(partial / "rates.nc", engine="h5netcdf")
        card: dict[str, object] = {
            "scores": {n: rows for n, rows in scores.items() if n not in BOUNDS},
            **{b: scores[b] for b in BOUNDS if b in scores},
            "court": judged.to_dict(),
            "leak_control": plain(leaks),
            "magnitudes": plain(magnitudes),
            "residuals": _residuals(cube, baselines, region),
            "validation": validation,
            "best_network": best,
            "promotion": promotion(scores[best].get(str(config.promotion_horizon_days)), best, config),
            "rules": config.model_dump(mode="json"),
            "trained": trained.model_dump(mode="json"),
            "params": {
                "etas": json.loads(baselines.etas.model.to_json())["parameters"],
                **{
                    n: {
                        "model": b.card.model.model_dump(mode="json"),
                        "training": b.card.training.model_dump(mode="json"),
                    }
                    for n, b in bundles.items()
                },
            },
        }
        if "oracle" in scores:
            card["share_of_oracle"] = {
                h: row["igpe_vs_etas"] / scores["oracle"][h]["igpe_vs_etas"]
                for h, row in scores[best].items()
                if scores["oracle"][h]["igpe_vs_etas"]
            }
        card["page"] = {
            "title": region.title,
            "cube": trained.cube.snapshot,
            "code": code_digest(),
            "seed": seed,
            "test_start": str(region.split.test_start),
            "test_end": str(region.split.test_end),
            "magnitude": region.magnitude_completeness,
        }
        write_json(partial / "scorecard.json", card)
        write_scorecard_page(json.loads((partial / "scorecard.json").read_text()), partial)
    return str(folder)
