"""MiniSEED answers taken apart by channel and trimmed to an interval, whole records left as they are."""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pymseed

from tasks.sources.contract import SourceDataInvalid
from tasks.sources.mseed_segments import index_records

_STEIM2 = 11


def trim_channels(content: bytes, where: Path | str, start: int, end: int) -> dict[str, bytes]:
    """Return the records of each channel `NET.STA.LOC.CHA` with samples in [start, end), in time order.

    Services return whole records that reach beyond what was asked, out of order and twice. A record inside the interval
    is kept as it came; of one across its ends only the samples inside are, packed anew. Overlaps of different records
    stay.

    Parameters
    ----------
    start, end : int
        ns since 1970.

    Raises
    ------
    SourceDataInvalid
        Naming `where`: if something is no miniSEED record, or one is cut or damaged.
    """
    kept: dict[str, dict[bytes, int]] = defaultdict(dict)
    for span in index_records(content, where):
        record = content[span.offset : span.offset + span.length]
        if span.end <= start or span.start >= end:
            continue
        if span.start >= start and span.last < end:
            kept[span.nslc].setdefault(record, span.start)
            continue
        for piece in _cut(record, where, start, end):
            kept[span.nslc].setdefault(piece, max(span.start, start))
    joined = {}
    for nslc, pieces in kept.items():
        joined[nslc] = b"".join(piece for piece, _ in sorted(pieces.items(), key=lambda item: item[1]))
    return joined


def covered_seconds(content: bytes, where: Path | str) -> float:
    """Return how long the samples in `content` last together, s; what overlaps counts once.

    Raises
    ------
    SourceDataInvalid
        If it is not miniSEED.
    """
    total, reached = 0, -(2**63)
    for span in sorted(index_records(content, where), key=lambda s: s.start):
        total += max(0, span.end - max(span.start, reached))
        reached = max(reached, span.end)
    return total / 1e9


def _cut(record: bytes, where: Path | str, start: int, end: int) -> list[bytes]:
    try:
        old = next(pymseed.MS3Record.from_buffer(record, unpack_data=True))
        first = max(0, math.ceil((start - old.starttime) * old.samprate / 1e9))
        last = max(first, math.ceil((end - old.starttime) * old.samprate / 1e9))
        samples = np.array(old.np_datasamples[first:last])
        if not samples.size:
            return []
        new = pymseed.MS3Record()
        new.sourceid, new.samprate, new.encoding = old.sourceid, old.samprate, old.encoding
        new.formatversion, new.reclen, new.pubversion = old.formatversion, old.reclen, old.pubversion
        new.starttime = old.starttime + round(first * 1e9 / old.samprate)
        try:
            return list(new.generate(samples, sample_type=old.sampletype))
        except pymseed.MiniSEEDError:
            # historic encodings can only be read
            new.encoding = _STEIM2
            return list(new.generate(samples, sample_type=old.sampletype))
    except (pymseed.MiniSEEDError, ValueError) as error:
        raise SourceDataInvalid(where, "miniSEED records that can be decoded", str(error)) from error
