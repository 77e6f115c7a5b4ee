"""Cubes by reference, and forecasts that are written once."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.cubes.forecasts import ForecastExists, ForecastManifest, read_forecast, write_forecast
from tasks.cubes.load import load_cube
from tasks.cubes.store import CubeRef, CubeStore, UnknownSnapshot, open_cube
from tasks.regions import Region


def daily(region: Region, value: float) -> xr.Dataset:
    days = np.arange(region.window.start, region.window.end, np.timedelta64(1, "D"))
    shape = (days.size, region.latitudes.size, region.longitudes.size)
    return xr.Dataset(
        {
            "dilatation_rate": (("time", "lat", "lon"), np.full(shape, value, np.float32)),
            "available_time": ("time", days + np.timedelta64(1, "D")),
        },
        coords={"time": days, "lat": region.latitudes, "lon": region.longitudes},
    )


def test_equal_content_is_the_same_cube_and_other_content_another(tmp_path: Path, region: Region) -> None:
    store = CubeStore(tmp_path, region.name)
    assert store.latest() is None
    first = store.write({"strain": daily(region, 1.0)}, "one")
    assert store.write({"strain": daily(region, 1.0)}, "two") == first
    second = store.write({"strain": daily(region, 2.0)}, "three")
    assert second.snapshot != first.snapshot
    assert store.latest() == second
    assert float(open_cube(first)["strain"]["dilatation_rate"].max()) == 1.0


def test_a_group_that_is_gone_is_not_inherited(tmp_path: Path, region: Region) -> None:
    store = CubeStore(tmp_path, region.name)
    first = store.write({"strain": daily(region, 1.0), "weather": daily(region, 1.0)}, "one")
    second = store.write({"strain": daily(region, 1.0)}, "two")
    assert set(open_cube(first)) == {"strain", "weather"}
    assert set(open_cube(second)) == {"strain"}


def test_a_cube_loads_behind_the_door(tmp_path: Path, region: Region) -> None:
    ref = CubeStore(tmp_path, region.name).write({"strain": daily(region, 1.0)}, "one")
    cube = load_cube(CubeRef.model_validate_json(ref.model_dump_json()), region)
    assert cube.snapshot == ref.snapshot
    np.testing.assert_array_equal(cube.latitudes, region.latitudes)


def test_a_cube_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownSnapshot, match="nowhere"):
        open_cube(CubeRef(uri=str(tmp_path), region="nowhere", snapshot="X"))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=False), min_size=1, max_size=6),
    names=st.lists(
        st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1),
        min_size=1,
        max_size=3,
        unique=True,
    ),
)
def test_writing_and_reading_is_identity(tmp_path: Path, values: list[float], names: list[str]) -> None:
    array = np.repeat(np.array(values, np.float32)[:, None], len(names), axis=1)
    dataset = xr.Dataset(
        {"v": (("time", "station"), array)}, coords={"station": np.array(names, dtype=object)}
    )
    ref = CubeStore(tmp_path, "tiny").write({"g": dataset}, "x")
    assert open_cube(ref)["g"].load().equals(dataset)


MANIFEST = ForecastManifest(
    region="tiny", issue_time="2017-08-05T00:00:00", data_snapshot="S", model_version="etas", code_version="c", seed=1
)  # fmt: skip


def forecast(value: float) -> xr.Dataset:
    return xr.Dataset(
        {"rate": (("horizon", "lat", "lon"), np.full((2, 3, 3), value))}, coords={"horizon": np.array([1, 7])}
    )


def test_a_forecast_is_never_overwritten(tmp_path: Path) -> None:
    stored = write_forecast(tmp_path, forecast(0.1), MANIFEST)
    with pytest.raises(ForecastExists, match="not overwritten"):
        write_forecast(tmp_path, forecast(0.1), MANIFEST)
    other = write_forecast(tmp_path, forecast(0.2), MANIFEST)
    assert other.path != stored.path
    found, manifest = read_forecast(Path(stored.path))
    assert manifest == MANIFEST
    assert found.equals(forecast(0.1))
    assert len(list((tmp_path / "tiny").iterdir())) == 2


def test_a_forecast_of_several_models_reads_as_it_was_issued(tmp_path: Path) -> None:
    names = xr.IndexVariable("model", np.array(["etas", "cross_attention"], dtype=object))
    issued = xr.concat([forecast(0.1), forecast(0.2)], dim=names)
    found, _ = read_forecast(Path(write_forecast(tmp_path, issued, MANIFEST).path))
    assert found.equals(issued)


def test_a_forecast_that_was_changed_after_issue_is_recognised(tmp_path: Path) -> None:
    folder = Path(write_forecast(tmp_path, forecast(0.1), MANIFEST).path)
    forecast(0.3).to_netcdf(folder / "forecast.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match="changed after issue"):
        read_forecast(folder)
