"""Score the forecast store: every window that is over, with the catalog as it was known a stated delay later."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from tasks.cubes.catalog_grid import target_counts
from tasks.cubes.forecasts import IssuedForecast, read_forecast
from tasks.regions import Region, TimeWindow
from tasks.scoring.config import ScoringConfig
from tasks.scoring.prospective import (
    LOG_NAME,
    PUNCTUAL,
    ScoredWindow,
    apart,
    append_log,
    read_log,
    score_window,
)
from tasks.scoring.scorecard import Scorecard, scorecard

_DAMAGED: Final = (ValueError, KeyError, OSError)


class StoreScore(NamedTuple):
    """What a walk through the forecast store found.

    Attributes
    ----------
    new : list of ScoredWindow
        Appended to the log now.
    waiting : list of str
        Windows that are not over, or whose catalog is not settled: forecast, horizon and when they can be scored.
    refused : list of str
        Forecasts that cannot be scored, and why.
    """

    new: list[ScoredWindow]
    waiting: list[str]
    refused: list[str]


def score_store(
    root: Path, region: Region, catalog: xr.Dataset, cube: str, config: ScoringConfig, code: str
) -> StoreScore:
    """Score each window of each stored forecast of `region` once, and append it to the log beside them.

    A window is scored with the catalog as known `score_delay_days` after its end, so the result does not depend on
    when this runs; it waits until the catalog holds something that became known after that moment, which shows that
    the catalog was asked since. A quiet catalog makes a score late, never different.

    Parameters
    ----------
    root : Path
        The forecast store.
    catalog : Dataset (event)
        All versions, with `available_time`: the group `catalog` of the cube with snapshot id `cube`.
    code : str
        Digest of the code, for the record.
    """
    folder = root / region.store_name
    done = {row.key for row in read_log(folder / LOG_NAME)}
    known_times = catalog["available_time"].values.astype("datetime64[ns]")
    newest = known_times.max() if known_times.size else np.datetime64(0, "ns")
    rows: list[ScoredWindow] = []
    waiting: list[str] = []
    refused: list[str] = []
    for stored in stored_forecasts(folder):
        try:
            issued = read_forecast(stored)
            start = np.datetime64(issued.manifest.issue_time, "ns")
            for horizon in map(int, issued.forecast["horizon"].values):
                if (issued.sha256, horizon) in done:
                    continue
                end = start + np.timedelta64(horizon, "D")
                known = end + np.timedelta64(config.score_delay_days, "D")
                if newest < known:
                    waiting.append(f"{stored.name}, {horizon} d: not before {str(known)[:16]}")
                    continue
                magnitude = float(issued.forecast.attrs["magnitude"])
                counts = target_counts(catalog, region, TimeWindow(start, end), magnitude, known)
                origin = {"known_time": str(known)[:19], "cube": cube, "code": code}
                rows.append(_scored(stored, issued, horizon, counts, origin, config.reference))
        except _DAMAGED as error:
            refused.append(f"{stored.name}: {error}")
    return StoreScore(append_log(folder / LOG_NAME, rows), waiting, refused)


def stored_forecasts(folder: Path) -> Iterator[Path]:
    """Yield the complete forecasts of a region's folder in the order of their issue times."""
    for path in sorted(folder.glob("*Z_*")):
        if path.is_dir():
            yield path


def _scored(
    stored: Path,
    issued: IssuedForecast,
    horizon: int,
    counts: xr.DataArray,
    origin: Mapping[str, str],
    reference: str,
) -> ScoredWindow:
    forecast = issued.forecast
    issue = np.datetime64(issued.manifest.issue_time, "ns")
    stored_time = np.datetime64((stored / "manifest.json").stat().st_mtime_ns, "ns")
    rows, columns = np.nonzero(counts.values)
    return ScoredWindow(
        forecast=stored.name,
        sha256=issued.sha256,
        issue_time=str(issue)[:19],
        horizon_days=horizon,
        magnitude=float(forecast.attrs["magnitude"]),
        issued_by=str(forecast.attrs["issued_by"]),
        stored_time=str(stored_time)[:19],
        is_prospective=bool(stored_time < issue + PUNCTUAL),
        reference=reference,
        n_events=int(counts.sum()),
        cells=[(int(y), int(x), int(counts.values[y, x])) for y, x in zip(rows, columns, strict=True)],
        models=score_window(
            forecast["rate"].sel(horizon=horizon), counts, stated_dispersion(forecast, horizon), reference
        ),
        **origin,
    )


def stated_dispersion(forecast: xr.Dataset, horizon: int) -> dict[str, float]:
    """Return the dispersion of each model that states one at this horizon; the others' counts are Poisson."""
    if "dispersion" not in forecast:
        return {}
    stated = forecast["dispersion"].sel(horizon=horizon)
    return {
        str(m): float(stated.sel(model=m)) for m in stated["model"].values if float(stated.sel(model=m)) > 0
    }


class LogScore(NamedTuple):
    """The whole log through the scorer of the backtest, windows that do not overlap.

    Attributes
    ----------
    card : Scorecard
    windows : mapping of horizon to list of ScoredWindow
        Those that were used.
    left_out : mapping of model to str
        Models that are not scored, and why.
    """

    card: Scorecard
    windows: Mapping[int, list[ScoredWindow]]
    left_out: dict[str, str]


def score_log(
    root: Path, region: Region, rows: Sequence[ScoredWindow], config: ScoringConfig
) -> LogScore | None:
    """Return the scorecard of the log; None where nothing has been scored.

    Scored are models that every window has: a model that came later has no say on the windows before it.
    The counts are those of the log, not of today's catalog.
    """
    windows = {h: found for h in config.horizons_days if (found := apart(rows, h))}
    if not windows:
        return None
    used = [row for found in windows.values() for row in found]
    everyone = list(dict.fromkeys(name for row in used for name in row.models))
    left_out = {}
    for name in everyone:
        if not all(name in row.models for row in used):
            left_out[name] = "has not forecast every window"
        elif any(row.models[name].log_likelihood is None for row in used):
            left_out[name] = "an event fell where its rate is 0"
    models = [name for name in everyone if name not in left_out]
    rates, counts, dispersion = {}, {}, dict[str, dict[int, float]]()
    for horizon, found in windows.items():
        forecasts = [read_forecast(root / region.store_name / row.forecast).forecast for row in found]
        times = xr.IndexVariable("issue_time", np.array([row.issue_time for row in found], "datetime64[ns]"))
        rates[horizon] = xr.concat(
            [f["rate"].sel(horizon=horizon, model=models).drop_attrs() for f in forecasts], dim=times
        ).transpose("model", "issue_time", "lat", "lon")
        lat, lon = rates[horizon]["lat"].values, rates[horizon]["lon"].values
        counts[horizon] = xr.concat([row.counts(lat, lon) for row in found], dim=times)
        for name in models:
            stated = {row.models[name].dispersion for row in found}
            # One law for all windows, or none: networks that were trained anew state others.
            if len(stated) == 1 and (one := stated.pop()) > 0:
                dispersion.setdefault(name, {})[horizon] = one
    return LogScore(scorecard(rates, counts, config, dispersion), windows, left_out)
