from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy.core.inventory import Channel, Inventory, Network, Response, Station

from tasks.sources import SourceDataInvalid, SourceEmpty

START = obspy.UTCDateTime("2019-07-06T03:00:00")
RATE = 100.0
COUNTS_PER_M_S = 4e8


def channel(code: str, azimuth: float, dip: float, units: str = "M/S") -> Channel:
    response = Response.from_paz(
        zeros=[0j, 0j] if units == "M/S" else [],
        poles=[-0.037 - 0.037j, -0.037 + 0.037j] if units == "M/S" else [],
        stage_gain=COUNTS_PER_M_S,
        stage_gain_frequency=1.0,
        input_units=units,
        output_units="COUNTS",
        normalization_frequency=1.0,
    )
    return Channel(
        code, "", latitude=35.7, longitude=-117.5, elevation=700.0, depth=0.0, azimuth=azimuth, dip=dip,
        sample_rate=RATE, start_date=obspy.UTCDateTime(2000, 1, 1), response=response,
    )  # fmt: skip


def write_station(
    folder: Path, code: str = "CLC", units: str = "M/S", horizontals: tuple[float, float] = (0.0, 90.0)
) -> None:
    band, letters = ("HH" if units == "M/S" else "HN"), ("NE" if horizontals == (0.0, 90.0) else "12")
    channels = [channel(f"{band}Z", 0.0, -90.0, units)]
    channels += [
        channel(band + c, azimuth, 0.0, units) for c, azimuth in zip(letters, horizontals, strict=True)
    ]
    station = Station(code, 35.7, -117.5, 700.0, channels=channels, start_date=obspy.UTCDateTime(2000, 1, 1))
    folder.mkdir(parents=True, exist_ok=True)
    inventory = Inventory([Network("CI", [station])], source="test")
    inventory.write(str(folder / f"CI.{code}.xml"), format="STATIONXML")


