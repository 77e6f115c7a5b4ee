"""COMET LiCSAR: frames of interferograms in web folders, on several servers that each hold a part.

Options of the service: `frame` (like `021D_05266_252525`, required); `late_days` (default 120: a pair whose later day
is younger may still come or be made anew, and is asked for again), `refresh_days` (default 1: at most so often). The
base URLs end where `{track}/{frame}/` follows; they are asked in their order. CEDA's archive is reached by its
directory pages, not by its Atom feeds.
"""

import logging
import re
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np

from tasks.regions import TimeWindow
from tasks.sources.contract import SourceDataInvalid, SourceUnavailable
from tasks.sources.options import duration
from tasks.sources.services import Ask
from tasks.sources.services.clock import wall_time
from tasks.sources.services.ledger import Entry
from tasks.sources.services.listing import listed_names

logger = logging.getLogger(__name__)

TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FRAME: Final = re.compile(r"(\d{3})[AD]_\d{5}_\d{6}")
_PAIR: Final = re.compile(r"(\d{8})_(\d{8})/")


class _Mirror(NamedTuple):
    """One server's copy of the frame: its URL with a slash at the end, and the pairs that it lists."""

    url: str
    pairs: frozenset[str]


def mirror(ask: Ask) -> None:
    """Bring the frame's metadata and, of all pairs whose later day is inside the window, phase and coherence.

    A file comes from the first server that lists it; a pair without unwrapped phase is settled as empty. Servers
    that do not answer are passed over as long as one does.

    Raises
    ------
    SourceUnavailable
        If no server answers, or a file that one lists does not come; what came before stays.
    ValueError
        If the option `frame` is not one.
    """
    frame = str(ask.service.options.get("frame", ""))
    found = _FRAME.fullmatch(frame)
    if found is None:
        raise ValueError(
            f"source {ask.config.group}: service option 'frame' must be like 021D_05266_252525, found {frame!r}"
        )
    mirrors = _mirrors(ask, f"{int(found.group(1))}/{frame}")
    _metadata(ask, frame, mirrors)
    failures: list[SourceUnavailable] = []
    for pair in sorted(set().union(*(m.pairs for m in mirrors))):
        later = _day(pair[9:])
        if later is None or not _touches(ask.window, later):
            continue
        try:
            _pair(ask, frame, pair, later, [m for m in mirrors if pair in m.pairs])
        except SourceUnavailable as error:
            failures.append(error)
        except SourceDataInvalid as error:
            logger.info("left out: %s", error)
    if failures:
        raise failures[0]


def _mirrors(ask: Ask, place: str) -> list[_Mirror]:
    """Return the servers that have the frame.

    Raises
    ------
    SourceUnavailable
        If none has.
    """
    failures: list[SourceUnavailable] = []
    mirrors: list[_Mirror] = []
    for base in ask.service.urls:
        url = f"{base.rstrip('/')}/{place}/"
        try:
            page = ask.http.get(f"{url}interferograms/")
        except SourceUnavailable as error:
            logger.info("passed over: %s", error)
            failures.append(error)
            continue
        if page is not None:
            names = [name for name in listed_names(page.text, page.url) if _PAIR.fullmatch(name)]
            mirrors.append(_Mirror(url, frozenset(name.rstrip("/") for name in names)))
    if not mirrors:
        raise (
            failures[0]
            if failures
            else SourceUnavailable(
                f"{ask.http.shown(ask.service.urls[0])}: expected the frame {place}, found it on none of the servers"
            )
        )
    return mirrors


def _metadata(ask: Ask, frame: str, mirrors: list[_Mirror]) -> None:
    """Bring look vectors and the acquisitions' time of day: both say where and when all pairs are."""
    for name in (*(f"{frame}.geo.{letter}.tif" for letter in "ENU"), "metadata.txt"):
        magic = TIFF if name.endswith(".tif") else ()
        urls = [f"{m.url}metadata/{name}" for m in mirrors]
        _from_first(ask, f"{frame}/metadata/{name}", f"metadata/{name}", urls, magic, refresh=False)


def _pair(ask: Ask, frame: str, pair: str, later: datetime, mirrors: list[_Mirror]) -> None:
    now = wall_time(ask.now)
    files = {kind: f"{pair}.geo.{kind}.tif" for kind in ("unw", "cc")}
    keys = {kind: f"{frame}/{pair}/{kind}" for kind in files}
    entries = [ask.landing.ledger.get(key) for key in keys.values()]
    young = now - later < timedelta(days=float(ask.service.options.get("late_days", 120)))
    if all(_settled(ask, entry) for entry in entries) and (not young or _fresh(ask, entries[0], now)):
        return
    lists: dict[_Mirror, frozenset[str]] = {}
    failure: SourceUnavailable | None = None
    for one in mirrors:
        try:
            page = ask.http.get(f"{one.url}interferograms/{pair}/")
        except SourceUnavailable as error:
            failure = error
            continue
        lists[one] = frozenset() if page is None else frozenset(listed_names(page.text, page.url))
    for kind, name in files.items():
        urls = [f"{m.url}interferograms/{pair}/{name}" for m, names in lists.items() if name in names]
        place = f"interferograms/{pair}/{name}"
        if urls:
            _from_first(ask, keys[kind], place, urls, TIFF, refresh=True)
        elif failure is not None:
            # the server that did not answer may have it: nothing is settled
            raise failure
        elif not ask.landing.path(place).exists():
            ask.landing.put(keys[kind], place, b"", now=now)


def _from_first(
    ask: Ask, key: str, name: str, urls: list[str], magic: tuple[bytes, ...], *, refresh: bool
) -> None:
    """Land a file from the first of `urls` that gives it.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid
        What the last server that should have had it did, if none gave it.
    """
    before = ask.landing.ledger.get(key)
    if not refresh and before is not None and before.state == "got" and _settled(ask, before):
        return
    failure: SourceUnavailable | SourceDataInvalid | None = None
    for url in urls:
        try:
            # a server without it is no reason to take the key as settled: the next one may have it
            entry = ask.landing.download(
                ask.http, key, url, name, magic=magic, refresh=True, now=wall_time(ask.now)
            )
        except (SourceUnavailable, SourceDataInvalid) as error:
            failure = error
            continue
        if entry.state == "got":
            return
    if failure is not None:
        ask.landing.ledger.put(
            (ask.landing.ledger.get(key) or Entry(key, "failed"))._replace(
                state="failed", message=str(failure)
            )
        )
        raise failure


def _settled(ask: Ask, entry: Entry | None) -> bool:
    if entry is None or entry.state not in ("got", "empty"):
        return False
    return entry.state == "empty" or ask.landing.path(entry.name).exists()


def _fresh(ask: Ask, entry: Entry | None, now: datetime) -> bool:
    if entry is None or not entry.asked_at:
        return False
    return now - datetime.fromisoformat(entry.asked_at) < timedelta(
        days=float(ask.service.options.get("refresh_days", 1))
    )


def _touches(window: TimeWindow, day: datetime) -> bool:
    """Return whether any moment of the day is inside the window: the hour of the acquisition is not in the names."""
    midnight = np.datetime64(day.replace(tzinfo=None), "ns")
    return bool(window.start < midnight + duration(1.0) and midnight < window.end)


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(f"{text}+0000", "%Y%m%d%z")
    except ValueError:
        return None
