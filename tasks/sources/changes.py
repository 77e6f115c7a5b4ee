"""Which payloads of a source are new since they were last read: an ingest costs what arrived, not the archive."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import xarray as xr

from tasks.regions import Provider
from tasks.sources.beside import Stamps
from tasks.sources.read_log import ReadLog
from tasks.sources.units import RULES, Keys, Rule, contents


class Portion(NamedTuple):
    """Payloads that are read at once.

    Attributes
    ----------
    names : collection of str, or None
        Files to show to the reader, below the source's path; None: all that there are.
    stamps : mapping of name to stamp
        The payloads that are new or changed; the others are shown because these need them.
    keys : mapping of name to keys
        What the contents of these say.
    part : callable
        Takes from the reader's answer what it is complete about.
    """

    names: Collection[str] | None
    stamps: Stamps
    keys: Mapping[str, Keys]
    part: Callable[[xr.Dataset], xr.Dataset]


def inventory(path: Path) -> dict[str, list[int]]:
    """Return size and modification time (ns) of each file below `path` by its relative name; of a file, of itself."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    found = {}
    for file in files:
        if file.is_file():
            stat = file.stat()
            name = file.name if file == path else file.relative_to(path).as_posix()
            found[name] = [stat.st_size, stat.st_mtime_ns]
    return found


def portions(
    provider: Provider, path: Path, log: ReadLog, *, is_first: bool, most_bytes: int
) -> list[Portion]:
    """Return what there is to read below `path`: payloads that are new or changed, with those that they depend on.

    Everything at once if the provider's source is one file, or little was read before and all of it fits. A file
    that vanished asks for nothing: rows that were stored stay.

    Parameters
    ----------
    is_first : bool
        Nothing of the source is stored, whatever was read.
    most_bytes : int
        Of new payloads in one portion; one that is larger comes alone. Those that depend on each other come together
        or again, whatever their size.
    """
    if is_first:
        log.forget()
    now, seen = inventory(path), log.seen()
    rule = RULES.get(provider)
    if rule is None or path.is_file():
        stamps = {name: [*stamp, 0] for name, stamp in now.items()}
        is_new = is_first or any(seen.get(name) != stamp for name, stamp in stamps.items())
        return [Portion(None, stamps, {}, _whole)] if is_new else []
    payloads = _Payloads(provider, rule, path, now, log)
    changed = {name: stamp for name, stamp in payloads.stamps.items() if seen.get(name) != stamp}
    if is_first and not changed:
        return [Portion(None, {}, {}, _whole)]
    payloads.look_into(changed)
    batches = list(payloads.batches(changed, most_bytes))
    if len(batches) == 1 and len(changed) == len(payloads.stamps):
        return [Portion(None, changed, payloads.keys, _whole)]
    return [payloads.portion({name: changed[name] for name in batch}) for batch in batches]


def link_view(archive: Path, path: str, names: Collection[str], view: Path) -> None:
    """Make `view` a folder like `archive` that shows of its folder `path` the files `names` and nothing else.

    What lies beside that folder and the folders above it is all there: look vectors and tables that options name.
    """
    parts = PurePosixPath(path).parts
    for depth in range(len(parts)):
        here = view.joinpath(*parts[:depth])
        here.mkdir(parents=True, exist_ok=True)
        for other in archive.joinpath(*parts[:depth]).iterdir():
            if other.name != parts[depth]:
                (here / other.name).symlink_to(other.resolve())
    shown = view / path
    shown.mkdir(parents=True, exist_ok=True)
    for name in sorted(names):
        link = shown / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((archive / path / name).resolve())


def _whole(answer: xr.Dataset) -> xr.Dataset:
    return answer


class _Payloads:
    """The payloads of a folder, their stamps, and who shares a key with whom."""

    def __init__(self, provider: Provider, rule: Rule, path: Path, now: Stamps, log: ReadLog) -> None:
        self._provider, self._rule, self._path, self._log = provider, rule, path, log
        units = {name: rule.key(PurePosixPath(name)) for name in now}
        self._units = {name: key for name, key in units.items() if key is not None}
        self._companions = [name for name, key in units.items() if key is None]
        beside = rule.beside(path, now)
        self.stamps = {name: [*now[name], beside(PurePosixPath(name))] for name in self._units}
        self.keys: dict[str, Keys] = {}
        self._holders: dict[str, set[str]] = defaultdict(set)

    def look_into(self, changed: Collection[str]) -> None:
        """Learn the keys of the payloads: by name of all of them, by content of those that changed."""
        if self._rule.has_contents:
            self.keys = {name: contents(self._provider, self._path / name) for name in changed}
        by_name = {} if self._rule.has_contents else {name: {key} for name, key in self._units.items()}
        for name, keys in (self.keys or by_name).items():
            for key in keys:
                self._holders[key].add(name)

    def batches(self, changed: Stamps, most_bytes: int) -> Iterator[list[str]]:
        """Yield the changed payloads in the order of their first keys, so that those of one key are neighbours."""
        batch: list[str] = []
        size = 0
        for name in sorted(changed, key=lambda n: (min(self._keys_of(n), default=""), n)):
            if batch and size + changed[name][0] > most_bytes:
                yield batch
                batch, size = [], 0
            batch.append(name)
            size += changed[name][0]
        if batch:
            yield batch

    def portion(self, changed: Stamps) -> Portion:
        """Return what has to be read because of these payloads."""
        rule, keys = self._rule, {key for name in changed for key in self._keys_of(name)}
        if rule.has_contents:
            keys |= self._log.keys_of(changed)  # what a payload said before, and says no more
        touched, needed = rule.reach(keys, self._holders)
        if rule.has_common_track:
            first = min(self._log.seen().keys() & self._units.keys() or self._units)
            needed = needed | {self._units[first]}
        shown = {name for key in needed for name in self._holders.get(key, ())}
        if rule.has_contents:
            shown |= self._log.holders(needed) & self._units.keys()
        return Portion(
            shown | changed.keys() | set(self._companions),
            changed,
            {name: self.keys[name] for name in changed} if rule.has_contents else {},
            lambda answer: rule.part(answer, touched),
        )

    def _keys_of(self, name: str) -> Keys:
        return self.keys[name] if self._rule.has_contents else {self._units[name]}
