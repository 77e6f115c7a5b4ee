"""Which values can be what they claim to be: a unit that was taken for another shows in the middle of the values."""

from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from tasks.sources.contract import SourceDataInvalid


class Plausible(NamedTuple):
    """The unit of a canonical variable, and bounds within which the median of any real record lies."""

    units: str
    low: float
    high: float


# Wide enough for any place and season, narrow enough to tell the units that providers use apart (K and deg C, Pa and
# hPa, m and mm): physical bounds, not quality control, which looks at single values.
RANGES: Final[dict[str, Plausible]] = {
    "air_temperature": Plausible("K", 180.0, 340.0),
    "dew_point_temperature": Plausible("K", 150.0, 320.0),
    "surface_air_pressure": Plausible("Pa", 30_000.0, 110_000.0),
    "air_pressure_at_mean_sea_level": Plausible("Pa", 85_000.0, 110_000.0),
    "precipitation_amount": Plausible("kg m-2", 0.0, 200.0),
    "eastward_wind": Plausible("m s-1", -60.0, 60.0),
    "northward_wind": Plausible("m s-1", -60.0, 60.0),
    "volumetric_soil_moisture": Plausible("1", 0.0, 1.0),
    "zenith_delay": Plausible("m", 0.0, 4.0),
    "los_displacement": Plausible("m", -20.0, 20.0),
    "coherence": Plausible("1", 0.0, 1.0),
    "magnitude": Plausible("1", -3.0, 10.0),
    "latitude": Plausible("degree_north", -90.0, 90.0),
    "longitude": Plausible("degree_east", -180.0, 180.0),
    "depth_km": Plausible("km", -10.0, 800.0),
    "velocity": Plausible("m s-1", -5.0, 5.0),
}


def refuse_other_units(dataset: xr.Dataset, path: object) -> None:
    """Raise SourceDataInvalid if a variable's median cannot be in the canonical unit, or its attribute says another.

    Parameters
    ----------
    path : object
        Named in the message.
    """
    for name, expected in RANGES.items():
        if name not in dataset.variables:
            continue
        array = dataset[name]
        said = array.attrs.get("units", expected.units)
        if said != expected.units:
            raise SourceDataInvalid(str(path), f"{name} in {expected.units}", f"units {said!r}")
        values = np.asarray(array.values)
        finite = values[np.isfinite(values)]
        if finite.size == 0:
            continue
        middle = float(np.median(finite))
        if not expected.low <= middle <= expected.high:
            raise SourceDataInvalid(
                str(path),
                f"{name} in {expected.units}, between {expected.low:g} and {expected.high:g}",
                f"a median of {middle:g}: another unit?",
            )
