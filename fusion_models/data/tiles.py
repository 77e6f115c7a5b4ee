"""Decoded pieces of a cube's gridded variables, each read once: in memory within a budget, or memory-mapped."""

import hashlib
import os
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

SUFFIX: Final = ".tiles"
READ_THREADS: Final = 4
# Snapshots whose tiles stay in a folder: the one in use, and two to go back to. Each day makes another.
KEPT_FILES: Final = 3
Values = NDArray[np.float32]


class TileGrid(NamedTuple):
    """How (time, lat, lon, variable) is cut into tiles: as the store cuts it, all variables of a piece in one."""

    shape: tuple[int, int, int]
    """Length of time, lat, lon."""
    tile: tuple[int, int, int]
    """Length of a tile along time, lat, lon; the last tile of an axis may be shorter."""
    variables: tuple[str, ...]
    """`<group>/<variable>`, the order of the last axis."""

    @property
    def counts(self) -> tuple[int, int, int]:
        """Number of tiles along time, lat, lon."""
        t, y, x = (-(-n // step) for n, step in zip(self.shape, self.tile, strict=True))
        return t, y, x

    @property
    def tile_shape(self) -> tuple[int, int, int, int]:
        """Shape of a whole tile (time, lat, lon, variable)."""
        return (*self.tile, len(self.variables))

    @property
    def tile_bytes(self) -> int:
        """Size of a whole tile in memory, bytes."""
        return int(np.prod(self.tile_shape)) * 4

    def bounds(self, index: int) -> tuple[slice, slice, slice]:
        """Return what the tile number `index` covers along time, lat, lon."""
        where = np.unravel_index(index, self.counts)
        t, y, x = (
            slice(int(i) * step, min(n, (int(i) + 1) * step))
            for i, step, n in zip(where, self.tile, self.shape, strict=True)
        )
        return t, y, x


class GridSource(Protocol):
    """The gridded daily variables of one snapshot of a cube; it pickles as a reference, without values."""

    @property
    def grid(self) -> TileGrid: ...  # noqa: D102
    @property
    def snapshot(self) -> str: ...  # noqa: D102
    @property
    def first_day(self) -> int:
        """Days from 1970-01-01 to the first row; rows are consecutive days."""
        ...

    @property
    def available(self) -> NDArray[np.int64]:
        """When each value became known (time, variable), ns since 1970; the largest int64 for never."""
        ...

    def read(self, index: int) -> Values:
        """Return the tile number `index` (time, lat, lon, variable); NaN is missing."""
        ...


class Tiles(Protocol):
    """Where windows are gathered from."""

    @property
    def source(self) -> GridSource: ...  # noqa: D102
    @property
    def capacity(self) -> int:
        """How many tiles may be asked for at once."""
        ...

    def take(self, indices: Sequence[int]) -> Mapping[int, Values]:
        """Return tiles by number; valid until the next call."""
        ...


class TileMemory:
    """Tiles as they are asked for; what was used longest ago makes room when `budget_bytes` are full.

    With a budget that holds all tiles in use, each chunk of the store is read and decoded once. Each process
    has its own memory: give every loader worker its part of the budget. `tiles_read` counts.

    Raises
    ------
    ValueError
        If the budget does not hold a single tile.
    """

    def __init__(self, source: GridSource, budget_bytes: int) -> None:
        self.source = source
        self.budget_bytes = budget_bytes
        self.capacity = budget_bytes // source.grid.tile_bytes
        self.tiles_read = 0
        self._held: OrderedDict[int, Values] = OrderedDict()
        if self.capacity < 1:
            raise ValueError(
                f"budget of {budget_bytes} bytes: expected room for one tile, {source.grid.tile_bytes} bytes"
            )

    def take(self, indices: Sequence[int]) -> Mapping[int, Values]:
        """Return tiles by number, reading those that are not held, several at a time."""
        wanted = dict.fromkeys(indices)
        if len(wanted) > self.capacity:
            raise ValueError(f"expected at most {self.capacity} tiles at once, found {len(wanted)}")
        for index in wanted:
            if index in self._held:
                self._held.move_to_end(index)
        missing = [index for index in wanted if index not in self._held]
        while len(self._held) + len(missing) > self.capacity:
            self._held.popitem(last=False)
        self.tiles_read += len(missing)
        for index, values in _read(self.source, missing):
            self._held[index] = values
        return self._held

    def __getstate__(self) -> dict[str, object]:
        """Leave the values behind: a worker process reads its own."""
        return {"source": self.source, "budget_bytes": self.budget_bytes}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Start empty."""
        self.__init__(**state)  # type: ignore[misc]


class TileFile:
    """All tiles of a snapshot in one memory-mapped file that every process shares; made by `map_tiles`."""

    def __init__(self, source: GridSource, path: Path) -> None:
        self.source = source
        self.path = path
        self.capacity = int(np.prod(source.grid.counts))
        shape = (self.capacity, *source.grid.tile_shape)
        expected = int(np.prod(shape)) * 4
        found = path.stat().st_size
        if found != expected:
            raise ValueError(f"{path}: expected {expected} bytes, found {found}; remove the file")
        self._values: Values = np.memmap(path, dtype=np.float32, mode="r", shape=shape)

    def take(self, indices: Sequence[int]) -> Mapping[int, Values]:
        """Return views of tiles by number; padding of the last tile of an axis is NaN."""
        return {index: self._values[index] for index in indices}

    def __getstate__(self) -> dict[str, object]:
        """Pickle the name of the file, not its content."""
        return {"source": self.source, "path": self.path}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Map the file again."""
        self.__init__(**state)  # type: ignore[misc]


def map_tiles(
    source: GridSource,
    folder: Path,
    budget_bytes: int,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> TileFile:
    """Return the memory-mapped tiles of `source` below `folder`, written there on the first call for a snapshot.

    The file is native float32 (tile, time, lat, lon, variable), named by snapshot and a digest of the tile grid,
    and complete or not there: it is written under another name, synced and renamed. The three files used last stay;
    who has another one mapped keeps its content.

    Parameters
    ----------
    budget_bytes : int
        Largest file allowed; with less, use `TileMemory`.
    progress : function of (tiles written, tiles in all), optional

    Raises
    ------
    ValueError
        If the tiles need more than the budget.
    """
    grid = source.grid
    count = int(np.prod(grid.counts))
    needed = count * grid.tile_bytes
    if needed > budget_bytes:
        raise ValueError(
            f"snapshot {source.snapshot!r}: its tiles need {needed} bytes, the budget is {budget_bytes}"
        )
    path = folder / f"{source.snapshot}-{hashlib.sha256(repr(grid).encode()).hexdigest()[:12]}{SUFFIX}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                for done, index in enumerate(range(0, count, READ_THREADS), 1):
                    for _, values in _read(source, range(index, min(count, index + READ_THREADS))):
                        _padded(values, grid.tile_shape).tofile(file)
                    if progress is not None:
                        progress(min(count, done * READ_THREADS), count)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    os.utime(path, (time.time(), path.stat().st_mtime))
    for old in sorted(folder.glob(f"*{SUFFIX}"), key=lambda file: file.stat().st_atime)[:-KEPT_FILES]:
        old.unlink(missing_ok=True)
    return TileFile(source, path)


def forget_tiles(folder: Path, snapshots: Iterable[str]) -> list[Path]:
    """Remove the tile files of `snapshots` below `folder`, and what was left unfinished; return what went.

    A file that was written to in the last hour is not taken for unfinished. Who has a file mapped keeps its content.
    """
    gone = [path for snapshot in snapshots for path in sorted(folder.glob(f"{snapshot}-*{SUFFIX}"))]
    gone += [p for p in sorted(folder.glob(".*.part")) if p.stat().st_mtime < time.time() - 3600]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def _read(source: GridSource, indices: Sequence[int]) -> Iterable[tuple[int, Values]]:
    if len(indices) < 2:
        return [(index, source.read(index)) for index in indices]
    with ThreadPoolExecutor(min(READ_THREADS, len(indices)), "tiles") as pool:
        return list(zip(indices, pool.map(source.read, indices), strict=True))


def _padded(values: Values, shape: tuple[int, ...]) -> Values:
    if values.shape == shape:
        return np.ascontiguousarray(values)
    whole = np.full(shape, np.nan, np.float32)
    whole[tuple(slice(0, n) for n in values.shape)] = values
    return whole
