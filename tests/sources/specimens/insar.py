"""One uplift as each provider of interferograms writes it, and a context raster."""

import gzip
from pathlib import Path
from typing import Final

import numpy as np

from tests.sources.insar import conftest as scenes
from tests.sources.specimens.specimen import Specimen

Scene = scenes.Scene


def los_geotiff(folder: Path, factor: float = 1.0) -> None:
    lat, lon = scenes.degrees(0.02)
    box, data = scenes.BOX, folder / "data"
    for letter, part in zip("ENU", scenes.ASCENDING, strict=True):
        values = np.full(lat.shape, part, np.float32)
        scenes.write_tif(data / f"metadata/a064.geo.{letter}.tif", values, box[0], box[3], 0.02, "EPSG:4326")
    for start, time in (("20190616", "20190628"), ("20190628", "20190710")):
        pair = f"{start}_{time}"
        stem = data / f"interferograms/{pair}/{pair}.geo"
        los = Scene(factor=factor).los(lat, lon).astype(np.float32)
        coherence = np.full(lat.shape, 204, np.uint8)
        for layer, values in (("los", los), ("cc", coherence)):
            scenes.write_tif(Path(f"{stem}.{layer}.tif"), values, box[0], box[3], 0.02, "EPSG:4326")


def quadtree(folder: Path, factor: float = 1.0) -> None:
    lat, lon = (grid[::6, ::6].ravel() for grid in scenes.degrees(0.01))
    los = Scene(factor=factor).los(lat, lon) * 1000.0
    look = " ".join(f"{part:.5f}" for part in scenes.ASCENDING)
    rows = [f"{x:.5f} {y:.5f} 700.0 {look} {d:.3f} 1.0" for x, y, d in zip(lon, lat, los, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "t64.lltnde").write_text("\n".join(rows) + "\n")


def mintpy(folder: Path, factor: float = 1.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    scenes.write_mintpy(folder / "velocity_a064.h5", Scene(factor=factor))


def licsar(folder: Path, factor: float = 1.0) -> None:
    scenes.write_licsar(folder / "data", Scene(factor=factor))


def hyp3(folder: Path, factor: float = 1.0) -> None:
    scenes.write_hyp3(folder / "data", Scene(factor=factor))


def aria(folder: Path, factor: float = 1.0) -> None:
    scenes.write_aria(folder / "data", Scene(factor=factor))


def opera(folder: Path, factor: float = 1.0) -> None:
    scenes.write_opera(folder / "data", Scene(factor=factor))


def raster(folder: Path, factor: float = 1.0) -> None:
    lat, lon = scenes.degrees(0.02)
    values = (factor * (900 + 400 * np.sin(20 * lat) * np.cos(20 * lon))).astype(np.float32)
    path = scenes.write_tif(folder / "elevation.tif", values, scenes.BOX[0], scenes.BOX[3], 0.02, "EPSG:4326")
    (folder / "elevation.flt.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()


SPECIMENS: Final = {
    "los_geotiff": Specimen("insar", los_geotiff, confused={"mm for m": lambda f: los_geotiff(f, 1000.0)}),
    "quadtree": Specimen(
        "insar", quadtree, "t64.lltnde", {"time_start": "2019-07-04", "time": "2019-07-10"},
        confused={"micrometres for mm": lambda f: quadtree(f, 1000.0)},
    ),
    "mintpy": Specimen(
        "insar", mintpy, "velocity_a064.h5", confused={"mm for m": lambda f: mintpy(f, 1000.0)}
    ),
    "licsar": Specimen("insar", licsar, confused={"mm for radians": lambda f: licsar(f, 1000.0)}),
    "hyp3": Specimen("insar", hyp3, options={"step_deg": 0.02}, confused={"mm for radians": lambda f: hyp3(f, 1000.0)}),
    "aria": Specimen("insar", aria, confused={"mm for radians": lambda f: aria(f, 1000.0)}),
    "opera": Specimen("insar", opera, options={"step_deg": 0.02}, confused={"mm for m": lambda f: opera(f, 1000.0)}),
    "raster": Specimen(
        "static", raster, "elevation.flt.gz", {"variable": "elevation"}, 0.0,
        {"mm for m": lambda f: raster(f, 1000.0)},
    ),
}  # fmt: skip
