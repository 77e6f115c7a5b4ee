"""ERA5 files: NetCDF old and new, or a ZIP of them; their fields under canonical names, apart by version."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from tasks.regions import Region
from tasks.sources.contract import SourceDataInvalid
from tasks.sources.transient import raise_if_transient
from tasks.sources.weather import check_possible, crop_and_sort

FINAL: Final = 1
PRELIMINARY: Final = 5
NOT_SAID: Final = 0


class Rule(NamedTuple):
    """A field's canonical name, the units under which it comes, the usual one of them, and the factor to ours."""

    name: str
    units: frozenset[str]
    expected: str
    factor: float


_SPEED: Final = frozenset({"m s**-1", "m s-1", "m/s"})
RULES: Final = {
    "t2m": Rule("air_temperature", frozenset({"K", "kelvin"}), "K", 1.0),
    "sp": Rule("surface_air_pressure", frozenset({"Pa"}), "Pa", 1.0),
    # accumulated over the hour that ends at valid_time; 1 m of water is 1000 kg m-2
    "tp": Rule("precipitation_amount", frozenset({"m"}), "m", 1000.0),
    "u10": Rule("eastward_wind", _SPEED, "m s**-1", 1.0),
    "v10": Rule("northward_wind", _SPEED, "m s**-1", 1.0),
    "swvl1": Rule("volumetric_soil_moisture", frozenset({"m**3 m**-3", "m3 m-3", "1"}), "m**3 m**-3", 1.0),
}
_RENAME: Final = {"valid_time": "time", "latitude": "lat", "longitude": "lon"}
_LARGEST_MEMBER: Final = 4 << 30
_LARGEST_RATIO: Final = 1000
_ALWAYS_FINE: Final = 1 << 25
# What h5py, scipy and xarray's decoding are seen to raise on damaged files.
_DAMAGE: Final = (
    OSError, ValueError, LookupError, ImportError, TypeError, AttributeError, RuntimeError, OverflowError, EOFError,
    MemoryError, AssertionError, NotImplementedError, zlib.error, struct.error, zipfile.BadZipFile,
)  # fmt: skip
Versions = dict[int, xr.Dataset]


def read_versions(path: Path, region: Region) -> Versions:
    """Return the canonical fields (time, lat, lon) in `path` near the region, by `expver`: 1 final, 5 preliminary.

    Key 0 holds what does not say. A version has only times at which it has a value. Instantaneous and accumulated
    fields, in members of one ZIP, are merged.

    Raises
    ------
    SourceDataInvalid
        If the file is damaged, a coordinate is missing or impossible, a variable is in another unit (no conversion
        is guessed) or has a value beyond what is possible.
    """
    try:
        parts = [_split(path, part, region) for part in _open(path)]
        merged: Versions = {}
        for version in sorted({v for part in parts for v in part}):
            fields = [part[version] for part in parts if version in part]
            merged[version] = xr.merge(fields, join="outer", compat="no_conflicts")
    except SourceDataInvalid:
        raise
    except _DAMAGE as error:
        raise_if_transient(error, path)
        raise SourceDataInvalid(path, "a whole NetCDF file", str(error)[:200]) from error
    if not parts:
        raise SourceDataInvalid(path, "a ZIP of NetCDF files", "none inside")
    return merged


def read_times(path: Path) -> np.ndarray:
    """Return the times (n,) datetime64[ns] of all fields in `path`.

    Raises
    ------
    SourceDataInvalid
        If the file is damaged or has no times.
    """
    try:
        parts = [raw["valid_time" if "valid_time" in raw.coords else "time"] for raw in _open(path)]
        return np.concatenate([np.atleast_1d(part.to_numpy()).astype("datetime64[ns]") for part in parts])
    except SourceDataInvalid:
        raise
    except _DAMAGE as error:
        raise_if_transient(error, path)
        raise SourceDataInvalid(path, "a whole NetCDF file with times", str(error)[:200]) from error


def _open(path: Path) -> list[xr.Dataset]:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith(".nc")]
            if sum(m.file_size for m in members) > _LARGEST_MEMBER:
                raise SourceDataInvalid(path, f"members of at most {_LARGEST_MEMBER} bytes", "larger ones")
            return [_load(io.BytesIO(archive.read(m)), "h5netcdf") for m in members]
    if magic == b"\x89HDF":
        return [_load(path, "h5netcdf")]
    if magic[:3] == b"CDF":
        # scipy maps a file that it is given by name, and never closes a damaged one
        return [_load(io.BytesIO(path.read_bytes()), "scipy")]
    raise SourceDataInvalid(path, "NetCDF, or a ZIP of NetCDF files", f"a file that begins with {magic!r}")


