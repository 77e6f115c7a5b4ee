"""Weather model profiles processed for delays by RAiDER (GEOS-FP, ERA5): one NetCDF file a moment."""

from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import latency, number_option
from tasks.sources.payloads import list_payloads, read_each
from tasks.sources.units import days_of
from tasks.sources.weather import crop_and_sort, gridded_weather

_UNITS = {"t": "K", "p": "Pa", "wet_total": "m", "hydro_total": "m"}
_FILL = 1e15


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return temperature, pressure and zenith delay at the height of the ground.

    The height is option `height_m` (one number for the region, interpolated linearly between the levels, pressure
    in its logarithm); without it the lowest level at or above 0 m is taken. `zenith_delay` is wet plus hydrostatic
    above that height. 1e16 is fill: NaN. Relief inside the region is not followed. `available_time` is the
    moment plus `latency_days`: vintage "reconstructed".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A variable in another unit makes its file invalid.
    """
    height = number_option(config, "height_m", np.nan)

    def read(path: Path) -> xr.Dataset:
        return _surface(path, height, region)

    pieces, invalid = read_each(list_payloads(config, root, "*.nc"), read)
    licence = "NASA GMAO GEOS-FP or Copernicus ERA5; name the source"
    dataset = gridded_weather(pieces, config, root, region, window, latency(config), licence)
    return Fetched(dataset, tuple(invalid))


def payload_keys(path: Path) -> set[str]:
    """Return the day of a file's moment."""
    return set(days_of(np.atleast_1d(_load(path)["datetime"].to_numpy().astype("datetime64[ns]"))))


def _load(path: Path) -> xr.Dataset:
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            profile = opened.load()
    except (OSError, ValueError, KeyError) as error:
        raise SourceDataInvalid(path, "a whole NetCDF file", str(error)) from error
    if "datetime" not in profile or not {"x", "y", "z"} <= set(profile.coords):
        raise SourceDataInvalid(path, "coordinates x, y, z and datetime", f"{list(profile.coords)}")
    return profile


def _surface(path: Path, height_m: float, region: Region) -> xr.Dataset:
    profile = _load(path)
    for name, units in _UNITS.items():
        if name not in profile:
            raise SourceDataInvalid(path, f"variables {', '.join(_UNITS)}", f"no {name}")
        found = str(profile[name].attrs.get("units", "none"))
        if found != units:
            raise SourceDataInvalid(path, f"{name} in {units}", f"units {found!r}")
    z: NDArray[np.float64] = profile["z"].to_numpy().astype(np.float64)
    at = height_m if np.isfinite(height_m) else float(z[z >= 0].min())
    if not z[0] <= at <= z[-1]:
        raise SourceDataInvalid(path, f"levels around {at:g} m", f"{z[0]:g} to {z[-1]:g} m")
    upper = max(1, int(np.searchsorted(z, at)))
    weight = (at - z[upper - 1]) / (z[upper] - z[upper - 1])

    def level(name: str, logarithm: bool = False) -> NDArray[np.float64]:
        pair = profile[name].transpose("z", "y", "x").to_numpy()[upper - 1 : upper + 1].astype(np.float64)
        pair[np.abs(pair) > _FILL] = np.nan
        if logarithm:
            # pressure is 0 where the model ends
            pair[pair <= 0] = np.nan
        low, high = np.log(pair) if logarithm else pair
        value: NDArray[np.float64] = low + weight * (high - low)
        return np.exp(value) if logarithm else value

    cube = ("time", "lat", "lon")
    surface = xr.Dataset(
        {
            "air_temperature": (cube, level("t")[None]),
            "surface_air_pressure": (cube, level("p", logarithm=True)[None]),
            "zenith_delay": (cube, (level("wet_total") + level("hydro_total"))[None]),
        },
        coords={
            "time": [profile["datetime"].to_numpy().astype("datetime64[ns]")],
            "lat": profile["y"].to_numpy(),
            "lon": profile["x"].to_numpy(),
        },
    )
    return crop_and_sort(surface, region)
