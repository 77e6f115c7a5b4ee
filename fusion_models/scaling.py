"""Scaling that comes from the training split only and travels in the bundle."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

MIN_SAMPLES: Final = 16
LEAST_RATE: Final = 1e-12
FADE_NATS: Final = 0.5
_RANGE: Final = (0.001, 0.999)
_MOST_VALUES: Final = 200_000


class Scaling(BaseModel):
    """Centre and scale of every variable, by modality.

    A variable seen in fewer than `MIN_SAMPLES` training samples is not `known`: its weights are untrained, so it
    stays masked for good, whatever arrives later.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    centre: dict[str, tuple[float, ...]] = Field(description="median, the variable's unit")
    scale: dict[str, tuple[float, ...]] = Field(description="half the distance of the 16 and 84 % quantiles")
    known: dict[str, tuple[bool, ...]] = Field(description="seen often enough in training")
    low: dict[str, tuple[float, ...]] = Field(description="quantile 0.1 % in training, scaled")
    high: dict[str, tuple[float, ...]] = Field(description="quantile 99.9 % in training, scaled")
    cell_log_rate: tuple[tuple[float, float], ...] = Field(
        default=(), description="least and largest log baseline rate of a cell in training, per horizon"
    )
    total_log_rate: tuple[tuple[float, float], ...] = Field(
        default=(), description="the same of the sum over all cells"
    )

    def apply(
        self, modality: str, values: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return (scaled, mask) of values (..., variable); NaN and unknown variables become 0 with mask False.

        Scaled values pass through asinh: linear near the centre, logarithmic where a mainshock's step is a
        thousand times the usual. Then they are clamped to the range seen in training: a network gives numbers
        beyond it too, but nothing ever checked them. The mask is True where a value was observed.
        """
        mask = np.isfinite(values) & np.asarray(self.known[modality])
        scaled = (values - np.asarray(self.centre[modality])) / np.asarray(self.scale[modality])
        bent = np.clip(np.arcsinh(np.where(mask, scaled, 0.0)), self.low[modality], self.high[modality])
        return np.where(mask, bent, 0.0).astype(np.float32), mask

    def support(self, rates: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how far the network may be believed (sample, horizon, lat, lon), 0..1, by the baseline's rates alone.

        1 within the range of training, exp(-(e / 0.5)^2 / 2) where a cell's log rate, or that of the whole region,
        lies e beyond it: in the days after a mainshock larger than all of training the forecast is the baseline's.
        """
        if not self.cell_log_rate:
            raise ValueError("expected a scaling fitted with baseline rates, found one without")
        cell = np.log(np.maximum(rates, LEAST_RATE))
        total = np.log(np.maximum(rates.sum(axis=(2, 3), keepdims=True), LEAST_RATE))
        beyond = np.maximum(_beyond(cell, self.cell_log_rate), _beyond(total, self.total_log_rate))
        return np.asarray(np.exp(-0.5 * (beyond / FADE_NATS) ** 2))


def fit_scaling(arrays: Mapping[str, NDArray[np.floating]]) -> Scaling:
    """Return the scaling of training samples `<modality>.values` (sample, ..., variable), NaN left out.

    Centre and scale are robust (quantiles, on an even subsample): a standard deviation would follow the few
    largest earthquakes. Where the quantiles coincide the standard deviation stands in, and 1 where that is 0. With
    `baseline_rates` (sample, horizon, lat, lon) among the arrays the scaling knows its `support` too.
    """
    centre: dict[str, tuple[float, ...]] = {}
    scale: dict[str, tuple[float, ...]] = {}
    known: dict[str, tuple[bool, ...]] = {}
    low: dict[str, tuple[float, ...]] = {}
    high: dict[str, tuple[float, ...]] = {}
    for key, values in arrays.items():
        modality, _, kind = key.partition(".")
        if kind != "values":
            continue
        statistics = [_statistics(values[..., i]) for i in range(values.shape[-1])]
        centre[modality] = tuple(s[0] for s in statistics)
        scale[modality] = tuple(s[1] for s in statistics)
        known[modality] = tuple(s[2] for s in statistics)
        low[modality] = tuple(s[3] for s in statistics)
        high[modality] = tuple(s[4] for s in statistics)
    cell_log_rate: tuple[tuple[float, float], ...] = ()
    total_log_rate: tuple[tuple[float, float], ...] = ()
    if "baseline_rates" in arrays:
        rates = arrays["baseline_rates"]
        cell_log_rate = _ranges(rates)
        total_log_rate = _ranges(rates.sum(axis=(2, 3)))
    return Scaling(
        centre=centre,
        scale=scale,
        known=known,
        low=low,
        high=high,
        cell_log_rate=cell_log_rate,
        total_log_rate=total_log_rate,
    )


def _ranges(rates: NDArray[np.floating]) -> tuple[tuple[float, float], ...]:
    logs = np.log(np.maximum(np.moveaxis(rates, 1, 0).reshape(rates.shape[1], -1), LEAST_RATE))
    return tuple((float(row.min()), float(row.max())) for row in logs)


def _beyond(values: NDArray[np.floating], ranges: tuple[tuple[float, float], ...]) -> NDArray[np.floating]:
    low, high = (np.asarray(edge)[:, None, None] for edge in zip(*ranges, strict=True))
    return np.asarray(np.maximum(np.maximum(low - values, values - high), 0.0))


def _statistics(values: NDArray[np.floating]) -> tuple[float, float, bool, float, float]:
    finite = np.isfinite(values)
    samples = int(finite.reshape(len(values), -1).any(axis=1).sum())
    if samples < min(MIN_SAMPLES, len(values)) or samples == 0:
        return 0.0, 1.0, False, 0.0, 0.0
    seen = values[finite].astype(np.float64)
    seen = seen[:: max(1, seen.size // _MOST_VALUES)]
    first, low, middle, high, last = (
        float(q) for q in np.quantile(seen, [_RANGE[0], 0.16, 0.5, 0.84, _RANGE[1]])
    )
    spread = 0.5 * (high - low) or float(seen.std())
    scale = spread if spread > 1e-30 else 1.0
    return (
        middle,
        scale,
        True,
        float(np.arcsinh((first - middle) / scale)),
        float(np.arcsinh((last - middle) / scale)),
    )
