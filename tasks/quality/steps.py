"""Steps of a station: found once enough days have passed, always kept, remarked if no known earthquake explains one."""

from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.quality.earthquakes import Earthquakes, day_bounds
from tasks.quality.spikes import noise_level

HALF_ROWS: Final = 7
THRESHOLD: Final = 5.0
SMALLEST_STEP_M: Final = np.array([0.005, 0.005, 0.015])
_DAY_NS: Final = 86_400_000_000_000
LONGEST_GAP_NS: Final = 30 * _DAY_NS
Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]


class Step(NamedTuple):
    """A lasting step: its row in the series, size (component,) m, when it was established, and whether explained."""

    row: int
    offset_m: Floats
    known: int
    is_explained: bool


def find_steps(time: Stamps, values: Floats, usable: Stamps, near: Earthquakes) -> list[Step]:
    """Return the steps of one station's series without spikes.

    A step is where the median of 7 rows from the row on differs from that of the 7 rows before by more than 5 noise
    levels and 5 mm (15 mm vertically), more than anywhere within 7 rows of it. Established with the 14th row from the
    step on. An earthquake explains it if it happened from the day before the row before to the day after the row, near
    enough (see `Earthquakes.near`), and was known when the step was established. A slow event that
    takes less than about two weeks looks like a step: it is remarked, and kept.

    Parameters
    ----------
    time, usable : (row,) int64 ns; `values` (row, 3) m, NaN unknown
    """
    n = time.size
    if n < 3 * HALF_ROWS:
        return []
    frame = pd.DataFrame(values)
    before = frame.rolling(HALF_ROWS, min_periods=HALF_ROWS).median().shift(1).to_numpy()
    after = np.full_like(before, np.nan)
    after[: n - HALF_ROWS + 1] = (
        frame.rolling(HALF_ROWS, min_periods=HALF_ROWS).median().to_numpy()[HALF_ROWS - 1 :]
    )
    offset = after - before
    level = np.maximum(THRESHOLD * noise_level(values), SMALLEST_STEP_M[: values.shape[1]])
    score = np.nan_to_num(np.abs(offset) / level).max(axis=1)
    highest = pd.Series(score).rolling(2 * HALF_ROWS + 1, center=True, min_periods=1).max().to_numpy()
    rows = np.flatnonzero((score > 1.0) & (score >= highest))
    rows = rows[(rows >= HALF_ROWS) & (rows + 2 * HALF_ROWS <= n)]
    steps: list[Step] = []
    for row in rows.tolist():
        span = slice(row - HALF_ROWS, row + 2 * HALF_ROWS)
        if steps and row - steps[-1].row <= HALF_ROWS:
            continue
        # across a long gap the trend alone makes a step
        if time[row] - time[row - 1] > LONGEST_GAP_NS:
            continue
        known = int(usable[span].max())
        begin = day_bounds(time[row - 1 : row])[0] - _DAY_NS
        end = day_bounds(time[row : row + 1])[1] + _DAY_NS
        explained = bool(near.explain(begin, end, np.array([known]))[0])
        steps.append(Step(row, offset[row], known, explained))
    return steps
