"""What test_housekeeping.py runs in a process of its own, in a copy of a state folder after a pipeline run.

Usage: housekeeping_run.py RESULTS. The pipeline left cube `trained`, which the registered model refers to. Here come
`issued`, from which a forecast is issued, `nobodys`, and `newest`; two hours later housekeeping runs dry, for real, and
where a model does not say what it was trained on. RESULTS is a JSON file; for its keys see the tests.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

from flows.settings import prepare_environment, settings

prepare_environment(settings())

import mlflow  # noqa: E402
import numpy as np  # noqa: E402

from flows.forecast import forecast  # noqa: E402
from flows.forms import ForecastForm, HousekeepingForm  # noqa: E402
from flows.housekeeping import housekeeping  # noqa: E402
from fusion_models.data.tiles import SUFFIX  # noqa: E402
from tasks.align import CubeReport  # noqa: E402
from tasks.cubes.forecasts import read_forecast  # noqa: E402
from tasks.cubes.housekeeping import snapshot_ids  # noqa: E402
from tasks.cubes.store import (  # noqa: E402
    CubeRef,
    CubeStore,
    ObservationStore,
    UnknownSnapshot,
    content_sha256,
    open_cube,
)
from tasks.simulation import region_of_world  # noqa: E402

workspace = settings().workspace()
region = region_of_world("tiny", workspace.conf, 1)
observations = ObservationStore(workspace.observations, region.store_name)
cubes = CubeStore(workspace.cubes, region.store_name)
FORM = {"region": "tiny", "keep_days": 0}


def one_more_event() -> str:
    """Store an event that no cube has; return the snapshot of the observations."""
    group = next(g for g in observations.groups() if g.startswith("catalog/"))
    stored = observations.read(group)
    assert stored is not None
    last = stored.isel(event=[-1]).load()
    new = f"later-{time.time_ns()}"
    return observations.write(group, last.assign(event_id=("event", np.array([new], dtype=object))))


def one_more_cube(before: CubeRef) -> CubeRef:
    """Store a cube that differs from `before` in one label, from observations of its own."""
    groups = {name: group.load() for name, group in open_cube(before).items()}
    groups["labels"]["event_count"][-1, 0, 0] += 1
    return cubes.write(groups, f"observations {one_more_event()}")


def content(ref: CubeRef) -> dict[str, str]:
    """Return the digest of every group of a cube and of the observations that it was built from; {} if it went."""
    source = next(i for s, m in CONTENT_MESSAGES.items() if s == ref.snapshot for i in snapshot_ids(m))
    try:
        found = {name: content_sha256(group.load()) for name, group in open_cube(ref).items()}
        for group in observations.groups(source):
            stored = observations.read(group, source)
            assert stored is not None
            found[group] = content_sha256(stored.load())
    except UnknownSnapshot as gone:
        return {"gone": str(gone)}
    return found


def bytes_of_state() -> dict[str, str]:
    """Return the digest of every file of the state folder but Prefect's."""
    files = [p for p in sorted(workspace.home.rglob("*")) if p.is_file()]
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
        if p.relative_to(workspace.home).parts[0] != "prefect"
    }


if __name__ == "__main__":
    report = CubeReport.load(workspace, region)
    refs = {"trained": report.ref.model_copy(update={"uri": str(workspace.cubes)})}
    refs["issued"] = one_more_cube(refs["trained"])
    report.model_copy(update={"ref": refs["issued"]}).save(workspace, region)
    issued = Path(forecast(ForecastForm(region="tiny"))).parent
    refs["nobodys"] = one_more_cube(refs["issued"])
    refs["newest"] = one_more_cube(refs["nobodys"])
    report.model_copy(update={"ref": refs["newest"]}).save(workspace, region)
    CONTENT_MESSAGES = dict(cubes.history())
    workspace.tiles.mkdir()
    for ref in refs.values():
        (workspace.tiles / f"{ref.snapshot}-0{SUFFIX}").touch()
    two_hours_ago = time.time() - 7200
    for root in (workspace.observations, workspace.cubes):
        for path in Path(root).rglob("*"):
            os.utime(path, (two_hours_ago, two_hours_ago))

    outcome: dict[str, object] = {"ids": {name: ref.snapshot for name, ref in refs.items()}}
    outcome["before"] = {name: content(ref) for name, ref in refs.items()}
    state = bytes_of_state()
    dry = housekeeping(HousekeepingForm(**FORM))
    outcome["changed"] = sorted(p for p, v in bytes_of_state().items() if state.get(p) != v)
    outcome["dry"] = dry.rows()
    outcome["young"] = housekeeping(HousekeepingForm(region="tiny", keep_days=1)).rows()

    real = housekeeping(HousekeepingForm(**FORM, dry_run=False))
    outcome["real"] = real.rows()
    outcome["chunks"] = sum(r.chunks for r in real.repositories)
    outcome["after"] = {name: content(ref) for name, ref in refs.items()}
    outcome["observations"] = len(observations.history())
    outcome["tiles"] = sorted(p.name.partition("-")[0] for p in workspace.tiles.iterdir())
    outcome["manifest"] = read_forecast(issued)[1].data_snapshot
    outcome["again"] = housekeeping(HousekeepingForm(**FORM, dry_run=False)).rows()

    client = mlflow.MlflowClient(workspace.tracking_uri, workspace.tracking_uri)
    client.create_registered_model("quakecube-mute")
    client.create_model_version("quakecube-mute", source="nowhere")
    state = bytes_of_state()
    try:
        housekeeping(HousekeepingForm(**FORM, dry_run=False))
    except ValueError as error:
        outcome["refused"] = str(error)
    outcome["harmed"] = sorted(p for p, v in bytes_of_state().items() if state.get(p) != v)
    Path(sys.argv[1]).write_text(json.dumps(outcome))
