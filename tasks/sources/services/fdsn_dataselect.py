"""FDSN dataselect: spans of channels brought by bulk requests, with an entry in the ledger for each.

Requests are bulk ones (POST) through our `Http`: obspy's client knows neither Retry-After nor a ledger. Answers are
trimmed to the span by us, for servers return whole records beyond it.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from tasks.sources.contract import SourceDataInvalid, SourceDenied, SourceError, SourceUnavailable
from tasks.sources.mseed_trim import covered_seconds, trim_channels
from tasks.sources.services import Ask, Entry
from tasks.sources.services.clock import wall_time
from tasks.sources.services.fdsn import address, is_too_large, post_lines, text_of
from tasks.sources.services.fdsn_stations import Epoch
from tasks.sources.services.mirroring import asked_within, bring_each

logger = logging.getLogger(__name__)

_TOLERATED_S: Final = 1.0  # servers and digitisers disagree by samples
_SHORTEST: Final = np.timedelta64(3600, "s")
_UNAUTHORIZED: Final = 401
_SHORTFALL: Final = "shortfall: "


class Span(NamedTuple):
    """What is asked of all its channels together: half-open, datetime64[ns], and the name that it has in the ledger."""

    name: str
    start: np.datetime64
    end: np.datetime64

    @property
    def seconds(self) -> float:
        """Length, s."""
        return float((self.end - self.start) / np.timedelta64(1, "s"))


class Wanted(NamedTuple):
    """One channel in one span, and the file in which it lands."""

    epoch: Epoch
    span: Span
    file: str

    @property
    def key(self) -> str:
        """Key in the ledger."""
        return f"{self.epoch.nslc}/{self.span.name}"


def bring_records(ask: Ask, wanted: Mapping[str, Wanted]) -> None:
    """Bring what is `wanted` (by key) and not there yet, `channels_per_request` at once.

    What came with gaps is kept, its shortfall stands in the ledger's message, and it is asked for again until
    `revisit_days` after its end; so is what had no data. Of two answers the one with more data stays. Base URLs are
    asked in order for what those before did not have.

    Raises
    ------
    SourceUnavailable, SourceDenied, SourceDataInvalid
        As `bring_each`: what came before stays, what failed is pending.
    """
    bring_each(_groups(ask, wanted), lambda group: _bring_parts(ask, group))


def _groups(ask: Ask, wanted: Mapping[str, Wanted]) -> list[list[Wanted]]:
    """Return what is asked for, in requests of one span each, the earliest first."""
    revisit = np.timedelta64(round(86_400 * float(ask.service.options.get("revisit_days", 7.0))), "s")
    pending = set(ask.landing.ledger.pending(wanted))
    pending |= {
        key
        for key, one in wanted.items()
        if key not in pending and ask.now < one.span.end + revisit and _is_short(ask, key)
    }
    by_span: dict[Span, list[Wanted]] = defaultdict(list)
    for key in wanted:
        if key in pending:
            by_span[wanted[key].span].append(wanted[key])
    n = max(1, int(ask.service.options.get("channels_per_request", 12)))
    groups = []
    for span in sorted(by_span, key=lambda span: span.start):
        channels = sorted(by_span[span], key=lambda one: one.epoch.nslc)
        groups += [channels[k : k + n] for k in range(0, len(channels), n)]
    return groups


def _is_short(ask: Ask, key: str) -> bool:
    entry = ask.landing.ledger.get(key)
    if entry is None or not (entry.state == "empty" or entry.message.startswith(_SHORTFALL)):
        return False
    return not asked_within(ask, key)


def _bring_parts(ask: Ask, group: list[Wanted]) -> None:
    """Bring a group; where it is refused by halves, for one restricted station must not keep back the others."""
    try:
        _bring(ask, group)
    except SourceDenied as error:
        if error.status == _UNAUTHORIZED or len(group) == 1:
            raise
        half = len(group) // 2
        bring_each((group[:half], group[half:]), lambda part: _bring_parts(ask, part))


def _bring(ask: Ask, group: list[Wanted]) -> None:
    clock = wall_time(ask.now).isoformat(timespec="seconds")
    missing = {one.epoch.nslc: one for one in group}
    entries: dict[str, Entry] = {}
    for nslc, one in missing.items():
        before = ask.landing.ledger.get(one.key) or Entry(one.key, "asked")
        entries[nslc] = before
        ask.landing.ledger.put(
            before._replace(state="asked", asked_at=clock, attempts=before.attempts + 1, message="")
        )
    failure: SourceError | None = None
    span = group[0].span
    for base in ask.service.urls:
        if not missing:
            break
        try:
            found = _ask_base(ask, base, [one.epoch for one in missing.values()], span.start, span.end)
        except (SourceUnavailable, SourceDataInvalid) as error:
            failure = failure or error
            continue
        others = sorted(set(found) - set(missing))
        if others:
            failure = failure or SourceDataInvalid(
                ask.http.shown(address(base, "dataselect")),
                f"records of {', '.join(missing)}",
                f"some of {', '.join(others[:3])}",
            )
            logger.warning("%s", failure)
        for nslc in set(found) & set(missing):
            _land(ask, missing.pop(nslc), found[nslc], entries[nslc], clock)
    for nslc in missing:
        asked = entries[nslc]._replace(asked_at=clock, attempts=entries[nslc].attempts + 1)
        if failure is not None:
            ask.landing.ledger.put(asked._replace(state="failed", message=str(failure)))
        elif asked.name:
            # the service has lost what it gave before; we keep it
            ask.landing.ledger.put(asked._replace(state="got"))
        else:
            ask.landing.ledger.put(asked._replace(state="empty", message=""))
    if missing and failure is not None:
        raise failure


def _land(ask: Ask, one: Wanted, content: bytes, before: Entry, clock: str) -> None:
    """Land one channel's span, unless what is there holds as much; note in the ledger how much is missing."""
    path = ask.landing.path(one.file)
    seconds = covered_seconds(content, one.file)
    there = covered_seconds(path.read_bytes(), path) if before.state == "got" and path.is_file() else 0.0
    if there and (path.read_bytes() == content or seconds < there):
        seconds = there
        entry = before._replace(asked_at=clock, attempts=before.attempts + 1)
    else:
        entry = ask.landing.put(one.key, one.file, content, now=wall_time(ask.now))
    is_whole = seconds > one.span.seconds - _TOLERATED_S
    message = "" if is_whole else f"{_SHORTFALL}{seconds:.2f} of {one.span.seconds:.0f} s"
    ask.landing.ledger.put(entry._replace(state="got", message=message, attempts=before.attempts + 1))


