"""The clock of an `Ask` in the form that the ledger keeps."""

from datetime import UTC, datetime

import numpy as np


def wall_time(now: np.datetime64) -> datetime:
    """Return `now`, datetime64 in UTC, as a datetime with its zone, to the second."""
    return datetime.fromtimestamp(int(now.astype("datetime64[s]").astype(np.int64)), UTC)
