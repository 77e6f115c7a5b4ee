"""Where repositories lie: a folder, or a bucket of an object store that was seen to refuse lost updates.

Icechunk commits by conditional writes. A store that accepts them without looking loses commits silently, so each
store is probed once per process before anything is written to it.
"""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

import icechunk

if TYPE_CHECKING:
    from obstore import UpdateVersion

_PROBED: Final[set[str]] = set()


class StoreUnsafe(RuntimeError):
    """The object store does not enforce conditional writes: commits would be lost, so it is not used."""


class Bucket(NamedTuple):
    """A prefix of an S3 bucket; credentials are never part of it, they come from the AWS environment variables."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Return the place that `s3://bucket/prefix?endpoint=http://host:port&region=name` names.

        Raises
        ------
        ValueError
            If it names no bucket, or holds credentials.
        """
        parts = urlsplit(uri)
        options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if parts.username or parts.password:
            raise ValueError(f"s3://{parts.hostname}: expected no credentials in the address, found some")
        if parts.scheme != "s3" or not parts.netloc or set(options) - {"endpoint", "region"}:
            raise ValueError(
                f"{uri!r}: expected s3://bucket/prefix with at most ?endpoint= and &region=, found another form"
            )
        return cls(
            bucket=parts.netloc,
            prefix=parts.path.strip("/"),
            endpoint=options.get("endpoint"),
            region=options.get("region", "us-east-1"),
        )

    def storage(self, name: str) -> icechunk.Storage:
        """Return Icechunk's storage of the repository `name` below the prefix."""
        return icechunk.s3_storage(
            bucket=self.bucket,
            prefix=f"{self.prefix}/{name}".strip("/"),
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
    """
    from obstore.exceptions import (  # object stores alone need it, and its client starts threads
        AlreadyExistsError,
        PreconditionError,
    )
    from obstore.store import S3Store

    address = f"{place.endpoint}/{place.bucket}"
    if address in _PROBED:
        return
    store = S3Store(
        place.bucket,
        region=place.region,
        endpoint=place.endpoint,
        virtual_hosted_style_request=place.endpoint is None,
        client_options={"allow_http": True},
    )
    key = f"{place.prefix}/probe-{uuid.uuid4().hex}".strip("/")
    try:
        first = store.put(key, b"1", mode="create", use_multipart=False)
        try:
            store.put(key, b"2", mode="create", use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            pass
        else:
            raise _unsafe(address, "If-None-Match: *", "a second create of one key")
        old: UpdateVersion = {"e_tag": first["e_tag"]}
        store.put(key, b"3", mode=old, use_multipart=False)
        try:
            store.put(key, b"4", mode=old, use_multipart=False)
        except PreconditionError:
            pass
        else:
            raise _unsafe(address, "If-Match", "a replacement with an old ETag")
    finally:
        store.delete(key)
    _PROBED.add(address)


def _unsafe(address: str, condition: str, what: str) -> StoreUnsafe:
    return StoreUnsafe(
        f"{address}: expected the store to enforce {condition!r}, found that it accepted {what}; commits would be "
        "lost, use a store with conditional writes"
    )
