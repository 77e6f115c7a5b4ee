"""Positions that grow: files of a station that are written anew, side by side, or override each other."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Final

import numpy as np
import obspy

from tests.sources.services.servers.gnss import pos, tenv3
from tests.sources.specimens.specimen import put

SITES: Final = {"P570": (35.67, -118.26), "P573": (36.09, -118.10), "P091": (35.5, -117.4)}


def _motion(site: str, days: int) -> np.ndarray:
    rng = np.random.default_rng(sum(map(ord, site)))
    return rng.normal(0, [0.0015, 0.0015, 0.006], (60, 3))[:days]


def _days_of(site: str, stage: int) -> int:
    """Two stations say something new at each stage, one at the last only."""
    return 20 + 3 * (stage if site != "P091" else 2 * (stage == 2))


def tenv3_(folder: Path, stage: int) -> None:
    for site, (_, longitude) in SITES.items():
        put(
            folder / f"data/{site}.tenv3",
            tenv3(site, "2019-06-10", _motion(site, _days_of(site, stage)), longitude),
        )


def pos_(folder: Path, stage: int) -> None:
    """A final file that grows, and a rapid one beside it that begins earlier, or is replaced."""
    for site, (latitude, longitude) in SITES.items():
        n, place = _days_of(site, stage), (latitude, longitude % 360, 715.0)
        final = pos(site, "2019-06-12", _motion(site, n - 8), ["final"] * (n - 8), "20190801 000000", place)
        put(folder / f"data/{site}.cwu.final_igs14.pos", final)
        if stage > 0:
            rapid = pos(
                site, "2019-06-10", 0.001 + _motion(site, n), ["rapid"] * n, f"2019080{stage} 000000", place,
                shift=(0.01, 0.0, 0.0),
            )  # fmt: skip
            put(folder / f"data/{site}.cwu.rapid_igs14.pos", rapid)


def cwu_csv(folder: Path, stage: int) -> None:
    lines = ["PBO Velocity file", "*Dot#     Name           Ref_epoch"]
    for site, (latitude, longitude) in SITES.items():
        x, y, height = -2.0 - stage, -5.0, 815.5 + (stage == 2 and site == "P573")
        lines.append(
            f" {site} Somewhere       20231227120000 60305.5000 {x} {y} 3.0 {latitude} {longitude % 360} {height} 0.1"
        )
        motion = _motion(site, _days_of(site, stage)) * 1000
        rows = [
            f"{np.datetime64('2019-06-10') + k},{n:.2f},{e:.2f},{u:.2f}" for k, (e, n, u) in enumerate(motion)
        ]
        head = "Date, North (mm), East (mm), Vertical (mm)"
        put(folder / f"data/position.{site}.cwu.nam14.csv", "\n".join([head, *rows]) + "\n")
    put(folder / "data/cwu.final_nam14.vel", "\n".join(lines) + "\n")


def geonet(folder: Path, stage: int) -> None:
    """Settled years, the running period, and the latest days, which override; the summary is written anew."""
    places = {s: {"latitude": lat, "longitude": lon, "elevation": 810} for s, (lat, lon) in SITES.items()}
    places["AUCK"] = {"latitude": -36.6, "longitude": 174.8 + stage, "elevation": 100}
    put(folder / "data/stations.json", json.dumps({"domain": {"gnss": {"station": places}}}))
    head = "station,name,sensorCode,method,aspect,timestamp,value,error,unit"
    for site in ("P570", "P091"):
        n = _days_of(site, stage)
        for column, component in enumerate(("east", "north", "up")):
            values = _motion(site, n)[:, column]
            rows = [
                f"{site},displacement,nil,1d,{component},{np.datetime64('2019-06-10') + k}T12:00:00Z,{v:.5f},0.0015,m"
                for k, v in enumerate(values)
            ]
            older = [row.replace("2019-06", "2014-06") for row in rows[:4]]
            latest = [row.replace(",0.0015,", ",0.0040,") for row in rows[-5:]]
            for period, some in (("2014", older), ("2019", rows[:-3]), ("latest", latest)):
                put(folder / f"data/{site}.{component}.{period}.csv", "\n".join([head, *some]) + "\n")


def gnss_mseed(folder: Path, stage: int) -> None:
    """An event a stage; a station has two instruments in the second."""
    lines = ["#net sta loc chan lat lon elev samplerate gain units sensortype"]
    for event in range(stage + 1):
        rng = np.random.default_rng(event)
        path = folder / f"data/e{event}.geodetic.mseed.tar.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for site in list(SITES)[: 2 + event]:
                for network in ("PW", "AA")[: 1 + (event == 1)]:
                    for channel in ("LXE", "LXN", "LXZ"):
                        metres = rng.normal(0, 0.004, 60) + np.linspace(0, 0.2, 60)
                        header = {
                            "network": network, "station": site, "channel": channel, "sampling_rate": 1.0,
                            "starttime": obspy.UTCDateTime("2019-07-06T03:19:00") + 7200 * event,
                        }  # fmt: skip
                        body = io.BytesIO()
                        trace = obspy.Trace((metres * 1e6).astype(np.float32), header)
                        trace.write(body, format="MSEED", reclen=512, encoding="FLOAT32")
                        member = tarfile.TarInfo(f"mseed/{network}.{site}.{channel}.mseed")
                        member.size = len(body.getvalue())
                        tar.addfile(member, io.BytesIO(body.getvalue()))
        put(path, gzip.compress(buffer.getvalue(), mtime=0))
    for site, (latitude, longitude) in SITES.items():
        lines += [
            f"{network} {site} -- {channel} {latitude} {longitude} 700 1 1e6 m GNSS"
            for network in ("PW", "AA") for channel in ("LXE", "LXN", "LXZ")
        ]  # fmt: skip
    put(folder / "data/event.geodetic.dat", "\n".join(lines) + "\n")


WRITERS: Final = {
    "tenv3": tenv3_, "pos": pos_, "cwu_csv": cwu_csv, "geonet": geonet, "gnss_mseed": gnss_mseed,
}  # fmt: skip
