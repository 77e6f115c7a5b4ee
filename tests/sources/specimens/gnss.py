"""Forty days of three stations with millimetres of scatter, and a minute of 1 Hz."""

import io
import json
import tarfile
from pathlib import Path
from typing import Final

import numpy as np
import obspy

from tests.sources.services.servers.gnss import pos, tenv3
from tests.sources.specimens.specimen import Specimen

DAYS: Final = 40
START: Final = "2019-06-10"
SITES: Final = {"P570": (35.67, -118.26), "P573": (36.09, -118.10), "P091": (35.5, -117.4)}


def motion(site: str) -> np.ndarray:
    """East, north, up (n, 3) m: a rate, scatter, and a step of an earthquake."""
    rng = np.random.default_rng(sum(map(ord, site)))
    east_north_up = np.outer(np.arange(DAYS), [1e-5, -2e-5, 3e-6])
    east_north_up += rng.normal(0, [0.0015, 0.0015, 0.006], (DAYS, 3))
    east_north_up[26:] += [0.03, -0.02, 0.005]
    return east_north_up - east_north_up[0]


def write_tenv3(folder: Path, factor: float = 1.0) -> None:
    for site, (_, longitude) in SITES.items():
        _put(folder / f"data/{site}.tenv3", tenv3(site, START, factor * motion(site), longitude))


def write_pos(folder: Path, factor: float = 1.0) -> None:
    for site, (latitude, longitude) in SITES.items():
        text = pos(
            site, START, factor * motion(site), ["final"] * DAYS, "20190801 000000", (latitude, longitude % 360, 715.0)
        )  # fmt: skip
        _put(folder / f"data/{site}.pos", text)


def write_cwu(folder: Path, factor: float = 1.0) -> None:
    lines = ["PBO Velocity file", "*Dot#     Name           Ref_epoch"]
    for site, (latitude, longitude) in SITES.items():
        lines.append(
            f" {site} Somewhere       20231227120000 60305.5000 -2.0 -5.0 3.0 {latitude} {longitude % 360} 815.5 0.1"
        )
        rows = [
            f"{np.datetime64(START) + k},{n * 1000 * factor:.2f},{e * 1000 * factor:.2f},{u * 1000 * factor:.2f}"
            for k, (e, n, u) in enumerate(motion(site))
        ]
        head = "Date, North (mm), East (mm), Vertical (mm)"
        _put(folder / f"data/position.{site}.cwu.nam14.csv", "\n".join([head, *rows]) + "\n")
    _put(folder / "data/cwu.final_nam14.vel", "\n".join(lines) + "\n")


def write_geonet(folder: Path, factor: float = 1.0) -> None:
    places = {
        site: {"latitude": lat, "longitude": lon, "elevation": 810} for site, (lat, lon) in SITES.items()
    }
    _put(folder / "data/stations.json", json.dumps({"domain": {"gnss": {"station": places}}}))
    head = "station,name,sensorCode,method,aspect,timestamp,value,error,unit"
    for site in SITES:
        for column, component in enumerate(("east", "north", "up")):
            rows = [
                f"{site},displacement,nil,1d,{component},{np.datetime64(START) + k}T12:00:00.000Z,{value * factor:.5f},"
                f"{0.0015 * factor:.5f},m"
                for k, value in enumerate(motion(site)[:, column])
            ]
            _put(folder / f"data/{site}.{component}.2019.csv", "\n".join([head, *rows]) + "\n")


def write_highrate(folder: Path, factor: float = 1.0) -> None:
    lines = ["#net sta loc chan lat lon elev samplerate gain units sensortype"]
    folder = folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    with tarfile.open(folder / "event.geodetic.mseed.tar.gz", "w:gz") as tar:
        for site, (latitude, longitude) in SITES.items():
            for channel in ("LXE", "LXN", "LXZ"):
                lines.append(f"PW {site} -- {channel} {latitude} {longitude} 700 1 1e6 m GNSS")
                metres = factor * (rng.normal(0, 0.004, 60) + np.linspace(0, 0.2, 60))
                header = {
                    "network": "PW", "station": site, "channel": channel, "sampling_rate": 1.0,
                    "starttime": obspy.UTCDateTime("2019-07-06T03:19:00"),
                }  # fmt: skip
                body = io.BytesIO()
                trace = obspy.Trace((metres * 1e6).astype(np.float32), header)
                trace.write(body, format="MSEED", reclen=512, encoding="FLOAT32")
                member = tarfile.TarInfo(f"mseed/{site}.{channel}.mseed")
                member.size = len(body.getvalue())
                tar.addfile(member, io.BytesIO(body.getvalue()))
    _put(folder / "event.geodetic.dat", "\n".join(lines) + "\n")


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


SPECIMENS: Final = {
    "tenv3": Specimen("gnss", write_tenv3, confused={"mm for m": lambda f: write_tenv3(f, 1000.0)}),
    "pos": Specimen("gnss", write_pos, confused={"mm for m": lambda f: write_pos(f, 1000.0)}),
    "cwu_csv": Specimen("gnss", write_cwu, confused={"micrometres for mm": lambda f: write_cwu(f, 1000.0)}),
    "geonet": Specimen("gnss", write_geonet, confused={"mm for m": lambda f: write_geonet(f, 1000.0)}),
    "gnss_mseed": Specimen(
        "gnss_highrate", write_highrate, confused={"gain of mm": lambda f: write_highrate(f, 1000.0)}
    ),
}
