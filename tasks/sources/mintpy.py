"""MintPy velocity files (HDF5) of one InSAR track."""

from pathlib import Path

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.hdf5 import open_product
from tasks.sources.interferograms import Frame, acquisition, in_order, known_at, plausible_los, stack
from tasks.sources.options import duration
from tasks.sources.payloads import empty, locate

_ATTRIBUTES = (
    "X_FIRST", "X_STEP", "Y_FIRST", "Y_STEP", "START_DATE", "END_DATE", "incidenceAngle", "azimuthAngle", "UNIT",
)  # fmt: skip
_YEAR_DAYS = 365.25


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return a velocity field as one frame: the displacement that it adds up to from START_DATE to END_DATE.

    Velocity is m/yr, positive towards the satellite; 0 in `velocityStd` marks no data (NaN, flag 1). The look vector
    is one for all pixels: e = sin(inc) cos(az), n = sin(inc) sin(az), u = cos(inc), azimuth anticlockwise from east,
    ground to satellite (ARIA-tools documentation). X_FIRST and Y_FIRST are the outer corner of the first pixel.
    Coherence is unknown. `available_time` is the end of END_DATE plus `latency_days`: vintage "reconstructed", for a
    velocity uses all its epochs and none of it is known before. Option `reference` "lat,lon,radius_km".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    path = locate(config, root)
    with open_product(path) as product:
        text = product.root_texts(_ATTRIBUTES)
        number = _numbers(path, text)
        start, end = acquisition(path, text["START_DATE"][:8]), acquisition(path, text["END_DATE"][:8])
        in_order(path, start, end)
        shape = product.shape("velocity")
        if len(shape) != 2:
            raise SourceDataInvalid(path, "velocity as a map", f"an array of shape {shape}")
        lat = number["Y_FIRST"] + (np.arange(shape[0]) + 0.5) * number["Y_STEP"]
        lon = number["X_FIRST"] + (np.arange(shape[1]) + 0.5) * number["X_STEP"]
        box = region.bounds
        rows = np.flatnonzero((lat >= box.south) & (lat < box.north))
        columns = np.flatnonzero((lon >= box.west) & (lon < box.east))
        if not rows.size or not columns.size or not window.start <= end < window.end:
            raise empty(config, root, region, window)
        part = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        velocity = product.layer("velocity", *part, (shape[0], shape[1])).astype(np.float64)
        velocity[product.layer("velocityStd", *part, (shape[0], shape[1])) == 0] = np.nan
    order = np.argsort(lat[rows])
    los = plausible_los(path, velocity[order] * ((end - start) / duration(_YEAR_DAYS)))
    incidence, azimuth = np.radians(number["incidenceAngle"]), np.radians(number["azimuthAngle"])
    vector = (np.sin(incidence) * np.cos(azimuth), np.sin(incidence) * np.sin(azimuth), np.cos(incidence))
    return stack(
        config,
        region,
        path,
        (lat[rows][order], lon[columns]),
        [Frame(start, end, known_at(config, end, None), los, None)],
        (np.full(los.shape, vector[0]), np.full(los.shape, vector[1]), np.full(los.shape, vector[2])),
        track=path.stem.removeprefix("velocity_"),
        vintage="reconstructed",
    )


def _numbers(path: Path, text: dict[str, str]) -> dict[str, float]:
    """Return the attributes that are numbers, once unit and steps are what they should be."""
    if text["UNIT"] not in {"m/year", "m/yr"}:
        raise SourceDataInvalid(path, "velocity in m/year", text["UNIT"])
    try:
        number = {n: float(text[n]) for n in _ATTRIBUTES if n not in {"START_DATE", "END_DATE", "UNIT"}}
    except ValueError as error:
        raise SourceDataInvalid(path, "numbers in the attributes", str(error)) from error
    if not number["X_STEP"] > 0 or not number["Y_STEP"] < 0 or not np.isfinite(list(number.values())).all():
        raise SourceDataInvalid(
            path,
            "finite attributes, X_STEP > 0 and Y_STEP < 0",
            f"{number['X_STEP']:g} and {number['Y_STEP']:g}",
        )
    if not 0 < number["incidenceAngle"] < 90:
        raise SourceDataInvalid(path, "an incidence angle in degrees", f"{number['incidenceAngle']:g}")
    return number
