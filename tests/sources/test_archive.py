"""Known facts of the recorded archive, read through the region's own configuration."""

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tasks.regions import load_region
from tasks.sources import Fetched, open_source

pytestmark = pytest.mark.archive
MAINSHOCK = np.datetime64("2019-07-06T03:19:53", "ns")


@pytest.fixture(scope="module")
def ridgecrest(archive: Path, conf: Path) -> Callable[[str], Fetched]:
    region = load_region("ridgecrest", conf)

    @cache
    def read(name: str) -> Fetched:
        config = next(s for s in region.sources if s.name == name)
        window = region.catalog_window if config.modality == "catalog" else region.window
        return open_source(config.provider)(config, archive, region, window)

    return read


def at(data: xr.Dataset, station: str) -> xr.Dataset:
    return data.sel(station=station)


def test_scedc_core_region_holds_the_counted_quarry_blasts(ridgecrest):
    events, invalid = ridgecrest("scedc")
    assert not invalid
    core = (
        (events.latitude >= 35)
        & (events.latitude < 36.5)
        & (events.longitude >= -118.5)
        & (events.longitude < -116.5)
    )
    assert int((core & (events.event_type == "quarry_blast")).sum()) == 12171
    years = np.unique(events.origin_time.dt.year)
    assert 1992 not in years
    assert 2019 not in years
    assert years[[0, -1]].tolist() == [1981, 2020]
    assert int((events.depth_km < 0).sum()) > 1000
    assert (events.available_time > events.origin_time).all()


def test_the_extract_fills_the_missing_years(ridgecrest):
    years = ridgecrest("scedc_m3").dataset.origin_time.dt.year
    assert int((years == 1992).sum()) > 0
    assert int((years == 2019).sum()) > 900


def test_comcat_and_the_relocated_catalog_share_their_ids(ridgecrest):
    comcat, relocated = ridgecrest("comcat").dataset, ridgecrest("relocated").dataset
    assert comcat.sizes["event"] == 2197
    assert relocated.sizes["event"] == 43742
    mainshock = comcat.isel(event=int(np.argmax(comcat.magnitude.values)))
    assert str(mainshock.event_id.values) == "ci38457511"
    assert "ci38457511" in relocated.event_id.values
    assert len(set(comcat.event_id.values) & set(relocated.event_id.values)) > 1000


@pytest.mark.parametrize(
    ("station", "north", "east"),
    [
        ("P570", 1.4, -53.4),
        ("P573", 8.2, -32.1),
        ("P093", -16.0, 0.8),
        ("P567", 0.9, -13.1),
        ("P557", 5.2, -2.9),
    ],
)
def test_daily_gnss_shows_the_coseismic_offsets(ridgecrest, station, north, east):
    data = at(ridgecrest("daily").dataset, station)
    after, before = (
        data.sel(time=slice("2019-07-08", "2019-07-16")),
        data.sel(time=slice("2019-06-25", "2019-07-03")),
    )
    assert float(after.north.median() - before.north.median()) * 1000 == pytest.approx(north, abs=0.06)
    assert float(after.east.median() - before.east.median()) * 1000 == pytest.approx(east, abs=0.06)


def test_daily_gnss_has_the_eight_near_stations_and_one_vertical(ridgecrest):
    data, invalid = ridgecrest("daily")
    assert sorted(data.station.values) == ["P092", "P093", "P557", "P558", "P567", "P570", "P571", "P573"]
    vertical = data.up.notnull().any("time")
    assert data.station.values[vertical.values].tolist() == ["P558"]
    assert {Path(e.path).name.split(".")[1] for e in invalid} == {"HARV", "P563", "P565"}


@pytest.mark.parametrize(
    ("station", "east", "north"), [("P595", 505, -248), ("CCCC", -44, 208), ("P594", 64, -124)]
)
def test_highrate_gnss_shows_the_static_offsets(ridgecrest, station, east, north):
    data, invalid = ridgecrest("ridgecrest6")
    assert data.sizes == {"time": 900, "station": 85}
    assert "CDMT, HCMN, P522, P586, RDMT" in str(invalid[0])
    data = at(data, station)
    second = np.timedelta64(1, "s")
    after = data.sel(time=slice(MAINSHOCK + 100 * second, MAINSHOCK + 200 * second))
    before = data.sel(time=slice(MAINSHOCK - 60 * second, MAINSHOCK))
    assert float(after.east.median() - before.east.median()) * 1000 == pytest.approx(east, abs=1)
    assert float(after.north.median() - before.north.median()) * 1000 == pytest.approx(north, abs=1)


