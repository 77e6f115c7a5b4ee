"""The providers of the recorded region on the loopback: what the archive holds, in each one's protocol.

One answer for each host that the region file names, so that a test has to change the hosts of its addresses only. Files
are made from the archive when they are asked for: as the provider publishes them, not as the archive wraps them.
"""

import csv
import io
import lzma
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from gzip import decompress
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
import obspy
import pandas as pd
import pymseed

from tasks.regions import Region
from tests.sources.services.conftest import Answer, Reply, Request, Server
from tests.sources.services.servers.fdsn import Node
from tests.sources.services.servers.gnss import Guarded, faulty

TOKEN = "a-token-of-earthscope"
# what goes wrong, by the number of the request at its host
FAULTS = {1: "503", 3: "429", 4: "truncated", 9: "503"}
USCRN_NAMES = {
    "53139": "CA_Stovepipe_Wells_1_SW", "53136": "NV_Mercury_3_SSW", "53152": "CA_Santa_Barbara_11_W",
    "53151": "CA_Fallbrook_5_NE", "53150": "CA_Yosemite_Village_12_W", "93243": "CA_Merced_23_WSW",
}  # fmt: skip


def unwrapped(path: Path) -> bytes:
    """The provider's file in an archive's .xz or .gz; archives of the provider's own (.tar.gz) stay."""
    content = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(content)
    return decompress(content) if path.suffix == ".gz" and not path.name.endswith(".tar.gz") else content


@dataclass
class Published:
    """Files by path: with Last-Modified or (as GitHub does) an ETag, with listings or without."""

    files: Mapping[str, Callable[[], bytes]]
    modified: Mapping[str, float] = field(default_factory=dict)
    has_listings: bool = True

    def __call__(self, request: Request) -> Reply:
        path = unquote(request.path)
        if path not in self.files:
            names = {name.removeprefix(path).partition("/") for name in self.files if name.startswith(path)}
            if not (self.has_listings and path.endswith("/") and names):
                return Reply(404, b"<html>404: Not Found</html>")
            links = "".join(f"<a href='{name}{slash}'>{name}</a>" for name, slash, _ in sorted(names))
            return Reply(body=f"<html><a href='?C=M;O=A'>Last modified</a>{links}</html>".encode())
        body = self.files[path]()
        if path in self.modified:
            headers = {"Last-Modified": formatdate(int(self.modified[path]), usegmt=True)}
            unchanged = request.headers.get("If-Modified-Since") == headers["Last-Modified"]
        else:
            headers = {"ETag": f'W/"{sha256(body).hexdigest()}"'}
            unchanged = request.headers.get("If-None-Match") == headers["ETag"]
        return Reply(304, headers=headers) if unchanged else Reply(body=body, headers=headers)


class ComCat:
    """The event service of the U.S. Geological Survey with a recorded CSV; more than `limit` in one answer is 400."""

    def __init__(self, listing: Path, limit: int = 1000) -> None:
        self.lines = listing.read_text().splitlines()
        rows = pd.DataFrame(list(csv.DictReader(io.StringIO("\n".join(self.lines)))))
        self.ids = rows["id"].to_numpy()
        self.time, self.updated = (
            pd.to_datetime(rows[name]).dt.tz_localize(None).to_numpy() for name in ("time", "updated")
        )
        self.values = {name: rows[name].to_numpy(float) for name in ("latitude", "longitude", "mag")}
        self.limit = limit

    def __call__(self, request: Request) -> Reply:
        _, _, method = request.path.partition("/fdsnws/event/1/")
        asked = dict(parse_qsl(request.query))
        if method not in ("query", "count"):
            return Reply(404)
        if asked.get("format", "csv") != "csv":
            return Reply(400, b"Error 400: Bad Request\n\nBad format value")
        found = np.flatnonzero(self._matches(asked))
        if method == "count":
            return Reply(body=str(found.size).encode())
        if found.size > self.limit:
            said = f"{found.size} matching events exceeds search limit of {self.limit}. Modify the search."
            return Reply(400, f"Error 400: Bad Request\n\n{said}".encode())
        order = found[np.argsort(self.time[found], kind="stable")]
        if asked.get("orderby", "time") == "time":
            order = order[::-1]
        body = "\n".join([self.lines[0], *(self.lines[k + 1] for k in order)]) + "\n"
        return Reply(body=body.encode(), headers={"Content-Type": "text/csv"})

    def _matches(self, asked: Mapping[str, str]) -> np.ndarray:
        if "eventid" in asked:
            return np.asarray(self.ids == asked["eventid"])
        found = np.ones(self.ids.size, dtype=bool)
        for name, column in (("latitude", "latitude"), ("longitude", "longitude"), ("magnitude", "mag")):
            found &= self.values[column] >= float(asked.get(f"min{name}", -1e9))
            found &= self.values[column] <= float(asked.get(f"max{name}", 1e9))
        found &= self.time >= np.datetime64(asked.get("starttime", "1900-01-01"))
        found &= self.time <= np.datetime64(asked.get("endtime", "2200-01-01"))
        return found & (self.updated > np.datetime64(asked.get("updatedafter", "1900-01-01")))


