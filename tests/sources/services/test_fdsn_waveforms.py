"""FDSN dataselect against a node on the loopback: the ledger of station-days, trimming, splits and kills."""

import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy import UTCDateTime
from obspy.clients.fdsn import Client

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid, SourceUnavailable, open_source
from tasks.sources.contract import SourceDenied
from tasks.sources.services import Ask, Http, Landing, open_service
from tests.sources.services.conftest import Reply
from tests.sources.services.servers.digest import Digest
from tests.sources.services.servers.fdsn import Node, inventory_of, noise

RATE = 2.0
Z, N, E = (f"CI.CLC..BH{c}" for c in "ZNE")


def ask_in(
    folder,
    *urls,
    now="2019-07-20T00:00",
    start="2019-07-06",
    end="2019-07-08",
    channels="CI.*..BH?",
    **options,
):
    service = Service(
        kind="fdsn_waveforms", urls=urls, requests_per_second=1000, timeout_s=5,
        options={"channels": channels, **options},
    )  # fmt: skip
    source = SourceConfig(
        name="w", modality="waveform", provider="sds", path="waveforms/w", service=service,
        options={"step_minutes": 360},
    )  # fmt: skip
    day = date(2019, 1, 1)
    region = Region(
        name="tiny", title="Tiny", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.5,
        start=day, end=date(2020, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=2.5,
        split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[source],
    )  # fmt: skip
    window = TimeWindow(np.datetime64(start, "ns"), np.datetime64(end, "ns"))
    landing = Landing(Path(folder) / "landing", source.path)
    return Ask(
        source, service, region, window, landing, Http(service, backoff_s=0.01), np.datetime64(now, "ns")
    )


@pytest.fixture
def ask_of(tmp_path):
    return lambda *urls, **options: ask_in(tmp_path, *urls, **options)


@pytest.fixture
def node():
    stream = obspy.Stream([noise(code, "2019-07-05T23:00:00.3", 3 * 86_400, RATE) for code in (Z, N, E)])
    return Node(inventory=inventory_of([Z, N, E], rate=RATE), stream=stream)


def mirror(ask):
    open_service(ask.service)(ask)


def bulks(server):
    return [r.body.decode().splitlines()[1:] for r in server.seen if r.path.endswith("dataselect/1/query")]


def day_file(ask, code=Z, number=187):
    network, station, _, channel = code.split(".")
    return ask.landing.path(f"2019/{network}/{station}/{channel}.D/{code}.D.2019.{number}")


def entry(ask, code=Z, day="2019-07-06"):
    return ask.landing.ledger.get(f"{code}/{day}")


@pytest.mark.parametrize("trims", [True, False])
def test_days_land_in_an_sds_archive_trimmed_to_the_day(ask_of, serve, node, trims):
    node.trims = trims
    server = serve(node)
    ask = ask_of(server.url)
    mirror(ask)

    for number, day in ((187, "2019-07-06"), (188, "2019-07-07")):
        for code in (Z, N, E):
            assert entry(ask, code, day).state == "got"
            assert entry(ask, code, day).message == ""
            (trace,) = obspy.read(str(day_file(ask, code, number))).merge()
            expected = node.stream.select(channel=code[-3:])[0].slice(
                UTCDateTime(day), UTCDateTime(day) + 86_399.999, nearest_sample=False
            )
            assert trace.stats.starttime == expected.stats.starttime
            np.testing.assert_array_equal(trace.data, expected.data)
    assert len(bulks(server)) == 2
    n = len(server.seen)
    mirror(ask)
    assert len(server.seen) == n


def test_what_landed_is_read_as_ground_velocity(ask_of, serve, node):
    ask = ask_of(serve(node).url)
    mirror(ask)
    data, invalid = open_source("sds")(ask.config, ask.landing.root, ask.region, ask.window)
    assert not invalid
    assert data.velocity.shape == (8, 3, 1200)
    assert str(data.time.values[0]) == "2019-07-06T03:00:00.000000000"
    assert np.isfinite(data.velocity).all()
    assert set(data.station.values) == {"CI.CLC"}


def test_obspys_sds_client_reads_the_archive(ask_of, serve, node):
    from obspy.clients.filesystem.sds import Client as Archive

    ask = ask_of(serve(node).url)
    mirror(ask)
    archive = Archive(str(ask.landing.folder))
    across = archive.get_waveforms(
        "CI", "CLC", "", "BHZ", UTCDateTime("2019-07-06T23:59"), UTCDateTime("2019-07-07T00:01")
    )
    assert len(across.merge()) == 1
    # both ends to the nearest sample
    assert across[0].stats.npts == 2 * 60 * RATE + 1
    assert not np.ma.is_masked(across[0].data)


def test_empty_days_are_told_from_days_that_came(ask_of, serve, node):
    node.nodata = 404
    ask = ask_of(serve(node).url, end="2019-07-12")
    mirror(ask)
    assert [entry(ask, day=f"2019-07-{d:02d}").state for d in (6, 7, 8, 9, 10)] == [
        "got",
        "got",
        "got",
        "empty",
        "empty",
    ]


def test_a_shortfall_is_recorded_and_the_longer_answer_of_a_later_day_stays(ask_of, serve, node):
    whole = node.stream
    node.stream = whole.slice(endtime=UTCDateTime("2019-07-06T18:00"))
    server = serve(node)
    first = ask_of(server.url, end="2019-07-07", now="2019-07-07T12:00")
    mirror(first)
    assert entry(first).message == "shortfall: 64800.00 of 86400 s"
    node.stream = whole
    mirror(ask_of(server.url, end="2019-07-07", now="2019-07-07T20:00"))
    assert len(bulks(server)) == 1
    second = ask_of(server.url, end="2019-07-07", now="2019-07-08T13:00")
    mirror(second)
    assert (entry(second).message, entry(second).attempts) == ("", 2)

    size = day_file(second).stat().st_size
    node.stream = whole.slice(endtime=UTCDateTime("2019-07-06T01:00"))
    second.landing.ledger.put(entry(second)._replace(message="shortfall: said before"))
    third = ask_of(server.url, end="2019-07-07", now="2019-07-09T14:00")
    mirror(third)
    assert day_file(third).stat().st_size == size
    assert entry(third).message == ""


def test_days_are_asked_for_when_they_are_over(ask_of, serve, node):
    ask = ask_of(serve(node).url, now="2019-07-07T12:00")
    mirror(ask)
    assert entry(ask, day="2019-07-06").state == "got"
    assert entry(ask, day="2019-07-07") is None


def test_requests_that_are_too_large_are_split_by_channel_and_by_time(ask_of, serve, node):
    node.most_seconds = 30_000
    server = serve(node)
    ask = ask_of(server.url, end="2019-07-07")
    mirror(ask)
    # 3 channels, 2 of them, and each whole, in halves and in quarters
    assert len(bulks(server)) == 2 + 3 * 7
    (trace,) = obspy.read(str(day_file(ask))).merge()
    assert trace.stats.npts == 86_400 * RATE
    assert entry(ask).message == ""


def test_a_request_that_is_too_large_however_small_is_denied(ask_of, serve, node):
    node.most_seconds = 1
    ask = ask_of(serve(node).url, end="2019-07-07", channels=Z)
    with pytest.raises(SourceDenied, match="HTTP 413"):
        mirror(ask)
    assert entry(ask).state == "failed"


def test_one_restricted_channel_does_not_keep_back_those_that_are_asked_for_with_it(ask_of, serve, node):
    def answer(request):
        if request.path.endswith("dataselect/1/query") and b"BHN" in request.body:
            return Reply(status=403, body=b"restricted")
        return node(request)

    ask = ask_of(serve(answer).url)
    with pytest.raises(SourceDenied, match="HTTP 403"):
        mirror(ask)
    for day in ("2019-07-06", "2019-07-07"):
        assert [entry(ask, code, day).state for code in (Z, N, E)] == ["got", "failed", "got"]
        assert "restricted" in entry(ask, N, day).message


def test_records_of_other_channels_are_refused_and_the_wanted_ones_kept(ask_of, serve, node):
    alien = noise("XX.EVIL..BHZ", "2019-07-06", 60, RATE)
    from tests.sources.services.servers.fdsn import packed

    node.change = lambda body: packed(obspy.Stream([alien])) + body
    node.stream = node.stream.select(channel="BH[ZN]")
    ask = ask_of(serve(node).url, end="2019-07-07")
    with pytest.raises(SourceDataInvalid, match=r"expected records of .*found some of XX\.EVIL"):
        mirror(ask)
    assert [entry(ask, code).state for code in (Z, N, E)] == ["got", "got", "failed"]
    assert not list(ask.landing.folder.rglob("*EVIL*"))


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"<html>sign in</html>",
        lambda body: body[:-100],
        lambda body: body[:512] + b"\0" * 512 + body[1024:],
    ],
)
def test_what_is_no_whole_miniseed_is_failed_and_asked_for_again(ask_of, serve, node, change):
    node.change = change
    server = serve(node)
    ask = ask_of(server.url, end="2019-07-07")
    with pytest.raises(SourceDataInvalid, match="dataselect/1/query: expected"):
        mirror(ask)
    assert entry(ask).state == "failed"
    assert not list(ask.landing.folder.rglob("*.D.2019.*"))
    node.change = lambda body: body
    mirror(ask)
    assert entry(ask).state == "got"


