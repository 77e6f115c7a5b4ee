import multiprocessing
import os
import signal
import zipfile
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.regions import Service
from tasks.sources import SourceDataInvalid, SourceUnavailable
from tasks.sources.services import Http, Landing


@pytest.fixture
def landing(tmp_path):
    return Landing(tmp_path / "landing", "gnss/daily")


def http_for(url):
    return Http(Service(kind="files", urls=(url,), requests_per_second=1000, timeout_s=5), backoff_s=0.01)


def test_a_payload_lands_whole_with_the_providers_time_and_is_not_asked_for_twice(serve, Reply, landing):
    modified = formatdate(1_600_000_000, usegmt=True)
    server = serve(lambda _r: Reply(body=b"positions", headers={"Last-Modified": modified, "ETag": '"7"'}))
    http = http_for(server.url)

    first = landing.download(http, "P570", server.url + "/P570", "P570.tenv3")
    again = landing.download(http, "P570", server.url + "/P570", "P570.tenv3")

    target = landing.root / "gnss/daily/P570.tenv3"
    assert target.read_bytes() == b"positions"
    assert target.stat().st_mtime == 1_600_000_000
    assert (first.state, first.size, first.etag, first.attempts) == ("got", 9, '"7"', 1)
    assert again == first
    assert len(server.seen) == 1
    assert sorted(p.name for p in target.parent.iterdir()) == ["P570.tenv3"]


def test_a_refresh_asks_whether_the_version_is_still_the_same(serve, Reply, landing):
    versions = iter(
        [Reply(body=b"one", headers={"ETag": '"1"'}), Reply(304), Reply(body=b"two", headers={"ETag": '"2"'})]
    )
    server = serve(lambda _r: next(versions))
    http = http_for(server.url)

    entries = [landing.download(http, "k", server.url, "f", refresh=True) for _ in range(3)]

    assert [r.headers.get("If-None-Match") for r in server.seen] == [None, '"1"', '"1"']
    assert entries[0].sha256 == entries[1].sha256 != entries[2].sha256
    assert landing.path("f").read_bytes() == b"two"


def test_what_is_empty_is_settled_and_what_failed_is_pending(serve, Reply, landing):
    empty, down = serve(lambda _r: Reply(404)), serve(lambda _r: Reply(500))

    landing.download(http_for(empty.url), "a", empty.url, "a")
    with pytest.raises(SourceUnavailable):
        landing.download(http_for(down.url), "b", down.url, "b")

    assert landing.ledger.pending(["a", "b", "c"]) == ["b", "c"]
    assert "HTTP 500" in landing.ledger.get("b").message
    assert not list(landing.folder.iterdir())


def test_a_wrong_checksum_and_an_error_page_leave_what_was_there(serve, Reply, landing):
    server = serve(lambda _r: Reply(body=b"<html>maintenance"))
    landing.put("k", "f", b"GOOD data")

    with pytest.raises(SourceDataInvalid, match="begins with"):
        landing.download(http_for(server.url), "k", server.url, "f", magic=[b"GOOD"], refresh=True)
    with pytest.raises(SourceDataInvalid, match="found a web page"):
        landing.download(http_for(server.url), "k", server.url, "f", refresh=True)
    other = serve(lambda _r: Reply(body=b"GOOD but another"))
    with pytest.raises(SourceDataInvalid, match="SHA-256"):
        landing.download(http_for(other.url), "k", other.url, "f", sha256="00", refresh=True)
    assert landing.path("f").read_bytes() == b"GOOD data"
    assert landing.ledger.get("k").state == "failed"


def test_a_payload_is_checked_before_it_counts_and_takes_its_place(serve, Reply, landing):
    server = serve(lambda _r: Reply(body=b"new"))
    http = http_for(server.url)
    landing.download(http, "k", server.url, "f", modified=datetime(2019, 7, 6, tzinfo=UTC))
    assert landing.path("f").stat().st_mtime == datetime(2019, 7, 6, tzinfo=UTC).timestamp()

    class Killed(BaseException):
        pass

    def killed(path):
        assert path.read_bytes() == b"new"
        raise Killed

    with pytest.raises(Killed):
        landing.download(http, "other", server.url, "g", check=killed)
    assert landing.ledger.get("other").state == "asked"
    assert landing.ledger.pending(["other"]) == ["other"]
    assert [p.name for p in landing.folder.iterdir()] == ["f"]

    def refused(_path):
        raise SourceDataInvalid("g", "md5 0", "1")

    with pytest.raises(SourceDataInvalid):
        landing.download(http, "other", server.url, "g", check=refused)
    assert landing.ledger.get("other").state == "failed"
    assert [p.name for p in landing.folder.iterdir()] == ["f"]


