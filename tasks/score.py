"""Stage: baselines, networks and ablations through one scorer, on windows that none of them has seen."""

import json
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

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
from tasks.reports.figures import forecast_map, gain_bars, gain_through_time, reliability_diagram
from tasks.scoring import ScoringConfig, issue_times, load_scoring, observed_counts, scorecard
from tasks.seismicity.baselines import Baselines
from tasks.simulation import load_simulation, simulate_world
from tasks.stage import stage
from tasks.workspace import Workspace, code_digest, digest, whole_folder, write_json

Rates = dict[str, xr.DataArray]
Windows = dict[int, NDArray[np.datetime64]]
Dispersion = dict[str, dict[int, float]]
BOUNDS = ("oracle", "clairvoyant")


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
    return {
        NetworkForecaster(bundle, baselines.etas, without).name: dict(
            zip(bundle.card.spec.horizons, bundle.card.dispersion, strict=True)
        )
        for bundle, without in forecasters
        if bundle.card.dispersion
    }


def _by_horizon(rates: Rates, windows: Windows) -> dict[int, xr.DataArray]:
    names = xr.IndexVariable("model", np.array(list(rates), dtype=object))
    return {
        horizon: xr.concat(
            [r.sel(horizon=horizon, issue_time=times).drop_attrs() for r in rates.values()], dim=names
        ).drop_vars("horizon")
        for horizon, times in windows.items()
    }


def _score(
    cube: CubeData, rates: Rates, windows: Windows, config: ScoringConfig, dispersion: Dispersion
) -> dict[str, dict[str, dict[str, Any]]]:
    labels = cube.groups["labels"]["event_count"]
    counts = {horizon: observed_counts(labels, times, horizon) for horizon, times in windows.items()}
    card: Any = scorecard(_by_horizon(rates, windows), counts, config, dispersion).to_dict()
    scores: dict[str, dict[str, dict[str, Any]]] = card["scores"]
    return scores


def _best(
    validation: Mapping[str, Mapping[str, Mapping[str, Any]]], networks: Iterable[str], horizon: int
) -> str:
    """Return the network with the highest gain on the validation period: the test period chooses nothing."""

    def gain(name: str) -> float:
        rows = validation[name]
        row = rows.get(str(horizon)) or next(iter(rows.values()))
        return float(row["igpe_vs_etas"] if row["igpe_vs_etas"] is not None else -np.inf)

    return max(networks, key=gain)


def _promotion(row: Mapping[str, Any] | None, name: str, config: ScoringConfig) -> dict[str, object]:
    low = None if row is None else row["low"]
    promoted = low is not None and low > config.promotion_min_low
    return {
        "promoted": promoted,
        "reason": (
            f"{name}: lower bound of the {config.promotion_horizon_days}-day gain over ETAS is "
            f"{'unknown' if low is None else f'{low:+.4f}'} nats per event, the rule asks for more than "
            f"{config.promotion_min_low:g}"
        ),
    }


def _events_between(cube: CubeData, start: np.datetime64, days: int) -> xr.Dataset:
    """Return the latest catalog's events (event) in the window, for the eye only."""
    catalog = as_of(cube, start + np.timedelta64(days, "D")).catalog()
    return catalog.isel(event=np.flatnonzero(catalog.origin_time.values >= start))


def _figures(
    folder: Path, region: Region, cube: CubeData, rates: Rates, windows: Windows, scores: Any, best: str
) -> None:
    horizons = list(windows)
    shown = [n for n in scores if n not in ("etas", *BOUNDS)]
    gain_bars(scores, horizons, shown, f"{region.title}: gain per event over ETAS", folder / "ablation.png")
    horizon = 7 if 7 in windows else horizons[0]
    reliability_diagram(
        {
            name: [
                {
                    "forecast": b["mean_forecast"] or 0.0,
                    **{k: b[k] or 0.0 for k in ("observed", "low", "high", "n")},
                }
                for b in scores[name][str(horizon)]["reliability"]
            ]
            for name in ("poisson", "etas", best)
        },
        f"{region.title}, {horizon} days",
        folder / f"reliability_{horizon}d.png",
    )
    counts = observed_counts(cube.groups["labels"]["event_count"], windows[horizon], horizon)
    etas = rates["etas"].sel(horizon=horizon, issue_time=windows[horizon])
    gains = {}
    for name in dict.fromkeys(("smoothed", best, *(b for b in BOUNDS if b in rates))):
        own = rates[name].sel(horizon=horizon, issue_time=windows[horizon])
        gains[name] = (counts * np.log(own / etas) - own + etas).sum(("lat", "lon"))
    gain_through_time(
        gains,
        counts.sum(("lat", "lon")),
        horizon,
        f"{region.title}: where the gain was earned ({horizon}-day windows)",
        folder / "gain_through_time.png",
    )
    last = windows[horizon][-1]
    shown = [n for n in ("smoothed", "etas", best, "oracle") if n in rates]
    forecast_map(
        {name: rates[name].sel(horizon=horizon, issue_time=last) for name in shown},
        _events_between(cube, last, horizon),
        f"{region.title}: expected events in {horizon} days from {str(last)[:10]} (rings: those that came)",
        folder / "forecast_map.png",
    )


@stage("backtest-models", run_name="backtest-{region.name}")
def backtest_models(workspace: Workspace, region: Region, trained: Trained, seed: int) -> str:
    """Score every model on the test period, choose the best network on validation; return the folder.

    Writes `scorecard.json`, `rates.nc` (model, issue_time, horizon, lat, lon) and `figures/`.
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
        validation = _score(cube, rates, windows, config, _dispersion(wanted, baselines))
    best = _best(validation, bundles, config.promotion_horizon_days)

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
        scores = _score(cube, rates, windows, config, _dispersion(wanted, baselines))

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
        _figures(partial / "figures", region, cube, rates, windows, scores, best)
        _by_model = {n: r.astype(np.float32).drop_attrs() for n, r in rates.items() if n not in BOUNDS}
        xr.Dataset(_by_model).to_netcdf(partial / "rates.nc", engine="h5netcdf")
        card: dict[str, object] = {
            "scores": {n: rows for n, rows in scores.items() if n not in BOUNDS},
            **{b: scores[b] for b in BOUNDS if b in scores},
            "validation": validation,
            "best_network": best,
            "promotion": _promotion(scores[best].get(str(config.promotion_horizon_days)), best, config),
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
        write_json(partial / "scorecard.json", card)
    return str(folder)
