"""Stage: ask a live service for what its landing folder lacks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from prefect import task
from prefect.blocks.system import Secret
from prefect.tasks import exponential_backoff
from pydantic import BaseModel, Field

from tasks.ingest import only_unavailable, window_of
from tasks.regions import Region, Service, TimeWindow
from tasks.sources.contract import SourceUnavailable
from tasks.sources.services import Ask, Http, Landing, open_service
from tasks.workspace import Workspace

_PATIENCE_S = 600.0


class Mirrored(BaseModel):
    """What a service's ledger says after it was asked."""

    root: str = Field(description="landing folder, which the source's reader is called with")
    asked_at: datetime = Field(description="when asking began: the answers tell what happened until then")
    counts: dict[str, int] = Field(description="requests by state: got, empty, failed, asked")


def credential(service: Service) -> str:
    """Return the token that `service` wants: the environment's, else that of the Prefect secret of this name.

    It is read at the moment of use and goes into a request's header; no parameter, log, artifact or message holds it.
    Empty if the service wants none or there is none; the service then says so itself.
    """
    if not service.credential:
        return ""
    token = os.environ.get(service.credential, "")
    if token:
        return token
    try:
        return str(Secret.load(service.credential.lower().replace("_", "-")).get())  # type: ignore[union-attr]
    except ValueError:
        return ""


def landing_of(workspace: Workspace, region: Region, group: str) -> Path:
    """Return the landing folder of a source."""
    return workspace.home / "landing" / region.store_name / group


@contextmanager
def landing_turn(root: Path) -> Iterator[None]:
    """Wait until no other run brings payloads into the landing folder `root`: two would write the same files.

    Raises
    ------
    SourceUnavailable
        If another one has been at it for too long; what it brings can be read.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / ".lock", timeout=_PATIENCE_S)
    try:
        turn = lock.acquire()
    except Timeout:
        raise SourceUnavailable(
            f"{lock.lock_file}: another run has been asking this service for {_PATIENCE_S:g} s; "
            "what it brings is read by the next one"
        ) from None
    with turn:
        yield


@task(
    name="mirror-source",
    task_run_name="mirror-{group}",
    retries=2,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.5,
    retry_condition_fn=only_unavailable,
)
def mirror_source(workspace: Workspace, region: Region, group: str) -> Mirrored:
    """Bring what the region's window needs, up to now; what a killed run brought is not asked for again.

    Raises
    ------
    SourceUnavailable
        If the service did not answer (SourceDenied: it refuses); what came before stays and can be read.
    """
    config = next(s for s in region.sources if s.group == group)
    if config.service is None:
        raise SourceUnavailable(f"source {group}: expected a service in its region file, found none")
    asked_at = datetime.now(UTC)
    now = np.datetime64(asked_at.replace(tzinfo=None), "ns")
    window = window_of(region, config)
    root = landing_of(workspace, region, group)
    with landing_turn(root):
        landing = Landing(root, config.path)
        open_service(config.service)(
            Ask(
                config=config,
                service=config.service,
                region=region,
                window=TimeWindow(window.start, min(window.end, now)),
                landing=landing,
                http=Http(config.service, credential(config.service)),
                now=now,
            )
        )
    return Mirrored(root=str(root), asked_at=asked_at, counts=landing.ledger.counts())
