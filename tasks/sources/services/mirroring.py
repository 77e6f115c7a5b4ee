"""How a mirror works through what it wants: on past what fails, from the first address that has it, not too often."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from tasks.sources.contract import SourceDataInvalid, SourceDenied, SourceError, SourceUnavailable
from tasks.sources.services import Ask, Entry
from tasks.sources.services.bodies import Answer
from tasks.sources.services.clock import wall_time

logger = logging.getLogger(__name__)
T = TypeVar("T")

# A host that fails so often in a row is down, one that refuses the first so many refuses all: the rest would only wait.
PATIENCE: Final = 3
_UNAUTHORIZED: Final = 401
_QUESTION: Final = "question"


def bring_each(items: Iterable[T], bring_one: Callable[[T], object]) -> None:
    """Bring all of `items`; one that fails or is refused keeps nothing back, and stays pending in the ledger.

    Raises
    ------
    SourceDenied
        At once if the credential is refused (401), or the first three items are.
    SourceUnavailable
        At the end the first failure or refusal; after three items in a row that could not be asked for, at once.
    SourceDataInvalid
        At the end the first invalid item, if all the others came.
    """
    unavailable: list[SourceUnavailable] = []
    invalid: list[SourceDataInvalid] = []
    in_row = n_good = 0
    for item in items:
        try:
            bring_one(item)
        except SourceDenied as error:
            logger.warning("left out: %s", error)
            unavailable.append(error)
            refused = [e for e in unavailable if isinstance(e, SourceDenied)]
            if error.status == _UNAUTHORIZED or (not n_good and len(refused) >= PATIENCE):
                raise
        except SourceUnavailable as error:
            unavailable.append(error)
            in_row += 1
            if in_row >= PATIENCE:
                raise
            continue
        except SourceDataInvalid as error:
            logger.warning("left out: %s", error)
            invalid.append(error)
        else:
            n_good += 1
        in_row = 0
    for failure in (*unavailable, *invalid):
        raise failure


def first_of(addresses: Iterable[str], ask_one: Callable[[str], T | None]) -> T | None:
    """Return what the first address has that has something; None if none has.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid
        The first failure, if none has and one could not be asked, refused or gave something else: nothing is known.
    """
    failure: SourceUnavailable | SourceDataInvalid | None = None
    for address in addresses:
        try:
            found = ask_one(address)
        except (SourceUnavailable, SourceDataInvalid) as error:
            failure = failure or error
            continue
        if found is not None:
            return found
    if failure is not None:
        raise failure
    return None


def below(ask: Ask, path: str) -> list[str]:
    """Return the address of `path` below each base URL of the service."""
    return [f"{base.rstrip('/')}/{path}" for base in ask.service.urls]


def first_answer(ask: Ask, path: str) -> Answer | None:
    """Return the answer of the first base URL that has something at `path`; raises as `first_of`."""
    return first_of(below(ask, path), ask.http.get)


def land_first(
    ask: Ask,
    key: str,
    name: str,
    addresses: Iterable[str],
    *,
    magic: Iterable[bytes] = (),
    check: Callable[[Path], None] | None = None,
    modified: datetime | None = None,
    refresh: bool = True,
) -> bool:
    """Land the payload `name` from the first address that has it; tell whether it is there.

    With `refresh` a settled key is asked for again, and brought if its version is another.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid
        As `first_of`; the ledger then says `failed`, whatever the last address said.
    """
    starts, now = tuple(magic), wall_time(ask.now)

    def take(address: str) -> bool | None:
        entry = ask.landing.download(
            ask.http, key, address, name,
            magic=starts, check=check, modified=modified, refresh=refresh, now=now,
        )  # fmt: skip
        return True if entry.state == "got" else None

    try:
        return first_of(addresses, take) is not None
    except SourceError as error:
        before = ask.landing.ledger.get(key) or Entry(key, "failed")
        ask.landing.ledger.put(before._replace(state="failed", message=str(error)))
        raise


def asked_within(ask: Ask, key: str, days: float | None = None) -> bool:
    """Tell whether `key` was asked, and answered, less than `days` (default: option `refresh_days`, else 1) ago."""
    entry = ask.landing.ledger.get(key)
    if entry is None or entry.state not in ("got", "empty") or not entry.asked_at:
        return False
    age = wall_time(ask.now) - datetime.fromisoformat(entry.asked_at)
    wanted = float(ask.service.options.get("refresh_days", 1.0)) if days is None else days
    return age.total_seconds() < 86_400 * wanted


def question_since(ask: Ask, **shape: object) -> tuple[bool, datetime]:
    """Tell whether the question is another than at the last pull, and return since when it has been the same.

    The keys of periods say nothing of the place, the size or the variables that were asked for: where these change, the
    answers to the earlier question settle nothing.

    Parameters
    ----------
    shape : str to object
        What decides an answer besides the region's bounds and margin, as text.
    """
    told = {"bounds": ask.region.bounds.model_dump(), "margin_deg": ask.region.margin_deg, **shape}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
    before, _, since = ask.landing.ledger.note(_QUESTION).partition(" ")
    if before == digest:
        return False, datetime.fromisoformat(since)
    now = wall_time(ask.now)
    ask.landing.ledger.put_note(_QUESTION, f"{digest} {now.isoformat(timespec='seconds')}")
    return before != "", now


def forget_other_answers(ask: Ask, **shape: object) -> None:
    """Remove what answered another question than `question_since` tells of, payloads and entries."""
    is_other, _ = question_since(ask, **shape)
    if is_other:
        logger.warning("%s: the question has changed; all of it is asked for anew", ask.config.group)
        for entry in ask.landing.ledger.entries():
            if entry.name:
                ask.landing.path(entry.name).unlink(missing_ok=True)
            ask.landing.ledger.forget(entry.key)
