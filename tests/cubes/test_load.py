"""A cube larger than memory shows, through the door, what the same cube in memory shows."""

from pathlib import Path

import numpy as np
import pytest

from fusion_models.data.asof import as_of, view_digest
from fusion_models.data.maps import TiledMaps
from fusion_models.data.tiles import TileFile, TileMemory
from tasks.cubes.build import Read, build_groups
from tasks.cubes.load import load_cube
from tasks.cubes.store import CubeRef, CubeStore
from tasks.regions import Region


@pytest.fixture
def written(region: Region, read: Read, tmp_path: Path) -> CubeRef:
    return CubeStore(tmp_path, region.name).write(build_groups(region, read), "one")


@pytest.mark.parametrize("in_files", [True, False])
def test_maps_in_tiles_are_the_maps_in_memory(
    in_files: bool, written: CubeRef, region: Region, tmp_path: Path
) -> None:
    held = load_cube(written, region)
    tiled = load_cube(written, region, memory_bytes=1, tiles_folder=tmp_path / "tiles" if in_files else None)

    assert held.tiles is None
    assert isinstance(tiled.tiles, TileFile if in_files else TileMemory)
    assert isinstance(tiled.daily["strain"].variables["shear_rate"][1], TiledMaps)
    first, last = region.window
    for moment in np.linspace(first.astype(int), last.astype(int), 7).astype("datetime64[ns]"):
        assert view_digest(as_of(tiled, moment), 60, 8) == view_digest(as_of(held, moment), 60, 8)


def test_maps_that_do_not_fit_on_the_disk_are_refused(
    written: CubeRef, region: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(ValueError, match=r"tiles need \d+ bytes, the budget is 100"):
        load_cube(written, region, memory_bytes=1, tiles_folder=tmp_path / "tiles")
