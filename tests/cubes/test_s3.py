"""The stores on an S3 endpoint: unchanged, refused where commits would be lost, and safe for two writers at once."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
import xarray as xr

from tasks.cubes.storage import Bucket, StoreUnsafe, probe
from tasks.cubes.store import CubeStore, ObservationStore, open_cube

pytest.importorskip("obstore", reason="needs obstore, the client that probes object stores")
DAY = np.timedelta64(86_400_000_000_000, "ns")
PEERS = os.environ.get("QUAKECUBE_PEERS", "")


def row(day: int, value: float) -> xr.Dataset:
    moment = np.datetime64("2020-01-01", "ns") + np.array([day]) * DAY
    return xr.Dataset(
        {
            "v": (("time", "station"), [[value]]),
            "available_time": (("time", "station"), (moment + DAY)[:, None]),
        },
        coords={"time": moment, "station": np.array(["A"], dtype=object)},
    )


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-to-be-seen")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Give the address of a moto server with a bucket `observatory`."""
    server = Path(PEERS) / "bin" / "moto_server"
    if not PEERS or not server.exists():
        pytest.skip("QUAKECUBE_PEERS names no environment with moto[server]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(server), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(200):
                try:
                    urlopen(Request(f"{url}/observatory", method="PUT"), timeout=2).close()
                    break
                except OSError:
                    time.sleep(0.1)
            else:
                pytest.fail("moto_server did not start within 20 s")
            yield url
        finally:
            process.terminate()


@pytest.fixture
def uri(endpoint: str, request: pytest.FixtureRequest) -> str:
    return f"s3://observatory/{request.node.name}?endpoint={endpoint}"


def test_observations_and_cubes_are_kept_in_a_bucket_as_in_a_folder(uri: str) -> None:
    store = ObservationStore(uri, "tiny")
    assert store.snapshot() is None
    first = store.write("gnss/a", row(0, 1.0))
    assert store.write("gnss/a", row(0, 1.0)) == first
    second = store.write("gnss/a", row(1, 2.0))
    old, new = store.read("gnss/a", first), store.read("gnss/a", second)
    assert old is not None
    assert new is not None
    assert (old["v"].values.ravel().tolist(), new["v"].values.ravel().tolist()) == ([1.0], [1.0, 2.0])
    ref = CubeStore(uri, "tiny").write({"gnss": row(0, 3.0)}, "one")
    assert open_cube(ref)["gnss"]["v"].values.tolist() == [[3.0]]
    assert "never-to-be-seen" not in ref.model_dump_json()


def test_two_writers_at_once_lose_nothing(uri: str) -> None:
    ObservationStore(uri, "tiny").write("gnss/a", row(0, 0.0))

    def write(writer: int) -> None:
        store = ObservationStore(uri, "tiny")
        for k in range(4):
            store.write("gnss/a", row(1 + writer * 4 + k, float(writer)))

    with ThreadPoolExecutor(2) as both:
        list(both.map(write, range(2)))
    found = ObservationStore(uri, "tiny").read("gnss/a")
    assert found is not None
    assert found["v"].values.ravel().tolist() == [0.0] + 4 * [0.0] + 4 * [1.0]
    assert len(ObservationStore(uri, "tiny").history()) == 9


class _Careless(BaseHTTPRequestHandler):
    """An object store that takes conditional writes and looks at only some of their conditions, or at none."""

    enforced: frozenset[str]
    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        there = self.objects.get(self.path)
        if "If-None-Match" in self.enforced and self.headers.get("If-None-Match") and there is not None:
            self._answer(412)
            return
        match = self.headers.get("If-Match")
        if "If-Match" in self.enforced and match and (there is None or match.strip('"') != _etag(there)):
            self._answer(412)
            return
        self.objects[self.path] = body
        self._answer(200, _etag(body))

    def do_DELETE(self) -> None:
        self.objects.pop(self.path, None)
        self._answer(204)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        keys = re.findall("<Key>(.*?)</Key>", text)
        for key in keys:
            self.objects.pop(f"/bucket/{key}", None)
        gone = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, body=f"<DeleteResult>{gone}</DeleteResult>".encode())

    def _answer(self, status: int, etag: str = "", body: bytes = b"") -> None:
        self.send_response(status)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _etag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


@pytest.mark.parametrize(
    ("enforced", "missing"),
    [
        (frozenset(), "If-None-Match"),
        (frozenset({"If-Match"}), "If-None-Match"),
        (frozenset({"If-None-Match"}), "If-Match"),
        (frozenset({"If-None-Match", "If-Match"}), None),
    ],
)
def test_a_store_that_would_lose_commits_is_refused(enforced: frozenset[str], missing: str | None) -> None:
    handler = type("Handler", (_Careless,), {"enforced": enforced, "objects": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"s3://bucket/p?endpoint=http://127.0.0.1:{server.server_port}"
        try:
            if missing is None:
                probe(Bucket.parse(address))
            else:
                with pytest.raises(StoreUnsafe, match=missing):
                    ObservationStore(address, "tiny").write("gnss/a", row(0, 1.0))
            assert handler.objects == {}, "the probe leaves its key behind, or something was written"
        finally:
            server.shutdown()


@pytest.mark.parametrize("uri", ["s3://", "s3:///prefix", "s3://bucket/p?key=1", "s3://me:secret@bucket/p"])
def test_an_address_that_is_no_bucket_is_refused_without_telling_a_secret(uri: str) -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        Bucket.parse(uri)
    assert "secret" not in str(refused.value)


def test_the_probe_runs_in_a_process_of_its_own_too(uri: str) -> None:
    script = (
        f"from tasks.cubes.store import ObservationStore; print(ObservationStore({uri!r}, 'tiny').snapshot())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "None\n", done.stderr
