import contextlib
import gzip
import pickle
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tasks.regions import Service, load_region
from tasks.sources import SourceDataInvalid, SourceUnavailable
from tasks.sources.contract import SourceDenied
from tasks.sources.services import Http

from .servers.digest import Digest

SECRET = "s3cr3t-t0ken"


def http_for(*urls, token="", **changes):
    values = {"kind": "files", "urls": urls, "requests_per_second": 1000, "timeout_s": 5} | changes
    return Http(Service(**values), token, backoff_s=0.01)


def in_turn(*replies):
    left = list(replies)
    return lambda _request: left.pop(0) if len(left) > 1 else left[0]


def test_an_overloaded_server_is_asked_again_and_its_wish_to_wait_is_kept(serve, Reply):
    server = serve(in_turn(Reply(503), Reply(429, headers={"Retry-After": "1"}), Reply(body=b"at last")))
    start = time.monotonic()

    assert http_for(server.url).get(server.url + "/x").content == b"at last"
    assert len(server.seen) == 3
    assert time.monotonic() - start >= 1


def test_a_server_that_stays_down_is_unavailable_and_named_without_its_query(serve, Reply):
    server = serve(lambda _r: Reply(500))

    with pytest.raises(SourceUnavailable, match=r"/x: HTTP 500 after 4 attempts") as caught:
        http_for(server.url).get(server.url + "/x", params={"key": SECRET})
    assert SECRET not in str(caught.value)
    assert not isinstance(caught.value, SourceDenied)


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_a_refusal_is_final_and_says_which_credential_is_meant(serve, Reply, status):
    server = serve(lambda _r: Reply(status, b"no " + SECRET.encode()))
    http = http_for(server.url, token=SECRET, credential="EARTHSCOPE_TOKEN")

    with pytest.raises(SourceDenied, match=f"HTTP {status}") as caught:
        http.get(server.url + "/x")
    assert caught.value.status == status
    assert pickle.loads(pickle.dumps(caught.value)).status == status
    assert len(server.seen) == 1
    assert SECRET not in f"{caught.value!s} {caught.value!r} {http!r}"
    assert ("EARTHSCOPE_TOKEN" in str(caught.value)) == (status in (401, 403))


@pytest.mark.parametrize("status", [204, 404, 410])
def test_nothing_there_is_no_error(serve, Reply, status):
    server = serve(lambda _r: Reply(status))

    assert http_for(server.url).get(server.url) is None


def test_nobody_at_the_port_is_unavailable():
    with pytest.raises(SourceUnavailable, match="connection failed"):
        http_for("http://127.0.0.1:9").get("http://127.0.0.1:9/x")


@pytest.mark.parametrize("header", ["Authorization", "PRIVATE-TOKEN"])
def test_the_credential_goes_to_its_own_host_and_not_along_a_redirect(serve, Reply, header):
    storage = serve(lambda _r: Reply(body=b"data"))
    portal = serve(lambda _r: Reply(302, headers={"Location": storage.url + "/signed"}))
    http = http_for(portal.url, token=SECRET, credential_header=header, credential_prefix="")

    assert http.get(portal.url + "/file").content == b"data"
    assert portal.seen[0].headers[header] == SECRET
    assert header not in storage.seen[0].headers

    http.get(storage.url)
    assert header not in storage.seen[1].headers


def test_a_body_that_breaks_off_is_asked_for_again(serve, Reply, tmp_path):
    server = serve(in_turn(Reply(body=b"half", announced=8), Reply(body=b"complete")))

    body = http_for(server.url).stream(server.url, tmp_path / "f")
    assert body.size == 8
    assert (tmp_path / "f").read_bytes() == b"complete"

    short = serve(lambda _r: Reply(body=b"half", announced=8))
    with pytest.raises(SourceUnavailable, match="broke off 4 times"):
        http_for(short.url).stream(short.url, tmp_path / "f")


def test_so_is_one_that_is_read_whole(serve, Reply):
    server = serve(in_turn(Reply(body=b"half", announced=8), Reply(body=b"complete")))

    assert http_for(server.url).get(server.url).content == b"complete"
    short = serve(lambda _r: Reply(body=b"half", announced=8))
    with pytest.raises(SourceUnavailable, match="broke off 4 times"):
        http_for(short.url).get(short.url)


def test_a_refusal_whose_words_break_off_is_a_refusal(serve, Reply):
    server = serve(lambda _r: Reply(403, b"no", announced=8))

    with pytest.raises(SourceDenied) as caught:
        http_for(server.url).get(server.url)
    assert caught.value.status == 403


def test_requests_keep_the_rate(serve, Reply):
    server = serve(lambda _r: Reply(body=b"x"))
    http = http_for(server.url, requests_per_second=20)
    start = time.monotonic()
    for _ in range(5):
        http.get(server.url)

    assert time.monotonic() - start >= 4 / 20


def test_sources_of_one_host_share_its_rate_and_others_do_not_wait(serve, Reply):
    one, other = serve(lambda _r: Reply(body=b"x")), serve(lambda _r: Reply(body=b"x"))
    start = time.monotonic()
    for _ in range(3):
        for _source in range(2):
            http_for(one.url, requests_per_second=20).get(one.url)
        http_for(other.url, requests_per_second=20).get(other.url)

    assert 5 / 20 <= time.monotonic() - start < 8 / 20


