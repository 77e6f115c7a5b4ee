"""ASF's archive (ARIA-GUNW, OPERA DISP-S1): granules found in NASA's catalogue (CMR), files from the data pool.

The first base URL is the catalogue's (`/search/granules.umm_json` follows), the others are the servers of the files.
An Earthdata token goes to these hosts only, not to the storage that they redirect to. Options of the service:
`collections` (comma list of short names, required), asked for in the window; `static_collections` (comma list), asked
for without one: look vectors; `granules` (pattern of names, default `*`: give track or frame in it), `files` (comma
list of patterns of file names, default NetCDF and look vectors).
"""

import hashlib
import logging
from collections.abc import Iterator
from datetime import UTC
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

import numpy as np
from pydantic import AliasPath, AwareDatetime, BaseModel, Field, ValidationError

from tasks.sources.contract import SourceDataInvalid, SourceUnavailable
from tasks.sources.services import Ask
from tasks.sources.services.mirroring import bring_each, land_first

logger = logging.getLogger(__name__)

_MAGIC: Final = {
    ".nc": (b"\x89HDF\r\n\x1a\n",),
    ".tif": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
}
_FILES: Final = "*.nc,*_line_of_sight_enu.tif"
_PAGE: Final = 200
_PAGES: Final = 1000
_ALGORITHMS: Final = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}


class _Url(BaseModel):
    URL: str
    Type: str


class _Checksum(BaseModel):
    Value: str
    Algorithm: str


class _Archived(BaseModel):
    Name: str
    Checksum: _Checksum | None = None


class _Granule(BaseModel):
    """What is used of a record in the catalogue's UMM-G format; `revised` is when this version was published."""

    name: str = Field(validation_alias=AliasPath("umm", "GranuleUR"))
    revised: AwareDatetime = Field(validation_alias=AliasPath("meta", "revision-date"))
    urls: list[_Url] = Field(default=[], validation_alias=AliasPath("umm", "RelatedUrls"))
    archived: list[_Archived] = Field(
        default=[], validation_alias=AliasPath("umm", "DataGranule", "ArchiveAndDistributionInformation")
    )


class _Page(BaseModel):
    items: list[_Granule]


def mirror(ask: Ask) -> None:
    """Bring every wanted file of every granule that touches the region and the window; a revised one again.

    The ledger's key is `<granule>/<revision date>/<file>`, and a file's time of modification becomes the revision
    date: that is when this version could first be had.

    Raises
    ------
    SourceUnavailable, SourceDenied
        If the catalogue does not answer, or a file does not come; what came before stays.
    SourceDataInvalid
        If the catalogue's answer is not what it documents.
    ValueError
        If the option `collections` is missing.
    """
    collections = _list(ask, "collections")
    if not collections:
        raise ValueError(f"source {ask.config.group}: service option 'collections' must name a collection")
    searches = [(name, True) for name in collections] + [
        (name, False) for name in _list(ask, "static_collections")
    ]
    wanted = (
        (granule, name, urls)
        for collection, timed in searches
        for granule in _granules(ask, collection, timed)
        for name, urls in _files(ask, granule).items()
    )
    bring_each(wanted, lambda one: _bring(ask, *one))


def _granules(ask: Ask, collection: str, timed: bool) -> Iterator[_Granule]:
    box = ask.region.bounds
    pattern = str(ask.service.options.get("granules", "*"))
    params = {
        "short_name": collection,
        "bounding_box": f"{box.west:g},{box.south:g},{box.east:g},{box.north:g}",
        "page_size": str(_PAGE),
        "sort_key": "start_date",
    }
    if timed:
        params["temporal"] = ",".join(f"{_instant(t)}Z" for t in (ask.window.start, ask.window.end))
    if pattern != "*":
        params |= {"readable_granule_name[]": pattern, "options[readable_granule_name][pattern]": "true"}
    url = f"{ask.service.urls[0].rstrip('/')}/search/granules.umm_json"
    after = ""
    for _ in range(_PAGES):
        response = ask.http.get(url, params=params, headers={"CMR-Search-After": after} if after else None)
        if response is None:
            raise SourceUnavailable(f"{ask.http.shown(url)}: expected a list of granules, found nothing")
        try:
            page = _Page.model_validate_json(response.content)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise SourceDataInvalid(
                ask.http.shown(url), "granules in UMM-G", f"{error.errors()[0]['msg']} at {where}"
            ) from error
        yield from (granule for granule in page.items if fnmatchcase(granule.name, pattern))
        after = response.headers.get("CMR-Search-After", "")
        if not after or not page.items:
            return
    raise SourceDataInvalid(ask.http.shown(url), f"at most {_PAGES} pages", "more")


def _files(ask: Ask, granule: _Granule) -> dict[str, list[str]]:
    """Return the wanted files by name, each with its addresses; S3 addresses need another key and are left out."""
    patterns = _list(ask, "files") or _FILES.split(",")
    files: dict[str, list[str]] = {}
    for link in granule.urls:
        parts = urlsplit(link.URL)
        name = PurePosixPath(unquote(parts.path)).name
        wanted = any(fnmatchcase(name, pattern) for pattern in patterns)
        if wanted and link.Type == "GET DATA" and parts.scheme in ("http", "https"):
            files.setdefault(name, []).append(link.URL)
    return files


def _bring(ask: Ask, granule: _Granule, name: str, urls: list[str]) -> None:
    key = f"{granule.name}/{granule.revised.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}/{name}"
    before = ask.landing.ledger.get(key)
    if before is not None and before.state == "got" and ask.landing.path(name).exists():
        return
    land_first(
        ask, key, name, urls,
        magic=_MAGIC.get(PurePosixPath(name).suffix, ()),
        check=lambda path: _refuse_other(path, name, granule),
        modified=granule.revised,
    )  # fmt: skip


def _refuse_other(path: Path, name: str, granule: _Granule) -> None:
    """Raise SourceDataInvalid if the file `name`, at `path`, has another checksum than the catalogue gives."""
    for archived in granule.archived:
        algorithm = _ALGORITHMS.get(archived.Checksum.Algorithm) if archived.Checksum else None
        if archived.Name != name or archived.Checksum is None or algorithm is None:
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != archived.Checksum.Value.lower():
            raise SourceDataInvalid(name, f"{archived.Checksum.Algorithm} {archived.Checksum.Value}", found)


def _list(ask: Ask, option: str) -> list[str]:
    return [part.strip() for part in str(ask.service.options.get(option, "")).split(",") if part.strip()]


def _instant(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]"))
