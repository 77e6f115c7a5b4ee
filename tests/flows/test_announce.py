"""Which earthquakes want an aftershock forecast, and that they are announced once each."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from prefect import flow
from prefect.client.orchestration import get_client

from tasks.announce import EVENT, Due, announce_large_events, due_forecasts
from tasks.cubes.store import ObservationStore
from tasks.regions import Region
from tasks.workspace import Workspace

DATES = ["2001-01-01", "2016-01-01", "2016-04-01", "2018-01-01", "2018-04-01", "2021-01-01"]
ORIGIN = np.datetime64("2020-07-04T17:34", "ns")
HOUR = np.timedelta64(1, "h")


@pytest.fixture
def region(make_region: Callable[..., Region]) -> Region:
    return make_region(DATES, aftershock_magnitude=5.0)


@pytest.fixture
def catalog(make_catalog: Callable[..., xr.Dataset]) -> xr.Dataset:
    """An M 6, its M 5.2 five hours later, an M 5.1 elsewhere after ten hours, and small ones."""
    rows = [
        ("main", ORIGIN, 35.5, -117.5, 6.0, "earthquake"),
        ("small", ORIGIN + HOUR, 35.5, -117.5, 3.5, "earthquake"),
        ("after", ORIGIN + 5 * HOUR, 35.55, -117.5, 5.2, "earthquake"),
        ("other", ORIGIN + 10 * HOUR, 35.95, -117.95, 5.1, "earthquake"),
    ]
    return make_catalog(rows, np.timedelta64(5, "m"))


def at(catalog: xr.Dataset, hours: float) -> tuple[xr.Dataset, np.datetime64]:
    now = ORIGIN + np.timedelta64(int(hours * 60), "m")
    return catalog.isel(event=catalog["available_time"].values <= now), now


def test_a_large_event_is_due_at_once_then_at_its_ages_and_its_large_aftershocks_renew_it(
    region: Region, catalog: xr.Dataset
) -> None:
    done: dict[str, list[str]] = {}
    said = []
    for hours in (0.2, 0.5, 1.1, 5.5, 6.5, 10.5, 11.5, 30.0):
        known, now = at(catalog, hours)
        due, done = due_forecasts(known, region, now, done)
        said.append([(d.event_id, d.why) for d in due])
    assert said == [
        [("main", "new")],
        [],
        [("main", "1 h")],
        [("main", "after")],
        [("main", "6 h")],
        [("other", "new")],
        [("other", "1 h")],
        [("main", "24 h"), ("other", "6 h")],
    ]


def test_what_is_older_than_a_month_is_forgotten(region: Region, catalog: xr.Dataset) -> None:
    known, now = at(catalog, 24 * 40)
    assert due_forecasts(known, region, now, {"main": ["main"]}) == ([], {})


def test_an_ingest_announces_each_of_them_once(
    region: Region, catalog: xr.Dataset, tmp_path: Path, conf: Path, prefect_api: str
) -> None:
    workspace = Workspace(home=tmp_path, conf=conf, tracking_uri="sqlite://")
    ObservationStore(workspace.observations, region.store_name).write("catalog/toy", catalog)
    now = datetime(2020, 7, 4, 23, 59, tzinfo=UTC)

    @flow
    def ingests() -> list[list[Due]]:
        moments = (now, now, datetime(2026, 1, 1, tzinfo=UTC))
        return [announce_large_events(workspace, region, 7, moment) for moment in moments]

    first, again, long_after = ingests()
    body = {"filter": {"event": {"name": [EVENT]}}}
    with get_client(sync_client=True) as client:
        for _ in range(100):  # events reach the server a moment later
            found = client._client.post("/events/filter", json=body).json()
            if found["events"]:
                break
            time.sleep(0.1)
    assert [(d.event_id, d.why) for d in first] == [("main", "new")]
    assert (again, long_after) == ([], [])
    assert [e["payload"] for e in found["events"]] == [
        {"region": "toy", "seed": 7, "event_id": "main", "magnitude": 6.0, "why": "new"}
    ]
    kept = json.loads(next((tmp_path / "observations" / ".announced").glob("*.json")).read_text())
    assert kept == {"main": ["main", "after", "1 h", "6 h"]}
