import hashlib
import json
from datetime import date
from urllib.parse import parse_qs

import numpy as np
import pytest

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid
from tasks.sources.contract import SourceDenied
from tasks.sources.services import Ask, Http, Landing, open_service

HDF5, TIFF = b"\x89HDF\r\n\x1a\n" + bytes(100), b"II*\0" + bytes(100)
NAMES = [
    f"S1-GUNW-A-R-064-tops-201907{day}_20190628-135206-36003N_34001N-PP-1a2b-v2_0_6" for day in (10, 22, 28)
]
STATIC = "OPERA_L3_DISP-S1-STATIC_F11116_20140403_S1A_v1.0"
TOKEN = "a-secret"


def ask_of(tmp_path, *urls, token=TOKEN, **options):
    service = Service(
        kind="asf", urls=urls, requests_per_second=1000, timeout_s=5, credential="EDL_TOKEN",
        options={"collections": "ARIA_S1_GUNW", "granules": "S1-GUNW-A-R-064-*"} | options,
    )  # fmt: skip
    source = SourceConfig(name="a064", modality="insar", provider="aria", path="insar/a064", service=service)
    day = date(2019, 1, 1)
    region = Region(
        name="tiny", title="Tiny", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.5,
        start=day, end=date(2020, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=3,
        split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[source],
    )  # fmt: skip
    window = TimeWindow(np.datetime64("2019-06-20", "ns"), np.datetime64("2020-01-01", "ns"))
    return Ask(
        source, service, region, window, Landing(tmp_path / "landing", source.path),
        Http(service, token, backoff_s=0.001), np.datetime64("2019-08-15", "ns"),
    )  # fmt: skip


class Archive:
    """The catalogue, two granules a page, the data pool that wants a token, and the storage it redirects to."""

    def __init__(self, serve, Reply):
        self.Reply = Reply
        self.body, self.revised, self.md5 = HDF5, "2019-07-20T10:00:00.123Z", ""
        self.storage = serve(self.store)
        self.pool = serve(self.redirect)
        self.catalogue = serve(self.search)

    @property
    def urls(self):
        return self.catalogue.url, self.pool.url

    def store(self, request):
        return self.Reply(body=TIFF if request.path.endswith(".tif") else self.body)

    def redirect(self, request):
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.Reply(401, b"log in")
        return self.Reply(302, headers={"Location": f"{self.storage.url}{request.path}?Signature=abc"})

    def granule(self, name, suffix):
        file = f"{name}{suffix}"
        urls = [
            {"URL": f"{self.pool.url}/data/{file}", "Type": "GET DATA"},
            {"URL": f"s3://bucket/{file}", "Type": "GET DATA VIA DIRECT ACCESS"},
            {"URL": f"{self.pool.url}/data/{name}.png", "Type": "GET RELATED VISUALIZATION"},
        ]
        archived = {"Name": file}
        if self.md5:
            archived["Checksum"] = {"Value": self.md5, "Algorithm": "MD5"}
        return {
            "meta": {"concept-id": "G1-ASF", "revision-id": 1, "revision-date": self.revised},
            "umm": {
                "GranuleUR": name,
                "RelatedUrls": urls,
                "DataGranule": {"ArchiveAndDistributionInformation": [archived]},
            },
        }

    def search(self, request):
        question = parse_qs(request.query)
        if question["short_name"] == ["STATIC"]:
            return self.page(
                [self.granule(STATIC, "_line_of_sight_enu.tif"), self.granule(STATIC, "_dem.tif")], ""
            )
        items = [self.granule(name, ".nc") for name in [*NAMES, "S1-GUNW-D-R-071-tops-other"]]
        first = "CMR-Search-After" not in request.headers
        return self.page(items[:2], "[1]") if first else self.page(items[2:], "")

    def page(self, items, after):
        headers = {"CMR-Search-After": after} if after else {}
        return self.Reply(body=json.dumps({"hits": 4, "took": 1, "items": items}).encode(), headers=headers)


@pytest.fixture
def archive(serve, Reply):
    return Archive(serve, Reply)


def mirror(ask):
    open_service(ask.service)(ask)
    return sorted(p.name for p in ask.landing.folder.iterdir())


def test_every_granule_of_the_track_lands_with_its_revision_date(tmp_path, archive):
    ask = ask_of(tmp_path, *archive.urls)
    assert mirror(ask) == [f"{name}.nc" for name in NAMES]
    stamp = (ask.landing.folder / f"{NAMES[0]}.nc").stat().st_mtime
    assert np.datetime64(round(stamp * 1000), "ms") == np.datetime64("2019-07-20T10:00:00.123")

    question = parse_qs(archive.catalogue.seen[0].query)
    assert question["bounding_box"] == ["-118,35,-117,36"]
    assert question["temporal"] == ["2019-06-20T00:00:00Z,2020-01-01T00:00:00Z"]
    assert question["readable_granule_name[]"] == ["S1-GUNW-A-R-064-*"]


def test_the_token_goes_to_catalogue_and_pool_and_not_to_the_storage(tmp_path, archive):
    mirror(ask_of(tmp_path, *archive.urls))
    assert all("Authorization" in r.headers for r in archive.pool.seen)
    assert not any("Authorization" in r.headers for r in archive.storage.seen)
    with pytest.raises(SourceDenied, match="EDL_TOKEN is not set"):
        mirror(ask_of(tmp_path / "b", *archive.urls, token=""))


def test_a_second_pull_asks_the_catalogue_only_and_a_revised_granule_comes_again(tmp_path, archive):
    mirror(ask_of(tmp_path, *archive.urls))
    before = len(archive.pool.seen)
    mirror(ask_of(tmp_path, *archive.urls))
    assert len(archive.pool.seen) == before

    archive.revised, archive.body = "2019-08-01T00:00:00Z", HDF5 + b"new"
    ask = ask_of(tmp_path, *archive.urls)
    mirror(ask)
    path = ask.landing.folder / f"{NAMES[0]}.nc"
    assert path.read_bytes().endswith(b"new")
    assert path.stat().st_mtime == np.datetime64("2019-08-01", "s").astype(int)


def test_look_vectors_are_asked_for_without_a_window(tmp_path, archive):
    ask = ask_of(tmp_path, *archive.urls, granules="*", collections="STATIC", static_collections="STATIC")
    assert mirror(ask) == [f"{STATIC}_line_of_sight_enu.tif"]
    assert ["temporal" in parse_qs(r.query) for r in archive.catalogue.seen] == [True, False]


def test_a_checksum_that_differs_is_refused_and_one_that_fits_is_not(tmp_path, archive):
    archive.md5 = hashlib.md5(HDF5).hexdigest().upper()
    assert len(mirror(ask_of(tmp_path / "a", *archive.urls))) == 3
    archive.body = HDF5 + b"x"
    ask = ask_of(tmp_path / "b", *archive.urls)
    with pytest.raises(SourceDataInvalid):
        mirror(ask)
    assert not list(ask.landing.folder.iterdir())
    failed = ask.landing.ledger.entries("failed")
    assert len(failed) == 3
    assert "expected MD5" in failed[0].message


def test_a_login_page_is_no_product(tmp_path, archive):
    archive.body = b"<html>Earthdata Login</html>"
    ask = ask_of(tmp_path, *archive.urls)
    with pytest.raises(SourceDataInvalid):
        mirror(ask)
    assert not list(ask.landing.folder.iterdir())
    assert {entry.state for entry in ask.landing.ledger.entries()} == {"failed"}


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"items": [{"meta": {}}]}',
        b'{"items": [{"umm": 1, "meta": {"revision-date": 3}}]}',
    ],
)
def test_an_answer_that_is_no_list_of_granules_is_named(tmp_path, serve, Reply, body):
    server = serve(lambda _r: Reply(body=body))
    with pytest.raises(SourceDataInvalid, match=r"granules\.umm_json: expected granules in UMM-G"):
        mirror(ask_of(tmp_path, server.url))


def test_a_name_that_leaves_the_folder_stays_inside(tmp_path, serve, archive):
    def search(request):
        reply = archive.search(request)
        return reply._replace(body=reply.body.replace(b"/data/", b"/data/..%2F..%2F"))

    ask = ask_of(tmp_path, serve(search).url, archive.pool.url)
    names = mirror(ask)
    assert not [p for p in tmp_path.rglob("*.nc") if p.parent != ask.landing.folder]
    assert len(names) == 3


def test_a_service_without_a_collection_is_refused(tmp_path, archive):
    with pytest.raises(ValueError, match="'collections' must name"):
        mirror(ask_of(tmp_path, *archive.urls, collections=" , "))


def test_a_refused_token_is_not_tried_on_every_file(tmp_path, archive):
    with pytest.raises(SourceDenied, match="EDL_TOKEN was refused"):
        mirror(ask_of(tmp_path, *archive.urls, token="expired"))
    assert len(archive.pool.seen) == 1
