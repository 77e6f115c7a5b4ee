"""Gridded features on cases whose answer is known."""

import numpy as np
import pytest
import xarray as xr
from rasterio import Affine
from rasterio.enums import Resampling
from rasterio.warp import reproject

from tasks.cubes.anomaly import standardise
from tasks.cubes.gnss import clean_gnss
from tasks.cubes.grid import cell_centres, cell_edges, cell_index, offsets_km
from tasks.cubes.insar import grid_interferograms, remove_ramp
from tasks.cubes.los import project_to_los, station_displacements, with_gnss_rates
from tasks.cubes.raster import average_to_cells
from tasks.cubes.strain import station_rates, strain_rates
from tasks.cubes.waveform import daily_waveform_features
from tasks.cubes.weather import grid_weather
from tasks.regions import Region

Observations = dict[str, xr.Dataset]
DAY = np.timedelta64(1, "D")


def test_large_scenes_are_averaged_a_few_at_a_time_to_the_same_cells(
    region: Region, observations: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = {"asc": observations["insar/asc"]}
    pixels = track["asc"].sizes["lat"] * track["asc"].sizes["lon"]
    at_once = grid_interferograms(track, region)
    monkeypatch.setattr("tasks.cubes.insar.CHUNK_PIXELS", 3 * pixels)
    by_three = grid_interferograms(track, region)
    assert at_once is not None
    assert by_three is not None
    assert by_three.chunksizes["pair"] == at_once.chunksizes["pair"]
    xr.testing.assert_identical(by_three.compute(), at_once.compute())


def test_cells_tile_the_region(region: Region) -> None:
    lat, lon = cell_centres(region)
    assert cell_index(region, lat, lon).tolist() == list(range(25))
    edges = cell_index(region, np.array([35.0, 36.0, 35.6]), np.array([-118.0, -117.5, -117.4]))
    assert edges.tolist() == [0, -1, 18]


def linear_field(region: Region, gradient: np.ndarray) -> xr.Dataset:
    """Stations that move with v = v0 + gradient . (east, north), m/yr, about one fixed origin."""
    rng = np.random.default_rng(3)
    days = np.arange(region.window.start, region.window.start + 60 * DAY, DAY)
    lat, lon = 34.8 + 1.4 * rng.random(20), -118.2 + 1.4 * rng.random(20)
    # On a plane: the same local kilometres as the cell at the origin sees.
    east, north = offsets_km(lat, lon, np.array(35.5), np.array(-117.5))
    rate = np.array([0.02, -0.01])[:, None] + gradient @ np.stack([east, north]) * 1e3
    t = np.arange(days.size)[:, None] / 365.25
    data = {"east": t * rate[0], "north": t * rate[1], "up": t * np.full(20, 0.003)}
    return xr.Dataset(
        {name: (("time", "station"), values) for name, values in data.items()}
        | {"available_time": (("time", "station"), np.repeat((days + 3 * DAY)[:, None], 20, axis=1))},
        coords={
            "time": days,
            "station": np.array([f"S{k}" for k in range(20)], dtype=object),
            "latitude": ("station", lat),
            "longitude": ("station", lon),
        },
    )


def test_strain_of_a_linear_field_is_exact(region: Region) -> None:
    gradient = np.array([[3e-7, 1e-7], [2e-7, -1e-7]])
    result = strain_rates(linear_field(region, gradient), region).isel(time=-1).compute()
    here = result.sel(lat=35.5, lon=-117.5)
    assert float(here["dilatation_rate"]) == pytest.approx(2e-7, rel=1e-4)
    assert float(here["shear_rate"]) == pytest.approx(np.hypot(2e-7, 1.5e-7), rel=1e-4)
    assert float(here["east_rate"]) == pytest.approx(0.02, rel=1e-4)
    assert float(here["north_rate"]) == pytest.approx(-0.01, rel=1e-4)
    assert float(here["up_rate"]) == pytest.approx(0.003, rel=1e-4)


def test_fewer_than_four_stations_give_no_strain(region: Region) -> None:
    field = linear_field(region, np.zeros((2, 2))).isel(station=slice(0, 3))
    result = strain_rates(field, region, smoothing_km=500.0).compute()
    assert bool(result["dilatation_rate"].isnull().all())


def test_one_outlier_does_not_move_a_rate() -> None:
    positions = 0.01 * np.arange(40.0)[:, None] / 365.25
    positions[30] += 1.0
    assert station_rates(positions, 24)[-1, 0] == pytest.approx(0.01, rel=0.15)


def test_strain_is_known_when_the_last_of_its_window_is(region: Region) -> None:
    field = linear_field(region, np.zeros((2, 2)))
    late = field["available_time"].values.copy()
    late[40, 5] = np.datetime64("2019-01-01")
    result = strain_rates(field.assign(available_time=(("time", "station"), late)), region)
    known = result["available_time"].values
    assert (known[40:60] == np.datetime64("2019-01-01")).all()
    assert (known[:40] < np.datetime64("2019-01-01")).all()


def test_trend_and_season_leave_the_positions(region: Region, observations: Observations) -> None:
    cleaned = clean_gnss([observations["gnss/daily"]], region)
    for name in ("east", "north", "up"):
        assert float(cleaned[name].std()) < 0.0015
        slope = np.polyfit(
            np.arange(cleaned.sizes["time"]) / 365.25, cleaned[name].mean("station").values, 1
        )[0]
        assert abs(slope) < 0.0003


def test_a_step_after_training_stays_and_the_common_mode_goes(
    region: Region, observations: Observations
) -> None:
    raw = observations["gnss/daily"].copy(deep=True)
    after = raw["time"].values >= np.datetime64("2017-07-01")
    raw["east"].values[after, 4] += 0.05
    shared = np.random.default_rng(5).normal(0, 0.01, raw.sizes["time"])
    raw["east"].values[:] += shared[:, None]
    cleaned = clean_gnss([raw], region)["east"]
    step = cleaned[after, 4].median() - cleaned[~after, 4].median()
    assert float(step) == pytest.approx(0.05, abs=0.003)
    assert float(cleaned.isel(station=0).std()) < 0.005


def test_flagged_positions_are_missing_and_an_untrained_station_is_left_out(
    region: Region, observations: Observations
) -> None:
    raw = observations["gnss/daily"].copy(deep=True)
    raw["quality_flag"].values[500, 2] = 4
    raw["quality_flag"].values[: 365 * 2, 7] = 1
    cleaned = clean_gnss([raw], region)
    assert "S007" not in cleaned["station"].values
    assert np.isnan(cleaned["east"].sel(station="S002").values[500])


def test_averages_agree_with_gdal(region: Region) -> None:
    rng = np.random.default_rng(0)
    lat, lon = np.arange(34.93, 36.1, 0.03), np.arange(-118.1, -116.9, 0.03)
    values = rng.normal(size=(2, lat.size, lon.size)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = -9999.0
    lat_edges, lon_edges = cell_edges(region)
    expected = np.full((2, 5, 5), np.nan, np.float32)
    # Band by band: with several bands GDAL calls a pixel missing only where it is missing in all.
    for band in range(2):
        reproject(
            values[band, ::-1].copy(), expected[band], src_crs="EPSG:4326", dst_crs="EPSG:4326",
            src_nodata=-9999.0, dst_nodata=np.nan, resampling=Resampling.average,
            src_transform=Affine(0.03, 0, lon[0] - 0.015, 0, -0.03, lat[-1] + 0.015),
            dst_transform=Affine(0.2, 0, lon_edges[0], 0, -0.2, lat_edges[-1]),
        )  # fmt: skip
    ours = average_to_cells(np.where(values > -9000, values, np.nan), lat, lon, region)
    np.testing.assert_allclose(ours, expected[:, ::-1], atol=2e-5)


def test_uneven_pixels_are_refused(region: Region) -> None:
    with pytest.raises(ValueError, match="axis 'lat': expected at least 2 ascending"):
        average_to_cells(np.zeros((1, 3, 3)), np.array([35.0, 35.1, 35.5]), np.array([0.0, 1.0, 2.0]), region)


def test_displacement_along_the_line_of_sight() -> None:
    look = (-0.6, -0.1, np.sqrt(1 - 0.37))
    parts = [xr.DataArray(v) for v in (1.0, 2.0, 3.0, *look)]
    assert float(project_to_los(*parts)) == pytest.approx(-0.6 - 0.2 + 3 * look[2])
    assert np.isnan(float(project_to_los(xr.DataArray(np.nan), *parts[1:])))


def _uplift(region: Region, observations: Observations, day: int, height_m: float) -> xr.Dataset:
    """Stations of the region, at rest but for a step of `height_m` times a bump around its centre on `day`."""
    gnss = clean_gnss([observations["gnss/daily"]], region)
    r2 = (gnss["latitude"] - 35.5) ** 2 + (gnss["longitude"] + 117.5) ** 2
    step = xr.DataArray(np.arange(gnss.sizes["time"]) >= day, dims="time")
    rise = height_m * step * np.exp(-r2 / 0.1)
    seen = gnss["east"].notnull()
    return gnss.assign(
        east=gnss["east"] * 0, north=gnss["north"] * 0, up=rise.where(seen).transpose("time", "station")
    )


def test_an_uplift_seen_by_stations_is_the_rate_that_the_satellite_should_see(
    region: Region, observations: Observations
) -> None:
    pairs = grid_interferograms({"asc": observations["insar/asc"].isel(time=[20])}, region)
    assert pairs is not None
    middle = int((pairs["time_start"].values[0] - np.datetime64(region.start)) / DAY) + 6
    gnss = _uplift(region, observations, middle, 0.1)
    found = with_gnss_rates(pairs, gnss, region)["los_rate_gnss"]
    assert found.chunks is not None
    moved = station_displacements(pairs, gnss)[2, 0]
    np.testing.assert_allclose(moved, gnss["up"].values[-1] - gnss["up"].values[0], atol=1e-9)
    # 0.1 m up at the centre's station over 12 days; what a plane takes off is small beside it at the centre.
    values = found.values[0]
    assert np.unravel_index(np.nanargmax(values), values.shape) == (2, 2)
    seen = np.isfinite(pairs["los_rate"].values[0])
    assert not (np.isfinite(values) & ~seen).any()
    assert abs(np.nanmedian(values)) < 0.2 * np.nanmax(values)


def test_stations_without_a_vertical_tell_the_horizontal_part(
    region: Region, observations: Observations
) -> None:
    pairs = grid_interferograms({"asc": observations["insar/asc"].isel(time=[20])}, region)
    assert pairs is not None
    day = int((pairs["time_start"].values[0] - np.datetime64(region.start)) / DAY) + 6
    risen = _uplift(region, observations, day, 0.1)
    pushed_east = risen.assign(east=risen["up"], up=risen["up"] * np.nan)
    found = with_gnss_rates(pairs, pushed_east, region)["los_rate_gnss"].values[0]
    # An ascending satellite looks from the west: what moves east moves away.
    assert np.unravel_index(np.nanargmin(found), found.shape) == (2, 2)


def test_positions_published_after_the_pair_do_not_enter_its_expectation(
    region: Region, observations: Observations
) -> None:
    pairs = grid_interferograms({"asc": observations["insar/asc"].isel(time=[20])}, region)
    assert pairs is not None
    day = int((pairs["time"].values[0] - np.datetime64(region.start)) / DAY) - 1
    gnss = _uplift(region, observations, day, 0.1)
    known = gnss["available_time"].values
    assert (station_displacements(pairs, gnss)[2] > 1e-4).any()
    late = known.copy()
    late[day:] = pairs["available_time"].values[0] + np.timedelta64(1, "s")
    hidden = gnss.assign(available_time=(("time", "station"), late))
    np.testing.assert_array_equal(station_displacements(pairs, hidden)[2], 0.0)


def test_a_ramp_goes_and_a_local_signal_stays() -> None:
    rows, columns = np.meshgrid(np.arange(20.0), np.arange(20.0), indexing="ij")
    rng = np.random.default_rng(0)
    signal = np.where((rows - 10) ** 2 + (columns - 10) ** 2 < 9, 0.1, 0.0)
    ramp = 0.02 * rows - 0.01 * columns + 0.3
    cleaned = remove_ramp((signal + ramp + rng.normal(0, 1e-3, rows.shape))[None])[0]
    assert np.abs(cleaned - signal).max() < 0.006


def test_interferograms_are_rates_masked_by_coherence_and_flags(
    region: Region, observations: Observations
) -> None:
    track = observations["insar/asc"].copy(deep=True).isel(time=[3, 1])
    track["coherence"].values[:] = 0.9
    track["coherence"].values[:, :8, :8] = 0.2
    track["quality_flag"].values[:, -8:, -8:] = 4
    local = np.zeros(track["los_displacement"].shape, np.float32)
    local[:, 16:24, 16:24] = 0.01
    track["los_displacement"].values[:] = local
    pairs = grid_interferograms({"asc": track}, region)
    assert pairs is not None
    pairs = pairs.compute()
    assert np.isnan(pairs["los_rate"].values[:, [0, 4], [0, 4]]).all()
    assert float(pairs["los_rate"][0, 2, 2]) == pytest.approx(0.01 / 12 * 365.25, rel=0.02)
    assert (np.diff(pairs["available_time"].values) > np.timedelta64(0)).all()
    assert pairs["orbit"].values.tolist() == [1, 1]
    assert float(pairs["look_east"][0, 2, 2]) == pytest.approx(-0.6)


def test_a_pair_stamped_at_midnight_is_known_when_its_day_is_over(
    region: Region, observations: Observations
) -> None:
    track = observations["insar/asc"].isel(time=slice(0, 2))
    midnight = track["time"].values.astype("datetime64[D]").astype("datetime64[ns]")
    at_once = track.assign_coords(time=midnight).assign(available_time=("time", midnight))
    pairs = grid_interferograms({"asc": at_once}, region)
    assert pairs is not None
    assert (pairs["available_time"].values == midnight + DAY).all()


def test_anomalies_have_unit_spread_where_they_were_fitted(
    region: Region, observations: Observations
) -> None:
    weather = grid_weather([observations["weather/era5"]], region)
    training = weather.sel(time=slice("2015-01-01", "2016-12-31"))
    assert abs(float(training["air_temperature"].mean())) < 0.02
    assert 0.5 < float(training["air_temperature"].std()) <= 1.01
    assert set(weather.data_vars) == {
        "air_temperature",
        "precipitation_amount",
        "water_load",
        "available_time",
    }
    assert (weather["available_time"].values >= weather["time"].values + DAY).all()


def test_weather_without_a_training_year_is_measured_by_its_own_month(
    region: Region, observations: Observations
) -> None:
    only_last = observations["weather/era5"].sel(time=slice("2017-06-01", None))
    weather = grid_weather([only_last], region)
    seen = weather["air_temperature"].mean(["lat", "lon"])
    assert bool(seen.sel(time=slice(None, "2017-05-31")).isnull().all())
    assert bool(seen.sel(time=slice("2017-07-15", None)).notnull().all())
    assert np.isnat(weather["available_time"].sel(time="2017-03-01").values)


def test_weather_before_the_end_of_training_does_not_depend_on_what_follows() -> None:
    days = np.datetime64("2015-01-01", "ns") + np.arange(1000) * DAY
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1000, 1))
    changed = values.copy()
    changed[800:] += 100
    training = np.arange(1000) < 700
    np.testing.assert_array_equal(
        standardise(values, days, training)[:800], standardise(changed, days, training)[:800]
    )


def test_daily_features_of_stations_that_recorded(region: Region, observations: Observations) -> None:
    features = daily_waveform_features([observations["waveform/stations"]], region)
    assert features is not None
    values = features["waveform_features"]
    seen = np.isfinite(values.values).any(axis=2)
    assert int(seen.sum()) == 60
    assert (np.isnat(features["available_time"].values) == ~seen).all()
    one = values.isel(time=0).sel(station="QC.S0", feature="log_record_count")
    assert float(one) == 0.0
