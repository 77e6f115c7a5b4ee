"""What is asked of an FDSN event service: a span of origin times or one event, in the format of the source's reader."""

import re
from datetime import UTC
from typing import Any, Final, NamedTuple

import numpy as np

from tasks.sources.contract import SourceDenied
from tasks.sources.services import Ask
from tasks.sources.services.clock import wall_time
from tasks.sources.services.event_formats import ComcatCsv, EventFormat, QuakeML
from tasks.sources.services.fdsn import address, ask_first, extra_query, is_too_large, text_of
from tasks.sources.services.mirroring import question_since

FORMATS: Final[dict[str, EventFormat[Any]]] = {"comcat": ComcatCsv(), "quakeml": QuakeML()}
_SHORTEST: Final = np.timedelta64(60, "s")


class Span(NamedTuple):
    """Origin times asked for together: half-open, datetime64[s]."""

    start: np.datetime64
    end: np.datetime64

    @property
    def key(self) -> str:
        """Key in the ledger."""
        return f"{self.start}/{self.end}"

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        return f"{compact(self.start)}_{compact(self.end)}"

    def halves(self) -> "tuple[Span, Span]":
        """Return the span in two."""
        middle = self.start + (self.end - self.start) // 2
        return Span(self.start, middle), Span(middle, self.end)


def ask_span(ask: Ask, span: Span, more: dict[str, str]) -> bytes | None:
    """Return the answer for `span`, empty if it has no events; None if it is too large for one answer.

    Parameters
    ----------
    more : dict of str to str
        Further parameters.

    Raises
    ------
    SourceDenied, SourceUnavailable
        If the service refuses or does not answer.
    SourceDataInvalid
        If it answers another format.
    """
    form = FORMATS[ask.config.provider]
    box = ask.region.bounds.grown(ask.region.margin_deg)
    # services take both ends as inside
    end = min(span.end, ask.now.astype("datetime64[s]")) - np.timedelta64(1, "us")
    params = {
        "starttime": text_of(span.start), "endtime": text_of(end), "minmagnitude": _smallest(ask),
        "minlatitude": f"{box.south:g}", "maxlatitude": f"{box.north:g}",
        "minlongitude": f"{box.west:g}", "maxlongitude": f"{box.east:g}",
        **extra_query(ask), **more,
    }  # fmt: skip
    limit = int(number(ask, "limit", 20_000))
    can_split = span.end - span.start >= 2 * _SHORTEST
    if can_split and flag(ask, "count", form.name == "csv") and _count(ask, params) > limit:
        return None
    try:
        response = ask_first(ask, "event", {**params, "format": form.name, "orderby": "time-asc"})
    except SourceDenied as error:
        if can_split and is_too_large(error):
            return None
        raise
    if response is None:
        return b""
    events = form.parse(response.content, shown(ask))
    # some servers do not say that they cut the answer at their limit
    if can_split and len(events) >= limit:
        return None
    return response.content if events else b""


def question(ask: Ask) -> tuple[bool, np.datetime64]:
    """Tell whether other events are asked for than at the last pull, and since when they have been the same."""
    is_other, since = question_since(ask, smallest=_smallest(ask), query=extra_query(ask))
    return is_other, np.datetime64(since.astimezone(UTC).replace(tzinfo=None), "s")


def _smallest(ask: Ask) -> str:
    return f"{number(ask, 'min_magnitude', ask.region.magnitude_completeness - 0.5):g}"


def _count(ask: Ask, params: dict[str, str]) -> int:
    """Return the number of events by the method `count`, which ComCat has; 0 where it is not there."""
    try:
        response = ask_first(ask, "event", params, method="count")
    except SourceDenied as error:
        if error.status in (400, 405):
            return 0
        raise
    text = response.text.strip() if response is not None else ""
    return int(text) if re.fullmatch(r"\d{1,9}", text) else 0


def ask_event(ask: Ask, event_id: str) -> bytes:
    """Return the event's present version, empty if the service has it no more or gives another in its place.

    Raises
    ------
    SourceError
        As `ask_span`.
    """
    form = FORMATS[ask.config.provider]
    deleted = {"includedeleted": "true"} if flag(ask, "include_deleted", form.name == "csv") else {}
    try:
        response = ask_first(ask, "event", {"eventid": event_id, "format": form.name, **deleted})
    except SourceDenied as error:
        # ComCat says 409 of a deleted event, others 400 of an id that they do not know
        if error.status in (400, 409):
            return b""
        raise
    if response is None:
        return b""
    own = [event for found, event in form.parse(response.content, shown(ask)) if found == event_id]
    return form.join(own) if own else b""


def shown(ask: Ask) -> str:
    """Return the service's address as it may be shown."""
    return ask.http.shown(address(ask.service.urls[0], "event"))


def clock(ask: Ask) -> str:
    """Return the clock of `ask` as the ledger keeps it."""
    return wall_time(ask.now).isoformat(timespec="seconds")


def compact(time: np.datetime64) -> str:
    """Return a time for a file name, such as `20190706T031953`."""
    return re.sub(r"[-:]", "", str(time.astype("datetime64[s]")))


def number(ask: Ask, key: str, default: float) -> float:
    """Return the service's option `key`, a number."""
    return float(ask.service.options.get(key, default))


def flag(ask: Ask, key: str, default: bool) -> bool:
    """Return the service's option `key`, yes or no."""
    return bool(ask.service.options.get(key, default))
