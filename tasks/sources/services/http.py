"""How a provider is asked over HTTP: politely, again if need be, and without telling anyone the password.

`requests` and urllib3 do the work: retries with exponential back-off and jitter on connection errors, 429 and 5xx that
honour Retry-After, and refusal of bodies shorter than announced. This module adds the rate, the credential that stays
with its host, and errors in the words of `tasks.sources.contract`.
"""

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tasks.regions import Service
from tasks.sources.contract import SourceDenied, SourceUnavailable
from tasks.sources.services.bodies import (
    LARGEST_ANSWER,
    Answer,
    Body,
    BrokenBody,
    Limits,
    excerpt,
    saved,
    whole,
)
from tasks.sources.services.credentials import Credential, Session

T = TypeVar("T")

AGENT: Final = "QuakeCube/0.1 (seismological data fusion; python-requests)"
RETRIED: Final = (429, 500, 502, 503, 504)
NOTHING: Final = (204, 404, 410)
UNCHANGED: Final = 304
ATTEMPTS: Final = 4
LONGEST_WAIT_S: Final = 120


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
        hosts = {urlsplit(url).netloc for url in service.urls}
        self._credential = Credential(service, token, hosts)
        self._limits = Limits(service.largest_bytes, service.slowest_bytes_per_s, service.timeout_s)
        self._session = Session(service.credential_header)
        weakref.finalize(self, self._session.close)
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

    def __repr__(self) -> str:
        """Return hosts and rate; never the credential."""
        hosts = sorted({str(urlsplit(url).netloc) for url in self.service.urls})
        return f"Http({hosts}, {self.service.requests_per_second:g}/s)"

    def get(
        self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer | None:
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
    ) -> Answer | None:
        """Return the answer to a POST of `content` or of `json`, as `get` does."""
        return self._whole("POST", url, data=content, json=json, headers=headers)

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
        # A file is wanted as it is stored: packed only if its name says so, and then not unpacked on the way.
        is_packed = urlsplit(url).path.endswith((".gz", ".tgz"))
        wanted = {"Accept-Encoding": "identity", **(headers or {})}

        def take(response: requests.Response) -> Body | int:
            if response.status_code in (*NOTHING, UNCHANGED):
                return response.status_code
            return saved(response, target, self._limits, self.shown(url), is_decoded=not is_packed)

        return self._taken(take, method, url, params=params, headers=wanted, data=content)

    def shown(self, url: str) -> str:
        """Return `url` as it may be shown: without user, query and credential."""
        parts = urlsplit(url)
        return self._credential.hidden(f"{parts.scheme}://{parts.hostname}{_port(parts.port)}{parts.path}")

    def _whole(self, method: str, url: str, **arguments: object) -> Answer | None:
        limits = self._limits._replace(largest=min(LARGEST_ANSWER, self._limits.largest))

        def take(response: requests.Response) -> Answer | None:
            if response.status_code in NOTHING:
                return None
            answer = whole(response, limits, self.shown(url))
            return answer if answer.content else None

        return self._taken(take, method, url, **arguments)

    def _taken(self, take: Callable[[requests.Response], T], method: str, url: str, **arguments: object) -> T:
        """Return what `take` makes of the response; a body that breaks off is asked for again, from its beginning."""
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(min(LONGEST_WAIT_S, self._backoff_s * 2**attempt))
            with self._send(method, url, **arguments) as response:
                try:
                    return take(response)
                except BrokenBody as error:
                    problem = str(error)
        raise self._broken(url, problem)

    def _broken(self, url: str, problem: str) -> SourceUnavailable:
        return SourceUnavailable(f"{self.shown(url)}: the body broke off {ATTEMPTS} times ({problem})")

    def _send(self, method: str, url: str, **arguments: object) -> requests.Response:
        _TURNS.wait(urlsplit(url).netloc, 1.0 / self.service.requests_per_second)
        headers = dict(arguments.pop("headers", None) or {})  # type: ignore[call-overload]
        try:
            response = self._session.request(
                method,
                url,
                headers=headers | self._credential.headers(url),
                auth=self._credential.auth(url),
                timeout=self.service.timeout_s,
                stream=True,
                **arguments,  # type: ignore[arg-type]
            )
        except requests.exceptions.RequestException as error:
            # The exception's own text holds the whole URL.
            raise SourceUnavailable(f"{self.shown(url)}: no answer ({_reason(error)})") from None
        status = response.status_code
        if status < 400 or status in NOTHING:
            return response
        with response:
            said = self._credential.hidden(excerpt(response, self._limits))
        if status in RETRIED or status >= 500:
            raise SourceUnavailable(f"{self.shown(url)}: HTTP {status} after {ATTEMPTS} attempts: {said}")
        raise SourceDenied(f"{self.shown(url)}: HTTP {status}{self._credential.hint(status)}: {said}", status)


def _port(port: int | None) -> str:
    return f":{port}" if port else ""


def _reason(error: requests.exceptions.RequestException) -> str:
    if isinstance(error, requests.exceptions.Timeout):
        return "timed out"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "connection failed"
    return type(error).__name__
