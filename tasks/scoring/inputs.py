"""The gate of scoring: rates and counts in the same bins, and nothing that would make a score meaningless."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def checked(rates: xr.DataArray, counts: xr.DataArray, horizon: int) -> tuple[dict[str, Floats], Counts]:
    """Return the rates by model and the counts (issue_time, lat, lon), the same bins, free of NaN.

    Raises
    ------
    ValueError
        If coordinates differ, a rate or count is NaN or negative, or an event falls where a model's rate is 0.
    """
    observed = counts.transpose("issue_time", "lat", "lon")
    table: dict[str, Floats] = {}
    for dim in ("issue_time", "lat", "lon"):
        if not np.array_equal(rates[dim].to_numpy(), observed[dim].to_numpy()):
            raise ValueError(f"horizon {horizon}: rates and counts differ in their coordinate {dim!r}")
    values = observed.to_numpy()
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"horizon {horizon}: expected counts of 0 or more, found NaN or a negative number")
    for name in map(str, rates["model"].to_numpy()):
        one = rates.sel(model=name).transpose("issue_time", "lat", "lon").to_numpy().astype(np.float64)
        for wrong, what in (
            (~np.isfinite(one), "a finite rate"),
            (one < 0, "a rate of 0 or more"),
            ((one == 0) & (values > 0), "a positive rate where an event was observed"),
        ):
            if wrong.any():
                t, y, x = (int(k[0]) for k in np.nonzero(wrong))
                raise ValueError(
                    f"model {name!r}, horizon {horizon} days: expected {what}, found {one[t, y, x]:g} in cell "
                    f"lat {float(observed['lat'][y]):g}, lon {float(observed['lon'][x]):g} "
                    f"at issue time {observed['issue_time'].to_numpy()[t]}"
                )
        table[name] = one
    return table, values.astype(np.int64)
