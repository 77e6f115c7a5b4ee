"""ISD-Lite's fixed-width hours and the reference network's hourly text: codes, clocks, broken lines, damage."""

import gzip

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.sources import SourceDataInvalid, SourceEmpty

HISTORY = (
    '"USAF","WBAN","STATION NAME","CTRY","STATE","ICAO","LAT","LON","ELEV(M)","BEGIN","END"\n'
    '"723830","23187","NEAR","US","CA","K1","+35.500","-117.500","+0700.0","19430101","20250829"\n'
    '"999999","00001","FAR","US","NY","K2","+40.000","-075.000","-0999.0","19430101","20250829"\n'
)
MISSING = -9999


def line(hour, temperature=MISSING, direction=MISSING, speed=MISSING, rain=MISSING, day="2019 07 01"):
    values = (temperature, 50, 10132, direction, speed, MISSING, rain, MISSING)
    return f"{day} {hour:02d}" + "".join(f"{value:6d}" for value in values)


LINES = [line(0, 215, 270, 40, 5), line(1, -5, 0, 0, -1), line(2), line(3, 210, MISSING, 30)]


@pytest.fixture
def isd(tmp_path):
    (tmp_path / "isd-history.csv").write_text(HISTORY)

    def write(lines, name="2019/723830-23187-2019.gz", raw=None):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress("\n".join(lines).encode()) if raw is None else raw)

    return write


def test_codes_become_values_in_si(isd, fetch):
    isd(LINES)
    data = fetch("weather", "isd_lite", "").dataset.isel(station=0)
    np.testing.assert_allclose(data.air_temperature, [294.65, 272.65, np.nan, 294.15])
    np.testing.assert_allclose(data.precipitation_amount, [0.5, 0, np.nan, np.nan])
    assert data.precipitation_trace.values.tolist() == [0, 1, 0, 0]
    # from the west; calm; missing; wind without a direction
    np.testing.assert_allclose(data.eastward_wind, [4, 0, np.nan, np.nan], atol=1e-12)
    np.testing.assert_allclose(data.northward_wind, [0, 0, np.nan, np.nan], atol=1e-12)
    assert data.quality_flag.values.tolist() == [0, 0, 1, 0]


def test_a_year_boundary_joins_and_far_stations_stay_out(isd, fetch):
    isd([line(23, 100, day="2018 12 31")], "2018/723830-23187-2018.gz")
    isd([line(0, 110, day="2019 01 01")], "2019/723830-23187-2019.gz")
    isd([line(0, 110, day="2019 01 01")], "2019/999999-00001-2019.gz")
    data = fetch("weather", "isd_lite", "", latency_days=0.5).dataset
    assert data.sizes == {"time": 2, "station": 1}
    assert np.diff(data.time.values)[0] == np.timedelta64(1, "h")
    assert (data.available_time - data.time == np.timedelta64(12, "h")).all()
    assert fetch("weather", "isd_lite", "", radius_km=5000).dataset.sizes["station"] == 2


def test_a_line_that_breaks_off_is_left_out_with_a_message(isd, fetch):
    isd([*LINES, line(4, 200)[:30]])
    data, invalid = fetch("weather", "isd_lite", "")
    assert data.sizes["time"] == 4
    assert "1 others, the first in line 5" in str(invalid[0])


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (gzip.compress(b"<html>moved</html>"), "lines of 61 columns"),
        (b"<html>moved</html>", "lines of 61 columns"),
        (gzip.compress("\n".join(LINES).encode())[:-12], "whole .gz stream"),
    ],
)
def test_a_file_that_is_no_isd_is_named_and_the_rest_is_read(isd, fetch, raw, found):
    isd(LINES)
    isd([], "2018/723830-23187-2018.gz", raw)
    data, invalid = fetch("weather", "isd_lite", "")
    assert data.sizes["time"] == 4
    assert found in str(invalid[0])
    assert "2018.gz" in str(invalid[0])


