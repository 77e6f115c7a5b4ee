"""What the station readers share: distance to the region, and the (time, station) Dataset of GNSS positions."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import SourceDataInvalid
from tasks.sources.payloads import empty

logger = logging.getLogger(__name__)

_EARTH_RADIUS_KM = 6371.0088
POSITIONS = ("east", "north", "up", "sigma_east", "sigma_north", "sigma_up")


class StationSeries(NamedTuple):
    """Positions of one station, m; NaN where a component is unknown.

    `time` (n,) ascending datetime64[ns], `values` (n, 6) in the order of POSITIONS, `flag` (n,) uint8.
    """

    station: str
    latitude: float
    longitude: float
    elevation_m: float
    time: NDArray[np.datetime64]
    values: NDArray[np.float64]
    flag: NDArray[np.uint8]


def distance_km(region: Region, latitude: float, longitude: float) -> float:
    """Return the great-circle distance from the centre of the region's box, km (haversine on a sphere)."""
    box = region.bounds
    lat0, lat1 = np.radians((box.south + box.north) / 2), np.radians(latitude)
    dlon = np.radians(longitude - (box.west + box.east) / 2)
    chord = np.sin((lat1 - lat0) / 2) ** 2 + np.cos(lat0) * np.cos(lat1) * np.sin(dlon / 2) ** 2
    return float(2 * _EARTH_RADIUS_KM * np.arcsin(np.sqrt(chord)))


def wrap_longitude(longitude: float) -> float:
    """Return the longitude in [-180, 180), degree."""
    return (longitude + 180.0) % 360.0 - 180.0


def last_of_repeated(series: StationSeries, path: Path) -> tuple[StationSeries, list[SourceDataInvalid]]:
    """Sort by time; of rows with one time keep the last, with a message where they differ."""
    order = np.argsort(series.time, kind="stable")
    time, values, flag = series.time[order], series.values[order], series.flag[order]
    repeats = np.zeros(time.size, dtype=bool)
    repeats[:-1] = time[:-1] == time[1:]
    complaints = []
    if repeats.any():
        earlier = np.flatnonzero(repeats)
        differ = ~np.isclose(values[earlier], values[earlier + 1], rtol=0, atol=1e-9, equal_nan=True).all(
            axis=1
        )
        if differ.any():
            when = time[earlier[differ][0]].astype("datetime64[D]")
            found = f"{int(differ.sum())} repeated with other values (first {when}); the last row is used"
            complaints.append(SourceDataInvalid(path, "one row for each day", found))
            logger.info("%s", complaints[-1])
    keep = ~repeats
    return series._replace(time=time[keep], values=values[keep], flag=flag[keep]), complaints


def position_dataset(
    series: list[StationSeries],
    config: SourceConfig,
    root: Path,
    region: Region,
    window: TimeWindow,
    delay: np.timedelta64,
    licence: str,
) -> xr.Dataset:
    """Return positions (time, station) on the union of the stations' times inside `window`.

    Parameters
    ----------
    series : list of StationSeries
        A station's flag is 1 and its values are NaN where it has no row.
    delay : timedelta64
        From `time` to `available_time`; has to reach the end of the value's period at least. Times without a
        value get one too, for it is known then that nothing came.

    Raises
    ------
    SourceEmpty
        If no station has a row inside `window`.
    """
    cropped = []
    for one in series:
        inside = (one.time >= window.start) & (one.time < window.end)
        if inside.any():
            cropped.append(
                one._replace(time=one.time[inside], values=one.values[inside], flag=one.flag[inside])
            )
    if not cropped:
        raise empty(config, root, region, window)
    cropped.sort(key=lambda one: one.station)
    time = np.unique(np.concatenate([one.time for one in cropped]))
    values = np.full((len(POSITIONS), time.size, len(cropped)), np.nan)
    flag = np.ones((time.size, len(cropped)), dtype=np.uint8)
    for column, one in enumerate(cropped):
        rows = np.searchsorted(time, one.time)
        values[:, rows, column] = one.values.T
        flag[rows, column] = one.flag
    available = np.broadcast_to((time + delay)[:, None], flag.shape).copy()
    dims = ("time", "station")
    variables = {name: (dims, values[k], {"units": "m"}) for k, name in enumerate(POSITIONS)}
    return xr.Dataset(
        {**variables, "available_time": (dims, available), "quality_flag": (dims, flag)},
        coords={
            "time": time,
            "station": np.asarray([one.station for one in cropped], dtype=object),
            "latitude": ("station", np.array([one.latitude for one in cropped]), {"units": "degree_north"}),
            "longitude": ("station", np.array([one.longitude for one in cropped]), {"units": "degree_east"}),
            "elevation_m": ("station", np.array([one.elevation_m for one in cropped]), {"units": "m"}),
        },
        attrs={
            "provider": config.provider,
            "modality": config.modality,
            "licence": licence,
            # no provider says when a row first appeared: a rule stands in
            "vintage": "reconstructed",
        },
    )
