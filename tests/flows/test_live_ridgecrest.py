"""The recorded region over HTTP: every provider a server on the loopback, and the same cube as from the folder."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tasks.cubes.store import CubeStore, open_cube

ROOT = Path(__file__).parents[2]
# The small version, of a simulated region, is test_live_ingest.py.
pytestmark = [pytest.mark.archive, pytest.mark.heavy]


class Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def servers(archive: Path) -> Iterator[dict[str, str]]:
    """A server for each provider, which knows its own part of the archive only; its address by group."""
    running, urls = [], {}
    region = yaml.safe_load((ROOT / "conf/regions/ridgecrest.yaml").read_text())
    for source in region["sources"]:
        part = archive / source["path"]
        folder = part.parent if part.is_file() else part
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        base = f"http://127.0.0.1:{server.server_address[1]}"
        urls[f"{source['modality']}/{source['name']}"] = f"{base}/{part.name}" if part.is_file() else base
    yield urls
    for server in running:
        server.shutdown()
        server.server_close()


def run(tmp_path: Path, name: str, conf: Path, **environment: str) -> CubeStore:
    home = tmp_path / name
    own = {"QUAKECUBE_HOME": str(home), "QUAKECUBE_CONF": str(conf), "PYTHONPATH": str(ROOT)}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "QUAKECUBE_"))}
    script = Path(__file__).with_name("live_ingest_run.py")
    done = subprocess.run(
        [sys.executable, str(script), "ridgecrest", str(tmp_path / f"{name}.json"), "cube"],
        env=clean | own | {"NO_PROXY": "127.0.0.1"} | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return CubeStore(home / "cubes", "ridgecrest")


def test_the_cube_is_the_same_over_http_and_from_the_folder(
    tmp_path: Path, archive: Path, servers: dict[str, str]
) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", conf)
    path = conf / "regions" / "ridgecrest.yaml"
    region = yaml.safe_load(path.read_text())
    filed = run(tmp_path, "filed", conf, QUAKECUBE_ARCHIVE=str(archive))

    for source in region["sources"]:
        url = servers[f"{source['modality']}/{source['name']}"]
        source["service"] = {"kind": "files", "urls": [url], "requests_per_second": 1000}
    path.write_text(yaml.safe_dump(region))
    live = run(tmp_path, "live", conf)

    cubes = [open_cube(store.latest()) for store in (filed, live)]
    digests = [{name: group.attrs["content_sha256"] for name, group in cube.items()} for cube in cubes]
    assert len(digests[0]) == 9
    assert digests[0] == digests[1]
