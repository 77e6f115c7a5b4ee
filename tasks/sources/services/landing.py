"""Where a service's payloads land: the provider's files, unchanged and whole, laid out as the reader expects."""

import errno
import hashlib
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import Final

from tasks.sources.contract import SourceDataInvalid, SourceError
from tasks.sources.services.bodies import Body, check_magic
from tasks.sources.services.http import UNCHANGED, Http
from tasks.sources.services.ledger import Entry, Ledger

LARGEST_MEMBER: Final = 4 << 30
LARGEST_RATIO: Final = 200
_PARTIAL: Final = ".partial"


class Landing:
    """The landing folder of one source.

    Parameters
    ----------
    root : Path
        What the reader is called with; payloads live below `root`/`path`, the ledger beside them in `root`.
    path : str
        The source's `path` of the region file; a name with a suffix is a single file.
    """

    def __init__(self, root: Path, path: str) -> None:
        self.root = root
        self._single = bool(PurePosixPath(path).suffix)
        self.folder = (root / path).parent if self._single else root / path
        self.ledger = Ledger(root / ".ledger.sqlite")

    def path(self, name: str) -> Path:
        """Return the place of the payload `name`.

        Raises
        ------
        SourceDataInvalid
            If it would lie outside the source's folder: names come from the provider.
        """
        target = (self.folder / name).resolve()
        if not target.is_relative_to(self.folder.resolve()) or target == self.folder.resolve():
            raise SourceDataInvalid(name, "a file name inside the source's folder", "one that leaves it")
        return self.folder / name

    def download(
        self,
        http: Http,
        key: str,
        url: str,
        name: str,
        *,
        magic: Iterable[bytes] = (),
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        content: bytes | None = None,
        refresh: bool = False,
        sha256: str = "",
        check: Callable[[Path], None] | None = None,
        absent: SourceError | None = None,
        modified: datetime | None = None,
        now: datetime | None = None,
    ) -> Entry:
        """Bring one payload and return its entry; a settled key is not asked again unless `refresh`.

        The body goes to a temporary name beside its place and is renamed when it is whole: its length as announced,
        its first bytes among `magic`, its `sha256` if the provider gave one, and `check` had nothing to raise. The
        file's modification time becomes `modified`, or the provider's Last-Modified. With `refresh` the provider is
        asked whether its version is still the stored one.

        Raises
        ------
        SourceError
            If it did not come; the entry says `failed` with the same message. Where the provider has nothing `absent`,
            if that is given.
        """
        target = self.path(name)
        before = self.ledger.get(key)
        whole = before is not None and (
            before.state == "empty" or (before.state == "got" and target.exists())
        )
        if before is not None and whole and not refresh:
            return before
        clock = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
        asked = (before or Entry(key, "asked"))._replace(state="asked", name=name, asked_at=clock, message="")
        asked = self.ledger.put(asked._replace(attempts=asked.attempts + 1))
        conditions = _conditions(before) if before is not None and whole and target.exists() else {}
        partial = target.with_name(f".{target.name}{_PARTIAL}")
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            body = http.stream(
                url, partial, method=method, params=params, headers={**(headers or {}), **conditions},
                content=content,
            )  # fmt: skip
            if isinstance(body, int):
                if body == UNCHANGED:
                    return self.ledger.put(asked._replace(state="got"))
                body = Body(0, "", "", "")
            if body.size == 0:
                if absent is not None:
                    raise absent
                return self.ledger.put(asked._replace(state="empty", name=""))
            check_magic(partial, magic, http.shown(url))
            if sha256 and body.sha256 != sha256.lower():
                raise SourceDataInvalid(http.shown(url), f"SHA-256 {sha256}", body.sha256)
            if check is not None:
                check(partial)
            return self._keep(asked, partial, target, body, clock, modified)
        except SourceError as error:
            self.ledger.put(asked._replace(state="failed", message=str(error)))
            raise
        finally:
            partial.unlink(missing_ok=True)

    def put(
        self, key: str, name: str, content: bytes, *, last_modified: str = "", now: datetime | None = None
    ) -> Entry:
        """Land a payload that the service put together itself (parts of an answer, say); return its entry."""
        target = self.path(name)
        clock = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
        before = self.ledger.get(key)
        asked = Entry(key, "asked", name, asked_at=clock, attempts=1 + (before.attempts if before else 0))
        if not content:
            return self.ledger.put(asked._replace(state="empty", name=""))
        partial = target.with_name(f".{target.name}{_PARTIAL}")
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        body = Body(len(content), hashlib.sha256(content).hexdigest(), "", last_modified)
        return self._keep(asked, partial, target, body, clock)

    def unpack_zip(self, archive: Path) -> list[Path]:
        """Unpack `archive` into the folder that holds it and return its files.

        Raises
        ------
        SourceDataInvalid
            If it is damaged, a member's name leaves the folder, or a member is absurdly large.
        """
        try:
            with zipfile.ZipFile(archive) as packed:
                return [
                    self._member(packed, member, archive)
                    for member in packed.infolist()
                    if not member.is_dir()
                ]
        except OSError as error:
            if (
                error.errno != errno.EINVAL
            ):  # a full disk is no damage; a place before the start of the file is
                raise
            raise SourceDataInvalid(archive, "a whole ZIP archive", "an impossible offset") from error
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise SourceDataInvalid(archive, "a whole ZIP archive", str(error)) from error

    def _member(self, packed: zipfile.ZipFile, member: zipfile.ZipInfo, archive: Path) -> Path:
        relative = archive.parent.relative_to(self.folder) / member.filename
        target = self.path(relative.as_posix())
        if member.file_size > min(LARGEST_MEMBER, LARGEST_RATIO * max(member.compress_size, 1 << 16)):
            raise SourceDataInvalid(
                archive, "members of a plausible size", f"{member.file_size} bytes in {relative}"
            )
        partial = target.with_name(f".{target.name}{_PARTIAL}")
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            with packed.open(member) as source, partial.open("wb") as file:
                while block := source.read(1 << 20):
                    file.write(block)
            # the payload's own time: a reader may take it for the moment of release
            os.utime(partial, (archive.stat().st_mtime,) * 2)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def _keep(
        self,
        asked: Entry,
        partial: Path,
        target: Path,
        body: Body,
        clock: str,
        modified: datetime | None = None,
    ) -> Entry:
        stamp = _timestamp(body.last_modified) if modified is None else modified.timestamp()
        if stamp is not None:
            os.utime(partial, (stamp, stamp))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
        entry = asked._replace(
            state="got", name=target.relative_to(self.folder).as_posix(), size=body.size, sha256=body.sha256
        )
        return self.ledger.put(
            entry._replace(etag=body.etag, last_modified=body.last_modified, retrieved_at=clock)
        )


def _conditions(entry: Entry) -> dict[str, str]:
    if entry.etag:
        return {"If-None-Match": entry.etag}
    return {"If-Modified-Since": entry.last_modified} if entry.last_modified else {}


def _timestamp(last_modified: str) -> float | None:
    try:
        return parsedate_to_datetime(last_modified).timestamp() if last_modified else None
    except ValueError:
        return None
