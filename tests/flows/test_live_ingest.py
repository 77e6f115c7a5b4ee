"""A region whose providers are asked over HTTP stores what the same files on disk would give."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from tasks.cubes.store import ObservationStore, content_sha256
from tasks.regions import load_region
from tasks.simulation import load_simulation, simulate_world, write_archive

ROOT = Path(__file__).parents[2]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Stay silent."""


class Provider:
    """Files over HTTP from `folder`; closed, the port refuses connections."""

    def __init__(self, folder: Path) -> None:
        self.slow, self.waits = "", threading.Event()
        provider = self

        class Waiting(Quiet):
            def do_GET(self) -> None:
                if provider.slow and self.path.startswith(provider.slow):
                    provider.waits.wait(120)
                super().do_GET()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Waiting, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, tiny_conf: Path) -> Path:
    folder = tmp_path_factory.mktemp("published") / "archive"
    world = simulate_world(load_region("tiny", tiny_conf), load_simulation("tiny", tiny_conf), 1)
    write_archive(world, folder)
    for path in folder.rglob("*"):
        # Last-Modified has whole seconds
        os.utime(path, (int(path.stat().st_mtime),) * 2)
    return folder


@pytest.fixture(scope="module")
def provider(published: Path) -> Iterator[Provider]:
    one = Provider(published)
    yield one
    one.close()


Ingest = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def ingest(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_conf: Path,
    provider: Provider,
    state: dict[str, str],
    prefect_api: str,
) -> Ingest:
    """Ingest a region in an environment; return its reports by group."""
    folder = tmp_path_factory.mktemp("live")
    shutil.copytree(tiny_conf, folder / "conf")
    region = yaml.safe_load((tiny_conf / "regions" / "tiny.yaml").read_text()) | {"simulation": None}
    (folder / "conf/regions/filed.yaml").write_text(yaml.safe_dump(region | {"name": "filed"}))
    for source in region["sources"]:
        url = f"{provider.url}/{source['path']}"
        source["service"] = {"kind": "files", "urls": [url], "requests_per_second": 1000, "timeout_s": 5}
    deaf = [
        # a host of a domain that is reserved for names that do not exist (RFC 6761)
        source | {"service": source["service"] | {"urls": ["https://provider.invalid/"]}}
        for source in region["sources"]
    ]
    (folder / "conf/regions/deaf.yaml").write_text(yaml.safe_dump(region | {"name": "deaf", "sources": deaf}))
    region["sources"].append({"name": "none", "modality": "weather", "provider": "era5", "path": "w"})
    (folder / "conf/regions/live.yaml").write_text(yaml.safe_dump(region | {"name": "live"}))
    patient = [
        source | {"service": source["service"] | {"timeout_s": 120}}
        if source["modality"] == "weather"
        else source
        for source in region["sources"]
        if "service" in source
    ]
    (folder / "conf/regions/slow.yaml").write_text(
        yaml.safe_dump(region | {"name": "slow", "sources": patient})
    )

    def call(name: str, fails: bool = False, **environment: str) -> dict[str, Any]:
        own = {"QUAKECUBE_HOME": str(folder / "state"), "QUAKECUBE_CONF": str(folder / "conf")}
        own["PREFECT_API_URL"] = prefect_api
        done = subprocess.run(
            [
                sys.executable,
                str(Path(__file__).with_name("live_ingest_run.py")),
                name,
                str(folder / "out.json"),
            ],
            env=state | own | {"PYTHONPATH": str(ROOT)} | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stderr[-4000:]
        if fails:
            return {"log": done.stderr}
        reports = json.loads((folder / "out.json").read_text())["reports"]
        return {"home": folder / "state", "log": done.stderr} | {r["group"]: r for r in reports}

    call.home = folder / "state"  # type: ignore[attr-defined]
    return call


def contents(home: Path, region: str) -> dict[str, str]:
    store = ObservationStore(home / "observations", region)
    return {group: content_sha256(store.read(group).load()) for group in store.groups()}


@pytest.fixture(scope="module")
def live(ingest: Ingest) -> dict[str, Any]:
    """The first hour of the region whose providers are asked."""
    return ingest("live")


def test_services_give_the_observations_that_the_files_give(
    ingest: Ingest, live: dict[str, Any], published: Path
) -> None:
    filed = ingest("filed", QUAKECUBE_ARCHIVE=str(published))

    assert live["weather/none"]["status"] == "unavailable"
    assert {r["status"] for g, r in live.items() if "/" in g and g != "weather/none"} == {"stored"}
    expected = contents(filed["home"], "filed")
    assert len(expected) == 7
    assert contents(live["home"], "live") == expected


def test_the_next_hour_asks_for_no_file_and_changes_nothing(ingest: Ingest, live: dict[str, Any]) -> None:
    again = ingest("live")

    assert {r["status"] for g, r in again.items() if "/" in g and g != "weather/none"} == {"unchanged"}


def test_a_provider_that_is_slow_keeps_nobody_waiting_but_its_own_source(
    ingest: Ingest, tiny_conf: Path, provider: Provider
) -> None:
    weather = next(s for s in load_region("tiny", tiny_conf).sources if s.modality == "weather")
    provider.slow = f"/{weather.path}"
    done: dict[str, Any] = {}
    run = threading.Thread(target=lambda: done.update(ingest("slow")))
    run.start()
    home = ingest.home  # type: ignore[attr-defined]
    store = ObservationStore(home / "observations", "slow")
    give_up = time.monotonic() + 120
    while len(store.groups()) < 6 and time.monotonic() < give_up:
        time.sleep(0.2)
    # All the others are stored while that one has not answered, and another run could store as well.
    assert weather.group not in store.groups()
    with FileLock(home / "ingest" / ".ingest.lock", timeout=20):
        assert run.is_alive()
    provider.waits.set()
    run.join()
    assert done[weather.group]["status"] == "stored"


def test_a_provider_that_is_down_is_reported_and_what_landed_stays(
    ingest: Ingest, live: dict[str, Any], provider: Provider
) -> None:
    before = contents(live["home"], "live")
    provider.close()
    down = ingest("live")

    # A single file that was asked for today is not asked for again.
    asked = [r for g, r in down.items() if "/" in g and g not in ("weather/none", "static/elevation")]
    assert len(asked) == 6
    assert all("no answer" in r["messages"][0] for r in asked)
    assert contents(down["home"], "live") == before
    assert "Traceback" not in down["log"]


@pytest.mark.heavy  # it waits for every retry; of one provider, above
def test_a_region_whose_providers_nobody_reaches_ends_soon_and_says_so(ingest: Ingest) -> None:
    started = time.monotonic()
    log = ingest("deaf", fails=True)["log"]

    assert time.monotonic() - started < 200
    assert "region 'deaf': no catalog could be read, so there is nothing to forecast" in log
    assert "https://provider.invalid/: no answer (connection failed)" in log
    assert "QUAKECUBE_ARCHIVE" in log
    rows = [line.split(" - ")[-1].split()[:2] for line in log.splitlines() if "unavailable" in line]
    assert len({group for group, status in rows if status == "unavailable"}) == 7