def test_of_two_services_the_second_fills_what_the_first_has_not(ask_of, serve, node):
    first = Node(inventory=node.inventory, stream=node.stream.select(channel="BHZ"))
    a, b = serve(first), serve(node)
    ask = ask_of(a.url, b.url, end="2019-07-07")
    mirror(ask)
    assert [entry(ask, code).state for code in (Z, N, E)] == ["got", "got", "got"]
    assert [len(lines) for lines in bulks(b)] == [2]


def test_a_day_is_not_empty_while_one_of_two_services_is_down(ask_of, serve, node, Reply):
    empty = Node(inventory=node.inventory)
    down = serve(lambda r: Reply(503) if "dataselect" in r.path else node(r))
    ask = ask_of(serve(empty).url, down.url, end="2019-07-07")
    with pytest.raises(SourceUnavailable, match="HTTP 503"):
        mirror(ask)
    assert entry(ask).state == "failed"


def test_responses_are_asked_for_again_when_an_epoch_changed_or_after_a_month(ask_of, serve, node):
    server = serve(node)

    def responses():
        return sum("level=response" in r.query for r in server.seen)

    first = ask_of(server.url)
    mirror(first)
    files = [p for p in first.landing.folder.rglob("*") if p.is_file()]
    stamps = [p.stat().st_mtime_ns for p in files]
    mirror(ask_of(server.url, now="2019-07-25T00:00"))
    assert responses() == 1
    # the list of channels was asked for again, and not written again: it would make everything be read again
    assert sum("level=channel" in r.query for r in server.seen) == 2
    assert [p.stat().st_mtime_ns for p in files] == stamps
    node.inventory = inventory_of([Z, N, E], rate=RATE, gain=5e8)
    ask = ask_of(server.url, now="2019-07-27T00:00")
    mirror(ask)
    assert responses() == 2
    found = obspy.read_inventory(str(ask.landing.path("stations/CI.CLC.xml")))
    assert found[0][0][0].response.instrument_sensitivity.value == pytest.approx(5e8)
    mirror(ask_of(server.url, now="2019-09-27T00:00"))
    assert responses() == 3


