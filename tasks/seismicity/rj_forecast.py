"""The Reasenberg-Jones forecaster: background, and every sequence under way with what its aftershocks told so far."""

import json
import math
from collections.abc import Sequence as Listed
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region
from tasks.seismicity.catalog import Events, known_at, select_events, times_in_force, to_days, training_window
from tasks.seismicity.forecaster import HORIZONS, CatalogView
from tasks.seismicity.generic_aftershocks import GENERIC, Generic, Spread
from tasks.seismicity.geometry import Plane, on_cells
from tasks.seismicity.reasenberg_jones import Belief, believe, observe
from tasks.seismicity.sequences import Sequence, find_sequences
from tasks.seismicity.smoothing import background_weights, choose_smoothing, kernel_sums, smoothed_cells

Floats = NDArray[np.float64]

# K(r) ~ (r^2 + d^2)^-1.5 about each event, d = 0.5 km + 0.01 km 10^(m/2): half a rupture length about a large
# mainshock, location error about a small aftershock (after Helmstetter, Kagan and Jackson 2006).
# The mainshock counts as so many aftershocks, so that there is a map before the first of them.
MAINSHOCK_WEIGHT: Final = 2.0
# The published laws tell how `a` differs among sequences, not p and c. On training periods this gave 0.025 nats per
# event more than fixed ones (simulated region) and 0.005 (Ridgecrest).
SPREAD: Final = Spread(p=0.1, log_c=0.3)


@dataclass
class _Map:
    """The sum of the kernels of a sequence's events, kept from one issue time to the next."""

    rows: NDArray[np.int64]
    mass: Floats


class ReasenbergJonesForecaster:
    """Expected counts of aftershock sequences under way, and of the background between them.

    Parameters
    ----------
    background : DataArray (lat, lon), 1/day
        Events that belong to no sequence.
    region : Region
        Its `aftershock_regime` names the generic law.
    horizons : sequence of int
        Days.
    spread : Spread
        How p and c differ among sequences.

    Notes
    -----
    A sequence is counted as if its mainshock alone triggered (Reasenberg and Jones 1989): what large aftershocks add is
    learnt only as it comes. Magnitudes follow Gutenberg-Richter with the generic b.
    """

    name = "reasenberg_jones"

    def __init__(
        self,
        background: xr.DataArray,
        region: Region,
        horizons: Listed[int] = HORIZONS,
        spread: Spread = SPREAD,
    ) -> None:
        if not bool((background > 0).all()) or not bool(np.isfinite(background).all()):
            raise ValueError(f"forecaster {self.name!r}: every cell's background must be finite and positive")
        self.background = background
        self.region = region
        self.horizons = tuple(horizons)
        self.generic: Generic = GENERIC[region.aftershock_regime]
        self.spread = spread
        self._plane = Plane.of(region)

    def to_json(self) -> str:
        """Return JSON of the background; the rest is the region's."""
        return json.dumps(self.background.values.tolist())

    @classmethod
    def from_json(cls, text: str, region: Region) -> "ReasenbergJonesForecaster":
        """Return what `to_json` wrote for the same region."""
        return cls(on_cells(np.asarray(json.loads(text), np.float64), region), region)

    def forecast(self, view: CatalogView) -> xr.DataArray:
        """Return expected target counts (horizon, lat, lon) in [issue_time, issue_time + horizon).

        Raises
        ------
        ValueError
            If the view holds an event after its issue time.
        """
        events = select_events(view.catalog(), self.region)
        counts = self._counts(events, float(to_days(view.issue_time)), {})
        return self._labelled(counts, {}).assign_attrs(issue_time=str(view.issue_time))

    def forecast_many(self, catalog: xr.Dataset, issue_times: NDArray[np.datetime64]) -> xr.DataArray:
        """Return the forecasts of many issue times, the same numbers as `forecast` gives for each view.

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
        times = np.asarray(issue_times, dtype="datetime64[ns]")
        order = np.argsort(times, kind="stable")
        enter, leave = times_in_force(catalog, times[order])
        versions = select_events(catalog, self.region)
        enter, leave = enter[versions.row], leave[versions.row]
        counts = np.empty((times.size, len(self.horizons), self._plane.rows, self._plane.columns))
        maps: dict[int, _Map] = {}
        for i, place in enumerate(order):
            events = versions.take((enter <= i) & (i < leave))
            counts[place] = self._counts(events, float(to_days(times[place])), maps)
        return self._labelled(counts, {"issue_time": times})

    def sequences(self, view: CatalogView) -> list[tuple[Sequence, Belief]]:
        """Return the sequences under way at the view's issue time, and what is believed of each."""
        events = select_events(view.catalog(), self.region)
        now = float(to_days(view.issue_time))
        return [(s, self._belief(events, s, now)) for s in self._under_way(events, now)]

    def _labelled(self, counts: Floats, times: dict[str, NDArray[np.datetime64]]) -> xr.DataArray:
        return xr.DataArray(
            counts,
            dims=(*times, "horizon", "lat", "lon"),
            coords={
                **times,
                "horizon": list(self.horizons),
                "lat": self.region.latitudes,
                "lon": self.region.longitudes,
            },
            attrs={"units": "1"},
        )

    def _under_way(self, events: Events, now: float) -> list[Sequence]:
        if events.days.size and events.days[-1] > now:
            raise ValueError(
                f"issue time {now:g} d: expected a catalog that ends there, found an event "
                f"{events.days[-1] - now:g} days later"
            )
        found = find_sequences(events, self.region.magnitude_completeness, now, since=now)
        return [s for s in found if math.isinf(s.end)]

    def _counts(self, events: Events, now: float, maps: dict[int, _Map]) -> Floats:
        """Return expected counts (horizon, lat, lon); `maps` carries over what later issue times can use."""
        horizons = np.array(self.horizons, np.float64)
        counts = horizons[:, None, None] * self.background.values
        for sequence in self._under_way(events, now):
            belief = self._belief(events, sequence, now)
            age = now - events.days[sequence.mainshock]
            completeness = self.region.magnitude_completeness
            expected = belief.expected(age, age + horizons, completeness)
            counts = counts + expected[:, None, None] * self._share(events, sequence, maps)
        return np.asarray(counts)

    def _belief(self, events: Events, sequence: Sequence, now: float) -> Belief:
        start, mainshock = events.days[sequence.mainshock], float(events.magnitude[sequence.mainshock])
        days, magnitude = events.days[sequence.members] - start, events.magnitude[sequence.members]
        floor = self.region.magnitude_completeness
        observed = observe(days, magnitude, mainshock, now - start, floor, self.generic, self.spread)
        return believe(self.generic, mainshock, observed, self.spread)

    def _share(self, events: Events, sequence: Sequence, maps: dict[int, _Map]) -> Floats:
        """Return where the sequence's events are expected (lat, lon); what falls outside the box is lost."""
        key, rows = int(events.row[sequence.mainshock]), events.row[sequence.members]
        kept = maps.get(key)
        if kept is not None and np.array_equal(kept.rows, rows):
            return np.asarray(kept.mass / (MAINSHOCK_WEIGHT + rows.size))
        if kept is None or np.setdiff1d(kept.rows, rows).size:  # a version was revised: begin anew
            first = MAINSHOCK_WEIGHT * self._mass(events, np.array([sequence.mainshock]))
            kept = _Map(np.empty(0, np.int64), first)
        came = sequence.members[~np.isin(rows, kept.rows)]
        maps[key] = _Map(rows, kept.mass + self._mass(events, came) if came.size else kept.mass)
        return np.asarray(maps[key].mass / (MAINSHOCK_WEIGHT + rows.size))

    def _mass(self, events: Events, chosen: NDArray[np.int64]) -> Floats:
        return kernel_mass(events, chosen, self._plane)


