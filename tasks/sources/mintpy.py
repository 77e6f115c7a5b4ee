"""MintPy velocity files (HDF5) of one InSAR track."""

from pathlib import Path

import h5py
import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import duration, latency
from tasks.sources.payloads import empty, locate
from tasks.sources.rasters import insar_dataset

_ATTRIBUTES = (
    "X_FIRST", "X_STEP", "Y_FIRST", "Y_STEP", "START_DATE", "END_DATE", "incidenceAngle", "azimuthAngle", "UNIT",
)  # fmt: skip
_YEAR_DAYS = 365.25


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return a velocity field as one frame: the displacement that it adds up to from START_DATE to END_DATE.

    Velocity is m/yr, positive towards the satellite; 0 in `velocityStd` marks no data (NaN, flag 1). The look vector is
    one for all pixels: e = sin(inc) cos(az), n = sin(inc) sin(az), u = cos(inc), azimuth anticlockwise from east,
    ground to satellite (ARIA-tools documentation). X_FIRST and Y_FIRST are the outer corner of the first pixel.
    Coherence is unknown. `available_time` is the end of END_DATE plus `latency_days`: vintage "reconstructed", for a
    velocity uses all its epochs and none of it is known before.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    path = locate(config, root)
    try:
        with h5py.File(path) as file:
            missing = [name for name in _ATTRIBUTES if name not in file.attrs]
            missing += [name for name in ("velocity", "velocityStd") if name not in file]
            if missing:
                raise SourceDataInvalid(path, "a MintPy velocity file", f"no {', '.join(missing)}")
            attributes = {name: str(file.attrs[name]) for name in _ATTRIBUTES}
            velocity = file["velocity"][...].astype(np.float64)
            velocity[file["velocityStd"][...] == 0] = np.nan
    except OSError as error:
        raise SourceDataInvalid(path, "a readable HDF5 file", str(error)) from error
    if attributes["UNIT"] not in {"m/year", "m/yr"}:
        raise SourceDataInvalid(path, "velocity in m/year", attributes["UNIT"])
    start, end = (
        np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:8]}", "ns")
        for d in (attributes["START_DATE"], attributes["END_DATE"])
    )
    try:
        number = {n: float(attributes[n]) for n in _ATTRIBUTES if n not in {"START_DATE", "END_DATE", "UNIT"}}
    except ValueError as error:
        raise SourceDataInvalid(path, "numbers in the attributes", str(error)) from error
    lat = number["Y_FIRST"] + (np.arange(velocity.shape[0]) + 0.5) * number["Y_STEP"]
    lon = number["X_FIRST"] + (np.arange(velocity.shape[1]) + 0.5) * number["X_STEP"]
    box = region.bounds
    rows = np.flatnonzero((lat >= box.south) & (lat < box.north))
    columns = np.flatnonzero((lon >= box.west) & (lon < box.east))
    if not rows.size or not columns.size or not window.start <= end < window.end:
        raise empty(config, root, region, window)
    rows = rows[np.argsort(lat[rows])]
    years = (end - start) / duration(_YEAR_DAYS)
    incidence, azimuth = np.radians(number["incidenceAngle"]), np.radians(number["azimuthAngle"])
    vector = (np.sin(incidence) * np.cos(azimuth), np.sin(incidence) * np.sin(azimuth), np.cos(incidence))
    shape = (rows.size, columns.size)
    dataset = insar_dataset(
        config,
        lat[rows],
        lon[columns],
        [(start, end, end + duration(1.0) + latency(config), velocity[np.ix_(rows, columns)] * years, None)],
        (np.full(shape, vector[0]), np.full(shape, vector[1]), np.full(shape, vector[2])),
        track=path.stem.removeprefix("velocity_"),
        licence="contains modified Copernicus Sentinel data",
        vintage="reconstructed",
    )
    return Fetched(dataset)