def test_stations_out_of_reach_are_not_asked_for(ask_of, serve, node):
    node.inventory = node.inventory + inventory_of(["CI.FAR..BHZ"], rate=RATE, latitude=45.0)
    server = serve(node)
    mirror(ask_of(server.url))
    assert not any("FAR" in line for lines in bulks(server) for line in lines)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>hello</html>", "17 columns"),
        (b"CI|CLC||BHZ|north|-117|0|0|0|0||1|1|M/S|20|2019-07-01T00:00:00|", "a place"),
        (b"CI|../..||BHZ|35|-117|0|0|0|0||1|1|M/S|20|2019-07-01T00:00:00|", "letters and digits"),
        (b"CI|CLC||BHZ|35|-117|0|0|0|0||1|1|M/S|20|yesterday|", "times of an epoch"),
    ],
)
def test_a_list_of_channels_that_is_none_is_refused(ask_of, serve, Reply, body, message):
    ask = ask_of(serve(lambda _: Reply(body=body)).url)
    with pytest.raises(SourceDataInvalid, match=f"station/1/query: expected .*{message}"):
        mirror(ask)


def test_station_xml_with_entities_is_refused(ask_of, serve, node, Reply):
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><FDSNStationXML>&a;</FDSNStationXML>'
    server = serve(lambda r: Reply(body=bomb) if "level=response" in r.query else node(r))
    ask = ask_of(server.url)
    with pytest.raises(SourceDataInvalid, match="XML without a document type"):
        mirror(ask)
    assert not ask.landing.path("stations/CI.CLC.xml").exists()


