"""How a credential travels: to its own host alone, and into no message and no log."""

import logging
from collections.abc import Collection
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPDigestAuth

from tasks.regions import Service


class Session(requests.Session):
    """A session whose credential does not follow a redirect to another host."""

    def __init__(self, secret_header: str) -> None:
        super().__init__()
        self.trust_env = False  # a netrc entry would travel unseen
        self.secret_header = secret_header

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Drop the credential where `requests` would drop Authorization, whatever header it travels in."""
        old, new = str(response.request.url), str(prepared_request.url)
        if self.should_strip_auth(old, new):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop(self.secret_header, None)
            prepared_request.headers.pop("Authorization", None)


class Digest(HTTPDigestAuth):
    """Digest authentication that answers the challenges of `hosts` only, not of one that we were sent on to."""

    def __init__(self, credential: str, hosts: Collection[str]) -> None:
        user, _, password = credential.partition(":")
        super().__init__(user, password)
        self._hosts = hosts

    def handle_401(self, r: requests.Response, **kwargs: object) -> requests.Response:
        """Answer the challenge in `r`, if its host may ask."""
        if urlsplit(r.url).netloc not in self._hosts:
            return r
        return super().handle_401(r, **kwargs)  # type: ignore[no-any-return,no-untyped-call]


class Credential:
    """The token of one service, which is in no `repr`.

    Parameters
    ----------
    service : Service
        How it travels.
    token : str
        `user:password` for digest; empty for none.
    hosts : collection of str
        Who is given it.

    Raises
    ------
    ValueError
        If it cannot stand in a header; the message does not show it.
    """

    def __init__(self, service: Service, token: str, hosts: Collection[str]) -> None:
        if not (token.isprintable() and token.isascii()):
            raise ValueError(
                f"the credential in {service.credential}: expected printable ASCII characters, found others "
                "(a line break at its end, perhaps)"
            )
        self._service, self._token, self._hosts = service, token, hosts
        is_digest = bool(token) and service.credential_scheme == "digest"
        self._digest = Digest(token, hosts) if is_digest else None
        # what must not be shown: of `user:password` also the password alone
        self._secrets = [s for s in (token, token.partition(":")[2] if is_digest else "") if s]

    def headers(self, url: str) -> dict[str, str]:
        """Return the headers that it adds to a request of `url`."""
        if not self._token or self._digest is not None or urlsplit(url).netloc not in self._hosts:
            return {}
        return {self._service.credential_header: f"{self._service.credential_prefix}{self._token}"}

    def auth(self, url: str) -> Digest | None:
        """Return what answers the challenges of the host of `url`."""
        return self._digest if urlsplit(url).netloc in self._hosts else None

    def hidden(self, text: str) -> str:
        """Return `text` without it."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def hint(self, status: int) -> str:
        """Return what a refusal with `status` says of it."""
        if status not in (401, 403) or not self._service.credential:
            return ""
        given = "was refused" if self._token else "is not set"
        return f" (the credential in {self._service.credential} {given})"


def _without_query(record: logging.LogRecord) -> bool:
    """Take queries out of the addresses that urllib3 logs when it tries again: those of storage are signed."""
    if isinstance(record.args, tuple):
        record.args = tuple(a.partition("?")[0] if isinstance(a, str) else a for a in record.args)
    return True


for _name in ("urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_without_query)
