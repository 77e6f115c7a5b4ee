"""Catalog science on the recorded catalogs: completeness and b by every method, unmarked blasts, one aftershock replay.

Completeness and b of SCEDC (training years), ComCat (Ridgecrest 2019) and San Jacinto. Blasts of SCEDC, found without
their marks, against the marks. Reasenberg-Jones after the M7.1 of Ridgecrest at five issue times, against what came,
on a listing that lacks early small events. Needs QUAKECUBE_ARCHIVE.
"""

import time
from pathlib import Path
from typing import Final, get_args

import numpy as np
import pandas as pd
import xarray as xr

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.regions import Region, TimeWindow, load_region
from tasks.seismicity import b_positive, b_value, magnitude_of_completeness
from tasks.seismicity.blasts import suspected_blasts
from tasks.seismicity.catalog import to_days
from tasks.seismicity.completeness_maps import completeness_in_time, completeness_on_cells
from tasks.seismicity.completeness_methods import Method
from tasks.seismicity.declustering import nearest_neighbours
from tasks.seismicity.generic_aftershocks import GENERIC
from tasks.seismicity.geometry import Plane
from tasks.seismicity.reasenberg_jones import believe, observe
from tasks.seismicity.rj_forecast import SPREAD
from tasks.seismicity.sequences import zone_radius_km
from tasks.sources import open_source

SEED: Final = 0
MAINSHOCK: Final = np.datetime64("2019-07-06T03:19:53.040", "ns")
ISSUES: Final = {"1 h": 1 / 24, "6 h": 0.25, "1 d": 1.0, "3 d": 3.0, "7 d": 7.0}
MAGNITUDES: Final = (3.0, 4.0, 5.0)
METHODS: Final = get_args(Method)


def measure(settings: Settings) -> Measured:
    """Measure everything; raises ValueError without an archive."""
    if settings.archive is None:
        raise ValueError(
            "bench catalogs: expected QUAKECUBE_ARCHIVE to name the folder of the recorded archive"
        )
    region = load_region("ridgecrest", settings.conf_dir)
    scedc = _read(region, settings.archive, "scedc", ("1994-01-01", "1998-01-01"))
    comcat = _read(region, settings.archive, "comcat", None)
    recent = _read(region, settings.archive, "scedc", ("2006-01-01", "2017-01-01"))
    figures, rows = _in_space_and_time(recent, region), []
    listings = {
        "SCEDC 2006-2016": _magnitudes(
            _read(region, settings.archive, "scedc", ("2006-01-01", "2017-01-01"))
        ),
        "ComCat 2019": _magnitudes(comcat),
        "San Jacinto 2008-2017": _tenths(_san_jacinto(settings.archive)),
    }
    for name, magnitude in listings.items():
        found = {m: magnitude_of_completeness(magnitude, m, seed=SEED) for m in METHODS}
        figures |= {f"mc.{name}.{m}": e.value for m, e in found.items()}
        figures |= {f"mc_error.{name}.{m}": e.standard_error for m, e in found.items()}
        complete = max(e.value for e in found.values() if np.isfinite(e.value))
        above = magnitude[magnitude >= complete - 0.05]
        b, positive = b_value(magnitude, complete, 0.1), b_positive(above, 0.1)
        figures |= {f"b.{name}": b.value, f"b_positive.{name}": positive.value}
        cells = [f"{e.value:.1f} +- {e.standard_error:.2f}" for e in found.values()]
        rows.append(
            [
                name,
                str(magnitude.size),
                *cells,
                *(f"{e.value:.2f} +- {e.standard_error:.2f}" for e in (b, positive)),
            ]
        )
    blasts = _blasts(scedc, region)
    figures |= blasts | _declustering()
    replay, replay_rows = _replay(comcat, region)
    heads = ["catalog", "events", *(m.replace("_", " ") for m in METHODS), "b", "b positive"]
    tables = {
        "completeness": _table(heads, rows),
        "replay": _table(["issued after", *(f"M >= {m:g}, 7 days" for m in MAGNITUDES)], replay_rows),
    }
    return Measured(figures | replay, sum(m.size for m in listings.values()), SEED, tables)


def _read(region: Region, archive: Path, name: str, years: tuple[str, str] | None) -> xr.Dataset:
    config = next(s for s in region.sources if s.name == name)
    window = region.catalog_window
    if years is not None:
        window = TimeWindow(*(np.datetime64(y, "ns") for y in years))
    return open_source(config.provider)(config, archive, region, window)[0].sortby("origin_time")


