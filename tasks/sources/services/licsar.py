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

from tasks.sources.contract import SourceUnavailable
from tasks.sources.options import duration
from tasks.sources.services import Ask
from tasks.sources.services.clock import wall_time
from tasks.sources.services.ledger import Entry
from tasks.sources.services.listing import listed_names
from tasks.sources.services.mirroring import asked_within, bring_each, land_first

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
    mirrors, down = _mirrors(ask, f"{int(found.group(1))}/{frame}")
    _metadata(ask, frame, mirrors)
    pairs = [pair for pair in sorted(set().union(*(m.pairs for m in mirrors))) if _is_wanted(ask, pair)]
    bring_each(pairs, lambda pair: _pair(ask, frame, pair, [m for m in mirrors if pair in m.pairs], down))


def _mirrors(ask: Ask, place: str) -> tuple[list[_Mirror], SourceUnavailable | None]:
    """Return the servers that have the frame, and the first failure of one that may have it too.

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
    return mirrors, failures[0] if failures else None


def _metadata(ask: Ask, frame: str, mirrors: list[_Mirror]) -> None:
    """Bring look vectors and the acquisitions' time of day: both say where and when all pairs are."""
    for name in (*(f"{frame}.geo.{letter}.tif" for letter in "ENU"), "metadata.txt"):
        key, place = f"{frame}/metadata/{name}", f"metadata/{name}"
        before = ask.landing.ledger.get(key)
        if before is None or before.state != "got" or not _settled(ask, before):
            magic = TIFF if name.endswith(".tif") else ()
            land_first(ask, key, place, [f"{m.url}metadata/{name}" for m in mirrors], magic=magic)


def _pair(ask: Ask, frame: str, pair: str, mirrors: list[_Mirror], down: SourceUnavailable | None) -> None:
    """Bring phase and coherence of one pair; while a server is `down`, nothing is settled as empty."""
    now = wall_time(ask.now)
    files = {kind: f"{pair}.geo.{kind}.tif" for kind in ("unw", "cc")}
    keys = {kind: f"{frame}/{pair}/{kind}" for kind in files}
    entries = [ask.landing.ledger.get(key) for key in keys.values()]
    young = now - _day(pair[9:]) < timedelta(days=float(ask.service.options.get("late_days", 120)))
    if all(_settled(ask, entry) for entry in entries) and (not young or asked_within(ask, keys["unw"])):
        return
    lists: dict[_Mirror, frozenset[str]] = {}
    failure = down
    for one in mirrors:
        try:
            page = ask.http.get(f"{one.url}interferograms/{pair}/")
        except SourceUnavailable as error:
            failure = failure or error
            continue
        lists[one] = frozenset() if page is None else frozenset(listed_names(page.text, page.url))
    for kind, name in files.items():
        urls = [f"{m.url}interferograms/{pair}/{name}" for m, names in lists.items() if name in names]
        place = f"interferograms/{pair}/{name}"
        if urls:
            land_first(ask, keys[kind], place, urls, magic=TIFF)
        elif failure is not None:
            # the server that did not answer may have it: nothing is settled
            raise failure
        elif not ask.landing.path(place).exists():
            ask.landing.put(keys[kind], place, b"", now=now)


def _settled(ask: Ask, entry: Entry | None) -> bool:
    if entry is None or entry.state not in ("got", "empty"):
        return False
    return entry.state == "empty" or ask.landing.path(entry.name).exists()


def _is_wanted(ask: Ask, pair: str) -> bool:
    """Tell whether any moment of the later day is in the window: the hour of the acquisition is not in the names."""
    try:
        midnight = np.datetime64(_day(pair[9:]).replace(tzinfo=None), "ns")
    except ValueError:
        return False
    return bool(ask.window.start < midnight + duration(1.0) and midnight < ask.window.end)


def _day(text: str) -> datetime:
    return datetime.strptime(f"{text}+0000", "%Y%m%d%z")
