"""What was read of one source and stored, in an SQLite file: files with their stamps, and what they speak of."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from tasks.sources.beside import Stamps
from tasks.sources.units import Keys

_AT_ONCE: Final = 500
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS reader (digest TEXT);
CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, size INTEGER, modified_ns INTEGER, beside INTEGER);
CREATE TABLE IF NOT EXISTS keys (key TEXT, name TEXT, PRIMARY KEY (key, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_of_file ON keys (name);
"""


class ReadLog:
    """It holds for one `reader` (the source's configuration and code); what another one read is forgotten.

    Written a portion at a time, at the price of the portion; a kill leaves it as it was before or after one.
    """

    def __init__(self, path: Path, reader: str) -> None:
        self.path, self.reader = path, reader

    def seen(self) -> dict[str, list[int]]:
        """Return size, time (ns) and digest of what is beside, of the files that were read."""
        with self._open() as log:
            rows = log.execute("SELECT name, size, modified_ns, beside FROM files")
            return {name: stamp for name, *stamp in rows}

    def keys_of(self, names: Collection[str]) -> set[str]:
        """Return what the files said when they were read."""
        return self._find("SELECT key FROM keys WHERE name IN", names)

    def holders(self, keys: Collection[str]) -> set[str]:
        """Return the files that said one of `keys` when they were read."""
        return self._find("SELECT name FROM keys WHERE key IN", keys)

    def keep(self, files: Stamps, keys: Mapping[str, Keys]) -> None:
        """Keep that `files` were read and stored, and what of `keys` is theirs."""
        with self._open() as log:
            log.executemany("DELETE FROM keys WHERE name = ?", [(name,) for name in files])
            log.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", [(name, *s) for name, s in files.items()]
            )
            said = [(key, name) for name in files for key in sorted(keys.get(name, ()))]
            log.executemany("INSERT INTO keys VALUES (?, ?)", said)

    def forget(self) -> None:
        """Forget everything: nothing of the source is stored."""
        with self._open() as log:
            log.execute("DELETE FROM files")
            log.execute("DELETE FROM keys")

    def _find(self, select: str, values: Collection[str]) -> set[str]:
        found: set[str] = set()
        with self._open() as log:
            wanted = sorted(values)
            for first in range(0, len(wanted), _AT_ONCE):
                some = wanted[first : first + _AT_ONCE]
                marks = ", ".join("?" * len(some))
                found.update(row[0] for row in log.execute(f"{select} ({marks})", some))
        return found

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path)) as log, log:
            log.executescript(_TABLES)
            known = log.execute("SELECT digest FROM reader").fetchone()
            if known != (self.reader,):
                for table in ("reader", "files", "keys"):
                    log.execute(f"DELETE FROM {table}")
                log.execute("INSERT INTO reader VALUES (?)", (self.reader,))
            yield log
