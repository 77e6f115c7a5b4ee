"""What could be known: the oracle's mean count and the clairvoyant's integral of the realised intensity."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tasks.simulation.branching_mean import BranchingMean, lead_bins
from tasks.simulation.etas_law import EtasLaw
from tasks.simulation.geometry import Floats
from tasks.simulation.rain import RainLaw
from tasks.simulation.seismicity import Background
from tasks.simulation.slow_slip import SlowSlipLaw

CHUNK = 25


@dataclass(frozen=True)
class Expectation:
    """Expected counts per cell of target events (every true event is one: the smallest magnitude is completeness).

    `time x y magnitude` are all true events, sorted by time; `wet` (day + 1) holds the state of the day before;
    `load` (day + 1) the anomaly that holds during each day.
    """

    background: Background
    law: EtasLaw
    slip_law: SlowSlipLaw
    rain_law: RainLaw
    load: Floats
    wet: NDArray[np.bool_]
    time: Floats
    x: Floats
    y: Floats
    magnitude: Floats

    @cached_property
    def _cell_mass(self) -> NDArray[np.float32]:
        domain = self.background.domain
        out = np.empty((len(self.time), domain.shape[0] * domain.shape[1]), dtype=np.float32)
        for i in range(0, len(out), 500):
            s = slice(i, i + 500)
            mass = self.law.cell_mass(domain.x_edges, domain.y_edges, self.x[s], self.y[s], self.magnitude[s])
            out[s] = mass.reshape(len(mass), -1)
        return out

    @cached_property
    def _background_cells(self) -> Floats:
        """Fields per day at load anomaly 0: mu, one per slow slip, mean of a coming slow slip (field, cell)."""
        b = self.background
        coming = b.field * self.slip_law.mean_extra_factor(b.domain)
        fields = [b.field, *(b.extra_field(slip) for slip in b.slips), coming]
        return np.stack([b.domain.to_cells(f).ravel() for f in fields])

    def oracle(self, issue: Floats, horizons: Floats) -> Floats:
        """Return mean counts (issue, horizon, lat, lon) given every event, slip and load up to each issue time (days).

        The mean of the branching process by a linear Volterra equation; that of the background from the law of
        durations, arrivals and rain, in closed form. It is the mean over all futures, with no draw and no look
        at the realised one.
        """
        edges = lead_bins(horizons)
        branching = BranchingMean.of(self.background.domain, self.law, edges, horizons)
        rows, columns = self.background.domain.shape
        background = self._oracle_background(issue, edges)
        productivity = self.law.productivity(self.magnitude).astype(np.float32)
        parts = []
        for i in range(0, len(issue), CHUNK):
            now = issue[i : i + CHUNK]
            known = int(np.searchsorted(self.time, now.max(), side="right"))
            age = now[:, None] - self.time[None, :known]
            cdf = np.stack([self._cdf(age + edge) for edge in edges], axis=1)
            weight = np.diff(cdf, axis=1) * productivity[:known]
            weight *= (age >= 0)[:, None, :]
            direct = weight.reshape(-1, known) @ self._cell_mass[:known]
            total = direct.reshape(len(now), len(edges) - 1, -1) + background[i : i + CHUNK]
            parts.append(branching.counts(total.reshape(len(now), len(edges) - 1, rows, columns)))
        inner = self.background.domain.inner
        return np.concatenate(parts)[:, :, inner[0], inner[1]]

    def clairvoyant(self, issue: Floats, horizons: Floats) -> Floats:
        """Return the integral of the realised intensity (issue, horizon, lat, lon) over [issue, issue + horizon), days.

        Parents, slip and load inside the window are included.

        Raises
        ------
        ValueError
            If a window reaches past the world.
        """
        begin = np.repeat(issue, len(horizons))
        end = (issue[:, None] + horizons[None, :]).ravel()
        b = self.background
        days = [b.load_integral(end) - b.load_integral(begin)]
        for slip in b.slips:
            first, last = np.maximum(begin, slip.start), np.minimum(end, slip.end)
            days.append(b.load_integral(np.maximum(last, first)) - b.load_integral(first))
        counts = np.stack(days, axis=1) @ self._background_cells[:-1]
        productivity = self.law.productivity(self.magnitude).astype(np.float32)
        for i in range(0, len(begin), CHUNK):
            s = slice(i, i + CHUNK)
            known = int(np.searchsorted(self.time, end[s].max(), side="right"))
            age = self.time[None, :known]
            weight = self._cdf(end[s, None] - age) - self._cdf(begin[s, None] - age)
            counts[s] += (weight * productivity[:known]) @ self._cell_mass[:known]
        rows, columns = b.domain.shape
        inner = b.domain.inner
        return np.asarray(counts.reshape(len(issue), len(horizons), rows, columns)[:, :, inner[0], inner[1]])

    def _cdf(self, delay: Floats) -> NDArray[np.float32]:
        # float32 halves the cost; ages are differenced before, so its 7 digits belong to a share of 0..1
        c, p = self.law.config.omori_c_days, self.law.config.omori_p
        scaled = np.maximum(delay, 0.0).astype(np.float32) / np.float32(c)
        return np.asarray(1 - np.exp(np.float32(1 - p) * np.log1p(scaled)), dtype=np.float32)

    def _oracle_background(self, issue: Floats, edges: Floats) -> Floats:
        """Return expected background counts (issue, lead bin, cell) given the state at the issue time."""
        beta = self.law.config.load_beta
        leads = int(np.ceil(edges[-1])) + 1
        day = np.floor(issue + 1e-9).astype(np.int64)
        if day.min() < 0 or day.max() >= len(self.load):
            raise ValueError(
                f"issue times must lie within the world, found days {issue.min():g} to {issue.max():g}"
            )
        factor = self.rain_law.expected_factor(beta, day, self.load[day], self.wet[day], leads)
        steps = np.unique(np.concatenate([edges, np.arange(0, edges[-1])]))
        into_bin = np.searchsorted(edges, steps[:-1], side="right") - 1
        known_days = np.arange(leads + 2)
        integral = np.concatenate([np.zeros((len(issue), 1)), np.cumsum(factor, axis=1)], axis=1)
        fraction = issue - day
        load_days = np.stack(
            [np.interp(f + steps, known_days, row) for f, row in zip(fraction, integral, strict=True)]
        )
        mean_load = np.diff(load_days, axis=1) / np.diff(steps)
        slips = self.background.slips
        active_days = np.zeros((len(issue), len(slips) + 2, len(steps)))
        active_days[:, 0] = steps
        for k, slip in enumerate(slips):
            now = (issue >= slip.start) & (issue < slip.end)
            if now.any():
                age = (issue[now] - slip.start)[:, None]
                active_days[now, k + 1] = self.slip_law.expected_days_left(age, steps[None, :])
        active_days[:, -1] = self.slip_law.expected_days_of_arrivals(steps)
        # slip and rain are independent, so the mean of their product is the product of their means
        amount = np.diff(active_days, axis=2) * mean_load[:, None, :]
        bins = np.zeros((len(issue), len(slips) + 2, len(edges) - 1))
        for step, target in enumerate(into_bin):
            bins[:, :, target] += amount[:, :, step]
        return np.asarray(np.swapaxes(bins, 1, 2) @ self._background_cells)