def _san_jacinto(archive: Path) -> np.ndarray:
    table = pd.read_csv(archive / "catalogs" / "earthquakenpp" / "SanJac_catalog.csv.xz")
    return table["magnitude"].to_numpy(np.float64)


def _magnitudes(events: xr.Dataset) -> np.ndarray:
    magnitude = events["magnitude"].values
    return _tenths(magnitude[np.isfinite(magnitude) & (events["event_type"].values == "earthquake")])


def _tenths(magnitude: np.ndarray) -> np.ndarray:
    return np.round(np.floor(magnitude / 0.1 + 0.5 + 1e-9) * 0.1, 1)


def _in_space_and_time(events: xr.Dataset, region: Region) -> dict[str, float]:
    """Return the range of completeness over samples of 2,000 successive events, and over cells."""
    events = events.isel(
        event=np.flatnonzero(
            np.isfinite(events["magnitude"].values) & (events["event_type"].values == "earthquake")
        )
    )
    magnitude, figures = _tenths(events["magnitude"].values), {}
    places = events["latitude"].values, events["longitude"].values
    for method in METHODS:
        running = completeness_in_time(events["origin_time"].values, magnitude, method, events=2000)
        mapped = completeness_on_cells(*places, magnitude, region, method)
        for name, found in (("in_time", running), ("on_cells", mapped)):
            for q in (0.05, 0.5, 0.95):
                figures[f"mc_{name}.{method}.q{q:g}"] = float(found["completeness"].quantile(q))
            figures[f"mc_{name}.{method}.error"] = float(found["standard_error"].median())
    figures["mc_on_cells.cells"] = float(mapped["completeness"].count())
    return figures


def _blasts(events: xr.Dataset, region: Region) -> dict[str, float]:
    kind = events["event_type"].values.astype(str)
    chosen = np.flatnonzero((events["magnitude"].values >= 1.5) & (kind != "other"))
    events, marked = events.isel(event=chosen), kind[chosen] == "quarry_blast"
    longitude = events["longitude"].values
    x, y = Plane.of(region).project(events["latitude"].values, longitude)
    found = suspected_blasts(x, y, to_days(events["origin_time"].values), longitude)
    return {
        "blasts.marked": float(marked.sum()),
        "blasts.recall": float((found & marked).sum() / marked.sum()),
        "blasts.precision": float((found & marked).sum() / found.sum()),
        "blasts.earthquakes_lost": float((found & ~marked).sum() / (~marked).sum()),
    }


def _declustering() -> dict[str, float]:
    rng = np.random.default_rng(SEED)
    figures = {}
    for n in (100, 5000, 20000):
        rows = (
            np.sort(rng.random(n)) * 1e4,
            rng.random(n) * 300,
            rng.random(n) * 300,
            2 + rng.exponential(0.43, n),
        )
        started = time.perf_counter()
        nearest_neighbours(*rows, 1.0)
        figures[f"declustering_seconds_{n}"] = time.perf_counter() - started
    del figures["declustering_seconds_100"]  # holds the compilation
    return figures


def _replay(events: xr.Dataset, region: Region) -> tuple[dict[str, float], list[list[str]]]:
    """Reasenberg-Jones for the M7.1's zone: expected numbers of the next seven days with ranges, and what came."""
    days = to_days(events["origin_time"].values) - float(to_days(MAINSHOCK))
    magnitude = events["magnitude"].values
    x, y = Plane.of(region).project(events["latitude"].values, events["longitude"].values)
    main = int(np.abs(days).argmin())
    size = float(magnitude[main])
    zone = (
        (np.hypot(x - x[main], y - y[main]) <= float(zone_radius_km(size)))
        & (days > 0)
        & (np.arange(days.size) != main)
    )
    generic = GENERIC[region.aftershock_regime]
    figures, rows = {}, []
    for name, issue in ISSUES.items():
        known = zone & (days < issue)
        observed = observe(
            days[known], magnitude[known], size, issue, region.magnitude_completeness, generic, SPREAD
        )
        numbers = believe(generic, size, observed, SPREAD).numbers(issue, [7.0], MAGNITUDES).isel(window=0)
        cells = [name]
        for m in MAGNITUDES:
            one = numbers.sel(magnitude=m)
            came = int((zone & (days >= issue) & (days < issue + 7) & (magnitude >= m)).sum())
            key = f"{name.replace(' ', '')}.m{m:g}"
            values = {k: float(one[k]) for k in ("expected", "low", "high")} | {"observed": float(came)}
            figures |= {f"replay.{key}.{k}": v for k, v in values.items()}
            cells.append(f"{values['expected']:.1f} [{values['low']:.0f}, {values['high']:.0f}], came {came}")
        rows.append(cells)
    return figures, rows


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
