"""SDS archives: regular records, midnight, growing and damaged files."""

import io
from pathlib import Path

import numpy as np
import obspy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obspy import UTCDateTime

from tasks.sources import SourceDataInvalid, SourceEmpty
from tasks.sources.mseed_segments import RecordSpan, decode_segments, touching
from tasks.sources.mseed_trim import covered_seconds, trim_channels
from tasks.sources.sds import DayFile, parse_name
from tests.sources.services.servers.fdsn import inventory_of, noise

RATE = 20.0
GAIN = 4e8
Z = "CI.CLC..BHZ"


def wave(start: str, seconds: float, code: str = Z, rate: float = RATE) -> obspy.Trace:
    """A sine of 1 Hz and 1 mm/s whose phase is that of the clock."""
    trace = noise(code, start, seconds, rate)
    clock = trace.stats.starttime.ns % 10**9 / 1e9 + np.arange(trace.stats.npts) / rate
    trace.data = np.round(GAIN * 1e-3 * np.sin(2 * np.pi * clock)).astype(np.int32)
    return trace


def packed(*traces: obspy.Trace) -> bytes:
    body = io.BytesIO()
    obspy.Stream(list(traces)).write(body, format="MSEED", reclen=512)
    return body.getvalue()


def put(top: Path, day: str, content: bytes, code: str = Z) -> Path:
    network, station, location, channel = code.split(".")
    path = top / DayFile(f"{network}.{station}", location, channel, np.datetime64(day, "D")).name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    stations = top / "stations"
    if not stations.exists():
        stations.mkdir()
        codes = [Z, "CI.CLC..BHN", "CI.CLC..BHE", "CI.CLC..HNZ"]
        inventory_of(codes, rate=RATE, gain=GAIN).write(str(stations / "CI.CLC.xml"), format="STATIONXML")
    return path


def test_names_of_the_archive_are_understood_both_ways():
    name = DayFile("IU.ANMO", "00", "BHZ", np.datetime64("2020-12-31", "D"))
    assert name.name == "2020/IU/ANMO/BHZ.D/IU.ANMO.00.BHZ.D.2020.366"
    assert parse_name(Path(name.name)) == name
    assert parse_name(Path("IU.ANMO.00.BHZ.Q.2020.366")) is None
    assert parse_name(Path("IU.ANMO.00.BHZ.D.2020.000")) is None


def test_one_record_begins_every_step_and_tells_the_ground_velocity(tmp_path, fetch):
    put(tmp_path, "2019-07-06", packed(wave("2019-07-06T05:00:00.013", 7200)))
    data, invalid = fetch("waveform", "sds", "", step_minutes=30)
    assert not invalid
    assert [str(t)[11:16] for t in data.time.values] == ["05:15", "05:45", "06:15", "06:45"]
    middle = slice(200, 1000)
    expected = 1e-3 * np.sin(2 * np.pi * np.arange(1200) / 20.0)
    # the samples lie 13 ms after the grid, and come out on it
    for record in range(4):
        np.testing.assert_allclose(data.velocity[record, 0, middle], expected[middle], atol=3e-5)
    assert data.quality_flag.values.tolist() == [[0, 1, 1]] * 4
    assert (data.available_time - data.time).values.astype("timedelta64[s]").astype(int).max() <= 72


def test_a_record_across_midnight_is_made_of_both_days_files(tmp_path, fetch):
    whole = wave("2019-07-06T12:00", 86_400)
    body = packed(whole)
    # files of whole miniSEED records: the one across midnight stands in the day where it begins
    records = [body[k : k + 512] for k in range(0, len(body), 512)]
    midnight = UTCDateTime("2019-07-07").ns
    begins = [decode_segments(record, "x")[0].start for record in records]
    first = b"".join(r for r, b in zip(records, begins, strict=True) if b < midnight)
    put(tmp_path, "2019-07-06", first)
    put(tmp_path, "2019-07-07", b"".join(r for r, b in zip(records, begins, strict=True) if b >= midnight))
    data = fetch("waveform", "sds", "", step_minutes=720, offset_minutes=0, start="2019-07-07").dataset
    assert str(data.time.values[0])[:19] == "2019-07-07T00:00:00"
    expected = 1e-3 * np.sin(2 * np.pi * np.arange(1200) / 20.0)
    # also its very first samples: the filter had the 10 s before midnight
    np.testing.assert_allclose(data.velocity[0, 0], expected, atol=3e-5)


def test_the_incomplete_last_record_of_a_growing_file_is_left_out(tmp_path, fetch):
    body = packed(wave("2019-07-06T00:00", 3 * 3600))
    put(tmp_path, "2019-07-06", body[:-200])
    data, invalid = fetch("waveform", "sds", "")
    assert not invalid
    assert data.sizes["record"] == 3


