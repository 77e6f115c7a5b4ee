"""What the FDSN web services share: addresses, times, base URLs in order, and what a refusal means."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import numpy as np

from tasks.sources.contract import SourceDenied
from tasks.sources.services import Ask
from tasks.sources.services.bodies import Answer, Body
from tasks.sources.services.clock import wall_time
from tasks.sources.services.mirroring import first_of

_LARGE: Final = re.compile(r"exceed|too (?:many|large|much)|limit", re.IGNORECASE)


def address(base: str, service: str, method: str = "query") -> str:
    """Return the URL of a method of FDSN service version 1 below `base`."""
    return f"{base.rstrip('/')}/fdsnws/{service}/1/{method}"


def text_of(time: np.datetime64) -> str:
    """Return a time as FDSN services take it: ISO, UTC, to the microsecond only where it needs to be."""
    whole = time.astype("datetime64[s]")
    return str(whole if whole == time else time.astype("datetime64[us]"))


def extra_query(ask: Ask) -> dict[str, str]:
    """Return the service's option `query`, such as `catalog=ISC&includeallmagnitudes=true`, as parameters."""
    return dict(parse_qsl(str(ask.service.options.get("query", ""))))


def is_too_large(error: SourceDenied) -> bool:
    """Tell whether a refusal says that the answer would be too large: 413, or 400 with such words (ComCat)."""
    return error.status == 413 or (error.status == 400 and _LARGE.search(str(error)) is not None)


def ask_first(ask: Ask, service: str, params: Mapping[str, str], method: str = "query") -> Answer | None:
    """Return the answer of the first base URL that has one, None if all say that there is nothing.

    Raises
    ------
    SourceDenied, SourceUnavailable
        As `first_of`.
    """
    addresses = [address(base, service, method) for base in ask.service.urls]
    return first_of(addresses, lambda url: ask.http.get(url, params=params))


def put_changed(ask: Ask, key: str, name: str, content: bytes) -> None:
    """Land `content` as `name`, unless it is there already: a file that is written again is read again."""
    path, before = ask.landing.path(name), ask.landing.ledger.get(key)
    if before is not None and content and path.is_file() and path.read_bytes() == content:
        asked_at = wall_time(ask.now).isoformat(timespec="seconds")
        ask.landing.ledger.put(
            before._replace(state="got", asked_at=asked_at, attempts=before.attempts + 1, message="")
        )
    else:
        ask.landing.put(key, name, content, now=wall_time(ask.now))


def post_lines(ask: Ask, base: str, lines: list[str], target: Path) -> Body | None:
    """POST a bulk request of `NET STA LOC CHA START END` lines to dataselect; the body lands in `target`.

    Returns
    -------
    Body or None
        None if there are no data (204, 404).

    Raises
    ------
    SourceDenied, SourceUnavailable
        If it refuses or does not answer.
    """
    params = {"quality": str(ask.service.options.get("quality", "B")), **extra_query(ask)}
    text = "\n".join([*(f"{key}={value}" for key, value in params.items()), *lines]) + "\n"
    # restricted data are behind a method of their own
    method = "queryauth" if ask.service.credential_scheme == "digest" else "query"
    body = ask.http.stream(
        address(base, "dataselect", method),
        target,
        method="POST",
        content=text.encode(),
        headers={"Content-Type": "text/plain"},
    )
    return None if isinstance(body, int) or body.size == 0 else body
