"""The stage follows the observations: it updates the cube where it can, and no cube that looks ahead is ever read."""

import shutil
from collections.abc import Callable
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
    home = shutil.copytree(begun, tmp_path / "home")
    return workspace_in(home)


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


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.lists(
        st.tuples(st.integers(0, 240), st.integers(1, 40), st.floats(-0.01, 0.01)), min_size=1, max_size=2
    )
)
def test_whatever_arrives_the_cube_is_that_of_a_full_build(
    begun: Path,
    region: Region,
    observations: Observations,
    tmp_path_factory: pytest.TempPathFactory,
    days: list[tuple[int, int, float]],
) -> None:
    tmp = tmp_path_factory.mktemp("any")
    home = shutil.copytree(begun, tmp / "home")
    workspace = workspace_in(home)
    for first, count, shift in days:
        start = np.datetime64("2017-02-01", "ns") + first * DAY
        after = ingest(workspace, region, part_of(observations, start, start + count * DAY, shift))
        report = align(workspace, region, after)
    assert_whole(report, workspace, region, after, tmp / "whole")


def test_an_update_that_looks_ahead_is_never_the_latest(
    workspace: Workspace, region: Region, observations: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def smoothed(*arguments: object) -> xr.Dataset:
        cleaned = clean_gnss(*arguments)  # type: ignore[arg-type]
        east = cleaned["east"].rolling(time=5, center=True, min_periods=1).mean()
        return cleaned.assign(east=east.astype(np.float32))

    monkeypatch.setattr(tails.positions, "clean_gnss", smoothed)
    cubes = CubeStore(workspace.cubes, region.store_name)
    before = cubes.latest()
    after = ingest(workspace, region, part_of(observations, BEGUN, BEGUN + 20 * DAY))
    with pytest.raises(LeakError, match=r"group '(gnss|strain|insar)', variable"):
        align(workspace, region, after)
    assert cubes.latest() == before


def test_a_whole_cube_that_looks_ahead_is_never_the_latest(
    tmp_path: Path, region: Region, observations: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def early(*arguments: object) -> xr.Dataset:
        cleaned = clean_gnss(*arguments)  # type: ignore[arg-type]
        return cleaned.assign(east=cleaned["east"].shift(time=-3))

    monkeypatch.setattr("tasks.cubes.build.clean_gnss", early)
    workspace = workspace_in(tmp_path)
    snapshot = ingest(workspace, region, observations)
    with pytest.raises(LeakError):
        align(workspace, region, snapshot)
    assert CubeStore(workspace.cubes, region.store_name).latest() is None


def forget(workspace: Workspace, region: Region) -> None:
    repository = Repository(workspace.observations, region.store_name)
    expire([repository], [], datetime.now(UTC) + timedelta(days=1), dry_run=False)


def shrink(workspace: Workspace, region: Region) -> None:
    """Make the latest cube one whose commit names no observations."""
    cubes = CubeStore(workspace.cubes, region.store_name)
    latest = cubes.latest()
    assert latest is not None
    cubes.write({"labels": open_cube(latest)["labels"]}, "by hand")


@pytest.mark.parametrize(
    ("change", "why"),
    [(forget, "cannot be compared"), (shrink, "does not name observations")],
    ids=["expired", "unnamed"],
)
def test_a_cube_of_unknown_observations_is_built_whole(
    change: Callable[[Workspace, Region], None], why: str, workspace: Workspace, region: Region,
    observations: Observations, tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    after = ingest(workspace, region, part_of(observations, BEGUN, BEGUN + DAY))
    change(workspace, region)
    with caplog.at_level("INFO", "tasks.cubes.update"):
        report = align(workspace, region, after)
    assert why in caplog.text
    assert "built whole" in caplog.text
    assert_whole(report, workspace, region, after, tmp_path / "whole")


def test_older_observations_than_those_of_the_cube_give_their_own_cube(
    workspace: Workspace, region: Region, observations: Observations
) -> None:
    store = store_of(workspace, region)
    before = str(store.snapshot())
    first = CubeStore(workspace.cubes, region.store_name).latest()
    assert first is not None
    align(workspace, region, ingest(workspace, region, part_of(observations, BEGUN, BEGUN + 20 * DAY)))
    again = align(workspace, region, before)
    for name, group in open_cube(first).items():
        assert open_cube(again.ref)[name].attrs["content_sha256"] == group.attrs["content_sha256"]


def test_an_end_too_large_for_memory_is_streamed(
    workspace: Workspace, region: Region, observations: Observations, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(update, "MEMORY_BYTES", 1 << 10)
    after = ingest(workspace, region, part_of(observations, BEGUN, BEGUN + DAY))
    with caplog.at_level("INFO", "tasks.cubes.update"):
        report = align(workspace, region, after)
    assert "expected an end of at most" in caplog.text
    assert_whole(report, workspace, region, after, tmp_path / "whole")


def test_a_cube_that_changed_meanwhile_is_not_continued(
    workspace: Workspace, region: Region, observations: Observations, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    after = ingest(workspace, region, part_of(observations, BEGUN, BEGUN + DAY))
    computed = update._computed

    def while_another_commits(found: update.Tails) -> update.Tails:
        shrink(workspace, region)
        return computed(found)

    monkeypatch.setattr(update, "_computed", while_another_commits)
    with caplog.at_level("INFO", "tasks.cubes.update"):
        report = align(workspace, region, after)
    assert "to be the latest" in caplog.text
    assert_whole(report, workspace, region, after, tmp_path / "whole")
