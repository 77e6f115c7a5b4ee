"""Mean, annual and semi-annual terms: fitted on the training period, taken off all of it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

YEAR_DAYS: Final = 365.25
Floats = NDArray[np.float64]


def seasonal_design(days: NDArray[np.datetime64]) -> Floats:
    """Return (time, 5): one, cosine and sine of the year, cosine and sine of the half year."""
    phase = 2 * np.pi * days.astype("datetime64[D]").astype(np.float64) / YEAR_DAYS
    return np.stack(
        [np.ones_like(phase), np.cos(phase), np.sin(phase), np.cos(2 * phase), np.sin(2 * phase)], axis=1
    )


def seasonal_values(days: NDArray[np.datetime64], terms: Floats) -> Floats:
    """Return (time,) what the five `terms` of `seasonal_design` say of each day.

    Summed term by term: a matrix product may round a day differently in a longer series, and a day's value must not
    depend on how many days are asked for.
    """
    design = seasonal_design(days)
    out = design[:, 0] * terms[0]
    for k in range(1, design.shape[1]):
        out = out + design[:, k] * terms[k]
    return np.asarray(out)


def robust_fit(design: Floats, values: Floats, steps: int = 8) -> Floats:
    """Return (term,) least squares with Huber weights (1.345 robust standard deviations; Huber 1964).

    NaN in `values` (row,) counts as missing.

    Raises
    ------
    ValueError
        If fewer values than terms are observed.
    """
    seen = np.isfinite(values)
    if seen.sum() < design.shape[1]:
        raise ValueError(f"expected at least {design.shape[1]} observed values, found {int(seen.sum())}")
    A, y = design[seen], values[seen]
    weight = np.ones(y.size)
    terms: Floats = np.zeros(design.shape[1])
    for _ in range(steps):
        root = np.sqrt(weight)
        terms = np.asarray(np.linalg.lstsq(A * root[:, None], y * root, rcond=None)[0], dtype=np.float64)
        residual = np.abs(y - A @ terms)
        scale = 1.4826 * float(np.median(residual))
        if scale == 0.0:
            break
        weight = np.minimum(1.0, 1.345 * scale / np.maximum(residual, 1e-300))
    return terms


def midas_trend(days: NDArray[np.datetime64], values: Floats) -> float:
    """Return the trend in units per year as the median over pairs one year apart (Blewitt et al. 2016, eq. 1-3).

    Steps and outliers touch few pairs, so that equipment changes need not be known; the year's cycle cancels.
    `days` are consecutive. NaN if fewer than 100 pairs are observed.
    """
    lag = round(YEAR_DAYS)
    if values.size <= lag:
        return float("nan")
    slopes = (values[lag:] - values[:-lag]) / (lag / YEAR_DAYS)
    slopes = slopes[np.isfinite(slopes)]
    if slopes.size < 100:
        return float("nan")
    middle = float(np.median(slopes))
    spread = 1.4826 * float(np.median(np.abs(slopes - middle)))
    return float(np.median(slopes[np.abs(slopes - middle) <= 2 * spread + 1e-300]))
