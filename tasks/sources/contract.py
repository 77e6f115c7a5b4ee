"""What every source promises, and the three ways in which it may fail.

::

    SourceError
    ├── SourceUnavailable   nobody answered: try again later
    │   ├── SourceMissing   a local file or folder is not there: waiting will not bring it
    │   └── SourceDenied    the provider refuses the request or the credentials: asking again is no use
    ├── SourceDataInvalid   the payload is wrong: quarantine it, do not retry, go on with the rest
    └── SourceEmpty         the provider answered and has nothing in this window
"""

from pathlib import Path
from typing import NamedTuple, Protocol

import xarray as xr

from tasks.regions import Region, SourceConfig, TimeWindow


class SourceError(Exception):
    """A source did not deliver."""


class SourceUnavailable(SourceError):
    """The provider could not be reached; the same request may succeed later."""


class SourceMissing(SourceUnavailable):
    """A local file or folder is not there; said at once, without retries."""


class SourceDenied(SourceUnavailable):
    """The provider refused the request or the credentials (HTTP 4xx); said at once, without retries.

    Attributes
    ----------
    status : int
        Of HTTP; 0 where the refusal came otherwise, as the end of a job that was rejected.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class SourceDataInvalid(SourceError):
    """A payload breaks its format; the message names the file, what was expected and what was found.

    Attributes
    ----------
    is_left_out : bool
        The whole payload is, and not some of its rows.
    """

    is_left_out = False

    def __init__(self, path: Path | str, expected: str, found: str) -> None:
        super().__init__(f"{path}: expected {expected}, found {found}")
        self.path = str(path)
        self.expected = expected
        self.found = found

    def __reduce__(self) -> tuple[type["SourceDataInvalid"], tuple[str, str, str]]:
        """Let it travel between processes: its own arguments are not those of `Exception`."""
        return type(self), (self.path, self.expected, self.found)


class SourceEmpty(SourceError):
    """The provider has nothing for this region and window."""


class Fetched(NamedTuple):
    """A canonical Dataset, and the payloads that had to be left out of it."""

    dataset: xr.Dataset
    invalid: tuple[SourceDataInvalid, ...] = ()


class Source(Protocol):
    """Read one provider's format from `root` (an archive, a mirror or a simulation) into a canonical Dataset."""

    def __call__(self, config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
        """Return what `window` holds of `region`.

        Raises
        ------
        SourceMissing
            If `root` or the configured path is not there.
        SourceUnavailable
            If a live service does not answer.
        SourceDataInvalid
            If every payload is invalid.
        SourceEmpty
            If the window holds nothing.
        """
        ...
