"""Magnitude of completeness by three methods, each with the spread that bootstrap samples of the catalog give."""

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.seismicity.completeness import Estimate

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Method = Literal["maximum_curvature", "b_stability", "kolmogorov_smirnov"]

# Maximum curvature finds too little by about that much (Woessner and Wiemer 2005).
CORRECTION: Final = 0.2
# A b-value of fewer events says little; no magnitude with fewer above it is looked at.
FEWEST: Final = 50
# b is compared with its mean over half a magnitude unit (Cao and Gao 2002; Woessner and Wiemer 2005).
STABLE_OVER: Final = 0.5
_LOG10_E: Final = float(np.log10(np.e))


class _Law(NamedTuple):
    """Geometric laws fitted above each magnitude bin of samples (sample, bin); NaN with fewer than `FEWEST` events."""

    b: Floats
    error: Floats
    above: Floats


def _fit(counts: Counts, step: float) -> _Law:
    """Return b (binned: Tinti and Mulargia 1987) and its error (Shi and Bolt 1982) for events from each bin on."""
    bins = np.arange(counts.shape[1])

    def tail(values: Floats) -> Floats:
        return np.asarray(values[:, ::-1].cumsum(axis=1)[:, ::-1], np.float64)

    above, first, second = (tail(counts * bins.astype(np.float64) ** k) for k in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = first / above
        excess = mean - bins
        b = np.log1p(1.0 / excess) * _LOG10_E / step
        variance = (second / above - mean**2) * step**2 / (above - 1.0)
        error = np.log(10.0) * b**2 * np.sqrt(variance)
    few = (above < FEWEST) | ~np.isfinite(b)
    return _Law(np.where(few, np.nan, b), np.where(few, np.nan, error), above)


def _curvature(counts: Counts, step: float) -> Floats:
    return np.asarray(counts.argmax(axis=1) + round(CORRECTION / step), np.float64)


def _b_stability(counts: Counts, step: float) -> Floats:
    law = _fit(counts, step)
    over = round(STABLE_OVER / step)
    padded = np.pad(law.b, ((0, 0), (0, over - 1)), constant_values=np.nan)
    mean = np.lib.stride_tricks.sliding_window_view(padded, over, axis=1).mean(axis=2)
    stable = np.abs(mean - law.b) <= law.error
    return np.where(stable.any(axis=1), stable.argmax(axis=1).astype(np.float64), np.nan)


def _kolmogorov_smirnov(counts: Counts, step: float) -> Floats:
    law = _fit(counts, step)
    samples, size = counts.shape
    below = np.concatenate([np.zeros((samples, 1)), counts.cumsum(axis=1)], axis=1)
    distance = np.full((samples, size), np.inf)
    for k in range(size):
        known = np.isfinite(law.b[:, k])
        if not known.any():
            continue
        order = np.arange(1, size - k + 1)
        fitted = -np.expm1(-np.log(10.0) * step * law.b[known, k, None] * order)
        seen = (below[known, k + 1 :] - below[known, k, None]) / law.above[known, k, None]
        distance[known, k] = np.abs(seen - fitted).max(axis=1)
    found = np.isfinite(distance).any(axis=1)
    return np.where(found, distance.argmin(axis=1).astype(np.float64), np.nan)


_METHODS: Final = {
    "maximum_curvature": _curvature,
    "b_stability": _b_stability,
    "kolmogorov_smirnov": _kolmogorov_smirnov,
}


def magnitude_of_completeness(
    magnitudes: Floats, method: Method, step: float = 0.1, draws: int = 200, seed: int = 0
) -> Estimate:
    """Return the magnitude from which on a catalog misses nothing, with its bootstrap error.

    `maximum_curvature`: the fullest bin plus 0.2 (Wiemer and Wyss 2000; Woessner and Wiemer 2005). `b_stability`: the
    smallest magnitude whose b-value differs from the mean of those of the next half unit by no more than its error
    (Cao and Gao 2002; Woessner and Wiemer 2005). `kolmogorov_smirnov`: the magnitude above which the fitted
    Gutenberg-Richter law is nearest to the sample (Clauset et al. 2009, sec. 3.3), in its binned form.

    Parameters
    ----------
    magnitudes : array (event,)
        Of the training period; no NaN.
    method : str
    step : float
        Bin width; magnitudes are rounded to it.
    draws : int
        Bootstrap samples. Those in which the method finds nothing do not count.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Estimate
        Centre of the first complete bin; NaN where the method finds none, which needs 50 events above. The
        error is the standard deviation over the samples.

    Raises
    ------
    ValueError
        If there are no magnitudes or one is not finite.
    """
    if magnitudes.size == 0 or not np.isfinite(magnitudes).all():
        raise ValueError(
            f"completeness: expected finite magnitudes, found {magnitudes.size} with NaN or none"
        )
    bins = np.floor(magnitudes / step + 0.5 + 1e-9).astype(np.int64)
    low = int(bins.min())
    counts = np.bincount(bins - low)
    rng = np.random.default_rng(seed)
    samples = rng.multinomial(magnitudes.size, counts / magnitudes.size, size=draws)
    find = _METHODS[method]
    value = float(find(counts[None], step)[0])
    spread = find(samples, step)
    spread = spread[np.isfinite(spread)]
    error = float(np.std(spread, ddof=1)) * step if spread.size > 1 else np.nan
    return Estimate(round((value + low) * step, 6), error, int(magnitudes.size))
