"""ERA5 through the Climate Data Store's API, against its endpoints on the loopback."""

from datetime import date

import numpy as np
import pytest

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid, SourceUnavailable, open_source
from tasks.sources.contract import SourceDenied
from tasks.sources.services import Ask, Http, Landing, open_service

from .servers.weather import SECRET, ClimateDataStore, truth


def ask_of(tmp_path, url, start, end, now, token=SECRET, **options):
    service = Service(
        kind="cds", urls=(url + "/api",), requests_per_second=1000, timeout_s=5, credential="CDS_KEY",
        credential_header="PRIVATE-TOKEN", credential_prefix="", options={"poll_s": 0.01, **options},
    )  # fmt: skip
    source = SourceConfig(
        name="era5", modality="weather", provider="era5", path="weather/era5", latency_days=5, service=service
    )
    day = date(2019, 1, 1)
    region = Region(
        name="tiny", title="Tiny", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.5,
        start=day, end=date(2021, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=3,
        split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[source],
    )  # fmt: skip
    window = TimeWindow(np.datetime64(start, "ns"), np.datetime64(end, "ns"))
    landing = Landing(tmp_path / "landing", source.path)
    http = Http(service, token, backoff_s=0.01)
    return Ask(source, service, region, window, landing, http, np.datetime64(now, "ns"))


def mirror(ask):
    open_service(ask.service)(ask)
    return sorted(p.name for p in ask.landing.folder.iterdir())


def read(ask, **options):
    config = ask.config.model_copy(update={"options": options})
    return open_source("era5")(config, ask.landing.root, ask.region, ask.window).dataset


def test_final_months_are_brought_whole_and_read_with_units_axes_and_availability(tmp_path, serve):
    store = ClimateDataStore()
    ask = ask_of(tmp_path, serve(store).url, "2020-01-20", "2020-02-02", "2020-12-01")

    assert mirror(ask) == ["2020-01.nc", "2020-02.nc"]
    assert store.jobs["job-0"]["area"] == [36.5, -118.5, 34.5, -116.5]
    assert len(store.jobs["job-0"]["day"]) == 31
    data = read(ask)
    assert data.sizes == {"time": 13 * 24, "lat": 9, "lon": 9}
    assert (np.diff(data.lat) > 0).all()
    rain = truth("tp", data.time.values, data.lat.values, data.lon.values) * 1000
    np.testing.assert_allclose(data.precipitation_amount, rain, rtol=1e-6)
    assert (data.available_time - data.time == np.timedelta64(90, "D")).all()
    assert (data.expver == 1).all()
    as_if = read(ask, stand_in=True)
    assert (as_if.available_time - as_if.time == np.timedelta64(5, "D")).all()
    assert "stand in" in as_if.attrs["stand_in"]


def test_settled_months_are_not_asked_for_again_and_new_days_only_once(tmp_path, serve):
    store = ClimateDataStore(final_until="2019-12-01")
    server = serve(store)
    now = "2020-01-08T06:00"
    assert mirror(ask_of(tmp_path, server.url, "2020-01-01", "2020-02-01", now)) == [
        "2020-01-01_2020-01-02.nc"
    ]
    before = len(server.seen)
    mirror(ask_of(tmp_path, server.url, "2020-01-01", "2020-02-01", now))
    assert len(server.seen) == before

    mirror(ask_of(tmp_path, server.url, "2020-01-01", "2020-02-01", "2020-01-10T06:00"))
    assert [job["day"] for job in store.jobs.values()] == [["01", "02"], ["03", "04"]]


def test_preliminary_days_stay_beside_the_final_month_and_both_can_be_read(tmp_path, serve):
    store = ClimateDataStore(final_until="2019-12-01")
    server = serve(store)
    mirror(ask_of(tmp_path, server.url, "2020-01-01", "2020-01-03", "2020-01-08"))
    store.final_until = np.datetime64("2020-02-01")
    ask = ask_of(tmp_path, server.url, "2020-01-01", "2020-01-04", "2020-06-01")

    assert mirror(ask) == ["2020-01-01_2020-01-02.nc", "2020-01.nc"]
    first, latest = read(ask), read(ask, version="latest")
    assert first.expver.values.tolist() == [5] * 48 + [1] * 24
    assert (latest.expver == 1).all()
    late = (first.available_time - first.time).values.astype("timedelta64[D]").astype(int)
    assert late.tolist() == [5] * 48 + [90] * 24
    with pytest.raises(ValueError, match="must be one of"):
        read(ask, version="best")


def test_a_job_in_the_queue_is_taken_up_by_the_next_pull(tmp_path, serve):
    store = ClimateDataStore(polls=3)
    server = serve(store)
    ask = ask_of(tmp_path, server.url, "2020-01-01", "2020-02-01", "2020-12-01", patience_s=0)
    with pytest.raises(SourceUnavailable, match=r"queue: 2020-01; the next pull"):
        mirror(ask)

    patient = ask_of(tmp_path, server.url, "2020-01-01", "2020-02-01", "2020-12-01")
    assert mirror(patient) == ["2020-01.nc"]
    assert len(store.jobs) == 1


def test_a_queued_request_for_new_days_is_taken_up_even_when_more_are_out(tmp_path, serve):
    store = ClimateDataStore(polls=2)
    url = serve(store).url
    with pytest.raises(SourceUnavailable):
        mirror(ask_of(tmp_path, url, "2020-01-01", "2020-02-01", "2020-01-08", patience_s=0))

    assert mirror(ask_of(tmp_path, url, "2020-01-01", "2020-02-01", "2020-01-09")) == [
        "2020-01-01_2020-01-02.nc",
        "2020-01-03_2020-01-03.nc",
    ]


@pytest.mark.parametrize("fault", ["429", "503", "truncated"])
def test_a_storage_that_falters_is_asked_again(tmp_path, serve, fault):
    store = ClimateDataStore()
    store.faults = [fault]
    assert mirror(ask_of(tmp_path, serve(store).url, "2020-01-01", "2020-01-02", "2020-12-01")) == [
        "2020-01.nc"
    ]


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("html", SourceDataInvalid, "begins with"),
        ("short", SourceDataInvalid, "bytes as announced"),
        ("failed", SourceDenied, "MARS returned no data"),
        ("rejected", SourceDenied, "MARS returned no data"),
        ("dismissed", SourceUnavailable, "found 'dismissed'"),
        ("lost", SourceUnavailable, "no longer knows the job"),
        ("gone", SourceUnavailable, "is gone"),
        ("empty", SourceUnavailable, "is gone"),
    ],
)
def test_a_request_that_fails_is_named_the_other_month_comes_and_the_next_pull_asks_anew(
    tmp_path, serve, fault, kind, message
):
    store = ClimateDataStore()
    server = serve(store)
    store.faults = [fault]
    ask = ask_of(tmp_path, server.url, "2020-01-01", "2020-03-01", "2020-12-01", jobs=1)

    with pytest.raises(kind, match=message):
        mirror(ask)
    assert [p.name for p in ask.landing.folder.glob("*.nc")] == ["2020-02.nc"]
    assert mirror(ask) == ["2020-01.nc", "2020-02.nc"]
    assert len(store.jobs) == 3


