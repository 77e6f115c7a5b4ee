"""Sources: one reader per provider, each turning files into a canonical Dataset (see infra/adr/0001)."""

from importlib import import_module
from pathlib import Path
from typing import cast, get_args

from tasks.regions import Provider, Region, SourceConfig, TimeWindow
from tasks.sources.contract import (
    Fetched,
    Source,
    SourceDataInvalid,
    SourceEmpty,
    SourceError,
    SourceMissing,
    SourceUnavailable,
)
from tasks.sources.plausible import refuse_other_units
from tasks.sources.transient import raise_if_transient

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

    A disk or network that did not answer makes it raise SourceUnavailable, wherever in the reader that happens.

    Raises
    ------
    ValueError
        If there is no such provider; the message lists those that there are.
    """
    known = get_args(Provider)
    if provider not in known:
        raise ValueError(f"unknown provider {provider!r}: expected one of {sorted(known)}")
    fetch = cast(Source, import_module(f"tasks.sources.{provider}").fetch)

    def ask(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
        try:
            fetched = fetch(config, root, region, window)
            refuse_other_units(fetched.dataset, root / config.path)
            return fetched
        except (OSError, SourceDataInvalid) as error:
            raise_if_transient(error, root / config.path)
            raise

    return ask
