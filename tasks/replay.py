"""Stage: walk a recorded archive day by day, as if its providers had been asked live every midnight."""

import logging
from pathlib import Path

import numpy as np
import xarray as xr
from prefect import task
from pydantic import BaseModel, Field

from tasks.cubes.clock import DAY, arrivals
from tasks.cubes.store import ObservationStore
from tasks.ingest import window_of
from tasks.progress import progress
from tasks.regions import Region
from tasks.sources import SourceError, open_source
from tasks.workspace import Workspace

logger = logging.getLogger(__name__)


class Replayed(BaseModel):
    """What a replay did."""

    days: int = Field(description="midnights walked")
    commits: int = Field(description="snapshots that it made")
    snapshot: str = Field(description="the last one")
    changed: list[str] = Field(description="groups of the store to which something was added")
    left_out: list[str] = Field(description="one line per source that could not be read")


@task(name="replay-archive", task_run_name="replay-{region.name}-{start}-{end}")
def replay_archive(workspace: Workspace, region: Region, archive: str, start: str, end: str) -> Replayed:
    """Store at each midnight after `start` up to `end` (ISO days) what became known since the one before.

    The first midnight brings all that was known by then. Each day is a snapshot, so that a flow can be run on what the
    observatory had that day. Started again, it changes nothing that is there.

    Raises
    ------
    SourceError
        If no source can be read.
    StoreBusy, StoreFull
        If nothing can be written.
    """
    known, left_out = _read_all(region, Path(archive))
    store = ObservationStore(workspace.observations, region.store_name)
    midnights = np.arange(np.datetime64(start, "D") + 1, np.datetime64(end, "D") + 1).astype("datetime64[ns]")
    commits, snapshot = 0, store.snapshot()
    changed: set[str] = set()
    with progress(f"replay {region.name}", len(midnights), "day") as told:
        for midnight in told.over(midnights, lambda m: str(m)[:10]):
            before = None if midnight == midnights[0] else midnight - DAY
            for group, dataset in known.items():
                new = arrivals(dataset, before, midnight)
                asked = midnight if group.startswith("catalog/") else None
                if new is not None:
                    latest = store.write(group, new, asked=asked)
                elif asked is not None and store.has(group):
                    latest = store.note_asked(group, asked)  # a day without news is known to be one
                else:
                    continue
                if latest != snapshot:
                    commits, snapshot = commits + 1, latest
                    changed.update({group} if new is not None else ())
    return Replayed(
        days=len(midnights),
        commits=commits,
        snapshot=str(snapshot),
        changed=sorted(changed),
        left_out=left_out,
    )


def _read_all(region: Region, archive: Path) -> tuple[dict[str, xr.Dataset], list[str]]:
    known: dict[str, xr.Dataset] = {}
    failures: list[SourceError] = []
    for config in region.sources:
        try:
            fetched = open_source(config.provider)(config, archive, region, window_of(region, config))
        except SourceError as error:
            failures.append(error)
            logger.warning("%s: %s", config.group, error)
            continue
        known[config.group] = fetched.dataset.load()
    if not known:
        raise failures[0]
    return known, [str(error) for error in failures]
