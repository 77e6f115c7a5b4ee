"""One uplift, written as each provider would have written it: its files, grid, unit, sign and look vector."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import transform, transform_bounds

WAVELENGTH = 299_792_458.0 / 5.405e9
RADIAN = WAVELENGTH / (4 * np.pi)
BOX = (-118.1, 34.9, -116.9, 36.1)
UTM = "EPSG:32611"
ASCENDING = (-0.62, -0.11, float(np.sqrt(1 - 0.62**2 - 0.11**2)))
DESCENDING = (0.63, -0.11, float(np.sqrt(1 - 0.63**2 - 0.11**2)))


def uplift(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Return metres up: 5 cm everywhere and 10 cm more in the middle of the region."""
    return 0.05 + 0.1 * np.exp(-((lat - 35.5) ** 2 + (lon + 117.5) ** 2) / 0.2**2)


class Scene(NamedTuple):
    """Where the satellite is (unit vector ground to satellite), when it came, and how far the ground rose."""

    look: tuple[float, float, float] = ASCENDING
    start: str = "20190628"
    time: str = "20190710"
    factor: float = 1.0

    def los(self, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
        return self.factor * self.look[2] * uplift(lat, lon)

    @property
    def incidence(self) -> float:
        return float(np.degrees(np.arccos(self.look[2])))

    @property
    def azimuth(self) -> float:
        """Degrees anticlockwise from east, ground to satellite."""
        return float(np.degrees(np.arctan2(self.look[1], self.look[0])))


def degrees(step: float = 0.01, box: tuple[float, ...] = BOX) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel centres, north first: (row, column) of latitude and longitude."""
    rows, columns = round((box[3] - box[1]) / step), round((box[2] - box[0]) / step)
    lat = box[3] - (np.arange(rows) + 0.5) * step
    lon = box[0] + (np.arange(columns) + 0.5) * step
    grid = np.meshgrid(lat, lon, indexing="ij")
    return grid[0], grid[1]


def metres(step: float = 1000.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x (column), y (row) descending in UTM 11 N over the box, and (row, column) latitude and longitude."""
    west, south, east, north = transform_bounds("EPSG:4326", UTM, *BOX)
    x = np.arange(west + shift, east, step)
    y = np.arange(north + shift, south, -step)
    xx, yy = np.meshgrid(x, y)
    lon, lat = transform(UTM, "EPSG:4326", xx.ravel(), yy.ravel())
    return x, y, np.reshape(lat, xx.shape), np.reshape(lon, xx.shape)


def write_tif(
    path: Path,
    bands: np.ndarray,
    west: float,
    north: float,
    step: float,
    crs: str,
    nodata: float | None = None,
) -> Path:
    """Write (band, row, column) or (row, column); `west` and `north` are outer edges."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = bands if bands.ndim == 3 else bands[None]
    profile = {
        "driver": "GTiff", "count": values.shape[0], "height": values.shape[1], "width": values.shape[2],
        "dtype": values.dtype, "crs": crs, "transform": from_origin(west, north, step, step), "nodata": nodata,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
    return path


def write_licsar(folder: Path, scene: Scene, dtype: str = "uint8", center_time: str = "13:52:07.5") -> Path:
    """Write a frame with one pair; the north-western corner has no data."""
    lat, lon = degrees()

    def put(name: str, values: np.ndarray) -> Path:
        return write_tif(folder / name, values, BOX[0], BOX[3], 0.01, "EPSG:4326")

    for letter, part in zip("ENU", scene.look, strict=True):
        put(f"metadata/064A_05410_131313.geo.{letter}.tif", np.full(lat.shape, part, np.float32))
    (folder / "metadata/metadata.txt").write_text(
        f"master=20180101\ncenter_time={center_time}\nheading=-12\n"
    )
    pair = f"{scene.start}_{scene.time}"
    phase = (-scene.los(lat, lon) / RADIAN).astype(np.float32)
    phase[:20, :20] = 0
    coherence = np.full(lat.shape, 204 if dtype == "uint8" else 0.8, dtype)
    put(f"interferograms/{pair}/{pair}.geo.cc.tif", coherence)
    return put(f"interferograms/{pair}/{pair}.geo.unw.tif", phase)


def write_hyp3(folder: Path, scene: Scene, layer: str = "unw_phase", shift: float = 0.0) -> Path:
    """Write a product folder in UTM; the north-western corner has no data."""
    x, y, lat, lon = metres(shift=shift)
    name = f"S1AA_{scene.start}T135207_{scene.time}T135206_VVP012_INT80_G_ueF_1A2B"
    los = scene.los(lat, lon)
    values = (los if layer == "los_disp" else -los / RADIAN).astype(np.float32)
    values[:20, :20] = 0
    layers = {
        layer: values,
        "corr": np.full(lat.shape, 0.8, np.float32),
        "lv_theta": np.full(lat.shape, np.arcsin(scene.look[2]), np.float32),
        "lv_phi": np.full(lat.shape, np.radians(scene.azimuth), np.float32),
    }
    for key, array in layers.items():
        path = folder / name / f"{name}_{key}.tif"
        write_tif(path, array, x[0] - 500, y[0] + 500, 1000.0, UTM, nodata=0.0)
    return folder / name / f"{name}_{layer}.tif"


def write_aria(
    folder: Path,
    scene: Scene,
    box: tuple[float, float, float, float] = BOX,
    serial: str = "0001",
    incidence_gradient: float = 0.0,
    constant: float = 0.0,
) -> Path:
    """Write a GUNW product; the north-western corner is of component 0 with a wrong phase, the next column fill."""
    lat, lon = degrees(box=box)
    orbit = "A" if scene.look[0] < 0 else "D"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"S1-GUNW-{orbit}-R-064-tops-{scene.time}_{scene.start}-135206-36003N_34001N-PP-{serial}-v2_0_6.nc"
    phase = ((scene.los(lat, lon) + constant) / RADIAN).astype(np.float32)
    component = np.ones(lat.shape, np.int16)
    phase[:20, :20], component[:20, :20] = 99.0, 0
    phase[:, -1] = -9999.0
    heights = np.array([-1500.0, 0.0, 3000.0])
    meta_lat, meta_lon = (
        np.linspace(box[3] + 0.2, box[1] - 0.2, 7),
        np.linspace(box[0] - 0.2, box[2] + 0.2, 6),
    )
    shape = (3, 7, 6)
    incidence = scene.incidence + incidence_gradient * np.broadcast_to(heights[:, None, None], shape)
    with h5py.File(folder / name, "w") as file:
        data = file.create_group("/science/grids/data")
        data["latitude"], data["longitude"] = lat[:, 0], lon[0]
        data["unwrappedPhase"] = phase
        data["unwrappedPhase"].attrs.update(_FillValue=np.float32(-9999.0), units="rad")
        data["coherence"] = np.full(lat.shape, 0.8, np.float32)
        data["connectedComponents"] = component
        geometry = file.create_group("/science/grids/imagingGeometry")
        geometry["heightsMeta"], geometry["latitudeMeta"], geometry["longitudeMeta"] = (
            heights,
            meta_lat,
            meta_lon,
        )
        geometry["incidenceAngle"] = incidence.astype(np.float32)
        geometry["azimuthAngle"] = np.full(shape, scene.azimuth, np.float32)
        file["/science/radarMetaData/wavelength"] = WAVELENGTH
    return folder / name


def write_opera(
    folder: Path, scene: Scene, produced: str = "20190714T010203", version: str = "1.0", frame: str = "F11116"
) -> Path:
    """Write a DISP product; the north-western corner is not recommended and holds a wrong value."""
    x, y, lat, lon = metres()
    folder.mkdir(parents=True, exist_ok=True)
    name = (
        f"OPERA_L3_DISP-S1_IW_{frame}_VV_{scene.start}T135207Z_{scene.time}T135206Z_v{version}_{produced}Z.nc"
    )
    values = scene.los(lat, lon).astype(np.float32)
    mask = np.ones(lat.shape, np.uint8)
    values[:20, :20], mask[:20, :20] = 9.0, 0
    values[-1], mask[-1] = np.nan, 255
    with h5py.File(folder / name, "w") as file:
        file["x"], file["y"] = x, y
        file["spatial_ref"] = np.int32(0)
        file["spatial_ref"].attrs["crs_wkt"] = CRS.from_user_input(UTM).to_wkt()
        file.create_dataset("displacement", data=values, chunks=(32, 32), compression="gzip")
        file["displacement"].attrs["units"] = "meters"
        file.create_dataset("recommended_mask", data=mask, chunks=(32, 32))
        file["temporal_coherence"] = np.full(lat.shape, 0.8, np.float32)
    look = np.stack([np.full(lat.shape, part, np.float32) for part in scene.look])
    write_tif(
        folder / f"OPERA_L3_DISP-S1-STATIC_{frame}_20140403_S1A_v1.0_line_of_sight_enu.tif",
        look, x[0] - 500, y[0] + 500, 1000.0, UTM,
    )  # fmt: skip
    return folder / name


def write_mintpy(path: Path, scene: Scene) -> Path:
    """Write a velocity that adds up to the uplift between the two days."""
    lat, lon = degrees()
    days = (np.datetime64(_iso(scene.time)) - np.datetime64(_iso(scene.start))).astype(int)
    with h5py.File(path, "w") as file:
        file["velocity"] = (scene.los(lat, lon) * 365.25 / days).astype(np.float32)
        std = np.full(lat.shape, 0.001, np.float32)
        std[:20, :20] = 0
        file["velocityStd"] = std
        file.attrs.update(
            X_FIRST=str(BOX[0]), X_STEP="0.01", Y_FIRST=str(BOX[3]), Y_STEP="-0.01", START_DATE=scene.start,
            END_DATE=scene.time, incidenceAngle=str(scene.incidence), azimuthAngle=str(scene.azimuth), UNIT="m/year",
        )  # fmt: skip
    return path


def _iso(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


class Writers(NamedTuple):
    """How each provider writes a scene into a folder, and what else a test needs of them."""

    scene: type[Scene] = Scene
    licsar: Callable[..., Path] = write_licsar
    hyp3: Callable[..., Path] = write_hyp3
    aria: Callable[..., Path] = write_aria
    opera: Callable[..., Path] = write_opera
    mintpy: Callable[..., Path] = write_mintpy
    tif: Callable[..., Path] = write_tif
    descending: tuple[float, float, float] = DESCENDING


@pytest.fixture(scope="session")
def write() -> Writers:
    return Writers()
