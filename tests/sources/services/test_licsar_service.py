import os
from datetime import date

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid, SourceUnavailable, open_source
from tasks.sources.services import Ask, Http, Landing, open_service

FRAME = "064A_05410_131313"
PAIRS = ("20190604_20190616", "20190616_20190628", "20190628_20190710")
PUBLISHED = 1_565_000_000
LOOK = {"E": -0.62, "N": -0.11, "U": float(np.sqrt(1 - 0.62**2 - 0.11**2))}


def ask_of(tmp_path, *urls, now="2019-09-01", timeout_s=5.0, **options):
    service = Service(
        kind="licsar",
        urls=urls,
        requests_per_second=1000,
        timeout_s=timeout_s,
        options={"frame": FRAME} | options,
    )
    source = SourceConfig(
        name="a064", modality="insar", provider="licsar", path="insar/a064", service=service
    )
    day = date(2019, 1, 1)
    region = Region(
        name="tiny", title="Tiny", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.5,
        start=day, end=date(2020, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=3,
        split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[source],
    )  # fmt: skip
    window = TimeWindow(np.datetime64("2019-06-20", "ns"), np.datetime64("2020-01-01", "ns"))
    return Ask(
        source, service, region, window, Landing(tmp_path / "landing", source.path), Http(service, backoff_s=0.001),
        np.datetime64(now, "ns"),
    )  # fmt: skip


def put(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", width=64, height=64, count=1, dtype=values.dtype, crs="EPSG:4326",
        transform=from_origin(-117.8, 35.8, 0.001, 0.001),
    ) as file:  # fmt: skip
        file.write(values, 1)
    os.utime(path, (PUBLISHED, PUBLISHED))


def publish(root, pairs, without=()):
    """Write a server's copy of the frame: all metadata, and of each pair phase and coherence."""
    frame = root / "64" / FRAME
    for letter, value in LOOK.items():
        put(frame / f"metadata/{FRAME}.geo.{letter}.tif", np.full((64, 64), value, np.float32))
    (frame / "metadata/metadata.txt").write_text("center_time=13:52:07\n")
    for pair in pairs:
        folder = frame / "interferograms" / pair
        put(folder / f"{pair}.geo.cc.tif", np.full((64, 64), 200, np.uint8))
        if pair not in without:
            put(folder / f"{pair}.geo.unw.tif", np.full((64, 64), -10, np.float32))
    return frame


def mirror(ask):
    open_service(ask.service)(ask)


def landed(ask):
    folder = ask.landing.folder / "interferograms"
    return sorted(p.name for p in folder.rglob("*.tif"))


@pytest.fixture
def three(tmp_path, serve, serve_folder, Reply):
    """Return a server with one pair, one without the frame, and one with all pairs."""
    publish(tmp_path / "few", PAIRS[1:2])
    publish(tmp_path / "all", PAIRS)
    return serve_folder(tmp_path / "few"), serve(lambda _r: Reply(404)), serve_folder(tmp_path / "all")


def test_a_frame_spread_over_servers_lands_once_and_reads_as_displacement(tmp_path, three):
    ask = ask_of(tmp_path, *(server.url for server in three))
    mirror(ask)

    assert landed(ask) == [f"{pair}.geo.{kind}.tif" for pair in PAIRS[1:] for kind in ("cc", "unw")]
    few, _, whole = three
    asked = [r.path for server in (few, whole) for r in server.seen if r.path.endswith("unw.tif")]
    assert len(asked) == 2
    assert any(PAIRS[1] in r.path for r in few.seen)
    # the first pair ends before the window
    assert not any(PAIRS[0] in r.path for r in whole.seen)

    data, invalid = open_source("licsar")(ask.config, ask.landing.root, ask.region, ask.window)
    assert not invalid
    assert data.sizes["time"] == 2
    assert float(data.los_displacement.mean()) == pytest.approx(10 * 0.0554658 / (4 * np.pi), rel=1e-5)
    assert (data.available_time.values == np.datetime64(PUBLISHED, "s")).all()


def test_a_slow_server_is_passed_over(tmp_path, three, serve, Reply):
    import time

    def slow(_request):
        time.sleep(0.6)
        return Reply(404)

    ask = ask_of(tmp_path, serve(slow).url, three[2].url, timeout_s=0.1)
    mirror(ask)
    assert len(landed(ask)) == 4


def test_a_server_that_fails_in_the_middle_is_followed_by_the_next(tmp_path, serve, three, Reply):
    whole = three[2]

    def broken(request):
        reply = whole.answer(request)
        return (
            reply._replace(body=reply.body[:50], announced=len(reply.body))
            if "unw" in request.path
            else reply
        )

    ask = ask_of(tmp_path, serve(broken).url, whole.url)
    mirror(ask)
    assert len(landed(ask)) == 4
    assert ask.landing.ledger.get(f"{FRAME}/{PAIRS[2]}/unw").state == "got"


def test_a_folder_that_one_server_does_not_show_comes_from_the_other_or_stays_open(
    tmp_path, serve, three, Reply
):
    few, _, whole = three

    def dark(request):
        return Reply(503) if request.path.endswith(f"{PAIRS[1]}/") else whole.answer(request)

    ask = ask_of(tmp_path / "a", serve(dark).url, few.url)
    mirror(ask)
    assert len(landed(ask)) == 4

    ask = ask_of(tmp_path / "b", serve(dark).url)
    with pytest.raises(SourceUnavailable, match="HTTP 503"):
        mirror(ask)
    assert landed(ask) == [f"{PAIRS[2]}.geo.{kind}.tif" for kind in ("cc", "unw")]
    assert ask.landing.ledger.get(f"{FRAME}/{PAIRS[1]}/unw") is None


def test_an_error_page_is_no_geotiff_and_the_other_pairs_come(tmp_path, serve, three, Reply):
    whole = three[2]

    def page(request):
        return (
            Reply(body=b"<html>busy</html>")
            if f"{PAIRS[1]}.geo.unw" in request.path
            else whole.answer(request)
        )

    ask = ask_of(tmp_path, serve(page).url)
    with pytest.raises(SourceDataInvalid):
        mirror(ask)
    assert f"{PAIRS[1]}.geo.unw.tif" not in landed(ask)
    assert f"{PAIRS[2]}.geo.unw.tif" in landed(ask)
    entry = ask.landing.ledger.get(f"{FRAME}/{PAIRS[1]}/unw")
    assert entry.state == "failed"
    assert "html" in entry.message


def test_a_pair_without_phase_is_settled_and_asked_again_only_while_it_is_young(tmp_path, serve_folder):
    root = tmp_path / "all"
    publish(root, PAIRS, without=PAIRS[2:])
    server = serve_folder(root)

    def asks(now):
        before = len(server.seen)
        ask = ask_of(tmp_path, server.url, now=now)
        mirror(ask)
        entry = ask.landing.ledger.get(f"{FRAME}/{PAIRS[2]}/unw")
        return entry.state, sum(PAIRS[2] in r.path for r in server.seen[before:])

    assert asks("2019-08-01T00:00") == ("empty", 2)
    assert asks("2019-08-01T12:00") == ("empty", 0)
    publish(root, PAIRS)
    assert asks("2019-08-03T00:00")[0] == "got"
    assert asks("2020-08-01T00:00") == ("got", 0)


def test_a_pair_that_was_made_anew_is_brought_again_and_an_unchanged_one_is_not(tmp_path, serve_folder):
    root = tmp_path / "all"
    frame = publish(root, PAIRS)
    server = serve_folder(root)
    mirror(ask_of(tmp_path, server.url, now="2019-08-01"))
    path = frame / f"interferograms/{PAIRS[2]}/{PAIRS[2]}.geo.unw.tif"
    put(path, np.full((64, 64), -20, np.float32))
    os.utime(path, (PUBLISHED + 1000,) * 2)
    ask = ask_of(tmp_path, server.url, now="2019-08-03")
    before = {
        key: ask.landing.ledger.get(f"{FRAME}/{pair}/unw") for key, pair in zip("ab", PAIRS[1:], strict=True)
    }
    mirror(ask)
    after = {
        key: ask.landing.ledger.get(f"{FRAME}/{pair}/unw") for key, pair in zip("ab", PAIRS[1:], strict=True)
    }
    assert after["a"].retrieved_at == before["a"].retrieved_at
    assert after["b"].sha256 != before["b"].sha256
    assert (
        ask.landing.folder / f"interferograms/{PAIRS[2]}/{PAIRS[2]}.geo.unw.tif"
    ).stat().st_mtime == PUBLISHED + 1000


def test_servers_that_are_all_down_or_lack_the_frame_are_told_apart(tmp_path, serve, Reply):
    down, other = serve(lambda _r: Reply(503)), serve(lambda _r: Reply(404))
    with pytest.raises(SourceUnavailable, match="HTTP 503"):
        mirror(ask_of(tmp_path, down.url, other.url))
    with pytest.raises(SourceUnavailable, match="on none of the servers"):
        mirror(ask_of(tmp_path, other.url))
    with pytest.raises(ValueError, match="'frame' must be like"):
        mirror(ask_of(tmp_path, other.url, frame="../../etc"))


def test_a_stopped_pull_goes_on_where_it_was(tmp_path, serve, three, Reply):
    whole, left = three[2], [3]

    def stops(request):
        if request.path.endswith(".tif") and "/interferograms/" in request.path:
            left[0] -= 1
            return Reply(403) if left[0] < 0 else whole.answer(request)
        return whole.answer(request)

    first = ask_of(tmp_path, serve(stops).url)
    with pytest.raises(SourceUnavailable):
        mirror(first)
    assert len(landed(first)) == 3
    before = len(whole.seen)
    second = ask_of(tmp_path, whole.url)
    mirror(second)
    assert len(landed(second)) == 4
    assert sum(r.path.endswith(".tif") and PAIRS[1] in r.path for r in whole.seen[before:]) == 0


def test_no_pair_is_settled_while_a_server_that_may_have_it_is_down(tmp_path, serve, serve_folder, Reply):
    full, few = tmp_path / "full", tmp_path / "few"
    publish(full, PAIRS)
    publish(few, PAIRS, without=PAIRS)  # coherence alone
    is_down = True
    whole = serve_folder(full).answer
    main = serve(lambda request: Reply(status=503) if is_down else whole(request))
    ask = ask_of(tmp_path, main.url, serve_folder(few).url, now="2020-06-01")
    with pytest.raises(SourceUnavailable, match="HTTP 503"):
        mirror(ask)
    assert not any(entry.state == "empty" for entry in ask.landing.ledger.entries())
    is_down = False
    mirror(ask)
    assert all(f"{pair}.geo.unw.tif" in landed(ask) for pair in PAIRS[1:]), "the first ends before the window"
