"""The rain of the files is the rain of the load, and the fields are those of the climate."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tasks.simulation import World


@pytest.fixture(scope="module")
def hourly(small_archive: Path) -> xr.Dataset:
    with xr.open_dataset(small_archive / "weather" / "2012.nc", engine="h5netcdf") as dataset:
        return dataset.load()


def test_daily_rain_of_the_grid_is_the_rain_of_the_world(small_world: World, hourly: xr.Dataset) -> None:
    daily = hourly["tp"].mean(("latitude", "longitude")).to_numpy().reshape(-1, 24).sum(axis=1) * 1000
    np.testing.assert_allclose(daily, small_world.rain, atol=0.02)


def test_load_integrates_the_rain(small_world: World) -> None:
    c = small_world.config.weather
    law = small_world.expectation.rain_law
    mean = law.wet_share * law.wet_day_mean(np.arange(small_world.days, dtype=float))
    step = small_world.load[1:] - np.exp(-1 / c.load_memory_days) * small_world.load[:-1]
    np.testing.assert_allclose(step * c.load_scale_mm, small_world.rain - mean, atol=1e-9)


def test_hours_end_where_they_should(hourly: xr.Dataset) -> None:
    time = hourly["valid_time"].to_numpy()
    assert time[0] == np.datetime64("2012-01-01T01:00")
    assert time[-1] == np.datetime64("2013-01-01T00:00")
    assert hourly["latitude"].to_numpy()[0] > hourly["latitude"].to_numpy()[-1]


def test_fields_have_the_range_of_the_climate(hourly: xr.Dataset) -> None:
    assert 240 < float(hourly["t2m"].min()) < float(hourly["t2m"].max()) < 325
    assert 80_000 < float(hourly["sp"].min()) < float(hourly["sp"].max()) < 106_000
    assert 0 < float(hourly["swvl1"].min()) < float(hourly["swvl1"].max()) <= 0.5
    summer = hourly["t2m"].sel(valid_time="2012-07").mean()
    assert float(summer - hourly["t2m"].sel(valid_time="2012-01").mean()) > 10
