"""What a user or a machine can cause, told in one line: no traceback in the log, no traceback in the terminal."""

import errno
import logging

from pydantic import ValidationError

from tasks.cubes.storage import StoreUnreachable, StoreUnsafe
from tasks.cubes.store import StoreBusy, StoreFull
from tasks.regions import UnknownRegion
from tasks.sources.contract import SourceError

EXPECTED: tuple[type[Exception], ...] = (
    SourceError,
    StoreBusy,
    StoreFull,
    StoreUnreachable,
    StoreUnsafe,
    UnknownRegion,
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_expected(error: BaseException | None) -> bool:
    """Return whether `error` says all there is to say: its message names the cause and the remedy."""
    return isinstance(error, EXPECTED) or (isinstance(error, OSError) and error.errno in _FULL)


def one_line(error: Exception) -> str:
    """Return the message of `error` in one line; of a form, each wrong field with what was given."""
    if isinstance(error, ValidationError):
        fields = [
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}, found {e['input']!r}"
            for e in error.errors()
        ]
        return "; ".join(fields)
    if isinstance(error, OSError) and error.errno in _FULL:
        return (
            f"{error.filename or 'state folder'}: the disk or quota is full; free some space and start again"
        )
    return " ".join(str(error).split())


class _NoTraceback(logging.Filter):
    """Drop Prefect's record of an expected error: the line about the run's final state says the same in short."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be kept."""
        return not (record.exc_info and is_expected(record.exc_info[1]))


_NO_TRACEBACK = _NoTraceback()


def quiet_expected_failures() -> None:
    """Keep tracebacks of expected errors out of the logs of flow and task runs; again has no effect."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_NO_TRACEBACK)
