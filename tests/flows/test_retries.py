"""A source that does not answer is asked again; a wrong payload and a missing folder are not."""

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from prefect import flow

import tasks.ingest as stage
from tasks.regions import load_region
from tasks.sources.contract import Fetched
from tasks.workspace import Workspace


def test_a_source_that_fails_twice_is_stored_at_the_third_try(
    tmp_path: Path,
    conf: Path,
    make_catalog: Callable[..., xr.Dataset],
    prefect_api: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    rows = [
        (name, day, 39.0, 29.0, 3.0, "earthquake") for name, day in (("a", "2012-03-01"), ("b", "2012-04-01"))
    ]

    def shaky(*_: object) -> Fetched:
        asked.append(1)
        if len(asked) < 3:
            raise OSError(errno.EIO, "Input/output error", "disk")
        return Fetched(make_catalog(rows, np.timedelta64(0, "s")))

    # A disk that fails twice cannot be had otherwise; the task, its retries and the store are the real ones.
    monkeypatch.setattr(stage, "open_source", lambda _provider: shaky)
    workspace = Workspace(home=tmp_path, conf=conf, tracking_uri="sqlite://")
    ask = stage.ingest_source.with_options(retry_delay_seconds=0.01)
    region = load_region("simulated", conf)

    @flow
    def once() -> stage.IngestReport:
        return ask(workspace, region, "catalog/network", str(tmp_path), "fingerprint")

    report = once()
    assert len(asked) == 3
    assert report.status == "stored"
