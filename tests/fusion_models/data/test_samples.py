import numpy as np
import pytest

from fusion_models.config import ModelConfig
from fusion_models.data.asof import CubeData, as_of
from fusion_models.data.datamodule import split_times
from fusion_models.data.samples import sample_arrays, stack_samples
from fusion_models.data.spec import spec_for
from fusion_models.scaling import fit_scaling

RATES = np.full((2, 6, 6), 0.1)


@pytest.fixture
def spec(world):
    return spec_for(world.cube, ModelConfig(kind="concat", n_events=16, coarse_cells=3), (1, 7))


def test_a_cube_without_any_group_gives_a_sample_of_the_same_layout_with_everything_missing(world, spec):
    cube = world.cube
    empty = CubeData({}, cube.latitudes, cube.longitudes, 0.1, "toy", "none")

    full = sample_arrays(spec, as_of(cube, "2001-05-01"), RATES)
    bare = sample_arrays(spec, as_of(empty, "2001-05-01"), RATES)

    for name in full:
        stations = name.startswith(("gnss", "waveform"))
        assert bare[name].ndim == full[name].ndim, name
        assert stations or bare[name].shape == full[name].shape, name
        if name.endswith(".values") and name != "cells.values":
            assert np.isnan(bare[name]).all(), name
            assert np.isfinite(full[name]).any(), name
    from_rates = [name.startswith("log_rate_") for name in spec.variables["cells"]]
    assert sum(from_rates) == 3
    assert (np.isfinite(bare["cells.values"]) == from_rates).all()


def test_event_features_are_those_of_the_last_events(world, spec):
    view = as_of(world.cube, "2001-05-01")
    catalog = view.catalog()

    values = sample_arrays(spec, view, RATES)["events.values"]

    np.testing.assert_allclose(values[:, 1], catalog["magnitude"].values[-16:], rtol=1e-6)
    days = (view.issue_time - catalog["origin_time"].values[-1]) / np.timedelta64(1, "D")
    assert values[-1, 0] == pytest.approx(np.log10(days + 0.01), rel=1e-5)


def test_recent_counts_are_sums_of_the_days_before(world, spec):
    counts = (
        world.groups["catalog_grid"]["event_count"].sel(time=slice("2001-04-24", "2001-04-30")).sum("time")
    )

    cells = sample_arrays(spec, as_of(world.cube, "2001-05-01"), RATES)["cells.values"]

    week = spec.variables["cells"].index("log_count_7")
    np.testing.assert_allclose(cells[..., week], np.log1p(counts.values), rtol=1e-6)


def test_the_strain_change_is_the_difference_of_two_maps(world, spec):
    strain = world.groups["strain"]["shear_rate"]

    values = sample_arrays(spec, as_of(world.cube, "2001-05-01"), RATES)["strain.values"][0]

    latest = strain.sel(time="2001-04-30").values
    before = strain.sel(time="2001-03-16").values
    np.testing.assert_allclose(values[..., 4], latest, rtol=1e-6)
    np.testing.assert_allclose(values[..., 9], latest - before, rtol=1e-4, atol=1e-12)


def test_gnss_windows_do_not_depend_on_an_old_step(world, spec):
    stepped = world.groups["gnss"].copy(deep=True)
    stepped["east"] = stepped["east"] + 2.0
    cube = world.cube
    other = CubeData(
        dict(world.groups) | {"gnss": stepped}, cube.latitudes, cube.longitudes, 0.1, "toy", "stepped"
    )

    before = sample_arrays(spec, as_of(cube, "2001-05-01"), RATES)["gnss.values"]
    after = sample_arrays(spec, as_of(other, "2001-05-01"), RATES)["gnss.values"]

    np.testing.assert_allclose(before, after, atol=1e-7)


def test_weather_is_the_mean_of_its_block(world, spec):
    anomaly = world.groups["weather"]["water_load"].sel(time="2001-04-30").values

    values = sample_arrays(spec, as_of(world.cube, "2001-05-01"), RATES)["weather.values"]

    np.testing.assert_allclose(values[-1, 0, 2, 1], anomaly[:2, 4:].mean(), rtol=1e-5)


def test_baseline_rates_that_do_not_fit_or_are_not_rates_are_refused(world, spec):
    views = [as_of(world.cube, "2001-05-01")]

    with pytest.raises(ValueError, match="expected"):
        stack_samples(spec, views, np.ones((1, 3, 6, 6)))
    with pytest.raises(ValueError, match="finite"):
        stack_samples(spec, views, np.full((1, 2, 6, 6), np.nan))


def test_a_variable_never_seen_in_training_stays_masked():
    rng = np.random.default_rng(0)
    training = rng.normal(3.0, 2.0, size=(40, 5, 2))
    training[..., 1] = np.nan
    scaling = fit_scaling({"weather.values": training})

    scaled, mask = scaling.apply("weather", np.array([[3.0, 7.0], [np.nan, 7.0]]))

    assert mask.tolist() == [[True, False], [False, False]]
    assert scaled[0, 0] == pytest.approx(0.0, abs=0.2)
    assert scaled[1, 1] == 0.0


def test_one_mainshock_does_not_set_the_scale():
    values = np.random.default_rng(0).normal(size=(100, 10, 1))
    values[3] = 1e6

    assert fit_scaling({"gnss.values": values}).scale["gnss"][0] == pytest.approx(1.0, rel=0.15)


def test_issue_times_keep_their_windows_inside_their_part():
    from datetime import date

    days = np.arange("2001-01-01", "2001-04-01", dtype="datetime64[D]").astype("datetime64[ns]")

    rows = split_times(days, date(2001, 1, 10), date(2001, 3, 1), 30, 3)

    assert days[rows[0]] == np.datetime64("2001-01-10")
    assert days[rows[-1]] + np.timedelta64(30, "D") <= np.datetime64("2001-03-01")
    assert set(np.diff(rows)) == {3}