def test_files_without_the_list_of_stations_are_refused(isd, fetch, tmp_path):
    isd(LINES)
    (tmp_path / "isd-history.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceDataInvalid, match="columns USAF, WBAN"):
        fetch("weather", "isd_lite", "")
    (tmp_path / "isd-history.csv").unlink()
    with pytest.raises(SourceDataInvalid, match="list of stations"):
        fetch("weather", "isd_lite", "")


def hour(clock, day="20190702", mean="19.5", rain="1.5", soil="0.200"):
    head = ["53139", day, clock, day, "1600", "3", "-117.14", "36.60", "20.0", mean, "21", "18", rain]
    return " ".join(head + ["0"] * 15 + [soil] + ["-99.000"] * 9)


HOURS = [
    hour("0100"),
    hour("0200", mean="-9999.0"),
    hour("0300", rain="-9999.0", mean="-9999.0", soil="-99.000"),
]
NAME = "2019/CRNH0203-2019-CA_Stovepipe_Wells_1_SW.txt"


def crn(tmp_path, text):
    (tmp_path / NAME).parent.mkdir(exist_ok=True)
    (tmp_path / NAME).write_text(text)


def test_hours_of_the_network_end_at_their_time_and_codes_are_missing(tmp_path, fetch):
    crn(tmp_path, "\n".join([hour("0000"), *HOURS]))
    data = fetch("weather", "uscrn_hourly", "").dataset.isel(station=0)
    # 0000 ends the last hour of the day before
    assert data.time.values[0] == np.datetime64("2019-07-02T00:00")
    np.testing.assert_allclose(data.air_temperature, [292.65, 292.65, np.nan, np.nan])
    np.testing.assert_allclose(data.precipitation_amount, [1.5, 1.5, 1.5, np.nan])
    np.testing.assert_allclose(data.volumetric_soil_moisture, [0.2, 0.2, 0.2, np.nan])
    assert data.quality_flag.values.tolist() == [0, 0, 0, 1]
    assert (data.available_time - data.time == np.timedelta64(1, "h")).all()


def test_a_short_last_line_of_the_network_is_left_out_with_a_message(tmp_path, fetch):
    crn(tmp_path, "\n".join([*HOURS, hour("0400")[:50]]))
    data, invalid = fetch("weather", "uscrn_hourly", "")
    assert data.sizes["time"] == 3
    assert "first line 4" in str(invalid[0])
    crn(tmp_path, "<html>moved</html>")
    with pytest.raises(SourceDataInvalid, match="38 columns"):
        fetch("weather", "uscrn_hourly", "")


def possible(data):
    for name, low, high in (("air_temperature", 175, 340), ("precipitation_amount", 0, 2000)):
        values = data[name].values
        assert (np.isnan(values) | ((values >= low) & (values <= high))).all()
    assert (data.available_time.values >= data.time.values[:, None]).all()


PATCHES = st.one_of(
    st.text(max_size=6), st.sampled_from(["-9999", " ", "\n", "9" * 20, "1e5", "nan", "inf", "\0"])
)
DAMAGE = {
    "max_examples": 150,
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@given(at=st.integers(0, 240), length=st.integers(0, 10), patch=PATCHES)
@settings(**DAMAGE)
def test_damaged_isd_is_refused_or_its_values_are_possible_weather(isd, fetch, at, length, patch):
    text = "\n".join(LINES)
    isd([text[:at] + patch + text[at + length :]])
    try:
        possible(fetch("weather", "isd_lite", "").dataset)
    except (SourceDataInvalid, SourceEmpty):
        return


@given(at=st.integers(0, 500), length=st.integers(0, 10), patch=PATCHES)
@settings(**DAMAGE)
def test_damaged_network_text_is_refused_or_its_values_are_possible_weather(
    tmp_path, fetch, at, length, patch
):
    text = "\n".join(HOURS)
    crn(tmp_path, text[:at] + patch + text[at + length :])
    try:
        possible(fetch("weather", "uscrn_hourly", "").dataset)
    except (SourceDataInvalid, SourceEmpty):
        return
