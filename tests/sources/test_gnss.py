import io
import tarfile
from pathlib import Path

import numpy as np
import obspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sources import SourceDataInvalid, SourceEmpty
from tasks.sources.cwu_csv import flag_outliers
from tasks.sources.tenv3 import parse

HEADER = (
    "site YYMMMDD yyyy.yyyy __MJD week d reflon _e0(m) __east(m) ____n0(m) _north(m) u0(m) ____up(m) _ant(m) "
    "sig_e(m) sig_n(m) sig_u(m) __corr_en __corr_eu __corr_nu _latitude(deg) _longitude(deg) __height(m)"
)


def tenv3_row(
    day: str = "2019-07-06", e=(1234, 0.567890), n=(3959900, -0.123456), u=(715, 0.012345), lon=-117.5863
) -> str:
    moment = np.datetime64(day, "D")
    mjd = int((moment - np.datetime64("1858-11-17", "D")).astype(int))
    stamp = moment.astype(object).strftime("%y%b%d").upper()
    return (
        f"ABCD {stamp} {2000 + (mjd - 51544) / 365.25:.4f} {mjd} {(mjd - 44244) // 7} {(mjd - 44244) % 7} -117.6 "
        f"{e[0]} {e[1]:.6f} {n[0]} {n[1]:.6f} {u[0]} {u[1]:.6f} 0.0083 0.000700 0.000800 0.003000 0.01 0.02 -0.03 "
        f"35.77 {lon:.10f} {u[0] + u[1]:.5f}"
    )


def write(folder: Path, *rows: str, name: str = "ABCD", header: str = HEADER) -> Path:
    path = folder / f"{name}.tenv3"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


metres = st.integers(-900_000, 900_000).map(lambda k: k / 1e6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(metres, metres, metres), min_size=1, max_size=5))
def test_what_is_written_as_tenv3_is_read_back(tmp_path_factory, positions):
    days = np.datetime64("2019-07-01", "D") + np.arange(len(positions))
    rows = [
        tenv3_row(str(day), (1234, e), (3959900, n), (715, u))
        for day, (e, n, u) in zip(days, positions, strict=True)
    ]
    series, complaints = parse(write(tmp_path_factory.mktemp("tenv3"), *rows))
    assert not complaints
    np.testing.assert_array_equal(series.time, days.astype("datetime64[ns]") + np.timedelta64(12, "h"))
    expected = np.array(positions) - np.array(positions)[0]
    np.testing.assert_allclose(series.values[:, :3], expected, atol=1e-8)
    np.testing.assert_allclose(series.values[:, 3:], [[0.0007, 0.0008, 0.003]] * len(positions))


def test_integer_part_that_steps_while_the_fraction_jumps_back_is_no_motion(tmp_path, fetch):
    write(tmp_path, tenv3_row("2019-07-01", e=(1234, 0.999)), tenv3_row("2019-07-02", e=(1235, 0.001)))
    data = fetch("gnss", "tenv3", "", latency_days=1).dataset
    np.testing.assert_allclose(data.east.values[:, 0], [0.0, 0.002], atol=1e-9)
    assert data.available_time.values[0, 0] == np.datetime64("2019-07-03")
    assert data.time.values[0] == np.datetime64("2019-07-01T12:00")
    assert data.attrs["vintage"] == "reconstructed"


def test_longitude_below_minus_180_is_wrapped(tmp_path):
    series, _ = parse(write(tmp_path, tenv3_row(lon=-327.24)))
    assert series.longitude == pytest.approx(32.76)


def test_file_of_20_columns_gets_its_place_from_the_integer_parts(tmp_path):
    header, row = (" ".join(text.split()[:20]) for text in (HEADER, tenv3_row()))
    series, _ = parse(write(tmp_path, row, header=header))
    assert series.latitude == pytest.approx(35.77, abs=0.1)
    assert series.longitude == pytest.approx(-117.5863, abs=1e-3)


