"""Quality control of waveform records: dead and copied channels, wrong gain, wrong clock."""

from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.quality.earthquakes import Earthquakes
from tasks.quality.flags import NAT, Reason, provider_reason, stamps, verdicts

LARGEST_VELOCITY: Final = 10.0
DEAD_VELOCITY: Final = 1e-12
DEAD_SHARE: Final = 1e-3
COPY_CORRELATION: Final = 0.9999
GAIN_DECADES: Final = 1.5
HISTORY_RECORDS: Final = 5
NEIGHBOURS: Final = 3
P_VELOCITY_KM_S: Final = 6.0
CLOCK_S: Final = 3.0
CLOCK_S_PER_KM: Final = 0.04
NOISE_S: Final = 4.0
ONSET_RATIO: Final = 8.0
_SECOND_NS: Final = 1_000_000_000
_RECORDS_AT_ONCE: Final = 64
Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]


def judge_waveforms(observations: xr.Dataset, earthquakes: Earthquakes) -> xr.Dataset:
    """Judge velocity records (record, channel) with what had come when the record's neighbours in time had come.

    Dead: a channel without motion, or a thousandth of the record's others. Swapped: two channels are copies of each
    other. Out of range: above 10 m/s, which no record has reached. Response: the record is a factor of 30 off the
    median of at least 3 other stations at the same time, and so were its station's 5 or more records before: one
    earthquake close to one station does not decide. Clock: the first onset differs from what at least 3 other stations
    find for the same known earthquake by more than 3 s and 0.04 s/km (a P velocity of 6 km/s, and a fifth off it).

    `available_time` (record) is the latest of the records that begin in the same minute or before. Not judged:
    polarity, orientation, and clock errors of records that hold no known earthquake.
    """
    velocity = observations["velocity"].transpose("record", "channel", "sample")
    observations = observations.drop_vars("velocity").load()
    spread, peak, is_copy = _measure(velocity)
    time, available = stamps(observations["time"]), stamps(observations["available_time"])
    rate = float(observations.attrs["sampling_rate_hz"])
    station = observations["station"].values.astype(str)
    flags = observations["quality_flag"].transpose("record", "channel").values.astype(np.uint8)
    reason = provider_reason(flags, spread)
    usable = _latest_of_the_minute(time, available)
    dead = (spread < DEAD_VELOCITY) | (spread < DEAD_SHARE * _middle(spread))
    faults: list[tuple[Reason, NDArray[np.bool_]]] = [
        (Reason.DEAD, dead),
        (Reason.OUT_OF_RANGE, peak > LARGEST_VELOCITY),
        (Reason.SWAPPED, is_copy & ~dead),
        (Reason.RESPONSE, _wrong_gain(time, station, spread)[:, None]),
        (
            Reason.CLOCK,
            _wrong_clock(observations, velocity.isel(channel=0), rate, usable, earthquakes)[:, None],
        ),
    ]
    for fault, rows in faults:
        reason = np.where((reason == Reason.NONE) & rows, np.uint8(fault), reason)
    reason = np.where((available == NAT)[:, None], np.uint8(Reason.NOT_PUBLISHED), reason)
    coords = {
        "channel": observations["channel"],
        "time": observations["time"],
        "station": observations["station"],
    }
    return verdicts(("record", "channel"), coords, reason, usable, usable, "waveform")


