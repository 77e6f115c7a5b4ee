"""Slow-slip events: the hidden state that raises the background and moves the ground."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc

from tasks.simulation.config import SlowSlipConfig
from tasks.simulation.faults import Fault
from tasks.simulation.geometry import Domain, Floats

DAYS_PER_YEAR = 365.25
WARM_UP_DURATIONS = 10.0
RAMP_SHARE = 0.15


@dataclass(frozen=True)
class SlowSlip:
    """One event: `start` and `duration` in days of the world's clock, place in km, factor on the background."""

    start: float
    duration: float
    x: float
    y: float
    fault: Fault
    radius_km: float
    factor: float
    moment_magnitude: float

    @property
    def end(self) -> float:
        """Day at which it ends."""
        return self.start + self.duration

    def footprint(self, domain: Domain) -> Floats:
        """Return exp(-(r / radius)^2) on the sub-cells, 1 at the centre."""
        dx, dy = domain.sub_x - self.x, domain.sub_y - self.y
        return np.outer(np.exp(-((dy / self.radius_km) ** 2)), np.exp(-((dx / self.radius_km) ** 2)))

    def slip_share(self, time: Floats) -> Floats:
        """Return the share 0..1 of final slip at `time` (days): constant rate with ramps at both ends."""
        u = np.clip((time - self.start) / self.duration, 0.0, 1.0)
        a = RAMP_SHARE
        peak = 1.0 / (1.0 - a)
        rising = peak * u**2 / (2 * a)
        steady = peak * (u - a / 2)
        falling = 1.0 - peak * (1 - u) ** 2 / (2 * a)
        return np.asarray(np.where(u < a, rising, np.where(u > 1 - a, falling, steady)))


@dataclass(frozen=True)
class SlowSlipLaw:
    """Poisson arrivals, uniform along the faults; gamma durations. Everything the oracle may know."""

    config: SlowSlipConfig
    faults: tuple[Fault, ...]

    @property
    def arrivals_per_day(self) -> float:
        """Rate of arrivals, 1/day."""
        return self.config.per_year / DAYS_PER_YEAR

    def survival(self, age: Floats) -> Floats:
        """Return P(duration > age), age in days."""
        shape = self.config.duration_shape
        return np.asarray(gammaincc(shape, np.maximum(age, 0.0) * shape / self.config.duration_mean_days))

    def survival_tail(self, age: Floats) -> Floats:
        """Return the integral of the survival function from `age` to infinity, days (closed form)."""
        shape, mean = self.config.duration_shape, self.config.duration_mean_days
        return np.asarray(mean * gammaincc(shape + 1, age * shape / mean) - age * self.survival(age))

    def expected_days_left(self, age: Floats, ahead: Floats) -> Floats:
        """Return the mean days within the next `ahead` days that an event of `age` days is still active."""
        return np.asarray((self.survival_tail(age) - self.survival_tail(age + ahead)) / self.survival(age))

    def expected_days_of_arrivals(self, ahead: Floats) -> Floats:
        """Return the mean active days within the next `ahead` days of events that have not yet begun."""
        grid = np.linspace(0.0, max(float(np.max(ahead)), 1e-6), 601)
        active = self.arrivals_per_day * (self.survival_tail(np.zeros(1)) - self.survival_tail(grid))
        step = np.diff(grid) * (active[1:] + active[:-1]) / 2
        return np.asarray(np.interp(ahead, grid, np.concatenate([[0.0], np.cumsum(step)])))

    def mean_extra_factor(self, domain: Domain) -> Floats:
        """Return E[(factor - 1) footprint] of one event on the sub-cells, by quadrature over place and radius."""
        low, high = self.config.radius_km
        radii = low + (high - low) * (np.arange(6) + 0.5) / 6
        total = np.zeros((len(domain.sub_y), len(domain.sub_x)))
        for fault, probability in zip(self.faults, self._probabilities(), strict=True):
            n = max(8, int(np.ceil(fault.length_km / 2.0)))
            x, y = fault.along((np.arange(n) + 0.5) / n)
            for radius in radii:
                gx = np.exp(-(((domain.sub_x - x[:, None]) / radius) ** 2))
                gy = np.exp(-(((domain.sub_y - y[:, None]) / radius) ** 2))
                total += probability / (n * len(radii)) * (gy.T @ gx)
        return np.asarray((np.mean(self.config.factor) - 1.0) * total)

    def draw(self, days: float, rng: np.random.Generator) -> list[SlowSlip]:
        """Return the events that are active within [0, days), drawn from a warmed-up process, by start."""
        c = self.config
        warm_up = WARM_UP_DURATIONS * c.duration_mean_days
        n = rng.poisson(self.arrivals_per_day * (days + warm_up))
        starts = np.sort(rng.uniform(-warm_up, days, n))
        events = []
        for start in starts:
            fault = self.faults[int(rng.choice(len(self.faults), p=self._probabilities()))]
            x, y = fault.along(rng.uniform(size=1))
            event = SlowSlip(
                start=float(start),
                duration=float(rng.gamma(c.duration_shape, c.duration_mean_days / c.duration_shape)),
                x=float(x[0]),
                y=float(y[0]),
                fault=fault,
                radius_km=float(rng.uniform(*c.radius_km)),
                factor=float(rng.uniform(*c.factor)),
                moment_magnitude=float(rng.uniform(*c.moment_magnitude)),
            )
            if event.end > 0:
                events.append(event)
        return events

    def _probabilities(self) -> Floats:
        lengths = np.array([f.length_km for f in self.faults])
        return np.asarray(lengths / lengths.sum())