def test_what_must_be_there_and_is_not_stays_pending(serve, Reply, landing):
    server = serve(lambda _r: Reply(404))
    with pytest.raises(SourceUnavailable, match="the job is gone"):
        landing.download(
            http_for(server.url), "k", server.url, "f", absent=SourceUnavailable("the job is gone")
        )
    assert landing.ledger.get("k").state == "failed"


@given(name=st.text(st.sampled_from("./ab\\"), min_size=1, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_leaves_the_folder(landing, name):
    try:
        path = landing.path(name)
    except SourceDataInvalid:
        return
    assert path.resolve().is_relative_to(landing.folder.resolve())
    assert path.resolve() != landing.folder.resolve()


def test_a_zip_unpacks_inside_its_folder_only(landing, tmp_path):
    landing.put("k", "2020-01/era5.zip", b"x")
    archive = landing.path("2020-01/era5.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("instant.nc", b"i")
        packed.writestr("sub/accum.nc", b"a")
    os.utime(archive, (1e9, 1e9))

    files = landing.unpack_zip(archive)

    assert [p.relative_to(landing.folder).as_posix() for p in files] == [
        "2020-01/instant.nc",
        "2020-01/sub/accum.nc",
    ]
    assert {p.stat().st_mtime for p in files} == {1e9}

    for name in ("../../../evil", "/evil"):
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr(name, b"x")
        if name.startswith(".."):
            with pytest.raises(SourceDataInvalid, match="leaves it"):
                landing.unpack_zip(archive)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("bomb", b"\0" * (100 << 20))
    with pytest.raises(SourceDataInvalid, match="plausible size"):
        landing.unpack_zip(archive)
    archive.write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(SourceDataInvalid, match="whole ZIP"):
        landing.unpack_zip(archive)
    assert not (tmp_path / "evil").exists()


def test_a_zip_with_a_flipped_bit_is_whole_or_refused(landing):
    landing.put("k", "2020-01/pair.zip", b"x")
    archive = landing.path("2020-01/pair.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("los.tif", bytes(range(256)) * 20)
    content = archive.read_bytes()
    refused = 0
    for place in range(0, len(content), 2):
        archive.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            landing.unpack_zip(archive)
        except SourceDataInvalid:
            refused += 1
    assert refused > len(content) // 4


def _pull(url, root):
    landing = Landing(root, "f")
    http = Http(Service(kind="files", urls=(url,), requests_per_second=1000), backoff_s=0.01)
    for day in range(40):
        landing.download(http, f"{day}", f"{url}/{day}", f"{day}.mseed")


def test_a_killed_pull_goes_on_where_it_was(serve, Reply, tmp_path):
    children = []

    def answer(request):
        if request.path == "/17" and len(children) == 1:
            os.kill(children[0].pid, signal.SIGKILL)
        return Reply(body=request.path.encode())

    server = serve(answer)
    spawn = multiprocessing.get_context("spawn")
    for _ in range(2):
        children.append(spawn.Process(target=_pull, args=(server.url, tmp_path)))
        children[-1].start()
        children[-1].join(60)

    assert [c.exitcode for c in children] == [-signal.SIGKILL, 0]
    asked = [r.path for r in server.seen]
    assert all(asked.count(f"/{day}") == (2 if day == 17 else 1) for day in range(40))
    landing = Landing(tmp_path, "f")
    assert len(landing.ledger.entries("got")) == 40
    assert landing.ledger.get("17").attempts == 2
    assert all((landing.folder / f"{day}.mseed").read_text() == f"/{day}" for day in range(40))


def test_times_in_the_ledger_are_those_of_the_given_clock(serve, Reply, landing):
    server = serve(lambda _r: Reply(body=b"x"))
    entry = landing.download(http_for(server.url), "k", server.url, "f", now=datetime(2020, 1, 2, tzinfo=UTC))

    assert entry.asked_at == entry.retrieved_at == "2020-01-02T00:00:00+00:00"