def _ask_base(
    ask: Ask, base: str, channels: list[Epoch], start: np.datetime64, end: np.datetime64
) -> dict[str, bytes]:
    """Return the trimmed records by channel; a request that is too large is split, by channels, then by time.

    Raises
    ------
    SourceDenied, SourceUnavailable
        If the service refuses, also the smallest part, or does not answer.
    SourceDataInvalid
        If it answers something that is not miniSEED.
    """
    # services take both ends as inside
    span = f"{text_of(start)} {text_of(end - np.timedelta64(1, 'us'))}"
    lines = [
        f"{epoch.station.replace('.', ' ')} {epoch.location or '--'} {epoch.channel} {span}"
        for epoch in channels
    ]
    partial = ask.landing.root / ".dataselect.partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        if post_lines(ask, base, lines, partial) is None:
            return {}
        content = partial.read_bytes()
    except SourceDenied as error:
        if not is_too_large(error):
            raise
        if len(channels) > 1:
            half = len(channels) // 2
            parts = [_ask_base(ask, base, some, start, end) for some in (channels[:half], channels[half:])]
        elif end - start >= 2 * _SHORTEST:
            middle = start + (end - start) // 2
            parts = [_ask_base(ask, base, channels, *part) for part in ((start, middle), (middle, end))]
        else:
            raise
        return _joined(parts)
    finally:
        partial.unlink(missing_ok=True)
    low, high = (int(t.astype("datetime64[ns]").astype(np.int64)) for t in (start, end))
    return trim_channels(content, ask.http.shown(address(base, "dataselect")), low, high)


def _joined(parts: list[dict[str, bytes]]) -> dict[str, bytes]:
    joined: dict[str, bytes] = defaultdict(bytes)
    for part in parts:
        for nslc, content in part.items():
            joined[nslc] += content
    return dict(joined)
