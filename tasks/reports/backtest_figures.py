"""The figures of a backtest that need its rates: bars, reliability, gain through time and a map."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tasks.reports.figures import Scores, forecast_map, gain_bars, gain_through_time, reliability_diagram

BOUNDS = ("oracle", "clairvoyant")


def curve(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return a scorecard's reliability table as `reliability_diagram` reads it."""
    return [
        {
            "forecast": b["mean_forecast"] or 0.0,
            **{k: b[k] or 0.0 for k in ("observed", "low", "high", "n")},
        }
        for b in rows
    ]


def backtest_figures(
    folder: Path,
    title: str,
    scores: Scores,
    rates: Mapping[int, Mapping[str, xr.DataArray]],
    counts: Mapping[int, xr.DataArray],
    best: str,
    events: xr.Dataset,
) -> None:
    """Draw the figures of a backtest into `folder`.

    Parameters
    ----------
    rates : mapping of horizon to (mapping of model to DataArray (issue_time, lat, lon))
        All models and, in a simulated world, its bounds.
    counts : mapping of horizon to DataArray (issue_time, lat, lon)
    best : str
        The network that is shown beside the baselines.
    events : Dataset (event)
        Those of the last window at `shown_horizon`, for the eye only.
    """
    horizon = shown_horizon(counts)
    shown = [n for n in scores if n not in ("etas", *BOUNDS)]
    gain_bars(scores, list(counts), shown, f"{title}: gain per event over ETAS", folder / "ablation.png")
    reliability_diagram(
        {name: curve(scores[name][str(horizon)]["reliability"]) for name in ("poisson", "etas", best)},
        f"{title}, {horizon} days",
        folder / f"reliability_{horizon}d.png",
    )
    observed, own = counts[horizon], rates[horizon]
    gains = {
        name: (observed * np.log(own[name] / own["etas"]) - own[name] + own["etas"]).sum(("lat", "lon"))
        for name in dict.fromkeys(("smoothed", best, *(b for b in BOUNDS if b in own)))
    }
    gain_through_time(
        gains,
        observed.sum(("lat", "lon")),
        horizon,
        f"{title}: where the gain was earned ({horizon}-day windows)",
        folder / "gain_through_time.png",
    )
    last = observed.issue_time.values[-1]
    forecast_map(
        {n: own[n].sel(issue_time=last) for n in ("smoothed", "etas", best, "oracle") if n in own},
        events,
        f"{title}: expected events in {horizon} days from {str(last)[:10]} (rings: those that came)",
        folder / "forecast_map.png",
    )


def shown_horizon(by_horizon: Mapping[int, object]) -> int:
    """Return the horizon of which figures are drawn: 7 days, else the shortest there is."""
    return 7 if 7 in by_horizon else min(by_horizon)
