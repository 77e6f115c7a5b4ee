"""The law of triggering (space-time ETAS, Ogata 1998) with closed forms for every integral that truth needs."""

from dataclasses import dataclass

import numpy as np

from tasks.simulation.config import SeismicityConfig
from tasks.simulation.geometry import Floats


@dataclass(frozen=True)
class EtasLaw:
    """Productivity x Omori-Utsu x isotropic power law, and truncated Gutenberg-Richter.

    An event of magnitude m has kappa(m) = A exp(alpha (m - m0)) direct offspring in the mean, with A such that
    the mean over magnitudes is `branching_ratio`. Delay: (p - 1)/c (1 + t/c)^-p. Place: sqrt(D)/(2 pi) (r^2 +
    D)^(-3/2), D = d exp(gamma (m - m0)): the power law with q = 3/2, whose integral over a rectangle is
    elementary.
    """

    config: SeismicityConfig
    magnitude_min: float

    @property
    def beta(self) -> float:
        """B ln 10."""
        return float(self.config.b_value * np.log(10))

    @property
    def productivity_min(self) -> float:
        """A: mean direct offspring of an event of the smallest magnitude."""
        span, rate = self.config.magnitude_max - self.magnitude_min, self.beta - self.config.alpha
        moment = span if abs(rate) < 1e-9 else -np.expm1(-rate * span) / rate
        return float(self.config.branching_ratio * -np.expm1(-self.beta * span) / (self.beta * moment))

    def productivity(self, magnitude: Floats) -> Floats:
        """Return the mean number of direct offspring."""
        return np.asarray(
            self.productivity_min * np.exp(self.config.alpha * (magnitude - self.magnitude_min))
        )

    def omori_density(self, delay: Floats) -> Floats:
        """Return the density of delays, 1/day; 0 for delays below zero."""
        c, p = self.config.omori_c_days, self.config.omori_p
        return np.where(delay > 0, (p - 1) / c * (1 + np.maximum(delay, 0) / c) ** (-p), 0.0)

    def omori_cdf_integral(self, delay: Floats) -> Floats:
        """Return the integral from 0 to `delay` of the share of offspring within a delay, days; 0 below zero."""
        c, p = self.config.omori_c_days, self.config.omori_p
        u = np.maximum(delay, 0)
        return np.asarray(u - c / (2 - p) * ((1 + u / c) ** (2 - p) - 1))

    def squared_length(self, magnitude: Floats) -> Floats:
        """Return D, km2."""
        excess = magnitude - self.magnitude_min
        return np.asarray(self.config.kernel_d_km2 * np.exp(self.config.kernel_gamma * excess))

    def spatial_density(self, r2: Floats, magnitude: Floats) -> Floats:
        """Return the density of places at squared distance `r2` (km2), 1/km2."""
        D = self.squared_length(magnitude)
        return np.asarray(np.sqrt(D) / (2 * np.pi) * (r2 + D) ** -1.5)

    def cell_mass(self, x_edges: Floats, y_edges: Floats, x: Floats, y: Floats, magnitude: Floats) -> Floats:
        """Return the share of offspring in each cell, (event, lat, lon), exact for rectangles."""
        D = self.squared_length(magnitude)[:, None, None]
        dx = (x_edges[None, :] - x[:, None])[:, None, :]
        dy = (y_edges[None, :] - y[:, None])[:, :, None]
        corner = np.arctan(dx * dy / np.sqrt(D * (dx**2 + dy**2 + D))) / (2 * np.pi)
        return np.asarray(np.diff(np.diff(corner, axis=1), axis=2))

    def draw_magnitudes(self, n: int, rng: np.random.Generator) -> Floats:
        """Return magnitudes of truncated Gutenberg-Richter."""
        cut = -np.expm1(-self.beta * (self.config.magnitude_max - self.magnitude_min))
        return np.asarray(self.magnitude_min - np.log1p(-rng.uniform(size=n) * cut) / self.beta)

    def draw_delays(self, n: int, rng: np.random.Generator) -> Floats:
        """Return delays of offspring, days."""
        c, p = self.config.omori_c_days, self.config.omori_p
        return np.asarray(c * ((1 - rng.uniform(size=n)) ** (1 / (1 - p)) - 1))

    def draw_offsets(self, magnitude: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return offsets (x, y) of offspring from parents of the given magnitudes, km."""
        u = 1 - rng.uniform(size=len(magnitude))
        r = np.sqrt(self.squared_length(magnitude) * (u**-2 - 1))
        azimuth = rng.uniform(0, 2 * np.pi, len(magnitude))
        return r * np.sin(azimuth), r * np.cos(azimuth)