def kernel_mass(events: Events, chosen: NDArray[np.int64], plane: Plane) -> Floats:
    """Return the sum of the chosen events' kernels in each cell (lat, lon); each kernel's mass is 1 over the plane."""
    d = 0.5 + 0.01 * 10.0 ** (0.5 * events.magnitude[chosen])
    x, y, weight = events.x[chosen], events.y[chosen], np.ones(chosen.size)
    return np.asarray(kernel_sums(x, y, d, weight, *plane.edges()))


def fit_reasenberg_jones(
    catalog: xr.Dataset, region: Region, horizons: Listed[int] = HORIZONS
) -> ReasenbergJonesForecaster:
    """Return the forecaster with the background of [etas_start, train_end): what belongs to no sequence, smoothed.

    Parameters
    ----------
    catalog : Dataset (event) of versions
        Read as known at train_end.
    region : Region
        Box, margin, completeness, dates, regime.
    horizons : sequence of int
        Days.

    Raises
    ------
    ValueError
        If fewer than two events of the box belong to no sequence.
    """
    start, end = training_window(region)
    events = select_events(known_at(catalog, np.datetime64(region.split.train_end, "ns")), region)
    alone = events.inside & (events.days >= start) & (events.days < end)
    for sequence in find_sequences(events, region.magnitude_completeness, end):
        alone[sequence.members] = False
    background = events.take(alone)
    if background.days.size < 2:
        raise ValueError(
            f"region {region.name!r}: expected two events or more outside aftershock sequences in "
            f"[{region.etas_start}, {region.split.train_end}), found {background.days.size}"
        )
    plane = Plane.of(region)
    weightings = background_weights(background, plane, region)
    weighting, neighbours = choose_smoothing(background, weightings, plane)
    share = smoothed_cells(background, weightings[weighting], plane, neighbours)
    rate = on_cells(background.days.size / (end - start) * share, region)
    return ReasenbergJonesForecaster(rate, region, horizons)
