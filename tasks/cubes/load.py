"""A stored cube behind the as-of door: in memory if it fits, else with its maps in tiles."""

import shutil
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from fusion_models.data.asof import CubeData
from fusion_models.data.tiles import TileMemory, Tiles, map_tiles
from tasks.cubes.gridded import GridReader, is_gridded
from tasks.cubes.store import CubeRef, open_cube
from tasks.regions import Region

MEMORY_BYTES: Final = 4 << 30


def load_cube(
    ref: CubeRef, region: Region, *, memory_bytes: int = MEMORY_BYTES, tiles_folder: Path | None = None
) -> CubeData:
    """Return the cube `ref` behind the as-of door.

    Groups that fit are loaded, because a forked process hangs on the first read of an Icechunk store. The daily maps
    of a larger cube are read as they are asked for.

    Parameters
    ----------
    memory_bytes : int
        What daily maps may take. More of them are mapped from files below `tiles_folder`, or, where none is given,
        kept as they are read, those used longest ago making room.

    Raises
    ------
    UnknownSnapshot
        If there is no such cube.
    LeakError
        If a group's time stamps show that it looks ahead.
    ValueError
        If `ref` is the cube of another region, or its maps do not fit on the disk.
    """
    if ref.region != region.store_name:
        raise ValueError(f"expected a cube of region {region.store_name!r}, found one of {ref.region!r}")
    groups = open_cube(ref)
    maps = [name for name, group in groups.items() if is_gridded(group)]
    tiles: Tiles | None = None
    if sum(groups[name].nbytes for name in maps) > memory_bytes:
        source = GridReader(ref, maps)
        if tiles_folder is None:
            tiles = TileMemory(source, max(memory_bytes, source.grid.tile_bytes))
        else:
            tiles_folder.mkdir(parents=True, exist_ok=True)
            tiles = map_tiles(source, tiles_folder, shutil.disk_usage(tiles_folder).free)
    return CubeData(
        groups={
            name: group if tiles is not None and name in maps else group.load()
            for name, group in groups.items()
        },
        latitudes=np.asarray(region.latitudes),
        longitudes=np.asarray(region.longitudes),
        resolution_deg=region.resolution_deg,
        region=region.name,
        snapshot=ref.snapshot,
        tiles=tiles,
    )


def load_group(ref: CubeRef, group: str) -> xr.Dataset:
    """Return one group of the cube `ref`, loaded.

    Raises
    ------
    UnknownSnapshot
        If there is no such cube.
    KeyError
        If it has no such group.
    """
    return open_cube(ref)[group].load()
