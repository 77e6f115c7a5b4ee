"""Nearest-neighbour declustering: how near each event is to its most likely parent, in time, space and magnitude."""

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Zaliapin and Ben-Zion (2013): fractal dimension of epicentres. Nothing is nearer than location errors tell.
DIMENSION: Final = 1.6
LEAST_KM: Final = 0.1


class Neighbours(NamedTuple):
    """Each event's nearest neighbour among earlier events; NaN and -1 for the first event.

    Attributes
    ----------
    log_eta : array (event,)
        log10 of eta = T R.
    log_time, log_distance : array (event,)
        log10 of the rescaled time T (years) and distance R (km^d).
    parent : int array (event,)
    background : array (event,)
        Probability that the event belongs to the far, independent mode; 1 for the first event.
    threshold : float
        log10 eta at which both modes are equally likely.
    """

    log_eta: Floats
    log_time: Floats
    log_distance: Floats
    parent: NDArray[np.int64]
    background: Floats
    threshold: float


@njit(cache=True, fastmath=True)
def _nearest(
    days: Floats, x: Floats, y: Floats, productivity: Floats, dimension: float, least2: float
) -> tuple[Floats, NDArray[np.int64]]:
    """Return the smallest ln(eta) of each event and its parent; sequential in one array each, no n x n matrix."""
    n = days.size
    best = np.full(n, np.inf)
    parent = np.full(n, -1, dtype=np.int64)
    half = 0.5 * dimension
    for j in range(1, n):
        for i in range(j):
            dt = days[j] - days[i]
            if dt <= 0.0:
                continue
            r2 = max((x[j] - x[i]) ** 2 + (y[j] - y[i]) ** 2, least2)
            eta = math.log(dt) + half * math.log(r2) + productivity[i]
            if eta < best[j]:
                best[j] = eta
                parent[j] = i
    return best, parent


def nearest_neighbours(
    days: Floats, x: Floats, y: Floats, magnitude: Floats, b: float, dimension: float = DIMENSION
) -> Neighbours:
    """Return the nearest neighbours of a catalog and each event's probability to be background.

    eta_ij = t_ij r_ij^d 10^(-b m_i), t in years, r in km, the smallest over all earlier i (Zaliapin and Ben-Zion 2013,
    eq. 1), and its rescaled parts T = t 10^(-b m / 2) and R = r^d 10^(-b m / 2). log10(eta) of clustered and of
    background events are two normal laws, fitted by EM; the probability is the background's part in their sum.

    Parameters
    ----------
    days : array (event,)
        Ascending. Of events at the same time none is the other's parent.
    x, y : array (event,), km
    magnitude : array (event,)
        Complete from their smallest on.
    b : float
    dimension : float
        Fractal dimension d.

    Raises
    ------
    ValueError
        If there are fewer than ten events, or times are not sorted.
    """
    if days.size < 10 or (np.diff(days) < 0).any():
        raise ValueError(f"declustering: expected ten events or more in order of time, found {days.size}")
    productivity = -b * math.log(10.0) * magnitude
    log_days, parent = _nearest(days, x, y, productivity, dimension, LEAST_KM**2)
    known = parent >= 0
    of = parent[known]
    distance = np.maximum(np.hypot(x[known] - x[of], y[known] - y[of]), LEAST_KM)
    parts = np.full((3, days.size), np.nan)
    parts[0, known] = (log_days[known] - math.log(365.25)) / math.log(10.0)
    parts[2, known] = dimension * np.log10(distance) - 0.5 * b * magnitude[of]
    parts[1] = parts[0] - parts[2]
    background = np.ones(days.size)
    background[known], threshold = _two_modes(parts[0, known])
    return Neighbours(parts[0], parts[1], parts[2], parent, background, threshold)


def _two_modes(values: Floats, rounds: int = 500) -> tuple[Floats, float]:
    """Return each value's probability to be of the upper of two normal laws, and where both are equally likely."""
    low, high = np.quantile(values, [0.2, 0.8])
    mean, deviation, share = (
        np.array([low, high]),
        np.full(2, max(float(values.std()) / 2, 1e-3)),
        np.full(2, 0.5),
    )
    for _ in range(rounds):
        part = _parts(values, mean, deviation, share)
        weight = part / part.sum(axis=0)
        new = (weight @ values) / weight.sum(axis=1)
        change = float(np.abs(new - mean).max())
        mean, share = new, weight.mean(axis=1)
        spread = (weight * (values - mean[:, None]) ** 2).sum(axis=1) / weight.sum(axis=1)
        deviation = np.sqrt(np.maximum(spread, 1e-6))
        if change < 1e-7:
            break
    upper = int(mean.argmax())
    grid = np.linspace(mean.min(), mean.max(), 2001)
    part = _parts(grid, mean, deviation, share)
    threshold = float(grid[int(np.argmax(part[upper] > part[1 - upper]))])
    part = _parts(values, mean, deviation, share)
    probability = part[upper] / part.sum(axis=0)
    # A wide law outlives a narrow one on both sides: beyond its own mode nobody changes sides.
    probability = np.where(values > mean[upper], np.maximum(probability, 0.5), probability)
    return np.where(values < mean[1 - upper], np.minimum(probability, 0.5), probability), threshold


def _parts(values: Floats, mean: Floats, deviation: Floats, share: Floats) -> Floats:
    scaled = (values - mean[:, None]) / deviation[:, None]
    return np.asarray(np.exp(-0.5 * scaled**2) * (share / deviation)[:, None] + 1e-300)
