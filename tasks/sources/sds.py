"""SeisComP Data Structure (SDS) archives of continuous miniSEED: records of 60 s at regular times."""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.mseed_segments import RecordSpan, Segment, decode_segments, index_records, touching
from tasks.sources.options import number_option
from tasks.sources.payloads import empty, list_payloads, locate, read_each
from tasks.sources.response import PAD_SECONDS, WINDOW_SECONDS
from tasks.sources.station_metadata import StationReader, find_metadata
from tasks.sources.stations import distance_km
from tasks.sources.transient import raise_if_transient
from tasks.sources.waveform_records import (
    NS,
    PREFERENCE,
    Record,
    cut_record,
    instrument_rank,
    records_dataset,
)

logger = logging.getLogger(__name__)

_NAME: Final = re.compile(r"(\w+)\.(\w+)\.(\w*)\.(\w{3})\.D\.(\d{4})\.(\d{3})")
_DAY: Final = np.timedelta64(1, "D")
_FILES_KEPT: Final = 9
ReadDay = Callable[[Path], tuple[bytes, list[RecordSpan]]]


class DayFile(NamedTuple):
    """One channel's file of one day, datetime64[D]."""

    station: str
    location: str
    channel: str
    day: np.datetime64

    @property
    def nslc(self) -> str:
        """`NET.STA.LOC.CHA`."""
        return f"{self.station}.{self.location}.{self.channel}"

    @property
    def name(self) -> str:
        """Path below the archive: `YEAR/NET/STA/CHA.D/NET.STA.LOC.CHA.D.YEAR.DAY`."""
        year = self.day.astype("datetime64[Y]")
        number = int((self.day - year.astype("datetime64[D]")) // _DAY) + 1
        network, code = self.station.split(".")
        return f"{year}/{network}/{code}/{self.channel}.D/{self.nslc}.D.{year}.{number:03d}"


def parse_name(path: Path) -> DayFile | None:
    """Return what the name of a file in an SDS archive says; None if it is another kind of file."""
    found = _NAME.fullmatch(path.name)
    if found is None or not 1 <= int(found[6]) <= 366:
        return None
    day = np.datetime64(found[5], "D") + np.timedelta64(int(found[6]) - 1, "D")
    return DayFile(f"{found[1]}.{found[2]}", found[3], found[4], day)


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return velocity records (record, channel, sample) of an SDS archive (`YEAR/NET/STA/CHA.D/*.D.YEAR.DAY`).

    One record of 60 s begins every `step_minutes` (default 60; a divisor of the day), the first `offset_minutes`
    (default half a step) after midnight. Only the miniSEED records around them are decoded. A day's file may begin or
    end beyond midnight, so those of the days before and after are looked into; an incomplete last record, as in a file
    that still grows, is left out. StationXML `NET.STA.xml` lies in `stations/` of the archive or of the folder above
    it. Of a station's instruments the first of HH BH EH SH HN EN BN that has data is taken; other channels are no
    ground motion. Stations within option `radius_km` (default 150), units, flags and `available_time` (vintage
    "reconstructed") as in `tasks.sources.miniseed`.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A damaged file is left out with a message, its station's other channels are kept.
    ValueError
        If the step does not divide a day, or the offset is not within a step.
    """
    grid = _grid(config)
    radius = number_option(config, "radius_km", 150.0)
    top = locate(config, root)
    paths = {name: p for p in list_payloads(config, root, "[0-9]*/*/*/*.D/*.D.*") if (name := parse_name(p))}
    by_day: dict[tuple[str, np.datetime64], list[DayFile]] = defaultdict(list)
    for name in paths:
        if name.channel[:2] in PREFERENCE:
            by_day[name.station, name.day].append(name)
    reader = StationReader()
    # a file is looked into as its own day and as the neighbour of two
    read_day = lru_cache(_FILES_KEPT)(_indexed)
    records: list[Record] = []
    invalid: list[SourceDataInvalid] = []
    unusable: set[str] = set()
    for (station, day), files in sorted(by_day.items()):
        starts = _starts(day, grid, window)
        if not starts.size or station in unusable:
            continue
        try:
            metadata = find_metadata(top, station, top)
            place = reader.place(metadata, station)
        except SourceDataInvalid as error:
            raise_if_transient(error, top)
            invalid.append(error)
            unusable.add(station)
            continue
        if distance_km(region, place[0], place[1]) > radius:
            unusable.add(station)
            continue
        try:
            segments, wrong = _instrument(files, paths, starts, read_day)
            invalid += wrong
            cut = [cut_record(segments, int(s), metadata, reader, station, place) for s in starts if segments]
            records += [record for record in cut if record is not None]
        except SourceDataInvalid as error:
            raise_if_transient(error, paths[files[0]])
            invalid.append(error)
    if not records:
        if invalid:
            raise invalid[0]
        raise empty(config, root, region, window)
    return Fetched(records_dataset(records, config), tuple(invalid))


def _grid(config: SourceConfig) -> NDArray[np.int64]:
    """Return the records' first samples (n,), ns after midnight."""
    step = number_option(config, "step_minutes", 60.0)
    offset = number_option(config, "offset_minutes", step / 2)
    n = 1440 / step if step > 0 else 0.0
    if n < 1 or abs(n - round(n)) > 1e-9 or not 0 <= offset < step:
        raise ValueError(
            f"source {config.group}: step_minutes must divide 1440 and offset_minutes lie in [0, step), "
            f"found {step:g} and {offset:g}"
        )
    if step * 60 < WINDOW_SECONDS:
        raise ValueError(f"source {config.group}: step_minutes must be at least 1, found {step:g}")
    # on the grid of 20 Hz, 50 ms
    return np.round((offset + step * np.arange(round(n))) * 1200).astype(np.int64) * (NS // 20)


def _starts(day: np.datetime64, grid: NDArray[np.int64], window: TimeWindow) -> NDArray[np.int64]:
    starts = int(day.astype("datetime64[ns]").astype(np.int64)) + grid
    low, high = (int(t.astype("datetime64[ns]").astype(np.int64)) for t in window)
    return starts[(starts >= low) & (starts < high)]


def _instrument(
    files: list[DayFile], paths: Mapping[DayFile, Path], starts: NDArray[np.int64], read_day: ReadDay
) -> tuple[list[Segment], list[SourceDataInvalid]]:
    """Return the segments around `starts` of the first instrument that has some, and the complaints met."""
    ranks: dict[tuple[int, str], list[DayFile]] = defaultdict(list)
    for name in files:
        ranks[instrument_rank(name.location, name.channel)].append(name)
    complaints: list[SourceDataInvalid] = []
    for _, channels in sorted(ranks.items()):
        segments: list[Segment] = []
        for name in sorted(channels):
            near = [name._replace(day=name.day + k * _DAY) for k in (-1, 0, 1)]
            there = {paths[n]: n for n in near if n in paths}

            def read(path: Path, nslc: str = name.nslc) -> bytes | None:
                return _around(read_day, path, nslc, starts)

            try:
                contents, wrong = read_each(there, read)
                complaints += [w for w in wrong if w.path == str(paths[name])]
                if joined := b"".join(contents):
                    segments += decode_segments(joined, paths[name])
            except SourceDataInvalid as error:
                raise_if_transient(error, paths[name])
                complaints.append(error)
        if segments:
            return segments, complaints
    return [], complaints


def _indexed(path: Path) -> tuple[bytes, list[RecordSpan]]:
    content = path.read_bytes()
    return content, index_records(content, path, is_growing=True)


def _around(read: ReadDay, path: Path, nslc: str, starts: NDArray[np.int64]) -> bytes | None:
    """Return the records of a day file that touch the padded windows from `starts`; None if there are none.

    Raises
    ------
    SourceDataInvalid
        If the file is damaged or holds another channel's records.
    """
    content, spans = read(path)
    others = {span.nslc for span in spans} - {nslc}
    if others:
        raise SourceDataInvalid(path, f"records of {nslc} only", f"some of {', '.join(sorted(others)[:3])}")
    pad = PAD_SECONDS * NS
    intervals = np.stack([starts - pad, starts + WINDOW_SECONDS * NS + pad], axis=1)
    intervals[1:, 0] = np.maximum(intervals[1:, 0], intervals[:-1, 1])
    wanted = touching(spans, intervals)
    return b"".join(content[s.offset : s.offset + s.length] for s in wanted) or None
