"""Dead, copied and mis-scaled channels, wrong clocks, impossible weather: each is named, and nothing else is."""

import numpy as np
import pytest
import xarray as xr

from tasks.quality.earthquakes import Earthquakes
from tasks.quality.flags import Reason
from tasks.quality.judge import judge_group
from tasks.quality.waveform import judge_waveforms
from tasks.quality.weather import judge_weather

from .conftest import make_catalog

NONE = Earthquakes.none()
ORIGIN = np.datetime64("2015-01-01T00:00:00", "ns")


def make_records(hours: int = 8, stations: int = 5, late_s: float = 0.0, gain: float = 1.0) -> xr.Dataset:
    """Noise of 1e-7 m/s at all stations every hour, an earthquake in the first; station 0 is late and mis-scaled."""
    rng = np.random.default_rng(0)
    n = hours * stations
    station = np.tile(np.arange(stations), hours)
    velocity = 1e-7 * rng.standard_normal((n, 3, 1200))
    for record in range(stations):
        onset = 10 + record * 11.1 / 6.0 + (late_s if record == 0 else 0.0)
        begin = round(20 * onset)
        decay = np.exp(-np.arange(1200 - begin) / 200)
        velocity[record, :, begin:] += 1e-4 * decay * rng.standard_normal((3, 1200 - begin))
    velocity[station == 0] *= gain
    start = (
        ORIGIN - np.timedelta64(10, "s") + np.repeat(np.arange(hours), stations) * np.timedelta64(3600, "s")
    )
    return xr.Dataset(
        {
            "velocity": (("record", "channel", "sample"), velocity.astype(np.float32)),
            "time": ("record", start),
            "available_time": ("record", start + np.timedelta64(62, "s")),
            "station": ("record", np.array([f"XX.S{s}" for s in station], object)),
            "latitude": ("record", 39.0 + 0.1 * station),
            "longitude": ("record", np.full(n, 29.0)),
            "quality_flag": (("record", "channel"), np.zeros((n, 3), np.uint8)),
        },
        coords={"channel": np.array(["Z", "N", "E"], object)},
        attrs={"sampling_rate_hz": 20.0},
    )


def quake() -> Earthquakes:
    return Earthquakes.of([make_catalog(str(ORIGIN), str(ORIGIN + np.timedelta64(30, "s")), 5.0)])


def test_healthy_records_pass_with_an_earthquake_in_them() -> None:
    assert (judge_waveforms(make_records(), quake())["quality_reason"] == Reason.NONE).all()


def test_a_dead_and_a_copied_channel_are_named() -> None:
    records = make_records()
    records["velocity"].values[7, 1] = 0.0
    records["velocity"].values[9, 2] = -2 * records["velocity"].values[9, 1]
    reason = judge_waveforms(records, NONE)["quality_reason"].values
    assert reason[7].tolist() == [Reason.NONE, Reason.DEAD, Reason.NONE]
    assert reason[9].tolist() == [Reason.NONE, Reason.SWAPPED, Reason.SWAPPED]
    assert (reason != Reason.NONE).sum() == 3


def test_a_gain_a_thousand_times_off_is_found_after_five_records_and_one_near_earthquake_is_not() -> None:
    reason = judge_waveforms(make_records(gain=1000.0), NONE)["quality_reason"].values
    assert np.flatnonzero((reason == Reason.RESPONSE).all(axis=1)).tolist() == [25, 30, 35]
    close = make_records()
    close["velocity"].values[0] *= 1e4
    assert (judge_waveforms(close, NONE)["quality_reason"] == Reason.NONE).all()


def test_a_clock_eight_seconds_late_is_found_from_a_known_earthquake_alone() -> None:
    late = make_records(late_s=8.0)
    reason = judge_waveforms(late, quake())["quality_reason"].values
    assert np.flatnonzero((reason == Reason.CLOCK).any(axis=1)).tolist() == [0]
    assert (judge_waveforms(late, NONE)["quality_reason"] == Reason.NONE).all()


def make_weather() -> xr.Dataset:
    rng = np.random.default_rng(0)
    time = np.datetime64("2015-01-02", "ns") + np.arange(50) * np.timedelta64(86_400, "s")
    dims = ("time", "station")
    return xr.Dataset(
        {
            "air_temperature": (dims, 290 + rng.standard_normal((50, 2))),
            "precipitation_amount": (dims, np.zeros((50, 2))),
            "available_time": (dims, np.repeat(time[:, None], 2, axis=1)),
            "quality_flag": (dims, np.zeros((50, 2), np.uint8)),
        },
        coords={"time": time, "station": np.array(["a", "b"], object)},
    )


def test_weather_is_judged_variable_by_variable() -> None:
    weather = make_weather()
    weather["air_temperature"].values[10, 0] = -9999.0
    weather["air_temperature"].values[20:30, 1] = 288.8
    weather["precipitation_amount"].values[10, 0] = -1.0
    weather["precipitation_amount"].values[12, 0] = np.nan
    verdict = judge_weather(weather)
    temperature = verdict["air_temperature_reason"].values
    assert temperature[10, 0] == Reason.OUT_OF_RANGE
    assert np.flatnonzero(temperature[:, 1] == Reason.DEAD).tolist() == [25, 26, 27, 28, 29]
    # dry days equal each other, and that is no fault
    assert verdict["precipitation_amount_reason"].values[[10, 12, 13], 0].tolist() == [
        Reason.OUT_OF_RANGE,
        Reason.NO_VALUE,
        Reason.NONE,
    ]
    assert np.argwhere(verdict["quality_reason"].values != Reason.NONE).tolist() == [[10, 0]]


def test_a_group_that_lacks_a_variable_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'time_start'"):
        judge_group("insar", make_weather(), NONE)
    with pytest.raises(ValueError, match="'catalog'"):
        judge_group("catalog", make_weather(), NONE)
