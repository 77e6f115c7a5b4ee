import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sources import SourceDataInvalid, SourceEmpty
from tasks.sources.options import duration
from tasks.sources.pos import join_files
from tasks.sources.pos_format import earth_fixed, read_pos, to_local
from tests.sources.services.servers.gnss import TO_XYZ, pos

STEP = np.array([[0.0, 0.0, 0.0], [0.001, 0.002, -0.003], [0.1, -0.2, 0.05], [0.101, -0.202, 0.05]])


def write(folder, name, *arguments, **options):
    path = folder / f"{name}.pos"
    path.write_text(pos(*arguments, **options))
    return path


def at(data, name, station="P570"):
    return data[name].sel(station=station).values


def test_north_stands_before_east_in_the_file_and_after_it_in_the_dataset(tmp_path, fetch):
    write(tmp_path, "P570.cwu.final_igs14", "P570", "2019-07-01", STEP, ["final"] * 4, "20191001 000000")
    data = fetch("gnss", "pos", "", latency_days=1).dataset
    for k, name in enumerate(("east", "north", "up")):
        np.testing.assert_allclose(at(data, name), STEP[:, k], atol=1e-5)
    np.testing.assert_allclose(at(data, "sigma_east"), 0.002)
    np.testing.assert_allclose(at(data, "sigma_north"), 0.001)
    assert float(data.longitude[0]) == pytest.approx(-117.5863)
    assert data.time.values[0] == np.datetime64("2019-07-01T12:00")
    assert data.attrs["vintage"] == "reconstructed"


def test_final_replaces_rapid_and_each_is_known_when_it_was(tmp_path, fetch):
    write(tmp_path, "P570.cwu.final_igs14", "P570", "2019-07-01", STEP[:2], ["final"] * 2, "20190725 060000")
    moved = STEP[1:] + np.array([0.003, 0, 0])
    write(tmp_path, "P570.cwu.rapid_igs14", "P570", "2019-07-02", moved, ["rapid"] * 3, "20190705 100000")
    best = fetch("gnss", "pos", "", latency_days=1).dataset
    rapid = fetch("gnss", "pos", "", latency_days=1, solution="rapid").dataset

    np.testing.assert_allclose(at(best, "east"), [0, 0.001, 0.103, 0.104], atol=1e-5)
    np.testing.assert_allclose(at(rapid, "east"), [0.004, 0.103, 0.104], atol=1e-5)
    known = at(best, "available_time").astype("datetime64[h]").tolist()
    # final after 21 days, rapid after one, and the newest rapid row when its file came out
    expected = ["2019-07-23T00", "2019-07-24T00", "2019-07-05T00", "2019-07-05T10"]
    assert known == [np.datetime64(t, "h").tolist() for t in expected]
    assert at(rapid, "available_time")[0] == np.datetime64("2019-07-04")
    finals = fetch("gnss", "pos", "", solution="final").dataset
    assert finals.sizes["time"] == 2


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.floats(-5, 5)] * 3))
def test_a_moved_reference_position_moves_nothing(tmp_path_factory, shift):
    folder = tmp_path_factory.mktemp("pos")
    files = [
        read_pos(write(folder, "a", "P570", "2019-07-01", STEP[:2], ["final"] * 2, "20191001 000000")),
        read_pos(
            write(folder, "b", "P570", "2019-07-03", STEP[2:], ["rapid"] * 2, "20190706 000000", shift=shift)
        ),
    ]
    station = join_files(files, "best", duration(1), duration(21))
    np.testing.assert_allclose(station.series.values[:, :3], STEP, atol=1e-4)


def test_no_value_is_known_before_its_day_ends_or_after_its_file_came_out(tmp_path, fetch):
    write(tmp_path, "P570", "P570", "2019-07-01", STEP, ["rapid"] * 4, "20190704 180000")
    data = fetch("gnss", "pos", "", latency_days=2).dataset
    known, end = at(data, "available_time"), data.time.values + np.timedelta64(12, "h")
    assert (known >= end).all()
    assert known[-1] == end[-1]
    assert known[1] == np.datetime64("2019-07-04T18:00")


