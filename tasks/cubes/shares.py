"""How much of each modality was observed: the numbers that a reader needs before believing a fusion."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import xarray as xr

# A large cube is looked at in pieces, computed or read as they come.
BLOCK_DAYS: Final = 256


def observed_share(groups: Mapping[str, xr.Dataset]) -> dict[str, float]:
    """Return modality -> share observed over the cube's period, 0 to 1.

    `gnss` and `waveform`: share of (day, station) with a value; `weather`: of (day, cell) with any variable;
    `insar`: of (day, cell) inside an observed interferogram; `catalog`: of days from the first event to the last
    that lie in the cube's period; `static`: of (layer, cell). A modality without a group is absent.
    """
    shares: dict[str, float] = {}
    if "catalog" in groups and "catalog_grid" in groups:
        shares["catalog"] = _catalog_share(groups["catalog"], groups["catalog_grid"])
    for name in ("gnss", "waveform", "weather"):
        if name in groups:
            shares[name] = _daily_share(groups[name])
    if "insar" in groups:
        shares["insar"] = _pair_share(groups["insar"], groups["labels"]["time"].values)
    if "static" in groups and groups["static"].data_vars:
        layers = [np.isfinite(v.values).mean() for v in groups["static"].data_vars.values()]
        shares["static"] = float(np.mean(layers))
    return shares


def _daily_share(group: xr.Dataset) -> float:
    seen = total = 0
    for start in range(0, group.sizes["time"], BLOCK_DAYS):
        days = group.drop_vars("available_time").isel(time=slice(start, start + BLOCK_DAYS))
        any_variable = np.zeros((), dtype=bool)
        for array in days.data_vars.values():
            finite = np.isfinite(array.values)
            each = finite.any(axis=array.dims.index("feature")) if "feature" in array.dims else finite
            any_variable = any_variable | each
            # Mostly the first variable has it all, and the others need not be read.
            if any_variable.all():
                break
        seen, total = seen + int(any_variable.sum()), total + (any_variable.size if any_variable.ndim else 0)
    return seen / total if total else 0.0


def _catalog_share(catalog: xr.Dataset, grid: xr.Dataset) -> float:
    days = grid["time"].values
    if catalog.sizes["event"] == 0:
        return 0.0
    origin = catalog["origin_time"].values.astype("datetime64[D]")
    return float(((days >= origin.min()) & (days <= origin.max())).mean())


def _pair_share(pairs: xr.Dataset, days: np.ndarray) -> float:
    seen = np.isfinite(pairs["los_rate"].values)
    start = np.searchsorted(days, pairs["time_start"].values.astype("datetime64[D]"))
    stop = np.searchsorted(days, pairs["time"].values.astype("datetime64[D]"))
    covered = 0
    for row in range(seen.shape[1]):
        # Each pair adds one at its start and takes it back at its end; what is above zero is covered.
        steps = np.zeros((days.size + 1, seen.shape[2]), np.int32)
        np.add.at(steps, start, seen[:, row])
        np.subtract.at(steps, stop, seen[:, row])
        covered += int((np.cumsum(steps[:-1], axis=0) > 0).sum())
    return covered / (days.size * seen[0].size) if days.size and seen.size else 0.0
