"""Open-Meteo's JSON: units, clocks, gaps, and damage of every kind."""

import copy
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.sources import SourceDataInvalid, SourceEmpty

PLACE = {
    "latitude": 35.5, "longitude": 242.5, "elevation": 700.0, "utc_offset_seconds": 0, "timezone": "GMT",
    "hourly_units": {
        "time": "iso8601", "temperature_2m": "°C", "surface_pressure": "hPa", "precipitation": "mm",
        "wind_speed_10m": "m/s", "wind_direction_10m": "°", "soil_moisture_0_to_7cm": "m³/m³",
    },
    "hourly": {
        "time": ["2019-07-01T00:00", "2019-07-01T01:00", "2019-07-01T02:00"],
        "temperature_2m": [20.0, None, 22.0], "surface_pressure": [900.0, 901.0, 902.0],
        "precipitation": [0.0, 0.5, 0.0], "wind_speed_10m": [2.0, 0.0, 4.0], "wind_direction_10m": [0, None, 90],
        "soil_moisture_0_to_7cm": [0.1, 0.2, 0.3],
    },
}  # fmt: skip


def write(tmp_path, content, name="a.json"):
    (tmp_path / name).write_text(json.dumps(content))


def changed(**hourly):
    place = copy.deepcopy(PLACE)
    place["hourly"].update(hourly)
    return place


def test_values_are_in_si_and_the_wind_is_where_it_goes(tmp_path, fetch):
    write(tmp_path, PLACE)
    data = fetch("weather", "open_meteo", "", latency_days=5).dataset
    assert data.station.values.tolist() == ["35.500_-117.500"]
    np.testing.assert_allclose(data.air_temperature[:, 0], [293.15, np.nan, 295.15])
    np.testing.assert_allclose(data.surface_air_pressure[:, 0], [90000, 90100, 90200])
    # from the north: southward; a calm needs no direction; from the east: westward
    np.testing.assert_allclose(data.northward_wind[:, 0], [-2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(data.eastward_wind[:, 0], [0, 0, -4], atol=1e-12)
    assert data.attrs["sampling"] == "hour"
    assert not data.quality_flag.values.any()


def test_a_local_clock_is_taken_back_to_utc_and_unix_time_is_not(tmp_path, fetch):
    local = {**PLACE, "utc_offset_seconds": -28800}
    write(tmp_path, local)
    assert fetch("weather", "open_meteo", "").dataset.time.values[0] == np.datetime64("2019-07-01T08:00")
    unix = changed(time=[1561939200, 1561942800, 1561946400])
    unix["hourly_units"]["time"] = "unixtime"
    write(tmp_path, {**unix, "utc_offset_seconds": -28800})
    assert fetch("weather", "open_meteo", "").dataset.time.values[0] == np.datetime64("2019-07-01T00:00")


def test_an_impossible_value_is_masked_and_the_others_stay(tmp_path, fetch):
    write(tmp_path, changed(temperature_2m=[20.0, 9999.0, 22.0]))
    data = fetch("weather", "open_meteo", "").dataset
    assert np.isnan(data.air_temperature.values[1, 0])
    assert data.precipitation_amount.values[1, 0] == 0.5


def test_an_hour_with_nothing_is_a_gap_and_one_with_nothing_possible_is_masked(tmp_path, fetch):
    empty = {name: [None] * 3 for name in PLACE["hourly"] if name != "time"}
    write(tmp_path, changed(**{**empty, "temperature_2m": [20.0, None, 9999.0]}))
    assert fetch("weather", "open_meteo", "").dataset.quality_flag.values[:, 0].tolist() == [0, 1, 4]


def test_two_places_moved_to_one_node_become_one_station(tmp_path, fetch):
    write(tmp_path, [PLACE, changed(precipitation=[1.0, 1.0, 1.0])])
    assert fetch("weather", "open_meteo", "").dataset.sizes["station"] == 1


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"error": True, "reason": "No data is available"}, "No data is available"),
        (changed(precipitation=[1.0]), "3 values of precipitation"),
        (changed(precipitation=["0", "1", "2"]), "numbers or null"),
        (changed(precipitation=[True, False, True]), "numbers or null"),
        (changed(time=["2019-07-01", "x", "y"]), "times in iso8601"),
        (changed(time=["2019-07-01T00:00"] * 3), "rising times"),
        ({**PLACE, "latitude": 95.0}, "latitude as a number"),
        ({**PLACE, "utc_offset_seconds": "GMT"}, "utc_offset_seconds"),
        ([], "one place or more"),
        ([1], "an object for each place"),
        ({"hourly": {}}, "hourly and hourly_units"),
    ],
)
def test_what_is_no_weather_is_named_and_the_other_file_is_read(tmp_path, fetch, content, found):
    write(tmp_path, PLACE)
    write(tmp_path, content, "b.json")
    data, invalid = fetch("weather", "open_meteo", "")
    assert data.sizes["time"] == 3
    assert found in str(invalid[0])
    assert "b.json" in str(invalid[0])


TEXT = json.dumps(PLACE)


@given(
    at=st.integers(0, len(TEXT) - 1),
    length=st.integers(0, 12),
    patch=st.one_of(
        st.text(max_size=6),
        st.sampled_from(["1e999", "-1", "null", "[]", "{}", "NaN", "°F", "km/h", "Infinity", "9" * 30]),
    ),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_json_is_refused_or_its_values_are_possible_weather(tmp_path, fetch, at, length, patch):
    (tmp_path / "a.json").write_text(TEXT[:at] + patch + TEXT[at + length :])
    try:
        data = fetch("weather", "open_meteo", "").dataset
    except (SourceDataInvalid, SourceEmpty):
        return
    temperature = data.air_temperature.values
    assert ((temperature > 175) & (temperature < 340) | np.isnan(temperature)).all()
    assert (np.abs(data.eastward_wind.values[~np.isnan(data.eastward_wind.values)]) <= 120).all()
    assert (data.available_time.values >= data.time.values[:, None]).all()
