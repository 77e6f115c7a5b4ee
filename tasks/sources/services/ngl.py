"""The Nevada Geodetic Laboratory: one tenv3 file a station, rewritten whole with each day (Blewitt et al. 2018).

Options of the service: `sites` (comma list; without it, all stations of `llh.out` within the reader's `radius_km`),
`template` (comma list of paths below the base URL with `{site}`, tried in order: the laboratory has moved its files
more than once; of a plate frame such as `gps_timeseries/IGS20/tenv3/NA/{site}.NA.tenv3`), `holdings`
(path of the list of stations; empty for none), `refresh_days` (default 1). No credential.
The template decides the frame: two frames in one list would mix.
"""

from typing import Final

from tasks.sources.contract import SourceDataInvalid
from tasks.sources.payloads import read_text
from tasks.sources.services import Ask
from tasks.sources.services.mirroring import bring_each
from tasks.sources.services.sites import bring, named_sites, sites_in_reach, text
from tasks.sources.stations import wrap_longitude

TEMPLATE: Final = "gps_timeseries/IGS20/tenv3/IGS20/{site}.tenv3"
HOLDINGS: Final = "NGLStationPages/llh.out"
_HOLDINGS_NAME: Final = "llh.out"


def mirror(ask: Ask) -> None:
    """Bring `SITE.tenv3` of every wanted station; a file that changed is brought again.

    A file keeps the provider's Last-Modified as its time, from which the reader knows which rows were rapid.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid
        See `bring_each`; files that came stay.
    """
    templates = [path.strip() for path in text(ask, "template", TEMPLATE).split(",") if path.strip()]
    if not templates or any("{site}" not in path for path in templates):
        raise ValueError(
            f"source {ask.config.group}: option 'template' must hold paths with {{site}}, found {templates}"
        )
    sites = named_sites(ask) or _listed(ask)

    def bring_site(site: str) -> None:
        paths = [path.replace("{site}", site) for path in templates]
        bring(ask, f"{site}.tenv3", paths, magic=(b"site ", b" site "))

    bring_each(sites, bring_site)


def _listed(ask: Ask) -> list[str]:
    """Return the stations in reach of the region; lines `SITE latitude longitude height`, longitudes of any turn."""
    holdings = text(ask, "holdings", HOLDINGS)
    if not holdings:
        raise ValueError(
            f"source {ask.config.group}: give the service option 'sites' or 'holdings', found neither"
        )
    path = ask.landing.path(_HOLDINGS_NAME)
    if not bring(ask, _HOLDINGS_NAME, [holdings]):
        raise SourceDataInvalid(
            ask.http.shown(f"{ask.service.urls[0].rstrip('/')}/{holdings}"), "a list of stations", "nothing"
        )
    places: dict[str, tuple[float, float]] = {}
    for line in read_text(path).splitlines():
        fields = line.split()
        try:
            latitude, longitude = float(fields[1]), float(fields[2])
        except (IndexError, ValueError):
            continue
        if abs(latitude) <= 90 and abs(longitude) <= 720:
            places[fields[0]] = latitude, wrap_longitude(longitude)
    if not places:
        raise SourceDataInvalid(path, "lines SITE latitude longitude height", "none")
    return sites_in_reach(ask, places)