class DataCenter(Node):
    """Stations and records as they were recorded: StationXML byte by byte, whole miniSEED records."""

    def __init__(self, events: Path) -> None:
        super().__init__()
        self.xml = {path.stem: path for path in sorted(events.glob("*/*.xml"))}
        self.inventory = obspy.Inventory([], source="recorded")
        for path in self.xml.values():
            self.inventory += obspy.read_inventory(str(path), format="STATIONXML")
        self.records: list[tuple[str, np.datetime64, np.datetime64, bytes]] = []
        for path in sorted(events.glob("*/*.mseed")):
            content, offset = path.read_bytes(), 0
            for record in pymseed.MS3Record.from_buffer(content):
                nslc = ".".join(pymseed.sourceid2nslc(record.sourceid))
                first, last = (np.datetime64(int(t), "ns") for t in (record.starttime, record.endtime))
                self.records.append((nslc, first, last, content[offset : offset + record.reclen]))
                offset += record.reclen

    def _stations(self, asked: dict[str, str]) -> Reply:
        name = f"{asked.get('network')}.{asked.get('station')}"
        if asked.get("level") == "response" and asked.get("format", "xml") == "xml" and name in self.xml:
            return Reply(body=self.xml[name].read_bytes())
        return super()._stations(asked)

    def _records(self, lines: list[list[str]], asked: dict[str, str]) -> Reply:
        body = b""
        for network, station, location, channel, start, end in lines:
            nslc = ".".join([network, station, location.replace("--", ""), channel])
            low, high = np.datetime64(start), np.datetime64(end)
            # the latest first: an order is not promised
            body += b"".join(
                r for n, a, b, r in reversed(self.records) if n == nslc and a <= high and b >= low
            )
        return Reply(body=body) if body else Reply(self.nodata)