def test_file_of_30_columns_is_read_by_header_name(tmp_path):
    extra = " ".join(f"load_{k}(m)" for k in range(7))
    series, _ = parse(write(tmp_path, tenv3_row() + " 1 2 3 4 5 6 7", header=f"{HEADER} {extra}"))
    assert series.values.shape == (1, 6)


def test_east_stays_continuous_where_the_reference_longitude_changes(tmp_path):
    first = tenv3_row("2019-07-01", lon=-117.5863)
    second = tenv3_row("2019-07-02", e=(99, 0.1), lon=-117.5863).replace(" -117.6 ", " -117.5 ")
    series, complaints = parse(write(tmp_path, first, second))
    assert not complaints
    assert abs(series.values[1, 0]) < 1e-6


def test_wrong_column_is_named_and_other_stations_are_delivered(tmp_path, fetch):
    write(tmp_path, tenv3_row(), name="GOOD")
    write(tmp_path, tenv3_row(), name="WRNG", header=HEADER.replace("_north(m)", "_norte(m)"))
    data, invalid = fetch("gnss", "tenv3", "")
    assert data.sizes["station"] == 1
    assert [Path(e.path).name for e in invalid] == ["WRNG.tenv3"]
    assert "no column north" in str(invalid[0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.000700", "mm0.7", "numbers in column sig_e"),
        (" 0.0083", "", "22 in line 2"),
        ("19JUL06", "19JUX06", "dates like 19JUL06"),
        ("19JUL06", "19JUL07", "one day in YYMMMDD and MJD"),
    ],
)
def test_damaged_tenv3_rows_say_what_was_expected(tmp_path, old, new, message):
    with pytest.raises(SourceDataInvalid, match=message):
        parse(write(tmp_path, tenv3_row().replace(old, new)))


def test_of_a_repeated_day_the_last_row_is_used(tmp_path):
    path = write(tmp_path, tenv3_row(), tenv3_row("2019-07-07"), tenv3_row("2019-07-07", u=(715, 0.02)))
    series, complaints = parse(path)
    assert series.time.size == 2
    assert series.values[1, 2] == pytest.approx(0.02 - 0.012345)
    assert "2019-07-07" in str(complaints[0])


def test_days_without_a_row_are_gaps(tmp_path, fetch):
    write(tmp_path, tenv3_row("2019-07-01"), tenv3_row("2019-07-02"), name="AAAA")
    write(tmp_path, tenv3_row("2019-07-02").replace("ABCD", "BBBB"), name="BBBB")
    data = fetch("gnss", "tenv3", "").dataset
    assert data.quality_flag.sel(station="BBBB").values.tolist() == [1, 0]
    assert np.isnan(data.east.sel(station="BBBB").values).tolist() == [True, False]


def test_station_outside_the_radius_or_window_is_empty(tmp_path, fetch):
    write(tmp_path, tenv3_row())
    with pytest.raises(SourceEmpty):
        fetch("gnss", "tenv3", "", radius_km=5)
    with pytest.raises(SourceEmpty):
        fetch("gnss", "tenv3", "", end="2019-07-01")


VELOCITIES = (
    "PBO Velocity file\n*Dot#     Name           Ref_epoch\n"
    " P570 Weldon With Name 20231227120000 60305.5000 -2.0 -5.0 3.0 35.6674 241.7396 815.5 0.1\n"
)


def write_cwu(folder: Path, station: str, text: str) -> None:
    (folder / "cwu.final_nam14.vel").write_text(VELOCITIES)
    (folder / f"position.{station}.cwu.nam14.csv").write_text(text)


def test_millimetres_north_before_east_become_metres(tmp_path, fetch):
    write_cwu(
        tmp_path, "P570", "Date, North (mm), East (mm), Vertical (mm)\n2019-01-01,0,0,0\n2019-01-02,1.5,-2,3"
    )
    data = fetch("gnss", "cwu_csv", "", latency_days=1).dataset
    at = data.isel(time=1, station=0)
    assert (float(at.east), float(at.north), float(at.up)) == (-0.002, 0.0015, 0.003)
    assert np.isnan(float(at.sigma_east))
    assert float(at.longitude) == pytest.approx(-118.2604)
    assert at.available_time.values == np.datetime64("2019-01-04")


