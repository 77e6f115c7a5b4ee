"""The Climate Data Store's processing API: submit a request, ask for its job's state, find the result."""

import json
import re
from typing import Final, NamedTuple, cast
from urllib.parse import quote, urljoin

from tasks.sources.contract import SourceDataInvalid, SourceDenied, SourceUnavailable
from tasks.sources.services.bodies import Answer
from tasks.sources.services.http import Http

_RETRIEVE: Final = "retrieve/v1"
_WAITING: Final = frozenset({"accepted", "running"})
_FAILED: Final = frozenset({"failed", "rejected"})
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
Request = dict[str, list[str] | list[float] | str]


class JobLost(SourceUnavailable):
    """The store no longer has the job or its result: the same request has to be made anew."""


class Asset(NamedTuple):
    """Where a result lies and how many bytes it has."""

    url: str
    size: int


def submit(http: Http, base: str, dataset: str, request: Request) -> str:
    """Queue `request` and return the job's id.

    Raises
    ------
    SourceDenied
        If the store refuses: the key, a licence that was not accepted, a request that it does not understand.
    SourceUnavailable
        If it does not answer.
    SourceDataInvalid
        If the answer is no job.
    """
    url = f"{_root(base)}/processes/{quote(dataset)}/execution"
    answer = http.post(url, json={"inputs": request})
    if answer is None:
        raise SourceDenied(f"{http.shown(url)}: expected a job, found no such dataset")
    job = _json(http, url, answer).get("jobID")
    if not isinstance(job, str) or not _ID.fullmatch(job):
        raise SourceDataInvalid(http.shown(url), "a job with its jobID", repr(job)[:80])
    return job


def is_done(http: Http, base: str, job: str) -> bool:
    """Tell whether the result is there; False while the job waits or runs.

    Raises
    ------
    SourceDenied
        If the job failed or was rejected, in the store's words.
    JobLost
        If the store no longer knows the job, or somebody dismissed it.
    SourceUnavailable
        If the store does not answer.
    """
    url = f"{_root(base)}/jobs/{job}"
    answer = http.get(url)
    if answer is None:
        raise JobLost(f"{http.shown(url)}: the store no longer knows the job; ask again")
    status = _json(http, url, answer).get("status")
    if status in _WAITING:
        return False
    if status == "successful":
        return True
    if status in _FAILED:
        asset(http, base, job)  # says why, with a 4xx
        raise SourceDenied(f"{http.shown(url)}: the job {status}")
    raise JobLost(f"{http.shown(url)}: expected a job that waits, runs or ended, found {status!r}")


def asset(http: Http, base: str, job: str) -> Asset:
    """Return where the result of a successful job lies.

    Raises
    ------
    JobLost, SourceUnavailable, SourceDataInvalid
        If it is not there, the store does not answer, or the answer does not say.
    """
    url = f"{_root(base)}/jobs/{job}/results"
    answer = http.get(url)
    if answer is None:
        raise JobLost(f"{http.shown(url)}: expected the result of the job, found none; ask again")
    found: object = _json(http, url, answer)
    for name in ("asset", "value"):
        found = found.get(name) if isinstance(found, dict) else None
    href, size = (found.get("href"), found.get("file:size")) if isinstance(found, dict) else (None, None)
    if not isinstance(href, str) or not isinstance(size, int) or isinstance(size, bool):
        raise SourceDataInvalid(http.shown(url), "an asset with href and file:size", f"{found!r}"[:80])
    place = urljoin(url, href)
    if not place.startswith(("https://", "http://")):
        raise SourceDataInvalid(http.shown(url), "an asset at an http address", href[:80])
    return Asset(place, size)


def _root(base: str) -> str:
    return f"{base.rstrip('/')}/{_RETRIEVE}"


def _json(http: Http, url: str, answer: Answer) -> dict[str, object]:
    try:
        content = json.loads(answer.content)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise SourceDataInvalid(http.shown(url), "a JSON object", repr(answer.content[:40]))
    return cast(dict[str, object], content)
