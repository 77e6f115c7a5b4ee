"""Training windows per second: this project's loader beside xbatcher, xarray, tensorstore and the limit of memory."""

import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
import torch
import xarray as xr
import zarr
from torch.utils.data import DataLoader

from flows.benchmarks import Measured
from flows.settings import Settings
from fusion_models.data.datamodule import EpochOrder
from fusion_models.data.tiles import TileMemory, map_tiles
from fusion_models.data.windows import Origins, WindowSet, WindowShape, window_loader
from tasks.cubes.chunks import grid_chunks
from tasks.cubes.gridded import GridReader
from tasks.cubes.layout import HIDDEN
from tasks.cubes.repository import Repository
from tasks.cubes.store import CubeRef
from tasks.cubes.stream import stream_cube

SEED = 7
SHAPE = WindowShape(90, 16, 16)
START = np.datetime64("2015-01-01", "D")
GROUPS = {"catalog_grid": 2, "strain": 5, "weather": 13}


@dataclass(frozen=True)
class Scale:
    """Size of the cube and of the runs."""

    days: int = 3650
    cells: int = 100
    shape: WindowShape = SHAPE
    batch: int = 32
    cold_batches: int = 45
    warm_batches: int = 60
    seconds: float = 20.0
    """Longest run of a peer: they are slow, and a rate needs no more."""

    workers: int = 2
    """Processes of the second run of xbatcher; 0 leaves it out."""

    @property
    def sample_bytes(self) -> int:
        """Size of a window, bytes."""
        return int(np.prod(self.shape)) * sum(GROUPS.values()) * 4


def measure(settings: Settings) -> Measured:
    """Make the cube in an empty folder and run every loader on it."""
    return compare(Scale())


def compare(scale: Scale) -> Measured:
    """Run every loader on one cube of `scale`; peers that are not installed have no figure."""
    with tempfile.TemporaryDirectory(prefix="quakecube-loader-") as folder:
        place = Path(folder)
        ref = make_cube(place, scale)
        reader = GridReader(ref)
        origins = random_origins(scale)
        figures: dict[str, float] = {}
        forget_pages(place)
        budget = int(np.prod(reader.grid.counts)) * reader.grid.tile_bytes
        memory = TileMemory(reader, budget)
        cold = window_loader(WindowSet(memory, scale.shape, origins), scale.batch, seed=SEED)
        first = next(timed(iter(cold)))
        memory = TileMemory(reader, budget)
        cold = window_loader(WindowSet(memory, scale.shape, origins), scale.batch, seed=SEED)
        forget_pages(place)
        figures["ours_cold_samples_per_s"] = rate(iter(cold), scale.cold_batches, scale.batch, np.inf)
        figures["ours_first_batch_s"] = first
        figures["bytes_read_over_used_in_the_run"] = (
            memory.tiles_read
            * reader.grid.tile_bytes
            / (scale.cold_batches * scale.batch * scale.sample_bytes)
        )
        figures["bytes_read_over_used"] = bytes_read_alone(reader, scale, origins)
        figures["chunks_per_variable_and_sample"] = chunks_crossed(reader, scale, origins)
        del memory, cold
        started = time.perf_counter()
        tiles = map_tiles(reader, place / "windows", budget)
        figures["map_tiles_s"] = time.perf_counter() - started
        figures["map_tiles_gib"] = tiles.path.stat().st_size / 2**30
        warm = window_loader(WindowSet(tiles, scale.shape, origins), scale.batch, seed=SEED)
        list(zip(range(scale.cold_batches), warm, strict=False))  # the working set comes into memory
        figures["ours_warm_samples_per_s"] = rate(iter(warm), scale.warm_batches, scale.batch, np.inf)
        whole = in_memory(reader)
        figures["memory_samples_per_s"] = rate(
            gathers(whole, scale, origins), scale.warm_batches, scale.batch, np.inf
        )
        check = next(iter(window_loader(WindowSet(tiles, scale.shape, origins), scale.batch, seed=SEED)))
        del warm, tiles
        cube = lazy_cube(ref)
        peers: dict[str, Callable[[], Iterator[np.ndarray]]] = {
            "xarray": lambda: xarray_windows(cube, scale, origins),
        }
        if importlib.util.find_spec("xbatcher"):
            peers["xbatcher"] = lambda: xbatcher_windows(cube, scale, 0)
            if scale.workers:
                peers["xbatcher_workers"] = lambda: xbatcher_windows(cube, scale, scale.workers)
        if importlib.util.find_spec("tensorstore"):
            copy_plain(ref, place / "plain", reader.grid.variables)
            peers["tensorstore"] = lambda: tensorstore_windows(
                place / "plain", reader.grid.variables, scale, origins
            )
        for name, windows in peers.items():
            forget_pages(place)
            figures[f"{name}_samples_per_s"] = rate(windows(), scale.cold_batches, scale.batch, scale.seconds)
        verify(check.numpy(), whole, scale, origins, next(peers["xarray"]()))
    if "xbatcher_samples_per_s" in figures:
        best = max(v for k, v in figures.items() if k.startswith("xbatcher") and k.endswith("samples_per_s"))
        figures["cold_over_best_xbatcher"] = figures["ours_cold_samples_per_s"] / best
    figures["warm_over_memory"] = figures["ours_warm_samples_per_s"] / figures["memory_samples_per_s"]
    return Measured(figures, scale.cold_batches * scale.batch, SEED, {"samples": table(figures, scale)})


