"""Stage: say which earthquakes want an aftershock forecast now: large new ones, and those whose next update is due."""

import json
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from prefect import task
from prefect.events import emit_event
from pydantic import BaseModel, Field

from tasks.aftershock import read_catalog
from tasks.regions import Region
from tasks.seismicity.aftershocks.sequence import sequence_at
from tasks.seismicity.catalog import known_at
from tasks.workspace import Workspace, write_json

EVENT: Final = "quakecube.earthquake.large"
# A forecast at once, then at these ages: numbers change fast at first.
UPDATE_HOURS: Final = (1.0, 6.0, 24.0, 72.0, 168.0, 720.0)
_LOOK_BACK: Final = timedelta(days=31)


class Due(BaseModel):
    """An event that wants a forecast."""

    event_id: str
    magnitude: float
    why: str = Field(description="new, a large aftershock, or the age at which an update is due")


def due_forecasts(
    known: xr.Dataset, region: Region, now: np.datetime64, done: dict[str, list[str]]
) -> tuple[list[Due], dict[str, list[str]]]:
    """Return the forecasts that are due at `now`, and what is done once they are issued.

    Parameters
    ----------
    known : Dataset (event), one row per event
        What is known now.
    region : Region
        Its `aftershock_magnitude` makes an event large.
    now : datetime64
        UTC.
    done : mapping of event id to reasons
        Events of the last month for which forecasts were issued.

    A large event inside the sequence of an earlier one starts none of its own: the earlier one's forecast is renewed.
    """
    oldest = now - np.timedelta64(_LOOK_BACK)
    large = (known["magnitude"].values >= region.aftershock_magnitude - 1e-9) & (
        known["origin_time"].values >= oldest
    )
    ids = known["event_id"].values.astype(str)
    due, kept, taken = [], {}, set()
    for row in np.flatnonzero(large):
        if ids[row] in taken:
            continue
        sequence = sequence_at(known, region, ids[row], now)
        members = ids[sequence.events.row[sequence.members]]
        inside = [str(i) for i in ids[large] if i in set(members)]
        taken |= set(inside)
        age_h = float((now - known["origin_time"].values[row]) / np.timedelta64(1, "h"))
        reasons = inside + [f"{h:g} h" for h in UPDATE_HOURS if age_h >= h]
        before = done.get(ids[row], [])
        fresh = [r for r in reasons if r not in before]
        kept[str(ids[row])] = reasons
        if fresh:
            why = "new" if ids[row] in fresh else ", ".join(fresh)
            due.append(Due(event_id=str(ids[row]), magnitude=float(known["magnitude"].values[row]), why=why))
    return due, kept


@task(name="announce-large-events", task_run_name="announce-{region.name}")
def announce_large_events(workspace: Workspace, region: Region, seed: int, now: datetime) -> list[Due]:
    """Emit a Prefect event for every aftershock forecast that is due; what was announced is not announced again.

    The deployment of the flow aftershock-forecast listens to it. Regions whose period has ended are left alone: nothing
    new can come. `now` has a time zone.
    """
    if datetime.combine(region.end, time.min, UTC) < now - _LOOK_BACK:
        return []
    moment = np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "ns")
    path: Path = workspace.ingest / ".announced" / f"{region.store_name}.json"
    done = json.loads(path.read_text()) if path.is_file() else {}
    known = known_at(read_catalog(workspace, region).versions, moment)
    due, kept = due_forecasts(known, region, moment, done)
    for one in due:
        emit_event(
            event=EVENT,
            resource={
                "prefect.resource.id": f"quakecube.earthquake.{one.event_id}",
                "prefect.resource.name": f"M {one.magnitude:.1f}, {region.title}",
            },
            payload={"region": region.name, "seed": seed, **one.model_dump()},
        )
    write_json(path, kept)
    return due
