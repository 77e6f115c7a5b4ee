"""A small region of a large scene costs the memory of the region."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin

PIXELS = 4000
LIMIT_MIB = 64

# The peak that the process adds to what its imports and a first read of a tiny file need: GDAL's and HDF5's memory too.
PROBE = """
import sys
from pathlib import Path
import numpy as np
from tasks.regions import Bounds
from tasks.sources.hdf5 import open_product
from tasks.sources.rasters import read_raster
from tasks.sources.warping import Grid, read_onto, warp_array

kind, tiny, large = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
box = Bounds(south=35.5, north=35.6, west=-117.6, east=-117.5)
axis = (np.arange(100) + 0.5) * 0.001
grid = Grid(box.south + axis, box.west + axis, 0.001)

def read(path):
    if kind == "degrees":
        return read_raster(path, box).values
    if kind == "utm":
        return read_onto(path, grid, nodata=0.0)
    with open_product(path) as product:
        x, y = product.coordinate("x"), product.coordinate("y")
        crs = product.text("spatial_ref", "crs_wkt")
        layer = lambda r, c: product.layer("displacement", r, c, (y.size, x.size))
        return warp_array(path, layer, x, y, crs, grid)

def peak_kib():
    # not ru_maxrss: a child inherits that of its parent
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

read(tiny)
before = peak_kib()
values = read(large)
assert values.shape == (100, 100) and (values == 1).all(), values
print((peak_kib() - before) / 1024)
"""


def write_geotiff(
    path: Path, pixels: int, crs: str, corner: tuple[float, float], step: float, tiled: bool
) -> None:
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256} if tiled else {}
    with rasterio.open(
        path, "w", driver="GTiff", width=pixels, height=pixels, count=1, dtype="float32", crs=crs, nodata=0,
        transform=from_origin(*corner, step, step), compress="deflate", zlevel=1, **tiles,
    ) as file:  # fmt: skip
        file.write(np.ones((pixels, pixels), np.float32), 1)


def write_netcdf(path: Path, pixels: int, corner: tuple[float, float], step: float) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = corner[0] + (np.arange(pixels) + 0.5) * step
        file["y"] = corner[1] - (np.arange(pixels) + 0.5) * step
        file["spatial_ref"] = 0
        file["spatial_ref"].attrs["crs_wkt"] = CRS.from_user_input("EPSG:32611").to_wkt()
        chunks = (min(256, pixels),) * 2
        file.create_dataset(
            "displacement", data=np.ones((pixels, pixels), np.float32), chunks=chunks, compression=1
        )


@pytest.mark.parametrize(
    ("kind", "tiled"),
    [("degrees", True), ("degrees", False), ("utm", True), ("utm", False), ("netcdf", True)],
)
def test_a_small_region_of_a_large_scene_takes_little_memory(tmp_path, kind, tiled):
    tiny, large = tmp_path / "tiny", tmp_path / "large"
    for path, pixels in ((tiny, 300), (large, PIXELS)):
        if kind == "degrees":
            write_geotiff(path, pixels, "EPSG:4326", (-117.7, 35.7), 0.001, tiled)
        elif kind == "utm":
            # 30 m pixels, the region in the middle of the north-western part
            write_geotiff(path, pixels, "EPSG:32611", (440_000.0, 3_945_000.0), 30.0, tiled)
        else:
            write_netcdf(path, pixels, (440_000.0, 3_945_000.0), 30.0)
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, kind, str(tiny), str(large)],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert float(answer.stdout) < LIMIT_MIB, f"{answer.stdout} MiB"
