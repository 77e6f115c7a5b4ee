"""Scaling that comes from the training split only and travels in the bundle."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

MIN_SAMPLES: Final = 16
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

    def apply(
        self, modality: str, values: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return (scaled, mask) of values (..., variable); NaN and unknown variables become 0 with mask False.

        Scaled values pass through asinh: linear near the centre, logarithmic where a mainshock's step is a
        thousand times the usual. The mask is True where a value was observed.
        """
        mask = np.isfinite(values) & np.asarray(self.known[modality])
        scaled = (values - np.asarray(self.centre[modality])) / np.asarray(self.scale[modality])
        return np.where(mask, np.arcsinh(np.where(mask, scaled, 0.0)), 0.0).astype(np.float32), mask


def fit_scaling(arrays: Mapping[str, NDArray[np.floating]]) -> Scaling:
    """Return the scaling of training samples `<modality>.values` (sample, ..., variable), NaN left out.

    Centre and scale are robust (quantiles, on an even subsample): a standard deviation would follow the few
    largest earthquakes. Where the quantiles coincide the standard deviation stands in, and 1 where that is 0.
    """
    centre: dict[str, tuple[float, ...]] = {}
    scale: dict[str, tuple[float, ...]] = {}
    known: dict[str, tuple[bool, ...]] = {}
    for key, values in arrays.items():
        modality, _, kind = key.partition(".")
        if kind != "values":
            continue
        statistics = [_statistics(values[..., i]) for i in range(values.shape[-1])]
        centre[modality] = tuple(s[0] for s in statistics)
        scale[modality] = tuple(s[1] for s in statistics)
        known[modality] = tuple(s[2] for s in statistics)
    return Scaling(centre=centre, scale=scale, known=known)


def _statistics(values: NDArray[np.floating]) -> tuple[float, float, bool]:
    finite = np.isfinite(values)
    samples = int(finite.reshape(len(values), -1).any(axis=1).sum())
    if samples < min(MIN_SAMPLES, len(values)) or samples == 0:
        return 0.0, 1.0, False
    seen = values[finite].astype(np.float64)
    seen = seen[:: max(1, seen.size // _MOST_VALUES)]
    low, middle, high = (float(q) for q in np.quantile(seen, [0.16, 0.5, 0.84]))
    spread = 0.5 * (high - low) or float(seen.std())
    return middle, spread if spread > 1e-30 else 1.0, True
