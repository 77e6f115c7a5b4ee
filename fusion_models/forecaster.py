"""A bundle as a forecaster: it speaks the same words as ETAS, so one scorer reads both."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fusion_models.bundle import Bundle, predict_batch
from fusion_models.data.asof import View
from fusion_models.data.samples import stack_samples


class Forecaster(Protocol):
    """Anything that gives expected counts for a view."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def forecast(self, view: View) -> xr.DataArray:
        """Return expected counts (horizon, lat, lon) of target events in [issue_time, issue_time + horizon)."""
        ...


class NetworkForecaster:
    """A trained network on top of the baseline that it corrects.

    Parameters
    ----------
    baseline : Forecaster
        The one that the network was trained with (its hash is in the bundle's provenance).
    without : sequence of str
        Kinds of providers to hide, for ablation.
    """

    def __init__(self, bundle: Bundle, baseline: Forecaster, without: Sequence[str] = ()) -> None:
        self.bundle, self.baseline, self.without = bundle, baseline, tuple(without)

    @property
    def name(self) -> str:
        """Name of the fusion, and what was hidden from it."""
        return "_without_".join((self.bundle.card.model.kind, *self.without))

    @property
    def dispersion(self) -> dict[int, float]:
        """By horizon: the variance of a cell's count is rate + dispersion rate^2. Empty if it is Poisson."""
        card = self.bundle.card
        return dict(zip(card.spec.horizons, card.dispersion, strict=True)) if card.dispersion else {}

    def forecast(self, view: View) -> xr.DataArray:
        """Return expected counts (horizon, lat, lon)."""
        rates = self.baseline.forecast(view).expand_dims(issue_time=[view.issue_time])
        return self.forecast_many([view], rates).isel(issue_time=0, drop=True)

    def forecast_many(self, views: Sequence[View], baseline_rates: xr.DataArray) -> xr.DataArray:
        """Return expected counts (issue_time, horizon, lat, lon) for views whose baseline rates are known.

        Raises
        ------
        ValueError
            If the rates do not fit the bundle's grid.
        """
        arrays = self.arrays(views, baseline_rates)
        return self.forecast_arrays([view.issue_time for view in views], arrays)

    def arrays(self, views: Sequence[View], baseline_rates: xr.DataArray) -> dict[str, NDArray[np.floating]]:
        """Return the samples of `views`; several forecasters with one layout can share them."""
        spec = self.bundle.card.spec
        rates = baseline_rates.transpose("issue_time", "horizon", "lat", "lon").sel(
            horizon=list(spec.horizons)
        )
        return stack_samples(spec, views, np.asarray(rates.values, dtype=np.float64))

    def forecast_arrays(
        self, issue_times: Sequence[np.datetime64], arrays: dict[str, NDArray[np.floating]]
    ) -> xr.DataArray:
        """Return expected counts (issue_time, horizon, lat, lon) from samples that `arrays` made."""
        spec = self.bundle.card.spec
        return xr.DataArray(
            predict_batch(self.bundle, arrays, self.without),
            dims=("issue_time", "horizon", "lat", "lon"),
            coords={
                "issue_time": np.asarray(issue_times, dtype="datetime64[ns]"),
                "horizon": list(spec.horizons),
                "lat": list(spec.latitudes),
                "lon": list(spec.longitudes),
            },
            name="rate",
            attrs={"units": "1", "long_name": "expected target events in the cell and window"},
        )
