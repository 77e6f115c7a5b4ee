"""ERA5 from a Zarr format 2 store laid out like ARCO's, over HTTP on the loopback and from a folder."""

from datetime import date

import numpy as np
import pytest
import xarray as xr

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid, SourceUnavailable, open_source
from tasks.sources.contract import SourceDenied
from tasks.sources.services import Ask, Http, Landing, open_service

from .servers.weather import arco_zarr, truth, with_faults


def ask_of(tmp_path, url, start, end, now, west=-118.0, **options):
    service = Service(
        kind="arco", urls=(url,), requests_per_second=10_000, timeout_s=5,
        options={"variables": "t2m,tp", "preliminary_days": 5, "final_days": 20, **options},
    )  # fmt: skip
    source = SourceConfig(
        name="era5", modality="weather", provider="era5", path="weather/arco", latency_days=5, service=service
    )
    day = date(2019, 1, 1)
    region = Region(
        name="tiny", title="Tiny", bounds=Bounds(south=34, north=46, west=west, east=west + 10), resolution_deg=0.5,
        start=day, end=date(2021, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=3,
        split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[source],
    )  # fmt: skip
    window = TimeWindow(np.datetime64(start, "ns"), np.datetime64(end, "ns"))
    landing = Landing(tmp_path / "landing", source.path)
    return Ask(
        source, service, region, window, landing, Http(service, backoff_s=0.01), np.datetime64(now, "ns")
    )


def mirror(ask):
    open_service(ask.service)(ask)
    return sorted(p.name for p in ask.landing.folder.iterdir())


def read(ask, **options):
    config = ask.config.model_copy(update={"options": options})
    return open_source("era5")(config, ask.landing.root, ask.region, ask.window).dataset


@pytest.fixture
def globe(tmp_path):
    return arco_zarr(str(tmp_path / "published/era5"), "2020-01-30", 5)


@pytest.fixture
def published(tmp_path, globe, serve_folder):
    return serve_folder(tmp_path / "published")


def test_days_land_cut_to_the_region_and_read_as_they_were_published(tmp_path, published):
    ask = ask_of(tmp_path, published.url + "/era5", "2020-01-31", "2020-02-02", "2020-06-01")

    assert mirror(ask) == ["2020-01-31.nc", "2020-02-01.nc"]
    data = read(ask)
    assert data.lat.values.tolist() == [35, 40, 45]
    assert data.lon.values.tolist() == [-115, -110]
    for name, short, factor in (("air_temperature", "t2m", 1), ("precipitation_amount", "tp", 1000)):
        expected = truth(short, data.time.values, data.lat.values, data.lon.values) * factor
        np.testing.assert_allclose(data[name], expected, rtol=1e-5)
    before = len(published.seen)
    mirror(ask)
    assert len(published.seen) == before


def test_only_the_hours_and_variables_that_are_needed_are_read(tmp_path, published):
    mirror(ask_of(tmp_path, published.url + "/era5", "2020-01-31", "2020-02-01", "2020-06-01"))

    chunks = [r.path for r in published.seen if "temperature/" in r.path or "precipitation/" in r.path]
    assert len(chunks) == 48
    assert {int(path.split("/")[-1].split(".")[0]) for path in chunks} == set(range(24, 48))


def test_a_region_across_greenwich_comes_in_one_piece(tmp_path, published):
    ask = ask_of(tmp_path, published.url + "/era5", "2020-01-31", "2020-02-01", "2020-06-01", west=-5.0)
    mirror(ask)
    data = read(ask)
    assert data.lon.values.tolist() == [-5, 0, 5]
    expected = truth("t2m", data.time.values, data.lat.values, data.lon.values)
    np.testing.assert_allclose(data.air_temperature, expected, rtol=1e-6)


def test_a_folder_is_read_by_the_same_code(tmp_path, globe):
    ask = ask_of(tmp_path, f"file://{tmp_path}/published/era5", "2020-01-31", "2020-02-01", "2020-06-01")
    assert mirror(ask) == ["2020-01-31.nc"]


def test_preliminary_hours_say_so_and_what_is_beyond_the_valid_range_is_not_taken(tmp_path, serve_folder):
    stops = {
        "valid_time_start": "2020-01-30",
        "valid_time_stop": "2020-01-31",
        "valid_time_stop_era5t": "2020-02-01",
    }
    arco_zarr(str(tmp_path / "published/era5"), "2020-01-30", 5, **stops)
    ask = ask_of(
        tmp_path, serve_folder(tmp_path / "published").url + "/era5", "2020-01-31", "2020-02-03", "2020-06-01"
    )

    assert mirror(ask) == ["2020-01-31.nc", "2020-02-01_preliminary.nc"]
    data = read(ask)
    assert data.expver.values.tolist() == [1] * 24 + [5] * 24
    late = (data.available_time - data.time).values.astype("timedelta64[D]").astype(int)
    assert late.tolist() == [90] * 24 + [5] * 24


def test_a_complete_month_becomes_one_file_with_the_same_content(tmp_path):
    arco_zarr(str(tmp_path / "published/era5"), "2020-02-01", 29, ("t2m",))
    url = f"file://{tmp_path}/published/era5"
    first = ask_of(tmp_path, url, "2020-02-01", "2020-02-29", "2020-06-01", variables="t2m")
    assert len(mirror(first)) == 28
    before = read(first)
    ask = ask_of(tmp_path, url, "2020-02-01", "2020-03-01", "2020-06-01", variables="t2m")
    assert mirror(ask) == ["2020-02.nc"]
    assert read(ask).sizes["time"] == 29 * 24
    xr.testing.assert_identical(read(first), before)


def test_a_store_that_falters_is_asked_again(tmp_path, published, serve):
    faults = {f"temperature/{24 + k}.0.0": [fault] for k, fault in enumerate(("429", "503"))}
    flaky = serve(with_faults(published.answer, faults))
    assert mirror(ask_of(tmp_path, flaky.url + "/era5", "2020-01-31", "2020-02-01", "2020-06-01")) == [
        "2020-01-31.nc"
    ]
    assert not any(faults.values())


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("html", SourceDataInvalid, "whole chunks of 2m_temperature on 2020-02-01"),
        ("empty", SourceUnavailable, "an hour of fill"),
    ],
)
def test_a_chunk_that_is_damaged_or_absent_is_named_and_the_next_pull_goes_on_there(
    tmp_path, published, serve, fault, kind, message
):
    bad = serve(with_faults(published.answer, {"temperature/50.0.0": [fault]}))
    ask = ask_of(tmp_path, bad.url + "/era5", "2020-01-31", "2020-02-02", "2020-06-01", variables="t2m")
    with pytest.raises(kind, match=message):
        mirror(ask)
    assert [p.name for p in ask.landing.folder.iterdir()] == ["2020-01-31.nc"]
    assert mirror(ask) == ["2020-01-31.nc", "2020-02-01.nc"]
    days = [r.path for r in bad.seen if r.path.endswith("temperature/24.0.0")]
    assert len(days) == 1


def test_a_day_that_the_archive_lacks_keeps_no_later_day_back(tmp_path, published, serve):
    bad = serve(with_faults(published.answer, {"temperature/30.0.0": ["empty"]}))
    ask = ask_of(tmp_path, bad.url + "/era5", "2020-01-30", "2020-02-02", "2020-06-01", variables="t2m")
    with pytest.raises(SourceUnavailable, match="an hour of fill"):
        mirror(ask)
    assert [p.name for p in sorted(ask.landing.folder.iterdir())] == ["2020-01-30.nc", "2020-02-01.nc"]
    assert ask.landing.ledger.get("2020-01-31").state == "failed"


def test_a_store_that_refuses_or_is_none_is_said(tmp_path, serve, Reply):
    denied, nothing = serve(lambda _r: Reply(403)), serve(lambda _r: Reply(404))
    with pytest.raises(SourceDenied):
        mirror(ask_of(tmp_path, denied.url, "2020-01-31", "2020-02-01", "2020-06-01"))
    with pytest.raises(SourceUnavailable, match="found none"):
        mirror(ask_of(tmp_path, nothing.url, "2020-01-31", "2020-02-01", "2020-06-01"))
