import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_models.config import ModelConfig
from fusion_models.data.asof import CubeData, LeakError, as_of, view_digest
from fusion_models.data.samples import sample_arrays
from fusion_models.data.spec import spec_for

DAILY = ("catalog_grid", "strain", "gnss", "waveform", "weather")
SPEC_CONFIG = ModelConfig(kind="concat", n_events=16, coarse_cells=3)


def cube_of(world, groups):
    cube = world.cube
    return CubeData(groups, cube.latitudes, cube.longitudes, cube.resolution_deg, cube.region, cube.snapshot)


def spoil_future(dataset, issue_time, rng):
    """Change every value that was not available at `issue_time`."""
    late = dataset["available_time"] > issue_time
    spoilt = dataset.copy(deep=True)
    for name, array in dataset.data_vars.items():
        if array.dtype.kind in "fi" and array.ndim:
            spoilt[name] = (
                array.where(~late, array + rng.normal(5.0)).transpose(*array.dims).astype(array.dtype)
            )
    return spoilt


@settings(max_examples=15, deadline=None)
@given(
    day=st.integers(min_value=20, max_value=280),
    hours=st.integers(min_value=0, max_value=23),
    seed=st.integers(min_value=0, max_value=2**16),
    group=st.sampled_from([*DAILY, "insar", "catalog"]),
)
def test_values_that_were_not_yet_available_never_change_a_sample(world, day, hours, seed, group):
    issue_time = np.datetime64("2001-01-01T00", "h") + np.timedelta64(24 * day + hours, "h")
    groups = dict(world.groups)
    groups[group] = spoil_future(groups[group], issue_time, np.random.default_rng(seed))
    spec = spec_for(world.cube, SPEC_CONFIG, (1, 7))
    rates = np.full((2, 6, 6), 0.1)

    honest, spoilt = as_of(world.cube, issue_time), as_of(cube_of(world, groups), issue_time)

    before, after = sample_arrays(spec, honest, rates), sample_arrays(spec, spoilt, rates)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    assert view_digest(honest, 60, 4) == view_digest(spoilt, 60, 4)


@pytest.mark.parametrize("group", DAILY)
def test_values_that_were_available_do_change_the_digest(group, world):
    groups = dict(world.groups)
    groups[group] = spoil_future(groups[group], np.datetime64("2001-05-01"), np.random.default_rng(0))

    before = view_digest(as_of(world.cube, "2001-06-01"), 60, 8)
    after = view_digest(as_of(cube_of(world, groups), "2001-06-01"), 60, 8)

    assert {name for name in before if before[name] != after[name]} == {group}


@pytest.mark.parametrize("group", [*DAILY, "insar", "catalog"])
def test_a_group_without_available_time_is_refused(group, world):
    groups = dict(world.groups) | {group: world.groups[group].drop_vars("available_time")}

    with pytest.raises(LeakError, match=group):
        cube_of(world, groups)


@pytest.mark.parametrize("group", [*DAILY, "insar", "catalog"])
def test_a_back_dated_available_time_is_refused(group, world):
    dataset = world.groups[group]
    early = dataset["available_time"].copy(deep=True)
    early[3] = early[3] - np.timedelta64(20, "D")
    groups = dict(world.groups) | {group: dataset.assign(available_time=early)}

    with pytest.raises(LeakError, match=f"{group}.*not before the end of its period"):
        cube_of(world, groups)


def test_an_observed_value_with_unknown_available_time_is_refused_and_a_missing_one_is_not(world):
    gnss = world.groups["gnss"].copy(deep=True)
    gnss["available_time"][7, 2] = np.datetime64("NaT", "ns")
    for name in ("east", "north", "up"):
        gnss[name][7, 2] = np.nan
    missing = cube_of(world, dict(world.groups) | {"gnss": gnss})
    assert np.isnan(as_of(missing, "2001-02-01").days("gnss", 31)["east"].values[7, 2])

    gnss["east"][7, 2] = 0.001
    with pytest.raises(LeakError, match="1 observed values without available_time"):
        cube_of(world, dict(world.groups) | {"gnss": gnss})


