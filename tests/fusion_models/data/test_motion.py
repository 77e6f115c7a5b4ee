import numpy as np
import pytest

from fusion_models.config import ModelConfig
from fusion_models.data.asof import CubeData, as_of
from fusion_models.data.samples import sample_arrays
from fusion_models.data.spec import spec_for

RATES = np.full((1, 6, 6), 0.1)
ISSUE = "2001-05-01"


def speeds(world, gnss):
    cube = world.cube
    moved = CubeData(
        dict(world.groups) | {"gnss": gnss}, cube.latitudes, cube.longitudes, 0.1, "toy", "moved"
    )
    spec = spec_for(moved, ModelConfig(kind="concat"), (1,))
    values = sample_arrays(spec, as_of(moved, ISSUE), RATES)["strain.values"][0]
    return {name: values[..., i] for i, name in enumerate(spec.variables["strain"]) if "speed" in name}


def still(world):
    gnss = world.groups["gnss"].copy(deep=True)
    for name in ("east", "north", "up"):
        gnss[name][:] = 0.0
    return gnss


def test_a_steady_motion_of_all_stations_shows_its_speed_in_every_cell(world):
    gnss = still(world)
    years = np.arange(gnss.sizes["time"]) / 365.25
    gnss["east"] = gnss["east"] + 0.3 * years[:, None]
    gnss["north"] = gnss["north"] - 0.4 * years[:, None]

    for name, values in speeds(world, gnss).items():
        np.testing.assert_allclose(values[np.isfinite(values)], np.log10(0.5 + 0.02), rtol=1e-4, err_msg=name)
        assert np.isfinite(values).any()


def test_motion_in_opposite_directions_does_not_cancel(world):
    gnss = still(world)
    years = np.arange(gnss.sizes["time"]) / 365.25
    sign = np.where(np.arange(gnss.sizes["station"]) % 2, 1.0, -1.0)
    gnss["east"] = gnss["east"] + 0.3 * years[:, None] * sign

    values = speeds(world, gnss)["log_speed_24d_40km"]

    np.testing.assert_allclose(values[np.isfinite(values)], np.log10(0.3 + 0.02), rtol=1e-4)


@pytest.mark.parametrize("day", ["2001-05-01", "2001-05-20"])
def test_what_the_ground_does_later_changes_nothing(world, day):
    gnss = still(world)
    later = gnss.copy(deep=True)
    later["east"] = later["east"].where(later["time"] < np.datetime64(day), 5.0)

    for name, values in speeds(world, later).items():
        np.testing.assert_array_equal(values, speeds(world, gnss)[name])


def test_without_stations_the_speed_is_missing(world):
    gnss = still(world)
    for name in ("east", "north", "up"):
        gnss[name][:] = np.nan

    assert all(np.isnan(values).all() for values in speeds(world, gnss).values())
