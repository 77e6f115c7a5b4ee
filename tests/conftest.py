"""What every test may ask for: configuration, small regions and catalogs, the recorded archive, a browser."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
import xarray as xr

from tasks.regions import Bounds, Region, SourceConfig, Split

with warnings.catch_warnings():
    # Its first import warns of an old way to list plug-ins, whatever the filters of the test that happens to be first.
    warnings.simplefilter("ignore")
    import obspy  # noqa: F401

os.environ.setdefault("NO_PROXY", "127.0.0.1,localhost")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def conf() -> Path:
    return Path(__file__).parents[1] / "conf"


@pytest.fixture(scope="session")
def make_region() -> Callable[..., Region]:
    """Make a region of one degree by one around Ridgecrest with one catalog, changed as the caller says."""

    def make(split: Sequence[str], **changes: object) -> Region:
        """`split`: start and end of training, of validation and of test; the test ends with the region."""
        dates = dict(zip(Split.model_fields, map(date.fromisoformat, split), strict=True))
        values = {
            "name": "toy",
            "title": "Toy",
            "bounds": Bounds(south=35.0, north=36.0, west=-118.0, east=-117.0),
            "resolution_deg": 0.1,
            **dict.fromkeys(("start", "catalog_start", "etas_start"), dates["train_start"]),
            "end": dates["test_end"],
            "magnitude_completeness": 3.0,
            "split": dates,
            "sources": [SourceConfig(name="toy", modality="catalog", provider="quakeml", path="none")],
        }
        return Region.model_validate(values | changes)

    return make


@pytest.fixture(scope="session")
def make_catalog() -> Callable[..., xr.Dataset]:
    """Make a canonical catalog of rows (id, origin time, latitude, longitude, magnitude, type)."""

    def make(rows: Sequence[tuple[object, ...]], delay: np.timedelta64) -> xr.Dataset:
        """Every event becomes available `delay` after its origin."""
        ids, times, latitude, longitude, magnitude, kind = zip(*rows, strict=True)
        origin, n = np.array(times, dtype="datetime64[ns]"), len(rows)
        columns = {
            "event_id": np.array(ids, dtype=object),
            "origin_time": origin,
            "available_time": origin + delay,
            "latitude": np.array(latitude, dtype=float),
            "longitude": np.array(longitude, dtype=float),
            "depth_km": np.full(n, np.nan),
            "magnitude": np.array(magnitude, dtype=float),
            "magnitude_error": np.full(n, np.nan),
            "magnitude_type": np.full(n, "l", dtype=object),
            "event_type": np.array(kind, dtype=object),
            "quality_flag": np.zeros(n, np.uint8),
        }
        return xr.Dataset(
            {name: ("event", values) for name, values in columns.items()}, attrs={"modality": "catalog"}
        )

    return make


@pytest.fixture(scope="session")
def archive() -> Path:
    """The recorded archive; the test is skipped, and says why, where there is none."""
    path = os.environ.get("QUAKECUBE_ARCHIVE")
    if not path:
        pytest.skip("QUAKECUBE_ARCHIVE is not set: it names the folder of the recorded archive")
    if not Path(path).is_dir():
        pytest.fail(f"QUAKECUBE_ARCHIVE={path!r} is not a folder")
    return Path(path)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; the test is skipped, and says why, where there is none."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Debian's package chromium is not installed")
    return path


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Give the address of a moto server, which speaks S3, with a bucket `observatory`."""
    peers = os.environ.get("QUAKECUBE_PEERS", "")
    server = Path(peers) / "bin" / "moto_server"
    if not peers or not server.exists():
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


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[str]:
    """Give the address of one Prefect server, of this process and of those that it starts.

    Each start costs some ten seconds of computing. What the command does without a server is told by the tests
    that call the command.
    """
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        patch.setenv("DO_NOT_TRACK", "true")
        with prefect_test_harness(server_startup_timeout=180):
            yield str(PREFECT_API_URL.value())


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


@pytest.fixture(scope="session")
def careless_store() -> Iterator[Callable[[frozenset[str]], tuple[str, dict[str, bytes]]]]:
    """Start an object store that enforces only some conditions; give its address and what it holds."""
    with ExitStack() as stack:

        def start(enforced: frozenset[str]) -> tuple[str, dict[str, bytes]]:
            handler = type("Handler", (_Careless,), {"enforced": enforced, "objects": {}})
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            return f"http://127.0.0.1:{server.server_port}", handler.objects

        yield start
