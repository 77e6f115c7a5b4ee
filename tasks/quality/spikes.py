"""One-day outliers of a station: a spike returns, a step stays."""

from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.quality.earthquakes import Earthquakes, day_bounds
from tasks.quality.flags import NAT, Flags, Reason

LEVEL_ROWS: Final = 21
NOISE_ROWS: Final = 60
MINIMUM_ROWS: Final = 10
NEIGHBOURS: Final = 3
THRESHOLD: Final = 6.0
SMALLEST_NOISE_M: Final = np.array([0.001, 0.001, 0.003])
RETURN_SHARE: Final = 0.5
LONGEST_WAIT_NS: Final = 10 * 86_400_000_000_000
DEAD_ROWS: Final = 4
Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]


class SpikeVerdict(NamedTuple):
    """Verdicts on the rows (row,) of one series: reasons, from when values may be used, when the reason was known."""

    reason: Flags
    usable: Stamps
    known: Stamps


def judge_spikes(time: Stamps, values: Floats, available: Stamps, near: Earthquakes) -> SpikeVerdict:
    """Return which rows of one station are spikes, each decided by what was known at a stated moment.

    A row is suspect if a component is further than 6 noise levels from the median of the 21 rows before AND from each
    of the 3 rows before, so that a level once reached is no longer suspect. The noise level is the robust deviation
    of the day-to-day differences of the 60 rows before (blind to steps and to slow slip), at least 1 mm horizontally
    and 3 mm vertically. A suspect row is used at once if an earthquake known then explains it. Otherwise it is held
    back until the next row comes: if that one lies at less than half the distance from the rows before, the
    suspect is a spike; if not, or after more than 10 days, it is kept. So a step costs a day and no row.
    Four equal rows in a row are a dead receiver: the fourth and later ones are masked.

    Parameters
    ----------
    time, available : (row,) int64 ns, ascending times; `values` (row, 3) m east north up, NaN unknown
    near : Earthquakes
        Those that can move this station.

    Returns
    -------
    SpikeVerdict
        `usable` is never before the row's own `available`, nor before those of the rows it was compared with.
    """
    reason = np.zeros(time.size, np.uint8)
    compared = _running_latest(available)
    known, usable = compared.copy(), compared.copy()
    distance, threshold, references = _departures(values)
    suspect = distance > threshold
    reason[_is_dead(values)] = Reason.DEAD
    begin, end = day_bounds(time)
    rows = np.flatnonzero(suspect.any(axis=1) & (reason == Reason.NONE))
    if not rows.size:
        return SpikeVerdict(reason, usable, known)
    rows = rows[~near.explain(begin[rows], end[rows], known[rows])]
    last = rows[rows == time.size - 1]
    reason[last], usable[last] = Reason.AWAITING_VERDICT, NAT
    rows = rows[rows < time.size - 1]
    following = np.maximum(compared[rows + 1], compared[rows])
    with np.errstate(invalid="ignore"):
        back = np.abs(values[rows + 1][:, None, :] - references[rows])
        returned = _smallest(back) < RETURN_SHARE * distance[rows]
    spike = (suspect[rows] & returned).any(axis=1) & (time[rows + 1] - time[rows] <= LONGEST_WAIT_NS)
    spike &= ~near.explain(begin[rows], end[rows], following)
    reason[rows[spike]] = Reason.SPIKE
    usable[rows] = np.where(spike, NAT, following)
    known[rows] = following
    return SpikeVerdict(reason, usable, known)


def noise_level(values: Floats) -> Floats:
    """Return (row, component), m: robust deviation of the differences of the 60 rows before; NaN before 10 rows."""
    differences = pd.DataFrame(np.abs(np.diff(values, axis=0, prepend=np.nan)))
    median = differences.rolling(NOISE_ROWS, min_periods=MINIMUM_ROWS).median().shift(1).to_numpy()
    return np.asarray(np.maximum(1.4826 / np.sqrt(2.0) * median, SMALLEST_NOISE_M[: values.shape[1]]))


def _departures(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return distance and threshold (row, component), and the references (row, reference, component) of each row."""
    frame = pd.DataFrame(values)
    level = frame.rolling(LEVEL_ROWS, min_periods=MINIMUM_ROWS).median().shift(1).to_numpy()
    before = [frame.shift(k).to_numpy() for k in range(1, NEIGHBOURS + 1)]
    references = np.stack([level, *before], axis=1)
    distance = np.where(np.isfinite(level), _smallest(np.abs(values[:, None, :] - references)), 0.0)
    return distance, THRESHOLD * noise_level(values), references


def _smallest(distances: Floats) -> Floats:
    """Return the smallest known distance over axis 1; NaN where none is known."""
    smallest = np.where(np.isnan(distances), np.inf, distances).min(axis=1)
    return np.where(np.isfinite(smallest), smallest, np.nan)


def _is_dead(values: Floats) -> NDArray[np.bool_]:
    same = np.zeros(values.shape[0], dtype=bool)
    same[1:] = ((values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))).all(axis=1)
    run = pd.Series(same).rolling(DEAD_ROWS - 1, min_periods=DEAD_ROWS - 1).sum().to_numpy()
    return np.asarray(run == DEAD_ROWS - 1)


def _running_latest(available: Stamps) -> Stamps:
    """Return the latest of each row's and the 60 compared rows' available times."""
    latest = pd.Series(available.astype(np.float64)).rolling(NOISE_ROWS + 2, min_periods=1).max()
    # float64 holds ns of this century to 256 ns only: the largest is looked up exactly where it is not the row's own
    own = available.astype(np.float64) >= latest.to_numpy()
    out = available.copy()
    for row in np.flatnonzero(~own):
        out[row] = available[max(0, row - NOISE_ROWS - 1) : row + 1].max()
    return out
