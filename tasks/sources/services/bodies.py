"""What comes back over HTTP: read as it comes, so that neither its size nor its pace is the provider's to choose."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import requests
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from tasks.sources.contract import SourceDataInvalid

# Answers that are held whole in memory: listings, tables, chunks.
LARGEST_ANSWER: Final = 256 << 20
_BLOCK: Final = 1 << 16
_EXCERPT: Final = 200
_PAGE: Final = (b"<!doctype html", b"<html")


class Answer(NamedTuple):
    """An answer whole in memory, from `url` after redirects; `headers` by name in any case."""

    url: str
    content: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The content as UTF-8, what is none replaced."""
        return self.content.decode("utf-8", "replace")


class Body(NamedTuple):
    """A body on disk: bytes, SHA-256, and what the provider says of its version (empty if it does not)."""

    size: int
    sha256: str
    etag: str
    last_modified: str


class Limits(NamedTuple):
    """What a body may cost: bytes after decoding, and the slowest pace, bytes/s, once `patience_s` have passed."""

    largest: int
    slowest: float
    patience_s: float


class BrokenBody(Exception):
    """A body that did not come whole; the message says why, without an address."""


def blocks(
    response: requests.Response, limits: Limits, shown: str, *, is_decoded: bool = True
) -> Iterator[bytes]:
    """Yield a body as it arrives, for as long as it keeps a pace and a size.

    Raises
    ------
    BrokenBody
        If it breaks off, or comes too slowly: patience with each byte alone would wait for ever.
    SourceDataInvalid
        If it is too large; a small compressed body may be.
    """
    raw: HTTPResponse = response.raw
    began, size = time.monotonic(), 0
    try:
        while block := raw.read1(_BLOCK, decode_content=is_decoded):
            size += len(block)
            if size > limits.largest:
                raise SourceDataInvalid(shown, f"a body of at most {limits.largest} bytes", "a larger one")
            yield block
            late = time.monotonic() - began - limits.patience_s
            if late > 0 and size < late * limits.slowest:
                raise BrokenBody(f"slower than {limits.slowest:g} bytes/s")
    except (HTTPError, OSError) as error:
        raise BrokenBody(type(error).__name__) from None


def whole(response: requests.Response, limits: Limits, shown: str) -> Answer:
    """Return a body in memory; raises as `blocks`."""
    return Answer(str(response.url), b"".join(blocks(response, limits, shown)), response.headers)


def saved(response: requests.Response, target: Path, limits: Limits, shown: str, *, is_decoded: bool) -> Body:
    """Write a body to `target`; raises as `blocks`."""
    sha = hashlib.sha256()
    size = 0
    with target.open("wb") as file:
        for block in blocks(response, limits, shown, is_decoded=is_decoded):
            file.write(block)
            sha.update(block)
            size += len(block)
    headers = response.headers
    return Body(size, sha.hexdigest(), headers.get("ETag", ""), headers.get("Last-Modified", ""))


def excerpt(response: requests.Response, limits: Limits) -> str:
    """Return the beginning of what a refusal says, if it comes."""
    said = b""
    try:
        for block in blocks(response, limits, ""):
            said += block
            if len(said) >= _EXCERPT:
                break
    except (BrokenBody, SourceDataInvalid):
        pass
    return " ".join(said.decode("utf-8", "replace")[:_EXCERPT].split())


def check_magic(path: Path, magic: Iterable[bytes], shown: str) -> None:
    """Raise SourceDataInvalid unless the file begins with one of `magic`: an error page may come with status 200.

    Without `magic`, and anyway, what begins as HTML is such a page: no provider's payload is one.
    """
    starts = tuple(magic)
    with path.open("rb") as file:
        head = file.read(64)
    if starts and not head.startswith(starts):
        raise SourceDataInvalid(
            shown, f"a body that begins with {' or '.join(map(repr, starts))}", repr(head[:24])
        )
    if head.lstrip().lower().startswith(_PAGE):
        raise SourceDataInvalid(shown, "a payload", f"a web page, {head[:24]!r}")
