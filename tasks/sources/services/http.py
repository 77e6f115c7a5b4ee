"""How a provider is asked over HTTP: politely, again if need be, and without telling anyone the password.

`requests` and urllib3 do the work: retries with exponential back-off and jitter on connection errors, 429 and 5xx that
honour Retry-After, and refusal of bodies shorter than announced. This module adds the rate, the credential that stays
with its host, and errors in the words of `tasks.sources.contract`.
"""

import hashlib
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth
from urllib3.util import Retry

from tasks.regions import Service
from tasks.sources.contract import SourceDataInvalid, SourceDenied, SourceError, SourceUnavailable

AGENT: Final = "QuakeCube/0.1 (seismological data fusion; python-requests)"
RETRIED: Final = (429, 500, 502, 503, 504)
NOTHING: Final = (204, 404, 410)
UNCHANGED: Final = 304
ATTEMPTS: Final = 4
LONGEST_WAIT_S: Final = 120
_BLOCK: Final = 1 << 16
_EXCERPT: Final = 200
_PAGE: Final = (b"<!doctype html", b"<html")


class Body(NamedTuple):
    """A body on disk: bytes, SHA-256, and what the provider says of its version (empty if it does not)."""

    size: int
    sha256: str
    etag: str
    last_modified: str


class _Turns:
    """When each host may be asked next: it does not care which of a region's sources asks it."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def wait(self, host: str, interval_s: float) -> None:
        """Sleep until it is the caller's turn; the next one comes `interval_s` later."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next.get(host, now))
            self._next[host] = turn + interval_s
        time.sleep(turn - now)


# one for the process: mirrors of several sources run side by side
_TURNS: Final = _Turns()


