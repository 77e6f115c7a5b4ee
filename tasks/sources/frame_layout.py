"""The folder layout of COMET LiCSAR frames: look vectors in `metadata/`, a folder for each pair on their grid."""

from pathlib import Path

import numpy as np

from tasks.regions import Region
from tasks.sources.contract import SourceDataInvalid, SourceMissing
from tasks.sources.rasters import Raster, read_raster


def read_look(folder: Path, region: Region) -> tuple[Raster | None, Raster | None, Raster | None, str, Path]:
    """Return the frame's look vectors east, north, up inside the region, its name, and the first of the three files.

    Raises
    ------
    SourceMissing
        If there are no look vectors.
    SourceDataInvalid
        If the three are not on one grid.
    """
    first = next(iter(sorted(folder.glob("metadata/*.geo.E.tif"))), None)
    if first is None:
        raise SourceMissing(f"{folder}: expected look vectors in metadata/<track>.geo.E.tif, found none")
    track = first.name.removesuffix(".geo.E.tif")
    paths = [first.with_name(f"{track}.geo.{letter}.tif") for letter in "ENU"]
    east, north, up = (read_raster(path, region.bounds) for path in paths)
    for path, part in zip(paths, (east, north, up), strict=True):
        if part is not None and east is not None:
            on_grid(path, part, east)
    return east, north, up, track, first


def on_grid(path: Path, raster: Raster | None, reference: Raster) -> np.ndarray:
    """Return the values if the raster lies on the reference's pixels (neighbouring pairs can be off by one).

    Raises
    ------
    SourceDataInvalid
        If it does not.
    """
    if raster is None or raster.values.shape != reference.values.shape:
        found = "nothing there" if raster is None else f"{raster.values.shape}"
        raise SourceDataInvalid(
            path, f"the look vectors' {reference.values.shape} pixels in the region", found
        )
    tolerance = 0.01 * abs(float(reference.lat[-1] - reference.lat[0])) / max(1, reference.lat.size - 1)
    offset = max(abs(raster.lat[0] - reference.lat[0]), abs(raster.lon[0] - reference.lon[0]))
    if offset > tolerance:
        raise SourceDataInvalid(path, "the look vectors' grid", f"one that is {offset:.2g} degree away")
    return raster.values