def test_another_frame_is_left_out_and_named(tmp_path, fetch):
    write(tmp_path, "P570.a", "P570", "2019-07-01", STEP, ["final"] * 4, "20191001 000000", frame="NAM14")
    write(tmp_path, "P570.b", "P570", "2019-07-01", STEP + 1, ["final"] * 4, "20191001 000000", frame="IGS14")
    data, invalid = fetch("gnss", "pos", "")
    assert data.sizes["station"] == 1
    assert "expected positions of P570 in frame NAM14, found frame IGS14" in str(invalid[0])
    _, invalid = fetch("gnss", "pos", "", frame="IGS14")
    assert "P570.a.pos" in str(invalid[0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Release Date", "Rel. Date", "header line 'Release Date'"),
        ("-4592471", "-4592571", "one place in the XYZ and NEU"),
        (" dN dE dU ", " dE dN dU ", "agree with the coordinates"),
        ("58665.5000", "58666.5000", "one day in YYYYMMDD and MJD"),
        ("-0.20000", "-0.2m", "numbers in column dN"),
        ("-0.20000", "inf", "finite numbers in column dN"),
        ("0.00100 0.00200", "-0.00100 0.00200", "not negative"),
        ("final", "guess", "solutions rapid final"),
        (" final\n", "\n", "24 in line 13"),
        ("*YYYYMMDD", "YYYYMMDD", "starts with '\\*'"),
        ("PBO Station Position", "<html>", "Station Position Time Series"),
    ],
)
def test_a_damaged_file_says_what_was_expected(tmp_path, old, new, message):
    path = write(tmp_path, "P570", "P570", "2019-07-01", STEP[2:], ["final"] * 2, "20191001 000000")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(SourceDataInvalid, match=message):
        read_pos(path)


def test_a_row_in_millimetres_is_left_out_with_its_day(tmp_path, fetch):
    path = write(tmp_path, "P570", "P570", "2019-07-01", STEP, ["final"] * 4, "20191001 000000")
    path.write_text(path.read_text().replace(" -0.20000 0.10000 ", " -200.00000 100.00000 "))
    data, invalid = fetch("gnss", "pos", "")
    assert np.datetime64("2019-07-03T12:00") not in data.time.values
    assert "1 of 4 rows that differ (first 2019-07-03" in str(invalid[0])


def test_nothing_in_reach_or_window_is_empty(tmp_path, fetch):
    write(tmp_path, "P570", "P570", "2019-07-01", STEP, ["final"] * 4, "20191001 000000")
    for options in ({"radius_km": 5}, {"end": "2019-07-01"}, {"solution": "rapid"}):
        with pytest.raises(SourceEmpty):
            fetch("gnss", "pos", "", **options)


@given(st.floats(-89, 89), st.floats(-180, 180), st.floats(-400, 5000))
def test_places_become_earth_fixed_and_offsets_local_as_proj_has_them(latitude, longitude, height):
    here = earth_fixed(latitude, longitude, height)
    np.testing.assert_allclose(here, TO_XYZ.transform(latitude, longitude, height), atol=1e-3)
    up = to_local(latitude, longitude, earth_fixed(latitude, longitude, height + 10) - here)
    north = to_local(latitude, longitude, earth_fixed(latitude + 1e-5, longitude, height) - here)
    np.testing.assert_allclose(up, [0, 0, 10], atol=1e-6)
    assert north[1] == pytest.approx(1.11, rel=0.01)
    assert abs(north[0]) < 1e-4


@pytest.mark.archive
def test_the_providers_own_reference_positions_agree_with_each_other(archive):
    import lzma

    rows = lzma.decompress((archive / "gnss/daily/cwu.final_nam14.vel.xz").read_bytes()).decode()
    body = rows.partition("*Dot#")[2].splitlines()[1:]
    assert len(body) > 5000
    for line in body[::50]:
        fields = [float(x) for x in line[22:].split()[2:8]]
        latitude, longitude, height = fields[3:]
        np.testing.assert_allclose(earth_fixed(latitude, longitude, height), fields[:3], atol=1e-3)
