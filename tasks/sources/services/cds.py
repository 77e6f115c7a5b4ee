"""ERA5 from the Climate Data Store: a request is queued as a job, watched, and its result brought, month by month.

The API is asked directly. Its client, cdsapi 0.7.7, writes the key to the debug log, forgets its job when it is killed
(a request may wait for hours) and retries up to 500 times; here the ledger keeps the job for the next pull.

The service needs `credential_header: PRIVATE-TOKEN` and `credential_prefix: ""`. Its options: `dataset` (default
reanalysis-era5-single-levels), `variables` (comma list of the store's names; default the six that the reader takes),
`jobs` (in the queue at once, default 4), `patience_s` (wait for results in one pull, default 3600), `poll_s` (longest
pause between questions, default 30), `preliminary_days` and `final_days` (see `reanalysis_days`).
"""

import logging
import re
import time
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tasks.sources.contract import SourceDataInvalid, SourceDenied, SourceError, SourceUnavailable
from tasks.sources.services import Ask, Entry
from tasks.sources.services.cds_job import JobLost, Request, asset, is_done, submit
from tasks.sources.services.clock import wall_time
from tasks.sources.services.mirroring import PATIENCE, forget_other_answers
from tasks.sources.services.reanalysis_days import Days, by_month, days_of, month_days, published

logger = logging.getLogger(__name__)

DATASET: Final = "reanalysis-era5-single-levels"
VARIABLES: Final = (
    "2m_temperature,surface_pressure,total_precipitation,10m_u_component_of_wind,10m_v_component_of_wind,"
    "volumetric_soil_water_layer_1"
)
NETCDF_OR_ZIP: Final = (b"PK\x03\x04", b"\x89HDF", b"CDF")
_MARGIN_DEG: Final = 0.5
_STEP_DEG: Final = 0.25
_UNAUTHORIZED: Final = 401
_SPAN: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})")


class Piece(NamedTuple):
    """One request: days of one month, its key in the ledger and the name of its file."""

    key: str
    days: Days

    @property
    def name(self) -> str:
        """File name, which the reader takes in any order: the versions are told apart inside."""
        return f"{self.key.replace('..', '_')}.nc"

    @property
    def job_key(self) -> str:
        """Key under which the ledger keeps the job."""
        return f"{self.key} job"


def mirror(ask: Ask) -> None:
    """Bring the months that the window touches: whole ones once they are final, before that the days that are out.

    A month's preliminary days stay beside its final file, so that what was known first is not forgotten.

    Raises
    ------
    SourceDenied
        If the store refuses the key or the request.
    SourceUnavailable
        If it does not answer, or results were not ready in `patience_s`; their jobs are kept and taken up again.
    SourceDataInvalid
        If a result is not what was announced. In all cases the other months were brought.
    """
    options = ask.service.options
    forget_other_answers(ask, dataset=options.get("dataset"), variables=options.get("variables"))
    deadline = time.monotonic() + float(options.get("patience_s", 3600))
    longest = float(options.get("poll_s", 30))
    pause = min(1.0, longest)
    queue, active = plan(ask), list[tuple[Piece, str]]()
    failures: list[SourceError] = []
    refused = 0
    while queue or active:
        while queue and len(active) < int(options.get("jobs", 4)):
            piece = queue.pop(0)
            try:
                active.append((piece, _job(ask, piece)))
            except SourceError as error:
                logger.info("%s of %s was not taken: %s", piece.key, ask.config.group, error)
                failures.append(error)
                refused = refused + 1 if isinstance(error, SourceUnavailable) else 0
                if refused >= PATIENCE or getattr(error, "status", 0) == _UNAUTHORIZED:
                    queue.clear()  # no more of them; the jobs that wait are brought all the same
            else:
                refused = 0
        waiting: list[tuple[Piece, str]] = []
        for piece, job in active:
            try:
                if is_done(ask.http, ask.service.urls[0], job):
                    _bring(ask, piece, job)
                else:
                    waiting.append((piece, job))
            except SourceError as error:
                logger.info("%s of %s did not come: %s", piece.key, ask.config.group, error)
                if isinstance(error, JobLost | SourceDenied | SourceDataInvalid):
                    _forget(ask, piece, str(error))
                failures.append(error)
        nothing_ended = len(waiting) == len(active)
        active = waiting
        if active and nothing_ended:
            if time.monotonic() >= deadline:
                keys = ", ".join(piece.key for piece, _ in active)
                failures.append(
                    SourceUnavailable(
                        f"{ask.http.shown(ask.service.urls[0])}: still in the store's queue: {keys}; "
                        "the next pull takes these jobs up"
                    )
                )
                break
            time.sleep(pause)
            pause = min(longest, pause * 1.5)
    if failures:
        raise failures[0]