def make_cube(folder: Path, scale: Scale) -> CubeRef:
    """Store 20 variables of noise on a random walk, smooth in time as geophysical fields are, a tenth missing."""
    time_axis = (START + np.arange(scale.days)).astype("datetime64[ns]")
    cells = 35.0 + 0.01 * np.arange(scale.cells)
    state = da.random.default_rng(SEED)
    shape, chunks = (scale.days, scale.cells, scale.cells), (128, scale.cells, scale.cells)
    groups = {}
    for group, n in GROUPS.items():
        data = {}
        for v in range(n):
            noise = state.normal(size=shape, chunks=chunks).astype(np.float32)
            trend = da.sin(da.arange(scale.days, chunks=128) / 58.0).astype(np.float32)[:, None, None]
            gaps = state.random(size=(scale.days, 1, 1), chunks=(128, 1, 1)) < 0.1
            data[f"v{v:02d}"] = (
                ("time", "lat", "lon"),
                da.where(gaps, np.float32(np.nan), trend + 0.3 * noise),
            )
        known = time_axis + np.timedelta64(30, "h").astype("timedelta64[ns]")
        groups[group] = xr.Dataset(
            {**data, "available_time": ("time", known)},
            coords={"time": time_axis, "lat": cells, "lon": cells},
        )
    return stream_cube(folder, "cube", groups, "benchmark")


def random_origins(scale: Scale) -> Origins:
    """Return places of windows, uniform over days and cells."""
    rng = np.random.default_rng(SEED)
    n = max(scale.cold_batches, scale.warm_batches) * scale.batch
    days = rng.integers(scale.shape.days, scale.days, n)
    return Origins(
        # A day is known six hours after its end: the last of each window is not yet.
        (START + days).astype("datetime64[ns]") + np.timedelta64(3, "h"),
        rng.integers(0, scale.cells - scale.shape.rows + 1, n),
        rng.integers(0, scale.cells - scale.shape.columns + 1, n),
    )


def forget_pages(folder: Path) -> None:
    """Ask the kernel to drop the pages of all files below `folder` from its cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def timed(batches: Iterator[object]) -> Iterator[float]:
    """Yield the seconds that each batch took."""
    while True:
        started = time.perf_counter()
        next(batches)
        yield time.perf_counter() - started


def rate(batches: Iterator[object], n: int, batch: int, seconds: float) -> float:
    """Return samples per second over `n` batches, or as many as begin within `seconds`, start of workers left out."""
    if isinstance(batches, PeerBatches):
        batches.start()
    started, done = time.perf_counter(), 0
    while done < n and (done == 0 or time.perf_counter() - started < seconds):
        next(batches)
        done += 1
    return done * batch / (time.perf_counter() - started)


class PeerBatches:
    """Batches of a DataLoader whose workers are up before the first is timed."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._batches: Iterator[object] | None = None

    def start(self) -> None:
        """Start the workers and take what they read while starting: one batch each."""
        self._batches = iter(self._loader)
        if self._loader.num_workers:
            next(self._batches)

    def __iter__(self) -> "PeerBatches":
        return self

    def __next__(self) -> object:
        assert self._batches is not None
        return next(self._batches)


