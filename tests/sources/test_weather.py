import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tasks.sources import SourceDataInvalid, SourceEmpty

UNITS = {"t2m": "K", "sp": "Pa", "tp": "m", "u10": "m s**-1", "v10": "m s**-1", "swvl1": "m**3 m**-3"}


def era5(
    start: str = "2019-07-01", hours: int = 3, names: tuple[str, ...] = tuple(UNITS), east: float = 0.0
) -> xr.Dataset:
    time = np.datetime64(start, "ns") + np.arange(1, hours + 1) * np.timedelta64(1, "h")
    lat, lon = np.array([36.0, 35.5, 35.0, 30.0]), np.array([-118.0, -117.5, -117.0]) + east
    shape = (hours, lat.size, lon.size)
    fields = {"t2m": 290.0, "sp": 9e4, "tp": 0.002, "u10": 1.0, "v10": -1.0, "swvl1": 0.2}
    ramp = np.broadcast_to(lat[None, :, None] / 1e4, shape)
    return xr.Dataset(
        {n: (("valid_time", "latitude", "longitude"), fields[n] + ramp, {"units": UNITS[n]}) for n in names},
        coords={"valid_time": time, "latitude": lat, "longitude": lon},
    )


def save(dataset: xr.Dataset, path: Path) -> None:
    dataset.to_netcdf(path, engine="h5netcdf")


def test_era5_is_cropped_turned_and_converted(tmp_path, fetch):
    save(era5(east=360.0), tmp_path / "a.nc")
    data, invalid = fetch("weather", "era5", "", latency_days=5)
    assert not invalid
    assert data.sizes == {"time": 3, "lat": 3, "lon": 3}
    assert data.lat.values.tolist() == [35.0, 35.5, 36.0]
    assert data.lon.values.tolist() == [-118.0, -117.5, -117.0]
    np.testing.assert_allclose(
        data.precipitation_amount.values[0, :, 0], 2.0 + data.lat.values / 10, rtol=1e-6
    )
    assert data.precipitation_amount.attrs["units"] == "kg m-2"
    assert (data.available_time.values - data.time.values == np.timedelta64(5, "D")).all()
    assert not data.quality_flag.any()


def test_another_unit_names_variable_and_file_and_the_rest_is_read(tmp_path, fetch):
    save(era5(), tmp_path / "a.nc")
    celsius = era5("2019-07-02")
    celsius["t2m"].attrs["units"] = "degC"
    save(celsius, tmp_path / "b.nc")
    data, invalid = fetch("weather", "era5", "")
    assert data.sizes["time"] == 3
    assert str(invalid[0]).endswith("b.nc: expected t2m in K, found units 'degC'")


def test_classic_netcdf_is_read_too(tmp_path, fetch):
    era5().to_netcdf(tmp_path / "a.nc", engine="scipy", format="NETCDF3_64BIT")
    assert fetch("weather", "era5", "").dataset.sizes["time"] == 3


def test_zip_under_a_netcdf_name_is_opened_and_merged(tmp_path, fetch):
    save(era5(names=("t2m",)), tmp_path / "instant")
    save(era5(names=("tp",)), tmp_path / "accum")
    with zipfile.ZipFile(tmp_path / "a.nc", "w") as archive:
        for step in ("instant", "accum"):
            archive.write(tmp_path / step, f"data_stream-oper_stepType-{step}.nc")
    data = fetch("weather", "era5", "").dataset
    assert {"air_temperature", "precipitation_amount"} <= set(data.data_vars)


def side_by_side() -> xr.Dataset:
    """Return a file in which both versions have the first two hours, and the preliminary one has a third."""
    final, preliminary = era5(names=("t2m",)), era5(names=("t2m",)) + 20.0
    final["t2m"][2:] = np.nan
    both = xr.concat([preliminary, final], dim=pd.Index(["0005", "0001"], name="expver").astype(object))
    both["t2m"].attrs["units"] = "K"
    return both.assign_coords(expver=[5, 1])


def test_final_values_win_and_preliminary_ones_fill_their_gaps(tmp_path, fetch):
    save(side_by_side(), tmp_path / "a.nc")
    data = fetch("weather", "era5", "", version="latest").dataset
    np.testing.assert_allclose(data.air_temperature.values[:, 0, 0], [290, 290, 310], atol=0.01)
    assert data.expver.values.tolist() == [1, 1, 5]


def test_what_was_known_first_stands_unless_asked_otherwise(tmp_path, fetch):
    save(side_by_side(), tmp_path / "a.nc")
    data = fetch("weather", "era5", "", latency_days=5).dataset
    np.testing.assert_allclose(data.air_temperature.values[:, 0, 0], 310, atol=0.01)
    assert (data.available_time - data.time == np.timedelta64(5, "D")).all()
    final = fetch("weather", "era5", "", latency_days=5, version="final").dataset
    assert final.sizes["time"] == 2
    assert (final.available_time - final.time == np.timedelta64(90, "D")).all()


def test_a_value_filled_from_another_version_is_as_late_as_that_one(tmp_path, fetch):
    preliminary = era5(names=("t2m",)).assign_coords(expver=("valid_time", ["0005"] * 3))
    final = era5(names=("t2m", "tp")).assign_coords(expver=("valid_time", ["0001"] * 3))
    save(preliminary, tmp_path / "a.nc")
    save(final, tmp_path / "b.nc")
    data = fetch("weather", "era5", "", latency_days=5).dataset
    assert np.isfinite(data.precipitation_amount).all()
    assert (data.expver == 5).all()
    assert (data.available_time - data.time == np.timedelta64(90, "D")).all()


