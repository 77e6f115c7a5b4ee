"""FDSN dataselect: whole days of channels into an SDS archive, with an entry in the ledger for each channel and day.

The ledger's key is `NET.STA.LOC.CHA/YYYY-MM-DD`. Requests are bulk ones (POST) through our `Http`: obspy's client knows
neither Retry-After nor a ledger. Answers are trimmed to the day by us, for servers return whole records beyond it.

Options of the service: `channels` (comma list of `NET.STA.LOC.CHA`, with wildcards, required), `channels_per_request`
(default 12), `delay_hours` (a day is asked for so long after its end, default 6), `revisit_days` (for so long after its
end a day with too little is asked for again, default 7), `refresh_days` (not more often than that, default 1),
`metadata_days` (responses are asked for again after so many, default 30), `quality` (default B), `query` (further lines
of the request, `minimumlength=10`).
"""

import logging
from collections import defaultdict
from typing import Final, NamedTuple

import numpy as np

from tasks.sources.contract import SourceDataInvalid, SourceDenied, SourceError, SourceUnavailable
from tasks.sources.mseed_trim import covered_seconds, trim_channels
from tasks.sources.sds import DayFile
from tasks.sources.services import Ask, Entry
from tasks.sources.services.clock import wall_time
from tasks.sources.services.fdsn import address, asked_within, is_too_large, post_lines, text_of
from tasks.sources.services.fdsn_stations import Epoch, bring_epochs, bring_responses
from tasks.sources.services.sites import bring_each

logger = logging.getLogger(__name__)

_DAY: Final = np.timedelta64(1, "D")
_DAY_S: Final = 86_400.0
_TOLERATED_S: Final = 1.0  # servers and digitisers disagree by samples
_SHORTEST: Final = np.timedelta64(3600, "s")
_SHORTFALL: Final = "shortfall: "


class _Group(NamedTuple):
    """Channels of one day that are asked for in one request."""

    day: np.datetime64
    channels: list[Epoch]


def mirror(ask: Ask) -> None:
    """Bring the channels in reach, their responses, and every day of them that is out and not there yet.

    A day that came with gaps is kept, its shortfall stands in the ledger's message, and it is asked for again until
    `revisit_days` after its end; so is one without data. Of two answers the one with more data stays. Base URLs are
    asked in order for what those before did not have.

    Raises
    ------
    SourceUnavailable, SourceDenied, SourceDataInvalid
        As `bring_each`: what came before stays, what failed is pending.
    ValueError
        If the option `channels` is missing.
    """
    epochs = bring_epochs(ask)
    bring_responses(ask, epochs)
    groups = {f"{group.day} {k}": group for k, group in enumerate(_groups(ask, epochs))}
    bring_each(ask, groups, lambda name: _bring(ask, groups[name]))


def _groups(ask: Ask, epochs: list[Epoch]) -> list[_Group]:
    delay = np.timedelta64(round(60 * float(ask.service.options.get("delay_hours", 6.0))), "m")
    first = ask.window.start.astype("datetime64[D]")
    last = min(ask.window.end, ask.now - delay).astype("datetime64[D]")
    days = [first + k * _DAY for k in range(max(0, int((last - first) / _DAY)))]
    wanted: dict[str, tuple[np.datetime64, Epoch]] = {}
    for day in days:
        for epoch in epochs:
            if epoch.start < day + _DAY and epoch.end > day:
                wanted.setdefault(_key(epoch.nslc, day), (day, epoch))
    revisit = np.timedelta64(round(86_400 * float(ask.service.options.get("revisit_days", 7.0))), "s")
    pending = set(ask.landing.ledger.pending(wanted))
    pending |= {
        key
        for key, (day, _) in wanted.items()
        if key not in pending and ask.now < day + _DAY + revisit and _is_short(ask, key)
    }
    by_day: dict[np.datetime64, list[Epoch]] = defaultdict(list)
    for key, (day, epoch) in wanted.items():
        if key in pending:
            by_day[day].append(epoch)
    n = max(1, int(ask.service.options.get("channels_per_request", 12)))
    groups = []
    for day in sorted(by_day):
        channels = sorted(by_day[day], key=lambda epoch: epoch.nslc)
        groups += [_Group(day, channels[k : k + n]) for k in range(0, len(channels), n)]
    return groups


def _is_short(ask: Ask, key: str) -> bool:
    entry = ask.landing.ledger.get(key)
    if entry is None or not (entry.state == "empty" or entry.message.startswith(_SHORTFALL)):
        return False
    return not asked_within(ask, key, float(ask.service.options.get("refresh_days", 1.0)))


def _bring(ask: Ask, group: _Group) -> None:
    clock = wall_time(ask.now).isoformat(timespec="seconds")
    missing = {epoch.nslc: epoch for epoch in group.channels}
    entries: dict[str, Entry] = {}
    for nslc in missing:
        key = _key(nslc, group.day)
        before = ask.landing.ledger.get(key) or Entry(key, "asked")
        entries[nslc] = before
        ask.landing.ledger.put(
            before._replace(state="asked", asked_at=clock, attempts=before.attempts + 1, message="")
        )
    failure: SourceError | None = None
    for base in ask.service.urls:
        if not missing:
            break
        span = (group.day.astype("datetime64[ns]"), (group.day + _DAY).astype("datetime64[ns]"))
        try:
            found = _ask_base(ask, base, list(missing.values()), *span)
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
            _land(ask, missing.pop(nslc), group.day, found[nslc], entries[nslc], clock)
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


def _land(ask: Ask, epoch: Epoch, day: np.datetime64, content: bytes, before: Entry, clock: str) -> None:
    """Land one channel's day, unless what is there holds as much; note in the ledger how much is missing."""
    key, name = _key(epoch.nslc, day), DayFile(epoch.station, epoch.location, epoch.channel, day).name
    path = ask.landing.path(name)
    seconds = covered_seconds(content, name)
    there = covered_seconds(path.read_bytes(), path) if before.state == "got" and path.is_file() else 0.0
    if there and (path.read_bytes() == content or seconds < there):
        seconds = there
        entry = before._replace(asked_at=clock, attempts=before.attempts + 1)
    else:
        entry = ask.landing.put(key, name, content, now=wall_time(ask.now))
    message = "" if seconds > _DAY_S - _TOLERATED_S else f"{_SHORTFALL}{seconds:.2f} of {_DAY_S:.0f} s"
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


def _key(nslc: str, day: np.datetime64) -> str:
    return f"{nslc}/{day}"
