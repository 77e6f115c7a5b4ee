"""Which payloads of a source are new since they were last read, so that an ingest costs what arrived, not the archive.

Payloads that have to be read together form a *unit*: the three channels of a station's record, the pairs that end on
one day. What belongs to no unit (look vectors, station metadata) is a companion and always read along. A source whose
payloads depend on each other in other ways is read whole.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from tasks.regions import Provider

Seen = Mapping[str, list[int]]
Unit = Callable[[PurePosixPath], str | None]
_PAIR: Final = re.compile(r"\d{8}_(\d{8})")


def _file(*suffixes: str) -> Unit:
    return lambda name: name.as_posix() if name.name.endswith(suffixes) else None


def _station_of_folder(name: PurePosixPath) -> str | None:
    if name.suffix != ".mseed":
        return None
    return f"{name.parent.as_posix()}/{'.'.join(name.name.split('.')[:2])}"


def _station_day(name: PurePosixPath) -> str | None:
    parts = name.name.split(".")
    return f"{parts[0]}.{parts[1]} {parts[5]}.{parts[6]}" if len(parts) == 7 and parts[4] == "D" else None


def _later_day(name: PurePosixPath) -> str | None:
    pair = next((found for part in name.parts if (found := _PAIR.fullmatch(part))), None)
    return pair.group(1) if pair else None


UNITS: Final[Mapping[Provider, Unit]] = {
    "tenv3": _file(".tenv3"),
    "pos": _file(".pos"),
    "cwu_csv": _file(".csv", ".csv.xz", ".csv.gz"),
    "los_geotiff": _later_day,
    "licsar": _later_day,
    "miniseed": _station_of_folder,
    "sds": _station_day,
}


def inventory(path: Path) -> dict[str, list[int]]:
    """Return size and modification time (ns) of each file below `path` by its relative name; of a file, of itself."""
    if path.is_file():
        stat = path.stat()
        return {path.name: [stat.st_size, stat.st_mtime_ns]}
    found = {}
    for file in sorted(path.rglob("*")):
        if file.is_file():
            stat = file.stat()
            found[file.relative_to(path).as_posix()] = [stat.st_size, stat.st_mtime_ns]
    return found


def to_read(provider: Provider, now: Seen, seen: Seen) -> set[str] | None:
    """Return the names of the files to read, given what there is `now` and what was `seen`; None: all of them.

    All, if the provider's payloads depend on each other, nothing was seen yet, or a companion changed. Otherwise every
    file of each unit in which one is new or changed, and the companions. A file that vanished asks for nothing: rows
    that were stored stay.
    """
    unit_of = UNITS.get(provider)
    if unit_of is None or not seen:
        return None
    units = {name: unit_of(PurePosixPath(name)) for name in now}
    changed = {name for name, stamp in now.items() if seen.get(name) != stamp}
    if any(units[name] is None for name in changed):
        return None
    wanted = {units[name] for name in changed}
    return {name for name, unit in units.items() if unit is None or unit in wanted} if wanted else set()


def link_view(path: Path, names: set[str], view: Path) -> None:
    """Make `view` a folder that shows the files `names` of the folder `path` and nothing else."""
    for name in sorted(names):
        link = view / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((path / name).resolve())


class ReadLog:
    """What was read of one source, in a JSON file; it holds for one `reader` (the source's configuration and code)."""

    def __init__(self, path: Path, reader: str) -> None:
        self.path, self.reader = path, reader

    def seen(self) -> dict[str, list[int]]:
        """Return size and time of the files that were read; nothing if another reader read them."""
        if not self.path.is_file():
            return {}
        content = json.loads(self.path.read_text())
        return dict(content["files"]) if content["reader"] == self.reader else {}

    def keep(self, files: Seen) -> None:
        """Keep that `files` were read and stored."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps({"reader": self.reader, "files": files}))
        partial.replace(self.path)
