"""NOAA's station archives: yearly files of ISD-Lite, and of the U.S. Climate Reference Network (hourly02, daily01).

Options of the service: `product`, `isd_lite` (default), `uscrn_hourly` or `uscrn_daily`; `stations`, a comma list of
patterns: for ISD-Lite ids like `723830-23187` (default: all stations of `isd-history.csv` within the reader's
`radius_km` that were open), for the network parts of names like `CA_Stovepipe_Wells_1_SW` (required, for its listing
has no places); `refresh_days` (default 1: a file that can still grow is asked for again after so long, with
If-Modified-Since).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from typing import Final

import numpy as np

from tasks.sources.isd_lite import HISTORY, read_history
from tasks.sources.options import number_option
from tasks.sources.services import Ask
from tasks.sources.services.clock import wall_time
from tasks.sources.services.listing import listed_names
from tasks.sources.services.mirroring import asked_within, below, bring_each, first_answer, land_first
from tasks.sources.stations import distance_km

_GZIP: Final = b"\x1f\x8b"
# what the names of a product's files begin with
_USCRN: Final = {"uscrn_hourly": "CRNH0203", "uscrn_daily": "CRND0103"}
# corrections of the last days reach a year's file in its first weeks after
_GROWS_UNTIL: Final = timedelta(days=30)


def mirror(ask: Ask) -> None:
    """Bring each year's files of the stations; those of a year that can still grow are refreshed.

    A file that one year lacks is no error: stations open and close.

    Raises
    ------
    SourceUnavailable, SourceDenied, SourceDataInvalid
        As `bring_each`.
    """
    product = str(ask.service.options.get("product", "isd_lite"))
    if product != "isd_lite" and product not in _USCRN:
        raise ValueError(
            f"source {ask.config.group}: option 'product' must be isd_lite or one of {sorted(_USCRN)}, "
            f"found {product!r}"
        )
    magic = (_GZIP,) if product == "isd_lite" else ()
    names = _isd_names(ask) if product == "isd_lite" else _uscrn_names(ask, _USCRN[product])
    bring_each(names, lambda one: _bring(ask, *one, magic))


def _years(ask: Ask) -> range:
    last = ask.window.end - np.timedelta64(1, "ns")
    first_year, last_year = (int(str(moment.astype("datetime64[Y]"))) for moment in (ask.window.start, last))
    return range(first_year, min(last_year, wall_time(ask.now).year) + 1)


def _isd_names(ask: Ask) -> Iterator[tuple[int, str]]:
    """Yield (year, file) of the wanted stations; brings the list of stations first, for the reader needs it too."""
    _bring(ask, wall_time(ask.now).year, HISTORY, ())
    places = read_history(ask.landing.path(HISTORY))
    patterns = _patterns(ask)
    radius = number_option(ask.config, "radius_km", 400.0)
    wanted = [
        place.station
        for place in places.values()
        if distance_km(ask.region, place.latitude, place.longitude) <= radius
        and (not patterns or any(fnmatch(place.station, pattern) for pattern in patterns))
    ]
    for year in _years(ask):
        for station in sorted(wanted):
            yield year, f"{year}/{station}-{year}.gz"


def _uscrn_names(ask: Ask, prefix: str) -> Iterator[tuple[int, str]]:
    patterns = _patterns(ask)
    if not patterns:
        raise ValueError(f"source {ask.config.group}: the service's option 'stations' must name the stations")
    for year in _years(ask):
        page = first_answer(ask, f"{year}/")
        for name in listed_names(page.text, page.url) if page is not None else []:
            if any(fnmatch(name, f"{prefix}-{year}-*{pattern}*.txt") for pattern in patterns):
                yield year, f"{year}/{name}"


def _patterns(ask: Ask) -> list[str]:
    return [p.strip() for p in str(ask.service.options.get("stations", "")).split(",") if p.strip()]


def _bring(ask: Ask, year: int, name: str, magic: tuple[bytes, ...]) -> None:
    """Bring a year's file; one that is there again only while it may have grown since it was asked for."""
    known = ask.landing.ledger.get(name)
    grows = (
        known is not None
        and known.asked_at != ""
        and datetime.fromisoformat(known.asked_at) < datetime(year + 1, 1, 1, tzinfo=UTC) + _GROWS_UNTIL
    )
    land_first(ask, name, name, below(ask, name), magic=magic, refresh=grows and not asked_within(ask, name))
