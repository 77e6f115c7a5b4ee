"""Quality control of weather: values outside what the atmosphere does, and sensors that stand still."""

from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.quality.flags import NAT, Flag, Reason, flag_of, provider_reason, stamps, verdicts

# Records of the surface (WMO archive of extremes), widened: what lies outside is a fault or a wrong unit.
LIMITS: Final[dict[str, tuple[float, float]]] = {
    "air_temperature": (180.0, 340.0),
    "surface_air_pressure": (4.0e4, 1.1e5),
    "precipitation_amount": (0.0, 2000.0),
    "eastward_wind": (-120.0, 120.0),
    "northward_wind": (-120.0, 120.0),
    "volumetric_soil_moisture": (0.0, 1.0),
    "zenith_delay": (-1.0, 4.0),
}
STILL: Final = ("air_temperature", "surface_air_pressure")
STILL_VALUES: Final = 6
Floats = NDArray[np.float64]


def judge_weather(observations: xr.Dataset) -> xr.Dataset:
    """Judge gridded or station weather (time, ...), each variable by itself and at once.

    Out of range: outside `LIMITS`, such as a missing-data code or a wrong unit. Dead: a temperature or
    pressure equal to the five values before it (the sixth and later ones are masked).

    Returns
    -------
    Dataset
        Dims as `quality_flag`. `<variable>_reason` for each variable; `quality_reason` is a fault's only where no
        variable is left, so that a broken rain gauge does not take the temperature with it.

    Raises
    ------
    ValueError
        If there is no variable of the vocabulary.
    """
    observations = observations.load()
    dims = tuple(str(d) for d in observations["quality_flag"].dims)
    flags = observations["quality_flag"].values.astype(np.uint8)
    came, _ = xr.broadcast(observations["available_time"], observations["quality_flag"])
    available = stamps(came.transpose(*dims))
    reasons: dict[str, NDArray[np.uint8]] = {}
    for name in LIMITS:
        if name in observations:
            values = observations[name].transpose(*dims).values.astype(np.float64)
            reasons[name] = _judge(name, values, flags)
    if not reasons:
        raise ValueError(
            f"weather: expected one of {sorted(LIMITS)}, found {sorted(map(str, observations.data_vars))}"
        )
    every = np.stack(list(reasons.values()))
    left = (flag_of(every) == Flag.OBSERVED).any(axis=0)
    # NO_VALUE is the smallest reason: a fault says more than an absent variable
    overall = np.where(left, np.uint8(Reason.NONE), every.max(axis=0))
    overall = np.where(available == NAT, np.uint8(Reason.NOT_PUBLISHED), overall)
    coords = {d: observations[d] for d in dims}
    own = stamps(observations["available_time"])
    verdict = verdicts(dims, coords, overall, own, own, "weather")
    return verdict.assign({f"{name}_reason": (dims, reason) for name, reason in reasons.items()})


def _judge(name: str, values: Floats, flags: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # the reader's gap says that some variable is absent, which the values say for each
    reason = provider_reason(np.where(flags == Flag.GAP, np.uint8(Flag.OBSERVED), flags), values)
    low, high = LIMITS[name]
    with np.errstate(invalid="ignore"):
        reason[(reason == Reason.NONE) & ((values < low) | (values > high))] = Reason.OUT_OF_RANGE
    if name in STILL and values.shape[0] >= STILL_VALUES:
        windows = np.lib.stride_tricks.sliding_window_view(values, STILL_VALUES, axis=0)
        still = np.zeros(values.shape, dtype=bool)
        still[STILL_VALUES - 1 :] = windows.max(axis=-1) == windows.min(axis=-1)
        reason[(reason == Reason.NONE) & still] = Reason.DEAD
    return reason
