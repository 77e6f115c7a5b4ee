"""Reading of miniSEED files into gap-free segments, with the check that no record is cut."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pymseed
from numpy.typing import NDArray

from tasks.sources.contract import SourceDataInvalid

# full scale of the 24-bit digitisers in use
_FULL_SCALE: Final = 2**23 - 1
_END_OF_BUFFER: Final = 1  # libmseed's MS_ENDOFFILE: the last record is not whole


class Segment(NamedTuple):
    """Samples of one channel without a gap: `start` ns since 1970, `samples` (n,) counts."""

    station: str
    location: str
    channel: str
    start: int
    rate_hz: float
    samples: NDArray[np.float64]
    is_saturated: bool


class RecordSpan(NamedTuple):
    """One record where it stands in a file.

    Attributes
    ----------
    nslc : str
        `NET.STA.LOC.CHA`.
    start, last, end : int
        First sample, last sample and one interval after it, ns since 1970.
    offset, length : int
        Bytes.
    """

    nslc: str
    start: int
    last: int
    end: int
    offset: int
    length: int


def read_segments(path: Path) -> list[Segment]:
    """Return the segments of a miniSEED file in time order.

    Raises
    ------
    SourceDataInvalid
        If the file is empty, is not miniSEED, or ends within a record.
    """
    return decode_segments(path.read_bytes(), path)


def decode_segments(content: bytes, where: Path | str) -> list[Segment]:
    """Return the segments of miniSEED records, sorted by channel and time; those without numbers are left out.

    Raises
    ------
    SourceDataInvalid
        Naming `where`: if there is no record, one is damaged or cut.
    """
    if not content:
        raise SourceDataInvalid(where, "miniSEED records", "an empty file")
    segments = []
    try:
        whole = sum(record.reclen for record in pymseed.MS3Record.from_buffer(content))
        if whole != len(content):
            raise SourceDataInvalid(
                where, "whole miniSEED records", f"{len(content) - whole} bytes after the last one"
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
        raise SourceDataInvalid(where, "whole miniSEED records", str(error)) from error
    return sorted(segments, key=lambda s: (s.channel, s.start))


def index_records(content: bytes, where: Path | str, is_growing: bool = False) -> list[RecordSpan]:
    """Return the records in `content` in their order, by their headers alone.

    Parameters
    ----------
    is_growing : bool
        The last record may be incomplete, for it is being written; it is left out.

    Raises
    ------
    SourceDataInvalid
        Naming `where`: if something is no miniSEED record, or the last one is cut and must not be.
    """
    spans: list[RecordSpan] = []
    names: dict[str, str] = {}
    offset = 0
    try:
        for record in pymseed.MS3Record.from_buffer(content):
            rate, start = float(record.samprate), int(record.starttime)
            end = start + (round(record.samplecnt * 1e9 / rate) if rate > 0 else 0)
            source = record.sourceid
            if source not in names:
                names[source] = ".".join(pymseed.sourceid2nslc(source))
            spans.append(RecordSpan(names[source], start, int(record.endtime), end, offset, record.reclen))
            offset += record.reclen
    except (pymseed.MiniSEEDError, ValueError) as error:
        if not (is_growing and getattr(error, "status_code", None) == _END_OF_BUFFER):
            raise SourceDataInvalid(where, "whole miniSEED records", str(error)) from error
    return spans


def touching(spans: Sequence[RecordSpan], intervals: NDArray[np.int64]) -> list[RecordSpan]:
    """Return the records with samples in one of `intervals` (n, 2), half-open, ns, sorted and apart."""
    if not spans or not intervals.size:
        return []
    starts, ends = np.array([(s.start, s.end) for s in spans], dtype=np.int64).T
    # the first interval that ends after the record's first sample is the only candidate
    first = np.searchsorted(intervals[:, 1], starts, side="right")
    candidate = intervals[np.minimum(first, len(intervals) - 1), 0]
    hits = (first < len(intervals)) & (candidate < ends)
    return [span for span, hit in zip(spans, hits, strict=True) if hit]