class Archive:
    """What the hosts of the region's providers serve of a recorded archive."""

    def __init__(self, root: Path, region: Region) -> None:
        self.root, self.region = root, region

    @cached_property
    def scedc(self) -> Answer:
        listings = sorted((self.root / "catalogs/scedc").glob("*.catalog.xz"))
        paths = {f"/ftp/catalogs/SCEC_DC/{path.name.removesuffix('.xz')}": path for path in listings}
        tree, node = _published(paths), DataCenter(self.root / "waveforms/strong_motion")
        return lambda request: (node if request.path.startswith("/fdsnws/") else tree)(request)

    @cached_property
    def comcat(self) -> Answer:
        return ComCat(next((self.root / "catalogs/comcat").glob("*.csv")))

    @cached_property
    def earthscope(self) -> Answer:
        base = "/archive/gnss/products"
        daily = self.root / "gnss/daily"
        paths = {f"{base}/velocity/cwu.final_nam14.vel": daily / "cwu.final_nam14.vel.xz"}
        for path in sorted(daily.glob("position.*.csv.xz")):
            _, site, centre, frame, *_ = path.name.split(".")
            paths[f"{base}/position/{site}/{site}.{centre}.{frame}.csv"] = path
        return Guarded(_published(paths), {TOKEN: 10_000})

    @cached_property
    def noaa(self) -> Answer:
        table = pd.read_parquet(self.root / "meteo/uscrn")
        files = {}
        for wban, rows in table.groupby("wban"):
            name = f"/pub/data/uscrn/products/daily01/2020/CRND0103-2020-{USCRN_NAMES[str(wban)]}.txt"
            files[name] = lambda rows=rows: daily01(rows)
        return Published(files, dict.fromkeys(files, 1.6e9))

    @cached_property
    def github(self) -> Answer:
        """The files that the region names, at their pinned addresses, without listings."""
        paths: dict[str, Path] = {}
        for source in self.region.sources:
            service = source.service
            if service is None or urlsplit(service.urls[0]).netloc != "raw.githubusercontent.com":
                continue
            base, path = urlsplit(service.urls[0]).path, self.root / source.path
            if path.is_file():
                paths[base] = path
                continue
            names = str(service.options["names"]).split(",")
            found = {p.name.removesuffix(".xz"): p for p in sorted(path.iterdir())}
            for name in names:
                # the archive gave the extract another name
                paths[f"{base}/{name}"] = found[name] if name in found else next(iter(found.values()))
        return Published({url: _reader(path) for url, path in paths.items()}, has_listings=False)

    def answers(self) -> dict[str, Answer]:
        """The answer of each host."""
        return {
            "service.scedc.caltech.edu": self.scedc, "earthquake.usgs.gov": self.comcat,
            "service.ncedc.org": Node(inventory=obspy.Inventory([], source="none")),
            "data.unavco.org": self.earthscope, "gage-data.earthscope.org": self.earthscope,
            "www.ncei.noaa.gov": self.noaa, "raw.githubusercontent.com": self.github,
        }  # fmt: skip


def daily01(rows: pd.DataFrame) -> bytes:
    """One station's days as NOAA's text of 28 columns."""
    lines = []
    for row in rows.sort_values("lst_date").itertuples(index=False):
        cells = [str(row.wban), f"{row.lst_date:%Y%m%d}", str(row.crx_vn).rjust(6)]
        for name, value in zip(rows.columns[3:], row[3:], strict=True):
            if isinstance(value, str):
                cells.append(value)
            elif name in ("longitude", "latitude"):
                cells.append(f"{value:7.2f}")
            elif name.startswith("soil_moisture"):
                cells.append(f"{-99.0 if np.isnan(value) else value:7.3f}")
            else:
                decimals = 2 if name == "solarad_daily" else 1
                cells.append(f"{-9999.0 if np.isnan(value) else value:7.{decimals}f}")
        lines.append(" ".join(cells))
    return ("\n".join(lines) + "\n").encode()


def _published(paths: Mapping[str, Path]) -> Published:
    return Published(
        {url: _reader(path) for url, path in paths.items()},
        {url: path.stat().st_mtime for url, path in paths.items()},
    )


def _reader(path: Path) -> Callable[[], bytes]:
    return lambda: unwrapped(path)


@contextmanager
def serving(
    archive: Path, region: Region, faults: Mapping[int, str] | None = None
) -> Iterator[dict[str, Server]]:
    """Run a server for each host that the region's services name; a host that nobody plays is an error."""
    hosts = {urlsplit(url).netloc for s in region.sources if s.service is not None for url in s.service.urls}
    answers = Archive(archive, region).answers()
    with ExitStack() as stack:
        servers = {}
        for host in sorted(hosts):
            servers[host] = Server(faulty(answers[host], FAULTS if faults is None else faults))
            stack.callback(servers[host].close)
        yield servers


def redirected(url: str, servers: Mapping[str, Server]) -> str:
    """The address with its host on the loopback; the path stays."""
    parts = urlsplit(url)
    return f"{servers[parts.netloc].url}{parts.path}"
