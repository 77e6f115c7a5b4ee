"""HyP3: interferograms made on demand at ASF. A person orders the jobs (they cost credits); this brings what is done.

The first base URL is the API's (`/jobs` follows). A token goes to the hosts of the base URLs only: the zip files lie
elsewhere. Options of the service: `name` (the jobs' name, required), `job_type` (default INSAR_GAMMA), `user_id`
(whose jobs).
"""

import logging
from collections.abc import Iterator
from datetime import UTC
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urljoin, urlsplit

from pydantic import AwareDatetime, BaseModel, ValidationError

from tasks.sources.contract import SourceDataInvalid, SourceUnavailable
from tasks.sources.services import Ask
from tasks.sources.services.clock import wall_time
from tasks.sources.services.ledger import Entry, State
from tasks.sources.services.mirroring import bring_each

logger = logging.getLogger(__name__)

_ZIP: Final = (b"PK\x03\x04",)
_PAGES: Final = 1000


class _File(BaseModel):
    filename: str
    url: str
    size: int = 0


class _Job(BaseModel):
    job_id: str
    status_code: str
    expiration_time: AwareDatetime | None = None
    files: list[_File] = []


class _Page(BaseModel):
    jobs: list[_Job]
    next: str | None = None


def mirror(ask: Ask) -> None:
    """Bring and unpack the zip of every job that has ended well and is not expired.

    The ledger has a key for each job: `asked` while it is waiting or running, `failed` if it failed or expired before
    it came, `got` for the zip. The unpacked files have the zip's Last-Modified as their time. Zips are kept: they are
    what the provider gave. The window is not asked for: the API knows only when a job was ordered.

    Raises
    ------
    SourceUnavailable, SourceDenied
        If the API does not answer or refuses the token; what came before stays.
    SourceDataInvalid
        If the API's answer is not what it documents.
    ValueError
        If the option `name` is missing.
    """
    if not ask.service.options.get("name"):
        raise ValueError(
            f"source {ask.config.group}: service option 'name' must be the name of the HyP3 jobs"
        )
    bring_each(_jobs(ask), lambda job: _bring(ask, job))


def _bring(ask: Ask, job: _Job) -> None:
    before = ask.landing.ledger.get(job.job_id)
    here = before is not None and before.state == "got" and ask.landing.path(before.name).exists()
    try:
        if before is None or not here:
            _take(ask, job)
        else:
            _unpack(ask, job.job_id, before.name)
    except SourceDataInvalid as error:
        _mark(ask, job, "failed", str(error))
        raise


def _take(ask: Ask, job: _Job) -> None:
    if job.status_code in ("PENDING", "RUNNING"):
        _mark(ask, job, "asked", f"the job is {job.status_code}")
        return
    if job.status_code != "SUCCEEDED" or not job.files:
        _mark(ask, job, "failed", f"the job ended as {job.status_code} with {len(job.files)} files")
        return
    if job.expiration_time is not None and job.expiration_time <= wall_time(ask.now):
        _mark(
            ask,
            job,
            "failed",
            f"its files expired at {job.expiration_time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        )
        return
    zips = [file for file in job.files if file.filename.endswith(".zip")]
    if len(zips) != 1:
        raise SourceDataInvalid(job.job_id, "one zip file in the job", f"{[f.filename for f in job.files]}")
    name = PurePosixPath(zips[0].filename).name
    url = urljoin(ask.service.urls[0], zips[0].url)
    if urlsplit(url).scheme not in ("http", "https"):
        raise SourceDataInvalid(job.job_id, "an HTTP address of the zip", ask.http.shown(url))
    entry = ask.landing.download(
        ask.http, job.job_id, url, name, magic=_ZIP, refresh=True, now=wall_time(ask.now)
    )
    if entry.state != "got":
        _mark(ask, job, "failed", "its zip is gone")
        return
    _unpack(ask, job.job_id, name)


def _unpack(ask: Ask, job_id: str, name: str) -> None:
    """Unpack a zip once; a process killed on the way leaves no such entry, and the next call does it again."""
    key = f"{job_id}/unpacked"
    if ask.landing.ledger.get(key) is None:
        size = sum(path.stat().st_size for path in ask.landing.unpack_zip(ask.landing.path(name)))
        clock = wall_time(ask.now).isoformat(timespec="seconds")
        ask.landing.ledger.put(Entry(key, "got", name, size, asked_at=clock, retrieved_at=clock))


def _jobs(ask: Ask) -> Iterator[_Job]:
    question = {
        "name": str(ask.service.options["name"]),
        "job_type": str(ask.service.options.get("job_type", "INSAR_GAMMA")),
    }
    if ask.service.options.get("user_id"):
        question["user_id"] = str(ask.service.options["user_id"])
    url: str | None = f"{ask.service.urls[0].rstrip('/')}/jobs"
    params: dict[str, str] | None = question
    seen: set[str] = set()
    while url is not None:
        response = ask.http.get(url, params=params)
        shown = ask.http.shown(url)
        if response is None:
            raise SourceUnavailable(f"{shown}: expected a list of jobs, found nothing")
        try:
            page = _Page.model_validate_json(response.content)
        except ValidationError as error:
            raise SourceDataInvalid(shown, "a list of HyP3 jobs", str(error.errors()[0]["msg"])) from error
        yield from page.jobs
        seen.add(url)
        # the address of the next page holds the whole question
        url, params = (urljoin(url, page.next) if page.next else None), None
        if url in seen or len(seen) > _PAGES:
            raise SourceDataInvalid(shown, "pages of jobs that end", "the same page again")


def _mark(ask: Ask, job: _Job, state: State, message: str) -> None:
    before = ask.landing.ledger.get(job.job_id) or Entry(job.job_id, state)
    clock = wall_time(ask.now).isoformat(timespec="seconds")
    ask.landing.ledger.put(before._replace(state=state, message=message, asked_at=clock))
