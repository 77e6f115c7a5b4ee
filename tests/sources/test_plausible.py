import numpy as np
import pytest
import xarray as xr

from tasks.regions import load_region
from tasks.sources import SourceDataInvalid
from tasks.sources.plausible import RANGES, refuse_other_units, refuse_scatter


def series(name: str, values: list[float], units: str | None = None) -> xr.Dataset:
    return xr.Dataset({name: ("time", np.asarray(values, float), {"units": units} if units else {})})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("air_temperature", [12.0, 31.0, 25.0]),
        ("surface_air_pressure", [912.0, 905.0]),
        ("air_pressure_at_mean_sea_level", [1013.0]),
        ("los_displacement", [120.0, -400.0, 90.0, 300.0, 200.0]),
        ("coherence", [200.0, 120.0]),
        ("volumetric_soil_moisture", [25.0, 30.0]),
        ("depth_km", [8000.0, 12_000.0]),
        ("longitude", [242.5]),
    ],
)
def test_a_record_in_another_unit_is_refused(name: str, values: list[float]) -> None:
    with pytest.raises(SourceDataInvalid, match=rf"file: expected {name} in .*another unit"):
        refuse_other_units(series(name, values), "file")


def test_a_declared_unit_that_is_not_ours_is_refused() -> None:
    with pytest.raises(SourceDataInvalid, match="air_temperature in K, found units 'degC'"):
        refuse_other_units(series("air_temperature", [290.0], "degC"), "file")


def test_outliers_and_gaps_are_left_to_quality_control() -> None:
    refuse_other_units(series("air_temperature", [290.0, 1e16, np.nan, 285.0, 280.0], "K"), "file")
    refuse_other_units(series("air_temperature", [np.nan]), "file")
    assert all(one.low < one.high and one.least < one.most for one in RANGES.values())


@pytest.mark.parametrize(("name", "size"), [("depth_km", 0.008), ("precipitation_amount", 500.0)])
def test_what_is_mostly_zero_or_small_is_judged_by_the_size_of_the_rest(name: str, size: float) -> None:
    values = np.zeros(100)
    values[:19] = size
    refuse_other_units(series(name, list(values)), "file")
    values[19] = size
    with pytest.raises(SourceDataInvalid, match=rf"file: expected {name} in .*median size of .*another unit"):
        refuse_other_units(series(name, list(values)), "file")


def test_positions_that_jump_from_day_to_day_are_no_metres() -> None:
    rng = np.random.default_rng(1)
    metres = rng.normal(0, 0.005, (40, 3))
    metres[20:] += 3.0  # an earthquake is one step
    metres[5] = np.nan
    refuse_scatter(metres, "file")
    refuse_scatter(1000 * metres[:15], "file")
    with pytest.raises(SourceDataInvalid, match=r"file: expected positions in m.*another unit"):
        refuse_scatter(1000 * metres, "file")


def test_a_region_takes_the_vocabularys_latency_unless_it_says_otherwise(conf, tmp_path) -> None:
    (tmp_path / "regions").mkdir()
    text = (conf / "regions" / "simulated.yaml").read_text()
    (tmp_path / "regions" / "simulated.yaml").write_text(
        text.replace("path: weather, latency_days: 5", "path: weather")
    )
    (tmp_path / "vocabulary.yaml").write_text("latency_days: {era5: 4.5, tenv3: 9}")
    latency = {s.group: s.latency_days for s in load_region("simulated", tmp_path).sources}

    assert latency["weather/era5"] == 4.5
    assert latency["gnss/ngl"] == 1

    (tmp_path / "vocabulary.yaml").write_text("latency_days: {era5: -1, sonar: 2}")
    with pytest.raises(ValueError, match=r"vocabulary\.yaml: not a valid vocabulary"):
        load_region("simulated", tmp_path)


def test_every_provider_has_a_latency(conf) -> None:
    from typing import get_args

    from tasks.regions import Provider, load_vocabulary

    assert set(load_vocabulary(conf).latency_days) == set(get_args(Provider))
