"""Which days of a reanalysis can be asked for, and which are final: what both ways to ERA5 plan by."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.regions import Service, TimeWindow

ONE_DAY: Final = np.timedelta64(1, "D")
Days = NDArray[np.datetime64]


class Published(NamedTuple):
    """Days before `final_until` are final, from there to before `known_until` preliminary; datetime64[D]."""

    final_until: np.datetime64
    known_until: np.datetime64


def published(now: np.datetime64, service: Service) -> Published:
    """Return what is out at `now` by the provider's documented delays.

    Options `preliminary_days` (default 5) and `final_days` (default 92) of the service are the delays after the end
    of a day.
    """
    preliminary, final = (
        np.timedelta64(round(float(service.options.get(key, default)) * 1440), "m")
        for key, default in (("preliminary_days", 5), ("final_days", 92))
    )
    known = (now - preliminary).astype("datetime64[D]")
    return Published(min((now - final).astype("datetime64[D]"), known), known)


def days_of(window: TimeWindow) -> Days:
    """Return the days (n,) that `window` touches, datetime64[D]."""
    last = (window.end - np.timedelta64(1, "ns")).astype("datetime64[D]")
    return _range(window.start.astype("datetime64[D]"), last + ONE_DAY)


def by_month(days: Days) -> dict[str, Days]:
    """Return the days under their month, like `2020-01`, in order."""
    months = days.astype("datetime64[M]")
    return {str(month): days[months == month] for month in np.unique(months)}


def month_days(month: str) -> Days:
    """Return all days of the month `2020-01`, datetime64[D]."""
    start = np.datetime64(month, "M")
    return _range(start.astype("datetime64[D]"), (start + 1).astype("datetime64[D]"))


def _range(start: np.datetime64, end: np.datetime64) -> Days:
    return start + np.arange((end - start).astype(np.int64)) * ONE_DAY
