"""Stage: walk a recorded archive day by day, as if its providers had been asked live every midnight."""

import logging
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from prefect import task
from pydantic import BaseModel, Field

from tasks.cubes.clock import DAY, arrivals
from tasks.cubes.store import ObservationStore
from tasks.ingest import IngestReport, window_of
from tasks.progress import progress
from tasks.regions import Region
from tasks.sources import SourceEmpty, SourceError, SourceUnavailable, open_source
from tasks.workspace import Workspace

logger = logging.getLogger(__name__)


class Replayed(BaseModel):
    """What a replay did."""

    days: int = Field(description="midnights walked")
    commits: int = Field(description="snapshots that it made")
    reports: list[IngestReport] = Field(description="what each source gave in all")


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
    known, reports = _read_all(region, Path(archive))
    store = ObservationStore(workspace.observations, region.store_name)
    midnights = np.arange(np.datetime64(start, "D") + 1, np.datetime64(end, "D") + 1).astype("datetime64[ns]")
    commits, snapshot = 0, store.snapshot()
    stored: set[str] = set()
    with progress(f"replay {region.name}", len(midnights), "day") as told:
        for midnight in told.over(midnights, lambda m: str(m)[:10]):
            before = None if midnight == midnights[0] else midnight - DAY
            for group, dataset in known.items():
                new = arrivals(dataset, before, midnight)
                asked = midnight if group.startswith("catalog/") else None
                if new is not None:
                    latest = store.write(group, new, asked=asked)
                    if latest != snapshot:
                        stored.add(group)
                elif asked is not None and store.has(group):
                    latest = store.note_asked(group, asked)  # a day without news is known to be one
                else:
                    continue
                commits, snapshot = commits + (latest != snapshot), latest
    for group in known:
        reports[group].status = "stored" if group in stored else "unchanged"
        reports[group].snapshot = str(snapshot)
    return Replayed(days=len(midnights), commits=commits, reports=list(reports.values()))


def _read_all(region: Region, archive: Path) -> tuple[dict[str, xr.Dataset], dict[str, IngestReport]]:
    """Return what each source of the archive holds, and by group a report of what was read and what was left out."""
    known: dict[str, xr.Dataset] = {}
    reports: dict[str, IngestReport] = {}
    failures: list[SourceError] = []
    for config in region.sources:
        group = config.group
        try:
            fetched = open_source(config.provider)(config, archive, region, window_of(region, config))
        except SourceError as error:
            failures.append(error)
            logger.warning("%s: %s", group, error)
            reports[group] = IngestReport(group=group, status=_failed(error), messages=[str(error)])
            continue
        known[group] = fetched.dataset.load()
        sizes = {str(k): int(v) for k, v in fetched.dataset.sizes.items()}
        messages = [str(problem) for problem in fetched.invalid]
        reports[group] = IngestReport(group=group, status="unchanged", sizes=sizes, messages=messages)
    if not known:
        raise failures[0]
    return known, reports


def _failed(error: SourceError) -> Literal["unavailable", "empty", "invalid"]:
    if isinstance(error, SourceUnavailable):
        return "unavailable"
    return "empty" if isinstance(error, SourceEmpty) else "invalid"