@pytest.mark.parametrize("spoilt", [{"t2m": 16.85}, {"sp": 900.0}, {"tp": 2.5}, {"swvl1": 20.0}])
def test_a_unit_that_lies_shows_in_the_values(tmp_path, fetch, spoilt):
    save(era5(), tmp_path / "a.nc")
    ((name, value),) = spoilt.items()
    lying = era5("2019-07-02")
    lying[name][:] = value
    save(lying, tmp_path / "b.nc")
    data, invalid = fetch("weather", "era5", "")
    assert data.sizes["time"] == 3
    assert "between" in str(invalid[0])
    assert str(tmp_path / "b.nc") in str(invalid[0])


def test_packing_below_zero_is_no_rain(tmp_path, fetch):
    raining = era5(names=("tp",))
    raining["tp"][:] = -1e-9
    save(raining, tmp_path / "a.nc")
    assert (fetch("weather", "era5", "").dataset.precipitation_amount == 0).all()


def test_damaged_netcdf_is_named(tmp_path, fetch):
    save(era5(), tmp_path / "a.nc")
    (tmp_path / "b.nc").write_bytes((tmp_path / "a.nc").read_bytes()[:2000])
    (tmp_path / "c.nc").write_text("<html>please log in</html>")
    data, invalid = fetch("weather", "era5", "")
    assert data.sizes["time"] == 3
    assert [Path(e.path).name for e in invalid] == ["b.nc", "c.nc"]


def test_period_or_place_without_weather_is_empty(tmp_path, fetch):
    save(era5(), tmp_path / "a.nc")
    with pytest.raises(SourceEmpty, match="nothing for region 'toy'"):
        fetch("weather", "era5", "", end="2019-01-01")
    save(era5(east=90.0), tmp_path / "a.nc")
    with pytest.raises(SourceEmpty):
        fetch("weather", "era5", "")


def uscrn() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "wban": ["53139", "53139", "99999"],
            "lst_date": pd.to_datetime(["2019-07-01", "2019-07-02", "2019-07-01"]),
            "longitude": [-117.14, -117.14, -80.0],
            "latitude": [36.6, 36.6, 36.6],
            "t_daily_avg": [30.0, np.nan, 1.0],
            "p_daily_calc": [1.5, -9999.0, 1.0],
            "soil_moisture_5_daily": [0.2, -99.0, 0.1],
        }
    )


def test_local_standard_day_ends_at_eight_utc_and_missing_codes_are_nan(tmp_path, fetch):
    uscrn().to_parquet(tmp_path / "u.parquet")
    data = fetch("weather", "uscrn", "", latency_days=1).dataset
    assert data.station.values.tolist() == ["53139"]
    assert data.time.values[0] == np.datetime64("2019-07-02T08:00")
    assert data.available_time.values[0, 0] == np.datetime64("2019-07-03T08:00")
    assert data.air_temperature.values[0, 0] == pytest.approx(303.15)
    assert data.precipitation_amount.values[0, 0] == 1.5
    assert np.isnan(data.precipitation_amount.values[1, 0])
    assert data.quality_flag.values[:, 0].tolist() == [0, 1]
    assert "surface_air_pressure" not in data
    assert data.attrs["sampling"] == "day"


def test_parquet_without_a_column_is_named(tmp_path, fetch):
    uscrn().drop(columns="p_daily_calc").to_parquet(tmp_path / "u.parquet")
    with pytest.raises(SourceDataInvalid, match="no p_daily_calc"):
        fetch("weather", "uscrn", "")


def profile(pressure_units: str = "Pa") -> xr.Dataset:
    z, y, x = np.array([-100.0, 0.0, 1000.0, 80000.0]), np.array([35.0, 35.5]), np.array([-117.5, -117.0])
    shape = (4, 2, 2)

    def column(values: list[float]) -> np.ndarray:
        return np.broadcast_to(np.array(values)[:, None, None], shape).copy()

    dims = ("z", "y", "x")
    return xr.Dataset(
        {
            "t": (dims, column([291.0, 290.0, 280.0, 1e16]), {"units": "K"}),
            "p": (dims, column([101000.0, 1e5, 9e4, 0.0]), {"units": pressure_units}),
            "wet_total": (dims, column([0.2, 0.2, 0.1, 0.0]), {"units": "m"}),
            "hydro_total": (dims, column([2.3, 2.3, 2.0, 0.0]), {"units": "m"}),
        },
        coords={"z": z, "y": y, "x": x, "datetime": np.datetime64("2019-07-01T12:00", "ns")},
    )


def test_profiles_are_read_at_the_ground(tmp_path, fetch):
    save(profile(), tmp_path / "g.nc")
    data = fetch("weather", "raider", "", latency_days=1, height_m=500).dataset
    assert data.time.values[0] == np.datetime64("2019-07-01T12:00")
    np.testing.assert_allclose(data.air_temperature, 285.0)
    np.testing.assert_allclose(data.surface_air_pressure, np.sqrt(1e5 * 9e4), rtol=1e-6)
    np.testing.assert_allclose(data.zenith_delay, 2.3, rtol=1e-6)
    lowest = fetch("weather", "raider", "").dataset
    np.testing.assert_allclose(lowest.air_temperature, 290.0)


def test_fill_in_a_profile_is_missing(tmp_path, fetch):
    save(profile(), tmp_path / "g.nc")
    data = fetch("weather", "raider", "", height_m=79000).dataset
    assert np.isnan(data.air_temperature.values).all()
    assert (data.quality_flag.values == 1).all()


def test_profile_in_another_unit_is_refused(tmp_path, fetch):
    save(profile("hPa"), tmp_path / "g.nc")
    with pytest.raises(SourceDataInvalid, match="expected p in Pa, found units 'hPa'"):
        fetch("weather", "raider", "")
