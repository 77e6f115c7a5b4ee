"""What the GNSS services share: which stations are wanted, and files that may lie at several paths."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tasks.sources.options import number_option
from tasks.sources.services import Ask
from tasks.sources.services.mirroring import asked_within, below, land_first
from tasks.sources.stations import distance_km

_SITE: Final = re.compile(r"[A-Za-z0-9_]{4,9}")


def text(ask: Ask, key: str, default: str) -> str:
    """Return the service's option `key`, text."""
    return str(ask.service.options.get(key, default))


def named_sites(ask: Ask) -> list[str]:
    """Return the stations in the service's option `sites` (comma list), none if it is not given.

    Raises
    ------
    ValueError
        If one of them is no station name: names become parts of URLs and files.
    """
    sites = [site.strip() for site in text(ask, "sites", "").split(",") if site.strip()]
    wrong = [site for site in sites if not _SITE.fullmatch(site)]
    if wrong:
        raise ValueError(f"source {ask.config.group}: option 'sites' must list station names, found {wrong}")
    return sites


def sites_in_reach(ask: Ask, places: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return, sorted, the stations (latitude, longitude, degree) within the reader's `radius_km` (default 150)."""
    radius = number_option(ask.config, "radius_km", 150.0)
    return sorted(
        site
        for site, (latitude, longitude) in places.items()
        if _SITE.fullmatch(site) and distance_km(ask.region, latitude, longitude) <= radius
    )


def bring(ask: Ask, name: str, paths: Sequence[str], magic: Iterable[bytes] = ()) -> bool:
    """Land the file `name` from the first of `paths` that some base URL has; tell whether it is there.

    Asked again once a day (see `asked_within`), and then only for a version that is not the stored one. A later path is
    tried only if nobody has the one before: what is merely down must not be replaced by an older layout's file.

    Raises
    ------
    SourceDenied, SourceUnavailable, SourceDataInvalid
        As `land_first`.
    """
    refresh, starts = not asked_within(ask, name), tuple(magic)
    return any(land_first(ask, name, name, below(ask, path), magic=starts, refresh=refresh) for path in paths)
