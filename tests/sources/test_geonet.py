import json

import numpy as np
import pytest

from tasks.sources import SourceDataInvalid, SourceEmpty
from tasks.sources.geonet import read_places

HEAD = "station,name,sensorCode,method,aspect,timestamp,value,error,unit"


def part(folder, component, values, period="2015", station="P570", unit="m", head=HEAD):
    rows = [
        f"{station},displacement,nil,1d,{component},{day}T12:00:00.000Z,{value},{abs(value) / 10},{unit}"
        for day, value in values.items()
    ]
    (folder / f"{station}.{component}.{period}.csv").write_text("\n".join([head, *rows]) + "\n")


@pytest.fixture
def folder(tmp_path):
    stations = {
        "P570": {"latitude": 35.67, "longitude": 241.74, "elevation": 810},
        "FAR1": {"latitude": -41, "longitude": 174},
    }
    (tmp_path / "stations.json").write_text(json.dumps({"domain": {"gnss": {"station": stations}}}))
    return tmp_path


def test_components_with_different_missing_days_are_aligned_on_the_day(folder, fetch):
    part(folder, "east", {"2019-07-01": 0.1, "2019-07-02": 0.2, "2019-07-04": 0.4})
    part(folder, "north", {"2019-07-02": -0.2, "2019-07-03": -0.3, "2019-07-04": -0.4})
    part(folder, "up", {"2019-07-01": 1.0, "2019-07-03": 3.0, "2019-07-04": 4.0})
    data = fetch("gnss", "geonet", "", latency_days=2).dataset.sel(station="P570")
    np.testing.assert_array_equal(data.east.values, [0.1, 0.2, np.nan, 0.4])
    np.testing.assert_array_equal(data.north.values, [np.nan, -0.2, -0.3, -0.4])
    np.testing.assert_array_equal(data.up.values, [1.0, np.nan, 3.0, 4.0])
    assert data.quality_flag.values.tolist() == [1, 1, 1, 0]
    assert float(data.sigma_up[0]) == pytest.approx(0.1)
    assert (data.available_time.values[0], float(data.longitude)) == (
        np.datetime64("2019-07-04"), pytest.approx(-118.26),
    )  # fmt: skip


def test_the_latest_answer_overrides_history_on_the_days_of_both(folder, fetch):
    for component in ("east", "north", "up"):
        part(folder, component, {"2019-07-01": 1.0, "2019-07-02": 2.0})
        part(folder, component, {"2019-07-02": 2.5, "2019-07-03": 3.0}, period="latest")
    data = fetch("gnss", "geonet", "").dataset
    assert data.east.values[:, 0].tolist() == [1.0, 2.5, 3.0]


@pytest.mark.parametrize(("unit", "metres"), [("m", 5.0), ("mm", 0.005), ("cm", 0.05)])
def test_the_unit_column_decides(folder, fetch, unit, metres):
    for component in ("east", "north", "up"):
        part(folder, component, {"2019-07-01": 5.0}, unit=unit)
    data = fetch("gnss", "geonet", "").dataset
    assert float(data.east[0, 0]) == pytest.approx(metres)
    assert float(data.sigma_east[0, 0]) == pytest.approx(metres / 10)


def test_a_unit_in_brackets_or_in_the_region_file_serves_where_there_is_no_column(folder, fetch):
    for component, head in (
        ("east", "timestamp,value (mm)"),
        ("north", "timestamp,value"),
        ("up", "timestamp,value"),
    ):
        (folder / f"P570.{component}.2015.csv").write_text(f"{head}\n2019-07-01T12:00:00Z,5\n")
    data = fetch("gnss", "geonet", "", unit="cm").dataset
    assert (float(data.east[0, 0]), float(data.north[0, 0])) == (0.005, 0.05)
    (folder / "P570.east.2015.csv").unlink()
    with pytest.raises(SourceDataInvalid, match="a column unit, or option unit"):
        fetch("gnss", "geonet", "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",m\n", ",furlong\n", "one unit of m"),
        (",north,", ",east,", "aspect north as in its name"),
        ("P570,", "WGTN,", "station P570 as in its name"),
        ("2019-07-01T", "2019-13-01T", "ISO times and numbers"),
        (",0.5,", ",half,", "ISO times and numbers"),
        (",0.5,", ",inf,", "finite values"),
        ("value", "wert", "columns timestamp and value"),
        (HEAD, "<html>", "columns \\['timestamp'\\]"),
    ],
)
def test_a_damaged_file_is_named_and_the_others_are_read(folder, fetch, old, new, message):
    for component in ("east", "north", "up"):
        part(folder, component, {"2019-07-01": 0.5})
    path = folder / "P570.north.2015.csv"
    path.write_text(path.read_text().replace(old, new))
    data, invalid = fetch("gnss", "geonet", "")
    assert float(data.east[0, 0]) == 0.5
    assert np.isnan(float(data.north[0, 0]))
    assert data.quality_flag.values.tolist() == [[1]]
    with pytest.raises(SourceDataInvalid, match=message):
        raise invalid[0]


def test_places_are_found_wherever_the_summary_keeps_them(folder):
    places = read_places(folder / "stations.json")
    assert places["P570"] == (35.67, pytest.approx(-118.26), 810)
    assert np.isnan(places["FAR1"].elevation_m)
    for text, message in (
        ("{", "in JSON"),
        ("{}", "stations with latitude"),
        ('{"A": {"latitude": 95, "longitude": 0}}', "degrees"),
    ):
        (folder / "stations.json").write_text(text)
        with pytest.raises(SourceDataInvalid, match=message):
            read_places(folder / "stations.json")


def test_a_station_out_of_reach_is_empty_and_one_without_a_place_is_named(folder, fetch):
    part(folder, "east", {"2019-07-01": 0.5}, station="FAR1")
    with pytest.raises(SourceEmpty):
        fetch("gnss", "geonet", "")
    part(folder, "east", {"2019-07-01": 0.5}, station="NONE")
    (folder / "FAR1.east.2015.csv").unlink()
    with pytest.raises(SourceDataInvalid, match="the place of NONE"):
        fetch("gnss", "geonet", "")