@pytest.mark.parametrize(
    ("track", "orbit"), [("coseismic_t71", "descending"), ("coseismic_t64", "ascending")]
)
def test_coseismic_interferograms_agree_with_gnss_at_p595(ridgecrest, track, orbit):
    gnss = at(ridgecrest("ridgecrest6").dataset, "P595")
    insar = ridgecrest(track).dataset
    assert insar.attrs["orbit"] == orbit
    pixel = insar.sel(lat=float(gnss.latitude), lon=float(gnss.longitude), method="nearest").isel(time=0)
    second = np.timedelta64(1, "s")
    gnss = gnss[["east", "north", "up"]]
    after = gnss.sel(time=slice(MAINSHOCK + 100 * second, MAINSHOCK + 200 * second)).median()
    before = gnss.sel(time=slice(MAINSHOCK - 60 * second, MAINSHOCK)).median()
    parts = zip(("east", "north", "up"), ("look_east", "look_north", "look_up"), strict=True)
    projected = sum(float((after[p] - before[p]) * pixel[v]) for p, v in parts)
    # bins of 2 km on a steep gradient, and the interferogram holds the foreshock too
    assert float(pixel.los_displacement) == pytest.approx(projected, abs=0.15)


def test_coso_velocity_masks_the_counted_pixels(ridgecrest):
    data = ridgecrest("coso_a064").dataset
    assert int((data.quality_flag == 1).sum()) == 7708
    assert data.attrs["orbit"] == "ascending"
    assert data.available_time.values[0] > np.datetime64("2019-07-05")


def test_weather_is_in_the_known_range(ridgecrest):
    profile = ridgecrest("geosfp").dataset.sel(lat=35.75, lon=-117.5, method="nearest")
    assert ((profile.air_temperature > 281.5) & (profile.air_temperature < 284.5)).all()
    assert ((profile.surface_air_pressure > 90400) & (profile.surface_air_pressure < 90800)).all()
    assert ((profile.zenith_delay > 2.19) & (profile.zenith_delay < 2.211)).all()
    stations = ridgecrest("uscrn").dataset
    assert sorted(stations.station.values) == ["53136", "53139", "53150", "53151", "53152", "93243"]


def test_strong_motion_has_the_near_stations_and_the_early_end(ridgecrest):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data, invalid = ridgecrest("strong_motion")
    assert not invalid
    near = {"CCC", "CLC", "JRC2", "LRL", "MPM", "SLA", "WBM", "WCS2", "WNM", "WRV2", "WVP2"}
    assert {s.removeprefix("CI.") for s in data.station.values} == near | {"TOW2"}
    assert int((data.station == "CI.MPM").sum()) == 2
    peak = float(np.nanmax(np.abs(data.velocity.values[data.station.values == "CI.CCC"])))
    assert 0.3 < peak < 1.5


def test_context_rasters_cover_the_region(ridgecrest):
    elevation = ridgecrest("elevation").dataset.elevation
    assert float(elevation.min()) < 0
    assert float(elevation.max()) > 3000
    assert float(ridgecrest("vs30").dataset.vs30.min()) >= 180


@pytest.mark.parametrize(
    "name",
    [
        "scedc", "scedc_m3", "comcat", "relocated", "daily", "ridgecrest6", "coso_a064", "coso_d071", "coseismic_t64",
        "coseismic_t71", "coseismic_t65", "coseismic_t66", "uscrn", "geosfp", "era5", "strong_motion",
    ],
)  # fmt: skip
def test_every_observation_is_flagged_dated_and_never_known_before_its_time(ridgecrest, name):
    data = ridgecrest(name).dataset
    assert {"provider", "modality", "licence", "vintage"} <= set(data.attrs)
    assert data.quality_flag.dtype == np.uint8
    about = data["origin_time"] if "origin_time" in data else data["time"]
    assert about.dtype == data.available_time.dtype == np.dtype("datetime64[ns]")
    assert bool((data.available_time >= about).all())
    assert not bool(data.available_time.isnull().any())
    texts = [v for v in data.variables.values() if v.dtype.kind not in "fMui"]
    assert all(v.dtype == object for v in texts)