def plan(ask: Ask) -> list[Piece]:
    """Return the requests that the window needs and the ledger does not have, in order of time."""
    out = published(ask.now, ask.service)
    settled, unfinished = _spans(ask)
    pieces = []
    for month, days in by_month(days_of(ask.window)).items():
        whole = month_days(month)
        if whole[-1] < out.final_until:
            pieces += [Piece(key, whole) for key in ask.landing.ledger.pending([month])]
            continue
        wanted = days[(days < out.known_until) & ~np.isin(days, settled)]
        for piece in unfinished:
            if np.isin(piece.days, whole).all():
                pieces.append(piece)
                wanted = wanted[~np.isin(wanted, piece.days)]
        if wanted.size:
            pieces.append(Piece(f"{wanted[0]}..{wanted[-1]}", wanted))
    return pieces


def request_for(ask: Ask, days: Days) -> Request:
    """Return the store's request for the hours of `days`, all in one month, and the region's box with its margin."""
    box = ask.region.bounds.grown(_MARGIN_DEG)
    north, east = (float(np.ceil(edge / _STEP_DEG) * _STEP_DEG) for edge in (box.north, box.east))
    south, west = (float(np.floor(edge / _STEP_DEG) * _STEP_DEG) for edge in (box.south, box.west))
    year, month = str(days[0])[:4], str(days[0])[5:7]
    return {
        "product_type": ["reanalysis"],
        "variable": [v.strip() for v in str(ask.service.options.get("variables", VARIABLES)).split(",")],
        "year": [year],
        "month": [month],
        "day": [str(day)[8:] for day in days],
        "time": [f"{hour:02d}:00" for hour in range(24)],
        "area": [north, west, south, east],
        "data_format": "netcdf",
        "download_format": "unarchived",
    }


def _spans(ask: Ask) -> tuple[Days, list[Piece]]:
    """Return the preliminary days that are settled, and the requests for others whose job is still open."""
    settled: list[Days] = [np.array([], dtype="datetime64[D]")]
    unfinished = []
    for entry in ask.landing.ledger.entries():
        match = _SPAN.fullmatch(entry.key.removesuffix(" job"))
        if match is None:
            continue
        first, last = (np.datetime64(day, "D") for day in match.groups())
        days = np.arange(first, last + 1)
        if entry.key.endswith(" job"):
            if entry.state == "asked":
                unfinished.append(Piece(entry.key.removesuffix(" job"), days))
        elif entry.state in ("got", "empty"):
            settled.append(days)
    return np.concatenate(settled), unfinished


def _job(ask: Ask, piece: Piece) -> str:
    """Return the job that the ledger knows, or that of a new request."""
    ledger = ask.landing.ledger
    known = ledger.get(piece.job_key)
    if known is not None and known.state == "asked" and known.message:
        return known.message.removeprefix("job ")
    if ask.service.credential and ask.service.credential_header != "PRIVATE-TOKEN":
        raise SourceDenied(
            f"source {ask.config.group}: the store takes its key in the header PRIVATE-TOKEN, the region file says "
            f"{ask.service.credential_header!r}; set credential_header and an empty credential_prefix"
        )
    dataset = str(ask.service.options.get("dataset", DATASET))
    job = submit(ask.http, ask.service.urls[0], dataset, request_for(ask, piece.days))
    asked_at = wall_time(ask.now).isoformat(timespec="seconds")
    attempts = 1 + (known.attempts if known else 0)
    ledger.put(Entry(piece.job_key, "asked", asked_at=asked_at, attempts=attempts, message=f"job {job}"))
    return job


def _bring(ask: Ask, piece: Piece, job: str) -> None:
    ledger = ask.landing.ledger
    result = asset(ask.http, ask.service.urls[0], job)
    shown = ask.http.shown(result.url)

    def check(path: Path) -> None:
        if path.stat().st_size != result.size:
            raise SourceDataInvalid(shown, f"{result.size} bytes as announced", f"{path.stat().st_size}")

    ask.landing.download(
        ask.http,
        piece.key,
        result.url,
        piece.name,
        magic=NETCDF_OR_ZIP,
        check=check,
        absent=JobLost(f"{shown}: the result of job {job} is gone; ask again"),
        refresh=True,
        now=wall_time(ask.now),
    )
    finished = ledger.get(piece.job_key)
    if finished is not None:
        ledger.put(finished._replace(state="empty"))


def _forget(ask: Ask, piece: Piece, why: str) -> None:
    """Let the next pull make the request anew: this job will bring nothing."""
    known = ask.landing.ledger.get(piece.job_key)
    if known is not None:
        ask.landing.ledger.put(known._replace(state="failed", message=why))
