"""A provider's Zarr behind our polite `Http`: chunks come at the service's rate, with its retries and errors."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import xarray as xr
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype

from tasks.sources.contract import SourceDataInvalid, SourceUnavailable
from tasks.sources.services.http import Http

_GOOGLE: Final = "https://storage.googleapis.com"


class HttpStore(Store):
    """A read-only Zarr store at an http address; a key that is not there (404) is a chunk of fill values.

    It lists nothing, so the array names come from the consolidated metadata. One request at a time, as `Http` wants it.
    """

    def __init__(self, http: Http, url: str) -> None:
        super().__init__(read_only=True)
        self._http, self._url = http, url.rstrip("/")
        self._one_at_a_time = threading.Lock()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HttpStore) and other._url == self._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __str__(self) -> str:
        return self._http.shown(self._url)

    supports_writes = supports_deletes = supports_listing = False

    def _read(self, key: str) -> bytes | None:
        with self._one_at_a_time:
            answer = self._http.get(f"{self._url}/{quote(key)}")
        return None if answer is None else answer.content

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the whole value of `key`; None if it is not there."""
        if byte_range is not None:
            raise NotImplementedError(f"{self}: parts of values are not asked for")
        content = await asyncio.to_thread(self._read, key)
        return None if content is None else prototype.buffer.from_bytes(content)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return the values of several keys, in their order."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Tell whether `key` is there."""
        return await asyncio.to_thread(self._read, key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse: the provider's data is only read."""
        raise NotImplementedError(f"{self}: cannot write {key!r}")

    async def delete(self, key: str) -> None:
        """Refuse: the provider's data is only read."""
        raise NotImplementedError(f"{self}: cannot delete {key!r}")

    async def list(self) -> AsyncIterator[str]:
        """Refuse: plain web servers and object stores do not list."""
        raise NotImplementedError(f"{self}: cannot list")
        yield ""

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Refuse: see `list`."""
        raise NotImplementedError(f"{self}: cannot list {prefix!r}")
        yield ""

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Refuse: see `list`."""
        raise NotImplementedError(f"{self}: cannot list {prefix!r}")
        yield ""


def open_published(http: Http, url: str) -> xr.Dataset:
    """Open the Zarr (format 2 or 3) at `url`, lazily and without Dask: what is selected is read when it is loaded.

    `url` is http(s), `gs://bucket/path` (asked for at Google's public http address) or `file:///path`.

    Raises
    ------
    SourceUnavailable, SourceDenied
        If it does not answer, refuses, or holds no Zarr.
    SourceDataInvalid
        If the metadata cannot be understood.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        store: HttpStore | Path = Path(unquote(parts.path))
    elif parts.scheme == "gs":
        store = HttpStore(http, f"{_GOOGLE}/{parts.netloc}{parts.path}")
    else:
        store = HttpStore(http, url)
    try:
        opened: xr.Dataset = xr.open_zarr(store, chunks=None, consolidated=True)
    except FileNotFoundError as error:
        raise SourceUnavailable(f"{http.shown(url)}: expected a consolidated Zarr, found none") from error
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise SourceDataInvalid(http.shown(url), "a Zarr that can be opened", str(error)[:200]) from error
    return opened
