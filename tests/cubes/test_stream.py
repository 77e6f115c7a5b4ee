"""A cube that is streamed to the store is, bit for bit, the cube that is written from memory, whoever computes it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import dask
import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster

from fusion_models.data.asof import LeakError, as_of
from fusion_models.data.tiles import TileMemory
from fusion_models.data.windows import Origins, WindowSet, WindowShape
from tasks.cubes.build import lazy_groups
from tasks.cubes.chunks import CHUNK_DAYS, grid_chunks
from tasks.cubes.gridded import GridReader
from tasks.cubes.load import load_cube
from tasks.cubes.store import CubeRef, CubeStore, open_cube
from tasks.cubes.stream import graph_tasks, stream_cube
from tasks.regions import Region

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
Read = Callable[[str], xr.Dataset | None]


def assert_same_cube(left: CubeRef, right: CubeRef) -> None:
    found, expected = open_cube(left), open_cube(right)
    assert set(found) == set(expected)
    for name, group in expected.items():
        xr.testing.assert_identical(found[name].load(), group.load())
        assert found[name].attrs["content_sha256"] == group.attrs["content_sha256"]


@pytest.fixture(scope="module")
def written(region: Region, read: Read, tmp_path_factory: pytest.TempPathFactory) -> CubeRef:
    return CubeStore(tmp_path_factory.mktemp("written"), region.name).write(lazy_groups(region, read), "one")


def test_a_streamed_cube_is_the_written_one(
    written: CubeRef, region: Region, read: Read, tmp_path: Path
) -> None:
    with dask.config.set(scheduler="threads"):
        streamed = stream_cube(tmp_path, region.name, lazy_groups(region, read), "one")
    assert_same_cube(streamed, written)


def test_two_worker_processes_give_the_same_bits(
    written: CubeRef, region: Region, read: Read, tmp_path: Path
) -> None:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster),
    ):  # fmt: skip
        streamed = stream_cube(tmp_path, region.name, lazy_groups(region, read), "one")
    assert_same_cube(streamed, written)


def test_equal_content_streamed_again_commits_nothing(region: Region, read: Read, tmp_path: Path) -> None:
    groups = {
        name: group for name, group in lazy_groups(region, read).items() if name in ("strain", "labels")
    }
    first = stream_cube(tmp_path, region.name, groups, "one")
    assert stream_cube(tmp_path, region.name, groups, "two") == first
    fewer = stream_cube(tmp_path, region.name, {"labels": groups["labels"]}, "three")
    assert set(open_cube(fewer)) == {"labels"}
    assert set(open_cube(first)) == {"labels", "strain"}


def test_an_update_of_a_streamed_cube_is_the_update_of_a_written_one(
    written: CubeRef, region: Region, read: Read, tmp_path: Path
) -> None:
    streamed = stream_cube(tmp_path, region.name, lazy_groups(region, read), "one")
    again = CubeStore(tmp_path, region.name).write(lazy_groups(region, read), "two")
    assert again == streamed


def test_the_graph_does_not_grow_with_the_cells(region: Region, read: Read) -> None:
    finer = region.model_copy(update={"resolution_deg": region.resolution_deg / 4})
    coarse, fine = graph_tasks(lazy_groups(region, read)), graph_tasks(lazy_groups(finer, read))
    days = (region.end - region.start).days
    assert fine == coarse
    assert coarse < days


def test_windows_of_a_stored_cube_are_what_the_door_shows(written: CubeRef, region: Region) -> None:
    reader = GridReader(written)
    shape = WindowShape(40, 3, 2)
    times = np.array(["2015-01-20T07:00", "2016-03-01", "2017-12-30T23:59"], "datetime64[ns]")
    origins = Origins(times, np.array([0, 1, 2]), np.array([3, 0, 1]))
    tiles = TileMemory(reader, 1 << 28)
    found = WindowSet(tiles, shape, origins)[[0, 1, 2]].numpy()
    cube = load_cube(written, region)
    assert {name.split("/")[0] for name in reader.grid.variables} == {"catalog_grid", "strain", "weather"}
    for k, (time, row, column) in enumerate(zip(*origins, strict=True)):
        view = as_of(cube, time)
        for v, name in enumerate(reader.grid.variables):
            group, variable = name.split("/")
            shown = view.day_values(group, shape.days)[variable]
            expected = shown[:, row : row + shape.rows, column : column + shape.columns]
            np.testing.assert_array_equal(found[k, ..., v], expected.astype(np.float32))


def test_a_day_that_claims_to_be_known_before_its_end_is_refused(region: Region, tmp_path: Path) -> None:
    days = np.arange(region.window.start, region.window.end, np.timedelta64(1, "D")).astype("datetime64[ns]")
    shape = (days.size, region.latitudes.size, region.longitudes.size)
    group = xr.Dataset(
        {"v": (("time", "lat", "lon"), np.zeros(shape, np.float32)), "available_time": ("time", days)},
        coords={"time": days, "lat": region.latitudes, "lon": region.longitudes},
    )
    ref = CubeStore(tmp_path, region.name).write({"strain": group}, "one")
    with pytest.raises(LeakError, match="known before their end"):
        GridReader(ref)


def test_a_window_crosses_at_most_one_boundary_an_axis() -> None:
    for cells in (16, 20, 64, 65, 100, 200, 1000):
        days, rows, columns = grid_chunks((3650, cells, cells))
        assert days == CHUNK_DAYS >= 90
        assert rows == columns
        assert 16 <= rows <= 64


def load_benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(importlib.util.find_spec("xbatcher") is None, reason="needs the extra `dev`")
def test_the_loader_benchmark_compares_equal_windows() -> None:
    module = load_benchmark("loader")
    scale = module.Scale(
        days=300,
        cells=20,
        shape=WindowShape(30, 8, 8),
        batch=4,
        cold_batches=4,
        warm_batches=4,
        seconds=0.5,
        workers=0,
    )
    figures = module.compare(scale).figures
    assert {"ours_cold", "ours_warm", "xarray", "xbatcher", "memory"} <= {
        k.partition("_samples")[0] for k in figures
    }
    assert all(value > 0 for value in figures.values())


def test_the_build_benchmark_measures_workers_that_built_the_whole_cube() -> None:
    module = load_benchmark("build")
    figures = module.build(module.Scale(years=4, cells=16, stations=9, events=200, pairs=20)).figures
    assert figures["gridded_variables"] == 22
    assert 50 < figures["peak_worker_mib"] < 2048
    assert 0 < figures["graph_tasks"] < 1000