def test_a_refused_key_is_said_by_name_and_a_licence_in_the_stores_words(tmp_path, serve):
    store = ClimateDataStore()
    url = serve(store).url
    with pytest.raises(SourceDenied, match="the credential in CDS_KEY was refused") as caught:
        mirror(ask_of(tmp_path, url, "2020-01-01", "2020-01-02", "2020-12-01", token="wrong-key"))
    assert "wrong-key" not in str(caught.value)
    store.faults = ["licence"]
    with pytest.raises(SourceDenied, match="licences not accepted"):
        mirror(ask_of(tmp_path, url, "2020-01-01", "2020-01-02", "2020-12-01"))


def test_the_key_does_not_go_to_the_storage_host(tmp_path, serve):
    store = ClimateDataStore()
    storage = serve(store)
    store.storage = storage.url
    portal = serve(store)
    mirror(ask_of(tmp_path, portal.url, "2020-01-01", "2020-01-02", "2020-12-01"))

    assert storage.seen
    assert all(SECRET not in str(request) for request in storage.seen)
    ledger = (tmp_path / "landing" / ".ledger.sqlite").read_bytes()
    assert SECRET.encode() not in ledger


def test_a_service_with_the_wrong_header_is_refused_before_it_is_asked(tmp_path, serve):
    server = serve(ClimateDataStore())
    ask = ask_of(tmp_path, server.url, "2020-01-01", "2020-01-02", "2020-12-01")
    wrong = ask.service.model_copy(update={"credential_header": "Authorization"})
    with pytest.raises(SourceDenied, match="PRIVATE-TOKEN"):
        mirror(ask._replace(service=wrong))
    assert not server.seen
