"""FDSN event against a node on the loopback: months, splits, revisions, withdrawals, and resumption."""

from datetime import date

import numpy as np
import pytest
from obspy.clients.fdsn import Client

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid, SourceUnavailable, open_source
from tasks.sources.services import Ask, Http, Landing, open_service
from tests.sources.services.servers.fdsn import Node, Quake

FIRST = Quake("ci1", "2019-07-04T17:33:49", 6.4, "2019-07-04T17:40:00")
SECOND = Quake("ci2", "2019-07-06T03:19:53", 7.1, "2019-07-06T03:25:00")
OLD = Quake("ci0", "2019-06-02T01:00:00", 3.1, "2019-06-02T01:05:00")


@pytest.fixture
def ask_of(tmp_path):
    def ask(*urls, now="2019-07-08T00:00", start="2019-06-01", provider="comcat", **options):
        service = Service(
            kind="fdsn_event", urls=urls, requests_per_second=1000, timeout_s=2, options=options
        )
        source = SourceConfig(
            name="c", modality="catalog", provider=provider, path="catalogs/c", service=service,
            options={"availability": "updated"} if provider == "comcat" else {},
        )  # fmt: skip
        day = date(2019, 1, 1)
        region = Region(
            name="tiny", title="Tiny", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.5,
            start=day, end=date(2020, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=2.5,
            split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[source],
        )  # fmt: skip
        moment = np.datetime64(now, "ns")
        window = TimeWindow(np.datetime64(start, "ns"), moment)
        landing = Landing(tmp_path / "landing", source.path)
        return Ask(source, service, region, window, landing, Http(service, backoff_s=0.01), moment)

    return ask


def mirror(ask):
    open_service(ask.service)(ask)


def versions(ask):
    data = open_source(ask.config.provider)(ask.config, ask.landing.root, ask.region, ask.window)
    assert not data.invalid, data.invalid
    events = data.dataset
    return [
        (str(i), float(m), str(t), str(a.astype("datetime64[s]")))
        for i, m, t, a in zip(
            events.event_id.values,
            events.magnitude.values,
            events.event_type.values,
            events.available_time.values,
            strict=True,
        )
    ]


def asked(server, method="query"):
    return [request.query for request in server.seen if request.path.endswith(f"/event/1/{method}")]


@pytest.mark.parametrize("provider", ["comcat", "quakeml"])
def test_events_land_by_month_and_are_not_asked_for_again_within_a_day(ask_of, serve, provider):
    server = serve(Node(quakes=[OLD, FIRST, SECOND]))
    ask = ask_of(server.url, provider=provider)
    mirror(ask)

    assert versions(ask) == [
        ("ci0", 3.1, "earthquake", "2019-06-02T01:05:00"),
        ("ci1", 6.4, "earthquake", "2019-07-04T17:40:00"),
        ("ci2", 7.1, "earthquake", "2019-07-06T03:25:00"),
    ]
    assert ask.landing.ledger.get("2019-07-01T00:00:00/2019-08-01T00:00:00").state == "got"
    n = len(server.seen)
    mirror(ask_of(server.url, provider=provider, now="2019-07-08T20:00"))
    assert len(server.seen) == n


@pytest.mark.parametrize("provider", ["comcat", "quakeml"])
def test_a_revised_and_a_new_event_become_versions_beside_the_first(ask_of, serve, provider):
    node = Node(quakes=[OLD, FIRST])
    server = serve(node)
    mirror(ask_of(server.url, provider=provider, now="2019-07-05T00:00"))
    node.revise("ci1", magnitude=6.5, updated="2019-07-06T10:00:00")
    node.quakes.append(SECOND)
    later = ask_of(server.url, provider=provider)
    mirror(later)

    assert versions(later)[1:] == [
        ("ci1", 6.4, "earthquake", "2019-07-04T17:40:00"),
        ("ci1", 6.5, "earthquake", "2019-07-06T10:00:00"),
        ("ci2", 7.1, "earthquake", "2019-07-06T03:25:00"),
    ]
    # what did not change did not land again
    again = ask_of(server.url, provider=provider, now="2019-07-09T12:00")
    files = sorted(p.name for p in again.landing.folder.iterdir())
    mirror(again)
    assert sorted(p.name for p in again.landing.folder.iterdir()) == files


@pytest.mark.parametrize(
    ("provider", "known"), [("comcat", "2019-07-07T05:00:00"), ("quakeml", "2019-07-08T00:00:00")]
)
def test_a_deleted_event_is_withdrawn_from_then_on_and_once(ask_of, serve, provider, known):
    node = Node(quakes=[OLD, FIRST, SECOND])
    server = serve(node)
    mirror(ask_of(server.url, provider=provider, now="2019-07-07T00:00"))
    node.revise("ci2", is_deleted=True, updated="2019-07-07T05:00:00")
    for now in ("2019-07-08T00:00", "2019-07-09T12:00"):
        later = ask_of(server.url, provider=provider, now=now)
        mirror(later)

    # ComCat says when it deleted; elsewhere the event was seen to be gone
    assert versions(later)[2:] == [
        ("ci2", 7.1, "earthquake", "2019-07-06T03:25:00"),
        ("ci2", 7.1, "other", known),
    ]


@pytest.mark.parametrize("provider", ["comcat", "quakeml"])
def test_an_id_that_vanished_is_withdrawn_and_shown_again_when_it_is_back(ask_of, serve, provider):
    node = Node(quakes=[OLD, FIRST, SECOND])
    server = serve(node)
    mirror(ask_of(server.url, provider=provider, now="2019-07-07T00:00"))
    node.quakes.remove(SECOND)
    mirror(ask_of(server.url, provider=provider, now="2019-07-08T01:00"))
    node.quakes.append(SECOND)
    ask = ask_of(server.url, provider=provider, now="2019-07-09T02:00")
    mirror(ask)

    assert versions(ask)[2:] == [
        ("ci2", 7.1, "earthquake", "2019-07-06T03:25:00"),
        ("ci2", 7.1, "other", "2019-07-08T01:00:00"),
        ("ci2", 7.1, "earthquake", "2019-07-09T02:00:00"),
    ]


def test_an_event_that_moved_out_of_the_query_is_no_withdrawal(ask_of, serve):
    node = Node(quakes=[OLD, FIRST, SECOND])
    server = serve(node)
    mirror(ask_of(server.url, now="2019-07-07T00:00"))
    node.revise("ci2", magnitude=1.2, updated="2019-07-07T05:00:00")
    ask = ask_of(server.url)
    mirror(ask)
    assert versions(ask)[2:] == [
        ("ci2", 7.1, "earthquake", "2019-07-06T03:25:00"),
        ("ci2", 1.2, "earthquake", "2019-07-07T05:00:00"),
    ]
    mirror(ask_of(server.url, now="2019-07-09T12:00"))
    assert sum("eventid=ci2" in query for query in asked(server)) == 1


def test_a_revision_of_an_old_event_comes_by_updatedafter(ask_of, serve):
    node = Node(quakes=[OLD, FIRST])
    server = serve(node)
    mirror(ask_of(server.url, now="2019-09-05T00:00"))
    node.revise("ci0", magnitude=3.4, updated="2019-09-06T00:00:00")
    ask = ask_of(server.url, now="2019-09-07T00:00")
    mirror(ask)
    assert versions(ask)[:2] == [
        ("ci0", 3.1, "earthquake", "2019-06-02T01:05:00"),
        ("ci0", 3.4, "earthquake", "2019-09-06T00:00:00"),
    ]
    # the settled month itself was asked for once
    assert (
        sum("starttime=2019-06-01T00%3A00%3A00" in q and "updatedafter" not in q for q in asked(server)) == 1
    )


@pytest.mark.parametrize("has_count", [True, False])
@pytest.mark.parametrize("provider", ["comcat", "quakeml"])
def test_a_month_above_the_limit_is_split_by_halves(ask_of, serve, provider, has_count):
    quakes = [
        Quake(f"ci{k}", f"2019-06-{1 + k // 3:02d}T{k % 3 * 8:02d}:00:00", 3.0, "2019-07-01T00:00:00")
        for k in range(60)
    ]
    server = serve(Node(quakes=quakes, limit=10, has_count=has_count))
    ask = ask_of(server.url, provider=provider, limit=10)
    mirror(ask)
    assert [v[0] for v in versions(ask)] == [q.event_id for q in quakes]
    n = len(server.seen)
    mirror(ask)
    assert len(server.seen) == n


def test_a_server_that_cuts_at_its_limit_in_silence_is_noticed(ask_of, serve):
    node = Node(
        quakes=[
            Quake(f"ci{k}", f"2019-06-{k + 1:02d}T00:00:00", 3.0, "2019-07-01T00:00:00") for k in range(25)
        ]
    )

    def cut(request):
        reply = node(request)
        lines = reply.body.splitlines(keepends=True)
        return reply._replace(body=b"".join(lines[:9]))

    ask = ask_of(serve(cut).url, limit=8, count=False)
    mirror(ask)
    assert len(versions(ask)) == 25


def test_months_that_came_stay_when_a_later_one_fails_and_the_next_pull_goes_on_there(ask_of, serve, Reply):
    node = Node(quakes=[OLD, FIRST, SECOND])
    down = [True]

    def answer(request):
        return Reply(503) if down[0] and "starttime=2019-07" in request.query else node(request)

    server = serve(answer)
    ask = ask_of(server.url)
    with pytest.raises(SourceUnavailable, match="HTTP 503"):
        mirror(ask)
    assert ask.landing.ledger.counts() == {"empty": 1, "failed": 1, "got": 1}
    down[0] = False
    n = len(server.seen)
    mirror(ask)
    assert all("starttime=2019-07" in r.query for r in server.seen[n:])
    assert len(versions(ask)) == 3


@pytest.mark.parametrize(
    "body", [b"<html>down for maintenance</html>", b'{"type":"FeatureCollection"}', b"\xff\xfe"]
)
@pytest.mark.parametrize("provider", ["comcat", "quakeml"])
def test_another_format_with_status_200_is_refused(ask_of, serve, Reply, provider, body):
    ask = ask_of(serve(lambda _: Reply(body=body)).url, provider=provider, count=False)
    with pytest.raises(SourceDataInvalid, match="fdsnws/event/1/query: expected"):
        mirror(ask)
    assert not list(ask.landing.folder.glob("*"))


def test_an_answer_that_lost_the_catalog_is_a_fault_and_withdraws_nothing(ask_of, serve):
    node = Node(
        quakes=[Quake(f"ci{k}", f"2019-07-{1 + k}T00:00:00", 3.0, "2019-07-07T00:00:00") for k in range(7)]
    )
    server = serve(node)
    mirror(ask_of(server.url, most_withdrawn=5))
    node.quakes = []
    ask = ask_of(server.url, now="2019-07-10T00:00", most_withdrawn=5)
    with pytest.raises(SourceUnavailable, match="7 events that it gave before are missing"):
        mirror(ask)
    assert len(versions(ask)) == 7


def test_a_mirror_answers_where_the_first_service_is_down(ask_of, serve, Reply):
    down = serve(lambda _: Reply(503))
    ask = ask_of(down.url, serve(Node(quakes=[FIRST])).url)
    mirror(ask)
    assert len(versions(ask)) == 1


def test_obspys_own_client_reads_the_same_node(serve):
    server = serve(Node(quakes=[OLD, FIRST, SECOND]))
    client = Client(server.url)
    assert set(client.services) >= {"event", "station", "dataselect"}
    events = client.get_events(starttime="2019-07-01", endtime="2019-08-01")
    assert [event.magnitudes[0].mag for event in events] == [6.4, 7.1]


def test_another_smallest_magnitude_asks_every_month_anew_and_withdraws_nothing(ask_of, serve):
    small = Quake("ci5", "2019-06-12T01:00:00", 2.1, "2019-06-12T01:05:00")
    node = Node(quakes=[OLD, small, FIRST])
    server = serve(node)
    mirror(ask_of(server.url, now="2019-09-20T00:00", min_magnitude=3.0))
    lower = ask_of(server.url, now="2019-09-25T00:00", min_magnitude=2.0)
    mirror(lower)
    assert [row[0] for row in versions(lower)] == ["ci0", "ci5", "ci1"]
    n = len(server.seen)
    mirror(ask_of(server.url, now="2019-09-25T05:00", min_magnitude=2.0))
    assert len(server.seen) == n

    higher = ask_of(server.url, now="2019-09-30T00:00", min_magnitude=3.0)
    mirror(higher)
    # What is no more asked for is not missing, and what is asked for and vanishes still is.
    assert [row[0] for row in versions(higher)] == ["ci0", "ci5", "ci1"]
    node.quakes.remove(OLD)
    later = ask_of(server.url, now="2019-10-02T00:00", min_magnitude=3.0, revisit_days=150)
    mirror(later)
    assert [row for row in versions(later) if row[2] == "other"] == [
        ("ci0", 3.1, "other", "2019-10-02T00:00:00")
    ]
