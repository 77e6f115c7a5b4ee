import os

import h5py
import numpy as np
import pytest

from tasks.sources import SourceDataInvalid, SourceEmpty, SourceMissing

GEOMETRY = "/science/grids/imagingGeometry/"


def incidence(data):
    return float(np.degrees(np.arccos(data.look_up.mean())))


def test_the_look_vector_is_that_at_the_height_of_the_ground(tmp_path, write, fetch):
    scene = write.scene()
    write.aria(tmp_path / "g", scene, incidence_gradient=0.001)
    at_sea_level = incidence(fetch("insar", "aria", "g").dataset)
    assert at_sea_level == pytest.approx(scene.incidence, abs=1e-3)
    assert incidence(fetch("insar", "aria", "g", height_m=1000).dataset) == pytest.approx(
        at_sea_level + 1, abs=1e-2
    )

    write.tif(tmp_path / "dem.tif", np.full((60, 60), 2000, np.float32), -118.1, 36.1, 0.02, "EPSG:4326")
    assert incidence(fetch("insar", "aria", "g", dem="dem.tif").dataset) == pytest.approx(
        at_sea_level + 2, abs=1e-2
    )
    with pytest.raises(SourceMissing, match="elevation raster"):
        fetch("insar", "aria", "g", dem="other.tif")


def test_scenes_of_one_pass_are_joined_by_their_overlap(tmp_path, write, fetch):
    scene = write.scene()
    write.aria(tmp_path, scene, box=(-118.1, 34.9, -116.9, 35.6), serial="0001")
    write.aria(tmp_path, scene, box=(-118.1, 35.4, -116.9, 36.1), serial="0002", constant=0.3)
    data, invalid = fetch("insar", "aria", "")
    assert not invalid
    assert data.sizes["time"] == 1
    lat, lon = np.meshgrid(data.lat, data.lon, indexing="ij")
    error = data.los_displacement.values[0] - scene.los(lat, lon)
    assert np.isfinite(error).mean() > 0.9
    assert np.nanstd(error) < 1e-5


def test_a_scene_without_overlap_has_an_unknown_constant_and_is_left_out(tmp_path, write, fetch):
    write.aria(tmp_path, write.scene(), box=(-118.1, 34.9, -116.9, 35.3), serial="0001")
    write.aria(tmp_path, write.scene(), box=(-118.1, 35.4, -116.9, 36.1), serial="0002")
    data, invalid = fetch("insar", "aria", "")
    assert np.isnan(data.los_displacement.sel(lat=slice(35.0, 35.29))).all()
    assert "without overlap" in str(invalid[0])


def test_swapped_dates_in_the_name_are_detected(tmp_path, write, fetch):
    path = write.aria(tmp_path, write.scene())
    path.rename(tmp_path / path.name.replace("20190710_20190628", "20190628_20190710"))
    with pytest.raises(SourceDataInvalid, match="the second after the first"):
        fetch("insar", "aria", "")


def test_another_track_or_lattice_is_left_out(tmp_path, write, fetch):
    write.aria(tmp_path, write.scene(start="20190604", time="20190616"))
    write.aria(tmp_path, write.scene(look=write.descending, start="20190616", time="20190628"))
    write.aria(tmp_path, write.scene(), box=(-118.1005, 34.9, -116.9005, 36.1))
    write.aria(tmp_path, write.scene(time="20190711"), box=(-118.1035, 34.9, -116.9035, 36.1))
    data, invalid = fetch("insar", "aria", "")
    # a twentieth of a pixel is the same lattice, a third is not
    assert data.time.dt.day.values.tolist() == [16, 10]
    text = " ".join(map(str, invalid))
    assert "expected a product of track a064, found d064" in text
    assert "0.35 pixels off" in text


def test_the_pixels_do_not_depend_on_the_window(tmp_path, write, fetch):
    write.aria(tmp_path, write.scene(start="20190604", time="20190616"), box=(-117.6, 35.2, -117.2, 35.6))
    write.aria(tmp_path, write.scene())
    whole = fetch("insar", "aria", "").dataset
    last = fetch("insar", "aria", "", start="2019-07-01").dataset
    np.testing.assert_array_equal(whole.lat, last.lat)
    np.testing.assert_array_equal(whole.lon, last.lon)
    assert last.sizes == {"time": 1, "lat": 100, "lon": 100}


def test_availability_is_the_files_time_or_the_rule(tmp_path, write, fetch):
    path = write.aria(tmp_path, write.scene())
    os.utime(path, (1_563_000_000,) * 2)
    assert fetch("insar", "aria", "").dataset.available_time.values[0] == np.datetime64(1_563_000_000, "s")
    ruled = fetch("insar", "aria", "", latency_days=3, availability="rule").dataset
    assert ruled.available_time.values[0] == np.datetime64("2019-07-14")


def _unit(file):
    file["/science/grids/data/unwrappedPhase"].attrs["units"] = "meters"


def _no_phase(file):
    del file["/science/grids/data/unwrappedPhase"]


def _wavelength(file):
    file["/science/radarMetaData/wavelength"][()] = 5.5


def _heights(file):
    file[f"{GEOMETRY}heightsMeta"][...] = 0


def _radians(file):
    file[f"{GEOMETRY}incidenceAngle"].attrs["units"] = "radian"


def _percent(file):
    file["/science/grids/data/coherence"][...] = 80


def _uneven(file):
    file["/science/grids/data/latitude"][3] = 12


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_unit, "unwrappedPhase in rad, found 'meters'"),
        (_no_phase, "an array /science/grids/data/unwrappedPhase"),
        (_wavelength, "wavelength between 0.055 and 0.056, found 5.5"),
        (_heights, "axes of the imaging geometry in order"),
        (_radians, "incidenceAngle in degree"),
        (_percent, "coherence 0..1, found up to 80"),
        (_uneven, "evenly spaced latitude"),
    ],
)
def test_what_would_be_a_wrong_value_is_refused_by_name(tmp_path, write, fetch, edit, message):
    path = write.aria(tmp_path, write.scene())
    with h5py.File(path, "r+") as file:
        edit(file)
    with pytest.raises(SourceDataInvalid, match=rf"S1-GUNW-A-R-064.*\.nc: expected .*{message}"):
        fetch("insar", "aria", "")


def test_an_error_page_is_named_and_a_window_without_products_empty(tmp_path, write, fetch):
    path = write.aria(tmp_path, write.scene())
    with pytest.raises(SourceEmpty):
        fetch("insar", "aria", "", end="2019-07-10")
    path.write_text("<html>log in</html>")
    with pytest.raises(SourceDataInvalid, match="a readable NetCDF4 file"):
        fetch("insar", "aria", "")
