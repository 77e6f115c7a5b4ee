"""Sources: one reader per provider, each turning files into a canonical Dataset (see infra/adr/0001)."""

from importlib import import_module
from typing import cast, get_args

from tasks.regions.region import Provider
from tasks.sources.contract import (
    Fetched,
    Source,
    SourceDataInvalid,
    SourceEmpty,
    SourceError,
    SourceMissing,
    SourceUnavailable,
)

__all__ = [
    "Fetched",
    "Source",
    "SourceDataInvalid",
    "SourceEmpty",
    "SourceError",
    "SourceMissing",
    "SourceUnavailable",
    "open_source",
]


def open_source(provider: Provider) -> Source:
    """Return the reader of `provider`, which lives in the module of that name and is imported only now.

    Raises
    ------
    ValueError
        If there is no such provider; the message lists those that there are.
    """
    known = get_args(Provider)
    if provider not in known:
        raise ValueError(f"unknown provider {provider!r}: expected one of {sorted(known)}")
    return cast(Source, import_module(f"tasks.sources.{provider}").fetch)
