"""What the GNSS services share: which stations are wanted, when a file is asked for again, going on past a bad one."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from tasks.sources.contract import SourceDataInvalid, SourceDenied, SourceUnavailable
from tasks.sources.options import number_option
from tasks.sources.services import Ask
from tasks.sources.services.clock import wall_time
from tasks.sources.stations import distance_km

logger = logging.getLogger(__name__)

# A host that fails so often in a row is down: the rest would only wait for it.
PATIENCE: Final = 3
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


def is_fresh(ask: Ask, key: str) -> bool:
    """Tell whether `key` was asked less than option `refresh_days` (default 1) ago."""
    entry = ask.landing.ledger.get(key)
    if entry is None or not entry.asked_at:
        return False
    age = wall_time(ask.now) - datetime.fromisoformat(entry.asked_at)
    return age.total_seconds() < 86_400 * float(ask.service.options.get("refresh_days", 1.0))


def bring(ask: Ask, name: str, paths: Sequence[str], magic: Iterable[bytes] = ()) -> bool:
    """Land the file `name` from the first of `paths` that some base URL has; tell whether it is there.

    Asked again once a day (see `is_fresh`), and then only for a version that is not the stored one. A later path is
    tried only if nobody has the one before: what is merely down must not be replaced by an older layout's file.

    Raises
    ------
    SourceDenied, SourceUnavailable, SourceDataInvalid
        The first failure, if no base URL had it and one could not be asked or gave something else.
    """
    refresh = not is_fresh(ask, name)
    starts = tuple(magic)
    for path in paths:
        failure: SourceUnavailable | SourceDataInvalid | None = None
        for base in ask.service.urls:
            url = f"{base.rstrip('/')}/{path}"
            try:
                entry = ask.landing.download(
                    ask.http, name, url, name, magic=starts, refresh=refresh, now=wall_time(ask.now)
                )
            except SourceDenied:
                raise
            except (SourceUnavailable, SourceDataInvalid) as error:
                failure = failure or error
                continue
            if entry.state == "got":
                return True
        if failure is not None:
            raise failure
    return False


def bring_each(ask: Ask, names: Iterable[str], bring_one: Callable[[str], object]) -> None:
    """Bring all of `names`; one that fails does not keep the others back, and stays pending in the ledger.

    Raises
    ------
    SourceDenied
        At once: the credentials are refused, and so would they be for the rest.
    SourceUnavailable
        At the end if some could not be asked; after three in a row that could not, at once.
    SourceDataInvalid
        If every one was invalid.
    """
    unavailable: list[SourceUnavailable] = []
    invalid: list[SourceDataInvalid] = []
    in_row = n_good = 0
    for name in names:
        try:
            bring_one(name)
        except SourceDenied:
            raise
        except SourceUnavailable as error:
            unavailable.append(error)
            in_row += 1
            if in_row >= PATIENCE:
                raise
            continue
        except SourceDataInvalid as error:
            logger.warning("left out: %s", error)
            invalid.append(error)
        else:
            n_good += 1
        in_row = 0
    if unavailable:
        raise unavailable[0]
    if invalid and not n_good:
        raise invalid[0]
