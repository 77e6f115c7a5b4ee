"""A cube that is updated is, bit for bit, the cube that would be built from everything."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.cubes.build import build_groups
from tasks.cubes.store import CubeStore, ObservationStore, open_cube
from tasks.cubes.update import reader, update_cube
from tasks.regions import Region, SourceConfig

Observations = dict[str, xr.Dataset]
DAY = np.timedelta64(86_400_000_000_000, "ns")
ROW = {"catalog": "event", "waveform": "record"}
TIME = {"catalog": "origin_time"}


def until(observations: Observations, moment: np.datetime64) -> Observations:
    return {group: between(group, dataset, None, moment) for group, dataset in observations.items()}


def between(group: str, dataset: xr.Dataset, start: np.datetime64 | None, end: np.datetime64) -> xr.Dataset:
    modality = group.partition("/")[0]
    if modality == "static":
        return dataset
    times = dataset[TIME.get(modality, "time")].values
    inside = (times < end) & (True if start is None else times >= start)
    return dataset.isel({ROW.get(modality, "time"): np.flatnonzero(inside)})


def write_all(store: ObservationStore, parts: Observations) -> str:
    for group, dataset in parts.items():
        row = ROW.get(group.partition("/")[0], "time")
        if dataset.sizes.get(row, 1):
            store.write(group, dataset)
    return str(store.snapshot())


def assert_equal_cubes(left: Mapping[str, xr.Dataset], right: Mapping[str, xr.Dataset]) -> None:
    assert set(left) == set(right)
    for name, group in left.items():
        found, expected = group.load(), right[name].load()
        for key in expected.variables:
            np.testing.assert_array_equal(found[key].values, expected[key].values, err_msg=f"{name}/{key}")
        xr.testing.assert_identical(found.drop_attrs(deep=False), expected.drop_attrs(deep=False))
        assert found.attrs["content_sha256"] == expected.attrs["content_sha256"], name


def whole(folder: Path, region: Region, store: ObservationStore) -> dict[str, xr.Dataset]:
    ref = CubeStore(folder, region.name).write(build_groups(region, reader(store)), "whole")
    return open_cube(ref)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, region: Region, observations: Observations) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    store = ObservationStore(folder / "o", region.name)
    write_all(store, until(observations, np.datetime64("2017-09-10T05:00", "ns")))
    CubeStore(folder / "c", region.name).write(build_groups(region, reader(store)), "first")
    return folder


def copied(begun: Path, folder: Path) -> Path:
    import shutil

    shutil.copytree(begun, folder)
    return folder


def advanced(
    folder: Path, region: Region, parts: Observations
) -> tuple[dict[str, xr.Dataset], ObservationStore, dict[str, np.datetime64]]:
    store, cubes = ObservationStore(folder / "o", region.name), CubeStore(folder / "c", region.name)
    before = str(store.snapshot())
    after = write_all(store, parts)
    since = store.changes(before, after)
    ref = update_cube(region, reader(store, after), cubes, since)
    return open_cube(ref), store, since


def test_one_more_day_of_everything(
    begun: Path, tmp_path: Path, region: Region, observations: Observations, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied(begun, tmp_path / "s")
    start = np.datetime64("2017-09-10T05:00", "ns")
    parts = {g: between(g, d, start, start + 30 * DAY) for g, d in observations.items()}
    with caplog.at_level("INFO", "tasks.cubes.update"):
        cube, store, since = advanced(folder, region, parts)
    assert "built whole" not in caplog.text
    assert all(moment >= start for moment in since.values())
    assert_equal_cubes(cube, whole(tmp_path / "w", region, store))
    assert float(cube["gnss"]["east"].sel(time="2017-09-20").count()) > 0


def test_events_of_an_afternoon_join_those_of_the_morning(
    begun: Path, tmp_path: Path, region: Region, observations: Observations, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied(begun, tmp_path / "s")
    group = next(name for name in observations if name.startswith("catalog/"))
    some = observations[group].isel(event=slice(0, 8))
    hours = np.arange(2, 18, 2) * np.timedelta64(1, "h")
    origin = np.datetime64("2017-09-12", "ns") + hours.astype("timedelta64[ns]")
    swarm = some.assign(
        event_id=("event", np.array([f"swarm{k}" for k in range(8)], dtype=object)),
        origin_time=("event", origin),
        available_time=("event", origin + np.timedelta64(5, "m")),
        magnitude=("event", np.full(8, 4.0)),
        latitude=("event", np.full(8, 35.55)),
        longitude=("event", np.full(8, -117.55)),
    )
    for part in (swarm.isel(event=slice(0, 5)), swarm.isel(event=slice(5, 8))):
        with caplog.at_level("INFO", "tasks.cubes.update"):
            cube, store, _ = advanced(folder, region, {group: part})
    assert "built whole" not in caplog.text
    assert float(cube["catalog_grid"]["event_count"].sel(time="2017-09-12").sum()) >= 8
    assert_equal_cubes(cube, whole(tmp_path / "w", region, store))


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_update_is_a_full_build_whatever_comes(
    begun: Path,
    region: Region,
    observations: Observations,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    tmp = tmp_path_factory.mktemp("update")
    folder = copied(begun, tmp / "s")
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    for _ in range(data.draw(st.integers(1, 2))):
        parts: Observations = {}
        for group in data.draw(
            st.lists(st.sampled_from(sorted(observations)), min_size=1, max_size=3, unique=True)
        ):
            start = np.datetime64("2017-01-05", "ns") + data.draw(st.integers(0, 300)) * DAY
            part = between(
                group, observations[group], start, start + data.draw(st.integers(1, 50)) * DAY
            ).copy(deep=True)
            if data.draw(st.booleans()):
                revise(group, part, rng)
            parts[group] = part
        cube, store, _ = advanced(folder, region, parts)
    assert_equal_cubes(cube, whole(tmp / "w", region, store))


def revise(group: str, part: xr.Dataset, rng: np.random.Generator) -> None:
    """Change some values, and of catalogs place, time and moment of publication: a new version."""
    modality = group.partition("/")[0]
    if modality == "catalog" and part.sizes["event"]:
        part["available_time"] = part["available_time"] + 20 * DAY
        part["origin_time"] = part["origin_time"] + np.timedelta64(int(rng.integers(-3, 3)) * 40_000, "s")
        part["magnitude"] = part["magnitude"] + 0.2
        part["event_type"] = (
            "event",
            np.where(rng.random(part.sizes["event"]) < 0.2, "other", "earthquake").astype(object),
        )
    for name in ("east", "air_temperature", "precipitation_amount", "los_displacement", "velocity"):
        if name in part:
            noise = rng.normal(0, float(part[name].std() or 1.0), part[name].shape)
            part[name] = (part[name].dims, (part[name].values + noise).astype(part[name].dtype))


def versions(part: xr.Dataset, known: np.timedelta64, shift: float) -> xr.Dataset:
    """The positions `part` as another product says them, known `known` after their days."""
    available = part["available_time"].copy(
        data=np.broadcast_to(part["time"].values[:, None] + known, part["east"].shape)
    )
    return part.assign(east=part["east"] + shift, available_time=available)


def test_a_final_position_leaves_the_cube_and_a_late_rapid_one_changes_it(
    begun: Path, tmp_path: Path, region: Region, observations: Observations, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied(begun, tmp_path / "s")
    start = np.datetime64("2017-08-20", "ns")
    part = between("gnss/daily", observations["gnss/daily"], start, start + 10 * DAY)
    latest = CubeStore(folder / "c", region.name).latest()
    assert latest is not None
    before = {name: group.load() for name, group in open_cube(latest).items()}

    cube, store, since = advanced(folder, region, {"gnss/daily": versions(part, 15 * DAY, 0.02)})
    assert since == {}
    assert_equal_cubes(cube, before)
    final = store.read("gnss/daily")
    assert final is not None
    np.testing.assert_array_equal(final["east"].sel(time=part["time"]), part["east"] + 0.02)

    with caplog.at_level("INFO", "tasks.cubes.update"):
        cube, store, since = advanced(folder, region, {"gnss/daily": versions(part, 2 * DAY, -0.01)})
    assert "built whole" not in caplog.text
    assert since == {"gnss/daily": part["time"].values[0]}
    assert_equal_cubes(cube, whole(tmp_path / "w", region, store))
    east = [c["gnss"]["east"].sel(time="2017-08-22").values for c in (before, cube)]
    assert not np.array_equal(*east)


def test_a_cube_that_ends_later_gets_the_new_days(
    tmp_path: Path, region: Region, observations: Observations
) -> None:
    early = region.model_copy(update={"end": date(2017, 11, 20)})
    store, cubes = ObservationStore(tmp_path / "o", region.name), CubeStore(tmp_path / "c", region.name)
    write_all(store, observations)
    cubes.write(build_groups(early, reader(store)), "first")
    cube = open_cube(update_cube(region, reader(store), cubes, {}))
    assert_equal_cubes(cube, whole(tmp_path / "w", region, store))
    assert cube["labels"].sizes["time"] == 1096


def test_a_change_in_the_training_period_builds_the_cube_whole(
    begun: Path, tmp_path: Path, region: Region, observations: Observations, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied(begun, tmp_path / "s")
    part = observations["gnss/daily"].isel(time=slice(200, 230)).copy(deep=True)
    part["east"] = part["east"] + 0.01
    with caplog.at_level("INFO", "tasks.cubes.update"):
        cube, store, _ = advanced(folder, region, {"gnss/daily": part})
    assert "built whole" in caplog.text
    assert_equal_cubes(cube, whole(tmp_path / "w", region, store))


def test_an_observation_that_changes_nothing_makes_no_cube(
    begun: Path, tmp_path: Path, region: Region
) -> None:
    folder = copied(begun, tmp_path / "s")
    cubes = CubeStore(folder / "c", region.name)
    latest = cubes.latest()
    store = ObservationStore(folder / "o", region.name)
    assert update_cube(region, reader(store), cubes, {}) == latest
    since = {
        f"{m}/{n}": np.datetime64("2017-08-01", "ns")
        for m, n in (
            ("catalog", "scedc"),
            ("gnss", "daily"),
            ("weather", "era5"),
            ("insar", "asc"),
            ("waveform", "stations"),
        )
    }
    assert update_cube(region, reader(store), cubes, since) == latest


def test_a_weather_source_that_has_ended_stops_no_update(
    tmp_path: Path, region: Region, observations: Observations
) -> None:
    group = next(name for name in observations if name.startswith("weather/"))
    ended = SourceConfig(name="ended", modality="weather", provider="era5", path="none", latency_days=1)
    longer = region.model_copy(update={"sources": [*region.sources, ended]})
    old = observations[group]
    whole_of = observations | {"weather/ended": old.isel(time=old.time.values < np.datetime64("2015-12-01"))}
    store, cubes = ObservationStore(tmp_path / "o", region.name), CubeStore(tmp_path / "c", region.name)
    before = write_all(store, until(whole_of, np.datetime64("2017-11-10T05:00", "ns")))
    cubes.write(build_groups(longer, reader(store)), "first")
    write_all(store, whole_of)
    updated = update_cube(longer, reader(store), cubes, store.changes(before))
    assert_equal_cubes(open_cube(updated), whole(tmp_path / "w", longer, store))
