"""Two minutes of three channels, as event records and in an SDS archive."""

import io
from pathlib import Path
from typing import Final

import obspy

from tasks.sources.sds import DayFile
from tests.sources.services.servers.fdsn import inventory_of, noise
from tests.sources.specimens.specimen import Specimen

CODES: Final = [f"CI.{station}..BH{letter}" for station in ("CLC", "WCS2") for letter in "ZNE"]


def _packed(code: str, start: str, seconds: float) -> bytes:
    body = io.BytesIO()
    obspy.Stream([noise(code, start, seconds)]).write(body, format="MSEED", reclen=512)
    return body.getvalue()


def _metadata(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for station in ("CLC", "WCS2"):
        own = [code for code in CODES if f".{station}." in code]
        inventory_of(own).write(str(folder / f"CI.{station}.xml"), format="STATIONXML")


def miniseed(folder: Path) -> None:
    event = folder / "data/ci38457511"
    _metadata(event)
    for code in CODES:
        (event / f"{code}.mseed").write_bytes(_packed(code, "2019-07-06T03:19:23", 130))


def sds(folder: Path) -> None:
    import numpy as np

    _metadata(folder / "data/stations")
    for code in CODES:
        network, station, location, channel = code.split(".")
        name = DayFile(f"{network}.{station}", location, channel, np.datetime64("2019-07-06", "D")).name
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_packed(code, "2019-07-06T00:28:00", 300))


SPECIMENS: Final = {
    "miniseed": Specimen("waveform", miniseed, latency_days=0.0),
    "sds": Specimen("waveform", sds, latency_days=0.0),
}
