"""Is the gain in validation more than chance? Only then is a correction believed."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from scipy.stats import t as student_t

SHRINKAGES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
TESTED: Final = 0.5
LEVEL: Final = 0.05
BLOCK_DAYS: Final = 30
QUARTERS: Final = 2
LOG_DISPERSION: Final = (-7.0, 7.0)


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


def supported(blocks: NDArray[np.float64], horizons: int, looks: int) -> bool:
    """Tell whether the gains of `blocks` (nats) are more than chance; two conditions, both at 5 %.

    The mean is above 0 by a one-sided t test at 5 % / `horizons` (Bonferroni). And the sum exceeds
    log(candidates / 0.05) nats, candidates = horizons x shrinkages x `looks` (epochs): a likelihood ratio has the mean
    1 under the truth that it is taken against, so the best of so many exceeds this once in 20 times (Ville 1939).
    """
    candidates = horizons * (len(SHRINKAGES) - 1) * looks
    if len(blocks) < 3 or blocks.sum() < np.log(candidates / LEVEL):
        return False
    error = float(blocks.std(ddof=1)) / np.sqrt(len(blocks))
    return bool(blocks.mean() > student_t.isf(LEVEL / horizons, len(blocks) - 1) * error)


def judge(
    delta: NDArray[np.float64],
    rate: NDArray[np.float64],
    count: NDArray[np.float64],
    days: NDArray[np.int64],
    horizons: tuple[int, ...],
    looks: int,
) -> list[Support]:
    """Return for every horizon the shrinkage with the largest gain if validation supports it, else 0: the baseline.

    Tested is half the correction, whatever shrinkage is best: one candidate, fixed beforehand. The gain is concave in
    the shrinkage and 0 at 0, so half of a correction that helps, helps.

    Parameters
    ----------
    delta, rate, count : (sample, horizon, lat, lon)
        Log corrections, the baseline's expected counts, and what was observed in the validation part.
    days : (sample,)
        Issue days, ascending.
    looks : int
        Epochs judged so far.
    """
    found = []
    for h, horizon in enumerate(horizons):
        d, r, n = delta[:, h], rate[:, h], count[:, h]
        events = max(float(n.sum()), 1.0)
        totals = [float((n * s * d - r * np.expm1(s * d)).sum()) / events for s in SHRINKAGES]
        best = int(np.argmax(totals))
        blocks = block_gains(n * TESTED * d - r * np.expm1(TESTED * d), days, horizon)
        accepted = best > 0 and supported(blocks, len(horizons), looks)
        found.append(
            Support(SHRINKAGES[best] if accepted else 0.0, totals[best] if accepted else 0.0, totals[best])
        )
    return found


def fit_dispersion(rate: NDArray[np.float64], count: NDArray[np.float64]) -> float:
    """Return the dispersion a, variance = rate + a rate^2 per cell and window, that is likeliest for `count`.

    A rate from past seismicity cannot know which window holds the next mainshock: counts spread wider than
    Poisson. Bounded to exp(+-7).

    Parameters
    ----------
    rate, count : (sample, lat, lon)
        Expected and observed counts.
    """
    hit = count > 0
    seen, events = np.maximum(rate[hit], np.finfo(np.float64).tiny), count[hit]

    def loss(log_dispersion: float) -> float:
        size = np.exp(-log_dispersion)
        tail = gammaln(events + size) - gammaln(size) + events * np.log(seen / (seen + size))
        return float(size * np.log1p(rate / size).sum() - tail.sum())

    return float(np.exp(minimize_scalar(loss, bounds=LOG_DISPERSION, method="bounded").x))
