import h5py
import numpy as np
import pytest

from tasks.sources import SourceDataInvalid, SourceEmpty, SourceMissing

STEP = {"step_deg": 0.02}
DAYS = ("20190522", "20190603", "20190615", "20190627", "20190709")
# metres up at the days, relative to the first: a steady rise
RISE = dict(zip(DAYS, (0.0, 1.0, 2.0, 3.0, 4.0), strict=True))
# the reference moves on at the third day
LINKS = (
    ("20190522", "20190603"),
    ("20190522", "20190615"),
    ("20190615", "20190627"),
    ("20190615", "20190709"),
)


@pytest.fixture
def series(tmp_path, write):
    paths = {}
    for start, time in LINKS:
        scene = write.scene(start=start, time=time, factor=RISE[time] - RISE[start])
        paths[time] = write.opera(tmp_path, scene, produced=f"2019080{time[-1]}T000000")
    return paths


def rises(data, write):
    """Return each frame's displacement over that of one unit of rise."""
    lat, lon = np.meshgrid(data.lat, data.lon, indexing="ij")
    share = data.los_displacement.values / write.scene().los(lat, lon)
    assert np.nanmax(np.nanstd(share, axis=(1, 2))) < 0.02
    return np.round(np.nanmean(share, axis=(1, 2)), 2).tolist()


def days(values):
    return [str(day).replace("-", "") for day in values.astype("datetime64[D]")]


def test_a_series_over_a_moving_reference_is_continuous(series, write, fetch):
    data, invalid = fetch("insar", "opera", "", **STEP)
    assert not invalid
    assert days(data.time.values) == list(DAYS[1:])
    assert days(data.time_start.values) == [DAYS[0]] * 4
    assert rises(data, write) == [1, 2, 3, 4]


def test_consecutive_frames_are_the_steps_of_the_series(series, write, fetch):
    data = fetch("insar", "opera", "", series="consecutive", **STEP).dataset
    assert days(data.time_start.values) == list(DAYS[:-1])
    assert rises(data, write) == [1, 1, 1, 1]


@pytest.mark.parametrize("kind", ["chained", "consecutive"])
def test_a_late_window_gives_what_the_whole_gave(series, fetch, kind):
    whole = fetch("insar", "opera", "", series=kind, **STEP).dataset
    late = fetch("insar", "opera", "", series=kind, start="2019-07-01", **STEP).dataset
    assert late.identical(whole.isel(time=[-1]))


def test_without_a_link_a_product_stands_for_itself_from_its_own_reference(series, write, fetch):
    series["20190615"].unlink()
    data = fetch("insar", "opera", "", **STEP).dataset
    assert days(data.time_start.values) == [DAYS[0], DAYS[2], DAYS[2]]
    assert rises(data, write) == [1, 1, 2]


def test_a_displacement_is_known_when_the_last_product_it_needs_was_made(series, fetch):
    data = fetch("insar", "opera", "", **STEP).dataset
    made = data.available_time.values.astype("datetime64[D]").astype(str).tolist()
    # the link of the third day, 2019-08-05, comes before 2019-08-07 and -09
    assert made == ["2019-08-03", "2019-08-05", "2019-08-07", "2019-08-09"]
    assert data.attrs["vintage"] == "as issued"
    ruled = fetch("insar", "opera", "", latency_days=3, availability="rule", **STEP).dataset
    assert str(ruled.available_time.values[0])[:10] == "2019-06-07"
    assert ruled.attrs["vintage"] == "reconstructed"


def test_a_link_that_was_made_late_delays_all_that_rests_on_it(series, write, fetch):
    series["20190615"].unlink()
    write.opera(
        series["20190615"].parent,
        write.scene(start=DAYS[0], time=DAYS[2], factor=2),
        produced="20200101T000000",
    )
    data = fetch("insar", "opera", "", **STEP).dataset
    assert data.available_time.dt.year.values.tolist() == [2019, 2020, 2020, 2020]


def test_of_a_pair_made_twice_the_later_counts(series, write, fetch):
    scene = write.scene(start=DAYS[2], time=DAYS[3], factor=1.5)
    write.opera(series["20190627"].parent, scene, produced="20200301T000000", version="1.1")
    assert rises(fetch("insar", "opera", "", **STEP).dataset, write) == [1, 2, 3.5, 4]


def test_a_damaged_link_takes_what_rests_on_it_and_nothing_else(series, fetch):
    series["20190615"].write_bytes(series["20190615"].read_bytes()[:5000])
    data, invalid = fetch("insar", "opera", "", **STEP)
    assert days(data.time.values) == ["20190603"]
    assert {i.path for i in invalid} == {str(series["20190615"])}


def _unit(file):
    file["displacement"].attrs["units"] = "radians"


def _no_mask(file):
    del file["recommended_mask"]


def _crs(file):
    file["spatial_ref"].attrs["crs_wkt"] = "nowhere"


def _axis(file):
    file["y"][...] = file["y"][...][::-1]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_unit, "displacement in m, found 'radians'"),
        (_no_mask, "an array recommended_mask"),
        (_crs, "a projection that can be undone"),
        (_axis, "x ascending and y descending"),
    ],
)
def test_what_would_be_a_wrong_value_is_refused_by_name(tmp_path, write, fetch, edit, message):
    path = write.opera(tmp_path, write.scene())
    with h5py.File(path, "r+") as file:
        edit(file)
    with pytest.raises(SourceDataInvalid, match=rf"OPERA_L3.*\.nc: expected {message}"):
        fetch("insar", "opera", "", **STEP)


def test_missing_look_vectors_and_empty_windows_say_so(tmp_path, write, fetch):
    write.opera(tmp_path, write.scene())
    with pytest.raises(SourceEmpty):
        fetch("insar", "opera", "", end="2019-07-10", **STEP)
    next(tmp_path.glob("*.tif")).unlink()
    with pytest.raises(SourceMissing, match="line_of_sight_enu"):
        fetch("insar", "opera", "", **STEP)


def test_a_production_time_before_the_acquisition_is_refused(tmp_path, write, fetch):
    write.opera(tmp_path, write.scene(), produced="20190709T000000")
    with pytest.raises(SourceDataInvalid, match="a production time after"):
        fetch("insar", "opera", "", **STEP)