def write_trace(
    folder: Path, counts: np.ndarray, name: str = "HHZ", start: obspy.UTCDateTime = START, code: str = "CLC"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    header = {"network": "CI", "station": code, "channel": name, "sampling_rate": RATE, "starttime": start}
    path = folder / f"CI.{code}..{name}.mseed"
    trace = obspy.Trace(np.round(counts).astype(np.int32), header)
    trace.write(str(path), format="MSEED", encoding="STEIM2", reclen=512)
    return path


def sine(seconds: float, frequency: float = 1.0, offset: float = 0.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * (np.arange(round(seconds * RATE)) / RATE + offset))


def test_ground_velocity_of_a_sine_is_recovered(tmp_path, fetch):
    write_station(tmp_path / "stations")
    for name in ("HHZ", "HHN", "HHE"):
        write_trace(tmp_path / "events/q1", COUNTS_PER_M_S * 1e-3 * sine(120), name)
    data, invalid = fetch("waveform", "miniseed", "")
    assert not invalid
    assert data.velocity.shape == (2, 3, 1200)
    assert data.velocity.dtype == np.float32
    t = np.arange(1200) / 20.0
    middle = slice(200, 1000)
    np.testing.assert_allclose(data.velocity[0, 0, middle], 1e-3 * np.sin(2 * np.pi * t)[middle], atol=2e-5)
    assert data.time.values.tolist() == [START.ns, START.ns + 60_000_000_000]
    # the filter of the first window uses 10 s of the second
    assert data.available_time.values[0] == np.datetime64("2019-07-06T03:01:12")
    assert data.station.values.tolist() == ["CI.CLC", "CI.CLC"]
    assert not data.quality_flag.any()


def test_acceleration_is_integrated_to_velocity(tmp_path, fetch):
    write_station(tmp_path, units="M/S**2")
    write_trace(tmp_path, COUNTS_PER_M_S * 1e-2 * sine(60, 0.5), "HNZ")
    velocity = fetch("waveform", "miniseed", "").dataset.velocity.values[0, 0, 200:1000]
    assert np.abs(velocity).max() == pytest.approx(1e-2 / (np.pi * 1.0), rel=0.03)


def test_samples_between_the_slots_are_moved_onto_them(tmp_path, fetch):
    write_station(tmp_path)
    write_trace(tmp_path, COUNTS_PER_M_S * 1e-3 * sine(80, 2.0, offset=0.013), start=START + 0.013)
    data = fetch("waveform", "miniseed", "").dataset
    assert data.time.values[0] == np.datetime64(START.ns, "ns")
    t = np.arange(1200) / 20.0
    np.testing.assert_allclose(
        data.velocity[0, 0, 200:1000], 1e-3 * np.sin(4 * np.pi * t)[200:1000], atol=3e-5
    )


def test_turned_horizontals_come_out_as_north_and_east(tmp_path, fetch):
    write_station(tmp_path, horizontals=(30.0, 120.0))
    motion = COUNTS_PER_M_S * 1e-3 * sine(60)
    # motion due north, seen by channels at 30 and 120 degrees
    write_trace(tmp_path, motion * np.cos(np.radians(30)), "HH1")
    write_trace(tmp_path, motion * np.cos(np.radians(120)), "HH2")
    data = fetch("waveform", "miniseed", "").dataset
    peak = np.abs(data.velocity.values[0, :, 200:1000])
    assert np.isnan(peak[0]).all()
    assert peak[1].max() == pytest.approx(1e-3, rel=0.02)
    assert peak[2].max() < 2e-5
    assert data.quality_flag.values[0].tolist() == [1, 0, 0]


def test_early_end_is_missing_and_flagged(tmp_path, fetch):
    write_station(tmp_path)
    write_trace(tmp_path, COUNTS_PER_M_S * 1e-3 * sine(30))
    data = fetch("waveform", "miniseed", "").dataset
    seen = np.isfinite(data.velocity.values[0, 0])
    assert seen[:600].all()
    assert not seen[600:].any()
    assert data.quality_flag.values[0, 0] == 1
    assert data.available_time.values[0] == np.datetime64("2019-07-06T03:01:02")


def test_full_scale_counts_are_flagged_as_saturated(tmp_path, fetch):
    write_station(tmp_path)
    write_trace(tmp_path, np.clip(2.0**24 * sine(60), -(2**23), 2**23 - 1))
    assert fetch("waveform", "miniseed", "").dataset.quality_flag.values[0, 0] == 2


def test_truncated_file_is_named_and_the_other_channels_are_kept(tmp_path, fetch):
    write_station(tmp_path)
    rng = np.random.default_rng(1)
    for name in ("HHZ", "HHN"):
        path = write_trace(tmp_path, 1e5 * rng.normal(size=6000), name)
    path.write_bytes(path.read_bytes()[:-100])
    data, invalid = fetch("waveform", "miniseed", "")
    assert [Path(e.path).name for e in invalid] == ["CI.CLC..HHN.mseed"]
    assert "expected whole miniSEED records" in str(invalid[0])
    assert data.quality_flag.values[0].tolist() == [0, 1, 1]


def test_only_truncated_files_are_invalid(tmp_path, fetch):
    write_station(tmp_path)
    path = write_trace(tmp_path, 1e5 * np.random.default_rng(1).normal(size=6000))
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(SourceDataInvalid, match=r"HHZ\.mseed"):
        fetch("waveform", "miniseed", "")


def test_station_without_metadata_is_named_and_the_other_is_read(tmp_path, fetch):
    write_station(tmp_path)
    write_trace(tmp_path, 1e5 * sine(60))
    write_trace(tmp_path, 1e5 * sine(60), code="XXX")
    data, invalid = fetch("waveform", "miniseed", "")
    assert data.station.values.tolist() == ["CI.CLC"]
    assert "StationXML CI.XXX.xml" in str(invalid[0])


def test_continuous_records_give_one_window_in_ten_minutes(tmp_path, fetch):
    write_station(tmp_path / "stations")
    write_trace(tmp_path / "continuous/2019-07-06", 1e5 * sine(1300), start=START)
    data = fetch("waveform", "miniseed", "continuous").dataset
    minutes = (data.time.values - np.datetime64(START.ns, "ns")) / np.timedelta64(1, "m")
    assert minutes.tolist() == [0, 10, 20]


def test_records_outside_the_window_are_empty(tmp_path, fetch):
    write_station(tmp_path)
    write_trace(tmp_path, 1e5 * sine(60))
    with pytest.raises(SourceEmpty):
        fetch("waveform", "miniseed", "", start="2019-08-01")


def test_response_removal_agrees_with_obspy(tmp_path, fetch):
    write_station(tmp_path)
    ground = np.convolve(np.random.default_rng(2).normal(size=6000), np.hanning(40), mode="same")
    path = write_trace(tmp_path, 1e4 * ground)
    ours = fetch("waveform", "miniseed", "").dataset.velocity.values[0, 0]
    trace = obspy.read(str(path))[0]
    trace.detrend("demean")
    inventory = obspy.read_inventory(str(tmp_path / "CI.CLC.xml"))
    trace.remove_response(
        inventory,
        output="VEL",
        pre_filt=(0.05, 0.1, 8.0, 9.5),
        water_level=60,
        taper=True,
        taper_fraction=2 / 60,
    )
    theirs = trace.data[::5]
    np.testing.assert_allclose(ours[100:1100], theirs[100:1100], atol=0.02 * np.abs(theirs).max())