def test_a_variable_that_no_available_time_covers_is_refused(world):
    sneaky = world.groups["strain"].assign(mean_of_all_days=(("lat", "lon"), np.zeros((6, 6))))

    with pytest.raises(LeakError, match="mean_of_all_days"):
        cube_of(world, dict(world.groups) | {"strain": sneaky})


def test_windows_end_at_the_last_midnight_and_are_missing_outside_the_cube(world):
    view = as_of(world.cube, "2001-01-06T17:00")

    days = view.days("strain", 8)

    assert days["time"].values[-1] == np.datetime64("2001-01-05")
    assert days.sizes["time"] == 8
    seen = np.isfinite(days["east_rate"].values).any(axis=(1, 2))
    assert seen.tolist() == [False] * 3 + [True] * 5


def test_a_value_shows_up_when_it_becomes_available_and_not_before(world):
    def last_day(issue_time):
        return np.isfinite(as_of(world.cube, issue_time).days("gnss", 2)["east"].values).all(axis=1).tolist()

    assert last_day("2001-03-01T05:59") == [True, False]
    assert last_day("2001-03-01T06:00") == [True, True]


def test_a_pair_shown_before_the_end_of_its_later_day_is_refused(world):
    pairs = world.groups["insar"]
    during = pairs["available_time"].copy(data=pairs["time"].values + np.timedelta64(23, "h"))

    with pytest.raises(LeakError, match=r"insar.*not before the end of its period"):
        cube_of(world, dict(world.groups) | {"insar": pairs.assign(available_time=during)})

    after = pairs["available_time"].copy(data=pairs["time"].values + np.timedelta64(24, "h"))
    cube_of(world, dict(world.groups) | {"insar": pairs.assign(available_time=after)})


def test_a_withdrawn_event_is_shown_until_its_withdrawal(world):
    days = np.array(["2001-01-02", "2001-01-02", "2001-01-05"], dtype="datetime64[ns]")
    catalog = xr.Dataset(
        {
            "event_id": ("event", np.array(["a", "b", "a"], dtype=object)),
            "origin_time": ("event", days[[0, 0, 0]]),
            "available_time": ("event", days),
            "magnitude": ("event", np.array([3.0, 2.0, np.nan])),
        }
    )
    cube = cube_of(world, {"catalog": catalog})

    assert as_of(cube, "2001-01-04T23:59").catalog()["magnitude"].values.tolist() == [3.0, 2.0]
    assert as_of(cube, "2001-01-05").catalog()["event_id"].values.tolist() == ["b"]


def test_the_catalog_shows_the_version_in_force(world):
    def days(*names):
        return np.array([f"2001-01-{name}" for name in names], dtype="datetime64[ns]")

    catalog = xr.Dataset(
        {
            "event_id": ("event", np.array(["a", "b", "a"], dtype=object)),
            "origin_time": ("event", days("02", "01", "02")),
            "available_time": ("event", days("03", "03", "09")),
            "magnitude": ("event", np.array([3.0, 2.0, 3.4])),
        }
    )
    cube = cube_of(world, {"catalog": catalog})

    assert as_of(cube, "2001-01-02T12:00").catalog().sizes["event"] == 0
    assert as_of(cube, "2001-01-08").catalog()["magnitude"].values.tolist() == [2.0, 3.0]
    assert as_of(cube, "2001-01-09").catalog()["magnitude"].values.tolist() == [2.0, 3.4]


def test_pairs_are_the_latest_known(world):
    view = as_of(world.cube, "2001-03-01")

    pairs = view.pairs(2)

    every = world.groups["insar"]
    known = every["time"].values[every["available_time"].values <= view.issue_time]
    np.testing.assert_array_equal(pairs["time"].values, known[-2:])


def test_labels_have_no_door(world):
    with pytest.raises(KeyError, match="labels"):
        as_of(world.cube, "2001-03-01").days("labels", 3)
