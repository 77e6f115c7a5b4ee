"""The list of steps of the Nevada Geodetic Laboratory: changes of equipment, and earthquakes in reach of a station."""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from tasks.sources.contract import SourceDataInvalid
from tasks.sources.payloads import read_text
from tasks.sources.tenv3 import parse_day

_KINDS: Final = {"1": "equipment", "2": "earthquake"}
_COLUMNS: Final = (
    "station",
    "time",
    "kind",
    "magnitude",
    "distance_km",
    "event_id",
    "text",
    "available_time",
)


def read_steps(
    path: Path, stations: Collection[str] | None = None
) -> tuple[pd.DataFrame, list[SourceDataInvalid]]:
    """Return the steps of `stations` (default all), sorted by station and time, and complaints about bad lines.

    Columns: `station` str; `time` datetime64[ns], midnight of the day; `kind` "equipment" or "earthquake";
    `magnitude`, `distance_km` (NaN for equipment); `event_id`, `text` (empty where the other kind has it);
    `available_time` datetime64[ns], the end of that day, for the list gives no hour. An earthquake is listed for every
    station within 10^(M/2 - 0.8) km: a possible step, not an observed one.

    Raises
    ------
    SourceDataInvalid
        If no line can be read.
    """
    rows: list[tuple[object, ...]] = []
    complaints: list[SourceDataInvalid] = []
    n_good = 0
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = _read_line(path, number, line)
        except SourceDataInvalid as error:
            complaints.append(error)
            continue
        n_good += 1
        if stations is None or row[0] in stations:
            rows.append(row)
    if complaints and not n_good:
        raise complaints[0]
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(
        {
            "time": "datetime64[ns]",
            "available_time": "datetime64[ns]",
            "magnitude": float,
            "distance_km": float,
        }
    )
    return table.sort_values(["station", "time"], kind="stable", ignore_index=True), complaints


def _read_line(path: Path, number: int, line: str) -> tuple[object, ...]:
    fields = line.split(maxsplit=3)
    kind = _KINDS.get(fields[2]) if len(fields) > 2 else None
    if kind is None:
        raise SourceDataInvalid(path, f"SITE YYMMMDD 1|2 ... in line {number}", repr(line[:60]))
    day = parse_day(path, fields[1])
    when = (day.astype("datetime64[ns]"), (day + np.timedelta64(1, "D")).astype("datetime64[ns]"))
    rest = fields[3] if len(fields) > 3 else ""
    if kind == "equipment":
        return fields[0], when[0], kind, np.nan, np.nan, "", rest, when[1]
    try:
        threshold, distance, magnitude = (float(text) for text in rest.split()[:3])
        event = rest.split()[3]
    except (ValueError, IndexError) as error:
        raise SourceDataInvalid(
            path, f"threshold, distance, magnitude, event in line {number}", repr(rest[:60])
        ) from error
    # the list rounds the magnitude but not the threshold that follows from it
    if not (abs(magnitude) <= 10 and abs(np.log10(max(threshold, 1e-9)) - (magnitude / 2 - 0.8)) <= 0.05):
        raise SourceDataInvalid(
            path, f"a threshold of 10^(M/2 - 0.8) km in line {number}", f"{threshold:g} km for M{magnitude:g}"
        )
    if not 0 <= distance <= threshold * 1.05:
        raise SourceDataInvalid(path, f"a distance within the threshold in line {number}", f"{distance:g} km")
    return fields[0], when[0], kind, magnitude, distance, event, "", when[1]