def test_station_without_coordinates_is_named(tmp_path, fetch):
    write_cwu(tmp_path, "HARV", "Date,North (mm),East (mm)\n2019-01-01,0,0\n")
    with pytest.raises(SourceDataInvalid, match="coordinates of HARV"):
        fetch("gnss", "cwu_csv", "")


def test_a_spike_is_flagged_and_a_step_costs_one_day():
    time = np.datetime64("2019-01-01", "ns") + np.arange(60) * np.timedelta64(1, "D")
    positions = np.zeros((60, 3))
    positions[20, 0] = 0.5
    positions[40:, 1] = 0.3
    assert np.flatnonzero(flag_outliers(time, positions, 0.1)).tolist() == [20, 40]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=12, max_size=30), st.integers(6, 11))
def test_later_positions_never_change_an_earlier_flag(values, cut):
    time = np.datetime64("2019-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "D")
    positions = np.stack([values] * 3, axis=1)
    whole = flag_outliers(time, positions, 0.1)
    np.testing.assert_array_equal(whole[:cut], flag_outliers(time[:cut], positions[:cut], 0.1))


def mseed_bytes(station: str, channel: str, samples: np.ndarray) -> bytes:
    header = {
        "network": "PB", "station": station, "location": "00", "channel": channel, "sampling_rate": 1.0,
        "starttime": obspy.UTCDateTime("2019-07-06T03:19:00"),
    }  # fmt: skip
    buffer = io.BytesIO()
    encoding = "INT32" if samples.dtype == np.int32 else "FLOAT64"
    obspy.Trace(samples, header).write(buffer, format="MSEED", encoding=encoding)
    return buffer.getvalue()


def write_event(folder: Path, members: dict[str, bytes], stations: list[str]) -> None:
    lines = [f"PB {s} 00 LX{c} 35.7 -117.5 700 1 1e6 DU/M PPP" for s in stations for c in "ENZ"]
    (folder / "event.geodetic.dat").write_text("#columns\n" + "\n".join(lines) + "\n")
    with tarfile.open(folder / "event.geodetic.mseed.tar.gz", "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"mseed/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_highrate_units_no_data_and_companions_are_told_apart(tmp_path, fetch):
    counts = np.array([0, 1_000_000, -(2**31), 500_000], dtype=np.int32)
    members = {f"P595.LX{c}.mseed": mseed_bytes("P595", f"LX{c}", counts) for c in "ENZ"}
    members |= {f"P594.LX{c}.mseed": mseed_bytes("P594", f"LX{c}", np.array([0.0, 0.25])) for c in "ENZ"}
    members |= {
        f"DEAD.LX{c}.mseed": mseed_bytes("DEAD", f"LX{c}", np.zeros(4, dtype=np.int32)) for c in "ENZ"
    }
    members |= {
        "._P595.LXE.mseed": b"apple",
        "NONE.LXE.mseed": b"",
        "LOST.LXE.mseed": mseed_bytes("LOST", "LXE", counts),
    }
    write_event(tmp_path, members, ["P595", "P594", "DEAD"])
    data, invalid = fetch("gnss_highrate", "gnss_mseed", "")
    assert data.station.values.tolist() == ["P594", "P595"]
    assert data.east.sel(station="P595").values.tolist()[:2] == [0.0, 1.0]
    assert data.quality_flag.sel(station="P595").values.tolist() == [0, 0, 4, 0]
    # float64 is metres already; two of its seconds are missing
    assert data.up.sel(station="P594").values[1] == 0.25
    assert data.quality_flag.sel(station="P594").values.tolist() == [0, 0, 1, 1]
    messages = " ".join(map(str, invalid))
    for part in ("only zeros at DEAD", "NONE.LXE.mseed", "PB.LOST"):
        assert part in messages
    assert "._P595" not in messages
    assert (data.available_time.values[:, 0] - data.time.values == np.timedelta64(1, "s")).all()
