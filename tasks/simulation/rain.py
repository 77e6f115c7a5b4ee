"""Daily rain and the load of stored water: the slow weather that the background rate feels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.simulation.config import WeatherConfig
from tasks.simulation.geometry import Floats

YEAR = 365.25


@dataclass(frozen=True)
class RainLaw:
    """Wet days are a two-state Markov chain; a wet day's amount is gamma with a seasonal mean.

    Load anomaly of day d, known at its midnight: L[d] = phi L[d-1] + (rain[d-1] - mean rain[d-1]) / scale.
    `first_day` is the day of the year of day 0.
    """

    config: WeatherConfig
    first_day: float

    @property
    def wet_share(self) -> float:
        """Stationary probability of a wet day."""
        c = self.config
        return c.wet_after_dry / (1 + c.wet_after_dry - c.wet_after_wet)

    @property
    def phi(self) -> float:
        """Share of the load that is left after a day."""
        return float(np.exp(-1 / self.config.load_memory_days))

    def wet_day_mean(self, day: Floats) -> Floats:
        """Return the mean amount of a wet day, mm; `day` counts from the world's start."""
        phase = 2 * np.pi * (day + self.first_day - 15) / YEAR
        return np.asarray(self.config.rain_mean_mm * (1 + self.config.rain_season * np.cos(phase)))

    def draw(self, days: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Return rain (day) mm, wet (day), load anomaly (day + 1): load[d] holds during day d."""
        warm = int(6 * self.config.load_memory_days)
        day = np.arange(-warm, days, dtype=float)
        wet = np.zeros(len(day), dtype=bool)
        state = bool(rng.uniform() < self.wet_share)
        for i, u in enumerate(rng.uniform(size=len(day))):
            state = bool(u < (self.config.wet_after_wet if state else self.config.wet_after_dry))
            wet[i] = state
        shape = self.config.rain_shape
        rain = np.where(wet, rng.gamma(shape, self.wet_day_mean(day) / shape), 0.0)
        anomaly = (rain - self.wet_share * self.wet_day_mean(day)) / self.config.load_scale_mm
        load = np.zeros(len(day) + 1)
        for i, value in enumerate(anomaly):
            load[i + 1] = self.phi * load[i] + value
        return rain[warm:], wet[warm - 1 :], load[warm:]

    def expected_factor(
        self, beta: float, day: NDArray[np.int64], load: Floats, wet: NDArray[np.bool_], leads: int
    ) -> Floats:
        """Return E[exp(beta L[day + k]) | L[day], wet[day - 1]] for k = 0..leads, (issue, lead), exactly.

        The moment generating function of the gamma amounts is carried through the Markov chain.
        """
        c = self.config
        exponent = beta / c.load_scale_mm
        to_wet = np.array([c.wet_after_dry, c.wet_after_wet])
        out = np.empty((len(day), leads + 1))
        out[:, 0] = np.exp(beta * load)
        for lead in range(1, leads + 1):
            probability = np.stack([~wet, wet], axis=1).astype(float)
            for j in range(lead):
                s = exponent * self.phi ** (lead - 1 - j)
                mean = self.wet_day_mean((day + j).astype(float))
                becomes_wet = probability @ to_wet
                becomes_dry = probability.sum(axis=1) - becomes_wet
                mgf = (1 - s * mean / c.rain_shape) ** -c.rain_shape
                centred = np.exp(-s * self.wet_share * mean)
                probability = np.stack([becomes_dry, becomes_wet * mgf], axis=1) * centred[:, None]
            out[:, lead] = np.exp(beta * self.phi**lead * load) * probability.sum(axis=1)
        return out
