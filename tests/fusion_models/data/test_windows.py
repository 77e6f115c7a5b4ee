"""Windows show what the as-of door shows, whatever holds the tiles and however many workers cut them."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_models.data.asof import CubeData, as_of
from fusion_models.data.tiles import TileGrid, TileMemory, forget_tiles, map_tiles
from fusion_models.data.windows import Origins, WindowSet, WindowShape, window_loader

START, N_DAYS, N_LAT, N_LON = np.datetime64("2001-01-01", "D"), 50, 7, 9
NAMES = ("strain/shear_rate", "weather/air_temperature", "weather/water_load")


class ArraySource(NamedTuple):
    """Gridded variables in memory, with the time when each day became known."""

    values: np.ndarray
    known: np.ndarray
    tile: tuple[int, int, int]
    snapshot: str = "A1"

    @property
    def grid(self) -> TileGrid:
        return TileGrid((N_DAYS, N_LAT, N_LON), self.tile, NAMES)

    @property
    def first_day(self) -> int:
        return int(START.astype(int))

    @property
    def available(self) -> np.ndarray:
        return self.known

    def read(self, index: int) -> np.ndarray:
        return self.values[self.grid.bounds(index)]


def make_source(seed: int, tile: tuple[int, int, int] = (8, 4, 3)) -> ArraySource:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(N_DAYS, N_LAT, N_LON, 3)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    ends = (START + np.arange(1, N_DAYS + 1)).astype("datetime64[ns]").astype(np.int64)
    # Variables of one group share their clock.
    delay = np.repeat(rng.integers(0, 6 * 86_400, (N_DAYS, 2)), (1, 2), axis=1) * 10**9
    return ArraySource(values, ends[:, None] + delay, tile)


def make_cube(source: ArraySource) -> CubeData:
    time = (START + np.arange(N_DAYS)).astype("datetime64[ns]")
    lat, lon = 35.0 + np.arange(N_LAT), -118.0 + np.arange(N_LON)
    groups = {}
    for group in ("strain", "weather"):
        columns = [v for v, name in enumerate(NAMES) if name.startswith(group)]
        data = {NAMES[v].split("/")[1]: (("time", "lat", "lon"), source.values[..., v]) for v in columns}
        known = source.known[:, columns[0]].astype("datetime64[ns]")
        groups[group] = xr.Dataset(
            {**data, "available_time": ("time", known)}, coords={"time": time, "lat": lat, "lon": lon}
        )
    return CubeData(groups, lat, lon, 1.0, "toy", "A1")


def expected(
    cube: CubeData, issue_time: np.datetime64, row: int, column: int, shape: WindowShape
) -> np.ndarray:
    view = as_of(cube, issue_time)
    columns = []
    for name in NAMES:
        group, variable = name.split("/")
        whole = view.day_values(group, shape.days)[variable]
        columns.append(whole[:, row : row + shape.rows, column : column + shape.columns])
    return np.stack(columns, axis=-1)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 5),
    tile=st.tuples(st.integers(1, 20), st.integers(1, 7), st.integers(1, 9)),
    shape=st.tuples(st.integers(1, 30), st.integers(1, 4), st.integers(1, 5)),
    places=st.lists(
        st.tuples(st.integers(-40 * 86_400, 90 * 86_400), st.integers(0, 3), st.integers(0, 4)),
        min_size=1, max_size=6,
    ),
    spare=st.integers(0, 20),
)  # fmt: skip
def test_a_window_is_what_the_door_shows(
    seed: int,
    tile: tuple[int, int, int],
    shape: tuple[int, int, int],
    places: list[tuple[int, int, int]],
    spare: int,
) -> None:
    source = make_source(seed, tile)
    window = WindowShape(*shape)
    seconds, rows, columns = map(np.array, zip(*places, strict=True))
    origins = Origins(START.astype("datetime64[ns]") + seconds * np.timedelta64(10**9, "ns"), rows, columns)
    least = int(np.prod([-(-(w - 1) // step) + 1 for w, step in zip(window, tile, strict=True)]))
    tiles = TileMemory(source, (least + spare) * source.grid.tile_bytes)
    found = WindowSet(tiles, window, origins)[list(range(len(places)))].numpy()
    cube = make_cube(source)
    for k, place in enumerate(zip(*origins, strict=True)):
        np.testing.assert_array_equal(found[k], expected(cube, *place, window))


def make_origins(n: int, shape: WindowShape, seed: int = 0) -> Origins:
    rng = np.random.default_rng(seed)
    days = rng.integers(shape.days, N_DAYS, n)
    return Origins(
        (START + days).astype("datetime64[ns]"),
        rng.integers(0, N_LAT - shape.rows + 1, n),
        rng.integers(0, N_LON - shape.columns + 1, n),
    )


SHAPE = WindowShape(12, 3, 4)


def test_memory_mapped_tiles_give_the_same_windows_and_stay_for_the_next_process(tmp_path: Path) -> None:
    source, origins = make_source(1), make_origins(20, SHAPE)
    memory = WindowSet(TileMemory(source, 1 << 20), SHAPE, origins)
    mapped = map_tiles(source, tmp_path, 1 << 20)
    rows = list(range(20))
    np.testing.assert_array_equal(memory[rows], WindowSet(mapped, SHAPE, origins)[rows])
    before = mapped.path.stat().st_mtime_ns
    assert map_tiles(source, tmp_path, 1 << 20).path.stat().st_mtime_ns == before


def test_tiles_of_removed_snapshots_and_unfinished_ones_go(tmp_path: Path) -> None:
    source = make_source(1)
    old = map_tiles(source, tmp_path, 1 << 20).path
    new = map_tiles(source._replace(snapshot="B2"), tmp_path, 1 << 20).path
    unfinished, being_written = tmp_path / ".abc.part", tmp_path / ".def.part"
    unfinished.touch()
    being_written.touch()
    os.utime(unfinished, (0, 0))
    assert forget_tiles(tmp_path, [source.snapshot]) == [old, unfinished]
    assert set(tmp_path.iterdir()) == {new, being_written}


def test_the_tiles_of_the_snapshots_used_last_stay_and_no_more(tmp_path: Path) -> None:
    source = make_source(0)
    for snapshot in ("S1", "S2", "S3", "S1", "S4"):
        map_tiles(source._replace(snapshot=snapshot), tmp_path, 1 << 20)
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {"S3", "S1", "S4"}


def test_a_budget_that_is_too_small_is_refused_with_the_size_that_is_needed(tmp_path: Path) -> None:
    source, origins = make_source(1), make_origins(1, SHAPE)
    one = source.grid.tile_bytes
    with pytest.raises(ValueError, match="expected room for one tile"):
        TileMemory(source, one - 1)
    with pytest.raises(ValueError, match=rf"give {3 * 2 * 2 * one} bytes"):
        WindowSet(TileMemory(source, one), SHAPE, origins)
    with pytest.raises(ValueError, match="the budget is 100"):
        map_tiles(source, tmp_path, 100)
    assert not list(tmp_path.iterdir())


def test_a_window_that_reaches_past_the_grid_is_refused() -> None:
    origins = Origins(np.array(["2001-02-01"], "datetime64[ns]"), np.array([5]), np.array([0]))
    with pytest.raises(ValueError, match="origin 0: expected its row from 0 to 4"):
        WindowSet(TileMemory(make_source(0), 1 << 20), SHAPE, origins)


def test_each_tile_is_read_once_when_the_budget_holds_them(tmp_path: Path) -> None:
    source, origins = make_source(2), make_origins(200, SHAPE)
    tiles = TileMemory(source, 1 << 20)
    for _ in window_loader(WindowSet(tiles, SHAPE, origins), 16, seed=3):
        pass
    assert 0 < tiles.tiles_read <= int(np.prod(source.grid.counts))


def test_a_kept_batch_is_not_overwritten_by_later_ones() -> None:
    windows = WindowSet(TileMemory(make_source(2), 1 << 20), SHAPE, make_origins(64, SHAPE))
    first = windows[[0, 1]]
    copy = first.clone()
    for k in range(2, 64, 2):
        windows[[k, k + 1]]
    np.testing.assert_array_equal(first, copy)


def test_batches_depend_on_the_seed_alone_and_not_on_workers() -> None:
    windows = WindowSet(TileMemory(make_source(2), 1 << 20), SHAPE, make_origins(40, SHAPE))
    alone = [b.numpy() for b in window_loader(windows, 8, seed=5)]
    again = [b.numpy() for b in window_loader(windows, 8, seed=5)]
    other = [b.numpy() for b in window_loader(windows, 8, seed=6)]
    np.testing.assert_array_equal(np.stack(alone), np.stack(again))
    assert not np.array_equal(np.stack(alone), np.stack(other), equal_nan=True)
    parallel = [b.numpy() for b in window_loader(windows, 8, seed=5, workers=2)]
    np.testing.assert_array_equal(np.stack(alone), np.stack(parallel))