class _Session(requests.Session):
    """A session whose credential does not follow a redirect to another host."""

    def __init__(self, secret_header: str) -> None:
        super().__init__()
        self.secret_header = secret_header

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Drop the credential where `requests` would drop Authorization, whatever header it travels in."""
        old, new = str(response.request.url), str(prepared_request.url)
        if self.should_strip_auth(old, new):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop(self.secret_header, None)
            prepared_request.headers.pop("Authorization", None)


class _Digest(HTTPDigestAuth):
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


class Http:
    """Ask one service, one request at a time, and its host not more often than it allows.

    Parameters
    ----------
    service : Service
        Its rate, time-out and the header of its credential.
    token : str
        The credential itself, `user:password` for digest; empty for none. It is kept out of messages, logs and
        `repr`.
    backoff_s : float
        First wait before a retry; doubled each time.
    """

    def __init__(self, service: Service, token: str = "", backoff_s: float = 0.5) -> None:
        self.service = service
        self._token = token
        self._hosts = {urlsplit(url).netloc for url in service.urls}
        self._session = _Session(service.credential_header)
        weakref.finalize(self, self._session.close)
        self._session.trust_env = False  # a netrc entry would travel unseen
        retry = Retry(
            total=ATTEMPTS - 1,
            backoff_factor=backoff_s,
            backoff_jitter=backoff_s,
            backoff_max=LONGEST_WAIT_S,
            status_forcelist=RETRIED,
            allowed_methods=None,
            raise_on_status=False,
            retry_after_max=LONGEST_WAIT_S,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))
        self._session.headers["User-Agent"] = AGENT
        self._backoff_s = backoff_s
        is_digest = bool(token) and service.credential_scheme == "digest"
        self._digest = _Digest(token, self._hosts) if is_digest else None
        # what must not be shown: of `user:password` also the password alone
        self._secrets = [s for s in (token, token.partition(":")[2] if is_digest else "") if s]

    def __repr__(self) -> str:
        """Return hosts and rate; never the credential."""
        hosts = sorted(host.rpartition("@")[2] for host in self._hosts)
        return f"Http({hosts}, {self.service.requests_per_second:g}/s)"

    def get(
        self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> requests.Response | None:
        """Return the answer to a GET, whole in memory; None if there is nothing (204, 404, 410 or an empty body).

        A body that breaks off is asked for again, as in `stream`.

        Raises
        ------
        SourceDenied
            If the provider refuses (another 4xx).
        SourceUnavailable
            If it does not answer, or not with a success, after the retries.
        """
        return self._whole("GET", url, params=params, headers=headers)

    def post(
        self,
        url: str,
        content: bytes | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response | None:
        """Return the answer to a POST of `content` or of `json`, as `get` does."""
        return self._whole("POST", url, data=content, json=json, headers=headers)

    def first(self, path: str, params: Mapping[str, str] | None = None) -> requests.Response | None:
        """Return the answer of the first of the service's base URLs that has something at `path`.

        Raises
        ------
        SourceUnavailable
            If none has and at least one did not answer: nothing is then known.
        """
        failures: list[SourceUnavailable] = []
        for base in self.service.urls:
            try:
                response = self.get(f"{base.rstrip('/')}/{path}", params=params)
            except SourceUnavailable as error:
                failures.append(error)
                continue
            if response is not None:
                return response
        if failures:
            raise failures[0]
        return None

    def stream(
        self,
        url: str,
        target: Path,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Body | int:
        """Write a body to `target` block by block; return it, or the status if there is none (204, 304, 404, 410).

        A body that breaks off is asked for again, from its beginning.

        Raises
        ------
        SourceDenied, SourceUnavailable
            As `get`.
        """
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(min(LONGEST_WAIT_S, self._backoff_s * 2**attempt))
            response = self._send(method, url, params=params, headers=headers, data=content, stream=True)
            with response:
                if response.status_code in (*NOTHING, UNCHANGED):
                    return response.status_code
                try:
                    return _save(response, target)
                except requests.exceptions.RequestException as error:
                    problem = type(error).__name__
        raise self._broken(url, problem)

    def shown(self, url: str) -> str:
        """Return `url` as it may be shown: without user, query and credential."""
        parts = urlsplit(url)
        return self._hidden(f"{parts.scheme}://{parts.hostname}{_port(parts.port)}{parts.path}")

    def _hidden(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _whole(self, method: str, url: str, **arguments: object) -> requests.Response | None:
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(min(LONGEST_WAIT_S, self._backoff_s * 2**attempt))
            with self._send(method, url, stream=True, **arguments) as response:
                try:
                    if response.status_code in NOTHING or not response.content:
                        return None
                    return response
                except requests.exceptions.RequestException as error:
                    problem = type(error).__name__
        raise self._broken(url, problem)

    def _broken(self, url: str, problem: str) -> SourceUnavailable:
        return SourceUnavailable(f"{self.shown(url)}: the body broke off {ATTEMPTS} times ({problem})")

    def _send(self, method: str, url: str, **arguments: object) -> requests.Response:
        _TURNS.wait(urlsplit(url).netloc, 1.0 / self.service.requests_per_second)
        headers = dict(arguments.pop("headers", None) or {})  # type: ignore[call-overload]
        is_ours = urlsplit(url).netloc in self._hosts
        if self._token and is_ours and self._digest is None:
            headers[self.service.credential_header] = f"{self.service.credential_prefix}{self._token}"
        try:
            response = self._session.request(
                method,
                url,
                headers=headers,
                auth=self._digest if is_ours else None,
                timeout=self.service.timeout_s,
                **arguments,  # type: ignore[arg-type]
            )
        except requests.exceptions.RequestException as error:
            # The exception's own text holds the whole URL.
            raise SourceUnavailable(f"{self.shown(url)}: no answer ({_reason(error)})") from None
        status = response.status_code
        if status < 400 or status in NOTHING:
            return response
        with response:
            said = self._hidden(_said(response))
        if status in RETRIED or status >= 500:
            raise SourceUnavailable(f"{self.shown(url)}: HTTP {status} after {ATTEMPTS} attempts: {said}")
        raise SourceDenied(f"{self.shown(url)}: HTTP {status}{self._hint(status)}: {said}", status)

    def _hint(self, status: int) -> str:
        if status not in (401, 403) or not self.service.credential:
            return ""
        given = "was refused" if self._token else "is not set"
        return f" (the credential in {self.service.credential} {given})"


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


def any_of(urls: Iterable[str], ask: Callable[[str], bool]) -> bool:
    """Ask mirrors in order until one says yes; raise the first failure if none did and one could not be asked."""
    failures: list[SourceError] = []
    for url in urls:
        try:
            if ask(url):
                return True
        except (SourceUnavailable, SourceDataInvalid) as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return False


def _save(response: requests.Response, target: Path) -> Body:
    sha = hashlib.sha256()
    size = 0
    with target.open("wb") as file:
        for block in response.iter_content(_BLOCK):
            file.write(block)
            sha.update(block)
            size += len(block)
    headers = response.headers
    return Body(size, sha.hexdigest(), headers.get("ETag", ""), headers.get("Last-Modified", ""))


def _said(response: requests.Response) -> str:
    """Return the beginning of what a refusal says, if it comes."""
    try:
        return " ".join(response.text[:_EXCERPT].split())
    except requests.exceptions.RequestException:
        return ""


def _port(port: int | None) -> str:
    return f":{port}" if port else ""


def _reason(error: requests.exceptions.RequestException) -> str:
    if isinstance(error, requests.exceptions.Timeout):
        return "timed out"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "connection failed"
    return type(error).__name__
