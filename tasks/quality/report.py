"""What quality control found, sensor by sensor: availability through time and the offenders first."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from tasks.quality.flags import KEPT, Reason

PERIOD_DAYS: Final = 30
_DAY_NS: Final = 86_400_000_000_000
_COUNTED: Final = tuple(r for r in Reason if r not in (Reason.NONE, Reason.NO_VALUE, Reason.NOT_PUBLISHED))


class SensorQuality(NamedTuple):
    """What became of one sensor's values.

    `expected` counts values from the sensor's first to the group's last; shares are of them. `reasons` counts values
    by reason, gaps apart. `longest_gap_days` is the longest time without an observed value. `months` holds the share
    observed in each period of 30 days of the report's axis, NaN before the sensor's first value and,
    for single records and passes, where nothing was to come.
    """

    group: str
    sensor: str
    expected: int
    observed: float
    masked: float
    longest_gap_days: float
    last: np.datetime64
    reasons: dict[Reason, int]
    months: NDArray[np.float64]

    @property
    def offences(self) -> tuple[int, float, str]:
        """Order of the offenders: masked values first, then the share that is missing."""
        return (-sum(n for r, n in self.reasons.items() if r not in KEPT), self.observed, self.sensor)


def periods(begin: np.datetime64, end: np.datetime64) -> NDArray[np.datetime64]:
    """Return the borders (period + 1,) of 30-day periods that cover [begin, end)."""
    first, last = begin.astype("datetime64[D]"), end.astype("datetime64[D]")
    n = max(1, int(np.ceil((last - first) / np.timedelta64(PERIOD_DAYS, "D"))))
    return np.asarray(first + np.arange(n + 1) * np.timedelta64(PERIOD_DAYS, "D"))


def summarise(
    group: str, observations: xr.Dataset, verdict: xr.Dataset, borders: NDArray[np.datetime64]
) -> list[SensorQuality]:
    """Return one summary per station, or one for a gridded group or track, offenders first.

    Parameters
    ----------
    observations, verdict : Datasets of one group
        With dims (time, station), (time, lat, lon) or (record, channel); pixels and channels count as values.
    borders : (period + 1,) datetime64[D]
        As `periods` gives them.
    """
    reason = verdict["quality_reason"]
    time = observations["time"].values.astype("datetime64[ns]")
    values = reason.values.reshape(time.size, -1)
    if reason.dims[0] == "record":
        names = observations["station"].values.astype(str)
        parts = [(name, names == name, slice(None)) for name in np.unique(names).tolist()]
    elif "station" in reason.dims:
        every = np.ones(time.size, dtype=bool)
        stations = verdict["station"].values.astype(str).tolist()
        parts = [(name, every, slice(s, s + 1)) for s, name in enumerate(stations)]
    else:
        parts = [("all", np.ones(time.size, dtype=bool), slice(None))]
    found = [
        _one(group, name, time[rows], values[rows][:, columns], borders) for name, rows, columns in parts
    ]
    return sorted(found, key=lambda sensor: sensor.offences)


def table_rows(sensors: Sequence[SensorQuality]) -> list[dict[str, str]]:
    """Return the summaries as rows of text, for a page or a table artifact."""
    return [
        {
            "group": s.group,
            "sensor": s.sensor,
            "values": f"{s.expected:,}",
            "observed": f"{s.observed:.1%}",
            "masked": f"{s.masked:.2%}",
            "longest gap, days": f"{s.longest_gap_days:.0f}",
            "last": "-" if np.isnat(s.last) else str(s.last.astype("datetime64[D]")),
            "reasons": ", ".join(f"{name_of(r)} {n:,}" for r, n in s.reasons.items()) or "-",
        }
        for s in sensors
    ]


def name_of(reason: Reason) -> str:
    """Return the reason as words, with a star where the value is kept."""
    return reason.name.lower().replace("_", " ") + (" *" if reason in KEPT else "")


def _one(
    group: str,
    name: str,
    time: NDArray[np.datetime64],
    reason: NDArray[np.uint8],
    borders: NDArray[np.datetime64],
) -> SensorQuality:
    absent = (reason == Reason.NO_VALUE).all(axis=1)
    begin = int(np.argmin(absent)) if not absent.all() else 0
    time, reason = time[begin:], reason[begin:]
    kept = np.isin(reason, [int(r) for r in KEPT])
    missing = (reason == Reason.NO_VALUE) | (reason == Reason.NOT_PUBLISHED)
    expected = _expected(time, reason)
    seen = time[kept.any(axis=1)]
    gaps = np.diff(seen.astype(np.int64)) / _DAY_NS
    period = np.searchsorted(borders, time, side="right") - 1
    share = pd.Series(kept.mean(axis=1)).groupby(period).mean()
    months = np.full(borders.size - 1, np.nan)
    if _is_continuous(time):
        # from the first value on, a period without rows is a period without data
        months[int(period[0]) :] = 0.0
    inside = (share.index >= 0) & (share.index < months.size)
    months[share.index[inside]] = share[inside]
    counts = {r: int((reason == r).sum()) for r in _COUNTED}
    return SensorQuality(
        group,
        name,
        expected,
        float(kept.sum() / expected),
        float((~kept & ~missing).sum() / expected),
        float(gaps.max(initial=0.0)),
        seen[-1] if seen.size else np.datetime64("NaT"),
        {r: n for r, n in counts.items() if n},
        months,
    )


def _is_continuous(time: NDArray[np.datetime64]) -> bool:
    """Return whether values are meant to come all the time: at least every other day, over more than a period."""
    if time.size < 2:
        return False
    step = np.median(np.diff(np.unique(time)).astype(np.int64)) / _DAY_NS
    return bool(step <= 2.0 and (time[-1] - time[0]).astype(np.int64) > PERIOD_DAYS * _DAY_NS)


def _expected(time: NDArray[np.datetime64], reason: NDArray[np.uint8]) -> int:
    """Return how many values were to be had: for daily series all days from first to last, else those there are."""
    days = np.unique(time.astype("datetime64[D]"))
    if days.size < 2 or reason.shape[1] != 1 or days.size != time.size:
        return int(reason.size)
    return max(int((days[-1] - days[0]) / np.timedelta64(1, "D")) + 1, int(reason.size))
