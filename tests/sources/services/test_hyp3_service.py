import io
import json
import sqlite3
import zipfile
from contextlib import closing
from datetime import date
from email.utils import formatdate

import numpy as np
import pytest
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid, SourceUnavailable, open_source
from tasks.sources.contract import SourceDenied
from tasks.sources.services import Ask, Http, Landing, open_service

PRODUCT = "S1AA_20190628T135207_20190710T135206_VVP012_INT80_G_ueF_1A2B"
DONE = 1_563_000_000
TOKEN = "a-secret"


def ask_of(tmp_path, url, token=TOKEN, now="2019-07-15", **options):
    service = Service(
        kind="hyp3", urls=(url,), requests_per_second=1000, timeout_s=5, credential="EDL_TOKEN",
        options={"name": "ridgecrest"} | options,
    )  # fmt: skip
    source = SourceConfig(
        name="a064",
        modality="insar",
        provider="hyp3",
        path="insar/a064",
        service=service,
        options={"step_deg": 0.02},
    )
    day = date(2019, 1, 1)
    region = Region(
        name="tiny", title="Tiny", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.5,
        start=day, end=date(2020, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=3,
        split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[source],
    )  # fmt: skip
    window = TimeWindow(np.datetime64("2019-06-20", "ns"), np.datetime64("2020-01-01", "ns"))
    return Ask(
        source, service, region, window, Landing(tmp_path / "landing", source.path),
        Http(service, token, backoff_s=0.001), np.datetime64(now, "ns"),
    )  # fmt: skip


def product_zip(product=PRODUCT):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for key, value in {"unw_phase": -10.0, "corr": 0.8, "lv_theta": 0.89, "lv_phi": -2.97}.items():
            with MemoryFile() as memory:
                with memory.open(
                    driver="GTiff", width=50, height=50, count=1, dtype="float32", crs="EPSG:32611", nodata=0,
                    transform=from_origin(440_000, 3_945_000, 80, 80),
                ) as file:  # fmt: skip
                    file.write(np.full((50, 50), value, np.float32), 1)
                archive.writestr(f"{product}/{product}_{key}.tif", memory.read())
    return packed.getvalue()


def job(
    job_id="1", status="SUCCEEDED", url="/download/one.zip", expires="2019-07-27T00:00:00+00:00", name=PRODUCT
):
    files = [{"filename": f"{name}.zip", "url": url, "size": 1, "s3": {"bucket": "b", "key": "k"}}]
    return {
        "job_id": job_id, "job_type": "INSAR_GAMMA", "status_code": status, "expiration_time": expires,
        "files": files if status == "SUCCEEDED" else [],
    }  # fmt: skip


class Provider:
    """The API and, on another port, the storage that its downloads redirect to."""

    def __init__(self, serve, Reply):
        self.jobs, self.zip, self.fault = [job()], product_zip(), None
        self.Reply = Reply
        self.storage = serve(self.store)
        self.api = serve(self.answer)

    def store(self, _request):
        headers = {"Last-Modified": formatdate(DONE, usegmt=True)}
        return self.fault or self.Reply(body=self.zip, headers=headers)

    def answer(self, request):
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.Reply(401, b'{"detail": "No token provided"}')
        if request.path.startswith("/download/"):
            return self.Reply(302, headers={"Location": f"{self.storage.url}/signed?Signature=abc"})
        page = {"jobs": self.jobs}
        if len(self.jobs) > 2:
            first = "start_token=x" not in request.query
            page = (
                {"jobs": self.jobs[:2], "next": f"{self.api.url}/jobs?start_token=x"}
                if first
                else {"jobs": self.jobs[2:]}
            )
        return self.Reply(body=json.dumps(page).encode())


@pytest.fixture
def provider(serve, Reply):
    return Provider(serve, Reply)


def mirror(ask):
    open_service(ask.service)(ask)


def state(ask, job_id="1"):
    return ask.landing.ledger.get(job_id)


def test_a_job_is_taken_when_it_is_done_and_reads_as_displacement(tmp_path, provider):
    states = []
    for status in ("PENDING", "RUNNING", "SUCCEEDED"):
        provider.jobs = [job(status=status)]
        ask = ask_of(tmp_path, provider.api.url)
        mirror(ask)
        states.append(state(ask).state)
    assert states == ["asked", "asked", "got"]

    data, invalid = open_source("hyp3")(ask.config, ask.landing.root, ask.region, ask.window)
    assert not invalid
    assert float(data.los_displacement.mean()) == pytest.approx(10 * 0.0554658 / (4 * np.pi), rel=1e-5)
    assert data.available_time.values[0] == np.datetime64(DONE, "s")
    assert data.attrs["orbit"] == "ascending"

    before = len(provider.storage.seen)
    mirror(ask_of(tmp_path, provider.api.url))
    assert len(provider.storage.seen) == before


def test_the_token_goes_to_the_api_and_not_to_the_storage(tmp_path, provider):
    mirror(ask_of(tmp_path, provider.api.url))
    assert all(r.headers["Authorization"] == f"Bearer {TOKEN}" for r in provider.api.seen)
    assert provider.storage.seen
    assert not any("Authorization" in r.headers for r in provider.storage.seen)


def test_without_a_token_the_refusal_names_the_variable_and_not_the_token(tmp_path, provider):
    with pytest.raises(SourceDenied, match=r"HTTP 401.*EDL_TOKEN is not set"):
        mirror(ask_of(tmp_path, provider.api.url, token=""))
    with pytest.raises(SourceDenied) as refused:
        mirror(ask_of(tmp_path, provider.api.url, token="stale"))
    assert "was refused" in str(refused.value)
    assert "stale" not in str(refused.value)


def test_failed_and_expired_jobs_are_said_to_be_so_and_the_others_come(tmp_path, provider):
    provider.jobs = [
        job("1", status="FAILED"),
        job("2", expires="2019-07-14T00:00:00+00:00"),
        job("3", name=PRODUCT.replace("1A2B", "3C4D")),
    ]
    ask = ask_of(tmp_path, provider.api.url)
    mirror(ask)
    assert [state(ask, key).state for key in "123"] == ["failed", "failed", "got"]
    assert "ended as FAILED" in state(ask, "1").message
    assert "expired at 2019-07-14T00:00:00Z" in state(ask, "2").message


def test_a_zip_that_is_gone_or_cut_is_failed_and_tried_again(tmp_path, provider, Reply):
    provider.fault = Reply(404)
    ask = ask_of(tmp_path, provider.api.url)
    mirror(ask)
    assert (state(ask).state, state(ask).message) == ("failed", "its zip is gone")

    provider.fault = Reply(body=b"<html>expired</html>")
    with pytest.raises(SourceDataInvalid):
        mirror(ask)
    assert "begins with" in state(ask).message

    provider.fault = Reply(body=provider.zip[:2000])
    with pytest.raises(SourceDataInvalid):
        mirror(ask)
    assert "a whole ZIP archive" in state(ask).message

    provider.fault = None
    mirror(ask)
    assert state(ask).state == "got"
    assert list(ask.landing.folder.glob("*/*_unw_phase.tif"))


def test_a_pull_that_was_killed_while_unpacking_unpacks_again_without_a_second_download(tmp_path, provider):
    ask = ask_of(tmp_path, provider.api.url)
    mirror(ask)
    with closing(sqlite3.connect(ask.landing.ledger.path)) as database, database:
        database.execute("DELETE FROM requests WHERE key = '1/unpacked'")
    phase = next(ask.landing.folder.glob("*/*_unw_phase.tif"))
    phase.unlink()
    before = len(provider.storage.seen)
    mirror(ask)
    assert phase.exists()
    assert len(provider.storage.seen) == before


def test_a_zip_with_paths_that_leave_the_folder_writes_nothing_outside(tmp_path, provider):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../../outside.tif", b"II*\0")
    provider.zip = packed.getvalue()
    ask = ask_of(tmp_path, provider.api.url)
    with pytest.raises(SourceDataInvalid):
        mirror(ask)
    assert state(ask).state == "failed"
    assert not list(tmp_path.rglob("outside.tif"))


@pytest.mark.parametrize("body", [b"[]", b"<html>", b'{"jobs": [{"job_id": 7}]}', b'{"jobs": 1}'])
def test_an_answer_that_is_no_list_of_jobs_is_named(tmp_path, serve, Reply, body):
    server = serve(lambda _r: Reply(body=body))
    with pytest.raises(SourceDataInvalid, match="/jobs: expected a list of HyP3 jobs"):
        mirror(ask_of(tmp_path, server.url))


def test_pages_that_do_not_end_are_left(tmp_path, serve, Reply):
    server = serve(lambda _r: Reply(body=b'{"jobs": [], "next": "/jobs?again"}'))
    with pytest.raises(SourceDataInvalid, match="pages of jobs that end"):
        mirror(ask_of(tmp_path, server.url))
    with pytest.raises(SourceUnavailable):
        mirror(ask_of(tmp_path, serve(lambda _r: Reply(503)).url))
    with pytest.raises(ValueError, match="'name' must be"):
        mirror(ask_of(tmp_path, server.url, name=""))
