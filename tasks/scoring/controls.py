"""Controls: results that must vanish when labels are shuffled, and leaks that must be refused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fusion_models.data.cube import CubeData, LeakError

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Times = NDArray[np.datetime64]
Forecast = Callable[[CubeData, Times], xr.DataArray]

# Sums in another order differ in the last digits; a value from the future differs in the first.
RELATIVE: Final = 1e-3
LEAK_SHARE: Final = 0.1


class ShuffleControl(NamedTuple):
    """The gain with true labels beside gains with windows exchanged, nats per event.

    `mean`, `low` and `high` (2.5 and 97.5 %) are of the shuffled gains: what is left is level and place, not time.
    `p_value` is how often a shuffle gains as much as the truth.
    """

    gain: float
    mean: float
    low: float
    high: float
    p_value: float
    draws: int


def label_shuffle(rates: Floats, reference: Floats, counts: Counts, draws: int, seed: int) -> ShuffleControl:
    """Return the IGPE of `rates` over `reference` when the observed windows are exchanged at random.

    A model whose gain survives the exchange does not forecast when earthquakes come, whatever its gain.

    Parameters
    ----------
    rates, reference : arrays (issue_time, lat, lon)
        Expected counts; a rate of 0 is taken as the smallest normal number, since shuffling may put an event there.
    counts : int array (issue_time, lat, lon)
        Observed, at least one event.
    """
    n = int(counts.sum())
    if n == 0:
        raise ValueError("label shuffle: expected at least one event")
    windows = counts.shape[0]
    tiny = np.finfo(np.float64).tiny
    log_ratio = np.log(np.maximum(rates, tiny)) - np.log(np.maximum(reference, tiny))
    # Gain of the events of window s if they had come in window t, for all pairs at once.
    pairs = log_ratio.reshape(windows, -1) @ counts.reshape(windows, -1).T.astype(np.float64)
    excess = float(rates.sum() - reference.sum())
    rng = np.random.default_rng(seed)
    order = np.array([rng.permutation(windows) for _ in range(draws)])
    shuffled = (pairs[np.arange(windows), order].sum(axis=1) - excess) / n
    gain = (float(np.trace(pairs)) - excess) / n
    low, high = np.percentile(shuffled, [2.5, 97.5])
    tie = 1e-10 * max(1.0, abs(gain))
    p_value = (int((shuffled >= gain - tie).sum()) + 1) / (draws + 1)
    return ShuffleControl(gain, float(shuffled.mean()), float(low), float(high), p_value, draws)


def without_future(cube: CubeData, issue_time: np.datetime64) -> CubeData:
    """Return the cube with everything removed that was not known at `issue_time`, the labels too.

    Versions of events and interferograms that became available later are dropped, and so are the days of daily groups
    that had not begun; of those that had, values that became known later are NaN. Static layers stay, and so do daily
    maps that a cube keeps in tiles outside memory.
    """
    groups: dict[str, xr.Dataset] = {}
    for name, group in cube.groups.items():
        if name == "static":
            groups[name] = group
        elif name == "labels":
            past = group["time"].values + np.timedelta64(1, "D") <= issue_time
            groups[name] = group.isel(time=past)
        elif name in ("catalog", "insar"):
            known = group["available_time"].values <= issue_time
            groups[name] = group.isel({str(group["available_time"].dims[0]): known})
        else:
            begun = group if cube.tiles is not None else group.isel(time=group["time"].values < issue_time)
            known_values = begun["available_time"] <= issue_time
            values = {k: v.where(known_values) for k, v in begun.items() if k != "available_time"}
            groups[name] = begun.assign(values)
    return replace(cube, groups=groups)


def refuse_future(
    name: str,
    forecast: Forecast,
    cube: CubeData,
    blind: Mapping[np.datetime64, CubeData],
    relative: float = RELATIVE,
) -> float:
    """Refuse a forecaster whose forecast changes when the future is taken away; return the largest change seen.

    Parameters
    ----------
    name : str
        For the message.
    forecast : callable (cube, issue_times) -> DataArray
        The forecaster as it is scored, with whatever it reads of the cube.
    cube : CubeData
        Longer than the issue times, or there is no future to take away.
    blind : mapping of issue time to CubeData
        When to look, and the cube `without_future` then.
    relative : float
        Largest relative change of a rate that counts as rounding.

    Raises
    ------
    LeakError
        Naming the forecaster, the issue time and the change.
    """
    worst = 0.0
    for time, past in blind.items():
        when = np.array([time], dtype="datetime64[ns]")
        full, known = forecast(cube, when).values, forecast(past, when).values
        change = float(np.max(np.abs(full - known) / np.maximum(np.abs(full), np.finfo(np.float64).tiny)))
        if not change <= relative:
            raise LeakError(
                f"forecaster {name!r} at {time}: a rate changes by {change:.3g} of itself when what became known "
                "later is taken away; it reads the future"
            )
        worst = max(worst, change)
    return worst


class LeakControl(NamedTuple):
    """What the leak control saw.

    Attributes
    ----------
    issue_times : list of str
        When it looked.
    largest_change : dict of str to float
        By forecaster, relative to the rate: rounding.
    injected_refused : bool
        Whether a leak put in on purpose was refused; else the control is blind and its silence says nothing.
    """

    issue_times: list[str]
    largest_change: dict[str, float]
    injected_refused: bool


def refuse_leaks(
    forecasts: Mapping[str, Forecast],
    cube: CubeData,
    issue_times: Sequence[np.datetime64],
    reference: Forecast,
) -> LeakControl:
    """Refuse any of `forecasts` that reads the future, and prove the control on `reference` with a leak put in.

    Raises
    ------
    LeakError
        If a forecaster reads the future.
    """
    blind = {time: without_future(cube, time) for time in issue_times}
    changes = {name: refuse_future(name, f, cube, blind) for name, f in forecasts.items()}
    try:
        refuse_future("reference with a leak", leaking(reference, LEAK_SHARE), cube, blind)
        refused = False  # no event follows these issue times, or the control is blind
    except LeakError:
        refused = True
    return LeakControl([str(t)[:19] for t in issue_times], changes, refused)


def busiest_times(counts: xr.DataArray, number: int) -> list[np.datetime64]:
    """Return the issue times of the `number` windows with most events, in order: where a leak shows most."""
    events = counts.sum(("lat", "lon"))
    chosen = np.sort(np.argsort(-events.values, kind="stable")[:number])
    return list(events["issue_time"].values[chosen])


def leaking(forecast: Forecast, share: float) -> Forecast:
    """Return `forecast` with a leak put in on purpose: a share of the coming counts of the labels is added.

    What `refuse_future` must refuse; the coming days are those of the longest horizon that the forecast has.
    """

    def peek(cube: CubeData, issue_times: Times) -> xr.DataArray:
        rates = forecast(cube, issue_times)
        labels = cube.groups["labels"]["event_count"]
        horizon = np.timedelta64(int(rates["horizon"].max()), "D")
        peeked = rates.copy()
        for i, time in enumerate(issue_times):
            day = labels["time"].values
            coming = labels.isel(time=(day >= time) & (day < time + horizon)).sum("time").values
            peeked[{"issue_time": i}] = rates.isel(issue_time=i) + share * coming
        return peeked

    return peek
