"""ERA5 files with bytes changed: a clear complaint or possible weather, whatever the container."""

import zipfile

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.sources import SourceDataInvalid, SourceEmpty


def small() -> xr.Dataset:
    time = np.datetime64("2019-07-01", "ns") + np.arange(1, 4) * np.timedelta64(1, "h")
    lat, lon = np.array([36.0, 35.5, 35.0]), np.array([-118.0, -117.5])
    dims, shape = ("valid_time", "latitude", "longitude"), (3, 3, 2)
    return xr.Dataset(
        {
            "t2m": (dims, np.full(shape, 290.0), {"units": "K"}),
            "tp": (dims, np.full(shape, 0.002), {"units": "m"}),
        },
        coords={
            "valid_time": time,
            "latitude": lat,
            "longitude": lon,
            "expver": ("valid_time", ["0001"] * 3),
        },
    )


@pytest.fixture(scope="module")
def containers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    data = small()
    data.to_netcdf(folder / "hdf", engine="h5netcdf")
    data.to_netcdf(folder / "classic", engine="scipy", format="NETCDF3_64BIT")
    with zipfile.ZipFile(folder / "zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "hdf", "data_stream-oper_stepType-instant.nc")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.filterwarnings("ignore")  # libraries warn about what they guess in damaged files
@pytest.mark.parametrize("kind", ["hdf", "classic", "zip"])
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    ),
    cut=st.floats(0, 1) | st.just(1.0),
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_changed_bytes_give_a_complaint_or_possible_weather(tmp_path, fetch, containers, kind, changes, cut):
    content = bytearray(containers[kind])
    for place, byte in changes:
        content[int(place * len(content))] = byte
    (tmp_path / "a.nc").write_bytes(content[: int(cut * len(content))])
    try:
        data = fetch("weather", "era5", "", latency_days=5).dataset
    except (SourceDataInvalid, SourceEmpty):
        return
    temperature = data.air_temperature.values if "air_temperature" in data else np.array([np.nan])
    assert (np.isnan(temperature) | ((temperature >= 175) & (temperature <= 340))).all()
    assert (data.available_time.values >= data.time.values).all()