def in_memory(reader: GridReader) -> np.ndarray:
    """Return the whole cube (time, lat, lon, variable), the layout that gathers fastest."""
    grid = reader.grid
    whole = np.empty((*grid.shape, len(grid.variables)), np.float32)
    for index in range(int(np.prod(grid.counts))):
        whole[grid.bounds(index)] = reader.read(index)
    return whole


def gathers(whole: np.ndarray, scale: Scale, origins: Origins) -> Iterator[np.ndarray]:
    """Yield batches copied from memory, nothing masked, into one array that is used again: the limit."""
    first = (origins.issue_time.astype("datetime64[D]") - START).astype(int) - scale.shape.days
    out = np.zeros((scale.batch, *scale.shape, whole.shape[-1]), np.float32)
    for rows in EpochOrder(len(first), scale.batch, SEED):
        for position, k in enumerate(rows):
            y, x = origins.row[k], origins.column[k]
            out[position] = whole[
                first[k] : first[k] + scale.shape.days, y : y + scale.shape.rows, x : x + scale.shape.columns
            ]
        yield out


def lazy_cube(ref: CubeRef) -> xr.Dataset:
    """Return all variables of the cube as one Dataset that reads what is selected."""
    store = Repository(ref.uri, ref.region).open().readonly_session(snapshot_id=ref.snapshot).store
    parts = []
    for group in GROUPS:
        stored = xr.open_zarr(
            store, group=group, consolidated=False, chunks=None, drop_variables=(*HIDDEN, "available_time")
        )
        parts.append(
            stored[sorted(stored.data_vars)].rename({name: f"{group}_{name}" for name in stored.data_vars})
        )
    return xr.merge(parts, join="exact")


def xarray_windows(cube: xr.Dataset, scale: Scale, origins: Origins) -> Iterator[np.ndarray]:
    """Yield batches by `isel` and `to_dataarray`, the plain way."""
    first = (origins.issue_time.astype("datetime64[D]") - START).astype(int) - scale.shape.days
    for rows in EpochOrder(len(first), scale.batch, SEED):
        yield np.stack(
            [
                cube.isel(
                    time=slice(first[k], first[k] + scale.shape.days),
                    lat=slice(origins.row[k], origins.row[k] + scale.shape.rows),
                    lon=slice(origins.column[k], origins.column[k] + scale.shape.columns),
                ).to_dataarray().transpose("time", "lat", "lon", "variable").values
                for k in rows
            ]
        )  # fmt: skip


def xbatcher_windows(cube: xr.Dataset, scale: Scale, workers: int) -> PeerBatches:
    """Return shuffled batches of xbatcher's patches, which lie side by side, through a torch DataLoader."""
    import xbatcher
    from xbatcher.loaders.torch import MapDataset

    sizes = dict(zip(("time", "lat", "lon"), scale.shape, strict=True))
    if workers == 0:
        generator = xbatcher.BatchGenerator(cube, input_dims=sizes, preload_batch=False)
        patches = MapDataset(generator, transform=lambda patch: torch.from_numpy(patch.to_dataarray().values))
    else:
        # One Dask array: its patches need no function of this file, which a worker process could not find.
        stacked = cube.chunk(
            dict(
                zip(
                    ("time", "lat", "lon"),
                    grid_chunks((cube.sizes["time"], cube.sizes["lat"], cube.sizes["lon"])),
                    strict=True,
                )
            )
        )
        generator = xbatcher.BatchGenerator(stacked.to_dataarray(), input_dims=sizes, preload_batch=False)
        patches = MapDataset(generator)
    order = np.random.default_rng(SEED).permutation(len(patches)).tolist()
    context = {"multiprocessing_context": "forkserver"} if workers else {}
    return PeerBatches(
        DataLoader(patches, sampler=order * 50, batch_size=scale.batch, num_workers=workers, **context)
    )


