"""Services: how each provider is asked. Their payloads land as files, which the format's reader then reads.

::

    service ──mirror──► landing folder + ledger ──reader──► Dataset ──► observation store

Transport and format are apart, so that one reader serves a live service, a recorded archive and the simulator.
"""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple, cast

import numpy as np

from tasks.regions import Region, Service, SourceConfig, TimeWindow
from tasks.sources.services.http import Http
from tasks.sources.services.landing import Landing
from tasks.sources.services.ledger import Entry, Ledger

__all__ = ["Ask", "Entry", "Http", "Landing", "Ledger", "Mirror", "open_service"]


class Ask(NamedTuple):
    """What is wanted of a service.

    Attributes
    ----------
    window : TimeWindow
        Half-open.
    now : datetime64[ns]
        The clock: the wall's, or that of a replay.
    """

    config: SourceConfig
    service: Service
    region: Region
    window: TimeWindow
    landing: Landing
    http: Http
    now: np.datetime64


Mirror = Callable[[Ask], None]


def open_service(service: Service) -> Mirror:
    """Return the function that brings into the landing folder what an `Ask` wants and is not there yet.

    It raises SourceUnavailable if the service does not answer, SourceDenied if it refuses; what it got before stays,
    and the next call goes on there.
    """
    return cast(Mirror, import_module(f"tasks.sources.services.{service.kind}").mirror)
