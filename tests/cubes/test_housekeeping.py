"""Housekeeping: what nobody refers to goes with its chunks; what somebody refers to reads as before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tasks.cubes.housekeeping import expire
from tasks.cubes.repository import Repository, UnknownSnapshot
from tasks.cubes.store import ObservationStore

LATER = datetime.now(UTC) + timedelta(days=1)


def maps(value: float) -> xr.Dataset:
    rng = np.random.default_rng(int(value))
    time = np.datetime64("2020-01-01", "ns") + np.arange(4) * np.timedelta64(1, "D")
    return xr.Dataset(
        {"v": (("time", "lat", "lon"), rng.normal(size=(4, 40, 40))), "available_time": ("time", time)},
        coords={"time": time, "lat": np.arange(40.0), "lon": np.arange(40.0)},
    )


@pytest.fixture
def written(tmp_path: Path) -> tuple[ObservationStore, list[str]]:
    store = ObservationStore(tmp_path, "tiny")
    return store, [store.write("weather/a", maps(float(k))) for k in range(5)]


def test_a_dry_run_changes_nothing(written: tuple[ObservationStore, list[str]], tmp_path: Path) -> None:
    store, snapshots = written
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    (report,) = expire([Repository(tmp_path, "tiny")], {snapshots[1]}, LATER, dry_run=True)
    assert sorted(report.snapshots) == sorted([snapshots[0], snapshots[2], snapshots[3]])
    assert report.kept == [snapshots[4], snapshots[1]]
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert len(store.history()) == 5


def test_what_is_referred_to_stays_and_the_rest_goes(
    written: tuple[ObservationStore, list[str]], tmp_path: Path
) -> None:
    store, snapshots = written
    for _ in range(2):
        expire([Repository(tmp_path, "tiny")], {snapshots[1]}, LATER, dry_run=False)
        for k in (1, 4):
            found = store.read("weather/a", snapshots[k])
            assert found is not None
            np.testing.assert_array_equal(found["v"].values, maps(float(k))["v"].values)
    assert store.write("weather/a", maps(9.0)) not in snapshots
    (report,) = expire([Repository(tmp_path, "tiny")], set(), LATER, dry_run=True)
    assert set(report.snapshots) == {snapshots[1], snapshots[4]}


def test_chunks_that_nobody_holds_are_removed(
    written: tuple[ObservationStore, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, snapshots = written
    monkeypatch.setattr("tasks.cubes.housekeeping.timedelta", lambda **_: timedelta(hours=-1))
    before = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    (report,) = expire([Repository(tmp_path, "tiny")], set(), LATER, dry_run=False)
    after = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert report.chunks > 0
    assert before - after > 0.6 * before
    with pytest.raises(UnknownSnapshot):
        store.read("weather/a", snapshots[0])
    latest = store.read("weather/a")
    assert latest is not None
    np.testing.assert_array_equal(latest["v"].values, maps(4.0)["v"].values)


def test_young_snapshots_stay(written: tuple[ObservationStore, list[str]], tmp_path: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    (report,) = expire([Repository(tmp_path, "tiny")], set(), yesterday, dry_run=False)
    assert report.snapshots == []
    assert len(written[0].history()) == 5


def test_a_time_without_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zone"):
        expire([Repository(tmp_path, "tiny")], set(), LATER.replace(tzinfo=None), dry_run=True)
