"""Which failures of a disk or a network pass: they make a source unavailable, not its files invalid."""

import errno
from pathlib import Path
from typing import Final

from tasks.sources.contract import SourceUnavailable

TRANSIENT: Final = frozenset(
    {
        errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EHOSTDOWN,
        errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.ECONNRESET,
        errno.ECONNREFUSED, errno.ECONNABORTED, errno.ENOTCONN, errno.EREMOTEIO,
    }
)  # fmt: skip


def raise_if_transient(error: BaseException, path: Path) -> None:
    """Raise SourceUnavailable if `error`, or what caused it, is a failure that may be gone at the next try.

    Readers of formats turn what they meet into complaints about the file; the cause tells a damaged file from a disk
    that did not answer.

    Raises
    ------
    SourceUnavailable
        Naming `path`.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in TRANSIENT:
            raise SourceUnavailable(
                f"{path}: expected an answer from the disk or network, found {cause.strerror or cause}; try again"
            ) from error
        cause = cause.__cause__
