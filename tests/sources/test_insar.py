import gzip
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from tasks.sources import SourceDataInvalid, SourceEmpty, SourceUnavailable
from tasks.sources.rasters import unit_look

STEP = 0.01
LOOK = {"E": -0.62, "N": -0.11, "U": float(np.sqrt(1 - 0.62**2 - 0.11**2))}


def write_tif(
    path: Path,
    values: np.ndarray,
    crs: str | None = "EPSG:4326",
    west: float = -117.5,
    nodata: float | None = None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff", "width": values.shape[1], "height": values.shape[0], "count": 1, "dtype": values.dtype,
        "crs": crs, "transform": from_origin(west, 35.6, STEP, STEP), "nodata": nodata,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values, 1)


def write_track(folder: Path, shape: tuple[int, int] = (6, 8)) -> None:
    for letter, value in LOOK.items():
        write_tif(folder / f"metadata/a064.geo.{letter}.tif", np.full(shape, value, dtype=np.float32))


def write_pair(folder: Path, pair: str, los: np.ndarray, **keys: object) -> Path:
    path = folder / f"interferograms/{pair}/{pair}.geo.los.tif"
    write_tif(path, los.astype(np.float32), **keys)
    write_tif(path.with_name(f"{pair}.geo.cc.tif"), np.full(los.shape, 51, dtype=np.uint8))
    return path


def test_interferograms_become_a_stack_with_south_first(tmp_path, fetch):
    write_track(tmp_path)
    los = np.arange(48, dtype=np.float64).reshape(6, 8) / 1000
    los[0, 0] = np.nan
    write_pair(tmp_path, "20190628_20190710", los)
    write_pair(tmp_path, "20190616_20190628", 0 * los)
    data, invalid = fetch("insar", "los_geotiff", "", latency_days=3)
    assert not invalid
    assert data.sizes == {"time": 2, "lat": 6, "lon": 8}
    assert (np.diff(data.lat) > 0).all()
    np.testing.assert_allclose(data.los_displacement.values[1], los[::-1], rtol=1e-6)
    assert data.quality_flag.values[1, -1, 0] == 1
    assert data.time_start.values[1] == np.datetime64("2019-06-28")
    assert data.available_time.values[1] == np.datetime64("2019-07-13")
    np.testing.assert_allclose(data.coherence, 0.2, rtol=1e-6)
    assert data.attrs["orbit"] == "ascending"
    assert data.attrs["track"] == "a064"
    assert data.attrs["vintage"] == "reconstructed"


def test_an_interferogram_is_never_available_before_its_later_day_ends(tmp_path, fetch):
    write_track(tmp_path)
    write_pair(tmp_path, "20190628_20190710", np.zeros((6, 8)))
    data = fetch("insar", "los_geotiff", "").dataset
    assert data.available_time.values[0] == np.datetime64("2019-07-11")


def test_time_of_modification_counts_where_it_is_later(tmp_path, fetch):
    write_track(tmp_path)
    path = write_pair(tmp_path, "20190628_20190710", np.zeros((6, 8)))
    published = np.datetime64("2019-07-18T06:00:00")
    os.utime(path, (published.astype("datetime64[s]").astype(int),) * 2)
    data = fetch("insar", "los_geotiff", "", latency_days=2, availability="modified_time").dataset
    assert data.available_time.values[0] == published
    assert data.attrs["vintage"] == "as issued"


@pytest.mark.parametrize(
    ("keys", "shape", "message"),
    [
        ({"crs": None}, (6, 8), "no CRS"),
        ({"crs": "EPSG:32611"}, (6, 8), "EPSG:32611"),
        ({"west": -117.505}, (6, 8), "degree away"),
        ({}, (6, 7), r"\(6, 7\)"),
    ],
)
def test_a_pair_on_another_grid_is_left_out_and_the_rest_delivered(tmp_path, fetch, keys, shape, message):
    write_track(tmp_path)
    write_pair(tmp_path, "20190616_20190628", np.zeros((6, 8)))
    write_pair(tmp_path, "20190628_20190710", np.zeros(shape), **keys)
    data, invalid = fetch("insar", "los_geotiff", "")
    assert data.sizes["time"] == 1
    assert len(invalid) == 1
    with pytest.raises(SourceDataInvalid, match=message):
        raise invalid[0]


def test_a_cut_geotiff_is_named(tmp_path, fetch):
    write_track(tmp_path)
    path = write_pair(tmp_path, "20190628_20190710", np.random.default_rng(0).normal(size=(6, 8)))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SourceDataInvalid, match=r"20190710\.geo\.los\.tif: expected a readable GeoTIFF"):
        fetch("insar", "los_geotiff", "")


def test_of_pairs_with_one_later_day_the_shortest_is_used(tmp_path, fetch):
    write_track(tmp_path)
    write_pair(tmp_path, "20190616_20190710", np.zeros((6, 8)))
    write_pair(tmp_path, "20190628_20190710", np.ones((6, 8)))
    data, invalid = fetch("insar", "los_geotiff", "")
    assert (data.los_displacement == 1).all()
    assert "1 more" in str(invalid[0])


