"""The ETAS forecaster: expected counts at one issue time, or at thousands of them in one pass."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region
from tasks.seismicity.branching import MeanOperator, generation_weights, mean_operator, variance_nodes
from tasks.seismicity.catalog import Events, select_events, to_days
from tasks.seismicity.detection import Visibility, mu_at, stands_for
from tasks.seismicity.etas import EtasModel
from tasks.seismicity.forecaster import HORIZONS, CatalogView
from tasks.seismicity.geometry import Plane
from tasks.seismicity.kernels import cell_masses, mixture_cell_masses

Floats = NDArray[np.float64]


class EtasForecaster:
    """Expected counts of the ETAS model, or ETAS-I, descendants of future events included.

    Those of ETAS-I are of all events, seen or not: what it expects a network to miss comes back as offspring.

    Parameters
    ----------
    model : EtasModel
        Fitted parameters and background.
    region : Region
        Its grid must be the model's.
    horizons : sequence of int
        Days.

    Raises
    ------
    ValueError
        If the background is not on the region's grid.
    """

    def __init__(self, model: EtasModel, region: Region, horizons: Sequence[int] = HORIZONS) -> None:
        shape = (len(region.latitudes), len(region.longitudes))
        if model.background.shape != shape:
            raise ValueError(
                f"region {region.name!r}: expected an ETAS background of {shape} cells, "
                f"found {model.background.shape}"
            )
        self.name = "etas" if model.parameters.visibility is None else "etas_i"
        self.model = model
        self.region = region
        self.horizons = tuple(horizons)
        self._plane = Plane.of(region)
        self._margin = math.ceil(region.margin_deg / region.resolution_deg - 1e-9)
        self._operator = self._build()

    def _build(self) -> MeanOperator:
        longest = float(
            to_days(np.datetime64(self.region.end, "ns"))
            - to_days(np.datetime64(self.region.catalog_start, "ns"))
        )
        return mean_operator(
            self.model.parameters,
            self.model.background,
            self._plane,
            self._margin,
            np.array(self.horizons, dtype=np.float64),
            # Twice: live use goes beyond the end of the cube.
            2.0 * longest + max(self.horizons),
        )

    def _stands_for(
        self, events: Events, seen: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    ) -> Floats:
        """Return how many parents each event (event,) stands for; `seen` as for `mu_at`."""
        p = self.model.parameters
        if p.visibility is None:
            return np.ones(events.days.size)
        law = Visibility(*p.visibility)
        order = np.argsort(events.days, kind="stable")
        above = (events.magnitude - p.m0)[order]
        places = (events.x[order], events.y[order], np.zeros(order.size))
        known = None if seen is None else (seen[0][order], seen[1][order])
        out = np.empty(order.size)
        mu = mu_at(events.days[order], places, above, p.m0, law, known)
        out[order] = stands_for(above, mu, law.sigma, p.alpha, p.b * math.log(10.0))
        return out

    def _loads(self, events: Events, stands: Floats) -> Floats:
        """Return each event's offspring in each mode (generation, event, mode), by where that generation falls."""
        p = self.model.parameters
        above = events.magnitude - p.m0
        edges_x, edges_y = self._plane.edges(self._margin)
        direct = cell_masses(events.x, events.y, p.d * np.exp(p.gamma * above), p.q - 1.0, edges_x, edges_y)
        variance = variance_nodes(p)
        later = mixture_cell_masses(
            events.x, events.y, variance, generation_weights(p, above, variance), edges_x, edges_y
        )
        mass = np.concatenate([direct[None], later])
        return np.asarray((stands * p.k * np.exp(p.alpha * above))[:, None] * mass @ self._operator.modes)

    def _counts(self, in_modes: Floats) -> Floats:
        """Return counts (..., lat, lon) of the box from counts (..., mode)."""
        plane, margin = self._plane, self._margin
        rows = np.arange(plane.rows) + margin
        columns = np.arange(plane.columns) + margin
        inner = (rows[:, None] * (plane.columns + 2 * margin) + columns).ravel()
        cells = in_modes @ self._operator.modes[inner].T
        return np.asarray(cells.reshape(*in_modes.shape[:-1], plane.rows, plane.columns))

    def forecast(self, view: CatalogView) -> xr.DataArray:
        """Return expected target counts (horizon, lat, lon) in [issue_time, issue_time + horizon).

        Raises
        ------
        ValueError
            If the view holds an event after its issue time.
        """
        operator = self._operator
        events = select_events(view.catalog(), self.region)
        ages = to_days(view.issue_time) - events.days
        if ages.size and float(ages.min()) < 0:
            raise ValueError(
                f"issue time {view.issue_time}: expected a catalog that ends there, found an event "
                f"{-float(ages.min()):g} days later"
            )
        state = np.exp(-operator.rates[:, None] * ages[None]) @ self._loads(events, self._stands_for(events))
        counts = self._counts(np.einsum("ghkm,gkm->hm", operator.response, state) + operator.constant)
        return xr.DataArray(
            counts,
            dims=("horizon", "lat", "lon"),
            coords={
                "horizon": list(self.horizons),
                "lat": self.region.latitudes,
                "lon": self.region.longitudes,
            },
            attrs={"units": "1", "issue_time": str(view.issue_time)},
        )

    def forecast_many(self, catalog: xr.Dataset, issue_times: NDArray[np.datetime64]) -> xr.DataArray:
        """Return the forecasts of many issue times, the same numbers as `forecast` gives for each view.

        The state of the exponentials is carried from one issue time to the next: each version of an event enters
        at the first issue time at or after its available_time, and leaves when a later version comes.

        Parameters
        ----------
        catalog : Dataset (event) of versions
            With `event_id` and `available_time`.
        issue_times : array (issue_time,), datetime64
            In any order.

        Returns
        -------
        DataArray (issue_time, horizon, lat, lon)
            Expected counts.
        """
        operator = self._operator
        times = np.asarray(issue_times, dtype="datetime64[ns]")
        order = np.argsort(times, kind="stable")
        days = to_days(times[order])
        events, enter, leave = self._versions(catalog, times[order])
        loads = self._loads(events, self._stands_for(events, (enter, leave)))
        state = np.zeros((loads.shape[0], operator.rates.size, operator.modes.shape[1]))
        in_modes = np.empty((len(days), len(self.horizons), operator.modes.shape[1]))
        by_enter, by_leave = np.argsort(enter, kind="stable"), np.argsort(leave, kind="stable")
        for i, day in enumerate(days):
            if i:
                state *= np.exp(-operator.rates * (day - days[i - 1]))[:, None]
            for ranks, column, sign in ((by_enter, enter, 1.0), (by_leave, leave, -1.0)):
                low, high = np.searchsorted(column[ranks], [i, i + 1])
                moved = ranks[low:high]
                if moved.size:
                    ages = day - events.days[moved]
                    state += sign * (np.exp(-operator.rates[:, None] * ages) @ loads[:, moved])
            in_modes[i] = np.einsum("ghkm,gkm->hm", operator.response, state) + operator.constant
        counts = np.empty((len(days), len(self.horizons), self._plane.rows, self._plane.columns))
        counts[order] = self._counts(in_modes)
        return xr.DataArray(
            counts,
            dims=("issue_time", "horizon", "lat", "lon"),
            coords={
                "issue_time": times,
                "horizon": list(self.horizons),
                "lat": self.region.latitudes,
                "lon": self.region.longitudes,
            },
            attrs={"units": "1"},
        )

    def _versions(
        self, catalog: xr.Dataset, times: NDArray[np.datetime64]
    ) -> tuple[Events, NDArray[np.int64], NDArray[np.int64]]:
        """Return the versions that can be seen, with the index of the issue time at which each enters and leaves."""
        available = catalog["available_time"].to_numpy().astype("datetime64[ns]")
        # A version without available_time never enters; compared as integers, because days lose nanoseconds.
        never = np.iinfo(np.int64).max
        known = np.where(np.isnat(available), never, available.astype(np.int64))
        enter = np.searchsorted(times.astype(np.int64), known, side="left")
        ids = catalog["event_id"].to_numpy().astype(str)
        order = np.lexsort((np.arange(ids.size), known, ids))
        leave = np.full(ids.size, times.size, dtype=np.int64)
        same = ids[order[1:]] == ids[order[:-1]]
        leave[order[:-1][same]] = enter[order[1:][same]]
        seen = np.flatnonzero(enter < leave)
        events = select_events(catalog.isel(event=seen), self.region)
        enter, leave = enter[seen][events.row], leave[seen][events.row]
        early = to_days(times)[enter] - events.days
        if early.size and float(early.min()) < 0:
            raise ValueError(
                f"catalog: expected events that are available after they happened, found one available "
                f"{-float(early.min()):g} days before"
            )
        return events, enter, leave
