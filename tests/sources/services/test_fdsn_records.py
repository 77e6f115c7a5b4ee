"""Records around named events: what is asked for, where it lands, what is asked for again, and wrong options."""

import numpy as np
import obspy
import pytest

from tasks.sources import SourceUnavailable, open_source
from tasks.sources.services import Ask, Http, open_service
from tests.sources.services.servers.fdsn import Node, inventory_of, noise
from tests.sources.services.test_fdsn_waveforms import ask_in

CODES = [f"CI.CLC..BH{c}" for c in "ZNE"]
EVENTS = "one=2019-07-06T03:19:53.04, two=2019-07-07T00:00:00+00:00,other_year=2012-01-01"


@pytest.fixture
def node():
    stream = obspy.Stream([noise(code, "2019-07-06T03:00:00.013", 7200) for code in CODES])
    return Node(inventory=inventory_of(CODES), stream=stream)


def ask_of(folder, url, **options) -> Ask:
    ask = ask_in(folder, url, **{"events": EVENTS, **options})
    service = ask.service.model_copy(update={"kind": "fdsn_records"})
    config = ask.config.model_copy(update={"provider": "miniseed", "service": service, "options": {}})
    return ask._replace(service=service, config=config, http=Http(service, backoff_s=0.01))


def mirror(ask):
    open_service(ask.service)(ask)
    return sorted(p.relative_to(ask.landing.folder).as_posix() for p in ask.landing.folder.glob("*/*.mseed"))


def test_a_span_around_each_event_lands_in_a_folder_of_its_own_and_is_read(tmp_path, serve, node):
    server = serve(node)
    ask = ask_of(tmp_path, server.url, before_s=20, after_s=130)

    assert mirror(ask) == [f"one/{code}.mseed" for code in sorted(CODES)]
    trace = obspy.read(str(ask.landing.path(f"one/{CODES[0]}.mseed"))).merge()[0]
    assert trace.stats.npts == 150 * 20
    assert ask.landing.ledger.get(f"{CODES[0]}/one").message == ""
    assert ask.landing.ledger.get(f"{CODES[0]}/two").state == "empty"
    assert ask.landing.ledger.get(f"{CODES[0]}/other_year") is None
    data = open_source("miniseed")(ask.config, ask.landing.root, ask.region, ask.window).dataset
    assert data.sizes["record"] == 3
    assert abs(data.time.values[0] - np.datetime64("2019-07-06T03:19:33")) < np.timedelta64(100, "ms")
    asked = len(server.seen)
    mirror(ask)
    assert len(server.seen) == asked


def test_what_is_short_is_asked_for_again_for_a_week_and_what_is_not_over_waits(tmp_path, serve, node):
    server = serve(node)
    short = node.stream
    node.stream = obspy.Stream([trace.slice(endtime=trace.stats.starttime + 1300) for trace in short])
    soon = {"before_s": 20, "after_s": 130, "events": "one=2019-07-06T03:19:53.04", "delay_hours": 1}
    early = ask_of(tmp_path, server.url, now="2019-07-06T04:00", **soon)
    assert mirror(early) == []
    ask = ask_of(tmp_path, server.url, now="2019-07-06T05:00", **soon)
    mirror(ask)
    assert "shortfall" in ask.landing.ledger.get(f"{CODES[0]}/one").message

    node.stream = short
    mirror(ask_of(tmp_path, server.url, now="2019-07-08T05:00", **soon))
    assert ask.landing.ledger.get(f"{CODES[0]}/one").message == ""
    assert obspy.read(str(ask.landing.path(f"one/{CODES[0]}.mseed"))).merge()[0].stats.npts == 150 * 20


@pytest.mark.parametrize("events", ["", "one", "one=yesterday", "../one=2019-07-06", "=2019-07-06"])
def test_events_that_are_none_are_named(tmp_path, events):
    with pytest.raises(ValueError, match="'events' must list NAME=ORIGIN_TIME"):
        mirror(ask_of(tmp_path, "http://127.0.0.1:9", events=events))


def test_a_service_that_is_down_leaves_the_records_pending(tmp_path, serve, node, Reply):
    server = serve(lambda r: node(r) if "/station/" in r.path else Reply(503))
    ask = ask_of(tmp_path, server.url)
    with pytest.raises(SourceUnavailable):
        mirror(ask)
    assert ask.landing.ledger.get(f"{CODES[0]}/one").state == "failed"
    server.answer = node
    assert len(mirror(ask)) == 3
