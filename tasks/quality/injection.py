"""Earthquakes, slow slip and spikes of known size planted into real series: what quality control leaves of them."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.quality.earthquakes import Earthquakes
from tasks.quality.flags import NAT, Reason
from tasks.quality.spikes import judge_spikes
from tasks.scoring.reliability import wilson_interval
from tasks.simulation.gnss import flicker_noise

STEP_M: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SLOW_SLIP_M: Final = (0.003, 0.005, 0.01, 0.02)
SLOW_SLIP_DAYS: Final = (3, 120)
SPIKE_M: Final = (0.01, 0.02, 0.05, 0.1, 0.5, 2.0)
BEFORE_ROWS: Final = 90
AFTER_ROWS: Final = 30
LEVEL_ROWS: Final = 15
_DAY_NS: Final = 86_400_000_000_000
Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]
Rule = Callable[[Stamps, Floats, Stamps], NDArray[np.bool_]]


class Recovery(NamedTuple):
    """What is left of planted signals of one kind and size.

    `recovered` is the mean share of the planted amplitude, with a 95 % bootstrap interval; `days_kept` the share of
    the days planted on that are kept, out of those kept without the signal; NaN where nothing could be compared.
    `rule` is the judge: `quality` (this project) or `hampel`.
    """

    rule: str
    kind: str
    amplitude_m: float
    n: int
    recovered: float
    low: float
    high: float
    days_kept: float


class Caught(NamedTuple):
    """Share of planted spikes that are masked, with a 95 % Wilson interval; size 0 means false alarms per day."""

    rule: str
    amplitude_m: float
    n: int
    share: float
    low: float
    high: float


class Series(NamedTuple):
    """A window of one station's rows: time and available time (row,) int64 ns, values (row, 3) m."""

    time: Stamps
    values: Floats
    available: Stamps


def quality_rule(time: Stamps, values: Floats, available: Stamps) -> NDArray[np.bool_]:
    """Return which rows this project's quality control keeps when no catalog explains anything: the harder case."""
    verdict = judge_spikes(time, values, available, Earthquakes.none())
    return np.asarray((verdict.reason == Reason.NONE) & (verdict.usable != NAT))


def hampel_rule(time: Stamps, values: Floats, available: Stamps) -> NDArray[np.bool_]:
    """Return which rows a causal Hampel filter keeps: 21 rows before, 3 robust deviations; blind to steps."""
    width = 21
    kept = np.ones(time.size, dtype=bool)
    windows = np.lib.stride_tricks.sliding_window_view(values[:-1], width, axis=0)
    middle = np.median(windows, axis=-1)
    spread = 1.4826 * np.median(np.abs(windows - middle[..., None]), axis=-1)
    with np.errstate(invalid="ignore"):
        kept[width:] = ~(np.abs(values[width:] - middle) > 3 * spread).any(axis=1)
    return kept


RULES: Final[dict[str, Rule]] = {"quality": quality_rule, "hampel": hampel_rule}


def draw_windows(observations: xr.Dataset, n: int, rng: np.random.Generator, length: int) -> list[Series]:
    """Return `n` windows of `length` observed rows of random stations, none spanning more than 1.5 days a row.

    Raises
    ------
    ValueError
        If no station has so many rows.
    """
    time = observations["time"].values.astype("datetime64[ns]").astype(np.int64)
    stamps = observations["available_time"].values.astype("datetime64[ns]").astype(np.int64)
    values = np.stack([observations[name].values for name in ("east", "north", "up")], axis=2)
    seen = (observations["quality_flag"].values == 0) & np.isfinite(values[:, :, :2]).all(axis=2)
    seen &= stamps != NAT
    rows = [np.flatnonzero(seen[:, s]) for s in range(seen.shape[1])]
    stations = [s for s, r in enumerate(rows) if r.size > length]
    if not stations:
        raise ValueError(f"injection: expected a station with more than {length} observed days, found none")
    longest = int(1.5 * length * _DAY_NS)
    windows: list[Series] = []
    for _ in range(50 * n):
        s = stations[int(rng.integers(len(stations)))]
        first = int(rng.integers(rows[s].size - length))
        chosen = rows[s][first : first + length]
        if time[chosen[-1]] - time[chosen[0]] <= longest:
            windows.append(Series(time[chosen], values[chosen, s].copy(), stamps[chosen, s]))
        if len(windows) == n:
            return windows
    raise ValueError(
        f"injection: expected windows of {length} days with few gaps, found {len(windows)} of {n}"
    )


def recover_steps(observations: xr.Dataset, n: int, seed: int) -> list[Recovery]:
    """Return what is left of `n` coseismic steps per size, 1 cm to 1 m, in random horizontal directions.

    Compared are the 15 kept rows from the step on with the 15 before, less the same of the series without the
    step. `days_kept` is of the 15 days from the step on.
    """
    return [
        found
        for k, amplitude in enumerate(STEP_M)
        for found in _recover(
            "step", amplitude, draw_windows(observations, n, _rng(seed, 1, k), BEFORE_ROWS + AFTER_ROWS),
            [0] * n, _rng(seed, 2, k),
        )
    ]  # fmt: skip


