"""Forecasts as they were issued: written once, with what made them, and never touched again."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from tasks.cubes.repository import StoreFull


class ForecastExists(FileExistsError):
    """A forecast with this identity was issued before; it is not overwritten, and `folder` says where it is."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder}: this forecast was issued before and is not overwritten")
        self.folder = folder


class ForecastManifest(BaseModel):
    """What made a forecast, so that it can be made again and scored when the truth is in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: str = Field(description="name of the region")
    issue_time: str = Field(description="moment of issue, ISO 8601, UTC")
    data_snapshot: str = Field(description="snapshot id of the cube")
    model_version: str = Field(description="name and version of the model")
    code_version: str = Field(description="commit or digest of the code")
    seed: int = Field(description="seed of all random numbers")


class StoredForecast(BaseModel):
    """A forecast by reference."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="folder with forecast.nc and manifest.json")
    sha256: str = Field(description="hash of the manifest and the forecast's values")


def write_forecast(root: Path, forecast: xr.Dataset, manifest: ForecastManifest) -> StoredForecast:
    """Write `forecast` to `root`/<region>/<issue time>_<hash>/ in one step, and return where it is.

    The folder holds `forecast.nc` and `manifest.json` (with the hash); it appears complete or not at all.

    Raises
    ------
    ForecastExists
        If this very forecast is stored; what is there is not touched.
    StoreFull
        If the disk is full; nothing is left behind.
    """
    sha256 = _hash(forecast, manifest)
    stamp = np.datetime_as_string(np.datetime64(manifest.issue_time), unit="s").replace(":", "")
    folder = root / manifest.region / f"{stamp}Z_{sha256[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        forecast.to_netcdf(partial / "forecast.nc", engine="h5netcdf")
        text = json.dumps(manifest.model_dump() | {"sha256": sha256}, indent=2, sort_keys=True)
        (partial / "manifest.json").write_text(text + "\n")
        # Renaming onto a folder that holds files fails, so the first writer wins.
        os.rename(partial, folder)
    except OSError as error:
        if folder.is_dir():
            raise ForecastExists(folder) from error
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise
        raise StoreFull(f"{folder}: the forecast could not be written ({error}); free some space") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return StoredForecast(path=str(folder), sha256=sha256)


def read_forecast(folder: Path) -> tuple[xr.Dataset, ForecastManifest]:
    """Return a stored forecast and its manifest.

    Raises
    ------
    ValueError
        If the values are not those that were hashed when the forecast was issued.
    """
    with xr.open_dataset(folder / "forecast.nc", engine="h5netcdf") as opened:
        forecast = opened.load()
    content = json.loads((folder / "manifest.json").read_text())
    expected = content.pop("sha256")
    manifest = ForecastManifest.model_validate(content)
    found = _hash(forecast, manifest)
    if found != expected:
        raise ValueError(
            f"{folder}: expected the content hash {expected}, found {found}; it was changed after issue"
        )
    return forecast, manifest


def _hash(forecast: xr.Dataset, manifest: ForecastManifest) -> str:
    digest = hashlib.sha256(manifest.model_dump_json().encode())
    for name in sorted(map(str, forecast.variables)):
        values = np.ascontiguousarray(forecast[name].values)
        # Names go into the file as Python's strings and may come back as numpy's.
        is_text = values.dtype.kind in "OUT"
        digest.update(f"{name}{values.shape}{'O' if is_text else values.dtype.kind}".encode())
        digest.update("\x00".join(map(str, values.ravel())).encode() if is_text else values.tobytes())
    return digest.hexdigest()
