"""A region around Ridgecrest and a way to describe one source in a folder made by the test."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources import Fetched, open_source

Fetch = Callable[..., Fetched]


@pytest.fixture(scope="session")
def region(make_region: Callable[..., Region]) -> Region:
    return make_region(
        ["2019-01-01", "2019-03-01", "2019-04-01", "2019-06-01", "2019-07-01", "2020-01-01"],
        catalog_start=date(2010, 1, 1),
        etas_start=date(2011, 1, 1),
        margin_deg=0.5,
        magnitude_completeness=2.0,
    )


@pytest.fixture
def fetch(tmp_path: Path, region: Region) -> Fetch:
    """Fetch from `tmp_path`/path over the region's catalog window, or over `start` to `end`."""

    def call(
        modality: str,
        provider: str,
        path: str,
        latency_days: float = 0.0,
        start: str = "2010-01-01",
        end: str = "2020-01-01",
        **options: str | float | bool,
    ) -> Fetched:
        config = SourceConfig.model_validate(
            {
                "name": "toy",
                "modality": modality,
                "provider": provider,
                "path": path,
                "latency_days": latency_days,
                "options": options,
            }
        )
        window = TimeWindow(np.datetime64(start, "ns"), np.datetime64(end, "ns"))
        return open_source(config.provider)(config, tmp_path, region, window)

    return call
