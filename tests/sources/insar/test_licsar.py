import os

import numpy as np
import pytest
import rasterio

from tasks.sources import SourceDataInvalid, SourceEmpty, SourceMissing


@pytest.fixture
def frame(tmp_path, write):
    write.licsar(tmp_path, write.scene(start="20190616", time="20190628"))
    write.licsar(tmp_path, write.scene())
    return tmp_path


def change(path, edit, **keys):
    with rasterio.open(path) as file:
        profile, values = file.profile, file.read()
    values = edit(values)
    with rasterio.open(path, "w", **(profile | {"dtype": values.dtype} | keys)) as file:
        file.write(values)


def pair(folder, name="20190628_20190710", kind="unw"):
    return folder / f"interferograms/{name}/{name}.geo.{kind}.tif"


def test_the_time_of_day_comes_from_the_metadata_and_is_midnight_without_it(frame, fetch):
    data = fetch("insar", "licsar", "").dataset
    assert data.time.values[-1] == np.datetime64("2019-07-10T13:52:07.5")
    assert data.time_start.values[-1] == np.datetime64("2019-06-28T13:52:07.5")
    assert data.attrs["track"] == "064A_05410_131313"
    (frame / "metadata/metadata.txt").unlink()
    assert fetch("insar", "licsar", "").dataset.time.values[-1] == np.datetime64("2019-07-10")


def test_a_pair_is_known_when_the_provider_published_it_or_by_rule(frame, fetch):
    published = np.datetime64("2019-08-01T06:00:00")
    for path in frame.glob("interferograms/*/*.unw.tif"):
        os.utime(path, (int(published.astype("datetime64[s]").astype(int)),) * 2)
    data = fetch("insar", "licsar", "", latency_days=3).dataset
    assert (data.available_time.values == published).all()
    assert data.attrs["vintage"] == "as issued"
    ruled = fetch("insar", "licsar", "", latency_days=3, availability="rule").dataset
    assert ruled.available_time.values[-1] == np.datetime64("2019-07-14")
    assert ruled.attrs["vintage"] == "reconstructed"


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_coherence_is_read_as_its_type_says(tmp_path, write, fetch, dtype):
    write.licsar(tmp_path, write.scene(), dtype=dtype)
    assert float(fetch("insar", "licsar", "").dataset.coherence.mean()) == pytest.approx(0.8, abs=1e-3)


def test_a_pair_without_phase_is_normal_and_one_without_coherence_unknown(frame, fetch):
    pair(frame, "20190616_20190628").unlink()
    pair(frame, kind="cc").unlink()
    data, invalid = fetch("insar", "licsar", "")
    assert not invalid
    assert data.sizes["time"] == 1
    assert np.isnan(data.coherence).all()


@pytest.mark.parametrize(
    ("kind", "edit", "keys", "message"),
    [
        ("unw", lambda v: v.astype(np.int16), {}, "phase in radians as float, found int16"),
        ("cc", lambda v: v.astype(np.uint16), {}, "coherence as uint8 or as float"),
        (
            "cc",
            lambda v: v.astype(np.float32),
            {},
            "coherence as uint8 or as float 0..1, found float32 up to 204",
        ),
        ("unw", lambda v: v, {"crs": "EPSG:32611"}, "EPSG:32611"),
        ("unw", lambda v: v[:, :-20], {"height": 100}, r"pixels in the region"),
    ],
)
def test_another_unit_type_or_grid_is_left_out_by_name(frame, fetch, kind, edit, keys, message):
    change(pair(frame, kind=kind), edit, **keys)
    data, invalid = fetch("insar", "licsar", "")
    assert data.time.values.astype("datetime64[D]").tolist() == [np.datetime64("2019-06-28").item()]
    assert f"20190628_20190710.geo.{kind}.tif" in str(invalid[0])
    with pytest.raises(SourceDataInvalid, match=message):
        raise invalid[0]


def test_swapped_and_impossible_dates_are_found(frame, fetch):
    for name in ("20190710_20190628", "20191301_20191305", "notes"):
        path = pair(frame, name)
        path.parent.mkdir()
        path.write_bytes(pair(frame).read_bytes())
    data, invalid = fetch("insar", "licsar", "")
    assert data.sizes["time"] == 2
    assert len(invalid) == 3


def test_of_pairs_that_end_on_one_day_the_shortest_is_used(frame, write, fetch):
    write.licsar(frame, write.scene(start="20190604", factor=5.0))
    data, invalid = fetch("insar", "licsar", "")
    assert data.time_start.values[-1].astype("datetime64[D]") == np.datetime64("2019-06-28")
    assert float(data.los_displacement[-1].max()) < 0.2
    assert "1 more" in str(invalid[0])


def test_a_window_region_or_folder_with_nothing_says_so(frame, fetch):
    with pytest.raises(SourceEmpty):
        fetch("insar", "licsar", "", start="2019-08-01")
    with pytest.raises(SourceMissing, match="look vectors"):
        fetch("insar", "licsar", "interferograms")
    (frame / "metadata/metadata.txt").write_text("center_time=25:00:00\n")
    with pytest.raises(SourceDataInvalid, match="time of day"):
        fetch("insar", "licsar", "")
