"""A cube is built from what there is, and refused when it looks ahead."""

import numpy as np
import pytest
import xarray as xr

from fusion_models.data.asof import CubeData, LeakError, as_of
from tasks.cubes.audit import Build, audit_cube, choose_issue_times
from tasks.cubes.build import Groups, Read, build_groups, lazy_groups
from tasks.cubes.shares import observed_share
from tasks.regions import Region

Observations = dict[str, xr.Dataset]
ISSUE_TIME = np.datetime64("2017-09-01T06:00", "ns")


@pytest.fixture(scope="module")
def groups(region: Region, read: Read) -> Groups:
    return build_groups(region, read)


def leaky(change: str) -> Build:
    """Return a builder that smooths one group over the days around each day, stamps left as they are."""

    def build(region: Region, read: Read) -> Groups:
        built = lazy_groups(region, read)
        group = built[change].compute()
        for name, array in group.data_vars.items():
            if name != "available_time":
                group[name] = array.rolling(time=5, center=True, min_periods=1).mean()
        return built | {change: group}

    return build


def test_every_group_of_the_contract_is_there_and_passes_the_door(groups: Groups, region: Region) -> None:
    assert set(groups) == {
        "catalog", "catalog_grid", "gnss", "strain", "insar", "weather", "waveform", "static", "labels",
    }  # fmt: skip
    loaded = {name: group.compute() for name, group in groups.items()}
    cube = CubeData(loaded, region.latitudes, region.longitudes, region.resolution_deg, region.name, "S")
    view = as_of(cube, "2017-09-01")
    assert np.isfinite(view.days("strain", 10)["dilatation_rate"].values).any()
    assert view.pairs(3).sizes["pair"] == 3


def test_gridded_features_are_lazy_until_they_are_asked_for(region: Region, read: Read) -> None:
    groups = lazy_groups(region, read)
    assert groups["strain"]["dilatation_rate"].chunks is not None
    assert groups["insar"]["los_rate"].chunks is not None


def test_a_modality_without_observations_is_absent(region: Region, observations: Observations) -> None:
    only = {k: v for k, v in observations.items() if k.startswith("catalog")}
    assert set(build_groups(region, only.get)) == {"catalog", "catalog_grid", "labels"}


def test_no_catalog_at_all_is_refused(region: Region) -> None:
    with pytest.raises(ValueError, match="expected observations of a catalog, found none"):
        lazy_groups(region, lambda group: None)


def test_an_honest_cube_passes(region: Region, read: Read, groups: Groups) -> None:
    times = audit_cube(region, read, groups)
    assert len(times) == 2
    assert all(t >= np.datetime64(region.split.train_end) for t in times)


@pytest.mark.parametrize("change", ["gnss", "weather", "strain"])
def test_a_feature_that_looks_ahead_is_refused(region: Region, read: Read, change: str) -> None:
    build = leaky(change)
    with pytest.raises(LeakError, match=f"group '{change}', variable"):
        audit_cube(region, read, build(region, read), [ISSUE_TIME], build=build)


def test_a_cube_with_statistics_of_the_future_is_refused(
    region: Region, read: Read, observations: Observations, groups: Groups
) -> None:
    weather = groups["weather"].copy(deep=True)
    future = weather["air_temperature"].sel(time=slice("2017-01-01", None)).mean("time")
    weather["air_temperature"] = weather["air_temperature"] - 1.0 - future
    with pytest.raises(LeakError, match="group 'weather', variable 'air_temperature'"):
        audit_cube(region, read, {**groups, "weather": weather}, [ISSUE_TIME])


def test_an_event_stamped_too_early_is_refused(region: Region, read: Read, groups: Groups) -> None:
    catalog = groups["catalog"].copy(deep=True)
    catalog["available_time"] = catalog["available_time"].copy(data=catalog["origin_time"].values)
    catalog["available_time"].values[-30:] = np.datetime64("2017-01-01")
    with pytest.raises(LeakError, match="group 'catalog'"):
        audit_cube(region, read, {**groups, "catalog": catalog}, [ISSUE_TIME])


def test_issue_times_inside_training_are_refused(region: Region, read: Read, groups: Groups) -> None:
    with pytest.raises(ValueError, match="before the end of training"):
        audit_cube(region, read, groups, [np.datetime64("2016-06-01", "ns")])


def test_issue_times_are_spread_and_repeatable(region: Region) -> None:
    times = choose_issue_times(region, 4, seed=7)
    assert times == choose_issue_times(region, 4, seed=7)
    assert times == sorted(times)


def test_shares_say_how_much_was_observed(groups: Groups) -> None:
    shares = observed_share(groups)
    assert set(shares) == {"catalog", "gnss", "weather", "waveform", "insar", "static"}
    assert shares["gnss"] > 0.99
    assert shares["waveform"] == pytest.approx(60 / (3 * 1096))
    assert shares["insar"] == pytest.approx(40 * 12 / 1096, abs=0.02)