CHILD = """
import sys
from tests.sources.services.test_fdsn_waveforms import ask_in, mirror
mirror(ask_in(sys.argv[1], sys.argv[2], start="2019-07-01", end="2019-08-01", now="2019-08-20", channels="CI.CLC..BHZ"))
"""


def test_a_month_that_was_killed_goes_on_where_it_was(tmp_path, serve):
    stream = obspy.Stream([noise(Z, "2019-07-01", 31 * 86_400, 0.2)])
    month = Node(inventory=inventory_of([Z], rate=0.2), stream=stream)

    def slow(request):
        time.sleep(0.03)
        return month(request)

    server = serve(slow)
    killed = 0
    for wanted in (4, 15):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "killed"), server.url], env=os.environ
        )
        deadline = time.monotonic() + 30
        while len(bulks(server)) < wanted and time.monotonic() < deadline and child.poll() is None:
            time.sleep(0.002)
        assert child.poll() is None
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
    assert killed == 2
    options = {"start": "2019-07-01", "end": "2019-08-01", "now": "2019-08-20", "channels": Z}
    ask = ask_in(tmp_path / "killed", server.url, **options)
    assert ask.landing.ledger.counts()["got"] >= 10
    mirror(ask)
    # at most the request in flight was lost each time
    assert 31 <= len(bulks(server)) <= 33
    whole = ask_in(tmp_path / "whole", server.url, **options)
    mirror(whole)
    files = sorted(p.relative_to(ask.landing.folder) for p in ask.landing.folder.rglob("*.D.2019.*"))
    assert len(files) == 31
    for name in files:
        assert (ask.landing.folder / name).read_bytes() == (whole.landing.folder / name).read_bytes()
    assert ask.landing.ledger.pending(e.key for e in whole.landing.ledger.entries()) == []


def test_obspys_own_client_reads_stations_and_bulk_records_of_the_same_node(serve, node):
    client = Client(serve(node).url)
    assert [c.code for c in client.get_stations(network="CI", level="response")[0][0]] == [
        "BHZ",
        "BHN",
        "BHE",
    ]
    start = UTCDateTime("2019-07-06T01:00")
    records = client.get_waveforms_bulk([("CI", "CLC", "--", "BH?", start, start + 60)])
    assert [trace.stats.npts for trace in records] == [120, 120, 120]


def test_restricted_data_come_by_queryauth_and_only_with_the_password(ask_of, serve, node):
    guarded = Digest(node, "reader", "s3cret")
    server = serve(
        lambda r: guarded(r) if r.path.endswith("/queryauth") else
        node(r) if "/station/" in r.path else Reply(403, b"restricted")
    )  # fmt: skip
    ask = ask_of(server.url)
    service = ask.service.model_copy(update={"credential": "EIDA_USER", "credential_scheme": "digest"})

    with pytest.raises(SourceDenied, match="EIDA_USER is not set"):
        mirror(ask._replace(service=service, http=Http(service, backoff_s=0.01)))
    mirror(ask._replace(service=service, http=Http(service, "reader:s3cret", backoff_s=0.01)))
    assert ask.landing.ledger.counts()["got"] >= 6
    assert day_file(ask).is_file()
    assert all("s3cret" not in str(request) for request in server.seen)
