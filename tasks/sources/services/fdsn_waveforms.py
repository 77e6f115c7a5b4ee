"""FDSN dataselect for continuous records: whole days of channels into an SDS archive.

The ledger's key is `NET.STA.LOC.CHA/YYYY-MM-DD`.

Options of the service: `channels` (comma list of `NET.STA.LOC.CHA`, with wildcards, required), `channels_per_request`
(default 12), `delay_hours` (a day is asked for so long after its end, default 6), `revisit_days` (for so long after its
end a day with too little is asked for again, default 7), `refresh_days` (not more often than that, default 1),
`metadata_days` (responses are asked for again after so many, default 30), `quality` (default B), `query` (further lines
of the request, `minimumlength=10`). Restricted data: `credential_scheme: digest` asks the method queryauth.
"""

from typing import Final

import numpy as np

from tasks.sources.sds import DayFile
from tasks.sources.services import Ask
from tasks.sources.services.fdsn_dataselect import Span, Wanted, bring_records
from tasks.sources.services.fdsn_stations import Epoch, bring_epochs, bring_responses

_DAY: Final = np.timedelta64(1, "D")


def mirror(ask: Ask) -> None:
    """Bring the channels in reach, their responses, and every day of them that is out and not there yet.

    Raises
    ------
    SourceUnavailable, SourceDenied, SourceDataInvalid
        As `bring_records`.
    ValueError
        If the option `channels` is missing.
    """
    epochs = bring_epochs(ask)
    bring_responses(ask, epochs)
    wanted: dict[str, Wanted] = {}
    for day in _days(ask):
        span = Span(str(day), day.astype("datetime64[ns]"), (day + _DAY).astype("datetime64[ns]"))
        for epoch in epochs:
            if epoch.start < span.end and epoch.end > span.start:
                one = Wanted(epoch, span, _file(epoch, day))
                wanted.setdefault(one.key, one)
    bring_records(ask, wanted)


def _days(ask: Ask) -> list[np.datetime64]:
    delay = np.timedelta64(round(60 * float(ask.service.options.get("delay_hours", 6.0))), "m")
    first = ask.window.start.astype("datetime64[D]")
    last = min(ask.window.end, ask.now - delay).astype("datetime64[D]")
    return [first + k * _DAY for k in range(max(0, int((last - first) / _DAY)))]


def _file(epoch: Epoch, day: np.datetime64) -> str:
    return DayFile(epoch.station, epoch.location, epoch.channel, day).name
