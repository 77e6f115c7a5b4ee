"""Interferograms and seismic records that grow: pairs of one day, chains, and records across midnight."""

import io
from pathlib import Path
from typing import Final

import numpy as np
import obspy

from tasks.sources.sds import DayFile
from tests.sources.insar import conftest as scenes
from tests.sources.services.servers.fdsn import inventory_of, noise
from tests.sources.specimens.specimen import put

PAIRS: Final = (
    (("20190604", "20190628"), ("20190616", "20190628")),
    (("20190628", "20190710"),),
    (("20190616", "20190710"), ("20190710", "20190722"), ("20190520", "20190604")),
)


def _scenes(stage: int) -> list[scenes.Scene]:
    return [scenes.Scene(start=s, time=t, factor=1 + 0.1 * k) for k, (s, t) in enumerate(PAIRS[stage])]


def los_geotiff(folder: Path, stage: int) -> None:
    lat, lon = scenes.degrees(0.04)
    box, data = scenes.BOX, folder / "data"
    if stage == 0:
        for letter, part in zip("ENU", scenes.ASCENDING, strict=True):
            values = np.full(lat.shape, part, np.float32)
            scenes.write_tif(
                data / f"metadata/a064.geo.{letter}.tif", values, box[0], box[3], 0.04, "EPSG:4326"
            )
    for scene in _scenes(stage):
        pair = f"{scene.start}_{scene.time}"
        los = scene.los(lat, lon).astype(np.float32)
        scenes.write_tif(
            data / f"interferograms/{pair}/{pair}.geo.los.tif", los, box[0], box[3], 0.04, "EPSG:4326"
        )


def licsar(folder: Path, stage: int) -> None:
    for scene in _scenes(stage):
        scenes.write_licsar(folder / "data", scene)


def hyp3(folder: Path, stage: int) -> None:
    for scene in _scenes(stage):
        scenes.write_hyp3(folder / "data", scene)


def aria(folder: Path, stage: int) -> None:
    """Scenes of the south come first, those of the north a stage later: the lattice is that of the first one."""
    for scene in _scenes(stage):
        scenes.write_aria(folder / "data", scene, box=(-118.1, 34.9, -116.9, 35.6), serial="0001")
    if stage > 0:
        for scene in (*_scenes(stage), *_scenes(stage - 1)):
            scenes.write_aria(
                folder / "data", scene, box=(-118.1, 35.3, -116.9, 36.1), serial="0002", constant=0.3
            )


def opera(folder: Path, stage: int) -> None:
    """Products whose reference moves on; a link that comes late, and a product that is made anew."""
    made = {
        0: (("20190101", "20190125", "20190301T010203"), ("20190125", "20190218", "20190301T010203")),
        1: (("20190125", "20190302", "20190401T010203"), ("20190302", "20190326", "20190501T010203")),
        2: (("20181201", "20190101", "20190601T010203"), ("20190125", "20190218", "20190701T010203")),
    }  # fmt: skip
    for k, (start, time, produced) in enumerate(made[stage]):
        scene = scenes.Scene(start=start, time=time, factor=1 + 0.1 * k + stage)
        scenes.write_opera(folder / "data", scene, produced=produced)
    if stage == 1:
        scene = scenes.Scene(start="20190125", time="20190218")
        scenes.write_opera(folder / "data", scene, produced="20190401T010203", frame="F11117")


CODES: Final = [f"CI.{station}..BH{letter}" for station in ("CLC", "WCS2") for letter in "ZNE"]


def _mseed(*traces: obspy.Trace) -> bytes:
    body = io.BytesIO()
    obspy.Stream(list(traces)).write(body, format="MSEED", reclen=512)
    return body.getvalue()


def miniseed(folder: Path, stage: int) -> None:
    """Channels that come late, and a station of which the metadata do."""
    stations = [("CLC", 0), ("WCS2", 1)]
    for station, since in stations:
        if stage >= since:
            (folder / "data/stations").mkdir(parents=True, exist_ok=True)
            own = [code for code in CODES if f".{station}." in code]
            path = folder / f"data/stations/CI.{station}.xml"
            if not path.exists():
                inventory_of(own).write(str(path), format="STATIONXML")
    for event in range(stage + 1):
        late = 2 if event == stage == 1 else 3
        for code in (c for c in CODES if c[-1] in "ZNE"[:late]):
            put(
                folder / f"data/ev{event}/{code}.mseed",
                _mseed(noise(code, f"2019-07-0{4 + event}T03:19:23", 130)),
            )


def sds(folder: Path, stage: int) -> None:
    """Days with records across both midnights; of the last day a part at first."""
    if stage == 0:
        (folder / "data/stations").mkdir(parents=True)
        for station in ("CLC", "WCS2"):
            own = [code for code in CODES if f".{station}." in code]
            inventory_of(own, rate=20.0).write(
                str(folder / f"data/stations/CI.{station}.xml"), format="STATIONXML"
            )
    for code in (code for code in CODES if code.endswith("Z")):
        whole = noise(code, "2019-07-05T22:00:00.3", 3 * 86_400)
        for day in ("2019-07-05", "2019-07-06", "2019-07-07")[: 1 + stage + (code[3] == "C")]:
            start = obspy.UTCDateTime(day)
            hours = 5 if stage == 0 else 24
            trace = whole.slice(start, start + hours * 3600 - 0.01) if day != "2019-07-05" else whole.slice(
                start, start + 86_400 - 0.01
            )  # fmt: skip
            network, station, location, channel = code.split(".")
            name = DayFile(f"{network}.{station}", location, channel, np.datetime64(day, "D")).name
            put(folder / "data" / name, _mseed(trace))


WRITERS: Final = {
    "los_geotiff": los_geotiff, "licsar": licsar, "hyp3": hyp3, "aria": aria, "opera": opera, "miniseed": miniseed,
    "sds": sds,
}  # fmt: skip
