"""FDSN dataselect for event records: a span around each of some origin times, a folder an event.

They land as `EVENT/NET.STA.LOC.CHA.mseed` beside `stations/NET.STA.xml`, as the reader `miniseed` expects. The ledger's
key is `NET.STA.LOC.CHA/EVENT`.

Options of the service: `events` (comma list of `NAME=ORIGIN_TIME`, ISO in UTC, required), `before_s` and `after_s`
(what is asked for around the origin, default 30 and 360), `delay_hours` (so long after its end a span is asked for,
default 6), and of `fdsn_waveforms` `channels` (required), `channels_per_request`, `revisit_days`, `refresh_days`,
`metadata_days`, `quality`, `query`.
"""

import re
from datetime import UTC, datetime
from typing import Final

import numpy as np

from tasks.sources.services import Ask
from tasks.sources.services.fdsn_dataselect import Span, Wanted, bring_records
from tasks.sources.services.fdsn_stations import bring_epochs, bring_responses

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")


def mirror(ask: Ask) -> None:
    """Bring the channels in reach, their responses, and what they recorded around each event of the window.

    Raises
    ------
    SourceUnavailable, SourceDenied, SourceDataInvalid
        As `bring_records`.
    ValueError
        If an option is missing or is not what it has to be.
    """
    spans = _spans(ask)
    epochs = bring_epochs(ask)
    bring_responses(ask, epochs)
    wanted: dict[str, Wanted] = {}
    for span in spans:
        for epoch in epochs:
            if epoch.start < span.end and epoch.end > span.start:
                one = Wanted(epoch, span, f"{span.name}/{epoch.nslc}.mseed")
                wanted.setdefault(one.key, one)
    bring_records(ask, wanted)


def _spans(ask: Ask) -> list[Span]:
    """Return the spans that lie in the window and are over."""
    events = [part.strip() for part in str(ask.service.options.get("events", "")).split(",") if part.strip()]
    if not events:
        raise ValueError(f"source {ask.config.group}: service option 'events' must list NAME=ORIGIN_TIME")
    before, after, delay = (
        np.timedelta64(round(1000 * seconds), "ms")
        for seconds in (
            float(ask.service.options.get("before_s", 30.0)),
            float(ask.service.options.get("after_s", 360.0)),
            3600.0 * float(ask.service.options.get("delay_hours", 6.0)),
        )
    )
    spans = []
    for event in events:
        name, _, text = event.partition("=")
        origin = _time(text.strip())
        if origin is None or not _NAME.fullmatch(name):
            raise ValueError(
                f"source {ask.config.group}: service option 'events' must list NAME=ORIGIN_TIME, found {event!r}"
            )
        span = Span(name, origin - before, origin + after)
        if ask.window.start <= origin < ask.window.end and span.end + delay <= ask.now:
            spans.append(span)
    return spans


def _time(text: str) -> np.datetime64 | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(moment, "ns")
