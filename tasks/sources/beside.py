"""What payloads are read with besides: look vectors, metadata, tables of places; as digests that change with them."""

import re
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path, PurePosixPath

from tasks.regions import Provider
from tasks.sources.contract import SourceDataInvalid

Stamps = Mapping[str, list[int]]
Beside = Callable[[PurePosixPath], int]


def nslc_station(name: PurePosixPath) -> str:
    """Return `NET.STA` of a file named `NET.STA.LOC.CHA...`."""
    return ".".join(name.name.split(".")[:2])


def files_beside(pattern: str) -> Callable[[Path, Stamps], Beside]:
    """Read all payloads with the files that match."""
    form = re.compile(pattern)

    def beside(_folder: Path, stamps: Stamps) -> Beside:
        found = _digest(sorted((n, s) for n, s in stamps.items() if form.search(n)))
        return lambda _name: found

    return beside


def metadata_beside(folder: Path, stamps: Stamps) -> Beside:
    """Read a station's payloads with its StationXML, which may also lie in the folder above."""
    found: dict[str, list[object]] = {}
    for name, stamp in sorted(stamps.items()):
        if name.endswith(".xml"):
            found.setdefault(PurePosixPath(name).stem, []).append((name, stamp))
    for path in sorted((folder.parent / "stations").glob("*.xml")):
        found.setdefault(path.stem, []).append(path.stat().st_mtime_ns)
    digests = {station: _digest(files) for station, files in found.items()}
    return lambda name: digests.get(nslc_station(name), 0)


def places_beside(
    provider: Provider, station: Callable[[PurePosixPath], str]
) -> Callable[[Path, Stamps], Beside]:
    """Read a station's payloads with its place in a table of many, which is written anew for the others."""

    def beside(folder: Path, _stamps: Stamps) -> Beside:
        try:
            places = import_module(f"tasks.sources.{provider}").places_beside(folder)
        except SourceDataInvalid:
            places = {}
        return lambda name: _digest(places.get(station(name)))

    return beside


def _digest(value: object) -> int:
    return zlib.crc32(repr(value).encode())
