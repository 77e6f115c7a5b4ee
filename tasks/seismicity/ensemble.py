"""A stacked ensemble: forecasters mixed with weights that a validation period gave them, one set a horizon."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import brentq

from tasks.regions import Region
from tasks.seismicity.catalog import known_at, select_events, to_days
from tasks.seismicity.forecaster import CatalogView
from tasks.seismicity.geometry import Plane

Floats = NDArray[np.float64]

# One event is shared by all members beforehand: with few events in validation no weight becomes 0.
PRIOR_EVENTS: Final = 1.0


class Member(Protocol):
    """What the ensemble asks of a forecaster."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def forecast(self, view: CatalogView) -> xr.DataArray:
        """Return expected counts (horizon, lat, lon)."""
        ...

    def forecast_many(self, catalog: xr.Dataset, issue_times: NDArray[np.datetime64]) -> xr.DataArray:
        """Return expected counts (issue_time, horizon, lat, lon)."""
        ...


def stacking_weights(rate: Floats, total: Floats, rounds: int = 2000) -> Floats:
    """Return the simplex weights under which a mixture of rates has the highest Poisson log score, by EM.

    The score is sum_i ln(sum_k w_k rate_ki) - sum_k w_k total_k, concave in w; each round shares every event
    among the members by their part in its rate, then w_k = shared_k / (nu + total_k) with nu such that the sum is 1.

    Parameters
    ----------
    rate : array (member, event)
        Expected number of each member in the event's cell and window; positive.
    total : array (member,)
        Expected number of each member in all cells and windows.
    rounds : int
        At most; ends when no weight changes by more than 1e-9.

    Returns
    -------
    array (member,)
        Positive, sum 1; with `PRIOR_EVENTS` shared equally beforehand.
    """
    weights = np.full(total.size, 1.0 / total.size)
    for _ in range(rounds):
        mixed = weights[:, None] * rate
        shared = PRIOR_EVENTS / total.size + (mixed / mixed.sum(axis=0)).sum(axis=1)

        def excess(nu: float, shared: Floats = shared) -> float:
            return float((shared / (nu + total)).sum()) - 1.0

        # At the lower end one term alone is 1, at the upper one all together are less.
        low, high = float((shared - total).max()), float(shared.sum() - total.min()) + 1.0
        nu = brentq(excess, low, high, xtol=1e-10) if excess(low) > 0 else low
        new = shared / (nu + total)
        new /= new.sum()
        change, weights = float(np.abs(new - weights).max()), new
        if change < 1e-9:
            break
    return np.asarray(weights)


class StackedForecaster:
    """The mixture of other forecasters' expected counts.

    Parameters
    ----------
    members : sequence of Member
        With the same horizons and grid.
    weights : DataArray (horizon, member)
        Not negative; the sum over members is 1 at each horizon.

    Raises
    ------
    ValueError
        If the weights are no shares of these members.
    """

    name = "ensemble"

    def __init__(self, members: Sequence[Member], weights: xr.DataArray) -> None:
        names = [m.name for m in members]
        if list(weights["member"].values) != names:
            raise ValueError(f"ensemble: expected weights of {names}, found {list(weights['member'].values)}")
        if bool((weights < 0).any()) or not np.allclose(weights.sum("member"), 1.0):
            raise ValueError("ensemble: weights must not be negative and sum to 1 at each horizon")
        self.members = tuple(members)
        self.weights = weights

    def forecast(self, view: CatalogView) -> xr.DataArray:
        """Return expected counts (horizon, lat, lon)."""
        mixed = self.mix({m.name: m.forecast(view) for m in self.members})
        return mixed.assign_attrs(issue_time=str(view.issue_time))

    def forecast_many(self, catalog: xr.Dataset, issue_times: NDArray[np.datetime64]) -> xr.DataArray:
        """Return expected counts (issue_time, horizon, lat, lon)."""
        return self.mix({m.name: m.forecast_many(catalog, issue_times) for m in self.members})

    def mix(self, rates: Mapping[str, xr.DataArray]) -> xr.DataArray:
        """Return the mixture of the members' expected counts (..., horizon, lat, lon), given by name."""
        first = rates[self.members[0].name]
        horizon = self.weights.sel(horizon=first["horizon"].values)
        parts = [rates[m.name] * horizon.sel(member=m.name, drop=True) for m in self.members]
        mixed = sum(parts[1:], parts[0]).transpose(*first.dims)
        return mixed.assign_attrs(units="1")

    def to_json(self) -> str:
        """Return the weights as JSON: horizon -> member -> weight."""
        table = self.weights.to_pandas()
        return json.dumps({str(h): {str(m): float(w) for m, w in row.items()} for h, row in table.iterrows()})

    @classmethod
    def from_json(cls, text: str, members: Sequence[Member]) -> "StackedForecaster":
        """Return the ensemble of these members with the weights that `to_json` wrote."""
        table = json.loads(text)
        names = [m.name for m in members]
        values = [[row[name] for name in names] for row in table.values()]
        coords = {"horizon": [int(h) for h in table], "member": names}
        return cls(members, xr.DataArray(np.array(values), dims=("horizon", "member"), coords=coords))


def fit_ensemble(catalog: xr.Dataset, region: Region, members: Sequence[Member]) -> StackedForecaster:
    """Return the members stacked by their log score in the validation period.

    Windows do not overlap. The events they are scored on are those known at the end of validation, so nothing of the
    test period, which begins later, is seen. A horizon without a whole window there gets equal weights.

    Parameters
    ----------
    catalog : Dataset (event) of versions
        Up to the end of validation.
    region : Region
        Box, completeness, dates.
    members : sequence of Member
        Fitted on the training period.
    """
    split = region.split
    first, last = (np.datetime64(d, "ns") for d in (split.validation_start, split.validation_end))
    truth = select_events(known_at(catalog, last), region)
    plane = Plane.of(region)
    start = float(to_days(first))
    truth = truth.take(truth.inside & (truth.days >= start))
    row = np.clip(((truth.y - plane.south) // plane.dy).astype(int), 0, plane.rows - 1)
    column = np.clip(((truth.x - plane.west) // plane.dx).astype(int), 0, plane.columns - 1)
    horizons = members[0].forecast_many(catalog, np.array([first]))["horizon"].values
    wholes = [int((last - first) / np.timedelta64(int(h), "D")) for h in horizons]
    starts = [
        first + np.arange(n) * np.timedelta64(int(h), "D") for n, h in zip(wholes, horizons, strict=True)
    ]
    rates = [m.forecast_many(catalog, np.unique(np.concatenate(starts))) for m in members]
    weights = np.full((horizons.size, len(members)), 1.0 / len(members))
    for i, (horizon, times) in enumerate(zip(horizons, starts, strict=True)):
        if not times.size:
            continue
        window = np.floor((truth.days - start) / float(horizon)).astype(int)
        kept = window < times.size
        own = [r.sel(horizon=horizon, issue_time=times).values for r in rates]
        at_events = np.stack([r[window[kept], row[kept], column[kept]] for r in own])
        weights[i] = stacking_weights(at_events, np.array([r.sum() for r in own]))
    coords = {"horizon": horizons, "member": [m.name for m in members]}
    return StackedForecaster(members, xr.DataArray(weights, dims=("horizon", "member"), coords=coords))
