"""ERA5 single levels as the Climate Data Store delivers them, and as the ARCO service lands them."""

from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched
from tasks.sources.era5_fields import FINAL, NOT_SAID, PRELIMINARY, Versions, read_times, read_versions
from tasks.sources.options import choice_option, duration, latency, number_option
from tasks.sources.payloads import list_payloads, read_each
from tasks.sources.units import days_of
from tasks.sources.weather import UNITS, gridded_weather

_FINAL_DAYS: Final = 90.0
_ORDER: Final = {
    "first": (PRELIMINARY, NOT_SAID, FINAL),
    "latest": (FINAL, NOT_SAID, PRELIMINARY),
    "final": (FINAL, NOT_SAID),
}


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return hourly fields of all `*.nc` files, cropped to the box and half a degree around it.

    Takes t2m, sp, tp, u10, v10 and swvl1, those that are there. `time` is `valid_time`, the end of an accumulation.
    A preliminary value (`expver` 0005, ERA5T) or one whose file does not say is available `latency_days` after it,
    a final one (0001) `final_latency_days` (default 90): vintage "reconstructed". The variable `expver` (time) says
    which, 0 for files that do not.

    Options: `version` says what stands at a time that has several: `first` (default) what was known first, `latest`
    the final value, `final` the final value and nothing before; a gap is filled from the next in that order and
    is then as late as the later of the two. `stand_in` (default false) takes final values as if they had been the
    preliminary ones, with their latency: for training on years of which only the final version was kept; the
    attribute `stand_in` then says so.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A variable in another unit or beyond what is possible makes its file invalid.
    """
    order = _ORDER[choice_option(config, "version", tuple(_ORDER))]
    stand_in = config.options.get("stand_in", False)
    if not isinstance(stand_in, bool):
        raise ValueError(
            f"source {config.group}: option 'stand_in' must be true or false, found {stand_in!r}"
        )
    final_delay = duration(number_option(config, "final_latency_days", _FINAL_DAYS))
    delays = {
        FINAL: latency(config) if stand_in else max(final_delay, latency(config)),
        PRELIMINARY: latency(config),
        NOT_SAID: latency(config),
    }

    def read(path: Path) -> Versions | None:
        inside = {v: _within(d, window) for v, d in read_versions(path, region).items()}
        return {v: d for v, d in inside.items() if d.sizes["time"]} or None

    files, invalid = read_each(list_payloads(config, root, "*.nc"), read)
    stacked: dict[int, xr.Dataset] = {}
    for version in order:
        parts = [file[version] for file in files if version in file]
        parts = [p for p in parts if p.sizes["lat"] and p.sizes["lon"]]
        if parts:
            stacked[version] = _dated(_joined(parts), version, delays[version])
    pieces = [_filled(list(stacked.values()))] if stacked else []
    dataset = gridded_weather(
        pieces, config, root, region, window, latency(config), "Copernicus ERA5; name the source"
    )
    dataset["expver"].attrs = {"flag_values": "0 1 5", "flag_meanings": "not_said final preliminary"}
    if stand_in:
        dataset.attrs["stand_in"] = "final values stand in for preliminary ones"
    return Fetched(dataset, tuple(invalid))


def payload_keys(path: Path) -> set[str]:
    """Return the days of a file's fields."""
    return set(days_of(read_times(path)))


def _within(dataset: xr.Dataset, window: TimeWindow) -> xr.Dataset:
    time = dataset["time"].to_numpy()
    return dataset.isel(time=np.flatnonzero((time >= window.start) & (time < window.end)))


def _joined(parts: list[xr.Dataset]) -> xr.Dataset:
    """Join the files of one version; of a repeated time the last file's values win."""
    joined = xr.concat(parts, dim="time", join="outer", data_vars="all", coords="minimal", compat="override")
    return joined.drop_duplicates("time", keep="last").sortby("time")


def _dated(dataset: xr.Dataset, version: int, delay: np.timedelta64) -> xr.Dataset:
    time = dataset["time"].to_numpy().astype("datetime64[ns]")
    return dataset.assign(
        available_time=("time", time + delay), expver=("time", np.full(time.size, version, np.int16))
    )


def _filled(versions: list[xr.Dataset]) -> xr.Dataset:
    """Return the first version, its gaps and the times that it lacks from the next ones, in their order."""
    best = versions[0]
    for other in versions[1:]:
        best, other = xr.align(best, other, join="outer", fill_value={"expver": -1})
        own = best["expver"].to_numpy() >= 0
        came = np.zeros(own.size, dtype=bool)
        fields = {}
        for name in (n for n in UNITS if n in best or n in other):
            one = best[name] if name in best else xr.full_like(other[name], np.nan)
            two = other[name] if name in other else xr.full_like(one, np.nan)
            gap = one.isnull() & two.notnull()
            came |= gap.any(("lat", "lon")).to_numpy()
            fields[name] = one.where(~gap, two)
        mine, theirs = (d["available_time"].to_numpy() for d in (best, other))
        stamp = np.where(own, np.where(came, np.maximum(mine, theirs), mine), theirs)
        expver = np.where(own, best["expver"].to_numpy(), other["expver"].to_numpy()).astype(np.int16)
        best = xr.Dataset({**fields, "available_time": ("time", stamp), "expver": ("time", expver)})
    return best
