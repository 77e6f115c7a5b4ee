"""A replay stores what became known day by day, and says of each source what came of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tasks.cubes.store import ObservationStore
from tasks.regions import Region, SourceConfig
from tasks.replay import replay_archive
from tasks.workspace import Workspace
from tests.sources.specimens.stages import WRITERS


def test_groups_that_did_not_change_are_not_called_stored(
    tmp_path: Path, make_region: Callable[..., Region]
) -> None:
    for provider in ("comcat", "tenv3"):
        WRITERS[provider](tmp_path / "archive" / provider, 0)
    sources = [
        SourceConfig(name=name, modality=modality, provider=provider, path=path, latency_days=1)
        for name, modality, provider, path in (
            ("c", "catalog", "comcat", "comcat/data"),
            ("g", "gnss", "tenv3", "tenv3/data"),
            ("w", "weather", "era5", "nowhere"),
            ("e", "weather", "open_meteo", "tenv3/data"),
        )
    ]
    dates = ["2019-01-01", "2019-03-01", "2019-04-01", "2019-06-01", "2019-07-01", "2020-01-01"]
    region = make_region(dates, sources=sources)
    workspace = Workspace(home=tmp_path / "home", conf=tmp_path, tracking_uri="")
    store = ObservationStore(workspace.observations, region.store_name)

    def replay(start: str, end: str) -> dict[str, str]:
        done = replay_archive.fn(workspace, region, str(tmp_path / "archive"), start, end)
        assert done.commits == len(store.history()) - known
        return {report.group: report.status for report in done.reports}

    missing = {"weather/w": "unavailable", "weather/e": "empty"}
    known = 0
    assert replay("2019-06-20", "2019-06-25") == missing | {"catalog/c": "unchanged", "gnss/g": "stored"}
    known = len(store.history())
    assert replay("2019-06-20", "2019-06-25") == missing | {"catalog/c": "unchanged", "gnss/g": "unchanged"}
    known = len(store.history())
    assert replay("2019-07-04", "2019-07-10") == missing | {"catalog/c": "stored", "gnss/g": "stored"}
    whole = store.read("gnss/g")
    assert whole is not None
    assert whole["time"].values[-1] == np.datetime64("2019-06-29T12:00", "ns")
