"""The figures of a run: forecast map, reliability, ablation bars, gain through time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

PALETTE = {
    "poisson": "#9a9a9a",
    "smoothed": "#b79b5b",
    "reasenberg_jones": "#8a6d9e",
    "etas": "#222222",
    "etas_i": "#6b4423",
    "ensemble": "#4f7f6f",
}
STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]


def save(path: Path) -> Path:
    """Write the current figure to `path`, close it and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plt.savefig(path, bbox_inches="tight")
    plt.close()
    return path


def _map(axes: Axes, field: xr.DataArray, norm: LogNorm, title: str) -> QuadMesh:
    mesh = axes.pcolormesh(field.lon, field.lat, field.values, norm=norm, cmap="magma", shading="nearest")
    axes.set(title=title, xlabel="longitude, degree", aspect=1 / np.cos(np.deg2rad(float(field.lat.mean()))))
    return mesh


def forecast_map(
    rates: Mapping[str, xr.DataArray], events: xr.Dataset | None, title: str, path: Path
) -> Path:
    """Draw expected counts (lat, lon) per cell of each named forecast on one colour scale, and recent events."""
    stacked = np.stack([r.values for r in rates.values()])
    norm = LogNorm(vmin=max(float(np.quantile(stacked, 0.02)), 1e-8), vmax=float(stacked.max()))
    with plt.rc_context(STYLE):
        figure, all_axes = plt.subplots(
            1, len(rates), figsize=(3.4 * len(rates), 3.4), squeeze=False, sharey=True
        )
        for axes, (name, field) in zip(all_axes[0], rates.items(), strict=True):
            mesh = _map(axes, field, norm, name)
            if events is not None and events.sizes["event"]:
                inside = (
                    (events.latitude >= field.lat.min())
                    & (events.latitude <= field.lat.max())
                    & (events.longitude >= field.lon.min())
                    & (events.longitude <= field.lon.max())
                ).values
                recent = events.isel(event=np.flatnonzero(inside))
                size = 8.0 * 2.0 ** (recent.magnitude.values - recent.magnitude.values.min(initial=10.0))
                axes.scatter(recent.longitude, recent.latitude, s=size, fc="none", ec="#3fd0ff", lw=0.8)
        all_axes[0][0].set_ylabel("latitude, degree")
        figure.colorbar(mesh, ax=list(all_axes[0]), label="expected events per cell", shrink=0.85)
        figure.suptitle(title, x=0.02, ha="left", fontsize=10)
        return save(path)


def reliability_diagram(curves: Mapping[str, Sequence[Mapping[str, float]]], title: str, path: Path) -> Path:
    """Draw observed frequency against forecast probability; bins carry `forecast`, `observed`, `low`, `high`, `n`."""
    with plt.rc_context(STYLE):
        _, axes = plt.subplots(figsize=(4.2, 4.0))
        lowest = 1.0
        for name, bins in curves.items():
            shown = [b for b in bins if b["n"] > 0 and b["forecast"] > 0]
            if not shown:
                continue
            x = np.array([b["forecast"] for b in shown])
            y = np.array([b["observed"] for b in shown])
            error = np.abs(np.array([[b["low"] for b in shown], [b["high"] for b in shown]]) - y)
            axes.errorbar(x, y, yerr=error, marker="o", ms=3, lw=1, label=name, color=PALETTE.get(name))
            lowest = min(lowest, float(x.min()))
        axes.plot([lowest, 1], [lowest, 1], color="#888", lw=0.8, ls=":")
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="forecast probability of an event in a cell",
            ylabel="observed frequency (95 % Wilson interval)",
            title=title,
        )
        axes.legend(frameon=False)
        return save(path)


def gain_bars(scores: Scores, horizons: Sequence[int], names: Sequence[str], title: str, path: Path) -> Path:
    """Draw information gain per event against ETAS, nats, with 95 % block-bootstrap intervals, per horizon."""
    with plt.rc_context(STYLE):
        figure, all_axes = plt.subplots(
            1,
            len(horizons),
            figsize=(3.3 * len(horizons), 0.34 * len(names) + 1.2),
            sharey=True,
            squeeze=False,
        )
        y = np.arange(len(names))[::-1]
        for axes, horizon in zip(all_axes[0], horizons, strict=True):
            rows = [scores[name][str(horizon)] for name in names]
            gain, low, high = (
                np.array([r[key] for r in rows], dtype=np.float64) for key in ("igpe_vs_etas", "low", "high")
            )
            error = np.nan_to_num(np.array([gain - low, high - gain]))  # no interval, no whisker
            colours = [PALETTE.get(n, "#c2703d" if "without" in n else "#2b6cb0") for n in names]
            axes.barh(y, gain, color=colours, height=0.62)
            axes.errorbar(gain, y, xerr=np.maximum(error, 0), fmt="none", ecolor="#444", lw=0.9)
            axes.axvline(0, color="#222", lw=0.8)
            axes.set(title=f"{horizon} d, n = {int(rows[0]['n_events'])}", xlabel="nats per event vs ETAS")
        all_axes[0][0].set_yticks(y, names)
        figure.suptitle(title, x=0.02, ha="left", fontsize=10)
        return save(path)


def gain_through_time(
    gains: Mapping[str, xr.DataArray], counts: xr.DataArray, horizon: int, title: str, path: Path
) -> Path:
    """Draw cumulative log-likelihood gain over ETAS (issue_time), nats, above the counts it was earned on."""
    with plt.rc_context(STYLE):
        _, (upper, lower) = plt.subplots(
            2, 1, figsize=(7.2, 3.8), sharex=True, gridspec_kw={"height_ratios": [3, 1]}
        )
        for name, gain in gains.items():
            upper.plot(gain.issue_time, np.cumsum(gain.values), lw=1.2, label=name, color=PALETTE.get(name))
        upper.axhline(0, color="#222", lw=0.8)
        upper.set(ylabel="cumulative gain\nover ETAS, nats", title=title)
        upper.legend(frameon=False, ncols=4)
        lower.bar(counts.issue_time, counts.values, width=np.timedelta64(horizon, "D"), color="#888")
        lower.set(ylabel=f"events\nin {horizon} d")
        locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
        lower.xaxis.set_major_locator(locator)
        lower.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        return save(path)
