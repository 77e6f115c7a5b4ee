"""Catalogs of 30 events in each format."""

from pathlib import Path
from typing import Final

import numpy as np

from tests.sources.services.servers.fdsn import COLUMNS
from tests.sources.specimens.specimen import Specimen

N: Final = 30
_RNG: Final = np.random.default_rng(7)
TIME: Final = np.datetime64("2019-07-04T17:33:49.120", "ms") + np.arange(N) * np.timedelta64(7_201_300, "ms")
LATITUDE: Final = np.round(35.3 + 0.4 * _RNG.random(N), 4)
LONGITUDE: Final = np.round(-117.8 + 0.5 * _RNG.random(N), 4)
DEPTH_KM: Final = np.round(2 + 10 * _RNG.random(N), 2)
MAGNITUDE: Final = np.round(2.5 + _RNG.exponential(0.4, N), 2)


def quakeml(folder: Path, depth_factor: float = 1000.0) -> None:
    """Depths in metres, as the standard says."""
    events = "".join(
        f'<event publicID="quakeml:ci/{k}"><type>earthquake</type><preferredOriginID>o{k}</preferredOriginID>'
        f"<preferredMagnitudeID>m{k}</preferredMagnitudeID>"
        f'<origin publicID="o{k}"><time><value>{TIME[k]}Z</value></time><latitude><value>{LATITUDE[k]}</value>'
        f"</latitude><longitude><value>{LONGITUDE[k]}</value></longitude><depth><value>{DEPTH_KM[k] * depth_factor:g}"
        f"</value></depth><creationInfo><creationTime>{TIME[k] + np.timedelta64(5, 'm')}Z</creationTime>"
        f'</creationInfo></origin><magnitude publicID="m{k}"><mag><value>{MAGNITUDE[k]}</value></mag><type>ML</type>'
        f"<originID>o{k}</originID></magnitude></event>\n"
        for k in range(N)
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<q:quakeml xmlns:q="http://quakeml.org/xmlns/quakeml/1.2" '
        f'xmlns="http://quakeml.org/xmlns/bed/1.2"><eventParameters publicID="smi:a/b">\n{events}'
        "</eventParameters></q:quakeml>\n"
    )
    _put(folder / "data" / "a.xml", text)


def scedc(folder: Path, depth_factor: float = 1.0) -> None:
    rows = [
        f"{str(t)[:10].replace('-', '/')} {str(t)[11:22]} eq l {m:.2f} l {lat:.3f} {lon:.3f} {z * depth_factor:5.1f} "
        f"A {38000000 + k} 21 100"
        for k, (t, m, lat, lon, z) in enumerate(
            zip(TIME, MAGNITUDE, LATITUDE, LONGITUDE, DEPTH_KM, strict=True)
        )
    ]
    head = "#YYY/MM/DD HH:mm:SS.ss ET GT MAG  M    LAT     LON     DEPTH Q EVID      NPH NGRM\n"
    _put(
        folder / "data" / "2019.catalog",
        head + "\n".join(rows) + f"\n# Number of rows returned: {len(rows)}\n",
    )


def scedc_m3(folder: Path) -> None:
    rows = [
        f"{598069 + k},{str(TIME[k]).replace('T', ' ')},{LONGITUDE[k]},{LATITUDE[k]},{MAGNITUDE[k]}"
        for k in range(N)
    ]
    _put(folder / "data" / "m3.csv", "\n".join(["index,time,longitude,latitude,magnitude", *rows]) + "\n")


def comcat(folder: Path, depth_factor: float = 1.0) -> None:
    lines = [",".join(COLUMNS)]
    for k in range(N):
        row = dict.fromkeys(COLUMNS, "") | {
            "time": f"{TIME[k]}Z", "latitude": str(LATITUDE[k]), "longitude": str(LONGITUDE[k]),
            "depth": f"{DEPTH_KM[k] * depth_factor:g}", "mag": str(MAGNITUDE[k]), "magType": "ml", "net": "ci",
            "id": f"ci{38443000 + k}", "updated": f"{TIME[k] + np.timedelta64(9, 'm')}Z",
            "place": f'"{k}km W of Trona, CA"', "type": "earthquake", "magError": "0.1", "status": "automatic",
        }  # fmt: skip
        lines.append(",".join(row.values()))
    _put(folder / "data" / "a.csv", "\n".join(lines) + "\n")


def relocated(folder: Path, depth_factor: float = 1.0) -> None:
    rows = [
        f"{38443000 + k},{str(TIME[k])[:10]},{str(TIME[k])[11:]},{MAGNITUDE[k]},{LONGITUDE[k]},{LATITUDE[k]},"
        f"{DEPTH_KM[k] * depth_factor:g},1"
        for k in range(N)
    ]
    _put(folder / "data" / "s1.csv", "\n".join(rows) + "\n")


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


SPECIMENS: Final = {
    "quakeml": Specimen("catalog", quakeml, confused={"depth in km": lambda f: quakeml(f, 1.0)}),
    "scedc": Specimen("catalog", scedc, confused={"depth in m": lambda f: scedc(f, 1000.0)}),
    "scedc_m3": Specimen("catalog", scedc_m3),
    "comcat": Specimen("catalog", comcat, confused={"depth in m": lambda f: comcat(f, 1000.0)}),
    "relocated": Specimen(
        "catalog", relocated, options={"published": "2019-08-01"},
        confused={"depth in m": lambda f: relocated(f, 1000.0)},
    ),
}  # fmt: skip
