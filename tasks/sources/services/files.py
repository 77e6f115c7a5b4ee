"""A provider that publishes plain files over HTTP: yearly listings, supplements, rasters, folders of records.

Options of the service: `patterns` (comma list of wanted file names, default `*`), `depth` (folders below the first,
default 3), `names` (comma list of the files themselves, for a provider that shows no listing), `refresh_days` (a file
asked for within so many days before now is not asked for again, default 1).
"""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath
from urllib.parse import quote

from tasks.sources.contract import SourceUnavailable
from tasks.sources.services import Ask
from tasks.sources.services.listing import listed_names
from tasks.sources.services.mirroring import asked_within, below, bring_each, first_answer, land_first


def mirror(ask: Ask) -> None:
    """Bring every file below the base URL, or the one file that it is; a changed file is brought again.

    The listing of the first base URL that answers counts; each file comes from the first that has it.

    Raises
    ------
    SourceUnavailable, SourceDenied, SourceDataInvalid
        See `bring_each`; files that came stay, those that failed are pending.
    """
    if PurePosixPath(ask.config.path).suffix:
        # A single file: the base URL names it.
        if not _bring(ask, PurePosixPath(ask.config.path).name, whole_url=True):
            raise SourceUnavailable(f"{ask.http.shown(ask.service.urls[0])}: expected a file, found nothing")
        return
    named = [name.strip() for name in str(ask.service.options.get("names", "")).split(",") if name.strip()]
    names = named or list(_walk(ask, "", int(ask.service.options.get("depth", 3))))
    if not names:
        raise SourceUnavailable(
            f"{ask.http.shown(ask.service.urls[0])}: expected a directory of files, found none"
        )
    brought: list[str] = []

    def bring(name: str) -> None:
        if _bring(ask, name, whole_url=False):
            brought.append(name)

    bring_each(names, bring)
    if named and not brought:
        raise SourceUnavailable(f"{ask.http.shown(ask.service.urls[0])}: expected {named[0]}, found nothing")


def _walk(ask: Ask, folder: str, depth: int) -> Iterator[str]:
    page = first_answer(ask, quote(folder))
    if page is None:
        return
    patterns = str(ask.service.options.get("patterns", "*")).split(",")
    for name in listed_names(page.text, page.url):
        if not name.endswith("/"):
            if any(fnmatch(name, pattern) for pattern in patterns):
                yield f"{folder}{name}"
        elif depth > 0:
            yield from _walk(ask, f"{folder}{name}", depth - 1)


def _bring(ask: Ask, name: str, whole_url: bool) -> bool:
    """Bring one file from the first base URL that has it; tell whether it is there."""
    addresses = ask.service.urls if whole_url else below(ask, quote(name))
    return land_first(ask, name, name, addresses, refresh=not asked_within(ask, name))
