"""Housekeeping: what nobody refers to goes with its chunks; what somebody refers to reads as before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cubes.housekeeping import NEWEST, YOUNG, Expired, expire, expire_store, stores_of
from tasks.cubes.repository import Repository
from tasks.cubes.store import CubeStore, ObservationStore, UnknownSnapshot, open_cube

LATER = datetime.now(UTC) + timedelta(days=1)


def maps(value: float) -> xr.Dataset:
    rng = np.random.default_rng(int(value))
    time = np.datetime64("2020-01-01", "ns") + np.arange(4) * np.timedelta64(1, "D")
    return xr.Dataset(
        {"v": (("time", "lat", "lon"), rng.normal(size=(4, 40, 40))), "available_time": ("time", time)},
        coords={"time": time, "lat": np.arange(40.0), "lon": np.arange(40.0)},
    )


def expired(root: Path, keep: set[str], older_than: datetime = LATER, *, dry_run: bool) -> Expired:
    named = dict.fromkeys(keep, "model one")
    return expire(Repository(root, "tiny"), named, older_than, dry_run=dry_run)


@pytest.fixture
def written(tmp_path: Path) -> tuple[ObservationStore, list[str]]:
    store = ObservationStore(tmp_path, "tiny")
    return store, [store.write("weather/a", maps(float(k))) for k in range(5)]


def test_a_dry_run_changes_nothing(written: tuple[ObservationStore, list[str]], tmp_path: Path) -> None:
    store, snapshots = written
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    report = expired(tmp_path, {snapshots[1]}, dry_run=True)
    assert sorted(report.gone) == sorted([snapshots[0], snapshots[2], snapshots[3]])
    assert report.kept == [snapshots[4], snapshots[1]]
    assert [s.stays_for for s in report.snapshots] == [NEWEST, "", "", "model one", ""]
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert len(store.history()) == 5


def test_what_is_referred_to_stays_and_the_rest_goes(
    written: tuple[ObservationStore, list[str]], tmp_path: Path
) -> None:
    store, snapshots = written
    for _ in range(2):
        expired(tmp_path, {snapshots[1]}, dry_run=False)
        for k in (1, 4):
            found = store.read("weather/a", snapshots[k])
            assert found is not None
            np.testing.assert_array_equal(found["v"].values, maps(float(k))["v"].values)
    assert store.write("weather/a", maps(9.0)) not in snapshots
    report = expired(tmp_path, set(), dry_run=True)
    assert set(report.gone) == {snapshots[1], snapshots[4]}


def test_chunks_that_nobody_holds_are_removed(
    written: tuple[ObservationStore, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, snapshots = written
    monkeypatch.setattr("tasks.cubes.housekeeping.timedelta", lambda **_: timedelta(hours=-1))
    before = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    report = expired(tmp_path, set(), dry_run=False)
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
    report = expired(tmp_path, set(), yesterday, dry_run=False)
    assert report.gone == []
    assert {s.stays_for for s in report.snapshots} == {NEWEST, YOUNG}
    assert len(written[0].history()) == 5


def test_a_time_without_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zone"):
        expired(tmp_path, set(), LATER.replace(tzinfo=None), dry_run=True)


@given(named=st.lists(st.booleans(), min_size=4, max_size=4), rounds=st.lists(st.booleans(), max_size=3))
@settings(max_examples=12, deadline=None)
def test_a_cube_that_is_named_keeps_the_observations_that_it_was_built_from(
    named: list[bool], rounds: list[bool]
) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        store, cubes = ObservationStore(root / "observations", "tiny"), CubeStore(root / "cubes", "tiny")
        sources = [store.write("weather/a", maps(float(k))) for k in range(4)]
        refs = [
            cubes.write({"weather": maps(10.0 + k)}, f"observations {source}")
            for k, source in enumerate(sources)
        ]
        keep = {ref.snapshot: "forecast" for ref, is_named in zip(refs, named, strict=True) if is_named}
        for dry_run in [*rounds, False]:  # once, or again
            reports = expire_store(
                root / "observations", root / "cubes", "tiny", keep, LATER, dry_run=dry_run
            )
        for k, ref in enumerate(refs):
            stays = named[k] or k == 3
            assert (ref.snapshot in reports[0].kept) == (sources[k] in reports[1].kept) == stays
            if stays:
                found = store.read("weather/a", sources[k])
                assert found is not None
                np.testing.assert_array_equal(found["v"].values, maps(float(k))["v"].values)
                np.testing.assert_array_equal(
                    open_cube(ref)["weather"]["v"].values, maps(10.0 + k)["v"].values
                )


def test_a_region_is_housekept_in_all_its_worlds_and_no_other_is(tmp_path: Path) -> None:
    for name in ("tiny-0a", "tiny-1b", "tinyer", "vast"):
        ObservationStore(tmp_path, name).write("weather/a", maps(1.0))
    (tmp_path / ".read").mkdir()
    assert stores_of((tmp_path, tmp_path / "none"), "tiny") == ["tiny-0a", "tiny-1b"]
    assert stores_of((tmp_path,)) == ["tiny-0a", "tiny-1b", "tinyer", "vast"]
    assert expire_store(tmp_path, tmp_path / "none", "absent", {}, LATER, dry_run=True) == []
