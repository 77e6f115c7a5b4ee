"""The recorded region over HTTP: every provider in its own protocol, and the same cube as from the folder.

The services are those that the region file names: only the hosts of their addresses are others, and the rate, for the
loopback may be asked faster. Each host fails now and then, as real ones do.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks.cubes.store import CubeStore, ObservationStore, content_sha256, open_cube
from tasks.regions import load_region
from tests.sources.services.servers.recorded import FAULTS, TOKEN, redirected, serving

ROOT = Path(__file__).parents[2]
# The small versions: test_live_ingest.py (a simulated region) and tests/sources/services/test_recorded_region.py.
pytestmark = [pytest.mark.archive, pytest.mark.heavy]


def run(tmp_path: Path, name: str, conf: Path, **environment: str) -> Path:
    """Ingest the region and build its cube in a state folder of its own; return that folder."""
    home = tmp_path / name
    own = {"QUAKECUBE_HOME": str(home), "QUAKECUBE_CONF": str(conf), "PYTHONPATH": str(ROOT)}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "QUAKECUBE_"))}
    script = Path(__file__).with_name("live_ingest_run.py")
    done = subprocess.run(
        [sys.executable, str(script), "ridgecrest", str(tmp_path / f"{name}.json"), "cube"],
        env=clean | own | {"NO_PROXY": "127.0.0.1"} | environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert TOKEN not in done.stdout + done.stderr
    return home


def observations(home: Path) -> dict[str, str]:
    store = ObservationStore(home / "observations", "ridgecrest")
    groups = {group: store.read(group) for group in store.groups()}
    return {group: content_sha256(found.load()) for group, found in groups.items() if found is not None}


def cube(home: Path) -> dict[str, str]:
    groups = open_cube(CubeStore(home / "cubes", "ridgecrest").latest())
    return {name: group.attrs["content_sha256"] for name, group in groups.items()}


def test_the_cube_is_the_same_from_the_providers_and_from_the_folder(tmp_path: Path, archive: Path) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", conf)
    filed = run(tmp_path, "filed", conf, QUAKECUBE_ARCHIVE=str(archive))

    path = conf / "regions" / "ridgecrest.yaml"
    content = yaml.safe_load(path.read_text())
    with serving(archive, load_region("ridgecrest", conf)) as servers:
        for source in content["sources"]:
            service = source["service"]
            service["urls"] = [redirected(url, servers) for url in service["urls"]]
            service["requests_per_second"] = 1000
        path.write_text(yaml.safe_dump(content))
        live = run(tmp_path, "live", conf, EARTHSCOPE_TOKEN=TOKEN)
        met = {host: len(server.seen) for host, server in servers.items()}

    reports = json.loads((tmp_path / "live.json").read_text())["reports"]
    assert {report["group"]: report["status"] for report in reports} == dict.fromkeys(
        (f"{source['modality']}/{source['name']}" for source in content["sources"]), "stored"
    )
    # the second address of a provider is asked only where the first one has nothing
    busy = set(met) - {"service.ncedc.org", "gage-data.earthscope.org"}
    assert all(met[host] > max(FAULTS) for host in busy), met
    assert observations(live) == observations(filed)
    assert len(cube(filed)) == 9
    assert cube(live) == cube(filed)