def _load(file: Path | io.BytesIO, engine: str) -> xr.Dataset:
    packed = file.stat().st_size if isinstance(file, Path) else file.getbuffer().nbytes
    # a damaged length of a dimension would ask for any amount of memory, coordinates first
    with xr.open_dataset(file, engine=engine, decode_cf=False, create_default_indexes=False) as announced:
        if announced.nbytes > _LARGEST_RATIO * packed + _ALWAYS_FINE:
            raise ValueError(f"{announced.nbytes} bytes announced in a file of {packed}")
    with xr.open_dataset(file, engine=engine) as dataset:
        return dataset.load()


def _split(path: Path, raw: xr.Dataset, region: Region) -> Versions:
    raw = raw.rename({old: new for old, new in _RENAME.items() if old in raw.variables})
    absent = [d for d in ("time", "lat", "lon") if d not in raw.coords]
    if absent:
        raise SourceDataInvalid(
            path, "coordinates valid_time, latitude, longitude", f"no {', '.join(absent)}"
        )
    if "number" in raw.dims:
        raw = raw.squeeze("number")
    _check_axes(path, raw)
    if "expver" in raw.dims:
        labels = [_version(path, v) for v in raw["expver"].to_numpy().tolist()]
        slices = [raw.isel(expver=k).drop_vars("expver") for k in range(len(labels))]
        return {
            version: _observed(_canonical(path, part, region))
            for version, part in zip(labels, slices, strict=True)
        }
    canonical = _canonical(path, raw, region)
    if "expver" not in raw.coords and "expver" not in raw.data_vars:
        return {NOT_SAID: canonical}
    said = raw["expver"].to_numpy()
    versions = np.array([_version(path, v) for v in np.broadcast_to(said, raw["time"].size or 1).tolist()])
    return {int(v): canonical.isel(time=np.flatnonzero(versions == v)) for v in np.unique(versions)}


def _check_axes(path: Path, raw: xr.Dataset) -> None:
    if raw["time"].dtype.kind != "M" or np.isnat(raw["time"].to_numpy()).any():
        raise SourceDataInvalid(path, "valid_time in a CF unit of time", f"{raw['time'].dtype} or undefined")
    for name, low, high in (("lat", -90.0, 90.0), ("lon", -180.0, 360.0)):
        axis = raw[name].to_numpy()
        inside = axis.dtype.kind in "fiu" and axis.ndim == 1 and bool(((axis >= low) & (axis <= high)).all())
        if not inside or np.unique(axis).size != axis.size:
            raise SourceDataInvalid(path, f"{name} distinct, from {low:g} to {high:g} degree", f"{axis}"[:80])


def _version(path: Path, label: object) -> int:
    text = label.decode("ascii", "replace") if isinstance(label, bytes) else str(label)
    if not text.isdigit() or int(text) not in (FINAL, PRELIMINARY):
        raise SourceDataInvalid(path, "expver 0001 or 0005", repr(label))
    return int(text)


def _canonical(path: Path, raw: xr.Dataset, region: Region) -> xr.Dataset:
    if "time" not in raw.dims:
        raw = raw.expand_dims("time")
    variables = {}
    for short, rule in RULES.items():
        if short not in raw:
            continue
        units = str(raw[short].attrs.get("units", "none"))
        if units not in rule.units:
            raise SourceDataInvalid(path, f"{short} in {rule.expected}", f"units {units!r}")
        if set(raw[short].dims) != {"time", "lat", "lon"}:
            raise SourceDataInvalid(path, f"{short} over time, latitude, longitude", f"{raw[short].dims}")
        field = raw[short].transpose("time", "lat", "lon")
        values = check_possible(path, rule.name, field.to_numpy().astype(np.float64) * rule.factor)
        variables[rule.name] = (("time", "lat", "lon"), values)
    if not variables:
        raise SourceDataInvalid(path, f"one of the variables {', '.join(RULES)}", f"{list(raw.data_vars)}")
    axes = {name: raw[name].to_numpy() for name in ("time", "lat", "lon")}
    return crop_and_sort(xr.Dataset(variables, coords=axes), region)


def _observed(dataset: xr.Dataset) -> xr.Dataset:
    """Return the times with a value: of two versions side by side, each leaves the other's times empty."""
    seen = np.zeros(dataset.sizes["time"], dtype=bool)
    for field in dataset.data_vars.values():
        seen |= np.isfinite(field.to_numpy()).any(axis=(1, 2))
    return dataset.isel(time=np.flatnonzero(seen))