def _measure(velocity: xr.DataArray) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return spread, largest size, and whether it is a copy of another, of each channel (record, channel).

    A block of records at a time is read and worked on, so that memory does not follow the archive.
    """
    parts = []
    for first in range(0, velocity.sizes["record"], _RECORDS_AT_ONCE):
        block = velocity.isel(record=slice(first, first + _RECORDS_AT_ONCE)).values.astype(np.float64)
        peak = np.nan_to_num(np.abs(block)).max(axis=2, initial=0.0)
        parts.append((_spread(block), peak, _is_copy(block)))
    if not parts:
        none = np.zeros(velocity.shape[:2])
        return none, none, none.astype(bool)
    spread, peaks, is_copy = (np.concatenate(column) for column in zip(*parts, strict=True))
    return spread, peaks, is_copy


def _latest_of_the_minute(time: Stamps, available: Stamps) -> Stamps:
    """Return (record,) the latest available time of all records that begin up to 60 s earlier or at once."""
    order = np.argsort(time, kind="stable")
    out = available.copy()
    first = np.searchsorted(time[order], time - 60 * _SECOND_NS, side="left")
    last = np.searchsorted(time[order], time, side="right")
    for row in range(time.size):
        if available[row] != NAT:
            out[row] = max(int(available[row]), int(available[order[first[row] : last[row]]].max()))
    return out


def _spread(velocity: Floats) -> Floats:
    """Return (record, channel) the standard deviation of the known samples; NaN where none is known."""
    known = np.isfinite(velocity)
    count = np.maximum(known.sum(axis=2), 1)
    filled = np.where(known, velocity, 0.0)
    mean = filled.sum(axis=2) / count
    variance = np.where(known, (filled - mean[:, :, None]) ** 2, 0.0).sum(axis=2) / count
    return np.asarray(np.where(known.any(axis=2), np.sqrt(variance), np.nan))


def _middle(spread: Floats) -> Floats:
    """Return (record, 1) the median over channels, 0 where no channel is known."""
    known = np.isfinite(spread).any(axis=1)
    out = np.zeros((spread.shape[0], 1))
    if known.any():
        out[known, 0] = np.nanmedian(spread[known], axis=1)
    return out


def _is_copy(velocity: Floats) -> NDArray[np.bool_]:
    """Return (record, channel) whether a channel equals another one of its record but for sign and scale."""
    filled = np.where(np.isnan(velocity), 0.0, velocity)
    filled = filled - filled.mean(axis=2, keepdims=True)
    size = np.sqrt((filled**2).sum(axis=2))
    scaled = filled / np.where(size > 0, size, 1.0)[:, :, None]
    likeness = np.abs(np.einsum("rcs,rds->rcd", scaled, scaled))
    likeness[:, np.arange(filled.shape[1]), np.arange(filled.shape[1])] = 0.0
    return np.asarray((likeness > COPY_CORRELATION).any(axis=2))


def _wrong_gain(time: Stamps, station: NDArray[np.str_], spread: Floats) -> NDArray[np.bool_]:
    """Return (record,) whether the level is off its neighbours' like the station's records before."""
    usable = np.where(spread > DEAD_VELOCITY, spread, np.nan)
    level = np.full(time.size, np.nan)
    known = np.isfinite(usable).any(axis=1)
    level[known] = np.log10(np.nanmedian(usable[known], axis=1))
    minute = time // (60 * _SECOND_NS)
    off = np.full(time.size, np.nan)
    for moment in np.unique(minute):
        rows = np.flatnonzero((minute == moment) & np.isfinite(level))
        for row in rows:
            others = rows[station[rows] != station[row]]
            if np.unique(station[others]).size >= NEIGHBOURS:
                off[row] = level[row] - np.median(level[others])
    wrong = np.zeros(time.size, dtype=bool)
    for name in np.unique(station):
        rows = np.flatnonzero((station == name) & np.isfinite(off))
        rows = rows[np.argsort(time[rows], kind="stable")]
        for k in range(HISTORY_RECORDS, rows.size):
            before = float(np.median(off[rows[max(0, k - 20) : k]]))
            now = off[rows[k]]
            wrong[rows[k]] = min(abs(before), abs(now)) > GAIN_DECADES and before * now > 0
    return wrong


def _wrong_clock(
    observations: xr.Dataset, vertical: xr.DataArray, rate_hz: float, usable: Stamps, earthquakes: Earthquakes
) -> NDArray[np.bool_]:
    """Return (record,) whether the onset of a known earthquake comes at another time than at its neighbours."""
    time = stamps(observations["time"])
    latitude, longitude = observations["latitude"].values, observations["longitude"].values
    length_ns = round(vertical.shape[1] / rate_hz * _SECOND_NS)
    wrong = np.zeros(time.size, dtype=bool)
    for k in range(earthquakes.origin.size):
        origin = int(earthquakes.origin[k])
        near = np.flatnonzero((time <= origin + 30 * _SECOND_NS) & (time + length_ns > origin))
        near = near[earthquakes.known[k] <= usable[near]]
        if near.size <= NEIGHBOURS:
            continue
        one = earthquakes.take(np.arange(earthquakes.origin.size) == k)
        distance = np.array([one.distance_km(latitude[r], longitude[r])[0] for r in near])
        samples = vertical.isel(record=near).values.astype(np.float64)
        onset = np.array([_onset_s(one, rate_hz) for one in samples])
        delay = (time[near] - origin) / _SECOND_NS + onset - distance / P_VELOCITY_KM_S
        seen = np.isfinite(delay)
        if seen.sum() <= NEIGHBOURS:
            continue
        error = np.abs(delay - np.median(delay[seen]))
        wrong[near[seen & (error > CLOCK_S + CLOCK_S_PER_KM * distance)]] = True
    return wrong


def _onset_s(samples: Floats, rate_hz: float) -> float:
    """Return when the half-second rms first exceeds 8 times that of the first 4 s, s from the first sample, or NaN."""
    short, noise = round(0.5 * rate_hz), round(NOISE_S * rate_hz)
    if samples.size < 2 * noise or not np.isfinite(samples[:noise]).all():
        return float("nan")
    level = float(np.std(samples[:noise]))
    power = np.convolve(np.nan_to_num(samples - samples[:noise].mean()) ** 2, np.ones(short) / short, "valid")
    above = np.flatnonzero(np.sqrt(power[noise:]) > ONSET_RATIO * level)
    if level == 0.0 or not above.size:
        return float("nan")
    return float((above[0] + noise + short) / rate_hz)