def test_an_address_with_a_password_is_refused_without_showing_it(conf, tmp_path):
    (tmp_path / "regions").mkdir()
    text = (conf / "regions" / "ridgecrest.yaml").read_text()
    secret = text.replace("https://earthquake.usgs.gov", f"https://reader:{SECRET}@earthquake.usgs.gov")
    (tmp_path / "regions" / "ridgecrest.yaml").write_text(secret)

    with pytest.raises(
        ValueError, match=r"sources\.2\.service\.urls: an address must not hold user"
    ) as caught:
        load_region("ridgecrest", tmp_path)
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"


def test_an_error_page_with_status_200_is_refused(tmp_path):
    from tasks.sources.services.bodies import check_magic

    (tmp_path / "f").write_bytes(b"<html>sorry")
    with pytest.raises(SourceDataInvalid, match="begins with"):
        check_magic(tmp_path / "f", [b"\x89HDF"], "http://a/f")


def test_digest_answers_the_challenge_and_the_password_never_travels(serve, Reply):
    guard = Digest(lambda _r: Reply(body=b"restricted"), "reader", SECRET)
    server = serve(guard)
    http = http_for(server.url, token=f"reader:{SECRET}", credential="EIDA_USER", credential_scheme="digest")

    assert http.get(server.url + "/queryauth?a=1").content == b"restricted"
    assert http.post(server.url + "/queryauth", content=b"lines").content == b"restricted"
    assert guard.refused == 1  # the first challenge; then the nonce is known
    assert server.seen[-1].body == b"lines"
    assert all(SECRET not in str(request) for request in server.seen)

    wrong = http_for(server.url, token="reader:guess", credential="EIDA_USER", credential_scheme="digest")
    with pytest.raises(SourceDenied, match="EIDA_USER was refused") as caught:
        wrong.get(server.url + "/queryauth")
    assert caught.value.status == 401


def test_digest_does_not_answer_a_host_that_it_was_sent_on_to(serve, Reply):
    other = serve(Digest(lambda _r: Reply(body=b"data"), "reader", SECRET))
    portal = serve(lambda _r: Reply(302, headers={"Location": other.url + "/x"}))
    http = http_for(portal.url, token=f"reader:{SECRET}", credential="EIDA_USER", credential_scheme="digest")

    with pytest.raises(SourceDenied):
        http.get(portal.url)
    assert not any("Authorization" in request.headers for request in other.seen)


@pytest.fixture
def dripping():
    """Give the URL of a server that announces 100 kB and sends a byte every 50 ms."""

    class Drip(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not done.wait(0.05):
                    self.wfile.write(b"x")
                    self.wfile.flush()

        def log_message(self, *_):
            """Stay silent."""

    done = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Drip)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/slow"
    done.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("whole", [True, False])
def test_a_body_that_drips_is_given_up_though_every_byte_is_in_time(dripping, tmp_path, whole):
    http = http_for(dripping, timeout_s=0.3)
    start = time.monotonic()
    with pytest.raises(SourceUnavailable, match="broke off 4 times"):
        http.get(dripping) if whole else http.stream(dripping, tmp_path / "f")
    assert time.monotonic() - start < 4, "each time it was patient for 0.3 s and a byte or two"


@pytest.mark.parametrize("whole", [True, False])
def test_a_small_body_that_unpacks_to_a_large_one_is_refused(serve, Reply, tmp_path, whole):
    bomb = gzip.compress(b"\0" * (8 << 20), 9)
    server = serve(lambda _r: Reply(body=bomb, headers={"Content-Encoding": "gzip"}))
    http = http_for(server.url, largest_bytes=1 << 20)
    tracemalloc.start()
    with pytest.raises(SourceDataInvalid, match="a body of at most 1048576 bytes, found a larger one"):
        http.get(server.url) if whole else http.stream(server.url, tmp_path / "f")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_packed_file_stays_packed_whatever_the_server_says_of_it(serve, Reply, tmp_path):
    packed = gzip.compress(b"table")
    server = serve(lambda _r: Reply(body=packed, headers={"Content-Encoding": "x-gzip"}))
    http_for(server.url).stream(server.url + "/2019.gz", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == packed
    assert server.seen[0].headers["Accept-Encoding"] == "identity"


def test_no_log_shows_the_query_of_an_address_that_is_asked_again(serve, Reply, caplog):
    signed = f"http://127.0.0.1:9/file?X-Amz-Signature={SECRET}"
    server = serve(lambda _r: Reply(302, headers={"Location": signed}))
    with caplog.at_level("DEBUG", "urllib3"), pytest.raises(SourceUnavailable):
        http_for(server.url).get(server.url)
    assert "Retrying" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("token", [SECRET + "\n", SECRET + "\u2026"])
def test_a_credential_that_no_header_can_hold_is_refused_without_showing_it(token):
    with pytest.raises(ValueError, match="EARTHSCOPE_TOKEN: expected printable ASCII") as caught:
        http_for("http://127.0.0.1:9", token=token, credential="EARTHSCOPE_TOKEN")
    assert SECRET not in str(caught.value)


def test_an_address_with_a_query_is_refused_without_showing_it():
    with pytest.raises(ValueError, match="must not hold a query") as caught:
        http_for(f"http://127.0.0.1:9/archive?apikey={SECRET}")
    assert caught.value.errors(include_input=False)[0]["type"] == "secret_in_address"
