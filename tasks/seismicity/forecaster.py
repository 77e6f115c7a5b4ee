"""What a catalog forecaster reads of a view, and the stationary ones (`Forecaster`: fusion_models/forecaster.py)."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

HORIZONS = (1, 7, 30)


class CatalogView(Protocol):
    """What is known at one issue time; the as-of view of the cube has this shape."""

    @property
    def issue_time(self) -> np.datetime64:
        """The moment of the forecast, datetime64[ns] UTC."""
        ...

    def catalog(self) -> xr.Dataset:
        """Return the latest known version of each event (event), sorted by origin time."""
        ...


class StationaryForecaster:
    """Counts proportional to the horizon, the same at every issue time.

    Parameters
    ----------
    name : str
        Name under which it is scored.
    rate_per_day : DataArray (lat, lon), 1/day
        Expected target events per cell; finite and positive, else ValueError.
    horizons : sequence of int
        Days.
    """

    def __init__(self, name: str, rate_per_day: xr.DataArray, horizons: Sequence[int] = HORIZONS) -> None:
        if not bool((rate_per_day > 0).all()) or not bool(np.isfinite(rate_per_day).all()):
            raise ValueError(f"forecaster {name!r}: every cell's rate must be finite and positive")
        self.name = name
        self.rate_per_day = rate_per_day
        self.horizons = tuple(horizons)

    def forecast(self, view: CatalogView) -> xr.DataArray:
        """Return expected counts (horizon, lat, lon); the view's content does not matter."""
        horizon = xr.DataArray(
            np.array(self.horizons), dims="horizon", coords={"horizon": list(self.horizons)}
        )
        return (horizon * self.rate_per_day).assign_attrs(units="1", issue_time=str(view.issue_time))

    def forecast_many(self, catalog: xr.Dataset, issue_times: NDArray[np.datetime64]) -> xr.DataArray:
        """Return expected counts (issue_time, horizon, lat, lon), the same for every issue time."""
        horizon = xr.DataArray(
            np.array(self.horizons), dims="horizon", coords={"horizon": list(self.horizons)}
        )
        times = np.asarray(issue_times, dtype="datetime64[ns]")
        one = (horizon * self.rate_per_day).expand_dims(issue_time=times)
        return one.assign_attrs(units="1")
