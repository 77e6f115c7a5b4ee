"""GeoNet's Tilde: displacements of one station, one component and one period an answer.

Options of the service: `sites` (comma list; without it, all stations of the data summary within the reader's
`radius_km`), `template` and `latest` (paths below the base URL with `{site} {component} {start} {end}`), `summary`
(path of the data summary), `years` (length of a period, default 5), `refresh_days` (default 1). No credential.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np

from tasks.sources.contract import SourceDataInvalid, SourceError
from tasks.sources.geonet import COMPONENTS, STATIONS_FILE, read_places
from tasks.sources.services import Ask, Entry
from tasks.sources.services.clock import wall_time
from tasks.sources.services.mirroring import asked_within, bring_each
from tasks.sources.services.sites import bring, named_sites, sites_in_reach, text

TEMPLATE: Final = "data/gnss/{site}/displacement/nil/1d/{component}/{start}/{end}"
LATEST: Final = "data/gnss/{site}/displacement/nil/1d/{component}/latest/30d"
SUMMARY: Final = "dataSummary/gnss"
# History may lag by a month; a period is settled when it was asked for this long after its end.
SETTLED_AFTER: Final = timedelta(days=60)
_LATEST_REACH: Final = timedelta(days=40)


class Part(NamedTuple):
    """One request: its name in the landing folder, path below the base URL and end of its period."""

    name: str
    path: str
    end: date


def mirror(ask: Ask) -> None:
    """Bring what the window holds, in whole periods, and the last 30 days where the window reaches them.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid
        See `bring_each`; files that came stay.
    """
    if not bring(ask, STATIONS_FILE, [text(ask, "summary", SUMMARY)], magic=(b"{", b"[")):
        raise SourceDataInvalid(
            ask.http.shown(f"{ask.service.urls[0].rstrip('/')}/{text(ask, 'summary', SUMMARY)}"),
            "a data summary",
            "nothing",
        )
    places = read_places(ask.landing.path(STATIONS_FILE))
    sites = named_sites(ask) or sites_in_reach(ask, {site: place[:2] for site, place in places.items()})
    parts = {part.name: part for site in sites for part in _parts(ask, site)}
    bring_each(parts, lambda name: _bring_part(ask, parts[name]))


def _parts(ask: Ask, site: str) -> Iterator[Part]:
    years = max(1, int(ask.service.options.get("years", 5)))
    today = wall_time(ask.now).date()
    first = ask.window.start.astype("datetime64[D]").astype(date)
    last = min(today, (ask.window.end - np.timedelta64(1, "ns")).astype("datetime64[D]").astype(date))
    for component in COMPONENTS:
        for year in range(first.year - first.year % years, last.year + 1, years):
            # the day after the last one: an end may be exclusive, and a day twice does no harm
            end = min(date(year + years, 1, 1), today)
            path = text(ask, "template", TEMPLATE).format(
                site=site, component=component, start=date(year, 1, 1), end=end
            )
            yield Part(f"{site}.{component}.{year}.csv", path, date(year + years, 1, 1))
        if last > today - _LATEST_REACH:
            path = text(ask, "latest", LATEST).format(site=site, component=component)
            yield Part(f"{site}.{component}.latest.csv", path, date.max)


def _bring_part(ask: Ask, part: Part) -> None:
    ledger, now = ask.landing.ledger, wall_time(ask.now)
    known = ledger.get(part.name)
    settled = part.end < date.max and known is not None and known.state in ("got", "empty")
    if settled and known is not None:
        asked = datetime.fromisoformat(known.asked_at).date()
        settled = asked >= part.end + SETTLED_AFTER
    if settled or (not ledger.pending([part.name]) and asked_within(ask, part.name)):
        return
    url = f"{ask.service.urls[0].rstrip('/')}/{part.path}"
    before = known or Entry(part.name, "asked")
    asked_now = before._replace(
        state="asked", asked_at=now.isoformat(timespec="seconds"), attempts=before.attempts + 1, message=""
    )
    ledger.put(asked_now)
    try:
        answer = ask.http.get(url, headers={"Accept": "text/csv"})
        content = b"" if answer is None else answer.content
        head = content[:400].splitlines()[:1]
        if content and not (head and b"timestamp" in head[0]):
            raise SourceDataInvalid(ask.http.shown(url), "a CSV with a column timestamp", repr(content[:40]))
    except SourceError as error:
        ledger.put(asked_now._replace(state="failed", message=str(error)))
        raise
    ask.landing.put(part.name, part.name, content, now=now)