def copy_plain(ref: CubeRef, folder: Path, variables: tuple[str, ...]) -> None:
    """Copy the cube's arrays, same chunks and codecs, to plain Zarr, since tensorstore reads no Icechunk."""
    store = Repository(ref.uri, ref.region).open().readonly_session(snapshot_id=ref.snapshot).store
    source, target = zarr.open_group(store, mode="r"), zarr.open_group(folder, mode="w")
    for name in variables:
        array = source[name]
        copy = target.create_array(
            name, shape=array.shape, chunks=array.chunks, dtype=array.dtype,
            compressors=array.compressors, fill_value=array.fill_value,
        )  # fmt: skip
        for start in range(0, array.shape[0], array.chunks[0]):
            copy[start : start + array.chunks[0]] = array[start : start + array.chunks[0]]


def tensorstore_windows(
    folder: Path, variables: tuple[str, ...], scale: Scale, origins: Origins
) -> Iterator[np.ndarray]:
    """Yield batches read by tensorstore, all variables of all windows of a batch at once, without its cache."""
    import tensorstore

    arrays = [
        tensorstore.open(
            {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder / name)}}, read=True
        ).result()
        for name in variables
    ]
    first = (origins.issue_time.astype("datetime64[D]") - START).astype(int) - scale.shape.days
    for rows in EpochOrder(len(first), scale.batch, SEED):
        out = np.empty((scale.batch, *scale.shape, len(variables)), np.float32)
        asked = []
        for position, k in enumerate(rows):
            y, x = int(origins.row[k]), int(origins.column[k])
            days = slice(int(first[k]), int(first[k]) + scale.shape.days)
            cells = (slice(y, y + scale.shape.rows), slice(x, x + scale.shape.columns))
            asked += [(position, v, array[(days, *cells)].read()) for v, array in enumerate(arrays)]
        for position, v, values in asked:
            out[position, ..., v] = values.result()
        yield out


def bytes_read_alone(reader: GridReader, scale: Scale, origins: Origins) -> float:
    """Return decoded bytes read over bytes used for a window read on its own, mean over `origins`."""
    return (
        chunks_crossed(reader, scale, origins)
        * float(np.prod(reader.grid.tile))
        / float(np.prod(scale.shape))
    )


def chunks_crossed(reader: GridReader, scale: Scale, origins: Origins) -> float:
    """Return how many tiles, each one chunk of every variable, a window crosses, mean over `origins`."""
    first = (origins.issue_time.astype("datetime64[D]") - START).astype(int) - scale.shape.days
    starts = (first, origins.row, origins.column)
    crossed = [
        (start + length - 1) // step - start // step + 1
        for start, length, step in zip(starts, scale.shape, reader.grid.tile, strict=True)
    ]
    return float(np.mean(crossed[0] * crossed[1] * crossed[2]))


def verify(ours: np.ndarray, whole: np.ndarray, scale: Scale, origins: Origins, xarrays: np.ndarray) -> None:
    """Refuse figures of loaders that do not give the same windows, but for what was not known at the issue time."""
    memory = next(gathers(whole, scale, origins))
    hidden = np.isnan(ours) & ~np.isnan(memory)
    same = np.array_equal(np.where(hidden, np.nan, memory), ours, equal_nan=True)
    if not (same and np.array_equal(memory, xarrays, equal_nan=True) and hidden[:, -1].any()):
        raise RuntimeError("the loaders gave different windows: their rates cannot be compared")
    if hidden[:, :-1].any():
        raise RuntimeError("a day was hidden that was known six hours after its end")


def table(figures: dict[str, float], scale: Scale) -> str:
    """Return the README's table."""
    days, rows, columns = scale.shape
    window = f"{days} days x {rows} x {columns} cells x {sum(GROUPS.values())} variables"
    lines = [f"| {window}, batches of {scale.batch} | samples/s |", "|---|---:|"]
    names = {
        "memory": "numpy gather in memory (the limit)", "ours_warm": "QuakeCube, memory-mapped tiles",
        "ours_cold": "QuakeCube, nothing cached at the start", "tensorstore": "tensorstore",
        "xbatcher_workers": f"xbatcher, DataLoader, {scale.workers} workers", "xbatcher": "xbatcher, DataLoader",
        "xarray": "xarray `isel`",
    }  # fmt: skip
    lines += [
        f"| {label} | {figures[f'{name}_samples_per_s']:.1f} |"
        for name, label in names.items()
        if f"{name}_samples_per_s" in figures
    ]
    return "\n".join(lines)
