"""What test_stores_on_s3.py runs in a process of its own, in a copy of a state folder after a pipeline run.

Usage: s3_run.py REGION STORES CARELESS RESULTS. The stores on disk are put aside, and the same archive is ingested and
aligned with the stores in a bucket. RESULTS is a JSON file; its keys are `disk` and `bucket`, each with the digest of
every group, and `stored`, `again`, `refused`, `left`: see the tests.
"""

import json
import os
import sys
from pathlib import Path

from flows.settings import prepare_environment, settings

prepare_environment(settings())

from flows.build_cube import build_cube  # noqa: E402
from flows.forms import CubeForm, IngestForm  # noqa: E402
from flows.ingest import ingest  # noqa: E402
from tasks.align import CubeReport  # noqa: E402
from tasks.cubes.store import ObservationStore, content_sha256, open_cube  # noqa: E402
from tasks.simulation import region_of_world  # noqa: E402

REGION, STORES, CARELESS, RESULTS = sys.argv[1:]


def digests() -> dict[str, str]:
    """Return the digest of every group of the region's observations and of its cube."""
    workspace = settings().workspace()
    region = region_of_world(REGION, workspace.conf, 1)
    store = ObservationStore(workspace.observations, region.store_name)
    groups = {name: store.read(name) for name in store.groups()}
    groups |= {f"cube {k}": v for k, v in open_cube(CubeReport.load(workspace, region).ref).items()}
    return {name: content_sha256(group.load()) for name, group in groups.items()}


def run() -> dict[str, str]:
    """Run both flows; return the status of each source."""
    reports = ingest(IngestForm(region=REGION)).reports
    build_cube(CubeForm(region=REGION))
    return {r.group: r.status for r in reports}


def in_bucket(stores: str) -> None:
    """Keep the stores in `stores` from now on."""
    os.environ["QUAKECUBE_STORES"] = stores
    settings.cache_clear()


if __name__ == "__main__":
    outcome: dict[str, object] = {"disk": digests()}
    home = settings().workspace().home
    for name in ("observations", "cubes", "runs"):
        (home / name).rename(home / f"before-{name}")
    in_bucket(STORES)
    outcome["stored"] = run()
    outcome["bucket"] = digests()
    outcome["again"] = run()
    outcome["left"] = sorted(p.name for d in ("observations", "cubes") for p in (home / d).glob("*"))
    in_bucket(CARELESS)
    try:
        run()
    except RuntimeError as error:
        outcome["refused"] = f"{type(error).__name__}: {error}"
    Path(RESULTS).write_text(json.dumps(outcome))
