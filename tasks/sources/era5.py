"""ERA5 single levels in NetCDF, as the Climate Data Store delivers them (also a ZIP under a .nc name)."""

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import latency
from tasks.sources.payloads import list_payloads, read_each
from tasks.sources.weather import crop_and_sort, gridded_weather


class _Rule(NamedTuple):
    name: str
    units: frozenset[str]
    expected: str
    factor: float


_SPEED = frozenset({"m s**-1", "m s-1", "m/s"})
_RULES = {
    "t2m": _Rule("air_temperature", frozenset({"K", "kelvin"}), "K", 1.0),
    "sp": _Rule("surface_air_pressure", frozenset({"Pa"}), "Pa", 1.0),
    # accumulated over the hour that ends at valid_time; 1 m of water is 1000 kg m-2
    "tp": _Rule("precipitation_amount", frozenset({"m"}), "m", 1000.0),
    "u10": _Rule("eastward_wind", _SPEED, "m s**-1", 1.0),
    "v10": _Rule("northward_wind", _SPEED, "m s**-1", 1.0),
    "swvl1": _Rule("volumetric_soil_moisture", frozenset({"m**3 m**-3", "m3 m-3", "1"}), "m**3 m**-3", 1.0),
}
_RENAME = {"valid_time": "time", "latitude": "lat", "longitude": "lon"}


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return hourly fields of all `*.nc` files, cropped to the box and half a degree around it.

    Takes t2m, sp, tp, u10, v10 and swvl1, those that are there. Where final and preliminary values (`expver`
    0001, 0005) stand side by side, the final one is used and the other fills its gaps. `time` is `valid_time`, the
    end of an accumulation; `available_time` adds `latency_days` (5 for preliminary values): vintage "reconstructed".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A variable in another unit makes its file invalid: no conversion is guessed.
    """

    def read(path: Path) -> xr.Dataset | None:
        parts = [_canonical(path, part, region) for part in _open(path)]
        merged = xr.merge(parts, join="outer", compat="no_conflicts")
        time = merged["time"].to_numpy()
        inside = np.flatnonzero((time >= window.start) & (time < window.end))
        return merged.isel(time=inside) if inside.size else None

    pieces, invalid = read_each(list_payloads(config, root, "*.nc"), read)
    dataset = gridded_weather(
        pieces, config, root, region, window, latency(config), "Copernicus ERA5; name the source"
    )
    return Fetched(dataset, tuple(invalid))


def _open(path: Path) -> list[xr.Dataset]:
    with path.open("rb") as file:
        magic = file.read(4)
    try:
        if magic == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                members = [n for n in archive.namelist() if n.endswith(".nc")]
                return [_load(io.BytesIO(archive.read(name)), "h5netcdf") for name in members]
        if magic == b"\x89HDF":
            return [_load(path, "h5netcdf")]
        if magic[:3] == b"CDF":
            return [_load(path, "scipy")]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SourceDataInvalid(path, "a whole NetCDF file", str(error)) from error
    raise SourceDataInvalid(path, "NetCDF, or a ZIP of NetCDF files", f"a file that begins with {magic!r}")


def _load(file: Path | io.BytesIO, engine: str) -> xr.Dataset:
    with xr.open_dataset(file, engine=engine) as dataset:
        return dataset.load()


def _canonical(path: Path, raw: xr.Dataset, region: Region) -> xr.Dataset:
    raw = raw.rename({old: new for old, new in _RENAME.items() if old in raw.variables})
    absent = [d for d in ("time", "lat", "lon") if d not in raw.coords]
    if absent:
        raise SourceDataInvalid(
            path, "coordinates valid_time, latitude, longitude", f"no {', '.join(absent)}"
        )
    raw = (
        raw.drop_vars("number", errors="ignore").squeeze("number", drop=True) if "number" in raw.dims else raw
    )
    if "expver" in raw.dims:
        versions = [raw.sel(expver=v, drop=True) for v in sorted(raw["expver"].to_numpy().tolist(), key=int)]
        combined = versions[0]
        for later in versions[1:]:
            combined = combined.fillna(later)
        raw = combined
    if "time" not in raw.dims:
        raw = raw.expand_dims("time")
    variables = {}
    for short, rule in _RULES.items():
        if short not in raw:
            continue
        units = str(raw[short].attrs.get("units", "none"))
        if units not in rule.units:
            raise SourceDataInvalid(path, f"{short} in {rule.expected}", f"units {units!r}")
        variables[rule.name] = (raw[short].transpose("time", "lat", "lon") * rule.factor).drop_attrs()
    if not variables:
        raise SourceDataInvalid(path, f"one of the variables {', '.join(_RULES)}", f"{list(raw.data_vars)}")
    kept = [c for c in raw.coords if c not in {"time", "lat", "lon"}]
    return crop_and_sort(xr.Dataset(variables).drop_vars(kept, errors="ignore"), region)
