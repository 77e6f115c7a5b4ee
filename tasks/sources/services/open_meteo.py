"""Open-Meteo's archive: the hours of each month at the nodes of a grid over the region, as the JSON that it sends.

Options of the service: `models` (default era5: the service's own mixture changes over time, so that it is never asked
for), `step_deg` (grid of the questions, default 0.25 as ERA5's), `points` (places in one question, default 100, at most
1000), `hourly` (comma list of variables), `preliminary_days` (see `reanalysis_days`). What came first for a day is
kept: the service does not tell preliminary values from final ones.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tasks.regions import Region
from tasks.sources.contract import SourceDataInvalid
from tasks.sources.open_meteo import HOURLY
from tasks.sources.services import Ask
from tasks.sources.services.clock import wall_time
from tasks.sources.services.mirroring import bring_each, forget_other_answers
from tasks.sources.services.reanalysis_days import Days, by_month, days_of, month_days, published

_KEY: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})/(\d+)")
_MOST: Final = 1000


def mirror(ask: Ask) -> None:
    """Bring the days that the window touches and that are out, by whole months where they are.

    Raises
    ------
    SourceDenied
        If the service refuses a question; its reason is in the message.
    SourceUnavailable
        If it does not answer, or its limit is used up and stays so. What came before stays.
    SourceDataInvalid
        If an answer is no JSON of the places asked for.
    """
    options = ask.service.options
    size = int(options.get("points", 100))
    if not 1 <= size <= _MOST:
        raise ValueError(
            f"source {ask.config.group}: option 'points' must be from 1 to {_MOST}, found {size!r}"
        )
    places = grid_places(ask.region, float(options.get("step_deg", 0.25)))
    shaping = ("hourly", "models", "points", "step_deg")
    forget_other_answers(ask, **{key: options.get(key) for key in shaping})
    questions = [
        (f"{first}..{last}/{number}", places[start : start + size], first, last)
        for number, start in enumerate(range(0, len(places), size))
        for first, last in _spans(ask, number)
    ]
    bring_each(questions, lambda question: _bring(ask, *question))


def grid_places(region: Region, step_deg: float) -> list[tuple[float, float]]:
    """Return (latitude, longitude) of the multiples of `step_deg` in the region's box and on its edges, degree."""
    box = region.bounds
    latitudes, longitudes = (
        np.arange(np.ceil(low / step_deg - 1e-9), np.floor(high / step_deg + 1e-9) + 1) * step_deg
        for low, high in ((box.south, box.north), (box.west, box.east))
    )
    return [(round(float(lat), 6), round(float(lon), 6)) for lat in latitudes for lon in longitudes]


def _spans(ask: Ask, number: int) -> Iterator[tuple[np.datetime64, np.datetime64]]:
    """Yield first and last day of the questions about the places `number` that are not settled."""
    known_until = published(ask.now, ask.service).known_until
    settled = _settled(ask, number)
    for month, days in by_month(days_of(ask.window)).items():
        whole = month_days(month)
        out = (whole if whole[-1] < known_until else days)[: whole.size]
        wanted = out[(out < known_until) & ~np.isin(out, settled)]
        # one question for each run of days without a hole
        for run in np.split(wanted, np.flatnonzero(np.diff(wanted) > np.timedelta64(1, "D")) + 1):
            if run.size:
                yield run[0], run[-1]


def _settled(ask: Ask, number: int) -> Days:
    days: list[Days] = [np.array([], dtype="datetime64[D]")]
    for entry in ask.landing.ledger.entries():
        match = _KEY.fullmatch(entry.key)
        if match and int(match.group(3)) == number and entry.state in ("got", "empty"):
            days.append(np.arange(np.datetime64(match.group(1), "D"), np.datetime64(match.group(2), "D") + 1))
    return np.concatenate(days)


def _bring(
    ask: Ask,
    key: str,
    places: list[tuple[float, float]],
    first: np.datetime64,
    last: np.datetime64,
) -> None:
    params = {
        "latitude": ",".join(f"{lat:g}" for lat, _ in places),
        "longitude": ",".join(f"{lon:g}" for _, lon in places),
        # else temperatures are moved to the height of the place asked for
        "elevation": ",".join("nan" for _ in places),
        "start_date": str(first),
        "end_date": str(last),
        "hourly": str(ask.service.options.get("hourly", ",".join(HOURLY))),
        "models": str(ask.service.options.get("models", "era5")),
        "wind_speed_unit": "ms",
        "timezone": "GMT",
    }
    name = key.replace("..", "_").replace("/", "_") + ".json"
    url = ask.service.urls[0]

    def check(path: Path) -> None:
        problem = _complaint(path.read_bytes(), len(places))
        if problem:
            raise SourceDataInvalid(ask.http.shown(url), f"weather at {len(places)} places", problem)

    ask.landing.download(
        ask.http, key, url, name, params=params, magic=(b"{", b"["), check=check, now=wall_time(ask.now)
    )


def _complaint(body: bytes, n_places: int) -> str:
    """Return what is wrong with an answer that came with status 200; nothing if it is what was asked for."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        return str(error)[:120]
    if isinstance(content, dict) and content.get("error"):
        return f"the service's error {str(content.get('reason'))[:120]!r}"
    found = len(content) if isinstance(content, list) else 1
    return "" if found == n_places else f"{found} places"
