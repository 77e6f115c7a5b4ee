"""A source that does not answer is asked again; a wrong payload and a missing folder are not."""

import errno
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

import tasks.ingest as stage
from tasks.regions import load_region
from tasks.sources.contract import Fetched
from tasks.workspace import Workspace

NAMES = ("latitude", "longitude", "depth_km", "magnitude", "magnitude_error")


def _catalog() -> xr.Dataset:
    time = np.array(["2012-03-01", "2012-04-01"], "datetime64[ns]")
    columns = {name: ("event", np.array([39.0, 39.1])) for name in NAMES}
    texts = {
        name: ("event", np.array(["a", "b"], object)) for name in ("event_id", "magnitude_type", "event_type")
    }
    times = dict.fromkeys(("origin_time", "available_time"), ("event", time))
    return xr.Dataset({**columns, **texts, **times, "quality_flag": ("event", np.zeros(2, np.uint8))})


def test_a_source_that_fails_twice_is_stored_at_the_third_try(
    tmp_path: Path, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def shaky(*_: object) -> Fetched:
        asked.append(1)
        if len(asked) < 3:
            raise OSError(errno.EIO, "Input/output error", "disk")
        return Fetched(_catalog())

    # A disk that fails twice cannot be had otherwise; the task, its retries and the store are the real ones.
    monkeypatch.setattr(stage, "open_source", lambda _provider: shaky)
    workspace = Workspace(home=tmp_path, conf=conf, tracking_uri="sqlite://")
    ask = stage.ingest_source.with_options(retry_delay_seconds=0.01)
    region = load_region("simulated", conf)

    @flow
    def once() -> stage.IngestReport:
        return ask(workspace, region, "catalog/network", str(tmp_path), "fingerprint")

    with prefect_test_harness(server_startup_timeout=120):
        report = once()
    assert len(asked) == 3
    assert report.status == "stored"
