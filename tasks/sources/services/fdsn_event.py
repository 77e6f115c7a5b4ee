"""FDSN event services: a catalog by calendar months, then what was added, revised or deleted since.

Transport is our `Http`, for obspy's client neither waits as Retry-After says nor backs off, and turns every answer into
objects at 1.5 ms an event; the answers land as they came. Every later version of an event lands in a file of its own
beside the first, and the reader orders them by the moment that each one states.

Options of the service: `min_magnitude` (default the region's completeness less 0.5), `limit` (events in one answer,
default 20000), `count` (ask for the number first; default true for ComCat), `revisit_days` (for so long after its end a
month is asked for again, default 30), `refresh_days` (not more often than that, default 1), `updated_after` (ask for
revisions of anything older, default true), `include_deleted` (with the deleted ones; default true for ComCat, which
alone can), `most_withdrawn` (default 100), `query` (further parameters, `a=b&c=d`).
"""

import logging
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import numpy as np

from tasks.sources.contract import SourceDenied, SourceError
from tasks.sources.services import Ask, Entry
from tasks.sources.services.clock import wall_time
from tasks.sources.services.event_query import FORMATS, Span, ask_span, clock, compact, flag, number, question
from tasks.sources.services.event_revisions import land
from tasks.sources.services.fdsn import text_of
from tasks.sources.services.mirroring import asked_within, bring_each

logger = logging.getLogger(__name__)

_SPAN: Final = re.compile(r"\d{4}-\d{2}-\d{2}T")
_SPLIT: Final = "split in halves"
_UPDATES: Final = "updates"
_OVERLAP: Final = np.timedelta64(1, "h")


def mirror(ask: Ask) -> None:
    """Bring the months that the window touches, and every version that came up since.

    A month is asked for again until `revisit_days` after its end; of that answer only events that are new or changed
    land. One that is missing in it is asked for by its id: if it only moved out of the query its new version lands, if
    it is gone a withdrawal made now. What was revised longer ago comes by `updatedafter`. Where another box or smallest
    magnitude is asked for than before, all months are asked anew, and no event is missing because of that.

    Raises
    ------
    SourceUnavailable, SourceDenied, SourceDataInvalid
        If the service does not answer, refuses, or answers something else; what came before stays.
    ValueError
        If the source's provider is no format of event services.
    """
    if ask.config.provider not in FORMATS:
        raise ValueError(
            f"source {ask.config.group}: provider must be one of {sorted(FORMATS)} for FDSN event"
        )
    first_time = ask.landing.ledger.get(_UPDATES) is None
    if first_time:
        # revisions count from now: what lands below is as of now or later
        ask.landing.ledger.put(Entry(_UPDATES, "empty", asked_at=clock(ask)))
    is_other, _ = question(ask)
    if is_other:
        logger.warning(
            "%s: other events are asked for than before; all months are asked anew", ask.config.group
        )
        for entry in ask.landing.ledger.entries():
            if _SPAN.match(entry.key):
                ask.landing.ledger.forget(entry.key)
    bring_each(_months(ask), lambda span: _bring(ask, span))
    if not first_time and flag(ask, "updated_after", True) and not asked_within(ask, _UPDATES):
        _bring_updates(ask)


def _months(ask: Ask) -> Iterator[Span]:
    month = ask.window.start.astype("datetime64[M]")
    while month < min(ask.window.end, ask.now):
        yield Span(month.astype("datetime64[s]"), (month + 1).astype("datetime64[s]"))
        month = month + 1


def _bring(ask: Ask, span: Span) -> None:
    entry = ask.landing.ledger.get(span.key)
    if entry is not None and entry.message == _SPLIT:
        for half in span.halves():
            if half.start < ask.now:
                _bring(ask, half)
        return
    if entry is not None and entry.state in ("got", "empty"):
        asked = np.datetime64(datetime.fromisoformat(entry.asked_at).replace(tzinfo=None), "s")
        revisit = np.timedelta64(round(86_400 * number(ask, "revisit_days", 30)), "s")
        if asked >= span.end + revisit or asked_within(ask, span.key):
            return
    before = entry or Entry(span.key, "asked")
    asked_entry = before._replace(
        state="asked", asked_at=clock(ask), attempts=before.attempts + 1, message=""
    )
    ask.landing.ledger.put(asked_entry)
    try:
        content = ask_span(ask, span, {})
        if content is None:
            ask.landing.ledger.put(asked_entry._replace(state="got", message=_SPLIT))
            _bring(ask, span)
            return
        land(ask, span, content)
    except SourceError as error:
        if (ask.landing.ledger.get(span.key) or asked_entry).message != _SPLIT:
            ask.landing.ledger.put(asked_entry._replace(state="failed", message=str(error)))
        raise


def _bring_updates(ask: Ask) -> None:
    form = FORMATS[ask.config.provider]
    before = ask.landing.ledger.get(_UPDATES) or Entry(_UPDATES, "empty", asked_at=clock(ask))
    since = np.datetime64(datetime.fromisoformat(before.asked_at).replace(tzinfo=None), "s") - _OVERLAP
    more = {"updatedafter": text_of(since)}
    if flag(ask, "include_deleted", form.name == "csv"):
        more["includedeleted"] = "true"
    spans = [
        Span(ask.window.start.astype("datetime64[s]"), min(ask.window.end, ask.now).astype("datetime64[s]"))
    ]
    while spans:
        span = spans.pop(0)
        try:
            content = ask_span(ask, span, more)
        except SourceDenied as error:
            if error.status != 400:
                raise
            logger.warning("%s: the service knows no updatedafter: %s", ask.config.group, error)
            content = b""
        if content is None:
            spans = [*span.halves(), *spans]
        elif content:
            name = f"updates_{compact(since)}_{compact(ask.now)}_{span.stem}{form.suffix}"
            ask.landing.put(f"{_UPDATES} {span.key} {text_of(since)}", name, content, now=wall_time(ask.now))
    # only now: a pull that was killed asks from the old moment again
    ask.landing.ledger.put(before._replace(asked_at=clock(ask), attempts=before.attempts + 1))
