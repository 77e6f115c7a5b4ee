"""Departures from what is usual: from the season that the training period taught, or from the last weeks."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.cubes.harmonics import robust_fit, seasonal_design, seasonal_values

LOAD_DAYS: Final = 30
CLIMATOLOGY_DAYS: Final = 365
Floats = NDArray[np.float64]


def standardise(
    values: Floats, days: NDArray[np.datetime64], training: NDArray[np.bool_], trailing_days: int = LOAD_DAYS
) -> Floats:
    """Return (time, point) departures from what is usual, in standard deviations; NaN where missing.

    With a year or more observed in training: usual is the mean, annual and semi-annual term fitted there, and the
    deviation is that of the training residuals. With less: mean and standard deviation of the
    `trailing_days` days that end with the day, of which a third must be observed. A constant series has
    anomaly 0.
    """
    return depart(values, days, fit_usual(values, days, training), trailing_days)


def fit_usual(
    values: Floats, days: NDArray[np.datetime64], training: NDArray[np.bool_]
) -> list[tuple[float, ...] | None]:
    """Return per point of (time, point) five seasonal terms, mean and deviation of the rest; None if under a year."""
    out: list[tuple[float, ...] | None] = []
    for series in values.T:
        seen = training & np.isfinite(series)
        if seen.sum() < CLIMATOLOGY_DAYS:
            out.append(None)
            continue
        terms = robust_fit(seasonal_design(days[seen]), series[seen])
        rest = series[seen] - seasonal_values(days[seen], terms)
        # The robust fit is of the middle; rain lies mostly above it, and its mean must not.
        mean = float(rest.mean())
        out.append((*(float(term) for term in terms), mean, float((rest - mean).std())))
    return out


def depart(
    values: Floats,
    days: NDArray[np.datetime64],
    usual: Sequence[tuple[float, ...] | None],
    trailing_days: int,
) -> Floats:
    """Return (time, point) departures from `usual` as `standardise` defines them."""
    out = np.full(values.shape, np.nan)
    for p, fit in enumerate(usual):
        series = values[:, p]
        if fit is not None:
            departure = series - seasonal_values(days, np.array(fit[:-2])) - fit[-2]
            spread: Floats = np.full(series.shape, fit[-1])
        else:
            mean, spread = _trailing_moments(series, trailing_days)
            departure = series - mean
        flat = spread <= 1e-9 * np.maximum(1.0, np.abs(series))
        out[:, p] = np.where(flat, 0.0 * departure, departure / np.where(flat, 1.0, spread))
    return out


def _trailing_moments(values: Floats, n: int) -> tuple[Floats, Floats]:
    """Return mean and deviation of the n rows that end with each row; NaN where under a third is observed.

    Each window is summed by itself: a running sum would carry the rounding of all the rows before.
    """
    total, count = trailing_total(values, n)
    enough = count >= -(-n // 3)
    mean = np.where(enough, total / np.maximum(count, 1), np.nan)
    square = np.zeros(values.shape)
    for lag in range(min(n, values.shape[0])):
        rest = values[: values.shape[0] - lag] - mean[lag:]
        square[lag:] += np.where(np.isfinite(rest), rest**2, 0.0)
    return mean, np.where(enough, np.sqrt(square / np.maximum(count, 1)), np.nan)


def trailing_total(values: Floats, n: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return sum and number of what is observed in the n rows that end with each row."""
    seen = np.isfinite(values)
    filled = np.where(seen, values, 0.0)
    total, count = np.zeros(values.shape), np.zeros(values.shape, np.int64)
    for lag in range(min(n, values.shape[0])):
        total[lag:] += filled[: values.shape[0] - lag]
        count[lag:] += seen[: values.shape[0] - lag]
    return total, count
