"""What a station's neighbours give away: swapped channels, wrong clock, wrong gain, and days that moved them all."""

from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.quality.flags import NAT, Reason

BLOCK_DAYS: Final = 182
MINIMUM_PAIRS: Final = 90
MINIMUM_STATIONS: Final = 5
CORRELATION: Final = 0.3
MARGIN: Final = 0.2
GAIN_FACTOR: Final = 30.0
LEVEL_DAYS: Final = 21
COMMON_DAYS: Final = 60
COMMON_THRESHOLD: Final = 5.0
SMALLEST_COMMON_M: Final = np.array([0.004, 0.004, 0.012])
_DAY_NS: Final = 86_400_000_000_000
Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]


class BlockVerdict(NamedTuple):
    """A fault of `station` (index) found in the half year before `begin`: days `begin` to `end` are masked for it."""

    station: int
    begin: int
    end: int
    reason: Reason
    known: int


def judge_blocks(day: Stamps, positions: Floats, available: Stamps) -> list[BlockVerdict]:
    """Return which stations disagree with the network in a way that only a fault of the station explains.

    Half years with fixed borders are judged whole; the verdict holds for the following half year, until the next
    one, so that nothing is judged by its own future. Judged are the day-to-day differences, clipped at 5 robust
    deviations so that no earthquake decides, against their median over the stations (at least 5), by correlation:
    swapped, if east and north fit the other component better than their own; clock, if they fit better a day earlier
    or later; response, if the noise is 30 times above or below the network's.

    Parameters
    ----------
    day : (row,) int, days since 1970, ascending
    positions : (component, row, station) m, NaN where missing or masked; only east and north are judged
    available : (row, station) int64 ns
    """
    found: list[BlockVerdict] = []
    if positions.shape[2] <= MINIMUM_STATIONS or not day.size:
        return found
    for block in range(int(day[0]) // BLOCK_DAYS, int(day[-1]) // BLOCK_DAYS):
        rows = np.flatnonzero(day // BLOCK_DAYS == block)
        if rows.size < MINIMUM_PAIRS:
            continue
        inside = positions[:2, rows]
        known = int(available[rows].max())
        differences = np.full((2, BLOCK_DAYS, positions.shape[2]), np.nan)
        place = day[rows] - block * BLOCK_DAYS
        differences[:, place] = inside
        differences = np.diff(differences, axis=1)
        begin, end = (block + 1) * BLOCK_DAYS, (block + 2) * BLOCK_DAYS
        for station, reason in _faults(differences):
            found.append(BlockVerdict(station, begin, end, reason, known))
    return found


def common_days(positions: Floats) -> NDArray[np.bool_]:
    """Return the rows (row,) on which the median of the network (at least 5 stations) leaves its level.

    `positions` (component, row, station), m. Levels are medians of the 21 rows before, per station; the median
    over stations of the departures is compared with 5 robust deviations of its own 60 rows before, at least
    4 mm horizontally and 12 mm vertically.
    """
    common = np.zeros(positions.shape[1], dtype=bool)
    for component, smallest in zip(positions, SMALLEST_COMMON_M, strict=False):
        level = pd.DataFrame(component).rolling(LEVEL_DAYS, min_periods=10).median().shift(1).to_numpy()
        departure = component - level
        enough = np.isfinite(departure).sum(axis=1) >= MINIMUM_STATIONS
        mode = np.full(component.shape[0], np.nan)
        if enough.any():
            mode[enough] = np.nanmedian(departure[enough], axis=1)
        spread = pd.Series(np.abs(mode)).rolling(COMMON_DAYS, min_periods=20).median().shift(1).to_numpy()
        limit = np.maximum(COMMON_THRESHOLD * 1.4826 * spread, smallest)
        common |= np.nan_to_num(np.abs(mode) / limit) > 1.0
    return common


def reach_of_common_days(available: Stamps) -> Stamps:
    """Return (row,) the latest available time, int64 ns, of all stations over the 81 rows that decide a common day."""
    latest: Stamps = np.asarray(available.max(axis=1, initial=NAT))
    out = latest.copy()
    for lag in range(1, min(LEVEL_DAYS + COMMON_DAYS, latest.size)):
        out[lag:] = np.maximum(out[lag:], latest[:-lag])
    return out


def _faults(differences: Floats) -> list[tuple[int, Reason]]:
    """Return (station, reason) from the differences (component east north, day, station) of one block."""
    counts = np.isfinite(differences).all(axis=0).sum(axis=0)
    judged = np.flatnonzero(counts >= MINIMUM_PAIRS)
    if judged.size <= MINIMUM_STATIONS:
        return []
    chosen = differences[:, :, judged]
    spread = 1.4826 * np.nanmedian(np.abs(chosen), axis=1)
    clipped = np.clip(chosen, -5 * spread[:, None], 5 * spread[:, None])
    scaled = clipped / np.maximum(spread[:, None], 1e-12)
    enough = np.isfinite(scaled).sum(axis=2) >= MINIMUM_STATIONS
    network = np.full(scaled.shape[:2], np.nan)
    network[enough] = np.nanmedian(scaled[enough], axis=1)
    ratio = spread / np.median(spread, axis=1, keepdims=True)
    found: list[tuple[int, Reason]] = []
    for k, station in enumerate(judged.tolist()):
        east, north = scaled[:, :, k]
        own = np.array([_correlation(east, network[0]), _correlation(north, network[1])])
        cross = np.array([_correlation(east, network[1]), _correlation(north, network[0])])
        shifted = max(
            np.mean([_correlation(c[1:], m[:-1]) for c, m in zip((east, north), network, strict=True)]),
            np.mean([_correlation(c[:-1], m[1:]) for c, m in zip((east, north), network, strict=True)]),
        )
        if ((ratio[:, k] > GAIN_FACTOR) | (ratio[:, k] < 1 / GAIN_FACTOR)).all():
            found.append((station, Reason.RESPONSE))
        elif cross.mean() > CORRELATION and (cross > own + MARGIN).all():
            found.append((station, Reason.SWAPPED))
        elif shifted > CORRELATION and shifted > own.mean() + MARGIN:
            found.append((station, Reason.CLOCK))
    return found


def _correlation(a: Floats, b: Floats) -> float:
    """Return the correlation of two series (day,) where both are known; 0 if that is fewer than 90 days."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < MINIMUM_PAIRS - 2:
        return 0.0
    x, y = a[both] - a[both].mean(), b[both] - b[both].mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else 0.0
