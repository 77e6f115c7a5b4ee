"""Is the gain in validation more than chance? Only then is a correction believed."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

SHRINKAGES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
LEVEL: Final = 0.05
BLOCK_DAYS: Final = 30
QUARTERS: Final = 2
# What the best of 12 candidates gains once in 20 times if the baseline is true, log(12 / 0.05) nats: a likelihood
# ratio has the mean 1 under the truth it is taken against (Ville 1939).
LEAST_NATS: Final = 5.5


class Support(NamedTuple):
    """What validation says of one horizon: share of the correction believed, and its gain in nats per event."""

    shrinkage: float
    gain: float
    best_gain: float


def block_gains(gain: NDArray[np.float64], days: NDArray[np.int64], horizon_days: int) -> NDArray[np.float64]:
    """Return gains (block,) in nats, every event counted about once.

    A block is a month (or a window, if that is longer) in a quarter of the region: what a network gets wrong is wrong
    for the length of a swarm and around it, so neighbouring issue times and cells are no independent witnesses.

    Parameters
    ----------
    gain : (sample, lat, lon)
        Gain of each window over the baseline, nats; windows may overlap.
    days : (sample,)
        Issue days, ascending.
    """
    step = float(np.median(np.diff(days))) if len(days) > 1 else float(horizon_days)
    once = min(1.0, step / horizon_days)
    block = (days - days[0]) // max(BLOCK_DAYS, horizon_days)
    rows, columns = (np.arange(n) * QUARTERS // n for n in gain.shape[1:])
    quarter = rows[:, None] * QUARTERS + columns
    key = block[:, None, None] * QUARTERS**2 + quarter
    sums = np.bincount(np.broadcast_to(key, gain.shape).ravel(), weights=gain.ravel() * once)
    occupied = np.bincount(np.broadcast_to(key, gain.shape).ravel()) > 0
    return np.asarray(sums[occupied])


def supported(blocks: NDArray[np.float64], candidates: int) -> bool:
    """Tell whether the mean of `blocks` is above 0 by a one-sided t test and their sum above `LEAST_NATS`.

    The level is 5 % divided by the number of `candidates` looked at (Bonferroni).
    """
    if len(blocks) < 3 or blocks.sum() < LEAST_NATS:
        return False
    error = float(blocks.std(ddof=1)) / np.sqrt(len(blocks))
    return bool(blocks.mean() > student_t.isf(LEVEL / candidates, len(blocks) - 1) * error)


def judge(
    delta: NDArray[np.float64],
    rate: NDArray[np.float64],
    count: NDArray[np.float64],
    days: NDArray[np.int64],
    horizons: tuple[int, ...],
) -> list[Support]:
    """Return for every horizon the shrinkage with the largest gain if validation supports it, else 0: the baseline.

    Parameters
    ----------
    delta, rate, count : (sample, horizon, lat, lon)
        Log corrections, the baseline's expected counts, and what was observed in the validation part.
    days : (sample,)
        Issue days, ascending.
    """
    found = []
    for h, horizon in enumerate(horizons):
        events = max(float(count[:, h].sum()), 1.0)
        gains = [count[:, h] * s * delta[:, h] - rate[:, h] * np.expm1(s * delta[:, h]) for s in SHRINKAGES]
        totals = [float(gain.sum()) / events for gain in gains]
        best = int(np.argmax(totals))
        blocks = block_gains(gains[best], days, horizon)
        accepted = best > 0 and supported(blocks, (len(SHRINKAGES) - 1) * len(horizons))
        found.append(
            Support(SHRINKAGES[best] if accepted else 0.0, totals[best] if accepted else 0.0, totals[best])
        )
    return found
