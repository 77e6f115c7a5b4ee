"""Which values can be what they claim to be: a unit that was taken for another shows in the middle of the values."""

from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.sources.contract import SourceDataInvalid


class Plausible(NamedTuple):
    """The unit of a canonical variable, and bounds within which the median of any real record lies.

    `least` and `most` bound the median size of what is not zero, of twenty such values or more: where most days are
    dry, or depths are small numbers of kilometres or large ones of metres, the plain median tells no units apart.
    A median is beyond a bound if more than half of the values are, which is counted block by block.
    """

    units: str
    low: float
    high: float
    least: float = 0.0
    most: float = np.inf


# Wide enough for any place and season, narrow enough to tell the units that providers use apart (K and deg C, Pa and
# hPa, m and mm): physical bounds, not quality control, which looks at single values.
RANGES: Final[dict[str, Plausible]] = {
    "air_temperature": Plausible("K", 180.0, 340.0),
    "dew_point_temperature": Plausible("K", 150.0, 320.0),
    "surface_air_pressure": Plausible("Pa", 30_000.0, 110_000.0),
    "air_pressure_at_mean_sea_level": Plausible("Pa", 85_000.0, 110_000.0),
    "precipitation_amount": Plausible("kg m-2", 0.0, 200.0, most=100.0),
    "eastward_wind": Plausible("m s-1", -60.0, 60.0),
    "northward_wind": Plausible("m s-1", -60.0, 60.0),
    "volumetric_soil_moisture": Plausible("1", 0.0, 1.0),
    "zenith_delay": Plausible("m", 0.0, 4.0),
    "los_displacement": Plausible("m", -20.0, 20.0),
    "coherence": Plausible("1", 0.0, 1.0),
    "magnitude": Plausible("1", -3.0, 10.0),
    "latitude": Plausible("degree_north", -90.0, 90.0),
    "longitude": Plausible("degree_east", -180.0, 180.0),
    "depth_km": Plausible("km", -10.0, 800.0, least=0.05),
    "velocity": Plausible("m s-1", -5.0, 5.0),
    "elevation": Plausible("m", -500.0, 9_000.0),
    "vs30": Plausible("m s-1", 30.0, 4_000.0),
    "slope": Plausible("degree", 0.0, 90.0),
}
# From one GNSS position to the next: millimetres from day to day, centimetres from second to second.
LARGEST_SCATTER_M: Final = 0.1
ENOUGH: Final = 20
_BLOCK: Final = 1 << 18


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
        refuse_values(name, array.values, path)


def refuse_values(name: str, values: NDArray[np.generic], path: object) -> None:
    """Raise SourceDataInvalid if the median of `values` cannot be in the unit of the canonical variable `name`."""
    expected = RANGES[name]
    n_known = n_low = n_high = n_sized = n_small = n_large = 0
    flat = values.reshape(-1)
    for first in range(0, flat.size, _BLOCK):
        known = flat[first : first + _BLOCK].astype(np.float64)
        known = known[np.isfinite(known)]
        n_known += known.size
        n_low += int((known < expected.low).sum())
        n_high += int((known > expected.high).sum())
        size = np.abs(known[known != 0])
        n_sized += size.size
        n_small += int((size < expected.least).sum())
        n_large += int((size > expected.most).sum())
    if 2 * max(n_low, n_high) > n_known:
        raise SourceDataInvalid(
            str(path),
            f"{name} in {expected.units}, between {expected.low:g} and {expected.high:g}",
            f"a median of {_median(flat):g}: another unit?",
        )
    if n_sized >= ENOUGH and 2 * max(n_small, n_large) > n_sized:
        raise SourceDataInvalid(
            str(path),
            f"{name} in {expected.units}, not below {expected.least:g} nor beyond {expected.most:g}",
            f"a median size of {_median(np.abs(flat[flat != 0])):g}: another unit?",
        )


def _median(values: NDArray[np.generic]) -> float:
    """Return the median of what is finite, of a large array about that."""
    some = values[:: 1 + values.size // _BLOCK].astype(np.float64)
    return float(np.median(some[np.isfinite(some)]))


def refuse_scatter(positions: NDArray[np.float64], path: object) -> None:
    """Raise SourceDataInvalid if GNSS positions (n, component), in the order of time, cannot be in metres.

    Judged by the median step from one to the next, of twenty steps or more. Ice may move like that, the ground does
    not.
    """
    steps = np.abs(np.diff(positions, axis=0))
    for column in steps.T:
        known = column[np.isfinite(column)]
        if known.size >= ENOUGH and (typical := float(np.median(known))) > LARGEST_SCATTER_M:
            raise SourceDataInvalid(
                str(path),
                f"positions in m, less than {LARGEST_SCATTER_M:g} m from one to the next",
                f"a median of {typical:g}: another unit?",
            )