def recover_slow_slip(observations: xr.Dataset, n: int, seed: int) -> list[Recovery]:
    """Return what is left of `n` slow-slip events per size, 3 to 20 mm over 3 to 120 days (log-uniform duration).

    The signal rises linearly. Compared are the 15 kept rows after its end with the 15 before its begin;
    `days_kept` is of its own days.
    """
    results: list[Recovery] = []
    low, high = SLOW_SLIP_DAYS
    for k, amplitude in enumerate(SLOW_SLIP_M):
        rng = _rng(seed, 3, k)
        days = np.rint(np.exp(rng.uniform(np.log(low), np.log(high), n))).astype(int).tolist()
        windows = draw_windows(observations, n, rng, BEFORE_ROWS + high + AFTER_ROWS)
        results += _recover("slow slip", amplitude, windows, days, _rng(seed, 4, k))
    return results


def catch_spikes(observations: xr.Dataset, n: int, seed: int) -> list[Caught]:
    """Return the share of `n` one-day spikes per size, 1 cm to 2 m, in random horizontal directions, that is masked."""
    results: list[Caught] = []
    for k, amplitude in enumerate(SPIKE_M):
        rng = _rng(seed, 5, k)
        windows = draw_windows(observations, n, rng, BEFORE_ROWS + AFTER_ROWS)
        planted = []
        for window in windows:
            values = window.values.copy()
            values[BEFORE_ROWS] += amplitude * _direction(rng)
            planted.append(window._replace(values=values))
        for name, rule in RULES.items():
            caught = sum(not rule(*window)[BEFORE_ROWS] for window in planted)
            results.append(_share(name, amplitude, caught, n))
    return results


def false_alarms(clean: Sequence[Series]) -> list[Caught]:
    """Return the share of days masked in simulated series that hold no spike; the first 60 rows do not count."""
    results = []
    for name, rule in RULES.items():
        masked = [~rule(*series)[60:-1] for series in clean]
        results.append(_share(name, 0.0, int(sum(m.sum() for m in masked)), sum(m.size for m in masked)))
    return results


def simulate_clean(n: int, days: int, seed: int) -> list[Series]:
    """Return `n` daily series without steps or spikes: white noise of 1.2 and 4 mm, flicker of 2 and 6 mm/yr^0.25."""
    rng = _rng(seed, 6)
    flicker = flicker_noise(days, n * 3, rng).reshape(days, n, 3) * np.array([0.002, 0.002, 0.006])
    values = flicker + rng.standard_normal((days, n, 3)) * np.array([0.0012, 0.0012, 0.004])
    noon = np.arange(days, dtype=np.int64) * _DAY_NS + _DAY_NS // 2
    return [Series(noon, values[:, s], noon + _DAY_NS // 2) for s in range(n)]


def _recover(
    kind: str, amplitude: float, windows: list[Series], days: list[int], rng: np.random.Generator
) -> list[Recovery]:
    shares: dict[str, list[float]] = {name: [] for name in RULES}
    kept: dict[str, list[int]] = {name: [0, 0] for name in RULES}
    for window, duration in zip(windows, days, strict=True):
        direction = _direction(rng)
        ramp = np.clip((np.arange(window.time.size) - BEFORE_ROWS + 1) / max(duration, 1), 0.0, 1.0)
        planted = window.values + amplitude * ramp[:, None] * direction
        end = BEFORE_ROWS + max(duration, 1) - 1
        on = slice(BEFORE_ROWS, end + 1 if duration else BEFORE_ROWS + LEVEL_ROWS)
        for name, rule in RULES.items():
            # the last row of a window may await its verdict, which is no loss
            without, mask = rule(*window), rule(*window._replace(values=planted))
            kept[name][0] += int((without & mask)[on].sum())
            kept[name][1] += int(without[on].sum())
            before, after = slice(BEFORE_ROWS - LEVEL_ROWS, BEFORE_ROWS), slice(end, end + LEVEL_ROWS)
            moved = _level(planted, mask, after) - _level(planted, mask, before)
            moved -= _level(window.values, np.ones_like(mask), after)
            moved += _level(window.values, np.ones_like(mask), before)
            share = float(moved[:2] @ direction[:2]) / amplitude
            shares[name].append(share if np.isfinite(share) else 0.0)
    results = []
    for name, values in shares.items():
        mean = np.array(values)
        draws = mean[rng.integers(mean.size, size=(1000, mean.size))].mean(axis=1)
        low, high = (float(v) for v in np.quantile(draws, [0.025, 0.975]))
        share_kept = kept[name][0] / kept[name][1] if kept[name][1] else float("nan")
        results.append(Recovery(name, kind, amplitude, mean.size, float(mean.mean()), low, high, share_kept))
    return results


def _level(values: Floats, kept: NDArray[np.bool_], rows: slice) -> Floats:
    """Return the median (component,) of the kept rows; NaN where none is kept."""
    chosen = values[rows][kept[rows]]
    return np.asarray(np.median(chosen, axis=0)) if chosen.shape[0] else np.full(values.shape[1], np.nan)


def _share(rule: str, amplitude: float, hits: int, n: int) -> Caught:
    low, high = wilson_interval(hits, n, 0.95)
    return Caught(rule, amplitude, n, hits / n if n else float("nan"), low, high)


def _direction(rng: np.random.Generator) -> Floats:
    azimuth = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(azimuth), np.cos(azimuth), 0.0])


def _rng(seed: int, *stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, *stream])
