"""Figures of an aftershock forecast: numbers with ranges, the sequence, the map, a replay against what came."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
import xarray as xr
from numpy.typing import NDArray

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator

from tasks.reports.advisory import WINDOW_NAMES

COLOURS: Final = {"etas": "#8a8a8a", "etas_sequence": "#b3382c", "reasenberg_jones": "#2b6cb0"}
NAMES: Final = {
    "etas": "ETAS as fitted",
    "etas_sequence": "ETAS, learnt from this sequence",
    "reasenberg_jones": "Reasenberg-Jones",
}
_SIZE: Final[dict[Any, Any]] = {
    "figure.dpi": 110,
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def _save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    plt.savefig(path, bbox_inches="tight")
    plt.close()
    return path


def _ranges(axes: Axes, forecast: xr.Dataset, names: Sequence[str], at: NDArray[np.float64]) -> None:
    """Draw the 95 % range and median of each model at the places `at` (number,), of a Dataset (model, number)."""
    for k, name in enumerate(names):
        part = forecast.sel(model=name)
        place = at + 0.22 * (k - 0.5 * (len(names) - 1))
        low, middle, high = (np.asarray(part[key].values, float) for key in ("low", "median", "high"))
        axes.vlines(place, low, high, color=COLOURS[name], lw=3.5, alpha=0.55)
        axes.plot(place, middle, "_", color=COLOURS[name], ms=8, mew=1.6, label=NAMES[name])


def numbers_figure(forecast: xr.Dataset, title: str, path: Path) -> Path:
    """Draw how many events are expected per window and magnitude, every model (model, window, magnitude)."""
    names = [str(n) for n in forecast["model"].values]
    with plt.rc_context(_SIZE):
        figure, all_axes = plt.subplots(1, forecast.sizes["window"], figsize=(10.0, 2.9), sharey=True)
        for axes, window in zip(all_axes, forecast["window"].values, strict=True):
            at = np.arange(forecast.sizes["magnitude"], dtype=float)
            _ranges(axes, forecast.sel(window=window), names, at)
            axes.set_xticks(at, [f"{m:g}" for m in forecast["magnitude"].values])
            axes.set(title=f"next {WINDOW_NAMES[float(window)]}", xlabel="magnitude at least")
            axes.set_yscale("symlog", linthresh=1.0)
        all_axes[0].set_ylim(-0.1, 2.0 * float(forecast["high"].max()) + 1.0)
        all_axes[0].set_ylabel("number, 95 % range")
        all_axes[-1].legend(frameon=False, fontsize=6.5, loc="upper right")
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        figure.tight_layout()
        return _save(path)


def sequence_figure(
    days: NDArray[np.float64], issue: float, magnitude: float, forecast: xr.Dataset, title: str, path: Path
) -> Path:
    """Draw the number of events since the trigger, and the fan of the forecast.

    Parameters
    ----------
    days : array (event,)
        Times of the zone's events since the trigger, days.
    issue : float
        The issue time, days since the trigger.
    magnitude : float
        From which events count.
    forecast : Dataset (window, magnitude)
        Of one model.
    title : str
    path : Path
    """
    so_far = np.sort(days[days <= issue])
    part = forecast.sel(magnitude=magnitude, method="nearest")
    windows = part["window"].values
    shown = windows <= max(7.0, windows[np.searchsorted(windows, 2.0 * issue).clip(max=windows.size - 1)])
    ahead = np.concatenate([[0.0], windows[shown]])
    low, middle, high = (np.concatenate([[0.0], part[k].values[shown]]) for k in ("low", "median", "high"))
    with plt.rc_context(_SIZE):
        _, axes = plt.subplots(figsize=(5.2, 3.0))
        axes.step(
            [*so_far, issue],
            [*np.arange(1, so_far.size + 1), so_far.size],
            where="post",
            color="#222",
            lw=1.2,
        )
        axes.fill_between(
            issue + ahead, so_far.size + low, so_far.size + high, color="#b3382c", alpha=0.2, lw=0
        )
        axes.plot(issue + ahead, so_far.size + middle, color="#b3382c", lw=1.2)
        later = np.sort(days[(days > issue) & (days <= issue + ahead[-1])])
        if later.size:
            axes.step(
                later, so_far.size + np.arange(1, later.size + 1), where="post", color="#2b6cb0", lw=1.2
            )
        axes.axvline(issue, color="#999", lw=0.7, ls=":")
        axes.set(xlabel="days since the trigger", ylabel=f"events M >= {magnitude:g}", title=title)
        axes.title.set(fontsize=9, ha="left", x=0.0)
        return _save(path)


def sequence_map(forecast: xr.Dataset, events: xr.Dataset, title: str, path: Path) -> Path:
    """Draw the expected number per cell in the next week, the zone, and the sequence so far.

    Parameters
    ----------
    forecast : Dataset
        Of one model, with `density` (window, lat, lon) and the zone.
    events : Dataset (event)
        The sequence so far.
    title : str
    path : Path
    """
    density = forecast["density"].sel(window=7.0)
    values = np.ma.masked_less_equal(density.values, 0.0)
    top = float(values.max())
    circle = np.linspace(0.0, 2.0 * np.pi, 200)
    high = np.degrees(float(forecast["zone_km"]) / 6371.0)
    stretch = 1.0 / np.cos(np.radians(float(density["lat"].mean())))
    with plt.rc_context(_SIZE):
        _, axes = plt.subplots(figsize=(5.4, 4.6))
        mesh = axes.pcolormesh(
            density["lon"],
            density["lat"],
            values,
            norm=LogNorm(top * 1e-4, top),
            cmap="magma",
            shading="nearest",
        )
        size = 3.0 * 2.2 ** (events["magnitude"].values - 3.0)
        axes.scatter(events["longitude"], events["latitude"], s=size, fc="none", ec="#3fd0ff", lw=0.6)
        axes.plot(
            float(forecast["zone_lon"]) + stretch * high * np.cos(circle),
            float(forecast["zone_lat"]) + high * np.sin(circle),
            color="#3fd0ff", lw=0.9, ls="--",
        )  # fmt: skip
        axes.set(
            xlim=(density["lon"].min() - 0.05, density["lon"].max() + 0.05),
            ylim=(density["lat"].min() - 0.05, density["lat"].max() + 0.05),
            xlabel="longitude, degree", ylabel="latitude, degree", aspect=stretch,
        )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_title(title, loc="left", fontsize=9)
        plt.colorbar(mesh, ax=axes, label="expected events per cell in 7 days", shrink=0.85)
        return _save(path)


def replay_figure(
    forecasts: Mapping[str, xr.Dataset], observed: Mapping[str, xr.DataArray], title: str, path: Path
) -> Path:
    """Draw for each issue time the ranges of all models and what came, a panel per window and magnitude.

    Parameters
    ----------
    forecasts, observed : mapping of str to Dataset (model, window, magnitude), to DataArray (window, magnitude)
        By the name of the issue time.
    title : str
    path : Path
    """
    first = next(iter(forecasts.values()))
    names = [str(n) for n in first["model"].values]
    magnitudes = [m for m in (3.0, 4.0, 5.0, 6.0) if m in first["magnitude"].values]
    at = np.arange(len(forecasts), dtype=float)
    with plt.rc_context(_SIZE):
        figure, grid = plt.subplots(
            len(magnitudes),
            first.sizes["window"],
            figsize=(10.0, 1.9 * len(magnitudes)),
            sharex=True,
            squeeze=False,
        )
        for row, magnitude in zip(grid, magnitudes, strict=True):
            for axes, window in zip(row, first["window"].values, strict=True):
                cells = [f.sel(window=window, magnitude=magnitude) for f in forecasts.values()]
                _ranges(axes, xr.concat(cells, dim="issue", join="override"), names, at)
                came = [o.sel(window=window, magnitude=magnitude).item() for o in observed.values()]
                axes.plot(at, came, "o", mfc="none", mec="#222", ms=5, label="came")
                axes.set_yscale("symlog", linthresh=1.0)
                axes.set_ylim(bottom=-0.1)
                axes.set_xticks(at, list(forecasts))
        for axes, window in zip(grid[0], first["window"].values, strict=True):
            axes.set_title(f"next {WINDOW_NAMES[float(window)]}")
        for row, magnitude in zip(grid, magnitudes, strict=True):
            row[0].set_ylabel(f"number M >= {magnitude:g}")
        grid[0][0].legend(frameon=False, fontsize=6.0, loc="best")
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        figure.supxlabel("issued after the event", fontsize=8)
        figure.tight_layout()
        return _save(path)
