"""Where repositories lie: a folder, or a bucket of an object store that was seen to refuse lost updates.

Icechunk commits by conditional writes. A store that accepts them without looking loses commits silently, so each
store is probed once per process before anything is written to it.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import icechunk

if TYPE_CHECKING:
    from obstore import PutResult, UpdateVersion
    from obstore.store import S3Store

_REGION: Final = "us-east-1"
_RETRIES: Final = 3
_PATIENCE: Final = timedelta(seconds=20)
_PROBED: Final[set[str]] = set()


class StoreUnsafe(RuntimeError):
    """The object store does not enforce conditional writes: commits would be lost, so it is not used."""


class StoreUnreachable(ConnectionError):
    """The object store did not answer, has no such bucket or refuses the credentials; nothing was written."""


class Bucket(NamedTuple):
    """A prefix of an S3 bucket; credentials are never part of it, they come from the AWS environment variables."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str

    @classmethod
    def parse(cls, uri: str, *, endpoint: str | None = None, region: str | None = None) -> Self:
        """Return the place that `s3://bucket/prefix?endpoint=http://host:port&region=name` names.

        Parameters
        ----------
        endpoint, region : str, optional
            Taken where `uri` names none.

        Raises
        ------
        ValueError
            If it names no bucket, or holds credentials.
        """
        parts = urlsplit(uri)
        options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        options = {"endpoint": endpoint or "", "region": region or _REGION} | options
        if any(part.username or part.password for part in (parts, urlsplit(options["endpoint"]))):
            raise ValueError(f"s3://{parts.hostname}: expected no credentials in the address, found some")
        if parts.scheme != "s3" or not parts.netloc or set(options) - {"endpoint", "region"}:
            # values of options stay unsaid: somebody may have put a key there
            raise ValueError(
                f"{uri.partition('?')[0]!r}: expected s3://bucket/prefix with at most ?endpoint= and &region=, "
                f"found another form, or other options than these ({', '.join(sorted(options))})"
            )
        return cls(parts.netloc, parts.path.strip("/"), options["endpoint"] or None, options["region"])

    @property
    def uri(self) -> str:
        """The address that `parse` reads."""
        options = {"endpoint": self.endpoint} if self.endpoint else {}
        options |= {"region": self.region} if self.region != _REGION else {}
        query = f"?{urlencode(options, safe=':/')}" if options else ""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/") + query

    def below(self, name: str) -> Self:
        """Return the place `name` below the prefix."""
        return self._replace(prefix=f"{self.prefix}/{name}".strip("/"))

    def storage(self, name: str) -> icechunk.Storage:
        """Return Icechunk's storage of the repository `name` below the prefix."""
        return icechunk.s3_storage(
            bucket=self.bucket,
            prefix=self.below(name).prefix,
            region=self.region,
            endpoint_url=self.endpoint,
            allow_http=self.endpoint is not None and self.endpoint.startswith("http:"),
            force_path_style=self.endpoint is not None,
            from_env=True,
        )


def is_bucket(root: Path | str) -> bool:
    """Tell whether `root` is the address of a bucket rather than of a folder."""
    return str(root).startswith("s3:")


def probe(place: Bucket) -> None:
    """Refuse a store that accepts a conditional write whose condition does not hold; once per process and store.

    A key is created twice with `If-None-Match: *`, then replaced with its ETag, then with the old ETag: the second
    and the last must fail. The key is removed.

    Raises
    ------
    StoreUnsafe
        Naming the condition that was not enforced.
    StoreUnreachable
        If the store cannot be asked.
    """
    address = f"{place.endpoint or place.region}/{place.bucket}"
    if address in _PROBED:
        return
    with _asking(place) as store:
        key = place.below(f"probe-{uuid.uuid4().hex}").prefix
        try:
            first = _put(store, key, b"1")
            if first is None or not first["e_tag"]:
                raise _unsafe(address, "If-None-Match: *", "refused a new key or gave it no ETag")
            if _put(store, key, b"2") is not None:
                raise _unsafe(address, "If-None-Match: *", "accepted a second create of one key")
            if _put(store, key, b"3", first["e_tag"]) is None:
                raise _unsafe(address, "If-Match", "refused a replacement with the key's own ETag")
            if _put(store, key, b"4", first["e_tag"]) is not None:
                raise _unsafe(address, "If-Match", "accepted a replacement with an old ETag")
        finally:
            store.delete(key)
    _PROBED.add(address)


def identity_of(place: Bucket) -> str:
    """Return the random token kept at `place`, made if there is none; it goes when the place is emptied.

    Raises
    ------
    StoreUnreachable
        If the store cannot be asked.
    """
    with _asking(place) as store:
        key = place.below(".id").prefix
        # Of two that make it at once the first wins, and both read what the first wrote.
        _put(store, key, uuid.uuid4().hex.encode())
        return bytes(store.get(key).bytes()).decode()


def names_below(root: Path | str) -> list[str]:
    """Return the names of the folders directly below `root`, sorted; none if there is no such folder.

    Raises
    ------
    StoreUnreachable
        If `root` lies in an object store that cannot be asked.
    """
    if not is_bucket(root):
        return sorted(p.name for p in Path(root).iterdir() if p.is_dir()) if Path(root).is_dir() else []
    place = Bucket.parse(str(root))
    with _asking(place) as store:
        found = store.list_with_delimiter(f"{place.prefix}/" if place.prefix else None)
    return sorted(str(prefix).strip("/").rpartition("/")[2] for prefix in found["common_prefixes"])


@contextmanager
def _asking(place: Bucket) -> Iterator["S3Store"]:
    """Give a client of the object store, whose failures say which store it was; they never hold a credential."""
    from obstore.exceptions import BaseError  # object stores alone need it, and its client starts threads
    from obstore.store import S3Store

    store = S3Store(
        place.bucket,
        region=place.region,
        endpoint=place.endpoint,
        virtual_hosted_style_request=place.endpoint is None,
        client_options={"allow_http": True, "timeout": timedelta(seconds=10)},
        retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE},
    )
    try:
        yield store
    except (BaseError, OSError) as error:  # what is not there is Python's FileNotFoundError
        raise StoreUnreachable(
            f"{place.uri}: expected a bucket that the credentials of the environment can write to, found "
            f"{type(error).__name__.removesuffix('Error')}; check address, bucket and AWS_ACCESS_KEY_ID"
        ) from error


def _put(store: "S3Store", key: str, body: bytes, instead_of: str = "") -> "PutResult | None":
    """Create `key`, or replace its version of the ETag `instead_of`; return None if the store refused."""
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    mode: Literal["create"] | UpdateVersion = {"e_tag": instead_of} if instead_of else "create"
    try:
        return store.put(key, body, mode=mode, use_multipart=False)
    except (AlreadyExistsError, PreconditionError):
        return None


def _unsafe(address: str, condition: str, what: str) -> StoreUnsafe:
    return StoreUnsafe(
        f"{address}: expected the store to enforce {condition!r}, found that it {what}; commits would be "
        "lost, use a store with conditional writes"
    )
