"""Reading of miniSEED files into gap-free segments, with the check that no record is cut."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pymseed
from numpy.typing import NDArray

from tasks.sources.contract import SourceDataInvalid

# full scale of the 24-bit digitisers in use
_FULL_SCALE = 2**23 - 1


class Segment(NamedTuple):
    """Samples of one channel without a gap: `start` ns since 1970, `samples` (n,) counts."""

    station: str
    location: str
    channel: str
    start: int
    rate_hz: float
    samples: NDArray[np.float64]
    is_saturated: bool


def read_segments(path: Path) -> list[Segment]:
    """Return the segments of a miniSEED file in time order.

    Raises
    ------
    SourceDataInvalid
        If the file is empty, is not miniSEED, or ends within a record.
    """
    content = path.read_bytes()
    if not content:
        raise SourceDataInvalid(path, "miniSEED records", "an empty file")
    segments = []
    try:
        whole = sum(record.reclen for record in pymseed.MS3Record.from_buffer(content))
        if whole != len(content):
            raise SourceDataInvalid(
                path, "whole miniSEED records", f"{len(content) - whole} bytes after the last one"
            )
        for trace in pymseed.MS3TraceList.from_buffer(content, unpack_data=True):
            network, station, location, channel = pymseed.sourceid2nslc(trace.sourceid)
            for segment in trace:
                raw = np.asarray(segment.np_datasamples)
                if not np.issubdtype(raw.dtype, np.number) or segment.samprate <= 0:
                    continue
                saturated = np.issubdtype(raw.dtype, np.integer) and int(np.abs(raw).max()) >= _FULL_SCALE
                segments.append(
                    Segment(
                        station=f"{network}.{station}",
                        location=location,
                        channel=channel,
                        start=int(segment.starttime),
                        rate_hz=float(segment.samprate),
                        samples=raw.astype(np.float64),
                        is_saturated=bool(saturated),
                    )
                )
    except (pymseed.MiniSEEDError, ValueError) as error:
        raise SourceDataInvalid(path, "whole miniSEED records", str(error)) from error
    return sorted(segments, key=lambda s: (s.channel, s.start))
