"""EarthScope's archive of daily positions: .pos files and CSV, behind a bearer token.

Options of the service: `sites` (comma list, required), `template` (comma list of paths below the base URL with
`{site}`; all of them are brought, so rapid and final stand side by side), `tables` (comma list of files for all
stations, such as the velocity table with the coordinates that the CSV reader needs), `refresh_days` (default 1).
`credential` of the service names the environment variable of the token.
"""

from pathlib import PurePosixPath
from typing import Final

from tasks.sources.services import Ask
from tasks.sources.services.mirroring import bring_each
from tasks.sources.services.sites import bring, named_sites, text

TEMPLATE: Final = "{site}/{site}.cwu.final_igs14.pos,{site}/{site}.cwu.rapid_igs14.pos"
# A login page with status 200 begins otherwise.
_MAGIC: Final = {".pos": (b"PBO ", b"GAGE ", b"GNSS "), ".csv": (b"Date", b"PBO ", b"GAGE ")}


def mirror(ask: Ask) -> None:
    """Bring every file of every site; a file that changed is brought again.

    They land under their own last name; a CSV under `position.` and that name, as its reader expects.

    Raises
    ------
    SourceDenied
        If there is no token, or it is refused or has expired; files that came stay.
    SourceUnavailable, SourceDataInvalid
        See `bring_each`.
    """
    templates = _paths(ask, "template", TEMPLATE)
    sites = named_sites(ask)
    if not sites or any("{site}" not in path for path in templates):
        raise ValueError(
            f"source {ask.config.group}: options 'sites' and 'template' (paths with {{site}}) are needed, "
            f"found {sites} and {templates}"
        )
    wanted = {_landing_name(path): path for path in _paths(ask, "tables", "")}
    for site in sites:
        wanted |= {_landing_name(p): p for p in (path.replace("{site}", site) for path in templates)}
    bring_each(
        wanted,
        lambda name: bring(ask, name, [wanted[name]], magic=_MAGIC.get(PurePosixPath(name).suffix, ())),
    )


def _paths(ask: Ask, key: str, default: str) -> list[str]:
    return [path.strip() for path in text(ask, key, default).split(",") if path.strip()]


def _landing_name(path: str) -> str:
    name = PurePosixPath(path.partition("?")[0]).name
    is_bare_csv = name.endswith(".csv") and not name.startswith("position.")
    return f"position.{name}" if is_bare_csv else name
