"""The stage follows the observations: it updates the cube where it can, and no cube that looks ahead is ever read."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion_models.data.asof import LeakError
from tasks.align import CubeReport, align_cube
from tasks.cubes import tails, update
from tasks.cubes.build import build_groups
from tasks.cubes.clock import known_part
from tasks.cubes.gnss import clean_gnss
from tasks.cubes.housekeeping import expire
from tasks.cubes.repository import Repository
from tasks.cubes.store import CubeStore, ObservationStore, open_cube
from tasks.cubes.update import reader
from tasks.regions import Region
from tasks.workspace import Workspace

Observations = dict[str, xr.Dataset]
DAY = np.timedelta64(86_400_000_000_000, "ns")
BEGUN = np.datetime64("2017-09-10T05:00", "ns")


def part_of(
    observations: Observations, start: np.datetime64 | None, end: np.datetime64, shift: float = 0.0
) -> Observations:
    """Return what is about [start, end) of every group, positions and temperatures raised by `shift`."""
    parts: Observations = {}
    for group, dataset in observations.items():
        about = "origin_time" if "event" in dataset.sizes else "time"
        if about not in dataset.variables:
            parts[group] = dataset
            continue
        times = dataset[about].values
        inside = (times < end) & (True if start is None else times >= start)
        part = dataset.isel({str(dataset[about].dims[0]): np.flatnonzero(inside)})
        changed = {name: part[name] + shift for name in ("east", "air_temperature") if name in part}
        parts[group] = part.assign(changed)
    return parts


def workspace_in(home: Path) -> Workspace:
    return Workspace(home=home, conf=home, tracking_uri="none:")


def store_of(workspace: Workspace, region: Region) -> ObservationStore:
    return ObservationStore(workspace.observations, region.store_name)


def ingest(workspace: Workspace, region: Region, parts: Observations) -> str:
    store = store_of(workspace, region)
    for group, dataset in parts.items():
        if all(dataset.sizes.values()):
            store.write(group, dataset)
    return str(store.snapshot())


def align(workspace: Workspace, region: Region, observations: str) -> CubeReport:
    report: CubeReport = align_cube.fn(workspace, region, observations)
    return report


def assert_whole(
    report: CubeReport, workspace: Workspace, region: Region, snapshot: str, folder: Path
) -> None:
    """Compare, to the last bit, with a cube that is built from everything in an empty folder."""
    read = reader(store_of(workspace, region), snapshot)
    groups = build_groups(region, lambda group: read(group))
    expected = open_cube(CubeStore(folder, region.store_name).write(groups, "whole"))
    found = open_cube(report.ref)
    assert set(found) == set(expected)
    for name, group in expected.items():
        xr.testing.assert_identical(
            found[name].load().drop_attrs(deep=False), group.load().drop_attrs(deep=False)
        )
        assert found[name].attrs["content_sha256"] == group.attrs["content_sha256"], name


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, region: Region, observations: Observations) -> Path:
    home = tmp_path_factory.mktemp("aligned")
    workspace = workspace_in(home)
    align(workspace, region, ingest(workspace, region, part_of(observations, None, BEGUN)))
    return home


@pytest.fixture
def workspace(begun: Path, tmp_path: Path) -> Workspace:
    return workspace_in(shutil.copytree(begun, tmp_path / "home"))


@pytest.fixture(scope="module")
def few(observations: Observations) -> Observations:
    """What makes a small cube."""
    return {group: observations[group] for group in ("catalog/scedc", "gnss/daily")}


@pytest.fixture(scope="module")
def begun_with_few(tmp_path_factory: pytest.TempPathFactory, region: Region, few: Observations) -> Path:
    home = tmp_path_factory.mktemp("few")
    workspace = workspace_in(home)
    align(workspace, region, ingest(workspace, region, part_of(few, None, BEGUN)))
    return home


@pytest.fixture
def small(begun_with_few: Path, tmp_path: Path) -> Workspace:
    return workspace_in(shutil.copytree(begun_with_few, tmp_path / "home"))


def test_a_later_day_is_an_update_audited_within_it(
    workspace: Workspace, region: Region, observations: Observations, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    after = ingest(workspace, region, part_of(observations, BEGUN, BEGUN + 3 * DAY))
    with caplog.at_level("INFO", "tasks.cubes.update"):
        report = align(workspace, region, after)
    assert "built whole" not in caplog.text
    assert_whole(report, workspace, region, after, tmp_path / "whole")
    # Interferograms end weeks after their pixels began: what is new may be about a little earlier.
    assert len(report.audited) == 2
    assert all(np.datetime64(time) >= BEGUN - DAY for time in report.audited)
    assert align(workspace, region, after).ref == report.ref


ARRIVALS = st.lists(
    st.tuples(st.integers(0, 240), st.integers(1, 40), st.floats(-0.01, 0.01)), min_size=1, max_size=2
)


@settings(max_examples=1, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=ARRIVALS)
def test_whatever_arrives_the_cube_is_that_of_a_full_build(
    begun: Path, region: Region, observations: Observations, tmp_path_factory: pytest.TempPathFactory,
    days: list[tuple[int, int, float]],
) -> None:  # fmt: skip
    follow_arrivals(begun, region, observations, tmp_path_factory, days)


@pytest.mark.heavy
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=ARRIVALS)
def test_whatever_arrives_in_twenty_ways_the_cube_is_that_of_a_full_build(
    begun: Path, region: Region, observations: Observations, tmp_path_factory: pytest.TempPathFactory,
    days: list[tuple[int, int, float]],
) -> None:  # fmt: skip
    follow_arrivals(begun, region, observations, tmp_path_factory, days)


def follow_arrivals(
    begun: Path, region: Region, observations: Observations, tmp_path_factory: pytest.TempPathFactory,
    days: list[tuple[int, int, float]],
) -> None:  # fmt: skip
    tmp = tmp_path_factory.mktemp("any")
    home = shutil.copytree(begun, tmp / "home")
    workspace = workspace_in(home)
    for first, count, shift in days:
        start = np.datetime64("2017-02-01", "ns") + first * DAY
        after = ingest(workspace, region, part_of(observations, start, start + count * DAY, shift))
        report = align(workspace, region, after)
    assert_whole(report, workspace, region, after, tmp / "whole")


def test_an_update_that_looks_ahead_is_never_the_latest(
    small: Workspace, region: Region, few: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def smoothed(*arguments: object) -> xr.Dataset:
        cleaned = clean_gnss(*arguments)  # type: ignore[arg-type]
        east = cleaned["east"].rolling(time=5, center=True, min_periods=1).mean()
        return cleaned.assign(east=east.astype(np.float32))

    monkeypatch.setattr(tails.positions, "clean_gnss", smoothed)
    cubes = CubeStore(small.cubes, region.store_name)
    before = cubes.latest()
    after = ingest(small, region, part_of(few, BEGUN, BEGUN + 20 * DAY))
    with pytest.raises(LeakError, match=r"group '(gnss|strain|insar)', variable"):
        align(small, region, after)
    assert cubes.latest() == before


def test_a_whole_cube_that_looks_ahead_is_never_the_latest(
    tmp_path: Path, region: Region, few: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def early(*arguments: object) -> xr.Dataset:
        cleaned = clean_gnss(*arguments)  # type: ignore[arg-type]
        return cleaned.assign(east=cleaned["east"].shift(time=-3))

    monkeypatch.setattr("tasks.cubes.build.clean_gnss", early)
    workspace = workspace_in(tmp_path)
    snapshot = ingest(workspace, region, few)
    with pytest.raises(LeakError):
        align(workspace, region, snapshot)
    assert CubeStore(workspace.cubes, region.store_name).latest() is None


def forget(workspace: Workspace, region: Region) -> None:
    repository = Repository(workspace.observations, region.store_name)
    expire(repository, {}, datetime.now(UTC) + timedelta(days=1), dry_run=False)


def test_a_cube_whose_observations_expired_is_built_whole(
    small: Workspace, region: Region, few: Observations, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    after = ingest(small, region, part_of(few, BEGUN, BEGUN + DAY))
    forget(small, region)
    with caplog.at_level("INFO", "tasks.cubes.update"):
        report = align(small, region, after)
    assert "built whole" in caplog.text
    assert_whole(report, small, region, after, tmp_path / "whole")


def test_what_a_cube_was_built_from_is_told_or_known_to_be_unknown(
    small: Workspace, region: Region, few: Observations
) -> None:
    store, cubes = store_of(small, region), CubeStore(small.cubes, region.store_name)
    before = str(store.snapshot())
    assert update.built_from(cubes) == before
    after = ingest(small, region, part_of(few, BEGUN, BEGUN + DAY))
    since = update.changes_of(store, after, cubes)
    assert since is not None
    assert {"catalog/scedc", "gnss/daily"} >= set(since) >= {"gnss/daily"}
    assert update.changes_of(store, before, cubes) == {}
    latest = cubes.latest()
    assert latest is not None
    # Of observations that are older than those of the cube nobody can say what changed.
    cubes.write({"labels": open_cube(latest)["labels"]}, f"observations {after}")
    assert update.changes_of(store, before, cubes) is None
    cubes.write({"labels": open_cube(latest)["labels"], "gnss": open_cube(latest)["gnss"]}, "by hand")
    assert update.built_from(cubes) is None
    assert update.changes_of(store, after, cubes) is None
    forget(small, region)
    cubes.write({"labels": open_cube(latest)["labels"]}, f"observations {before}")
    assert update.changes_of(store, after, cubes) is None


@pytest.mark.parametrize("why", ["expected an end of at most", "to be the latest"])
def test_an_end_that_cannot_be_written_makes_the_cube_whole(
    why: str, small: Workspace, region: Region, few: Observations,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    after = ingest(small, region, part_of(few, BEGUN, BEGUN + DAY))
    if why == "to be the latest":
        computed = update._computed

        def while_another_commits(found: update.Tails) -> update.Tails:
            cubes = CubeStore(small.cubes, region.store_name)
            latest = cubes.latest()
            assert latest is not None
            cubes.write({"labels": open_cube(latest)["labels"]}, "by hand")
            return computed(found)

        monkeypatch.setattr(update, "_computed", while_another_commits)
    else:
        monkeypatch.setattr(update, "MEMORY_BYTES", 1 << 10)
    with caplog.at_level("INFO", "tasks.cubes.update"):
        report = align(small, region, after)
    assert why in caplog.text
    assert set(open_cube(report.ref)) > {"labels", "gnss"}


def test_a_cube_ends_with_the_last_day_that_its_catalogs_tell_of(
    region: Region, few: Observations, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ahead = region.model_copy(update={"end": region.end + timedelta(days=200)})
    workspace = workspace_in(tmp_path / "home")
    ingest(workspace, ahead, few)
    told = np.datetime64(region.end, "ns") - 20 * DAY
    store = store_of(workspace, ahead)
    first = align(workspace, ahead, store.note_asked("catalog/scedc", told + DAY // 2))
    # Another ask without news: the days up to it are known to be quiet, and the cube grows by them.
    with caplog.at_level("INFO", "tasks.cubes.update"):
        second = align(workspace, ahead, store.note_asked("catalog/scedc", told + 7 * DAY))
    assert "built whole" not in caplog.text
    ends = [open_cube(report.ref)["labels"]["time"].values[-1] + DAY for report in (first, second)]
    assert ends == [told, told + 7 * DAY]
    with pytest.raises(ValueError, match="which is no whole day of it"):
        known_part(ahead, np.datetime64(ahead.start, "ns") + DAY // 2)
