"""What was asked of a provider, and what came of it: one row a request, committed at each step."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

State = Literal["asked", "got", "empty", "failed"]
_COLUMNS: Final = (
    "key TEXT PRIMARY KEY, state TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, "
    "etag TEXT NOT NULL, last_modified TEXT NOT NULL, asked_at TEXT NOT NULL, retrieved_at TEXT NOT NULL, "
    "attempts INTEGER NOT NULL, message TEXT NOT NULL"
)


class Entry(NamedTuple):
    """One request.

    Attributes
    ----------
    key : str
        What was asked, in the provider's terms: a station-day, a file, a month.
    state : {"asked", "got", "empty", "failed"}
        `asked` is a request that never ended: the process was killed.
    name : str
        File below the source's folder; empty if there is none.
    size, sha256 : int, str
        Of the file.
    etag, last_modified : str
        The provider's version, as it said; empty if it did not.
    asked_at, retrieved_at : str
        ISO times in UTC of the last question and of the last body.
    attempts : int
        Questions so far.
    message : str
        Why it failed.
    """

    key: str
    state: State
    name: str = ""
    size: int = 0
    sha256: str = ""
    etag: str = ""
    last_modified: str = ""
    asked_at: str = ""
    retrieved_at: str = ""
    attempts: int = 0
    message: str = ""


class Ledger:
    """The requests of one source in the SQLite file `path`; a killed process leaves every finished step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(f"CREATE TABLE IF NOT EXISTS requests ({_COLUMNS})")
            database.execute("CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT NOT NULL)")

    def get(self, key: str) -> Entry | None:
        """Return the entry of `key`; None if it was never asked."""
        with self._open() as database:
            row = database.execute("SELECT * FROM requests WHERE key = ?", (key,)).fetchone()
        return None if row is None else Entry(*row)

    def put(self, entry: Entry) -> Entry:
        """Write `entry` over what stands under its key; return it."""
        marks = ", ".join("?" * len(Entry._fields))
        with self._open() as database:
            database.execute(f"INSERT OR REPLACE INTO requests VALUES ({marks})", tuple(entry))
        return entry

    def forget(self, key: str) -> None:
        """Remove the entry of `key`, as if it had never been asked."""
        with self._open() as database:
            database.execute("DELETE FROM requests WHERE key = ?", (key,))

    def note(self, name: str) -> str:
        """Return what is noted of all requests under `name`; empty if nothing is."""
        with self._open() as database:
            row = database.execute("SELECT text FROM notes WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    def put_note(self, name: str, text: str) -> None:
        """Write a note over the one of that name."""
        with self._open() as database:
            database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text))

    def pending(self, keys: Iterable[str]) -> list[str]:
        """Return those of `keys` that are not settled, in their order: never asked, killed on the way, or failed."""
        wanted = list(keys)
        with self._open() as database:
            settled = {
                row[0] for row in database.execute("SELECT key FROM requests WHERE state IN ('got', 'empty')")
            }
        return [key for key in wanted if key not in settled]

    def entries(self, state: State | None = None) -> list[Entry]:
        """Return all entries, or those in `state`, sorted by key."""
        query = "SELECT * FROM requests" + (" WHERE state = ?" if state else "") + " ORDER BY key"
        with self._open() as database:
            return [Entry(*row) for row in database.execute(query, (state,) if state else ())]

    def counts(self) -> dict[str, int]:
        """Return the number of requests by state."""
        with self._open() as database:
            rows = database.execute("SELECT state, COUNT(*) FROM requests GROUP BY state ORDER BY state")
            return {str(state): int(n) for state, n in rows}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=60.0)
        try:
            with database:
                yield database
        finally:
            database.close()
