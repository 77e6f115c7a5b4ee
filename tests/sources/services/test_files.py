import os
from datetime import date

import numpy as np
import pytest

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid, SourceUnavailable
from tasks.sources.services import Ask, Http, Landing, open_service
from tasks.sources.services.listing import listed_names


def ask_of(tmp_path, path, *urls, now="2020-01-01T00:00", **options):
    service = Service(kind="files", urls=urls, requests_per_second=1000, timeout_s=5, options=options)
    source = SourceConfig(name="a", modality="static", provider="raster", path=path, service=service)
    day = date(2019, 1, 1)
    split = Split(**dict.fromkeys(Split.model_fields, day))
    region = Region(
        name="tiny", title="Tiny", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.5,
        start=day, end=date(2020, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=3, split=split,
        sources=[source],
    )  # fmt: skip
    http = Http(service, backoff_s=0.01)
    landing = Landing(tmp_path / "landing", path)
    window = TimeWindow(np.datetime64("2019-01-01", "ns"), np.datetime64("2020-01-01", "ns"))
    return Ask(source, service, region, window, landing, http, np.datetime64(now, "ns"))


@pytest.fixture
def published(tmp_path):
    root = tmp_path / "published"
    for name in ("1981.catalog.xz", "1982.catalog.xz", "notes.txt", "deep/a b/1983.catalog.xz"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
        os.utime(root / name, (1e9, 1e9))
    return root


def mirror(ask):
    open_service(ask.service)(ask)
    return sorted(
        p.relative_to(ask.landing.folder).as_posix() for p in ask.landing.folder.rglob("*") if p.is_file()
    )


def test_a_tree_of_files_lands_as_it_is_published(tmp_path, published, serve_folder):
    server = serve_folder(published)
    ask = ask_of(tmp_path, "catalogs/scedc", server.url, patterns="*.catalog.xz")

    assert mirror(ask) == ["1981.catalog.xz", "1982.catalog.xz", "deep/a b/1983.catalog.xz"]
    assert (ask.landing.folder / "deep/a b/1983.catalog.xz").stat().st_mtime == 1e9


def test_the_same_hour_asks_nothing_again_and_the_next_day_brings_only_what_changed(
    tmp_path, published, serve_folder
):
    server = serve_folder(published)
    mirror(ask_of(tmp_path, "c", server.url))
    before = len(server.seen)
    mirror(ask_of(tmp_path, "c", server.url))
    files = [r.path for r in server.seen[before:] if "." in r.path]
    assert files == []

    (published / "1982.catalog.xz").write_bytes(b"revised")
    before = len(server.seen)
    ask = ask_of(tmp_path, "c", server.url, now="2020-01-03T00:00")
    mirror(ask)
    assert (ask.landing.folder / "1982.catalog.xz").read_bytes() == b"revised"
    assert ask.landing.ledger.get("1981.catalog.xz").attempts == 2
    assert (ask.landing.folder / "1981.catalog.xz").read_bytes() == b"1981.catalog.xz"


def test_a_single_file_comes_from_the_first_mirror_that_has_it(
    tmp_path, published, serve_folder, serve, Reply
):
    down, whole = serve(lambda _r: Reply(500)), serve_folder(published)
    ask = ask_of(tmp_path, "static/notes.txt", f"{down.url}/notes.txt", f"{whole.url}/notes.txt")

    assert mirror(ask) == ["notes.txt"]
    with pytest.raises(SourceUnavailable):
        mirror(ask_of(tmp_path / "b", "static/notes.txt", f"{down.url}/notes.txt"))


def test_links_that_are_no_entries_are_left_alone():
    page = """<a href="../">up</a><a href="?C=M">m</a><a href="/other/x">x</a><a href="http://b/y">y</a>
    <a href="a%20b.tif">a</a><a href="sub/">s</a><a href="/d/c.tif">c</a><a href="sub/deep.tif">no</a><a>z</a>"""
    assert listed_names(page, "http://a/d/") == ["a b.tif", "c.tif", "sub/"]


def test_files_of_a_provider_without_a_listing_are_named(tmp_path, published, serve_folder, serve, Reply):
    hidden = serve_folder(published).answer
    server = serve(lambda request: Reply(404) if request.path.endswith("/") else hidden(request))

    assert mirror(ask_of(tmp_path, "c", server.url, names="notes.txt, 1981.catalog.xz")) == [
        "1981.catalog.xz",
        "notes.txt",
    ]
    with pytest.raises(SourceUnavailable, match=r"expected 1990\.catalog, found nothing"):
        mirror(ask_of(tmp_path / "b", "c", server.url, names="1990.catalog"))
    with pytest.raises(SourceUnavailable, match="expected a directory"):
        mirror(ask_of(tmp_path / "c", "c", server.url))


def test_an_error_page_with_status_200_is_no_file_and_does_not_keep_the_others_back(
    tmp_path, published, serve_folder, serve, Reply
):
    whole = serve_folder(published).answer
    page = Reply(body=b"<!DOCTYPE html><html>maintenance</html>")
    server = serve(lambda request: page if "1981" in request.path else whole(request))
    ask = ask_of(tmp_path, "c", server.url, patterns="*.catalog.xz")

    with pytest.raises(SourceDataInvalid, match="1981"):
        mirror(ask)
    assert {p.name for p in ask.landing.folder.rglob("*.xz")} == {"1982.catalog.xz", "1983.catalog.xz"}
    assert ask.landing.ledger.get("1981.catalog.xz").state == "failed"
