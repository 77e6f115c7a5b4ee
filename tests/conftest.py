"""What every test may ask for: configuration, small regions and catalogs, the recorded archive, a browser."""

import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tasks.regions import Bounds, Region, SourceConfig, Split

with warnings.catch_warnings():
    # Its first import warns of an old way to list plug-ins, whatever the filters of the test that happens to be first.
    warnings.simplefilter("ignore")
    import obspy  # noqa: F401

os.environ.setdefault("NO_PROXY", "127.0.0.1,localhost")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def conf() -> Path:
    return Path(__file__).parents[1] / "conf"


@pytest.fixture(scope="session")
def make_region() -> Callable[..., Region]:
    """Make a region of one degree by one around Ridgecrest with one catalog, changed as the caller says."""

    def make(split: Sequence[str], **changes: object) -> Region:
        """`split`: start and end of training, of validation and of test; the test ends with the region."""
        dates = dict(zip(Split.model_fields, map(date.fromisoformat, split), strict=True))
        values = {
            "name": "toy",
            "title": "Toy",
            "bounds": Bounds(south=35.0, north=36.0, west=-118.0, east=-117.0),
            "resolution_deg": 0.1,
            **dict.fromkeys(("start", "catalog_start", "etas_start"), dates["train_start"]),
            "end": dates["test_end"],
            "magnitude_completeness": 3.0,
            "split": dates,
            "sources": [SourceConfig(name="toy", modality="catalog", provider="quakeml", path="none")],
        }
        return Region.model_validate(values | changes)

    return make


@pytest.fixture(scope="session")
def make_catalog() -> Callable[..., xr.Dataset]:
    """Make a canonical catalog of rows (id, origin time, latitude, longitude, magnitude, type)."""

    def make(rows: Sequence[tuple[object, ...]], delay: np.timedelta64) -> xr.Dataset:
        """Every event becomes available `delay` after its origin."""
        ids, times, latitude, longitude, magnitude, kind = zip(*rows, strict=True)
        origin, n = np.array(times, dtype="datetime64[ns]"), len(rows)
        columns = {
            "event_id": np.array(ids, dtype=object),
            "origin_time": origin,
            "available_time": origin + delay,
            "latitude": np.array(latitude, dtype=float),
            "longitude": np.array(longitude, dtype=float),
            "depth_km": np.full(n, np.nan),
            "magnitude": np.array(magnitude, dtype=float),
            "magnitude_error": np.full(n, np.nan),
            "magnitude_type": np.full(n, "l", dtype=object),
            "event_type": np.array(kind, dtype=object),
            "quality_flag": np.zeros(n, np.uint8),
        }
        return xr.Dataset(
            {name: ("event", values) for name, values in columns.items()}, attrs={"modality": "catalog"}
        )

    return make


@pytest.fixture(scope="session")
def archive() -> Path:
    """The recorded archive; the test is skipped, and says why, where there is none."""
    path = os.environ.get("QUAKECUBE_ARCHIVE")
    if not path:
        pytest.skip("QUAKECUBE_ARCHIVE is not set: it names the folder of the recorded archive")
    if not Path(path).is_dir():
        pytest.fail(f"QUAKECUBE_ARCHIVE={path!r} is not a folder")
    return Path(path)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; the test is skipped, and says why, where there is none."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Debian's package chromium is not installed")
    return path
