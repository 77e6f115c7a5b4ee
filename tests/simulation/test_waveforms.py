"""Records carry P before S, a Brune spectrum, coloured noise, and a response that can be removed."""

from pathlib import Path

import numpy as np
import obspy
import pytest
from scipy.signal import periodogram

from tasks.simulation import SimulationConfig, World
from tasks.simulation.ground_motion import (
    Shaking,
    ambient_noise,
    corner_frequency,
    shaking,
    travel_times,
    velocity_spectrum,
)
from tasks.simulation.instrument import FULL_SCALE_COUNTS, station_inventory, to_counts


def test_ground_is_still_before_p_and_strongest_after_s(demo_config: SimulationConfig) -> None:
    source = Shaking(origin_s=5.0, x=0.0, y=0.0, depth_km=8.0, magnitude=4.5)
    config, rng = demo_config.waveforms, np.random.default_rng(0)
    velocity = shaking(source, np.array([60.0]), np.zeros(1), np.ones(1), 3000, 50.0, config, rng)[0]
    p, s = (5.0 + t for t in travel_times(np.hypot(60.0, 8.0)))
    assert np.all(velocity[:, : int(p * 50)] == 0)
    assert s < np.abs(velocity[1]).argmax() / 50 < s + 10
    assert np.abs(velocity[0, int(p * 50) : int(s * 50)]).max() > 0


def test_displacement_spectrum_is_flat_below_the_corner_and_falls_with_its_square(
    demo_config: SimulationConfig,
) -> None:
    config = demo_config.waveforms.model_copy(update={"kappa_s": 0.0, "quality_factor": 1e9})
    corner = corner_frequency(5.0, config.stress_drop_pa)
    frequency = corner * np.array([0.01, 0.02, 50.0, 100.0])
    spectrum = velocity_spectrum(frequency, np.array([50.0]), 5.0, "S", config)[0] / frequency
    assert spectrum[1] / spectrum[0] == pytest.approx(1, abs=0.01)
    assert spectrum[3] / spectrum[2] == pytest.approx(0.25, rel=0.01)


def test_larger_events_shake_more_and_lower() -> None:
    assert corner_frequency(6.0, 3e6) < corner_frequency(4.0, 3e6)


def test_noise_power_falls_with_frequency() -> None:
    noise = ambient_noise((40, 4000), 20.0, np.random.default_rng(0))
    frequency, power = periodogram(noise, fs=20.0)
    part = (frequency > 0.1) & (frequency < 8)
    slope = np.polyfit(np.log(frequency[part]), np.log(power.mean(axis=0)[part]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)


def test_removing_the_response_gives_the_velocity_back() -> None:
    rate, time = 50.0, np.arange(6000) / 50.0
    velocity = 1e-4 * np.exp(-(((time - 60) / 8) ** 2)) * np.sin(2 * np.pi * 1.5 * time)
    start = obspy.UTCDateTime(2012, 1, 1)
    inventory = station_inventory("W00", 39.0, 29.0, 500.0, start, {"BH": rate})
    header = {"network": "QS", "station": "W00", "channel": "BHZ", "sampling_rate": rate, "starttime": start}
    trace = obspy.Trace(to_counts(velocity, rate).astype(float), header)
    trace.remove_response(inventory, output="VEL", water_level=60, pre_filt=(0.05, 0.1, 20, 24))
    np.testing.assert_allclose(trace.data, velocity, atol=2e-6)


def test_counts_are_clipped_at_full_scale() -> None:
    counts = to_counts(np.sin(np.arange(1000) / 10)[None], 50.0)
    assert np.abs(counts).max() == FULL_SCALE_COUNTS


def test_records_are_miniseed_with_their_stations(small_world: World, small_archive: Path) -> None:
    c = small_world.config.waveforms
    folders = sorted((small_archive / "waveforms" / "events").iterdir())
    assert 1 <= len(folders) <= c.events_max
    stream = obspy.read(str(folders[0] / "*.mseed"), format="MSEED")
    assert len(stream) == 3 * c.stations
    assert {t.stats.mseed.encoding for t in stream} == {"STEIM2"}
    inventory = obspy.read_inventory(str(small_archive / "waveforms" / "stations" / "*.xml"))
    origin = small_world.to_time(small_world.events["time_days"][int(folders[0].name[2:])])
    for trace in stream:
        assert trace.stats.npts == c.length_s * c.sampling_rate_hz
        assert inventory.get_response(trace.id, trace.stats.starttime).response_stages
        assert abs(trace.stats.starttime - obspy.UTCDateTime(str(origin))) < 60


def test_continuous_day_is_whole(small_world: World, small_archive: Path) -> None:
    (day,) = (small_archive / "waveforms" / "continuous").iterdir()
    trace = obspy.read(str(next(day.glob("*Z.mseed"))), format="MSEED")[0]
    assert trace.stats.npts == 86_400 * small_world.config.waveforms.continuous_rate_hz
    assert str(trace.stats.starttime.date) == day.name
