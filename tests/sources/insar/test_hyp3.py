import os

import numpy as np
import pytest
import rasterio

from tasks.sources import SourceDataInvalid, SourceEmpty

STEP = {"step_deg": 0.02}


def test_scenes_on_different_utm_grids_fall_on_the_same_pixels(tmp_path, write, fetch):
    write.hyp3(tmp_path, write.scene(start="20190616", time="20190628"))
    write.hyp3(tmp_path, write.scene(), shift=333.0)
    data, invalid = fetch("insar", "hyp3", "", **STEP)
    assert not invalid
    assert data.sizes == {"time": 2, "lat": 50, "lon": 50}
    inner = data.los_displacement.isel(lat=slice(0, 30), lon=slice(20, 50))
    np.testing.assert_allclose(inner[0], inner[1], atol=1e-3)
    assert data.time.values[-1] == np.datetime64("2019-07-10T13:52:06")


def test_phase_counts_where_the_product_holds_metres_too(tmp_path, write, fetch):
    write.hyp3(tmp_path, write.scene(), layer="los_disp")
    write.hyp3(tmp_path, write.scene())
    data, invalid = fetch("insar", "hyp3", "", **STEP)
    assert data.sizes["time"] == 1
    assert not invalid


def test_the_directions_jump_at_180_degrees_does_not_turn_the_look_vector(tmp_path, write, fetch):
    name = write.hyp3(tmp_path, write.scene()).name
    phi = next(tmp_path.glob("*/*_lv_phi.tif"))
    with rasterio.open(phi, "r+") as file:
        # noise about due west: both signs of π in every cell
        values = np.pi - np.abs(np.random.default_rng(0).normal(0, 0.02, file.shape))
        file.write((values * np.where(np.indices(file.shape).sum(0) % 2, 1, -1)).astype(np.float32), 1)
    data = fetch("insar", "hyp3", "", **STEP).dataset
    assert name.startswith("S1AA")
    assert float(data.look_east.max()) < -0.6
    assert data.attrs["orbit"] == "ascending"


def test_availability_is_the_files_time_or_the_rule(tmp_path, write, fetch):
    path = write.hyp3(tmp_path, write.scene())
    done = np.datetime64("2019-07-12T10:00:00")
    os.utime(path, (int(done.astype("datetime64[s]").astype(int)),) * 2)
    assert fetch("insar", "hyp3", "", **STEP).dataset.available_time.values[0] == done
    ruled = fetch("insar", "hyp3", "", latency_days=1.5, availability="rule", **STEP).dataset
    assert ruled.available_time.values[0] == np.datetime64("2019-07-12T12:00")


def test_a_product_of_another_track_is_left_out(tmp_path, write, fetch):
    write.hyp3(tmp_path, write.scene(start="20190616", time="20190628"))
    write.hyp3(tmp_path, write.scene(look=write.descending))
    data, invalid = fetch("insar", "hyp3", "", **STEP)
    assert data.sizes["time"] == 1
    with pytest.raises(SourceDataInvalid, match="one 77 degree off"):
        raise invalid[0]


def test_angles_in_degrees_and_missing_angles_are_named(tmp_path, write, fetch):
    path = write.hyp3(tmp_path, write.scene())
    theta = path.with_name(path.name.replace("unw_phase", "lv_theta"))
    with rasterio.open(theta, "r+") as file:
        file.write(np.full(file.shape, 51, np.float32), 1)
    with pytest.raises(SourceDataInvalid, match="elevation in radians, found up to 51"):
        fetch("insar", "hyp3", "", **STEP)
    theta.unlink()
    with pytest.raises(SourceDataInvalid, match=r"lv_theta\.tif: expected the look vector"):
        fetch("insar", "hyp3", "", **STEP)


def test_names_say_what_a_file_is(tmp_path, write, fetch):
    path = write.hyp3(tmp_path, write.scene(start="20190710", time="20190628"))
    with pytest.raises(SourceDataInvalid, match="the second after the first"):
        fetch("insar", "hyp3", "", **STEP)
    path.rename(path.with_name("other_unw_phase.tif"))
    with pytest.raises(SourceDataInvalid, match="a name like S1AA_"):
        fetch("insar", "hyp3", "", **STEP)


def test_a_scene_elsewhere_or_a_window_without_one_is_empty(tmp_path, write, fetch):
    write.hyp3(tmp_path, write.scene())
    with pytest.raises(SourceEmpty):
        fetch("insar", "hyp3", "", end="2019-07-10", **STEP)
    with pytest.raises(ValueError, match="'step_deg' must be in"):
        fetch("insar", "hyp3", "", step_deg=0)
    path = tmp_path / "b/S1AA_20190628T135207_20190710T135206_VVP012_INT80_G_ueF_1A2B_unw_phase.tif"
    write.tif(path, np.ones((9, 9), np.float32), 500_000.0, 0.0, 80.0, "EPSG:32631")
    with pytest.raises(SourceEmpty):
        fetch("insar", "hyp3", "b", **STEP)
