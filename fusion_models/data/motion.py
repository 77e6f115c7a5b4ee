"""How fast the ground near each cell moves, whatever the direction."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fusion_models.data.asof import View
from fusion_models.data.spec import SPEED_KERNELS_KM, SPEED_WINDOWS

YEAR_DAYS: Final = 365.25
# Speeds below this are noise, whose logarithm says nothing.
FLOOR_M_YR: Final = 0.02
# A cell further than about two kernel lengths from every station has no speed of its own.
LEAST_WEIGHT: Final = 0.02


def ground_speed(view: View, squared_km: NDArray[np.float64], age_days: int) -> NDArray[np.float64]:
    """Return log10 of the horizontal speed around each cell (cell, feature), m/yr; NaN where no station is near.

    A station's speed over a window is the distance between the medians of its two halves over half its length. The mean
    square over stations, Gaussian in distance, keeps what a fitted velocity field loses: on both sides of a slipping
    fault the ground moves in opposite directions, and the mean velocity on the fault is zero. Short windows tell early,
    long ones surely.

    Parameters
    ----------
    squared_km : (station, cell)
        Squared distances.
    age_days : int
        The windows end at the latest day with a position, at most this many days before the issue time.
    """
    longest = max(SPEED_WINDOWS)
    arrays = view.day_values("gnss", longest + age_days)
    positions = np.stack([arrays[name] for name in ("east", "north")], axis=-1)
    features = np.full((squared_km.shape[1], len(SPEED_WINDOWS) * len(SPEED_KERNELS_KM)), np.nan)
    observed = np.flatnonzero(np.isfinite(positions[longest:]).any(axis=(1, 2)))
    if observed.size == 0:
        return features
    stop = longest + int(observed[-1]) + 1
    kernels = [np.exp(-squared_km / length**2) for length in SPEED_KERNELS_KM]
    column = 0
    for window in SPEED_WINDOWS:
        half = window // 2
        moved = _median(positions[stop - half : stop]) - _median(positions[stop - window : stop - half])
        squared = (moved**2).sum(axis=-1) * (YEAR_DAYS / half) ** 2
        seen = np.isfinite(squared)
        for kernel in kernels:
            weight = seen @ kernel
            mean = np.where(seen, squared, 0.0) @ kernel / np.maximum(weight, 1e-12)
            speed = np.log10(np.sqrt(mean) + FLOOR_M_YR)
            features[:, column] = np.where(weight >= LEAST_WEIGHT, speed, np.nan)
            column += 1
    return features


def _median(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the median along time of (time, station, 2); NaN where fewer than half of the days are observed."""
    ordered = np.sort(values, axis=0)
    count = np.isfinite(values).sum(axis=0)
    low, high = np.maximum((count - 1) // 2, 0)[None], np.minimum(count // 2, len(values) - 1)[None]
    # NaN sorts last, so the middle of what is observed is found by its count.
    middle = (np.take_along_axis(ordered, low, 0) + np.take_along_axis(ordered, high, 0))[0] / 2
    return np.asarray(np.where(2 * count >= len(values), middle, np.nan), dtype=np.float64)
