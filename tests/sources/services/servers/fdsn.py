"""An FDSN node on the loopback: event, station and dataselect services with the refusals of real ones."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import obspy
import obspy.clients.fdsn.tests
from obspy import UTCDateTime
from obspy.core.inventory import Channel, Inventory, Network, Response, Station

from tests.sources.services.conftest import Reply, Request

WADLS = Path(obspy.clients.fdsn.tests.__file__).parent / "data"
COLUMNS = """time,latitude,longitude,depth,mag,magType,nst,gap,dmin,rms,net,id,updated,place,type,horizontalError,
depthError,magError,magNst,status,locationSource,magSource""".replace("\n", "").split(",")


@dataclass(frozen=True)
class Quake:
    event_id: str
    time: str
    magnitude: float
    updated: str
    latitude: float = 35.6
    longitude: float = -117.4
    is_deleted: bool = False

    def row(self) -> dict[str, str]:
        return dict.fromkeys(COLUMNS, "") | {
            "time": f"{self.time}Z", "latitude": str(self.latitude), "longitude": str(self.longitude),
            "depth": "8.0", "mag": str(self.magnitude), "magType": "ml", "net": "ci", "id": self.event_id,
            "updated": f"{self.updated}Z", "place": '5km "W" of Trona, CA', "type": "earthquake",
            "status": "deleted" if self.is_deleted else "automatic",
        }  # fmt: skip

    def element(self) -> str:
        created = f"<creationInfo><creationTime>{self.updated}Z</creationTime></creationInfo>"
        name = f"quakeml:service.example.org/fdsnws/event/1/query?eventid={self.event_id}"
        return (
            f'<event publicID="{name}"><type>earthquake</type><origin publicID="{name}#o"><time><value>{self.time}Z'
            f"</value></time><latitude><value>{self.latitude}</value></latitude><longitude><value>{self.longitude}"
            f"</value></longitude><depth><value>8000</value></depth>{created}</origin><magnitude publicID="
            f'"{name}#m"><mag><value>{self.magnitude}</value></mag><type>ML</type><originID>{name}#o</originID>'
            f"{created}</magnitude></event>"
        )


def csv_of(quakes: list[Quake]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(quake.row() for quake in quakes)
    return text.getvalue().encode()


def quakeml_of(quakes: list[Quake]) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><q:quakeml xmlns:q="http://quakeml.org/xmlns/quakeml/1.2" '
        'xmlns="http://quakeml.org/xmlns/bed/1.2"><eventParameters publicID="smi:local/ep">'
        + "".join(quake.element() for quake in quakes)
        + "</eventParameters></q:quakeml>"
    ).encode()


def inventory_of(
    codes: list[str], rate: float = 20.0, gain: float = 4e8, latitude: float = 35.7
) -> Inventory:
    """Channels `NET.STA.LOC.CHA` from 2019-07-01 on, flat in velocity above 120 s."""
    stations: dict[tuple[str, str], list[Channel]] = {}
    for code in codes:
        network, station, location, channel = code.split(".")
        response = Response.from_paz(
            zeros=[0j, 0j], poles=[-0.037 - 0.037j, -0.037 + 0.037j], stage_gain=gain, stage_gain_frequency=1.0,
            input_units="M/S", output_units="COUNTS", normalization_frequency=1.0,
        )  # fmt: skip
        stations.setdefault((network, station), []).append(
            Channel(
                channel,
                location,
                latitude=latitude,
                longitude=-117.5,
                elevation=700.0,
                depth=0.0,
                azimuth={"E": 90.0}.get(channel[-1], 0.0),
                dip=-90.0 if channel[-1] == "Z" else 0.0,
                sample_rate=rate,
                start_date=UTCDateTime(2019, 7, 1),
                response=response,
            )
        )
    networks: dict[str, list[Station]] = {}
    for (network, station), channels in stations.items():
        networks.setdefault(network, []).append(
            Station(station, latitude, -117.5, 700.0, channels=channels, start_date=UTCDateTime(2019, 7, 1))
        )
    return Inventory([Network(code, found) for code, found in networks.items()], source="test")


def noise(code: str, start: str, seconds: float, rate: float = 20.0) -> obspy.Trace:
    network, station, location, channel = code.split(".")
    header = {
        "network": network, "station": station, "location": location, "channel": channel,
        "sampling_rate": rate, "starttime": UTCDateTime(start),
    }  # fmt: skip
    rng = np.random.default_rng(sum(map(ord, code)))
    return obspy.Trace(rng.integers(-9000, 9000, round(seconds * rate)).astype(np.int32), header)


def packed(stream: obspy.Stream) -> bytes:
    body = io.BytesIO()
    if stream:
        stream.write(body, format="MSEED", reclen=512)
    return body.getvalue()


@dataclass
class Node:
    """An answer function; its public attributes are switched by tests.

    `trims`: to samples, or whole records that reach beyond the interval. `most_seconds`: more of one request is 413.
    `change`: what is done to a dataselect answer.
    """

    quakes: list[Quake] = field(default_factory=list)
    inventory: Inventory | None = None
    stream: obspy.Stream = field(default_factory=obspy.Stream)
    limit: int = 20_000
    has_count: bool = True
    trims: bool = True
    most_seconds: float = 1e12
    nodata: int = 204
    change: Callable[[bytes], bytes] = lambda body: body

    def revise(self, event_id: str, **values: object) -> None:
        self.quakes = [replace(q, **values) if q.event_id == event_id else q for q in self.quakes]

    def __call__(self, request: Request) -> Reply:
        service, _, method = request.path.removeprefix("/fdsnws/").partition("/1/")
        if method == "application.wadl":
            return Reply(body=(WADLS / f"2014-01-07_iris_{service}.wadl").read_bytes())
        if method == "version":
            return Reply(body=b"1.1.1")
        if method in ("catalogs", "contributors"):
            return Reply(body=f"<{method.title()}/>".encode())
        lines = request.body.decode().splitlines()
        asked = dict(parse_qsl(request.query)) | dict(line.split("=", 1) for line in lines if "=" in line)
        if service == "event":
            return self._events(asked, method)
        if service == "station":
            return self._stations(asked)
        return self._records([line.split() for line in lines if "=" not in line], asked)

    def _events(self, asked: dict[str, str], method: str) -> Reply:
        if method == "count" and not self.has_count:
            return Reply(404)
        found = self.quakes if asked.get("includedeleted") else [q for q in self.quakes if not q.is_deleted]
        if "eventid" in asked:
            found = [q for q in found if q.event_id == asked["eventid"]]
            if not found and any(q.event_id == asked["eventid"] for q in self.quakes):
                return Reply(409, b"Error 409: Conflict: event deleted")
            found = found[:1]
        else:
            start, end = UTCDateTime(asked["starttime"]), UTCDateTime(asked["endtime"])
            after = UTCDateTime(asked.get("updatedafter", "1900-01-01"))
            found = [
                q
                for q in found
                if start <= UTCDateTime(q.time) <= end
                and UTCDateTime(q.updated) > after
                and q.magnitude >= float(asked.get("minmagnitude", -9))
                and float(asked.get("minlatitude", -90)) <= q.latitude <= float(asked.get("maxlatitude", 90))
                and float(asked.get("minlongitude", -180))
                <= q.longitude
                <= float(asked.get("maxlongitude", 180))
            ]
        if method == "count":
            return Reply(body=str(len(found)).encode())
        if len(found) > self.limit:
            text = f"Error 400: Bad Request\n\n{len(found)} matching events exceeds search limit of {self.limit}."
            return Reply(400, text.encode())
        if asked.get("format") == "csv":
            return Reply(body=csv_of(found))
        return Reply(body=quakeml_of(found)) if found else Reply(self.nodata)

    def _stations(self, asked: dict[str, str]) -> Reply:
        assert self.inventory is not None
        chosen = obspy.Inventory([], source="test")
        for network in asked.get("network", asked.get("net", "*")).split(","):
            for station in asked.get("station", asked.get("sta", "*")).split(","):
                for channel in asked.get("channel", asked.get("cha", "*")).split(","):
                    chosen += self.inventory.select(network=network, station=station, channel=channel)
        if not chosen.networks:
            return Reply(self.nodata)
        body = io.BytesIO()
        level = asked.get("level", "station")
        if asked.get("format") == "text":
            text = io.StringIO()
            chosen.write(text, format="STATIONTXT", level=level)
            return Reply(body=text.getvalue().encode())
        chosen.write(body, format="STATIONXML", level=level)
        return Reply(body=body.getvalue())

    def _records(self, lines: list[list[str]], asked: dict[str, str]) -> Reply:
        if not lines:
            names = ("network", "station", "location", "channel", "starttime", "endtime")
            lines = [[asked[name] for name in names]]
        found = obspy.Stream()
        seconds = 0.0
        for network, station, location, channel, start, end in lines:
            seconds += UTCDateTime(end) - UTCDateTime(start)
            mine = self.stream.select(network, station, location.replace("--", ""), channel)
            # whole records reach up to some seconds beyond what was asked
            pad = 0.0 if self.trims else 7.3
            found += mine.slice(UTCDateTime(start) - pad, UTCDateTime(end) + pad, nearest_sample=False)
        if seconds > self.most_seconds:
            return Reply(413, b"request too large")
        body = self.change(packed(found))
        headers = {"Content-Type": "application/vnd.fdsn.mseed"}
        return Reply(body=body, headers=headers) if body else Reply(self.nodata)