def test_a_damaged_file_is_named_and_the_other_channels_are_kept(tmp_path, fetch):
    put(tmp_path, "2019-07-06", packed(wave("2019-07-06T00:00", 7200)))
    code = "CI.CLC..BHN"
    body = packed(wave("2019-07-06T00:00", 7200, code))
    path = put(tmp_path, "2019-07-06", body[:1024] + b"\0" * 512 + body[1536:], code)
    data, invalid = fetch("waveform", "sds", "")
    assert [Path(e.path) for e in invalid] == [path]
    assert data.quality_flag.values.tolist() == [[0, 1, 1]] * 2


def test_a_file_with_another_channels_records_is_refused(tmp_path, fetch):
    put(tmp_path, "2019-07-06", packed(wave("2019-07-06T00:00", 7200, "XX.EVIL..BHZ")))
    with pytest.raises(
        SourceDataInvalid, match=r"records of CI\.CLC\.\.BHZ only, found some of XX\.EVIL\.\.BHZ"
    ):
        fetch("waveform", "sds", "")


def test_the_broadband_is_taken_and_the_accelerometer_where_it_has_nothing(tmp_path, fetch):
    put(tmp_path, "2019-07-06", packed(wave("2019-07-06T00:00", 3600)))
    for day in ("2019-07-06", "2019-07-07"):
        put(tmp_path, day, packed(wave(f"{day}T00:00", 3600, "CI.CLC..HNZ")), "CI.CLC..HNZ")
    put(tmp_path, "2019-07-06", packed(noise("CI.CLC..LOG", "2019-07-06", 60, 1.0)), "CI.CLC..LOG")
    data, invalid = fetch("waveform", "sds", "")
    assert not invalid
    assert data.sizes["record"] == 2


def test_a_station_without_metadata_is_named_once(tmp_path, fetch):
    put(tmp_path, "2019-07-06", packed(wave("2019-07-06T00:00", 3600)))
    for day in ("2019-07-06", "2019-07-07"):
        put(tmp_path, day, packed(wave(f"{day}T00:00", 3600, "CI.XXX..BHZ")), "CI.XXX..BHZ")
    data, invalid = fetch("waveform", "sds", "")
    assert len(invalid) == 1
    assert "StationXML CI.XXX.xml" in str(invalid[0])
    assert data.sizes["record"] == 1


def test_a_window_without_records_is_empty(tmp_path, fetch):
    put(tmp_path, "2019-07-06", packed(wave("2019-07-06T00:00", 3600)))
    with pytest.raises(SourceEmpty):
        fetch("waveform", "sds", "", start="2019-08-01")


@pytest.mark.parametrize(
    "options", [{"step_minutes": 7}, {"step_minutes": 0}, {"step_minutes": 60, "offset_minutes": 60}]
)
def test_a_step_that_does_not_divide_the_day_is_refused(tmp_path, fetch, options):
    put(tmp_path, "2019-07-06", packed(wave("2019-07-06T00:00", 3600)))
    with pytest.raises(ValueError, match="must divide 1440"):
        fetch("waveform", "sds", "", **options)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), max_size=8),
    st.lists(st.integers(0, 20), min_size=1, max_size=6, unique=True),
)
def test_touching_is_what_brute_force_finds(records, slots):
    spans = [RecordSpan("a", s, s + n - 1, s + n, 0, 1) for s, n in records]
    intervals = np.array([(10 * k, 10 * k + 4) for k in sorted(slots)])
    expected = [s for s in spans if any(s.start < high and low < s.end for low, high in intervals)]
    assert touching(spans, intervals) == expected


BODY = packed(wave("2019-07-06T00:00", 120), wave("2019-07-06T00:00", 120, "CI.CLC..BHN"))
ORIGIN = UTCDateTime("2019-07-06").ns


@settings(deadline=None, max_examples=100)
@given(st.integers(-10, 130_000), st.integers(1, 130_000))
def test_trimming_keeps_exactly_the_samples_of_the_interval(start_ms, length_ms):
    start, end = ORIGIN + start_ms * 10**6, ORIGIN + (start_ms + length_ms) * 10**6
    times = ORIGIN + np.arange(2400) * 50_000_000
    inside = (times >= start) & (times < end)
    found = trim_channels(BODY + BODY[:512], "x", start, end)
    assert set(found) == ({Z, "CI.CLC..BHN"} if inside.any() else set())
    for content in found.values():
        (segment,) = decode_segments(content, "x")
        assert segment.start == times[inside][0]
        np.testing.assert_array_equal(segment.samples, decode_segments(BODY, "x")[1].samples[inside])
        assert covered_seconds(content, "x") == pytest.approx(inside.sum() / RATE)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, len(BODY) - 1), st.integers(0, 255)), max_size=4),
    st.integers(0, len(BODY)),
)
def test_mutated_records_are_refused_or_decoded_and_nothing_else(changes, length):
    content = bytearray(BODY)
    for place, value in changes:
        content[place] = value
    body = bytes(content[:length])
    for parse in (
        lambda: decode_segments(body, "mutant"),
        lambda: trim_channels(body, "mutant", ORIGIN + 10**9, ORIGIN + 60 * 10**9),
        lambda: covered_seconds(body, "mutant"),
    ):
        message = ""
        try:
            parse()
        except SourceDataInvalid as error:
            message = str(error)
        assert not message or message.startswith("mutant: expected")
