"""Later answers of an event service against earlier ones: what is new lands, what is missing is asked for by its id."""

import logging
import re
from typing import Any, Final

from tasks.sources.contract import SourceUnavailable
from tasks.sources.services import Ask, Entry
from tasks.sources.services.clock import wall_time
from tasks.sources.services.event_query import FORMATS, Span, ask_event, compact, number, question, shown

logger = logging.getLogger(__name__)

_MOVED: Final = "moved"
_WITHDRAWN: Final = "withdrawn"
_BACK: Final = "shown again"


def land(ask: Ask, span: Span, content: bytes) -> None:
    """Land the first answer as it came; of a later one what is new, and versions of what is missing in it.

    First is also the first answer to a question for other events than before: what it lacks was not asked for.

    Raises
    ------
    SourceUnavailable
        If more events are missing than the option `most_withdrawn` allows, or the service does not answer for one.
    SourceDataInvalid
        If an answer is of another format.
    """
    form = FORMATS[ask.config.provider]
    before: dict[str, Any] = {}
    seen: set[bytes] = set()
    since = compact(question(ask)[1])
    for path in sorted(ask.landing.folder.glob(f"{span.stem}_*{form.suffix}")):
        if path.name.removesuffix(form.suffix)[-len(since) :] < since:
            continue
        for event_id, event in form.parse(path.read_bytes(), str(path)):
            before[event_id] = event
            seen.add(form.fingerprint(event))
    events = form.parse(content, shown(ask)) if content else []
    now = {event_id for event_id, _ in events}
    if before:
        _settle_missing(ask, span, {k: e for k, e in before.items() if k not in now})
        events = [(event_id, event) for event_id, event in events if form.fingerprint(event) not in seen]
        content = form.join([event for _, event in events]) if events else b""
    _show_again(ask, span, {k: before[k] for k in now & set(before)})
    if before and not content:
        known = ask.landing.ledger.get(span.key)
        if known is not None:
            ask.landing.ledger.put(known._replace(state="got"))
        return
    name = f"{span.stem}_{compact(ask.now)}{form.suffix}"
    attempts = (ask.landing.ledger.get(span.key) or Entry(span.key, "asked")).attempts
    entry = ask.landing.put(span.key, name, content, now=wall_time(ask.now))
    ask.landing.ledger.put(entry._replace(attempts=attempts))


def _settle_missing(ask: Ask, span: Span, missing: dict[str, Any]) -> None:
    """Land a version of each event that was in the span's answers and is no more: where it went, or its withdrawal."""
    ledger = ask.landing.ledger
    entries = {event_id: ledger.get(_event_key(span, event_id)) for event_id in missing}
    unknown = [
        k for k, entry in entries.items() if entry is None or entry.message not in (_MOVED, _WITHDRAWN)
    ]
    most = int(number(ask, "most_withdrawn", 100))
    if len(unknown) > most:
        raise SourceUnavailable(
            f"{shown(ask)}: {len(unknown)} events that it gave before are missing in its answer, more than the "
            f"{most} of option most_withdrawn; taken as a fault of the service"
        )
    form = FORMATS[ask.config.provider]
    for event_id in unknown:
        content = ask_event(ask, event_id)
        message = _MOVED if content else _WITHDRAWN
        if not content:
            content = form.join([form.stamped(missing[event_id], _moment(ask), is_withdrawn=True)])
        _put_event(ask, span, event_id, content, message)


def _put_event(ask: Ask, span: Span, event_id: str, content: bytes, message: str) -> None:
    key = _event_key(span, event_id)
    entry = ask.landing.put(key, _event_name(ask, event_id), content, now=wall_time(ask.now))
    ask.landing.ledger.put(entry._replace(message=message))
    logger.info("%s: event %s %s", ask.config.group, event_id, message)


def _show_again(ask: Ask, span: Span, back: dict[str, Any]) -> None:
    """Land a version made now of each event that was withdrawn and is there again."""
    form = FORMATS[ask.config.provider]
    for event_id, event in back.items():
        entry = ask.landing.ledger.get(_event_key(span, event_id))
        if entry is None or entry.message == _BACK:
            continue
        if entry.message == _WITHDRAWN:
            shown = form.join([form.stamped(event, _moment(ask), is_withdrawn=False)])
            _put_event(ask, span, event_id, shown, _BACK)
        else:
            ask.landing.ledger.put(entry._replace(message=_BACK))


def _event_key(span: Span, event_id: str) -> str:
    return f"event {event_id} of {span.key}"


def _event_name(ask: Ask, event_id: str) -> str:
    safe = re.sub(r"[^\w.-]", "_", event_id)[:80]
    return f"event_{safe}_{compact(ask.now)}{FORMATS[ask.config.provider].suffix}"


def _moment(ask: Ask) -> str:
    return f"{ask.now.astype('datetime64[s]')}Z"
