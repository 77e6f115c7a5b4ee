from datetime import date

import numpy as np
import pytest

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid, SourceUnavailable, geonet, pos, tenv3
from tasks.sources.contract import SourceDenied
from tasks.sources.services import Ask, Http, Landing, open_service
from tests.sources.services.servers.gnss import Guarded, Tilde, Tree, faulty
from tests.sources.services.servers.gnss import pos as pos_text
from tests.sources.services.servers.gnss import tenv3 as tenv3_text

READERS = {"ngl": tenv3, "earthscope": pos, "geonet": geonet}
IGS20 = "/gps_timeseries/IGS20/tenv3/IGS20"
ZERO = np.zeros((3, 3))
MOTION = np.arange(9).reshape(3, 3) / 100


@pytest.fixture
def ask_of(tmp_path):
    def ask(
        kind,
        *urls,
        now="2019-07-20T12:00",
        token="",
        start="2019-07-01",
        end="2020-01-01",
        radius_km=150,
        **options,
    ):
        service = Service(
            kind=kind,
            urls=urls,
            requests_per_second=1000,
            timeout_s=1,
            options=options,
            credential="EARTHSCOPE_TOKEN",
        )
        source = SourceConfig(
            name="a", modality="gnss", provider="tenv3", path="gnss/a", latency_days=1,
            options={"radius_km": radius_km}, service=service,
        )  # fmt: skip
        day = date(2019, 1, 1)
        region = Region(
            name="tiny", title="Tiny", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.5,
            start=day, end=date(2020, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=3,
            split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[source],
        )  # fmt: skip
        window = TimeWindow(np.datetime64(start, "ns"), np.datetime64(end, "ns"))
        http = Http(service, token, backoff_s=0.01)
        return Ask(
            source, service, region, window, Landing(tmp_path / "l", "gnss/a"), http, np.datetime64(now, "ns")
        )

    return ask


def mirror(ask):
    open_service(ask.service)(ask)


def read(ask, **options):
    config = ask.config.model_copy(update={"options": {**ask.config.options, **options}})
    return READERS[ask.service.kind].fetch(config, ask.landing.root, ask.region, ask.window).dataset


def asked(server, part):
    return [r.path for r in server.seen if part in r.path]


@pytest.fixture
def ngl():
    return Tree(
        {
            f"{IGS20}/P570.tenv3": tenv3_text("P570", "2019-07-15", MOTION),
            f"{IGS20}/P571.tenv3": tenv3_text("P571", "2019-07-15", ZERO),
            f"{IGS20}/FARR.tenv3": tenv3_text("FARR", "2019-07-15", ZERO, longitude=-100.0),
            "/NGLStationPages/llh.out": "P570 35.667 -118.26 810.9\nP571 36.2 242.5 700\nFARR 35 -100 0\nbroken\n",
        },
        modified="2019-07-18T06:00",
    )


def test_ngl_stations_in_reach_come_with_the_providers_time(ask_of, serve, ngl):
    server = serve(ngl)
    ask = ask_of("ngl", server.url)
    mirror(ask)

    assert sorted(p.name for p in ask.landing.folder.iterdir()) == [
        "P570.tenv3",
        "P571.tenv3",
        "llh.out",
    ]
    data = read(ask, availability="modified_time")
    assert data.station.values.tolist() == ["P570", "P571"]
    np.testing.assert_allclose(data.east.sel(station="P570"), [0, 0.03, 0.06])
    # Last-Modified bounds what was known: the day of the 17th ends at midnight, the file is of 6 o'clock
    assert data.available_time.values[2, 0] == np.datetime64("2019-07-18T06:00")


def test_ngl_asks_a_day_later_and_takes_only_what_was_rewritten(ask_of, serve, ngl):
    server = serve(ngl)
    mirror(ask_of("ngl", server.url))
    n = len(server.seen)
    mirror(ask_of("ngl", server.url, now="2019-07-20T20:00"))
    assert len(server.seen) == n

    ngl.put(f"{IGS20}/P570.tenv3", tenv3_text("P570", "2019-07-15", MOTION * 2), "2019-07-21T06:00")
    ask = ask_of("ngl", server.url, now="2019-07-21T20:00")
    mirror(ask)
    assert len(server.seen) == n + 3
    np.testing.assert_allclose(read(ask).east.sel(station="P570"), [0, 0.06, 0.12])
    assert ask.landing.ledger.get("P571.tenv3").attempts == 2
    assert ask.landing.ledger.get("P571.tenv3").last_modified == "Thu, 18 Jul 2019 06:00:00 GMT"


def test_ngl_paths_are_tried_in_order_and_the_old_one_may_be_gone(ask_of, serve, ngl):
    server = serve(ngl)
    old = "gps_timeseries/tenv3/IGS14/{site}.tenv3"
    ask = ask_of("ngl", server.url, sites="P570,NONE", template=f"{old},{IGS20[1:]}/{{site}}.tenv3")
    mirror(ask)

    assert asked(server, "P570") == ["/gps_timeseries/tenv3/IGS14/P570.tenv3", f"{IGS20}/P570.tenv3"]
    assert [e.state for e in (ask.landing.ledger.get(f"{s}.tenv3") for s in ("P570", "NONE"))] == [
        "got",
        "empty",
    ]
    assert not asked(server, "llh.out")


def test_a_path_that_is_merely_down_is_not_replaced_by_an_older_one(ask_of, serve, Reply, ngl):
    ngl.put("/old/P570.tenv3", tenv3_text("P570", "2010-01-01", ZERO), "2012-01-01T00:00")
    server = serve(lambda r: Reply(503) if "IGS20" in r.path else ngl(r))
    ask = ask_of("ngl", server.url, sites="P570", template=f"{IGS20[1:]}/{{site}}.tenv3,old/{{site}}.tenv3")

    with pytest.raises(SourceUnavailable, match="HTTP 503"):
        mirror(ask)
    assert not asked(server, "/old/")
    assert ask.landing.ledger.pending(["P570.tenv3"]) == ["P570.tenv3"]


@pytest.mark.parametrize("fault", ["429", "503", "truncated", "slow"])
def test_passing_faults_leave_whole_files(ask_of, serve, ngl, fault):
    server = serve(faulty(ngl, {0: fault, 2: fault}, slow_s=1.3))
    ask = ask_of("ngl", server.url, sites="P570,P571")
    mirror(ask)

    assert ask.landing.path("P570.tenv3").read_bytes() == ngl.files[f"{IGS20}/P570.tenv3"][0]
    assert len(ask.landing.ledger.entries("got")) == 2


def test_an_error_page_is_refused_the_old_file_stays_and_the_others_come(ask_of, serve, ngl):
    mirror(ask_of("ngl", serve(ngl).url, sites="P570"))
    ask = ask_of("ngl", serve(faulty(ngl, {0: "html"})).url, sites="P570,P571", now="2019-07-22T00:00")
    with pytest.raises(SourceDataInvalid, match=r"P570\.tenv3: expected a body that begins with"):
        mirror(ask)

    assert read(ask).sizes["station"] == 2
    assert ask.landing.ledger.get("P570.tenv3").state == "failed"

    with pytest.raises(SourceDataInvalid, match="begins with"):
        mirror(ask_of("ngl", serve(faulty(ngl, {0: "html"})).url, sites="FARR"))


def test_a_host_that_is_down_is_given_up_after_three_stations_and_the_next_call_goes_on(
    ask_of, serve, Reply, ngl
):
    sites = "P570,P571,FARR,AAAA,BBBB"
    down = serve(lambda r: ngl(r) if "P570" in r.path else Reply(500))
    with pytest.raises(SourceUnavailable):
        mirror(ask_of("ngl", down.url, sites=sites))
    assert not asked(down, "BBBB")

    server = serve(ngl)
    ask = ask_of("ngl", server.url, sites=sites)
    mirror(ask)
    assert not asked(server, "P570")
    assert len(ask.landing.ledger.entries("got")) == 3


def test_names_of_stations_cannot_leave_their_place(ask_of):
    with pytest.raises(ValueError, match="must list station names"):
        mirror(ask_of("ngl", "http://127.0.0.1:9", sites="../../etc"))


@pytest.fixture
def earthscope():
    moved = pos_text(
        "P570", "2019-07-03", MOTION + 0.06, ["rapid"] * 3, "20190708 060000", shift=(0.3, -0.2, 0.1)
    )
    return Tree(
        {
            "/P570/P570.cwu.final_igs14.pos": pos_text(
                "P570", "2019-07-01", MOTION, ["final"] * 3, "20190726 060000"
            ),
            "/P570/P570.cwu.rapid_igs14.pos": moved,
            "/P570/P570.cwu.nam14.csv": "Date,North (mm),East (mm)\n2019-07-01,1,2",
            "/cwu.final_nam14.vel": "PBO Velocity file\n",
        }
    )


def test_earthscope_brings_rapid_and_final_of_a_moved_reference(ask_of, serve, earthscope):
    server = serve(Guarded(earthscope, {"test": 99}))
    ask = ask_of("earthscope", server.url, token="test", sites="P570,GONE", now="2019-07-27T00:00")
    mirror(ask)

    data = read(ask)
    np.testing.assert_allclose(data.east.values[:, 0], [0, 0.03, 0.06, 0.09, 0.12], atol=1e-4)
    assert data.available_time.values[2, 0] == np.datetime64("2019-07-25")
    assert data.available_time.values[3, 0] == np.datetime64("2019-07-06")
    assert ask.landing.ledger.get("GONE.cwu.final_igs14.pos").state == "empty"


def test_earthscope_csv_and_table_land_as_their_reader_expects(ask_of, serve, earthscope):
    server = serve(Guarded(earthscope, {"test": 99}))
    template = "{site}/{site}.cwu.nam14.csv"
    ask = ask_of(
        "earthscope", server.url, token="test", sites="P570", template=template, tables="cwu.final_nam14.vel"
    )
    mirror(ask)
    assert sorted(p.name for p in ask.landing.folder.iterdir()) == [
        "cwu.final_nam14.vel",
        "position.P570.cwu.nam14.csv",
    ]


@pytest.mark.parametrize(("token", "said"), [("", "is not set"), ("wr0ng", "was refused")])
def test_earthscope_without_a_valid_token_says_so_once(ask_of, serve, earthscope, token, said):
    server = serve(Guarded(earthscope, {"test": 99}))
    ask = ask_of("earthscope", server.url, token=token, sites="P570,P571,P572")
    with pytest.raises(
        SourceDenied, match=rf"HTTP 401 \(the credential in EARTHSCOPE_TOKEN {said}\)"
    ) as caught:
        mirror(ask)
    assert len(server.seen) == 1
    assert "wr0ng" not in f"{caught.value} {ask.landing.ledger.entries()} {ask.http!r}"


def test_earthscope_goes_on_with_a_new_token_where_the_old_one_expired(ask_of, serve, earthscope):
    server = serve(Guarded(earthscope, {"old": 1, "new": 99}))
    with pytest.raises(SourceDenied):
        mirror(ask_of("earthscope", server.url, token="old", sites="P570"))
    ask = ask_of("earthscope", server.url, token="new", sites="P570")
    mirror(ask)
    assert len(asked(server, "final")) == 1
    assert len(ask.landing.ledger.entries("got")) == 2


def days(first, n):
    return [str(d) for d in np.datetime64(first, "D") + np.arange(n)]


@pytest.fixture
def tilde():
    series = {
        ("P570", c): {d: k / 1000 for k, d in enumerate(days("2018-01-01", 730))}
        for c in ("east", "north", "up")
    }
    del series["P570", "north"]["2019-10-05"]
    places = {"P570": (35.667, -118.26), "WGTN": (-41.32, 174.8)}
    return Tilde(series, places, today="2019-12-20")


def test_geonet_joins_history_and_the_last_days(ask_of, serve, tilde):
    server = serve(tilde)
    ask = ask_of("geonet", server.url, now="2019-12-20T06:00", years=1)
    mirror(ask)

    data = read(ask)
    assert data.time.values[0] == np.datetime64("2019-07-01T12:00")
    assert data.time.values[-1] == np.datetime64("2019-12-19T12:00")
    assert np.unique(np.diff(data.time.values)).tolist() == [86_400 * 10**9]
    gaps = data.time.values[np.isnan(data.north.values[:, 0])]
    assert gaps.tolist() == [np.datetime64("2019-10-05T12:00", "ns").astype(int)]
    assert float(data.east[0, 0]) == pytest.approx(0.546)
    assert not asked(server, "WGTN")


def test_geonet_asks_for_a_settled_period_once_and_for_the_open_one_every_day(ask_of, serve, tilde):
    server = serve(tilde)
    for now in ("2019-12-20T06:00", "2019-12-20T18:00", "2019-12-21T07:00"):
        mirror(ask_of("geonet", server.url, now=now, years=1, start="2018-01-01"))
    assert len(asked(server, "/east/2018")) == 1
    assert len(asked(server, "/east/2019")) == len(asked(server, "/east/latest")) == 2
    assert all(r.headers["Accept"] == "text/csv" for r in server.seen if "/data/gnss/" in r.path)


def test_geonet_ledger_tells_empty_from_failed(ask_of, serve, tilde):
    server = serve(faulty(tilde, {1: "empty", 2: "html"}))
    ask = ask_of("geonet", server.url, now="2019-12-20T06:00", years=1)
    with pytest.raises(SourceDataInvalid):
        mirror(ask)
    states = {entry.name or entry.key: entry.state for entry in ask.landing.ledger.entries()}
    assert states["P570.east.2019.csv"] == "empty"
    assert states["P570.east.latest.csv"] == "failed"
    assert "expected a CSV with a column timestamp" in ask.landing.ledger.get("P570.east.latest.csv").message

    mirror(ask)
    assert ask.landing.ledger.get("P570.east.latest.csv").state == "got"
    assert len(asked(server, "/east/2019")) == 1
