"""What the merge makes of the simulated network's errors, judged by the simulated truth."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tasks.cubes.merge import last_versions, merge_catalogs
from tasks.regions import Region, load_region
from tasks.simulation import load_simulation, simulate_world
from tasks.simulation.catalog import write_catalog
from tasks.sources import open_source


@pytest.fixture(scope="module")
def simulated(conf: Path) -> Region:
    return load_region("simulated", conf)


@pytest.fixture(scope="module")
def observed(conf: Path, simulated: Region, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    folder = tmp_path_factory.mktemp("network")
    write_catalog(simulate_world(simulated, load_simulation("demo", conf), seed=2), folder)
    source = simulated.sources[0]
    return open_source(source.provider)(source, folder, simulated, simulated.catalog_window).dataset


@pytest.fixture(scope="module")
def merged(observed: xr.Dataset, simulated: Region) -> xr.Dataset:
    return merge_catalogs({simulated.sources[0].name: observed}, simulated)[0]


def numbers(ids: np.ndarray) -> np.ndarray:
    """Return the true event's id of ids that may be those of duplicates."""
    return np.array([str(i).removeprefix("dup") for i in ids])


def test_no_true_event_is_listed_twice_and_none_is_lost(
    observed: xr.Dataset, merged: xr.Dataset, simulated: Region
) -> None:
    final = numbers(last_versions(merged)["event_id"].values)
    assert len(final) == len(set(final))
    raw = last_versions(observed.isel(event=np.isfinite(observed["magnitude"].values)))
    large = (raw["magnitude"].values >= simulated.magnitude_completeness) & (
        raw["event_type"].values == "earthquake"
    )
    box = simulated.bounds.grown(simulated.margin_deg)
    large &= (raw["latitude"].values >= box.south) & (raw["latitude"].values < box.north)
    large &= (raw["longitude"].values >= box.west) & (raw["longitude"].values < box.east)
    expected = numbers(raw["event_id"].values[large])
    assert len(expected) > len(set(expected)), "the network lists some events twice"
    assert set(final) == set(expected)


def test_false_events_were_believed_and_are_gone(merged: xr.Dataset) -> None:
    def false(catalog: xr.Dataset) -> int:
        return sum(str(i).startswith("fx") for i in catalog["event_id"].values)

    ever = merged.isel(event=np.isfinite(merged["magnitude"].values))
    assert false(ever) >= 10
    assert false(last_versions(merged)) == 0