def test_track_without_look_vectors_or_pairs_says_so(tmp_path, fetch):
    with pytest.raises(SourceUnavailable, match="look vectors"):
        fetch("insar", "los_geotiff", "")
    write_track(tmp_path)
    with pytest.raises(SourceEmpty):
        fetch("insar", "los_geotiff", "")


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 1.5), st.floats(-np.pi, np.pi), st.booleans())
def test_uplift_is_motion_towards_the_satellite_whichever_way_the_vector_was_written(
    incidence, azimuth, inverted
):
    sign = -1.0 if inverted else 1.0
    east = sign * np.sin(incidence) * np.cos(azimuth)
    north = sign * np.sin(incidence) * np.sin(azimuth)
    look = unit_look(Path("x"), *(np.array([v]) for v in (east, north, sign * np.cos(incidence))))
    assert look[2][0] > 0
    assert np.hypot(np.hypot(look[0][0], look[1][0]), look[2][0]) == pytest.approx(1, abs=1e-6)


def test_look_vectors_that_are_angles_are_refused():
    with pytest.raises(SourceDataInvalid, match="unit look vectors"):
        unit_look(Path("x"), np.array([30.0]), np.array([10.0]), np.array([5.0]))


def test_quadtree_points_become_bin_means_in_metres(tmp_path, fetch):
    rows = [
        f"-117.505 35.505 700 {LOOK['E']} {LOOK['N']} {LOOK['U']} 100 0.1",
        f"-117.515 35.515 700 {LOOK['E']} {LOOK['N']} {LOOK['U']} 300 0.1",
        f"-110.000 35.515 700 {LOOK['E']} {LOOK['N']} {LOOK['U']} 900 0.1",
    ]
    (tmp_path / "t64.lltnde").write_text("\n".join(rows))
    dates = {"time_start": "2019-07-04", "time": "2019-07-10"}
    data = fetch("insar", "quadtree", "t64.lltnde", latency_days=3, **dates).dataset
    assert int(data.los_displacement.notnull().sum()) == 1
    assert float(data.los_displacement.max()) == pytest.approx(0.2)
    assert data.available_time.values[0] == np.datetime64("2019-07-14")
    with pytest.raises(SourceEmpty):
        fetch("insar", "quadtree", "t64.lltnde", end="2019-07-10", **dates)
    with pytest.raises(ValueError, match="'time_start' must be text"):
        fetch("insar", "quadtree", "t64.lltnde")


def test_quadtree_with_another_number_of_columns_is_named(tmp_path, fetch):
    (tmp_path / "t.lltnde").write_text("-117.5 35.5 700 0 0 1 100\n")
    with pytest.raises(SourceDataInvalid, match=r"t\.lltnde: expected 8 numbers"):
        fetch("insar", "quadtree", "t.lltnde", time_start="2019-07-04", time="2019-07-10")


def write_velocity(path: Path, unit: str = "m/year") -> None:
    velocity = np.full((4, 5), 0.01, dtype=np.float32)
    velocity[0, 0] = 0
    with h5py.File(path, "w") as file:
        file["velocity"] = velocity
        file["velocityStd"] = (velocity != 0) * np.float32(0.001)
        file.attrs.update(
            X_FIRST="-117.5", X_STEP="0.01", Y_FIRST="35.6", Y_STEP="-0.01", START_DATE="20150701", END_DATE="20190701",
            incidenceAngle="39.2", azimuthAngle="-170.4", UNIT=unit,
        )  # fmt: skip


def test_velocity_adds_up_over_its_period_and_is_unknown_before_its_end(tmp_path, fetch):
    write_velocity(tmp_path / "velocity_a064.h5")
    data = fetch("insar", "mintpy", "velocity_a064.h5", latency_days=14).dataset
    years = 1461 / 365.25
    assert float(data.los_displacement.max()) == pytest.approx(0.01 * years, rel=1e-6)
    # no-data is 0 in both layers; north-west is the last row here
    assert np.isnan(data.los_displacement.values[0, -1, 0])
    assert data.available_time.values[0] == np.datetime64("2019-07-16")
    assert data.attrs["orbit"] == "ascending"
    assert float(data.lat[0]) == pytest.approx(35.565)


def test_velocity_in_another_unit_is_refused(tmp_path, fetch):
    write_velocity(tmp_path / "v.h5", unit="radian")
    with pytest.raises(SourceDataInvalid, match=r"v\.h5: expected velocity in m/year, found radian"):
        fetch("insar", "mintpy", "v.h5")


def test_gzipped_raster_without_crs_needs_the_option(tmp_path, fetch):
    values = np.full((6, 8), 500, dtype=np.float32)
    values[0, 0] = -9999
    write_tif(tmp_path / "e.tif", values, crs=None, nodata=-9999)
    (tmp_path / "e.flt.gz").write_bytes(gzip.compress((tmp_path / "e.tif").read_bytes()))
    with pytest.raises(SourceDataInvalid, match="no CRS"):
        fetch("static", "raster", "e.flt.gz", variable="elevation")
    data = fetch("static", "raster", "e.flt.gz", variable="elevation", crs="EPSG:4326").dataset
    assert np.isnan(data.elevation.values[-1, 0])
    assert data.elevation.attrs["units"] == "m"
    assert data.elevation.dims == ("lat", "lon")


def test_raster_elsewhere_is_empty(tmp_path, fetch):
    write_tif(tmp_path / "e.tif", np.ones((6, 8), dtype=np.float32), west=10.0)
    with pytest.raises(SourceEmpty):
        fetch("static", "raster", "e.tif", variable="elevation")
