"""True earthquakes: a modulated background and its cascades, drawn exactly from the law."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from tasks.simulation.etas_law import EtasLaw
from tasks.simulation.geometry import Domain, Floats
from tasks.simulation.slow_slip import SlowSlip


class TrueEvent(NamedTuple):
    """One row of the table of true events: time in days of the world's clock, place in km."""

    row: int
    time_days: float
    x_km: float
    y_km: float
    depth_km: float
    magnitude: float


def list_events(table: pd.DataFrame) -> list[TrueEvent]:
    """Return the rows of (a part of) the world's table of events, which keep their row number there."""
    columns = [table[name].to_numpy(dtype=float).tolist() for name in TrueEvent._fields[1:]]
    return [
        TrueEvent(*fields) for fields in zip(table.index.to_numpy(dtype=int).tolist(), *columns, strict=True)
    ]


@dataclass(frozen=True)
class Background:
    """Rate of independent events, exp(beta load) mu (1 + sum over active slow slip of (factor - 1) footprint).

    `field` is mu in events per day of a sub-cell (sub_lat, sub_lon); `load_factor` (day) is exp(beta load), constant
    within a day; `slips` are all slow-slip events of the world.
    """

    domain: Domain
    field: Floats
    load_factor: Floats
    slips: tuple[SlowSlip, ...]

    def extra_field(self, slip: SlowSlip) -> Floats:
        """Return what an active event adds to `field`, events per day of a sub-cell at load anomaly 0."""
        return np.asarray(self.field * (slip.factor - 1.0) * slip.footprint(self.domain))

    def load_integral(self, time: Floats) -> Floats:
        """Return the integral of the load factor from 0 to `time`, days.

        Raises
        ------
        ValueError
            If a time lies outside the world, whose load is not known there.
        """
        days = len(self.load_factor)
        if np.min(time, initial=0) < -1e-9 or np.max(time, initial=0) > days + 1e-9:
            raise ValueError(
                f"times must lie within the {days} days of the world, found {np.min(time):g} to {np.max(time):g}"
            )
        integral = np.concatenate([[0.0], np.cumsum(self.load_factor)])
        return np.asarray(np.interp(time, np.arange(days + 1), integral))

    def rate(self, time: Floats, x: Floats, y: Floats) -> Floats:
        """Return events/day/km2 at times (days) and places (km); 0 outside the domain."""
        dx, dy = self.domain.sub_step
        day = np.clip(np.floor(time).astype(int), 0, len(self.load_factor) - 1)
        extra = np.ones(np.shape(time))
        for slip in self.slips:
            active = (time >= slip.start) & (time < slip.end)
            if np.any(active):
                footprint = self.domain.at(slip.footprint(self.domain), x, y)
                extra = extra + active * (slip.factor - 1) * footprint
        return np.asarray(self.domain.at(self.field, x, y) / (dx * dy) * self.load_factor[day] * extra)

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
        """Return time (days), x, y (km) and index of the causing slow slip (-1 for none) by superposition."""
        days = np.arange(len(self.load_factor), dtype=float)
        parts = [self._draw_part(self.field, self.load_factor, days, np.ones(len(days)), -1, rng)]
        for index, slip in enumerate(self.slips):
            first, last = max(slip.start, 0.0), min(slip.end, float(len(days)))
            if last <= first:
                continue
            touched = days[int(first) : int(np.ceil(last))]
            begin = np.maximum(touched, first)
            length = np.minimum(touched + 1, last) - begin
            factor = self.load_factor[int(first) : int(np.ceil(last))]
            parts.append(self._draw_part(self.extra_field(slip), factor, begin, length, index, rng))
        time, x, y, cause = (np.concatenate(column) for column in zip(*parts, strict=True))
        return time, x, y, cause

    def _draw_part(
        self,
        field: Floats,
        factor: Floats,
        begin: Floats,
        length: Floats,
        cause: int,
        rng: np.random.Generator,
    ) -> tuple[Floats, Floats, Floats, Floats]:
        total = float(field.sum())
        count = rng.poisson(total * factor * length)
        n = int(count.sum())
        time = np.repeat(begin, count) + np.repeat(length, count) * rng.uniform(size=n)
        place = rng.choice(field.size, size=n, p=field.ravel() / total)
        row, column = np.unravel_index(place, field.shape)
        dx, dy = self.domain.sub_step
        x = self.domain.sub_x[column] + dx * (rng.uniform(size=n) - 0.5)
        y = self.domain.sub_y[row] + dy * (rng.uniform(size=n) - 0.5)
        return time, x, y, np.full(n, float(cause))


def simulate_events(background: Background, law: EtasLaw, rng: np.random.Generator) -> pd.DataFrame:
    """Return every true event of the world, sorted by time.

    Columns: `time_days` (from the world's start), `x_km`, `y_km`, `latitude`, `longitude`, `depth_km`, `magnitude`,
    `parent` (row of the triggering event, -1 for background), `slow_slip` (index of the slow slip that caused a
    background event, else -1), `generation`. Offspring outside the domain are kept: they trigger too.
    """
    days = float(len(background.load_factor))
    time, x, y, cause = background.draw(rng)
    magnitude = law.draw_magnitudes(len(time), rng)
    parent, generation = np.full(len(time), -1), np.zeros(len(time), dtype=int)
    frames = []
    first_row = 0
    while len(time):
        frames.append(
            pd.DataFrame(
                {
                    "time_days": time,
                    "x_km": x,
                    "y_km": y,
                    "magnitude": magnitude,
                    "parent": parent,
                    "slow_slip": cause.astype(int),
                    "generation": generation,
                }
            )
        )
        count = rng.poisson(law.productivity(magnitude))
        row = np.repeat(np.arange(len(time)), count)
        child_time = time[row] + law.draw_delays(len(row), rng)
        dx, dy = law.draw_offsets(magnitude[row], rng)
        child_magnitude = law.draw_magnitudes(len(row), rng)
        inside = child_time < days
        parent = first_row + row[inside]
        first_row += len(time)
        time, magnitude = child_time[inside], child_magnitude[inside]
        x, y = (x[row] + dx)[inside], (y[row] + dy)[inside]
        cause, generation = np.full(len(time), -1.0), np.full(len(time), len(frames))
    if not frames:
        raise ValueError("the world has no event: lengthen its period or raise background_per_day")
    return _in_order(pd.concat(frames, ignore_index=True), background.domain, law, rng)


def _in_order(events: pd.DataFrame, domain: Domain, law: EtasLaw, rng: np.random.Generator) -> pd.DataFrame:
    order = np.argsort(events["time_days"].to_numpy(), kind="stable")
    new_row = np.empty(len(order), dtype=int)
    new_row[order] = np.arange(len(order))
    events = events.iloc[order].reset_index(drop=True)
    parent = events["parent"].to_numpy()
    events["parent"] = np.where(parent >= 0, new_row[parent], -1)
    events["latitude"], events["longitude"] = domain.plane.to_degrees(events["x_km"], events["y_km"])
    c = law.config
    events["depth_km"] = np.clip(rng.normal(c.depth_mean_km, c.depth_sd_km, len(events)), 1.0, 20.0)
    return events
