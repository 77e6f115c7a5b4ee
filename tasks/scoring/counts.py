"""Scores of forecast numbers: drawn counts against the count that came."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class CountScore(NamedTuple):
    """How a number compares with draws of it.

    Attributes
    ----------
    observed : int
    at_least, at_most : float
        Share of the draws with as many or more, and with as many or fewer: delta 1 and 2 of the N-test (Zechar 2010).
    inside : bool
        Whether it lies in the 95 % range of the draws.
    crps : float, events
        Continuous ranked probability score of the draws (Gneiting and Raftery 2007, eq. 21); smaller is better.
    log_crps : float
        The same of ln(1 + number), so that small and large numbers weigh alike.
    surprise : float, nats
        -ln of the probability given to whether at least one came; shares of 0 and 1 count as half a draw off.
    """

    observed: int
    at_least: float
    at_most: float
    inside: bool
    crps: float
    log_crps: float
    surprise: float


def ensemble_crps(draws: NDArray[np.float64], observed: float) -> float:
    """Return E|X - y| - E|X - X'| / 2 over the empirical distribution of the draws."""
    ordered = np.sort(np.asarray(draws, np.float64))
    n = ordered.size
    spread = float((2.0 * np.arange(1, n + 1) - n - 1.0) @ ordered) / n**2
    return float(np.abs(ordered - observed).mean()) - spread


def score_count(draws: NDArray[np.int32], observed: int) -> CountScore:
    """Return the scores of one number, given draws (catalog,) of it.

    Raises
    ------
    ValueError
        If there is no draw.
    """
    if not draws.size:
        raise ValueError("a number is scored against draws, found none")
    low, high = np.quantile(draws, [0.025, 0.975], method="inverted_cdf")
    half = 0.5 / draws.size
    share = float(np.clip((draws > 0).mean(), half, 1.0 - half))
    return CountScore(
        observed=observed,
        at_least=float((draws >= observed).mean()),
        at_most=float((draws <= observed).mean()),
        inside=bool(low <= observed <= high),
        crps=ensemble_crps(draws.astype(np.float64), observed),
        log_crps=ensemble_crps(np.log1p(draws), math.log1p(observed)),
        surprise=-math.log(share if observed else 1.0 - share),
    )
